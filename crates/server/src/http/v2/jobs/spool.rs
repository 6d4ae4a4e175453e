//! The body of an import goes to the disk as it comes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use guantong_proto::message::ResponseCode;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::super::super::answer::Failure;
use super::super::super::asked::Asked;
use super::super::problem::Problem;
use super::desk::{Begun, Jobs, SPOOLED_OCTETS_MAX};
use super::disk;

/// Most octets of one body: ten million rows of a hundred octets.
const BODY_OCTETS_MAX: u64 = 1024 * 1024 * 1024;
/// How long the next piece of a body may take to come. A client that waits longer holds a place.
const PIECE_TIME_MAX: Duration = Duration::from_secs(60);

/// Octets of bodies that are on the disk, or on their way to it; given back if no job comes of it.
struct Held<'a> {
    jobs: &'a Jobs,
    octets: u64,
}

impl Held<'_> {
    fn take(&mut self, octets: u64) -> Result<(), Failure> {
        self.octets += octets;
        let all = self.jobs.spooled.fetch_add(octets, Ordering::Relaxed) + octets;
        if self.octets > BODY_OCTETS_MAX {
            return Err(too_large(&format!(
                "the body is longer than {BODY_OCTETS_MAX} octets; send it in parts"
            )));
        }
        match all > SPOOLED_OCTETS_MAX {
            true => Err(too_large(
                "other jobs hold all the room that there is for bodies; try again when they are \
                 done, or forget some",
            )),
            false => Ok(()),
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.jobs.spooled.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

fn too_large(message: &str) -> Failure {
    Failure::new(ResponseCode::PROTOCOL_ERROR, message).with_status(413)
}

fn cut_off() -> Failure {
    let message = "the body was cut off; no job came of it";
    Failure::new(ResponseCode::PROTOCOL_ERROR, message)
}

/// Takes the body of a request; tells how long it was.
pub(super) async fn take(asked: &Asked, begun: &Begun, jobs: &Jobs) -> Result<u64, Problem> {
    let body = asked.unread.take().ok_or_else(cut_off)?;
    let mut pieces = body.into_data_stream();
    let mut file = File::create(begun.body())
        .await
        .map_err(|error| disk(&error))?;
    let mut held = Held { jobs, octets: 0 };
    loop {
        let piece = timeout(PIECE_TIME_MAX, pieces.next()).await;
        let Some(piece) = piece.map_err(|_| cut_off())? else {
            break;
        };
        let piece = piece.map_err(|_| cut_off())?;
        held.take(piece.len() as u64)?;
        file.write_all(&piece).await.map_err(|error| disk(&error))?;
    }
    file.sync_data().await.map_err(|error| disk(&error))?;
    // From here on the job holds them.
    Ok(std::mem::take(&mut held.octets))
}
