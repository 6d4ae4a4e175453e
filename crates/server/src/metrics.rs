//! Figures about the running node, in the Prometheus text form.
//!
//! Counters are kept in shards, one per thread as long as there are enough, so that counting is an
//! addition to memory that no other core writes. Names, kinds and meanings are declared once, in
//! [`FAMILIES`]; the reference page is made from it and every exported name is checked against it.

mod brief;
mod expiry;
mod recurse;

use std::cell::Cell;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use guantong_core::replicate::Role;
use guantong_proto::limits::{ENVELOPE_LEN, HEADER_LEN};
use guantong_proto::message::{OpCode, ResponseCode};

use crate::mirror::MirrorSnapshot;
pub(crate) use brief::Brief;
pub use expiry::{Expiring, Expiry};
pub use recurse::RecurseSnapshot;

/// Sets of counters; threads beyond this number share.
const SHARDS: usize = 32;
/// One of so many answers is timed.
const SAMPLE: u32 = 32;

//----------- Families -------------------------------------------------------

/// What a figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// A figure that is exported.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Names of its labels, for the reference.
    pub labels: &'static str,
    /// What it means.
    pub help: &'static str,
}

macro_rules! families {
    ($($kind:ident $name:literal [$labels:literal] $help:literal;)+) => {
        /// All figures, in the order in which they are exported.
        pub const FAMILIES: &[Family] = &[$(Family {
            name: concat!("guantong_", $name),
            kind: Kind::$kind,
            labels: $labels,
            help: $help,
        }),+];
    };
}

families! {
    Gauge "build_info" ["version"] "Always 1; the label says which version runs.";
    Gauge "start_time_seconds" [""] "When the node started, in seconds since 1970.";
    Counter "requests_total" ["transport, op, code"] "Native requests answered, by transport, operation and response code.";
    Counter "http_requests_total" ["status"] "HTTP requests answered, by class of status.";
    Counter "dropped_total" ["reason"] "Datagrams, requests and connections that got no answer, or only a refusal.";
    Histogram "answer_duration_seconds" ["transport"] "Time to make an answer, without the network; one of 32 is measured.";
    Counter "udp_datagrams_received_total" [""] "Datagrams received.";
    Counter "udp_datagrams_sent_total" [""] "Datagrams sent.";
    Counter "udp_batches_total" [""] "System calls that received datagrams; datagrams per call tell the load.";
    Counter "connections_accepted_total" ["transport"] "Connections accepted.";
    Gauge "connections_open" [""] "Connections open, TCP and HTTP together.";
    Gauge "store_records" [""] "Records in the store.";
    Gauge "store_last_change" [""] "Number of the last change.";
    Gauge "store_disk_bytes" ["part"] "Octets on disk by part: records, changes, indexes, and all together with journals.";
    Gauge "store_memory_bytes" ["part"] "Octets in memory by part: hot records, blocks, memtables, queue.";
    Gauge "store_hot_records" [""] "Records in the cache of hot records.";
    Gauge "store_queued_changes" [""] "Changes that wait for the writer.";
    Counter "store_errors_total" [""] "Reads that failed because of the disk or a damaged record.";
    Counter "files_cleared_total" [""] "Uploaded files that were cleared away because no value had named them in `files.unnamed_time`.";
    Gauge "homed_prefixes" [""] "Prefixes that this node answers for.";
    Counter "recurse_cache_hits_total" [""]
        "Requests answered from the cache of others' answers at once.";
    Counter "recurse_questions_total" [""]
        "Questions put to the resolver, because the cache could not answer at once.";
    Counter "recurse_questions_without_servers_total" ["by"]
        "Questions, with those on the way to them, for which no server was asked: coalesced with an equal one, cached, stale.";
    Counter "recurse_failures_total" ["reason"]
        "Questions that failed, or were refused because too many were under way.";
    Counter "recurse_exchanges_total" ["transport, result"]
        "Requests to other servers, by transport and result.";
    Counter "recurse_steps_total" ["step"]
        "Requests sent again, second servers asked, referrals followed, answers renewed before their end, loops cut.";
    Counter "recurse_replies_dropped_total" ["reason"]
        "Replies that were not believed: no request fits them, or digest, handle, time or signature do not fit.";
    Counter "recurse_records_judged_total" ["verdict"]
        "Records whose signatures were judged before they were given away, by verdict: signed, unsigned, refused, undecided.";
    Gauge "recurse_under_way" ["what"] "Questions and requests to other servers under way.";
    Gauge "recurse_cache_entries" [""] "Answers of others in the cache.";
    Gauge "recurse_cache_bytes" [""] "Octets of them.";
    Gauge "mirror_role" ["role"] "1 for what the node is to its data: primary, mirror or fenced.";
    Gauge "mirror_epoch" [""] "How often the primary has been changed by promotion, counted from 1.";
    Gauge "mirror_takes_changes" [""] "1 if the node takes changes now: it is primary, and its lease holds if it needs one.";
    Gauge "mirror_feeds" [""] "Mirrors that are being served.";
    Gauge "mirror_unconfirmed_changes" [""] "Batches of changes that wait until a mirror has them.";
    Gauge "mirror_lag_changes" [""] "As a mirror: changes that the primary is known to have and that are not here.";
    Gauge "mirror_lag_seconds" [""] "As a mirror: time since everything that the primary was known to have was here.";
    Counter "mirror_faults_total" [""] "As a mirror: connections to the primary that failed or ended with a fault.";
    Counter "config_reloads_total" ["result"] "Readings of the configuration, by result: applied or refused.";
    Gauge "config_last_reload_success" [""] "1 if the last reading of the configuration succeeded.";
    Gauge "config_last_reload_timestamp_seconds" [""]
        "When the configuration was last read, in seconds since 1970.";
    Gauge "tls_certificate_expiry_timestamp_seconds" [""] "When the certificate of HTTPS expires, in seconds since 1970.";
    Gauge "trust_expiry_timestamp_seconds" ["of"]
        "The earliest end, in seconds since 1970, as far as it is known: records (signatures of records in the store), certificates (HS_CERT values in the store), signer (certificates from `trust.sign_as` up to the root), root (the keys in `trust.roots`).";
    Counter "log_lines_suppressed_total" [""] "Log lines about peers that were left out because there were too many.";
}

