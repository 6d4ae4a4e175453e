//! The shared object behind all listeners: store, site, settings, figures, clock.
//!
//! [`Node::answer`] takes a whole packet and writes the whole reply; every native transport uses
//! it. [`Node::resolve`] is the typed way for HTTP. Both ask `core::authority` what to say and read
//! the store for it; no decision about a record is taken here. Names that live elsewhere go on in
//! [`recurse`](crate::recurse), what needs more than a read in `errand`.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, Guard};
use guantong_core::authority::{self, Answered, Homed, Moment, RecordView, Signer, Site};
use guantong_core::resolve::{Lookup, Question};
use guantong_proto::CaseRule;
use guantong_proto::crypto::{Hash, credential};
use guantong_proto::limits::{ENVELOPE_LEN, HEADER_LEN};
use guantong_proto::message::{Envelope, Header, OpFlags, ResponseCode, begin, finish};
use guantong_proto::wire::{Reader, Writer};
use guantong_store::{OpenError, Options, Store, StoreError, StoredRecord};
use ring::rand::{SecureRandom, SystemRandom};
use tokio_rustls::rustls::ServerConfig;

use crate::config::Config;
use crate::console::Scanner;
use crate::errand::Errands;
use crate::files::Files;
use crate::http::{Claims, RequestIds, V2};
use crate::key::{KeyError, ServerKey};
use crate::limit::{Connections, Meter};
use crate::log::Throttle;
use crate::login::Logins;
use crate::metrics::{Drop as Dropped, Metrics, Snapshot, Transport};
use crate::mirror::Mirroring;
use crate::pace::Pace;
use crate::priority::step_back;
use crate::proof::Prover;
use crate::recurse::Courier;
use crate::site::{Addresses, published};
use crate::trust::RecordSigner;

//----------- Via ------------------------------------------------------------

/// How a packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via {
    /// Over what.
    pub transport: Transport,
    /// From whom.
    pub peer: std::net::SocketAddr,
    /// Whether a page of the console has made it, in the name of whoever looks at the page.
    pub by_console: bool,
}

//----------- Wait -----------------------------------------------------------

/// What the answer to a packet has to wait for.
#[derive(Debug)]
pub enum Wait {
    /// The resolver must be asked; its answer is for `answer_found`.
    Resolver(Question),
    /// The packet is for `run_errand`.
    Errand,
}

/// An answer takes a record that is probably not in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OnDisk;

/// Why a record was not fetched.
#[derive(Debug)]
pub(crate) enum Unread {
    OnDisk,
    Failed(StoreError),
}

/// A packet, and what its answer depends on besides the records.
struct Asked<'a> {
    site: &'a Site,
    now_secs: u32,
    packet: &'a [u8],
    via: Via,
}

//----------- Node -----------------------------------------------------------

/// A node that can answer. Shared by all listeners.
#[derive(Debug)]
pub struct Node {
    /// The records.
    pub store: Store,
    /// Figures about the running node.
    pub metrics: Arc<Metrics>,
    /// Open connections of all stream listeners.
    pub connections: Arc<Connections>,
    /// Requests by address, over TCP and HTTP.
    pub requests: Meter,
    /// Octets sent over UDP, by network.
    pub(crate) udp_octets: Meter,
    /// What the node is to its data, and its traffic with mirrors.
    pub mirroring: Mirroring,
    /// What requests that need more than a read share.
    pub(crate) errands: Errands,
    /// Values of unique fields that are being registered.
    pub(crate) claims: Claims,
    /// Who is logged in.
    pub(crate) logins: Logins,
    /// What `/api/v2` keeps between requests.
    pub(crate) v2: V2,
    /// The numbers by which the log knows requests over HTTP.
    pub(crate) request_ids: RequestIds,
    /// Files that registrations name.
    pub(crate) files: Files,
    config: ArcSwap<Config>,
    site: ArcSwap<Site>,
    remaking: Mutex<()>,
    key: ArcSwap<ServerKey>,
    addresses: ArcSwap<Addresses>,
    signatures: Arc<Meter>,
    random: SystemRandom,
    begun: Instant,
    throttle: Throttle,
    pace: Pace,
    record_signer: Option<Arc<RecordSigner>>,
    courier: OnceLock<Arc<Courier>>,
    /// Certificate and key of HTTP, once the node listens for it.
    pub(crate) tls: OnceLock<Arc<ArcSwap<ServerConfig>>>,
    pub(crate) prover: Prover,
    /// Reads the codes in pictures that the console sends.
    pub(crate) scanner: Scanner,
}

