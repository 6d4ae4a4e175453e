//! Driving errands: requests that need an identity, several records, or a write.
//!
//! What an errand needs and what comes of it is decided in `core::admin`. Here are the tables that
//! outlive a packet (challenges, wrong answers), the fetching, and the bound on how many errands
//! are under way.

mod change;
mod order;
mod together;

use std::collections::HashMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use guantong_core::admin::authenticate::{Attempts, Challenges, Pending, Proven, Subject};
use guantong_core::admin::session::{Rejected, SESSION_BIT, Session, Sessions, SharedSession};
use guantong_core::admin::web::WebSessions;
use guantong_core::admin::{
    Challenge, Chance, Confirm, Effect, Errand, Expected, Follow, Ground, Kept, LIST_PAGE_LEN,
    Listed, Listing, Next, Order, Place, Presented, Refusal, StoredRecord, Stream, Tables, Wanted,
    Write, Written, places,
};
use guantong_core::authority::{Demand, Moment, Recursion};
use guantong_proto::Handle;
use guantong_proto::limits::NONCE_LEN;
use guantong_proto::message::ResponseCode;
use guantong_store::{PageToken, Scope, StoreError};
use tokio::sync::{Semaphore, oneshot};

pub(crate) use self::change::{Begun, Change, Course, Unfinished};
pub(crate) use self::order::source_of;
use self::order::{batch_of, written_of};
pub(crate) use self::together::{HELD_OCTETS_MAX, TooMuch};
use crate::http::Answers;
use crate::limit::{Meter, host_of};
use crate::log::Alarm;
use crate::metrics::Drop as Dropped;
use crate::node::{Node, Via, replace_by_error};

/// Most errands under way at a time. Each may hold 4 MiB of records and waits for others, so more
/// of them would be memory without speed.
pub const ERRANDS_MAX: usize = 256;
/// Tables of challenges; the id chooses one, so that threads seldom wait for each other.
const TABLES: usize = 8;
/// Logins that one connection may have; clients have one.
const LOGINS_MAX: usize = 16;
/// Sessions that one address may begin in a second.
const SETUPS_PER_SECOND: u64 = 20;
/// Stands where a challenge is not kept, because its answer could not come.
const NOBODYS_CHALLENGE: Challenge = Challenge {
    session_id: 0,
    nonce: [0; NONCE_LEN],
};
const NO_CHALLENGE: &str = "neither a page nor an error asks who somebody is";
const NO_FEED: &str = "what is replicated is a stream: ask over TCP";
const NO_SOURCE: &str = "other servers answer for it, and this node does not ask them";

//----------- KeySource ------------------------------------------------------

/// Finds records that other servers answer for: keys, groups, prefix records.
///
/// What it returns is believed. It must therefore have come from a server that may be believed.
pub trait KeySource: Send + Sync {
    /// The record of `handle`, `None` if there is none, or why it could not be had.
    fn record(&self, handle: Handle) -> FoundRecord;

    /// Whether an answer by a secret key is right, as the server of the key says (6.5).
    fn confirm(&self, confirm: Confirm) -> Confirmed;
}

/// What a server says of an answer by a secret key that it has, or why it could not be asked.
pub type Confirmed = Pin<Box<dyn Future<Output = Result<bool, String>> + Send>>;

/// A record that is being looked for.
pub type FoundRecord = Pin<Box<dyn Future<Output = Result<Option<StoredRecord>, String>> + Send>>;

//----------- Errands --------------------------------------------------------

/// What errands share.
pub(crate) struct Errands {
    challenges: [Mutex<Challenges>; TABLES],
    sessions: [Mutex<Sessions>; TABLES],
    pub(crate) web: Mutex<WebSessions>,
    /// Answers to changes over HTTP that may be asked for again.
    pub(crate) answers: Mutex<Answers>,
    setups: Meter,
    challenge_flood: Alarm,
    session_flood: Alarm,
    attempts: Mutex<Attempts>,
    source: OnceLock<Box<dyn KeySource>>,
    places: Arc<Semaphore>,
}

