//! The mirror's side: what to ask next, and what to make of the blocks that come.
//!
//! ```text
//!  Nothing ──ask for changes──► told to take everything ──► Dumping ──end──► Following ──┐
//!     ▲                                                        ▲                │        │ changes
//!     └ new store                                              └── redump ──────┴────────┘
//! ```
//!
//! Blocks are collected into [`Portion`]s: work for the store, and the position that is saved with
//! it in one transaction. A mirror that is killed at any moment goes on from the last portion that
//! was written; one that finds a fault drops what it has collected and does the same.

use std::collections::VecDeque;

use guantong_proto::crypto::{Algorithm, CryptoError, Hash, VerifyingKey};
use guantong_proto::json::{ReplicationQueue, format_replication_state, parse_replication_state};
use guantong_proto::message::{OpCode, TxnPosition, Version};
use guantong_proto::stream::{
    Action, Block, Content, Entries, Protection, StreamKind, Transaction,
};
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, HandleRef};

use super::claim::Claim;
use super::fault::Fault;
use super::lease::Token;
use super::log::{LogId, Mark};
use super::merge::Received;
use super::notice::{Asked, Told};
use super::position::{Dumping, Following, Manner, Position};
use super::receiver::Receiver;

/// Most changes of a portion: what a kill makes a mirror receive again, and what it keeps in
/// memory.
pub const PORTION_CHANGES_MAX: usize = 2_000;
/// Most octets of values of a portion, about.
pub const PORTION_OCTETS_MAX: usize = 4 * 1024 * 1024;
/// Most prefixes that a primary may home; they are kept in memory on both sides.
const HOMED_MAX: usize = 1_000_000;
/// Kind of a starting point: a handle.
const POINT_HANDLE: i32 = 2;

//----------- Portion --------------------------------------------------------

/// Work for the store, and what is saved with it.
#[derive(Clone, Debug)]
pub struct Portion {
    /// What is to be done.
    pub work: Work,
    /// How far the mirror has come when it is done.
    pub position: Position,
    /// When the primary made the last change of it, in milliseconds since 1970; 0 if not known.
    pub at_ms: u64,
}

/// What is to be done in the store.
#[derive(Clone, Debug)]
pub enum Work {
    /// These changes, in their order.
    Apply(Vec<RecordChange>),
    /// Make the stretch behind the key `after`, up to the last of the records, equal to them.
    Merge {
        /// Where it begins; `None` at the beginning of the store.
        after: Option<Vec<u8>>,
        /// Its records; never empty.
        records: Vec<Received>,
    },
    /// Delete the records that the dump did not have, and home what it said.
    Finish {
        /// Which records these are.
        leftover: Leftover,
        /// All prefixes that the primary homes.
        homed: Vec<Handle>,
    },
}

/// The records that a dump did not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// Those behind this key.
    Behind(Option<Vec<u8>>),
    /// Those that no later change than this one has written.
    NotSince(u64),
    /// They are kept, since the end of the dump could not be verified.
    Unknown,
}

/// A change that a mirror makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordChange {
    /// Write a record whole.
    Put {
        /// Its handle.
        handle: Handle,
        /// Its values in wire form.
        values: Vec<u8>,
    },
    /// Delete a record, if it is there.
    Delete {
        /// Its handle.
        handle: Handle,
    },
    /// Home a prefix.
    Home(Handle),
    /// Unhome a prefix.
    Unhome(Handle),
}

//----------- Follower -------------------------------------------------------

/// What a mirror asks next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The changes behind its position.
    Transactions,
    /// Everything.
    Dump,
}

/// How a stream comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Anybody on the way can read and change it.
    Clear,
    /// Inside TLS, with a primary whose key is known.
    Protected,
}