/// The reference of all figures, in Markdown.
pub fn reference() -> String {
    let mut out = String::from(
        "# Metrics\n\nGenerated from the declaration in `crates/server/src/metrics.rs`. \
         `GET /metrics` on the console address, and on the HTTP addresses for the networks in\n\
         `http.metrics_allow`, answers them in the Prometheus text form.\n\n\
         | name | kind | labels | meaning |\n|---|---|---|---|\n",
    );
    for family in FAMILIES {
        let Family {
            name,
            kind,
            labels,
            help,
        } = family;
        let _ = writeln!(out, "| `{name}` | {kind} | {labels} | {help} |");
    }
    out.push_str("\nReasons of `guantong_dropped_total`:\n\n| reason | meaning |\n|---|---|\n");
    for drop in Drop::ALL {
        let _ = writeln!(out, "| `{}` | {} |", drop.name(), drop.meaning());
    }
    out
}

//----------- Transport, Drop ------------------------------------------------

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// The native protocol on a stream.
    Tcp,
    /// Inside HTTP, in clear.
    Http,
    /// Inside HTTP over TLS.
    Https,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Udp, Self::Tcp, Self::Http, Self::Https];

    /// The word for labels and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn slot(self) -> usize {
        match self {
            Self::Udp => 0,
            Self::Tcp => 1,
            Self::Http => 2,
            Self::Https => 3,
        }
    }
}

macro_rules! drops {
    ($($item:ident $name:literal $meaning:literal;)+) => {
        /// Why something got no answer, or only a refusal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Drop { $(#[doc = $meaning] $item),+ }

        impl Drop {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$item),+];

            /// The word for labels.
            pub fn name(self) -> &'static str {
                match self { $(Self::$item => $name),+ }
            }

            fn meaning(self) -> &'static str {
                match self { $(Self::$item => $meaning),+ }
            }
        }
    };
}