/// What a thread uses again for every answer.
#[derive(Debug, Default)]
pub struct Scratch {
    key: Vec<u8>,
    lookup: Lookup,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Calls `with` with what this thread uses again for every answer; not from within itself.
pub(crate) fn with_scratch<T>(with: impl FnOnce(&mut Scratch) -> T) -> T {
    SCRATCH.with_borrow_mut(with)
}

impl Node {
    /// Opens the store and reads the key. Nothing listens yet.
    pub fn open(config: Config) -> Result<Arc<Self>, StartError> {
        let key = Arc::new(ServerKey::load(&config.site.key)?);
        let random = SystemRandom::new();
        // Shows now rather than in the middle of an answer that there are no random octets.
        random.fill(&mut [0]).map_err(|_| StartError::System {
            what: "random octets",
            source: std::io::ErrorKind::Unsupported.into(),
        })?;
        let store = open_behind(&config)?;
        let addresses = Addresses::configured(&config.listen);
        let mut run = [0; 8];
        random.fill(&mut run).map_err(|_| StartError::System {
            what: "random octets",
            source: std::io::ErrorKind::Unsupported.into(),
        })?;
        let mirroring = Mirroring::open(&config, &store, u64::from_be_bytes(run))?;
        let site = make_site(&config, &mirroring, &key, &addresses, &store, None)?;
        let prover = Prover::new(&config.trust);
        let record_signer = RecordSigner::load(&config.trust)?.map(Arc::new);
        let files = Files::new(config.files.clone());
        let compared = files.compare(store.last_change());
        compared.map_err(|source| StartError::Files {
            path: config.files.folder.clone(),
            source: source.into(),
        })?;
        let node = Self {
            store,
            metrics: Arc::new(Metrics::new(wall_clock_ms() / 1_000)),
            connections: Arc::default(),
            requests: Meter::new(),
            udp_octets: Meter::new(),
            mirroring,
            request_ids: RequestIds::from(u64::from_be_bytes(run)),
            claims: Claims::default(),
            logins: Logins::default(),
            v2: V2::open(&config),
            errands: Errands::new(config.administration.challenge_time.0),
            files,
            config: ArcSwap::from_pointee(config),
            site: ArcSwap::from_pointee(site),
            remaking: Mutex::new(()),
            key: ArcSwap::new(key),
            addresses: ArcSwap::from_pointee(addresses),
            signatures: Arc::default(),
            random,
            begun: Instant::now(),
            throttle: Throttle::new(),
            pace: Pace::default(),
            courier: OnceLock::new(),
            tls: OnceLock::new(),
            prover,
            scanner: Scanner::new(),
            record_signer,
        };
        node.refresh_site()?;
        Ok(Arc::new(node))
    }

    /// What signs records as they are written; `None` if they are not to be signed.
    pub fn record_signer(&self) -> Option<&Arc<RecordSigner>> {
        self.record_signer.as_ref()
    }

    //--- Snapshots

    /// The settings in force.
    pub fn config(&self) -> Guard<Arc<Config>> {
        self.config.load()
    }

    /// The site and what it homes.
    pub fn site(&self) -> Guard<Arc<Site>> {
        self.site.load()
    }