/// Follows one primary.
#[derive(Debug)]
pub struct Follower {
    own: LogId,
    case_rule: CaseRule,
    receiver: Receiver,
    /// How far it has come with the last portion that was given out.
    position: Position,
    epoch: u64,
    token: Option<Token>,
    /// Whether the primary is a node of ours, once that is known.
    kin: Option<bool>,
    redump: bool,
    /// The last change of our own log, for the sweep of a dump.
    own_last: u64,
    /// Most changes of a portion.
    portion_changes: usize,
    stream: Option<Stream>,
    ready: VecDeque<Portion>,
}

/// A stream that is coming.
#[derive(Debug)]
struct Stream {
    ask: Ask,
    told: Option<Told>,
    channel: Channel,
    key: Option<VerifyingKey>,
    /// The digest under the signatures, in a signed stream.
    hash: Option<Hash>,
    begun: bool,
    queue: Option<String>,
    /// Where the portion under way leads.
    then: Following,
    cursor: Option<String>,
    manner: Manner,
    again: bool,
    changes: Vec<RecordChange>,
    records: Vec<Received>,
    homed: Vec<Handle>,
    /// Records of the dump so far.
    received: u64,
    octets: usize,
    at_ms: u64,
}

impl Follower {
    /// A follower that goes on from a saved position. `own` is the identity of its store, `epoch`
    /// the highest one that it knows of.
    pub fn new(own: LogId, case_rule: CaseRule, position: Position, epoch: u64) -> Self {
        let log = match &position {
            Position::Nothing => None,
            Position::Dumping(dumping) => dumping.then.log,
            Position::Following(following) => following.log,
        };
        Self {
            own,
            case_rule,
            receiver: Receiver::ALL,
            position,
            epoch,
            token: None,
            kin: log.map(|_| true),
            redump: false,
            own_last: 0,
            portion_changes: PORTION_CHANGES_MAX,
            stream: None,
            ready: VecDeque::new(),
        }
    }

    /// The same for one of several servers of a site.
    #[must_use]
    pub fn of_share(self, receiver: Receiver) -> Self {
        Self { receiver, ..self }
    }

    /// The same with smaller portions.
    #[must_use]
    pub fn in_portions_of(self, changes: usize) -> Self {
        let portion_changes = changes.clamp(1, PORTION_CHANGES_MAX);
        Self {
            portion_changes,
            ..self
        }
    }

    /// How far it has come with the last portion that was given out.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The highest epoch that it knows of.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The token to be returned with the next request.
    pub fn token(&self) -> Option<Token> {
        self.token
    }

    /// Asks for everything next, whatever the position.
    pub fn redump(&mut self) {
        self.redump = true;
    }

    /// What it asks next. Whether its primary is a node of ours it learns by asking for changes.
    pub fn ask(&self) -> Ask {
        let needs_all = self.redump || !matches!(self.position, Position::Following(_));
        match needs_all && self.kin.is_some() {
            true => Ask::Dump,
            false => Ask::Transactions,
        }
    }

    /// The operation and the body of the next request.
    pub fn request(&self, wait_ms: u32, claim: Option<&Claim>) -> (OpCode, Vec<u8>) {
        let (following, cursor) = match &self.position {
            Position::Nothing => (None, None),
            Position::Following(following) => (Some(following), None),
            Position::Dumping(dumping) => (Some(&dumping.then), dumping.cursor.as_deref()),
        };
        let following = following.filter(|_| !self.redump);
        let asked = Asked {
            mirror: self.own,
            epoch: self.epoch,
            log: following.and_then(|following| following.log),
            last: following.map_or(0, |following| following.last),
            mark: following.and_then(|following| following.mark),
            seen: following.map_or(0, |following| following.seen),
            seen_mark: following.and_then(|following| following.seen_mark),
            // Whoever claims must not keep the lease of the other alive.
            token: self.token.filter(|_| claim.is_none()),
            wait_ms,
            claim: claim.cloned(),
        };
        let body = Writer::to_vec(|w| match self.ask() {
            Ask::Transactions => {
                let nothing = Following::default();
                write_position(following.unwrap_or(&nothing), w);
                self.receiver.write(w);
                asked.write(w);
            }
            Ask::Dump => {
                self.receiver.write(w);
                if self.kin == Some(true) {
                    let cursor = cursor.filter(|_| !self.redump).unwrap_or_default();
                    w.bytes(cursor.as_bytes());
                    w.i32(POINT_HANDLE);
                    asked.write(w);
                }
            }
        });
        let op = match self.ask() {
            Ask::Transactions => OpCode::RETRIEVE_TXN,
            Ask::Dump => OpCode::DUMP_HANDLES,
        };
        (op, body)
    }

