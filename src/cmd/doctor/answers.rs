//! What the running node says, by every transport: does it answer, does it say the same everywhere,
//! and is that what its store says.

use guantong_client::{Attempt, Client, Error, Fault, Outcome, Query, Server, Trace, Trust};
use guantong_proto::data::Site;
use guantong_proto::limits::EXPIRATION_DEFAULT_SECS;
use guantong_proto::{Handle, Value};
use guantong_server::site::Addresses;
use time::OffsetDateTime;

use super::visit::Visit;
use crate::cmd::local::endpoints_of;
use crate::failed::{Exit, Failed};

/// Seconds by which two clocks may differ before somebody should look at them.
const SKEW_MAX_SECS: i64 = 300;

/// What is asked of a running node, and what it should say.
pub(super) struct Question<'a> {
    /// Where it listens.
    pub(super) addresses: &'a Addresses,
    /// The site record that it should publish.
    pub(super) site: Option<&'a Site>,
    /// The handle that is in question.
    pub(super) handle: Option<&'a Handle>,
    /// What is stored under the handle.
    pub(super) stored: Option<&'a [Value]>,
}

/// Asks at every address.
pub(super) async fn ask(visit: &mut Visit, question: &Question<'_>) -> Result<(), Failed> {
    for endpoint in endpoints_of(question.addresses) {
        let about = endpoint.to_string();
        let client = Client::builder(Server::new([endpoint]))
            .trust(trust(question.site))
            .build();
        if site_info(visit, &about, &client, question.site).await?
            && let Some(handle) = question.handle
        {
            record(visit, &about, &client, handle, question.stored).await?;
        }
    }
    Ok(())
}

/// Over HTTPS the node must prove itself by the key in its site record, as Handle clients ask of
/// it.
fn trust(site: Option<&Site>) -> Trust {
    let key = site.and_then(|site| site.servers.first()?.key().ok());
    key.map_or(Trust::Anybody, Trust::Key)
}

/// Whether the node answers there and says of itself what it should; `false` if it does not answer.
async fn site_info(
    visit: &mut Visit,
    about: &str,
    client: &Client,
    expected: Option<&Site>,
) -> Result<bool, Failed> {
    let mut trace = Trace::default();
    let site = match client.site_info_traced(&mut trace).await {
        Ok(site) => site,
        Err(error) => {
            let is_tls =
                |attempt: &Attempt| matches!(attempt.outcome, Outcome::Misbehaved(Fault::Tls(_)));
            if trace.attempts.iter().any(is_tls) {
                visit.doubtful(
                    about,
                    "the certificate has another key than the site record, so Handle clients \
                     refuse it\nbrowsers do not mind; to serve both, make a certificate for \
                     site.key",
                )?;
                return Ok(false);
            }
            let what_to_do = match error {
                Error::Unreachable { .. } => "does a firewall stand in between? see the node's log",
                _ => "does another program answer there? see the node's log",
            };
            visit.bad(Exit::Network, about, error, what_to_do)?;
            return Ok(false);
        }
    };
    let took = trace
        .attempts
        .last()
        .map_or(0, |attempt| attempt.elapsed.as_micros());
    let time = format!("{}.{} ms", took / 1_000, took % 1_000 / 100);
    match expected {
        Some(expected) if *expected != site => visit.doubtful(
            about,
            format_args!(
                "answers in {time}, but says of itself something else than the settings (serial {} \
                 there, {} in the settings)\nrestart the node if the settings were changed",
                site.serial, expected.serial
            ),
        )?,
        _ => visit.good(
            about,
            format_args!("answers in {time}, site serial {}", site.serial),
        )?,
    }
    skew(visit, about, &trace)?;
    Ok(true)
}

/// Whether the clock of whoever answered is ours, as far as the expiration of the answer shows.
fn skew(visit: &mut Visit, about: &str, trace: &Trace) -> Result<(), Failed> {
    let Some(Outcome::Answered(answered)) = trace.attempts.last().map(|attempt| &attempt.outcome)
    else {
        return Ok(());
    };
    let sent = i64::from(answered.header.expiration) - i64::from(EXPIRATION_DEFAULT_SECS);
    let skew = sent - OffsetDateTime::now_utc().unix_timestamp();
    if skew.abs() <= SKEW_MAX_SECS || answered.header.expiration == 0 {
        return Ok(());
    }
    visit.doubtful(
        about,
        format_args!("its clock seems to differ from ours by {skew} s"),
    )
}

/// Whether the node gives the record there as it is stored.
async fn record(
    visit: &mut Visit,
    about: &str,
    client: &Client,
    handle: &Handle,
    stored: Option<&[Value]>,
) -> Result<(), Failed> {
    let readable: Option<Vec<&Value>> = stored.map(|values| {
        values
            .iter()
            .filter(|value| value.permissions.public_read())
            .collect()
    });
    match (client.query(&Query::new(handle.clone())).await, readable) {
        (Ok(answer), Some(readable)) if answer.values().iter().eq(readable.iter().copied()) => {
            visit.good(
                about,
                format_args!("gives the {} public values", readable.len()),
            )
        }
        (Ok(answer), Some(readable)) => visit.bad(
            Exit::Network,
            about,
            format_args!(
                "gives other values than the store holds ({} against {})",
                answer.values().len(),
                readable.len()
            ),
            "if the record was just changed, try again; else another node answers there",
        ),
        (Ok(answer), None) => visit.bad(
            Exit::Network,
            about,
            format_args!(
                "gives {} values that this store does not hold",
                answer.values().len()
            ),
            "another node answers there",
        ),
        (Err(Error::NoSuchValues { .. }), Some(readable)) if readable.is_empty() => {
            visit.good(about, "keeps the values to itself, none of which is public")
        }
        // The reason has been found in the store already; the node only agrees.
        (Err(error @ (Error::NotFound { .. } | Error::Refused { .. })), None) => {
            visit.good(about, format_args!("says so too: {error}"))
        }
        (Err(error), _) => visit.bad(Exit::Network, about, error, "see the findings above"),
    }
}