drops! {
    NoReply "no_reply" "What came deserves no answer: no readable envelope, or an answer itself.";
    Fragment "fragment" "A datagram of a cut message did not fit the others, or too many messages were incomplete.";
    UdpRate "udp_rate" "The network of the source had its octets for this second.";
    UdpTold "udp_told" "As `udp_rate`, but a short answer told the client to use TCP.";
    UdpTooLarge "udp_too_large" "The answer was above `limits.udp_response_max`; the client was told to use TCP.";
    UdpSend "udp_send" "The system did not take a datagram: no buffer, no route, address refused.";
    ConnectionsFull "connections_full" "A connection was closed at once: the node had as many as it may.";
    AddressFull "address_full" "A connection was closed at once: its address had as many as it may.";
    RequestRate "request_rate" "A request waited or was refused: its address had its requests for this second.";
    SignatureRate "signature_rate" "An answer was not signed: the node had made its signatures for this second.";
    Challenge "challenge" "A challenge was forgotten before its time: more were open than the node keeps.";
    Session "session" "A session was refused, or ended before its time: more were begun than the node keeps, or than one address may begin in a second.";
    Crowded "crowded" "A request over UDP that needs an identity or a write found too many others under way.";
    Reads "reads" "A request over UDP whose record is on the disk found too many others waiting for it.";
    Idle "idle" "A connection was closed because nothing was asked for too long.";
    Slow "slow" "A connection was closed because a message or an answer took too long.";
    Malformed "malformed" "A connection was closed after octets that are no message.";
    TlsFailed "tls_failed" "A TLS handshake failed.";
}

//----------- Slots ----------------------------------------------------------

const OPS: [OpCode; 9] = [
    OpCode::RESOLVE,
    OpCode::GET_SITE_INFO,
    OpCode::CREATE,
    OpCode::DELETE,
    OpCode::LIST_HANDLES,
    OpCode::CHALLENGE_ANSWER,
    OpCode::VERIFY_ANSWER,
    OpCode::LIST_HOMED,
    OpCode::SESSION_SETUP,
];
const CODES: [ResponseCode; 15] = [
    ResponseCode::SUCCESS,
    ResponseCode::HANDLE_NOT_FOUND,
    ResponseCode::VALUES_NOT_FOUND,
    ResponseCode::SERVER_NOT_RESPONSIBLE,
    ResponseCode::SERVICE_REFERRAL,
    ResponseCode::PREFIX_REFERRAL,
    ResponseCode::ERROR,
    ResponseCode::PROTOCOL_ERROR,
    ResponseCode::OPERATION_NOT_SUPPORTED,
    ResponseCode::SERVER_TOO_BUSY,
    ResponseCode::RECURSION_COUNT_TOO_HIGH,
    ResponseCode::INVALID_HANDLE,
    ResponseCode::INSUFFICIENT_PERMISSIONS,
    ResponseCode::AUTHENTICATION_NEEDED,
    ResponseCode::AUTHENTICATION_TIMED_OUT,
];
/// One more of each for everything else.
const OP_SLOTS: usize = OPS.len() + 1;
const CODE_SLOTS: usize = CODES.len() + 1;
const REQUEST_SLOTS: usize = Transport::ALL.len() * OP_SLOTS * CODE_SLOTS;

/// Upper bounds of the buckets of a duration, in microseconds.
const BUCKETS_US: [u64; 12] = [
    1, 2, 5, 10, 20, 50, 100, 500, 1_000, 10_000, 100_000, 1_000_000,
];
/// The buckets, one for what is above, and the sum in nanoseconds.
const DURATION_SLOTS: usize = BUCKETS_US.len() + 2;

/// A counter without labels.
#[derive(Clone, Copy, Debug)]
enum Single {
    DatagramsReceived,
    DatagramsSent,
    Batches,
    StoreErrors,
    ReloadsApplied,
    ReloadsRefused,
    LinesSuppressed,
    CacheHits,
}
const SINGLES: usize = 8;