    /// The key of the node.
    pub fn key(&self) -> Guard<Arc<ServerKey>> {
        self.key.load()
    }

    /// Where the node really listens.
    pub fn addresses(&self) -> Guard<Arc<Addresses>> {
        self.addresses.load()
    }

    /// Figures of this moment, for [`Metrics::render`].
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            connections: self.connections.open(),
            homed: self.site().homed().len(),
            mirror: Some(self.mirroring.snapshot(&self.store)),
            store: self.store.stats().ok(),
            recurse: self.courier().map(|courier| courier.snapshot()),
        }
    }

    /// Whether the node can answer: the store reads and takes changes, and a mirror has everything.
    pub fn is_ready(&self) -> bool {
        self.store.get(b"0.SITE/STATUS").is_ok()
            && self.store.writable().is_ok()
            && self.mirroring.is_ready()
    }

    /// What resolves names that live elsewhere, if the node does that.
    pub fn courier(&self) -> Option<&Arc<Courier>> {
        self.courier.get()
    }

    /// Brings the resolver in, once, before anybody is answered.
    pub(crate) fn set_courier(&self, courier: Arc<Courier>) {
        let _ = self.courier.set(courier);
    }

    /// Limits log lines that peers can cause.
    pub fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    //--- Clock and chance

    /// Seconds since 1970.
    pub fn now_secs(&self) -> u32 {
        u32::try_from(self.now_ms() / 1_000).unwrap_or(u32::MAX)
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        wall_clock_ms()
    }

    /// Milliseconds since the node was opened; never goes back.
    pub fn uptime_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Random octets from the system. A system without them is no place for a server.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut octets = [0; N];
        self.fill_random(&mut octets);
        octets
    }

    /// The same, as many as there is room for.
    pub(crate) fn fill_random(&self, octets: &mut [u8]) {
        self.random
            .fill(octets)
            .expect("the system's source of random octets works once it has worked at start");
    }

    //--- Changing

    /// Makes the site snapshot again, after homing or another change of what is published.
    pub fn refresh_site(&self) -> Result<(), StartError> {
        let _alone = self.remaking();
        let (config, key) = (self.config(), self.key.load_full());
        let site = self.make_site(&config, &key)?;
        self.site.store(Arc::new(site));
        Ok(())
    }

    /// Held while a snapshot is made and put in force. Of two changes at a time, the later one must
    /// not be undone by a snapshot that was begun before it.
    fn remaking(&self) -> MutexGuard<'_, ()> {
        self.remaking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make_site(&self, config: &Config, key: &Arc<ServerKey>) -> Result<Site, StartError> {
        let signer = self.signer(config, key.clone());
        make_site(
            config,
            &self.mirroring,
            key,
            &self.addresses(),
            &self.store,
            Some(signer),
        )
    }

    /// Signs replies with the node's key, within its limit: a request for a signature is a few
    /// octets with any source on it, the signature half a millisecond of a core.
    fn signer(&self, config: &Config, key: Arc<ServerKey>) -> Signer {
        let per_second = u64::from(config.limits.signatures_per_second);
        let (meter, metrics) = (self.signatures.clone(), self.metrics.clone());
        let (random, begun) = (self.random.clone(), self.begun);
        Signer::new(move |message| {
            let now_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            // Everybody's signatures are one account.
            let source = 0;
            if per_second == 0 || !meter.spend(source, 1, per_second, now_ms) {
                metrics.dropped(Dropped::SignatureRate);
                return None;
            }
            let signed = credential::sign(message, 0, key.signing(), &random);
            let failed = |error: &_| tracing::error!(%error, "an answer could not be signed");
            signed.inspect_err(failed).ok()
        })
    }

    /// Signs octets with the node's key, within the limit of all its signatures.
    pub(crate) fn sign(&self, hash: Hash, octets: &[u8]) -> Option<Vec<u8>> {
        let per_second = u64::from(self.config().limits.signatures_per_second);
        if per_second == 0 || !self.signatures.spend(0, 1, per_second, self.uptime_ms()) {
            self.metrics.dropped(Dropped::SignatureRate);
            return None;
        }
        self.key().signing().sign(hash, octets, &self.random).ok()
    }

    /// Notes where the node really listens, and publishes it.
    pub(crate) fn listening_on(&self, addresses: Addresses) -> Result<(), StartError> {
        self.addresses.store(Arc::new(addresses));
        self.refresh_site()
    }

    /// Puts new settings in force, all or none of them.
    pub(crate) fn reconfigure(&self, config: Config, key: ServerKey) -> Result<(), StartError> {
        let key = Arc::new(key);
        let _alone = self.remaking();
        let site = self.make_site(&config, &key)?;
        self.key.store(key);
        let challenge_ms = config.administration.challenge_time.0;
        self.errands.set_challenge_time(challenge_ms);
        self.config.store(Arc::new(config));
        self.site.store(Arc::new(site));
        Ok(())
    }

    //--- Answering

    /// Answers one whole packet. The whole reply is appended to `out`; nothing is appended if the
    /// packet deserves no reply, or if something must be waited for first, which is then returned.
    #[must_use]
    pub fn answer(&self, packet: &[u8], via: Via, out: &mut Vec<u8>) -> Option<Wait> {
        with_scratch(|scratch| {
            self.answer_at(&self.site(), self.now_secs(), packet, via, scratch, out)
        })
    }

    /// [`Node::answer`] for listeners that answer many packets at one moment.
    pub(crate) fn answer_at(
        &self,
        site: &Site,
        now_secs: u32,
        packet: &[u8],
        via: Via,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Option<Wait> {
        let asked = Asked {
            site,
            now_secs,
            packet,
            via,
        };
        let read = |key: &[u8]| self.read(key).map_err(Unread::Failed);
        // Nothing is left on the disk by whoever reads it.
        self.answer_with(&asked, scratch, out, read).unwrap_or(None)
    }

    /// [`Node::answer_at`] for a thread that others wait for, which is not to wait for the disk. If
    /// it would have to, nothing is appended: [`Node::answer`] is for a thread that may.
    pub(crate) fn answer_at_hand(
        &self,
        site: &Site,
        now_secs: u32,
        packet: &[u8],
        via: Via,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Option<Wait>, OnDisk> {
        let asked = Asked {
            site,
            now_secs,
            packet,
            via,
        };
        self.answer_with(&asked, scratch, out, |key| self.at_hand(key))
    }

    /// A record, unless the disk would probably have to be waited for.
    pub(crate) fn at_hand(&self, key: &[u8]) -> Result<Option<StoredRecord>, Unread> {
        match self.store.cached(key) {
            Some(record) => Ok(Some(record)),
            None if self.is_written() || self.expects_disk() => Err(Unread::OnDisk),
            None => self.read_cold(key).map_err(Unread::Failed),
        }
    }

    /// Whether so much is written that reads of what is not hot may wait for that.
    fn is_written(&self) -> bool {
        let last_change = self.store.last_change();
        self.pace.is_written(self.uptime_ms(), last_change)
    }

    /// Whether reads of what is not hot probably wait for the disk.
    pub(crate) fn expects_disk(&self) -> bool {
        self.pace.expects_disk()
    }

    /// Makes reads look as after one that took long.
    #[cfg(test)]
    pub(crate) fn expect_disk(&self) {
        let slow = std::time::Duration::from_millis(5);
        self.pace.time(|| std::thread::sleep(slow));
    }

    /// A record, from wherever it is.
    pub(crate) fn read(&self, key: &[u8]) -> Result<Option<StoredRecord>, StoreError> {
        match self.store.cached(key) {
            Some(record) => Ok(Some(record)),
            None => self.read_cold(key),
        }
    }

    /// A record that is not hot.
    fn read_cold(&self, key: &[u8]) -> Result<Option<StoredRecord>, StoreError> {
        self.pace.time(|| self.store.fetch(key))
    }

    fn answer_with(
        &self,
        asked: &Asked<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
        mut read: impl FnMut(&[u8]) -> Result<Option<StoredRecord>, Unread>,
    ) -> Result<Option<Wait>, OnDisk> {
        let begun = self.metrics.is_sample().then(Instant::now);
        let (start, via) = (out.len(), asked.via);
        let mut moment = Moment {
            now_secs: asked.now_secs,
            challenge: &mut |demand| self.challenge(demand, via),
            recursion: self.recursion_for(via.peer.ip()),
        };
        let Scratch { key, lookup } = scratch;
        let mut wait = None;
        let (site, packet) = (asked.site, asked.packet);
        // A panic would be a mistake of ours. It must cost this answer, not the thread that
        // thousands of others are answered by.
        let answered = catch_unwind(AssertUnwindSafe(|| {
            match authority::answer(site, packet, &mut moment, key, out, &mut read, view)? {
                Answered::Done => {}
                Answered::Elsewhere(elsewhere) => {
                    let question = self.answer_elsewhere(elsewhere, lookup, &moment, out);
                    wait = question.map(Wait::Resolver);
                }
                Answered::HandOver => wait = Some(Wait::Errand),
            }
            Ok(())
        }));
        if wait.is_some() {
            return Ok(wait);
        }
        let answered = match answered {
            Ok(Err(Unread::OnDisk)) => {
                // What says that the record could not be read.
                out.truncate(start);
                return Err(OnDisk);
            }
            Ok(Err(Unread::Failed(error))) => Ok(Err(error)),
            Ok(Ok(())) => Ok(Ok(())),
            Err(panic) => Err(panic),
        };
        self.note_answer(via, start, answered, out);
        if let Some(begun) = begun {
            self.metrics.took(via.transport, begun.elapsed());
        }
        Ok(None)
    }

    /// Counts the answer that begins at `start` of `out`; takes it back if making it panicked.
    pub(crate) fn note_answer(
        &self,
        via: Via,
        start: usize,
        answered: std::thread::Result<Result<(), StoreError>>,
        out: &mut Vec<u8>,
    ) {
        match answered {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.on_store_error(&error),
            Err(_) => {
                out.truncate(start);
                tracing::error!(peer = %via.peer, "a packet made the node panic; please report it");
            }
        }
        if out.len() >= start + ENVELOPE_LEN + HEADER_LEN {
            self.metrics.reply(via.transport, &out[start..]);
        } else {
            self.metrics.dropped(Dropped::NoReply);
        }
    }

    pub(crate) fn on_store_error(&self, error: &StoreError) {
        self.metrics.store_failed();
        if self.throttle.allows(&self.metrics, self.uptime_ms()) {
            tracing::error!(%error, "the store failed to read");
        }
    }
}

pub(crate) fn view(record: &StoredRecord) -> RecordView<'_> {
    RecordView {
        handle: record.handle().as_str(),
        values: record.values_wire(),
        all_public: record.all_public(),
    }
}

