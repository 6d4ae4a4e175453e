//! Lists of handles, as a series of messages (6.1).

use guantong_proto::Handle;
use guantong_proto::message::{OpFlags, ResponseCode};
use guantong_proto::wire::Writer;

use super::kept::Kept;
use super::session::Channel;
use super::stream::reply;
use crate::authority::{Moment, Site};

/// Handles in one message of a list, as clients of this network expect it.
pub const LIST_PAGE_LEN: usize = 50;

//----------- Listing --------------------------------------------------------

/// A list that somebody may have. The shell fetches page after page and has each written, so that
/// a list of any length needs the memory of one page.
#[derive(Debug)]
pub struct Listing {
    pub(super) request: Kept,
    pub(super) answer: Option<Kept>,
    pub(super) channel: Option<Channel>,
    pub(super) listed: Listed,
}

/// What is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// The handles of the prefix with this prefix handle.
    Prefix(Handle),
    /// The homed prefix handles.
    Homed,
}

/// Whether more pages follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// At least one more.
    More,
    /// This is the last.
    End,
}

impl Listing {
    /// What is listed.
    pub fn listed(&self) -> &Listed {
        &self.listed
    }

    /// Appends the message with one page, of at most [`LIST_PAGE_LEN`] handles.
    pub fn page(
        &self,
        site: &Site,
        handles: &[Handle],
        follow: Follow,
        moment: &Moment<'_>,
        out: &mut Vec<u8>,
    ) {
        let flags = match follow {
            Follow::More => OpFlags::CONTINUOUS,
            Follow::End => OpFlags(0),
        };
        let reply = reply(
            site,
            &self.request,
            self.answer.as_ref(),
            self.channel.as_ref(),
        )
        .with_flags(flags);
        reply.send(ResponseCode::SUCCESS, moment, out, |out| {
            let mut w = Writer::new(out);
            w.size(handles.len());
            for handle in handles {
                w.bytes(handle.as_str().as_bytes());
            }
        });
    }

    /// Appends an error in place of a page.
    pub fn fail(
        &self,
        site: &Site,
        code: ResponseCode,
        text: &str,
        moment: &Moment<'_>,
        out: &mut Vec<u8>,
    ) {
        reply(
            site,
            &self.request,
            self.answer.as_ref(),
            self.channel.as_ref(),
        )
        .error(code, text, moment, out);
    }
}