    /// Takes the answer to a request: what stands behind its body. `own_last` is the last change of
    /// our own log. `None` means that the stream is of no use and another request is due at once.
    pub fn answered(&mut self, behind: &[u8], own_last: u64) -> Result<Option<StreamKind>, Fault> {
        let told = Told::read(behind)?;
        let ask = self.ask();
        self.stream = None;
        if let Some(told) = &told {
            self.check(told)?;
            self.epoch = self.epoch.max(told.epoch);
            self.token = told.token;
        }
        let is_kin = told.is_some();
        let was_kin = self.kin.replace(is_kin);
        if !is_kin && was_kin.is_none() && self.ask() == Ask::Dump {
            return Ok(None);
        }
        self.own_last = own_last;
        self.stream = Some(self.begin(ask, told));
        Ok(Some(match ask {
            Ask::Transactions => StreamKind::Transactions,
            Ask::Dump => StreamKind::Dump,
        }))
    }

    fn check(&self, told: &Told) -> Result<(), Fault> {
        if told.log == self.own {
            return Err(Fault::Itself);
        }
        if told.case_rule != self.case_rule {
            return Err(Fault::CaseRule);
        }
        if told.epoch < self.epoch {
            return Err(Fault::Outdated {
                found: told.epoch,
                known: self.epoch,
            });
        }
        Ok(())
    }

    fn begin(&self, ask: Ask, told: Option<Told>) -> Stream {
        let resumed = told.as_ref().is_some_and(|told| told.resumed);
        let (mut then, cursor, manner) = match (&self.position, ask) {
            (Position::Following(following), Ask::Transactions) => {
                (following.clone(), None, Manner::Merge)
            }
            (Position::Dumping(dumping), Ask::Dump) if resumed => {
                (dumping.then.clone(), dumping.cursor.clone(), dumping.manner)
            }
            _ => {
                let then = Following {
                    log: told.as_ref().map(|told| told.log),
                    last: told.as_ref().map_or(0, |told| told.last),
                    mark: told.as_ref().and_then(|told| told.mark),
                    ..Following::default()
                };
                let before = self.own_last;
                let manner = match told {
                    Some(_) => Manner::Merge,
                    None => Manner::Sweep { before },
                };
                (then, None, manner)
            }
        };
        if let Some(told) = &told {
            (then.seen, then.seen_mark) = (told.end, told.end_mark);
        }
        Stream {
            ask,
            told,
            channel: Channel::Clear,
            key: None,
            hash: None,
            begun: false,
            queue: None,
            then,
            cursor,
            manner,
            again: self.position.is_complete(),
            changes: Vec::new(),
            records: Vec::new(),
            homed: Vec::new(),
            received: 0,
            octets: 0,
            at_ms: 0,
        }
    }

    /// Says how the stream comes, and which key its signatures are checked with.
    pub fn comes(&mut self, channel: Channel, key: Option<VerifyingKey>) {
        if let Some(stream) = &mut self.stream {
            stream.channel = channel;
            stream.key = key;
        }
    }

    /// Takes a block of the stream. Portions may be ready afterwards.
    pub fn block(&mut self, block: &Block<'_>) -> Result<(), Fault> {
        let taken = self.take(block);
        if taken.is_err() {
            self.stream = None;
        }
        taken
    }