/// Milliseconds since 1970.
pub fn wall_clock_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

//----------- Refusal --------------------------------------------------------

/// Turns the reply packet that begins at `start` of `reply` into an error of the same request.
///
/// Used where a transport cannot carry the answer. Envelope and header stay as `core` wrote them,
/// except for what would promise a digest or a signature that is not there.
pub(crate) fn replace_by_error(reply: &mut Vec<u8>, start: usize, code: ResponseCode, text: &str) {
    let mut r = Reader::new(&reply[start..]);
    let (Ok(envelope), Ok(header)) = (Envelope::decode(&mut r), Header::decode(&mut r)) else {
        return reply.truncate(start);
    };
    let header = Header {
        code,
        flags: header
            .flags
            .without(OpFlags::RETURN_DIGEST)
            .without(OpFlags::CERTIFIED),
        ..header
    };
    reply.truncate(start);
    let at = begin(reply, &envelope, &header);
    if envelope.version.at_least(2, 1) {
        Writer::new(reply).bytes(text.as_bytes());
    }
    finish(reply, at, Some(&[]));
}

//----------- Opening --------------------------------------------------------

/// Opens the store that the configuration names.
pub fn open_store(config: &Config) -> Result<Store, StartError> {
    let options = Options {
        memory_bytes: config.store.memory.0,
        ..Options::default()
    };
    let store = Store::open(&config.data, &options)?;
    if store.case_rule() != config.case_rule {
        return Err(StartError::CaseRule {
            dir: config.data.clone(),
            sensitive: store.case_rule() == CaseRule::Sensitive,
        });
    }
    Ok(store)
}

