//! One server of a site, asked by every way that it publishes.

use std::time::Duration;

use guantong_client::{
    Answer, Client, Endpoint, Error, Outcome, Query, Server, Trace, Transport, Trust,
};
use guantong_proto::data::{Site, site};
use guantong_proto::limits::EXPIRATION_DEFAULT_SECS;
use guantong_proto::message::{Header, ResponseCode};
use guantong_proto::{Handle, Ttl, Value};
use time::OffsetDateTime;
use tokio::task::JoinSet;

/// Waits for an answer by UDP. Two tries tell a lost datagram from a closed port.
const UDP_WAITS: [Duration; 2] = [Duration::from_millis(800), Duration::from_millis(1_600)];
/// Time for a connection, and for an answer over it: somebody waits for the result.
const STREAM_WAIT: Duration = Duration::from_secs(4);

//----------- Said -----------------------------------------------------------

/// What a server says of a handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// These public values, by their indexes.
    Record(Vec<Value>),
    /// There is no such record (100).
    Missing,
    /// Others serve it (302, 303): these values say who, or the handle that is named.
    Referral {
        code: ResponseCode,
        target: String,
        values: Vec<Value>,
    },
    /// It is not responsible (301).
    NotHomed,
}

impl Said {
    /// `None` if the answer decides nothing: too large for a datagram, too busy.
    fn of(result: &Result<Answer, Error>) -> Option<Self> {
        match result {
            Ok(answer) => {
                let mut values = answer.values().to_vec();
                values.sort_by_key(|value| value.index);
                Some(Self::Record(values))
            }
            Err(Error::NoSuchValues { .. }) => Some(Self::Record(Vec::new())),
            Err(Error::NotFound { .. }) => Some(Self::Missing),
            Err(Error::Referred {
                code,
                target,
                values,
                ..
            }) => Some(Self::Referral {
                code: *code,
                target: target.clone(),
                values: values.clone(),
            }),
            Err(Error::Refused { code, .. }) if *code == ResponseCode::SERVER_NOT_RESPONSIBLE => {
                Some(Self::NotHomed)
            }
            Err(_) => None,
        }
    }

    /// Smallest TTL of the values, in seconds.
    pub(super) fn ttl(&self) -> Option<i32> {
        let Self::Record(values) = self else {
            return None;
        };
        let relative = values.iter().filter_map(|value| match value.ttl {
            Ttl::Relative(secs) => Some(secs),
            _ => None,
        });
        relative.min()
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Record(values) if values.len() == 1 => f.write_str("1 value"),
            Self::Record(values) => write!(f, "{} values", values.len()),
            Self::Missing => f.write_str("no such record"),
            Self::Referral { code, .. } => write!(f, "refers to others ({})", code.0),
            Self::NotHomed => f.write_str("not responsible (301)"),
        }
    }
}

//----------- Way ------------------------------------------------------------

/// What came of one way to reach the server.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) transport: Transport,
    pub(super) took: Duration,
    /// The header of its answer, if there was one.
    pub(super) header: Option<Header>,
    /// What it says, if the answer decides anything.
    pub(super) said: Option<Said>,
    /// Why there is no answer.
    pub(super) error: Option<Error>,
}

impl Way {
    async fn ask(endpoint: Endpoint, trust: Trust, handle: Handle) -> Self {
        let transport = endpoint.transport;
        let client = client(endpoint, trust);
        let mut trace = Trace::default();
        let result = client.query_traced(&Query::new(handle), &mut trace).await;
        let last = trace.attempts.last();
        let header = last.and_then(|attempt| match &attempt.outcome {
            Outcome::Answered(answered) => Some(answered.header),
            _ => None,
        });
        let said = Said::of(&result);
        Self {
            transport,
            took: last.map_or(Duration::ZERO, |attempt| attempt.elapsed),
            header,
            said,
            error: result.err(),
        }
    }

    /// Whether the server was there at all.
    pub(super) fn is_open(&self) -> bool {
        self.said.is_some()
            || self
                .error
                .as_ref()
                .is_none_or(|error| error.code().is_some())
    }
}

fn client(endpoint: Endpoint, trust: Trust) -> Client {
    Client::builder(Server::new([endpoint]))
        .trust(trust)
        .udp_waits(UDP_WAITS)
        .connect_timeout(STREAM_WAIT)
        .stream_timeout(STREAM_WAIT)
        .build()
}

//----------- Probe ----------------------------------------------------------

/// Whether the signature of an answer fits the key in the record that led to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// It does.
    Fits,
    /// It does not.
    Wrong,
    /// There is none, or no key to check it with.
    None,
}

/// What came of asking one server.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    /// One for each way that it publishes.
    pub(super) ways: Vec<Way>,
    /// The site record that it tells of itself.
    pub(super) own: Option<Site>,
    pub(super) proof: Proof,
}

impl Probe {
    /// Asks the server of `site` that is responsible for `handle`, by all ways at a time.
    pub(super) async fn make(site: &Site, server: &site::Server, handle: &Handle) -> Self {
        let key = server.key().ok();
        let trust = key.clone().map_or(Trust::Anybody, Trust::Key);
        let mut asked = JoinSet::new();
        for endpoint in Server::of_site(site, server).endpoints().to_vec() {
            let (trust, handle) = (trust.clone(), handle.clone());
            asked.spawn(async move {
                let way = Way::ask(endpoint.clone(), trust, handle).await;
                (endpoint, way)
            });
        }
        let mut found = asked.join_all().await;
        found.sort_by_key(|(endpoint, _)| endpoint.transport);
        let mut probe = Self {
            ways: Vec::new(),
            own: None,
            proof: Proof::None,
        };
        // A stream carries any answer, signed or long.
        let best = found.iter().rev().find(|(_, way)| way.is_open());
        if let Some((endpoint, _)) = best {
            let client = client(endpoint.clone(), trust);
            probe.own = client.site_info().await.ok();
            let query = Query::new(handle.clone()).certified();
            if let (Some(key), Ok(answer)) = (key, client.query(&query).await)
                && answer.is_signed()
            {
                probe.proof = match answer.verify(&key) {
                    Ok(()) => Proof::Fits,
                    Err(_) => Proof::Wrong,
                };
            }
        }
        probe.ways = found.into_iter().map(|(_, way)| way).collect();
        probe
    }

    /// What it says of the handle; the first way that tells decides.
    pub(super) fn said(&self) -> Option<&Said> {
        self.ways.iter().find_map(|way| way.said.as_ref())
    }

    /// Serials in its answers and in its own site record, each once.
    pub(super) fn serials(&self) -> Vec<u16> {
        let headers = self.ways.iter().filter_map(|way| way.header);
        let told = headers.map(|header| header.site_serial);
        let mut serials: Vec<u16> = told.filter(|serial| *serial != Header::NO_SERIAL).collect();
        serials.extend(self.own.as_ref().map(|site| site.serial));
        serials.sort_unstable();
        serials.dedup();
        serials
    }

    /// Seconds by which its clock is ahead of ours, as the expiration of its answers tells.
    pub(super) fn skew_secs(&self) -> i64 {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let headers = self.ways.iter().filter_map(|way| way.header);
        let mut ends = headers
            .map(|header| header.expiration)
            .filter(|end| *end != 0);
        ends.next().map_or(0, |end| {
            i64::from(end) - i64::from(EXPIRATION_DEFAULT_SECS) - now
        })
    }
}