    /// The next portion that is ready.
    pub fn next_portion(&mut self) -> Option<Portion> {
        let portion = self.ready.pop_front()?;
        self.position = portion.position.clone();
        if matches!(self.position, Position::Dumping(_)) {
            // From here on it can be resumed.
            self.redump = false;
        }
        Some(portion)
    }

    fn take(&mut self, block: &Block<'_>) -> Result<(), Fault> {
        let case_rule = self.case_rule;
        let Some(stream) = &mut self.stream else {
            return Err(misplaced("a block behind the end"));
        };
        stream.verify(block)?;
        match &block.content {
            Content::Head { protection, digest } => return stream.head(*protection, *digest),
            Content::Start { status, .. } => {
                stream.begun = true;
                if *status == Some(Content::REDUMP) {
                    self.redump = true;
                    self.stream = None;
                }
                return Ok(());
            }
            Content::Transaction(transaction) => stream.transaction(transaction)?,
            Content::Queue(name) => {
                let name = String::from_utf8_lossy(name).into_owned();
                stream.then.queue(&name).ok_or(Fault::TooManyQueues)?;
                stream.queue = Some(name);
            }
            Content::QueueEnd(date_ms) => {
                let date_ms = date_ms.cast_unsigned();
                if let Some(name) = stream.queue.take()
                    && let Some(queue) = stream.then.queue(&name)
                {
                    queue.query_ms = date_ms;
                }
            }
            Content::End { next_query_ms } => {
                stream.end(*next_query_ms)?;
                return self.finish_transactions();
            }
            Content::Position { date_ms, last_txn } => stream.position(*date_ms, *last_txn),
            Content::Record { handle, values } => stream.record(handle, values, case_rule)?,
            Content::HomedPrefix(handle) => {
                if stream.homed.len() >= HOMED_MAX {
                    return Err(Fault::TooManyPrefixes);
                }
                stream.homed.push(Handle::from_wire(handle)?);
            }
            Content::HandleDate(_) | Content::PrefixDate(_) => {}
            Content::OtherSites(state) => stream.other_sites(state)?,
            Content::DumpEnd => return self.finish_dump(case_rule),
            _ => return Err(misplaced("an unknown block")),
        }
        if stream.is_full(self.portion_changes) {
            let portion = stream.portion(case_rule);
            self.ready.extend(portion);
        }
        Ok(())
    }

    fn finish_transactions(&mut self) -> Result<(), Fault> {
        let Some(mut stream) = self.stream.take() else {
            return Err(misplaced("the end"));
        };
        let position = Position::Following(std::mem::take(&mut stream.then));
        if position == self.position && stream.changes.is_empty() && self.ready.is_empty() {
            return Ok(());
        }
        self.ready.push_back(Portion {
            work: Work::Apply(stream.changes),
            position,
            at_ms: stream.at_ms,
        });
        Ok(())
    }

    fn finish_dump(&mut self, case_rule: CaseRule) -> Result<(), Fault> {
        let Some(mut stream) = self.stream.take() else {
            return Err(misplaced("the end"));
        };
        self.ready.extend(stream.portion(case_rule));
        let cut_at = stream.told.as_ref().map_or(0, |told| told.cut_at);
        if cut_at > 0 && stream.received >= cut_at {
            // The rest is asked for next.
            return Ok(());
        }
        let leftover = match stream.manner {
            _ if stream.hash.is_some() && stream.channel == Channel::Clear => Leftover::Unknown,
            Manner::Merge => Leftover::Behind(key_of(stream.cursor.as_deref(), case_rule)),
            Manner::Sweep { before } => Leftover::NotSince(before),
        };
        self.redump = false;
        self.ready.push_back(Portion {
            work: Work::Finish {
                leftover,
                homed: stream.homed,
            },
            position: Position::Following(stream.then),
            at_ms: 0,
        });
        Ok(())
    }
}

//----------- Stream ---------------------------------------------------------

