//! What the running node says, by every transport: does it answer, does it say the same everywhere,
//! and is that what its store says.

use guantong_client::{
    Attempt, Client, Endpoint, Error, Fault, Outcome, Query, Server, Trace, Trust,
};
use guantong_proto::data::Site;
use guantong_proto::limits::EXPIRATION_DEFAULT_SECS;
use guantong_proto::{Handle, Value};
use time::OffsetDateTime;

use super::visit::Visit;
use crate::failed::{Exit, Failed};

/// Seconds by which two clocks may differ before somebody should look at them.
pub(super) const SKEW_MAX_SECS: i64 = 300;

/// What is known about a record before anybody is asked.
pub(super) enum Known {
    /// Nothing: there was no store to look into. The first answer becomes the measure.
    Nothing,
    /// The store has no such record.
    Absent,
    /// The store, or the first answer, has these values, of which some may not be public.
    Values(Vec<Value>),
}

/// What is asked of a running node, and what it should say.
pub(super) struct Question<'a> {
    /// Where it listens.
    pub(super) endpoints: Vec<Endpoint>,
    /// The site record that it should publish; the first answer is the measure if it is not known.
    pub(super) site: Option<Site>,
    /// The handle that is in question.
    pub(super) handle: Option<&'a Handle>,
    /// What is known about its record.
    pub(super) known: Known,
}

/// Asks at every endpoint.
pub(super) async fn ask(visit: &mut Visit, mut question: Question<'_>) -> Result<(), Failed> {
    for endpoint in std::mem::take(&mut question.endpoints) {
        let about = endpoint.to_string();
        let is_guess = question
            .site
            .as_ref()
            .is_some_and(|site| !publishes(site, &endpoint));
        let client = Client::builder(Server::new([endpoint]))
            .trust(trust(question.site.as_ref()))
            .build();
        let expected = question.site.as_ref();
        let site = match site_info(visit, &about, &client, expected).await? {
            Ok(site) => site,
            Err(Error::Unreachable { .. }) if is_guess => {
                visit.good(
                    &about,
                    "nobody is there, and the site record names no such port",
                )?;
                continue;
            }
            Err(error) => {
                unanswered(visit, &about, &error)?;
                continue;
            }
        };
        question.site.get_or_insert(site);
        if let Some(handle) = question.handle {
            let seen = record(visit, &about, &client, handle, &question.known).await?;
            if let (Some(values), Known::Nothing) = (seen, &question.known) {
                question.known = Known::Values(values);
            }
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

/// Whether a site record names this way to reach it.
fn publishes(site: &Site, endpoint: &Endpoint) -> bool {
    let mut interfaces = site.servers.iter().flat_map(|server| &server.interfaces);
    interfaces.any(|interface| {
        let name = interface.protocol.name().unwrap_or_default();
        name.eq_ignore_ascii_case(endpoint.transport.name())
            && interface.port() == Some(endpoint.port)
    })
}

/// Says why nobody answers, and what to do.
fn unanswered(visit: &mut Visit, about: &str, error: &Error) -> Result<(), Failed> {
    let is_tls = |attempt: &Attempt| matches!(attempt.outcome, Outcome::Misbehaved(Fault::Tls(_)));
    match error {
        Error::Misbehaved { attempts } if attempts.iter().any(is_tls) => visit.doubtful(
            about,
            "the certificate has another key than the site record, so Handle clients refuse it\n\
             browsers do not mind; to serve both, make a certificate for site.key",
        ),
        Error::Unreachable { .. } => {
            let what_to_do = "does a firewall stand in between? see the node's log";
            visit.bad(Exit::Network, about, error, what_to_do)
        }
        _ => {
            let what_to_do = "does another program answer there? see the node's log";
            visit.bad(Exit::Network, about, error, what_to_do)
        }
    }
}

/// Whether the node says of itself there what it should.
async fn site_info(
    visit: &mut Visit,
    about: &str,
    client: &Client,
    expected: Option<&Site>,
) -> Result<Result<Site, Error>, Failed> {
    let mut trace = Trace::default();
    let site = match client.site_info_traced(&mut trace).await {
        Ok(site) => site,
        Err(error) => return Ok(Err(error)),
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
    Ok(Ok(site))
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

/// Whether the node gives the record there as it should; returns the values that it gives.
async fn record(
    visit: &mut Visit,
    about: &str,
    client: &Client,
    handle: &Handle,
    known: &Known,
) -> Result<Option<Vec<Value>>, Failed> {
    let is_public = |value: &&Value| value.permissions.public_read();
    let answer = match (client.query(&Query::new(handle.clone())).await, known) {
        (Ok(answer), _) => answer,
        (Err(Error::NoSuchValues { .. }), Known::Values(values))
            if !values.iter().any(|value| is_public(&value)) =>
        {
            visit.good(about, "keeps the values to itself, none of which is public")?;
            return Ok(None);
        }
        // The reason has been found in the store already; the node only agrees.
        (Err(error @ (Error::NotFound { .. } | Error::Refused { .. })), Known::Absent) => {
            visit.good(about, format_args!("says so too: {error}"))?;
            return Ok(None);
        }
        (Err(error), _) => {
            let exit = match error.code() {
                Some(_) => Exit::Refused,
                None => Exit::Network,
            };
            visit.bad(exit, about, error, "")?;
            return Ok(None);
        }
    };
    let found = answer.values();
    let count = found.len();
    match known {
        Known::Nothing => visit.good(about, format_args!("gives {count} values"))?,
        Known::Values(values) if found.iter().eq(values.iter().filter(is_public)) => {
            visit.good(about, format_args!("gives the {count} public values"))?;
        }
        Known::Values(values) => visit.bad(
            Exit::Network,
            about,
            format_args!(
                "gives other values than there should be ({count}, not {})",
                values.iter().filter(is_public).count()
            ),
            "if the record was just changed, try again; else another node answers there",
        )?,
        Known::Absent => visit.bad(
            Exit::Network,
            about,
            format_args!("gives {count} values that this store does not hold"),
            "another node answers there",
        )?,
    }
    Ok(Some(found.to_vec()))
}