const DROP_AT: usize = REQUEST_SLOTS;
const DURATION_AT: usize = DROP_AT + Drop::ALL.len();
const HTTP_AT: usize = DURATION_AT + Transport::ALL.len() * DURATION_SLOTS;
/// Classes of status, 1xx to 5xx.
const HTTP_SLOTS: usize = 5;
const ACCEPTED_AT: usize = HTTP_AT + HTTP_SLOTS;
const SINGLE_AT: usize = ACCEPTED_AT + Transport::ALL.len();
const SLOTS: usize = SINGLE_AT + SINGLES;

/// The counters of one thread, on cache lines of their own.
#[repr(align(128))]
#[derive(Debug)]
struct Shard(Box<[AtomicU64]>);

thread_local! {
    /// Which shard this thread counts in.
    static SHARD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Relaxed) % SHARDS
    };
    /// Answers made by this thread, to time one of [`SAMPLE`].
    static TURN: Cell<u32> = const { Cell::new(0) };
}

//----------- Metrics --------------------------------------------------------

/// All figures that the node keeps itself.
#[derive(Debug)]
pub struct Metrics {
    shards: Box<[Shard]>,
    start_secs: u64,
    last_reload_ok: AtomicI64,
    last_reload_secs: AtomicU64,
    certificate_expiry_secs: AtomicI64,
    files_cleared: AtomicU64,
    /// When signatures and certificates of records end.
    pub expiry: Expiry,
}