impl Errands {
    pub(crate) fn new(challenge_ms: u64) -> Self {
        Self {
            challenges: std::array::from_fn(|_| Mutex::new(Challenges::new(challenge_ms))),
            sessions: std::array::from_fn(|_| Mutex::default()),
            web: Mutex::default(),
            answers: Mutex::default(),
            setups: Meter::new(),
            challenge_flood: Alarm::default(),
            session_flood: Alarm::default(),
            attempts: Mutex::default(),
            source: OnceLock::new(),
            places: Arc::new(Semaphore::new(ERRANDS_MAX)),
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

    fn sessions(&self, id: i32) -> MutexGuard<'_, Sessions> {
        let at = id.unsigned_abs() as usize % TABLES;
        locked(&self.sessions[at])
    }

    /// Whether another errand would have to wait.
    pub(crate) fn is_full(&self) -> bool {
        self.places.available_permits() == 0
    }

    /// Whether too many proofs of one of them were wrong.
    pub(crate) fn is_blocked(&self, subjects: &[Subject], now_ms: u64) -> bool {
        let attempts = locked(&self.attempts);
        subjects
            .iter()
            .any(|subject| attempts.is_blocked(subject, now_ms))
    }

    /// Counts a wrong proof.
    pub(crate) fn failed(&self, subjects: Vec<Subject>, now_ms: u64) {
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
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//----------- Rest -----------------------------------------------------------

/// How far an errand comes without waiting.
enum AtHand {
    /// This is to be written.
    Order(Order),
    /// It has come to its end.
    End(Rest),
    /// This record is elsewhere.
    Fetch(Wanted),
    /// Another server is to be asked.
    Confirm(Confirm),
}

/// What is left to be done when an errand has come to its end.
#[derive(Debug)]
#[must_use]
pub enum Rest {
    /// Nothing: the reply is there.
    None,
    /// Nothing: the reply is there, and goes to somebody who has proven who he is.
    Proven,
    /// A list is to be sent.
    List(Listing),
    /// A stream is to be sent.
    Stream(Stream),
}

/// How far a list has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListedSoFar {
    /// Homed prefixes listed.
    count: usize,
    /// Where the next page of a prefix begins.
    token: Option<PageToken>,
}

//----------- Logins ---------------------------------------------------------

/// The logins of one connection, under ids that the client has chosen (9.3).
#[derive(Debug, Default)]
pub(crate) struct Logins(Mutex<HashMap<i32, SharedSession>>);

/// The tables as one request sees them.
struct TablesOf<'a> {
    node: &'a Node,
    via: Via,
    logins: Option<&'a Logins>,
    /// Whether challenges are kept. Over HTTP nobody can answer one.
    challenges: Challenged,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Challenged {
    Kept,
    Not,
}

/// A request over HTTP, in the form of the native one that means the same.
pub(crate) struct Task {
    /// The native request, as we have written it.
    pub(crate) packet: Vec<u8>,
    /// How its sender says who he is.
    pub(crate) presented: Option<Presented>,
    /// What the record must be for the change to happen.
    pub(crate) condition: Option<Expected>,
    /// Whether nothing is to be written.
    pub(crate) is_rehearsal: bool,
}

/// What came of a request over HTTP.
#[derive(Debug)]
pub(crate) struct Carried {
    /// The reply as a native message; none if something else is to be sent.
    pub(crate) reply: Vec<u8>,
    /// What else is to be sent.
    pub(crate) rest: Rest,
    /// Who has proven who he is.
    pub(crate) proven: Option<Proven>,
    /// What the change did to the record, or would have done.
    pub(crate) effect: Option<Effect>,
    /// Whether values were asked for and left out, since he may not read them.
    pub(crate) withheld: bool,
}

impl Carried {
    fn of(errand: &Errand, reply: Vec<u8>, rest: Rest) -> Self {
        Self {
            reply,
            rest,
            proven: errand.proven().cloned(),
            effect: errand.effect(),
            withheld: errand.withholds(),
        }
    }
}

impl<'a> TablesOf<'a> {
    /// Those of a request over HTTP: it has neither logins nor challenges.
    fn over_http(node: &'a Node, via: Via) -> Self {
        Self {
            node,
            via,
            logins: None,
            challenges: Challenged::Not,
        }
    }
}

impl Tables for TablesOf<'_> {
    fn take_challenge(&self, id: i32) -> Option<Pending> {
        let now_ms = self.node.uptime_ms();
        let source = host_of(self.via.peer.ip());
        self.node.errands.table(id).take(id, source, now_ms)
    }

    fn session(&self, id: i32) -> Option<SharedSession> {
        if id & SESSION_BIT != 0 {
            let now_ms = self.node.uptime_ms();
            return self.node.errands.sessions(id).find(id, now_ms);
        }
        locked(&self.logins?.0).get(&id).cloned()
    }

    fn open(&self, session: Session) -> Result<i32, Rejected> {
        let (source, now_ms) = (host_of(self.via.peer.ip()), self.node.uptime_ms());
        loop {
            let id = i32::from_be_bytes(self.node.random()) & i32::MAX | SESSION_BIT;
            let mut sessions = self.node.errands.sessions(id);
            if sessions.is_free(id) {
                let opened = sessions.open(id, session, source, now_ms);
                drop(sessions);
                if !matches!(opened, Ok(0)) {
                    self.node.note_session_flood(self.via);
                }
                return opened.map(|_| id);
            }
        }
    }

    fn bind(&self, id: i32, login: Session) -> Result<SharedSession, Rejected> {
        let logins = self.logins.ok_or(Rejected::NoConnection)?;
        let mut logins = locked(&logins.0);
        if logins.len() >= LOGINS_MAX && !logins.contains_key(&id) {
            return Err(Rejected::Full);
        }
        let login = Arc::new(Mutex::new(login));
        logins.insert(id, login.clone());
        Ok(login)
    }

    fn end(&self, id: i32) {
        self.node.errands.sessions(id).end(id);
    }
}

fn errand_of(task: Task, chance: Chance) -> Errand {
    let request = Kept::new(&task.packet).expect("the packet was written by us");
    let errand = Errand::of(request, chance, task.presented);
    let errand = errand.on_condition(task.condition);
    match task.is_rehearsal {
        true => errand.rehearsal(),
        false => errand,
    }
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
            // The other half of the numbers names sessions.
            let session_id = i32::from_be_bytes([a & 0x3f, b, c, d]);
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
                if self.errands.challenge_flood.rings(now_ms) {
                    tracing::warn!(
                        peer = %via.peer,
                        "more challenges are open than the node keeps; the oldest are forgotten. \
                         This is said once while it lasts; guantong_dropped_total counts them"
                    );
                }
            }
            return challenge;
        }
    }

    /// Carries out a packet that [`Node::answer`] has handed over. The reply is appended to `out`,
    /// unless it is more than that.
    pub(crate) async fn run_errand(
        &self,
        packet: &[u8],
        via: Via,
        logins: Option<&Logins>,
        out: &mut Vec<u8>,
    ) -> Rest {
        // The semaphore is never closed; if it were, there would be one bound less.
        let _place = self.errands.places.acquire().await;
        let tables = TablesOf {
            node: self,
            via,
            logins,
            challenges: Challenged::Kept,
        };
        let Some(mut errand) = self.open_errand(packet, &tables, out) else {
            return Rest::None;
        };
        if errand.is_session_setup() && !self.admits_session(via) {
            self.note_session_flood(via);
            errand.refuse_session();
        }
        self.run(&mut errand, &tables, out).await
    }

    /// Takes up a packet; `None` if it cannot be, and what is said to that is appended to `out`.
    fn open_errand(
        &self,
        packet: &[u8],
        tables: &TablesOf<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Errand> {
        let start = out.len();
        let opened = Errand::new(packet, self.chance(), tables);
        let refused = |refusal| {
            self.refuse(&refusal, out);
            if out.len() > start {
                self.metrics.reply(tables.via.transport, &out[start..]);
            }
        };
        opened.map_err(refused).ok()
    }

    /// Carries out a request that came over HTTP, by somebody who says so who he is.
    pub(crate) async fn carry_out(&self, task: Task, via: Via) -> Carried {
        let tables = TablesOf::over_http(self, via);
        // Never closed, as above.
        let _place = self.errands.places.acquire().await;
        let mut errand = errand_of(task, self.chance());
        let mut reply = Vec::new();
        let rest = self.run(&mut errand, &tables, &mut reply).await;
        Carried::of(&errand, reply, rest)
    }

    async fn run(&self, errand: &mut Errand, tables: &TablesOf<'_>, out: &mut Vec<u8>) -> Rest {
        let (start, via) = (out.len(), tables.via);
        let subjects = self.take_up(errand, via);
        self.foresee(errand);
        let rest = self.drive(errand, tables, out).await;
        self.conclude(errand, subjects, via, out.get(start..).unwrap_or_default());
        rest
    }

    /// Whose wrong proof it would be. If there were too many of them, the proof is not looked at.
    fn take_up(&self, errand: &mut Errand, via: Via) -> Vec<Subject> {
        let subjects = self.subjects(errand, via);
        if self.errands.is_blocked(&subjects, self.uptime_ms()) {
            errand.refuse_proof();
        }
        subjects
    }

    /// Counts what an errand has come to; `reply` may be empty.
    fn conclude(&self, errand: &Errand, subjects: Vec<Subject>, via: Via, reply: &[u8]) {
        if errand.is_wrong_proof() {
            self.errands.failed(subjects, self.uptime_ms());
            if self.throttle().allows(&self.metrics, self.uptime_ms()) {
                tracing::warn!(peer = %via.peer, "a proof of identity was wrong");
            }
        }
        if !reply.is_empty() {
            self.metrics.reply(via.transport, reply);
        }
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

    /// Whether this peer may begin another session: a key exchange costs some milliseconds.
    fn admits_session(&self, via: Via) -> bool {
        let source = host_of(via.peer.ip());
        let now_ms = self.uptime_ms();
        self.config().limits.trusts(via.peer.ip())
            || self
                .errands
                .setups
                .spend(source, 1, SETUPS_PER_SECOND, now_ms)
    }

    fn note_session_flood(&self, via: Via) {
        self.metrics.dropped(Dropped::Session);
        if self.errands.session_flood.rings(self.uptime_ms()) {
            tracing::warn!(
                peer = %via.peer,
                "more sessions are begun than the node keeps, or than one address may begin. \
                 This is said once while it lasts; guantong_dropped_total counts them"
            );
        }
    }

    fn chance(&self) -> Chance {
        Chance::of(self.random())
    }

    fn refuse(&self, refusal: &Refusal, out: &mut Vec<u8>) {
        let mut no_challenge = |_: Demand<'_>| unreachable!("{NO_CHALLENGE}");
        let moment = Moment {
            now_secs: self.now_secs(),
            challenge: &mut no_challenge,
            recursion: Recursion::Denied,
        };
        refusal.reply(&self.site(), &moment, out);
    }

    async fn drive(&self, errand: &mut Errand, tables: &TablesOf<'_>, out: &mut Vec<u8>) -> Rest {
        let next = self.decide(errand, tables, out);
        self.drive_from(next, errand, tables, out).await
    }

    async fn drive_from(
        &self,
        mut next: AtHand,
        errand: &mut Errand,
        tables: &TablesOf<'_>,
        out: &mut Vec<u8>,
    ) -> Rest {
        loop {
            match next {
                AtHand::End(rest) => return rest,
                AtHand::Order(order) => {
                    let written = self.write(order, tables.via).await;
                    self.go_on(errand, written);
                }
                AtHand::Fetch(wanted) => self.look_for(errand, &wanted).await,
                AtHand::Confirm(confirm) => self.confirm(errand, confirm).await,
            }
            next = self.decide(errand, tables, out);
        }
    }

    /// Tells an errand what became of its order. If that has to be decided again, what it will want
    /// is shown to it as before the first time.
    fn go_on(&self, errand: &mut Errand, written: Written) {
        errand.written(written);
        self.foresee(errand);
    }

    async fn look_for(&self, errand: &mut Errand, wanted: &Wanted) {
        match self.fetch(wanted).await {
            Ok(record) => errand.learn(&self.site(), wanted, record),
            Err(reason) => errand.fail(&self.site(), wanted, reason),
        }
    }

    async fn confirm(&self, errand: &mut Errand, confirm: Confirm) {
        let said = match self.errands.source.get() {
            Some(source) => source.confirm(confirm).await,
            None => Err(NO_SOURCE.to_owned()),
        };
        errand.confirmed(said);
    }

    /// Goes on until something is to be written, or nothing is left to do, or something has to be
    /// waited for. Records of our own store are read on this thread.
    fn decide(&self, errand: &mut Errand, tables: &TablesOf<'_>, out: &mut Vec<u8>) -> AtHand {
        let start = out.len();
        loop {
            let rest = match self.step(errand, tables, out) {
                Some(Next::Fetch(wanted)) if wanted.place == Place::Here => {
                    match self.fetch_here(&wanted.handle) {
                        Ok(record) => errand.learn(&self.site(), &wanted, record),
                        Err(reason) => errand.fail(&self.site(), &wanted, reason),
                    }
                    continue;
                }
                Some(Next::Fetch(wanted)) => return AtHand::Fetch(wanted),
                Some(Next::Confirm(confirm)) => return AtHand::Confirm(confirm),
                Some(Next::Write(order)) => return AtHand::Order(order),
                Some(Next::List(listing)) => Rest::List(listing),
                Some(Next::Stream(stream)) => Rest::Stream(stream),
                Some(Next::Done) if errand.is_proven() => Rest::Proven,
                Some(Next::Done) => Rest::None,
                None => {
                    out.truncate(start);
                    Rest::None
                }
            };
            return AtHand::End(rest);
        }
    }

    /// Shows the errand what it will probably want, so that it has fewer steps. What cannot be read
    /// now is asked for by a step again, and told there.
    fn foresee(&self, errand: &mut Errand) {
        let site = self.site();
        for wanted in errand.foreseen(&site) {
            if let Ok(record) = self.fetch_here(&wanted.handle) {
                errand.learn(&site, &wanted, record);
            }
        }
    }

    /// One step; `None` if it panicked, which is a mistake of ours that costs this errand only.
    fn step(&self, errand: &mut Errand, tables: &TablesOf<'_>, out: &mut Vec<u8>) -> Option<Next> {
        let via = tables.via;
        let (site, config) = (self.site(), self.config());
        let ground = Ground {
            site: &site,
            rules: &config.administration.rules,
            now_secs: self.now_secs(),
            tables,
        };
        let mut moment = Moment {
            now_secs: self.now_secs(),
            challenge: &mut |demand| match tables.challenges {
                Challenged::Kept => self.challenge(demand, via),
                Challenged::Not => NOBODYS_CHALLENGE,
            },
            recursion: Recursion::Denied,
        };
        let step = catch_unwind(AssertUnwindSafe(|| errand.step(&ground, &mut moment, out)));
        let panicked = |_| {
            let peer = via.peer;
            tracing::error!(%peer, "a request made the node panic; please report it");
        };
        step.map_err(panicked).ok()
    }

    /// Has an order written; returns when it is on the medium, or why it is not.
    async fn write(&self, order: Order, via: Via) -> Written {
        self.write_all(vec![order], via).await
    }

    /// Has orders of one sender written, all of them or none.
    async fn write_all(&self, mut orders: Vec<Order>, via: Via) -> Written {
        if let Some(signer) = self.record_signer() {
            for order in &mut orders {
                if let Write::Put { handle, values, .. } = &mut order.write {
                    *values = signer.sign(handle, std::mem::take(values), self.now_secs());
                }
            }
        }
        let mut writes = orders.iter().map(|order| &order.write);
        let is_homing = writes.any(|w| matches!(w, Write::Home { .. } | Write::Unhome { .. }));
        let (tell, told) = oneshot::channel();
        let (batch, rights) = batch_of(orders, via, self.now_ms());
        let ticket = self.store.try_submit_by(batch, rights);
        ticket.on_done(move |outcome| {
            // An error means that the connection is gone and nobody wants to know.
            let _ = tell.send(outcome);
        });
        let written = match told.await {
            Ok(outcome) => written_of(outcome.map(drop)),
            // The writer is gone.
            Err(_) => Written::Failed,
        };
        if is_homing
            && matches!(written, Written::Done | Written::Unconfirmed(_))
            && let Err(error) = self.refresh_site()
        {
            tracing::error!(%error, "the change of homed prefixes could not be put in force");
        }
        written
    }

    //--- Lists

    /// Appends the next messages of a list, up to `octets` of them, and says where to go on.
    pub(crate) fn write_pages(
        &self,
        listing: &Listing,
        after: ListedSoFar,
        octets: usize,
        out: &mut Vec<u8>,
    ) -> Option<ListedSoFar> {
        let (start, site) = (out.len(), self.site());
        let mut no_challenge = |_: Demand<'_>| unreachable!("{NO_CHALLENGE}");
        let moment = Moment {
            now_secs: self.now_secs(),
            challenge: &mut no_challenge,
            recursion: Recursion::Denied,
        };
        let mut after = after;
        loop {
            let (handles, next) = match self.page(listing, &after) {
                Ok(page) => page,
                Err(error) => {
                    self.on_store_error(&error);
                    let text = "the list could not be read; the node's log says why";
                    listing.fail(&site, ResponseCode::ERROR, text, &moment, out);
                    return None;
                }
            };
            let follow = match next {
                Some(_) => Follow::More,
                None => Follow::End,
            };
            listing.page(&site, &handles, follow, &moment, out);
            after = next?;
            if out.len() - start >= octets {
                return Some(after);
            }
        }
    }

    /// Appends a whole list, or, if it has more than `octets_max`, an error that says how to have
    /// it.
    pub(crate) fn write_list(&self, listing: &Listing, octets_max: usize, out: &mut Vec<u8>) {
        let start = out.len();
        let rest = self.write_pages(listing, ListedSoFar::default(), octets_max, out);
        if rest.is_some() {
            let text = "the list is too long for this transport; ask over TCP";
            replace_by_error(out, start, ResponseCode::ERROR, text);
        }
    }

    fn page(
        &self,
        listing: &Listing,
        after: &ListedSoFar,
    ) -> Result<(Vec<Handle>, Option<ListedSoFar>), StoreError> {
        match listing.listed() {
            Listed::Homed => {
                let homed = self.store.homed();
                let done = after.count;
                let page: Vec<_> = homed
                    .iter()
                    .skip(done)
                    .take(LIST_PAGE_LEN)
                    .cloned()
                    .collect();
                let count = done + page.len();
                let next = (count < homed.len()).then_some(ListedSoFar { count, token: None });
                Ok((page, next))
            }
            Listed::Prefix(prefix) => {
                // `core` has checked that it is a prefix.
                let scope = Scope::of_prefix(prefix.as_str()).unwrap_or_default();
                let page = self
                    .store
                    .list(&scope, after.token.as_ref(), LIST_PAGE_LEN)?;
                let next = page.next.map(|token| ListedSoFar {
                    count: 0,
                    token: Some(token),
                });
                Ok((page.handles, next))
            }
        }
    }

    /// Refuses a stream where none can be sent.
    pub(crate) fn refuse_stream(&self, stream: &Stream, out: &mut Vec<u8>) {
        let mut no_challenge = |_: Demand<'_>| unreachable!("{NO_CHALLENGE}");
        let moment = Moment {
            now_secs: self.now_secs(),
            challenge: &mut no_challenge,
            recursion: Recursion::Denied,
        };
        let code = ResponseCode::OPERATION_NOT_SUPPORTED;
        stream.refuse(&self.site(), code, NO_FEED, &moment, out);
    }

    /// The record of a handle that is here or elsewhere, or why it could not be had.
    pub(crate) async fn record_of(&self, handle: &Handle) -> Result<Option<StoredRecord>, String> {
        // Never closed, as above.
        let _place = self.errands.places.acquire().await;
        let places = places(&self.site(), handle.borrow());
        for place in places {
            let wanted = Wanted {
                handle: handle.clone(),
                place: *place,
            };
            if let Some(record) = self.fetch(&wanted).await? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    async fn fetch(&self, wanted: &Wanted) -> Result<Option<StoredRecord>, String> {
        match wanted.place {
            Place::Here => self.fetch_here(&wanted.handle),
            Place::Elsewhere => match self.errands.source.get() {
                Some(source) => source.record(wanted.handle.clone()).await,
                None => Err(NO_SOURCE.to_owned()),
            },
        }
    }

    fn fetch_here(&self, handle: &Handle) -> Result<Option<StoredRecord>, String> {
        let record = self.read(handle.key(self.store.case_rule()).as_bytes());
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
}