impl Stream {
    fn head(&mut self, protection: Protection, digest: Option<&[u8]>) -> Result<(), Fault> {
        match (protection, self.channel) {
            (Protection::Plain, Channel::Protected) => Ok(()),
            (Protection::Signed, _) => {
                let name = digest.unwrap_or_default();
                let Some(Algorithm::Hash(hash)) = Algorithm::parse(name) else {
                    let error = CryptoError::Algorithm {
                        name: String::from_utf8_lossy(name).into_owned(),
                        purpose: "replication streams",
                    };
                    return Err(error.into());
                };
                self.hash = Some(hash);
                Ok(())
            }
            (Protection::Plain | Protection::Tls, _) => Err(Fault::Unprotected),
        }
    }

    /// Checks the signature of a block. The end of a dump has none (6.8), so whoever sits on the
    /// way can cut a signed dump short; therefore nothing is deleted at its end.
    fn verify(&self, block: &Block<'_>) -> Result<(), Fault> {
        let Some(hash) = self.hash.filter(|_| block.content != Content::DumpEnd) else {
            return Ok(());
        };
        let mismatch = CryptoError::Mismatch { what: "signature" };
        let (Some(key), Some(signature)) = (&self.key, block.signature) else {
            return Err(mismatch.into());
        };
        Ok(key.verify(hash, block.octets, signature)?)
    }

    fn transaction(&mut self, transaction: &Transaction<'_>) -> Result<(), Fault> {
        let last = match &self.queue {
            Some(name) => {
                let queue = self.then.queue(name);
                &mut queue.ok_or(Fault::TooManyQueues)?.last
            }
            None => &mut self.then.last,
        };
        let expected = last.saturating_add(1);
        let found = transaction.id;
        let number = found.cast_unsigned();
        let due = match &self.told {
            // A node of ours leaves no number out, and sends none beyond what it has promised.
            Some(told) => number == expected && number <= told.last,
            None => found >= 0 && number >= expected,
        };
        if !due {
            return Err(Fault::Order { expected, found });
        }
        *last = number;
        self.then.mark = None;
        self.at_ms = transaction.date_ms.cast_unsigned();
        if transaction.action == Action::PLACEHOLDER {
            return Ok(());
        }
        let handle = HandleRef::from_wire(transaction.handle)?;
        if self.told.is_some() {
            let action = transaction.action.0;
            let mark = Mark::of_change(number, action, self.at_ms, handle);
            self.then.mark = Some(mark);
        }
        let handle = handle.to_owned();
        let change = match (transaction.action, &transaction.values) {
            (Action::CREATE | Action::UPDATE, Some(values)) => {
                let values = to_stored(values);
                self.octets += values.len();
                RecordChange::Put { handle, values }
            }
            (Action::DELETE, _) => RecordChange::Delete { handle },
            (Action::HOME, _) => RecordChange::Home(handle),
            (Action::UNHOME, _) => RecordChange::Unhome(handle),
            // "Delete all" and what may come after it: only everything anew is certain to be right.
            _ => return Err(misplaced("a change of unknown kind")),
        };
        self.octets += 64;
        self.changes.push(change);
        Ok(())
    }

    fn end(&mut self, next_query_ms: Option<i64>) -> Result<(), Fault> {
        if let Some(date_ms) = next_query_ms {
            self.then.query_ms = date_ms.cast_unsigned();
        }
        if let Some(told) = &self.told {
            if self.then.last != told.last {
                return Err(Fault::Short {
                    found: self.then.last,
                    promised: told.last,
                });
            }
            self.then.mark = told.mark;
        }
        Ok(())
    }

    fn position(&mut self, date_ms: i64, last_txn: i64) {
        // A dump that goes on keeps the position before its first part: what has changed since
        // then in the records that are here already comes with the changes.
        if !self.told.as_ref().is_some_and(|told| told.resumed) {
            self.then.last = last_txn.cast_unsigned();
            self.then.query_ms = date_ms.cast_unsigned();
        }
    }

