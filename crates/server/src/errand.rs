//! Driving errands: requests that need an identity, several records, or a write.
//!
//! What an errand needs and what comes of it is decided in `core::admin`. Here are the tables that
//! outlive a packet (challenges, wrong answers), the fetching, and the bound on how many errands
//! are under way.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use guantong_core::admin::authenticate::{Attempts, Challenges, Pending, Subject};
use guantong_core::admin::{
    Challenge, Errand, Ground, Kept, Next, Place, StoredRecord, Stream, Wanted,
};
use guantong_core::authority::{Demand, Moment, Recursion};
use guantong_proto::Handle;
use guantong_proto::limits::NONCE_LEN;
use guantong_proto::message::ResponseCode;
use tokio::sync::Semaphore;

use crate::limit::host_of;
use crate::metrics::Drop as Dropped;
use crate::node::{Node, Via};

/// Most errands under way at a time. Each may hold 4 MiB of records and waits for others, so more
/// of them would be memory without speed.
pub const ERRANDS_MAX: usize = 256;
/// Tables of challenges; the id chooses one, so that threads seldom wait for each other.
const TABLES: usize = 8;
const NO_FEED: &str = "this node has no replication feed";
const NO_SOURCE: &str = "other servers answer for it, and this node does not ask them";

//----------- KeySource ------------------------------------------------------

/// Finds records that other servers answer for: keys, groups, prefix records.
///
/// What it returns is believed. It must therefore have come from a server that may be believed.
pub trait KeySource: Send + Sync {
    /// The record of `handle`, `None` if there is none, or why it could not be had.
    fn record(&self, handle: Handle) -> FoundRecord;
}

/// A record that is being looked for.
pub type FoundRecord = Pin<Box<dyn Future<Output = Result<Option<StoredRecord>, String>> + Send>>;

//----------- Errands --------------------------------------------------------

/// What errands share.
pub(crate) struct Errands {
    challenges: [Mutex<Challenges>; TABLES],
    attempts: Mutex<Attempts>,
    source: OnceLock<Box<dyn KeySource>>,
    places: Semaphore,
}

impl Errands {
    pub(crate) fn new(challenge_ms: u64) -> Self {
        Self {
            challenges: std::array::from_fn(|_| Mutex::new(Challenges::new(challenge_ms))),
            attempts: Mutex::default(),
            source: OnceLock::new(),
            places: Semaphore::new(ERRANDS_MAX),
        }
    }

    /// Sets how long challenges that are yet to come are good for.
    pub(crate) fn set_challenge_time(&self, challenge_ms: u64) {
        for table in &self.challenges {
            locked(table).set_lifetime(challenge_ms);
        }
    }

    fn table(&self, session_id: i32) -> MutexGuard<'_, Challenges> {
        let at = session_id.unsigned_abs() as usize % TABLES;
        locked(&self.challenges[at])
    }

    /// Whether another errand would have to wait.
    pub(crate) fn is_full(&self) -> bool {
        self.places.available_permits() == 0
    }

    fn is_blocked(&self, subjects: &[Subject], now_ms: u64) -> bool {
        let attempts = locked(&self.attempts);
        subjects
            .iter()
            .any(|subject| attempts.is_blocked(subject, now_ms))
    }

    fn failed(&self, subjects: Vec<Subject>, now_ms: u64) {
        let mut attempts = locked(&self.attempts);
        for subject in subjects {
            attempts.failed(subject, now_ms);
        }
    }
}

impl std::fmt::Debug for Errands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Errands").finish_non_exhaustive()
    }
}

/// What a lock guards here stays whole even if a holder panicked: an entry is there or not.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//----------- Node -----------------------------------------------------------

impl Node {
    /// Sets where keys of other servers are found. Once only; a second call does nothing.
    pub fn set_key_source(&self, source: impl KeySource + 'static) {
        let _ = self.errands.source.set(Box::new(source));
    }

    /// Draws a challenge and keeps it with the request that it holds up.
    pub(crate) fn challenge(&self, demand: Demand<'_>, via: Via) -> Challenge {
        let nonce = self.random::<NONCE_LEN>();
        let now_ms = self.uptime_ms();
        loop {
            let [a, b, c, d] = self.random();
            let session_id = i32::from_be_bytes([a & 0x7f, b, c, d]);
            let challenge = Challenge { session_id, nonce };
            let mut table = self.errands.table(session_id);
            if !table.is_free(session_id) {
                continue;
            }
            let Ok(request) = Kept::of(demand.envelope, demand.octets) else {
                // The request has been decoded from these octets.
                return challenge;
            };
            let source = host_of(via.peer.ip());
            let pushed_out = table.keep(&challenge, request, source, now_ms);
            drop(table);
            if pushed_out > 0 {
                self.metrics.dropped(Dropped::Challenge);
                if self.throttle().allows(&self.metrics, now_ms) {
                    tracing::warn!(
                        peer = %via.peer,
                        "more challenges are open than the node keeps; the oldest are forgotten"
                    );
                }
            }
            return challenge;
        }
    }