/// Figures that are asked for when they are exported.
#[derive(Clone, Copy, Debug, Default)]
pub struct Snapshot {
    /// Open connections.
    pub connections: u32,
    /// Homed prefixes.
    pub homed: usize,
    /// What the node is to its data; none if that is not known.
    pub mirror: Option<MirrorSnapshot>,
    /// Figures of the store; none if they cannot be had.
    pub store: Option<guantong_store::Stats>,
    /// Figures of the resolver, if the node has one.
    pub recurse: Option<RecurseSnapshot>,
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new(now_secs: u64) -> Self {
        let shard = || {
            Shard(
                std::iter::repeat_with(AtomicU64::default)
                    .take(SLOTS)
                    .collect(),
            )
        };
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            start_secs: now_secs,
            last_reload_ok: AtomicI64::new(1),
            last_reload_secs: AtomicU64::new(now_secs),
            certificate_expiry_secs: AtomicI64::new(0),
            files_cleared: AtomicU64::new(0),
            expiry: Expiry::default(),
        }
    }

    /// Counts a reply packet.
    pub fn reply(&self, via: Transport, reply: &[u8]) {
        let word = |at: usize| {
            let octets = reply
                .get(at..at + 4)
                .and_then(|octets| octets.try_into().ok());
            octets.map_or(0, i32::from_be_bytes)
        };
        debug_assert!(reply.len() >= ENVELOPE_LEN + HEADER_LEN);
        let (op, code) = (word(ENVELOPE_LEN), word(ENVELOPE_LEN + 4));
        self.came_to(via, OpCode(op), ResponseCode(code));
    }

    /// Counts what came of a request for which no reply packet is made.
    pub fn came_to(&self, via: Transport, op: OpCode, code: ResponseCode) {
        let op = OPS
            .iter()
            .position(|&known| known == op)
            .unwrap_or(OPS.len());
        let code = CODES
            .iter()
            .position(|&known| known == code)
            .unwrap_or(CODES.len());
        self.add((via.slot() * OP_SLOTS + op) * CODE_SLOTS + code, 1);
    }

    /// Counts replies that bring a record.
    pub fn records(&self, via: Transport, replies: usize) {
        const RESOLVE: usize = 0;
        const SUCCESS: usize = 0;
        const { assert!(OPS[RESOLVE].0 == OpCode::RESOLVE.0) };
        const { assert!(CODES[SUCCESS].0 == ResponseCode::SUCCESS.0) };
        let slot = (via.slot() * OP_SLOTS + RESOLVE) * CODE_SLOTS + SUCCESS;
        self.add(slot, replies as u64);
    }

    /// Counts something that got no answer.
    pub fn dropped(&self, why: Drop) {
        let slot = Drop::ALL
            .iter()
            .position(|&known| known == why)
            .unwrap_or(0);
        self.add(DROP_AT + slot, 1);
    }

    /// Whether the next answer of this thread is to be timed.
    pub fn is_sample(&self) -> bool {
        self.is_sample_of(1)
    }

    /// Whether one of so many next answers is to be timed.
    pub fn is_sample_of(&self, answers: u32) -> bool {
        TURN.with(|turn| {
            let before = turn.get();
            let after = before.wrapping_add(answers);
            turn.set(after);
            before / SAMPLE != after / SAMPLE
        })
    }

    /// Counts the time that an answer took.
    pub fn took(&self, via: Transport, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_US.iter().position(|&bound| nanos <= bound * 1_000);
        let at = DURATION_AT + via.slot() * DURATION_SLOTS;
        self.add(at + bucket.unwrap_or(BUCKETS_US.len()), 1);
        self.add(at + BUCKETS_US.len() + 1, nanos);
    }

    /// Counts an HTTP answer.
    pub fn http(&self, status: u16) {
        self.http_all(status, 1);
    }

    /// Counts HTTP answers of one status.
    pub fn http_all(&self, status: u16, count: usize) {
        let class = usize::from(status / 100).clamp(1, HTTP_SLOTS);
        self.add(HTTP_AT + class - 1, count as u64);
    }

    /// Counts an accepted connection.
    pub fn accepted(&self, via: Transport) {
        self.add(ACCEPTED_AT + via.slot(), 1);
    }

    /// Counts a batch of datagrams received.
    pub fn received(&self, datagrams: usize) {
        self.single(Single::Batches, 1);
        self.single(Single::DatagramsReceived, datagrams as u64);
    }

    /// Counts datagrams sent.
    pub fn sent(&self, datagrams: usize) {
        self.single(Single::DatagramsSent, datagrams as u64);
    }

    /// Counts a read of the store that failed.
    pub fn store_failed(&self) {
        self.single(Single::StoreErrors, 1);
    }

    /// Counts an answer from the cache of others' answers.
    pub fn cache_hit(&self) {
        self.cache_hits(1);
    }

    /// Counts several of them.
    pub fn cache_hits(&self, count: usize) {
        if count > 0 {
            self.single(Single::CacheHits, count as u64);
        }
    }

    /// Counts a log line that was left out.
    pub fn line_suppressed(&self) {
        self.single(Single::LinesSuppressed, 1);
    }

    /// Counts a reading of the configuration.
    pub fn reloaded(&self, applied: bool, now_secs: u64) {
        let which = match applied {
            true => Single::ReloadsApplied,
            false => Single::ReloadsRefused,
        };
        self.single(which, 1);
        self.last_reload_ok.store(applied.into(), Relaxed);
        self.last_reload_secs.store(now_secs, Relaxed);
    }

    /// Counts files that were cleared away.
    pub fn files_cleared(&self, uploads: u64) {
        self.files_cleared.fetch_add(uploads, Relaxed);
    }

    /// Remembers when the certificate expires.
    pub fn certificate_expires(&self, secs: i64) {
        self.certificate_expiry_secs.store(secs, Relaxed);
    }

    /// Number of drops for one reason so far.
    pub fn drops(&self, why: Drop) -> u64 {
        let slot = Drop::ALL
            .iter()
            .position(|&known| known == why)
            .unwrap_or(0);
        self.total(DROP_AT + slot)
    }

    /// Native requests answered so far.
    pub fn requests(&self) -> u64 {
        (0..REQUEST_SLOTS).map(|slot| self.total(slot)).sum()
    }

    fn single(&self, which: Single, n: u64) {
        self.add(SINGLE_AT + which as usize, n);
    }

    fn add(&self, slot: usize, n: u64) {
        SHARD.with(|&shard| self.shards[shard].0[slot].fetch_add(n, Relaxed));
    }

    fn total(&self, slot: usize) -> u64 {
        let shards = self.shards.iter();
        shards.map(|shard| shard.0[slot].load(Relaxed)).sum()
    }

    //--- Export

    /// Writes everything in the text form.
    pub fn render(&self, snapshot: &Snapshot) -> String {
        let mut out = String::with_capacity(8 * 1024);
        for family in FAMILIES {
            let Family {
                name, kind, help, ..
            } = family;
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            self.samples(
                &mut Samples {
                    out: &mut out,
                    name,
                },
                snapshot,
            );
        }
        out
    }

    fn samples(&self, s: &mut Samples<'_>, snapshot: &Snapshot) {
        let single = |which: Single| self.total(SINGLE_AT + which as usize);
        match s.name.strip_prefix("guantong_").unwrap_or(s.name) {
            "build_info" => s.with(&[("version", env!("CARGO_PKG_VERSION"))], 1),
            "start_time_seconds" => s.plain(self.start_secs),
            "requests_total" => self.request_samples(s),
            "http_requests_total" => {
                for (n, class) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().enumerate() {
                    s.with(&[("status", class)], self.total(HTTP_AT + n));
                }
            }
            "dropped_total" => {
                for why in Drop::ALL {
                    s.with(&[("reason", why.name())], self.drops(*why));
                }
            }
            "answer_duration_seconds" => self.duration_samples(s),
            "udp_datagrams_received_total" => s.plain(single(Single::DatagramsReceived)),
            "udp_datagrams_sent_total" => s.plain(single(Single::DatagramsSent)),
            "udp_batches_total" => s.plain(single(Single::Batches)),
            "connections_accepted_total" => {
                for via in &Transport::ALL[1..] {
                    s.with(
                        &[("transport", via.name())],
                        self.total(ACCEPTED_AT + via.slot()),
                    );
                }
            }
            "connections_open" => s.plain(snapshot.connections),
            "homed_prefixes" => s.plain(snapshot.homed),
            "store_errors_total" => s.plain(single(Single::StoreErrors)),
            "config_reloads_total" => {
                s.with(&[("result", "applied")], single(Single::ReloadsApplied));
                s.with(&[("result", "refused")], single(Single::ReloadsRefused));
            }
            "config_last_reload_success" => s.plain(self.last_reload_ok.load(Relaxed)),
            "config_last_reload_timestamp_seconds" => {
                s.plain(self.last_reload_secs.load(Relaxed));
            }
            "files_cleared_total" => s.plain(self.files_cleared.load(Relaxed)),
            "tls_certificate_expiry_timestamp_seconds" => {
                s.plain(self.certificate_expiry_secs.load(Relaxed));
            }
            "trust_expiry_timestamp_seconds" => {
                for (of, end) in self.expiry.known() {
                    s.with(&[("of", of)], end);
                }
            }
            "log_lines_suppressed_total" => s.plain(single(Single::LinesSuppressed)),
            "recurse_cache_hits_total" => s.plain(single(Single::CacheHits)),
            mirror if mirror.starts_with("mirror_") => {
                if let Some(snapshot) = &snapshot.mirror {
                    mirror_samples(s, mirror, snapshot);
                }
            }
            name if name.starts_with("recurse_") => {
                if let Some(snapshot) = &snapshot.recurse {
                    recurse::samples(s, name, snapshot);
                }
            }
            store => {
                if let Some(stats) = &snapshot.store {
                    store_samples(s, store, stats);
                }
            }
        }
    }

    fn request_samples(&self, s: &mut Samples<'_>) {
        for slot in 0..REQUEST_SLOTS {
            let count = self.total(slot);
            if count == 0 {
                continue;
            }
            let via = Transport::ALL[slot / (OP_SLOTS * CODE_SLOTS)];
            let op = OPS.get(slot / CODE_SLOTS % OP_SLOTS);
            let code = CODES.get(slot % CODE_SLOTS);
            let op = op.and_then(|op| op.name()).unwrap_or("other");
            let code = code.map_or("other".to_owned(), |code| code.0.to_string());
            s.with(
                &[("transport", via.name()), ("op", op), ("code", &code)],
                count,
            );
        }
    }

    fn duration_samples(&self, s: &mut Samples<'_>) {
        for via in Transport::ALL {
            let at = DURATION_AT + via.slot() * DURATION_SLOTS;
            let mut count = 0;
            for (n, bound) in BUCKETS_US.iter().enumerate() {
                count += self.total(at + n);
                let bound = Seconds(*bound * 1_000).to_string();
                s.suffixed(
                    "_bucket",
                    &[("transport", via.name()), ("le", &bound)],
                    count,
                );
            }
            count += self.total(at + BUCKETS_US.len());
            s.suffixed(
                "_bucket",
                &[("transport", via.name()), ("le", "+Inf")],
                count,
            );
            let sum = Seconds(self.total(at + BUCKETS_US.len() + 1));
            s.suffixed("_sum", &[("transport", via.name())], sum);
            s.suffixed("_count", &[("transport", via.name())], count);
        }
    }
}