/// Opens the store so that its threads, which write and tidy up, let those that answer go first.
fn open_behind(config: &Config) -> Result<Store, StartError> {
    std::thread::scope(|scope| {
        let opener = std::thread::Builder::new().name("store-open".to_owned());
        let opener = opener.spawn_scoped(scope, || {
            step_back();
            open_store(config)
        });
        let opener = opener.map_err(|source| StartError::System {
            what: "a thread that opens the store",
            source,
        })?;
        opener.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn make_site(
    config: &Config,
    mirroring: &Mirroring,
    key: &Arc<ServerKey>,
    addresses: &Addresses,
    store: &Store,
    signer: Option<Signer>,
) -> Result<Site, StartError> {
    let mut record = published(&config.site, key, addresses)?;
    mirroring.put_right(&mut record);
    let record = record.encode();
    let homed = Homed::new(&store.homed());
    let site = Site::new(record, config.site.server_id, config.case_rule, homed)?;
    Ok(match signer {
        Some(signer) => site.with_signer(signer),
        None => site,
    })
}

//----------- StartError -----------------------------------------------------

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Store and configuration disagree about case.
    #[error(
        "the store at {} was made with node.case_sensitive = {sensitive}, which cannot be changed; write that into the configuration",
        dir.display()
    )]
    CaseRule {
        /// The store.
        dir: PathBuf,
        /// How it was made.
        sensitive: bool,
    },
    /// The site record that several servers share cannot be used.
    #[error(transparent)]
    SharedSite(#[from] crate::site::SharedSiteError),
    /// The site record is refused.
    #[error(transparent)]
    Site(#[from] authority::SiteError),
    /// An address cannot be listened on.
    #[error(
        "{what}: {address} cannot be used: {source}; stop the program that has it, or choose another port"
    )]
    Listen {
        /// The setting.
        what: &'static str,
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// What is saved of replication cannot be read.
    #[error(transparent)]
    Replication(crate::mirror::ReadError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] crate::listen::tls::TlsError),
    /// A file of the node cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder of files cannot be used.
    #[error("the files in {} cannot be used: {source}", path.display())]
    Files {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There is no root to begin resolution at.
    #[error(transparent)]
    Roots(#[from] crate::recurse::RootsError),
    /// The root keys that are to be believed cannot be had.
    #[error(transparent)]
    RootKeys(#[from] crate::trust::RootKeysError),
    /// The system refused a thread or another resource.
    #[error("the system refused {what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        source: std::io::Error,
    },
    /// The control socket cannot be opened.
    #[error(transparent)]
    Control(#[from] crate::control::BindError),
    /// A change of the node itself failed.
    #[error("the prefix record could not be updated: {0}")]
    Write(#[from] guantong_store::WriteError),
    /// Reading the store failed.
    #[error(transparent)]
    Read(#[from] StoreError),
}

impl StartError {
    /// Whether another process has the store open.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Store(OpenError::Locked { .. }))
    }
}

#[cfg(test)]
mod tests;