    fn take_challenge(&self, session_id: i32) -> Option<Pending> {
        let now_ms = self.uptime_ms();
        self.errands.table(session_id).take(session_id, now_ms)
    }

    /// Carries out a packet that [`Node::answer`] has handed over. The reply is appended to `out`;
    /// instead of it, a stream may be what was asked for.
    pub async fn run_errand(&self, packet: &[u8], via: Via, out: &mut Vec<u8>) -> Option<Stream> {
        // The semaphore is never closed; if it were, there would be one bound less.
        let _place = self.errands.places.acquire().await;
        let start = out.len();
        let taken = Errand::new(packet, |id| self.take_challenge(id));
        let mut errand = match taken {
            Ok(errand) => errand,
            Err(error) => {
                // An inquiry has decoded the packet before.
                tracing::debug!(%error, peer = %via.peer, "an errand could not be taken up");
                return None;
            }
        };
        let subjects = self.subjects(&errand, via);
        if self.errands.is_blocked(&subjects, self.uptime_ms()) {
            errand.refuse_proof();
        }
        let stream = self.drive(&mut errand, via, out).await;
        if errand.is_wrong_proof() {
            self.errands.failed(subjects, self.uptime_ms());
            if self.throttle().allows(&self.metrics, self.uptime_ms()) {
                tracing::warn!(peer = %via.peer, "a proof of identity was wrong");
            }
        }
        if out.len() > start {
            self.metrics.reply(via.transport, &out[start..]);
        }
        stream
    }

    /// Whose wrong answers this would be one of. Networks that the operator trusts, loopback by
    /// default, share addresses among many.
    fn subjects(&self, errand: &Errand, via: Via) -> Vec<Subject> {
        let mut subjects = Vec::new();
        subjects.extend(errand.tries_secret_of(&self.site()));
        if !self.config().limits.trusts(via.peer.ip()) {
            subjects.push(Subject::Source(host_of(via.peer.ip())));
        }
        subjects
    }

    async fn drive(&self, errand: &mut Errand, via: Via, out: &mut Vec<u8>) -> Option<Stream> {
        let start = out.len();
        loop {
            match self.step(errand, via, out) {
                Some(Next::Fetch(wanted)) => match self.fetch(&wanted).await {
                    Ok(record) => errand.learn(&self.site(), &wanted, record),
                    Err(reason) => errand.fail(&self.site(), &wanted, reason),
                },
                Some(Next::Stream(stream)) => return Some(stream),
                Some(Next::Done) => return None,
                None => {
                    out.truncate(start);
                    return None;
                }
            }
        }
    }

    /// One step; `None` if it panicked, which is a mistake of ours that costs this errand only.
    fn step(&self, errand: &mut Errand, via: Via, out: &mut Vec<u8>) -> Option<Next> {
        let (site, config) = (self.site(), self.config());
        let ground = Ground {
            site: &site,
            rules: &config.administration.rules,
        };
        let mut moment = Moment {
            now_secs: self.now_secs(),
            challenge: &mut |demand| self.challenge(demand, via),
            recursion: Recursion::Denied,
        };
        let step = catch_unwind(AssertUnwindSafe(|| errand.step(&ground, &mut moment, out)));
        let panicked = |_| {
            let peer = via.peer;
            tracing::error!(%peer, "a request made the node panic; please report it");
        };
        step.map_err(panicked).ok()
    }

    /// Refuses a stream where none can be sent.
    pub(crate) fn refuse_stream(&self, stream: &Stream, out: &mut Vec<u8>) {
        let moment = Moment {
            now_secs: self.now_secs(),
            challenge: &mut |_| unreachable!("an error needs no challenge"),
            recursion: Recursion::Denied,
        };
        let code = ResponseCode::OPERATION_NOT_SUPPORTED;
        stream.refuse(&self.site(), code, NO_FEED, &moment, out);
    }

    async fn fetch(&self, wanted: &Wanted) -> Result<Option<StoredRecord>, String> {
        match wanted.place {
            Place::Here => {
                let record = self.store.record(wanted.handle.borrow());
                let record = record.map_err(|error| {
                    self.on_store_error(&error);
                    "the node's log says why".to_owned()
                })?;
                let known = record.map(|record| {
                    let handle = record.handle().to_owned();
                    StoredRecord::new(handle, record.version(), record.values_wire())
                });
                known.transpose().map_err(|error| error.to_string())
            }
            Place::Elsewhere => match self.errands.source.get() {
                Some(source) => source.record(wanted.handle.clone()).await,
                None => Err(NO_SOURCE.to_owned()),
            },
        }
    }
}