    fn record(
        &mut self,
        handle: &[u8],
        values: &Entries<'_>,
        case_rule: CaseRule,
    ) -> Result<(), Fault> {
        let handle = Handle::from_wire(handle)?;
        let key = handle.key(case_rule).as_bytes().to_vec();
        let values = to_stored(values);
        self.octets += values.len() + 64;
        self.received += 1;
        match self.manner {
            Manner::Merge => {
                let cursor = self.records.last().map(|last| last.key.clone());
                let cursor = cursor.or_else(|| key_of(self.cursor.as_deref(), case_rule));
                if cursor.is_some_and(|cursor| cursor >= key) {
                    let handle = handle.as_str().to_owned();
                    return Err(Fault::DumpOrder { handle });
                }
                self.records.push(Received {
                    key,
                    handle,
                    values,
                });
            }
            Manner::Sweep { .. } => self.changes.push(RecordChange::Put { handle, values }),
        }
        Ok(())
    }

    fn other_sites(&mut self, state: &[u8]) -> Result<(), Fault> {
        for queue in parse_replication_state(state)? {
            let known = self.then.queue(&queue.name).ok_or(Fault::TooManyQueues)?;
            known.last = queue.last_txn.cast_unsigned();
            known.query_ms = queue.last_ms.cast_unsigned();
        }
        Ok(())
    }

    fn is_full(&self, changes_max: usize) -> bool {
        self.changes.len() + self.records.len() >= changes_max || self.octets >= PORTION_OCTETS_MAX
    }

    /// What has been collected, with the position to which it leads; `None` if there is nothing.
    fn portion(&mut self, case_rule: CaseRule) -> Option<Portion> {
        self.octets = 0;
        let (work, is_dump) = match (self.ask, self.records.is_empty()) {
            (Ask::Dump, false) => {
                let after = key_of(self.cursor.as_deref(), case_rule);
                let records = std::mem::take(&mut self.records);
                let last = records.last().map(|last| last.handle.as_str().to_owned());
                self.cursor = last;
                (Work::Merge { after, records }, true)
            }
            (ask, _) if !self.changes.is_empty() => {
                let changes = std::mem::take(&mut self.changes);
                (Work::Apply(changes), ask == Ask::Dump)
            }
            _ => return None,
        };
        let position = match is_dump {
            true => Position::Dumping(Dumping {
                then: self.then.clone(),
                cursor: self.cursor.clone(),
                manner: self.manner,
                again: self.again,
            }),
            false => Position::Following(self.then.clone()),
        };
        Some(Portion {
            work,
            position,
            at_ms: self.at_ms,
        })
    }
}

fn misplaced(block: &'static str) -> Fault {
    Fault::Block { block }
}

fn key_of(handle: Option<&str>, rule: CaseRule) -> Option<Vec<u8>> {
    let handle = HandleRef::parse(handle?).ok()?;
    Some(handle.key(rule).as_bytes().to_vec())
}

/// Values as the store keeps them: a count, then the values back to back.
fn to_stored(values: &Entries<'_>) -> Vec<u8> {
    Writer::to_vec(|w| {
        w.size(values.iter().count());
        values.iter().for_each(|value| w.raw(value.wire()));
    })
}

/// The position in a request: one queue, or all of them where the primary has several.
fn write_position(following: &Following, w: &mut Writer<'_>) {
    let state;
    let position = match following.queues.is_empty() {
        true => TxnPosition::Single {
            last_txn: following.last.cast_signed(),
            last_query_ms: following.query_ms.cast_signed(),
        },
        false => {
            let queues = following.queues.iter().map(|queue| ReplicationQueue {
                name: queue.name.clone(),
                last_txn: queue.last.cast_signed(),
                last_ms: queue.query_ms.cast_signed(),
            });
            state = format_replication_state(queues);
            TxnPosition::State(&state)
        }
    };
    position.encode(Version::OURS, w);
}