fn mirror_samples(s: &mut Samples<'_>, name: &str, snapshot: &MirrorSnapshot) {
    let figures = &snapshot.figures;
    let follows = snapshot.role != Role::Primary;
    match name {
        "mirror_role" => {
            for role in [Role::Primary, Role::Mirror, Role::Fenced] {
                s.with(&[("role", role.name())], u8::from(role == snapshot.role));
            }
        }
        "mirror_epoch" => s.plain(snapshot.epoch),
        "mirror_takes_changes" => s.plain(u8::from(snapshot.takes_changes)),
        "mirror_feeds" => s.plain(snapshot.feeds),
        "mirror_unconfirmed_changes" => s.plain(snapshot.unconfirmed),
        "mirror_lag_changes" if follows => s.plain(figures.lag_changes()),
        "mirror_lag_seconds" if follows => {
            if let Some(lag) = figures.lag() {
                s.plain(Seconds(u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX)));
            }
        }
        "mirror_faults_total" => s.plain(figures.faults),
        _ => {}
    }
}

fn store_samples(s: &mut Samples<'_>, name: &str, stats: &guantong_store::Stats) {
    match name {
        "store_records" => s.plain(stats.records),
        "store_last_change" => s.plain(stats.last_change),
        "store_disk_bytes" => {
            s.with(&[("part", "all")], stats.disk_octets);
            s.with(&[("part", "records")], stats.record_octets);
            s.with(&[("part", "changes")], stats.change_octets);
            s.with(&[("part", "indexes")], stats.index_octets);
        }
        "store_memory_bytes" => {
            s.with(&[("part", "hot")], stats.hot_octets);
            s.with(&[("part", "blocks")], stats.block_cache_octets);
            s.with(&[("part", "memtables")], stats.memtable_octets);
            s.with(&[("part", "queue")], stats.queued_octets);
        }
        "store_hot_records" => s.plain(stats.hot_records),
        "store_queued_changes" => s.plain(stats.queued_changes),
        _ => {}
    }
}

//----------- Writing --------------------------------------------------------

struct Samples<'a> {
    out: &'a mut String,
    name: &'static str,
}

impl Samples<'_> {
    fn plain(&mut self, value: impl fmt::Display) {
        self.suffixed("", &[], value);
    }

    fn with(&mut self, labels: &[(&str, &str)], value: impl fmt::Display) {
        self.suffixed("", labels, value);
    }

    /// Writes one line. Values of labels are words of ours, so nothing needs escaping.
    fn suffixed(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl fmt::Display) {
        let _ = write!(self.out, "{}{suffix}", self.name);
        for (n, (label, text)) in labels.iter().enumerate() {
            let mark = if n == 0 { '{' } else { ',' };
            let _ = write!(self.out, "{mark}{label}=\"{text}\"");
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.out, "{end} {value}");
    }
}

/// Nanoseconds, written in seconds.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests;
