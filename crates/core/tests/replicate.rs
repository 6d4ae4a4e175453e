//! Replication against a model: a primary that changes, a mirror that is killed at any moment, a
//! connection that breaks at any octet. In the end both hold the same records.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::convert::Infallible;

use guantong_core::replicate::{
    Ask, Asked, Channel, Fault, Feed, Follower, Following, Leftover, Local, LogChange, LogId, Mark,
    Need, Numbering, Position, Receiver, RecordChange, Role, Start, Told, Work, merge,
    write_dump_head, write_dump_tail,
};
use guantong_proto::crypto::VerifyingKey;
use guantong_proto::data::Site;
use guantong_proto::message::{Body, Message, OpCode, Request, Response, TxnPosition, Version};
use guantong_proto::stream::{Action, Content, Protection, StreamDecoder, StreamKind};
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, Value, Values};
use proptest::prelude::*;

const RULE: CaseRule = CaseRule::Insensitive;

//----------- Records --------------------------------------------------------

/// What a store holds, with a log of its own.
#[derive(Clone, Default)]
struct Records {
    records: BTreeMap<Vec<u8>, Stored>,
    homed: BTreeMap<Vec<u8>, Handle>,
    log: Vec<Logged>,
}

/// Records by handle and values, and the homed prefixes.
type Shown = (Vec<(String, Vec<u8>)>, Vec<Vec<u8>>);

#[derive(Clone)]
struct Stored {
    handle: Handle,
    values: Vec<u8>,
    version: u64,
}

#[derive(Clone)]
struct Logged {
    action: Action,
    at_ms: u64,
    handle: Handle,
}

impl Records {
    fn last(&self) -> u64 {
        self.log.len() as u64
    }

    fn apply(&mut self, change: RecordChange, at_ms: u64) {
        let (action, handle) = match change {
            RecordChange::Put { handle, values } => {
                let stored = Stored {
                    handle: handle.clone(),
                    values,
                    version: self.last() + 1,
                };
                let key = handle.key(RULE).as_bytes().to_vec();
                match self.records.insert(key, stored) {
                    None => (Action::CREATE, handle),
                    Some(_) => (Action::UPDATE, handle),
                }
            }
            RecordChange::Delete { handle } => {
                match self.records.remove(handle.key(RULE).as_bytes()) {
                    Some(_) => (Action::DELETE, handle),
                    None => return,
                }
            }
            RecordChange::Home(handle) => {
                let key = handle.key(RULE).as_bytes().to_vec();
                match self.homed.insert(key, handle.clone()) {
                    None => (Action::HOME, handle),
                    Some(_) => return,
                }
            }
            RecordChange::Unhome(handle) => match self.homed.remove(handle.key(RULE).as_bytes()) {
                Some(_) => (Action::UNHOME, handle),
                None => return,
            },
        };
        self.log.push(Logged {
            action,
            at_ms,
            handle,
        });
    }

    /// What must be equal on both sides.
    fn content(&self) -> Shown {
        let record = |stored: &Stored| (stored.handle.as_str().to_owned(), stored.values.clone());
        let records = self.records.values().map(record).collect();
        (records, self.homed.keys().cloned().collect())
    }
}

//----------- Primary --------------------------------------------------------

#[derive(Clone)]
struct Primary {
    id: LogId,
    store: Records,
    /// Whether it is a node of ours.
    kin: bool,
    /// Most changes or records in one answer.
    window: u64,
}

impl Primary {
    fn new(kin: bool) -> Self {
        Self {
            id: LogId([1; 16]),
            store: Records::default(),
            kin,
            window: u64::MAX,
        }
    }

    fn mark(&self, number: u64) -> Option<(Mark, u64)> {
        let at = usize::try_from(number.checked_sub(1)?).unwrap();
        let logged = self.store.log.get(at)?;
        let handle = logged.handle.borrow();
        let mark = Mark::of_change(number, logged.action.0, logged.at_ms, handle);
        Some((mark, logged.at_ms))
    }

    /// The notice and the stream for a request.
    fn answer(&self, op: OpCode, body: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (request, asked) = Asked::decode(op, Version::OURS, body).unwrap();
        let asked = asked.filter(|_| self.kin);
        let end = self.store.last();
        let start = |position| {
            Start::find(self.id, end, position, asked.as_ref(), |number| {
                self.mark(number)
            })
        };
        let cut_at = match self.window {
            u64::MAX => 0,
            window if self.kin => window,
            _ => 0,
        };
        let mut stream = Writer::to_vec(|w| head().encode(w));
        let (last, resumed) = match &request {
            Request::RetrieveTxn { position, .. } => {
                let TxnPosition::Single {
                    last_txn,
                    last_query_ms,
                } = position
                else {
                    panic!("one queue only");
                };
                let position = (last_txn.cast_unsigned(), last_query_ms.cast_unsigned());
                let start = start(position);
                (self.transactions(start, &mut stream), false)
            }
            Request::Dump { resume, .. } => {
                let resumed = asked
                    .as_ref()
                    .is_some_and(|asked| matches!(start((asked.last, 0)), Start::After(_)));
                let after = resume.filter(|_| resumed).map(|(point, _)| point);
                self.dump(after.unwrap_or_default(), cut_at, &mut stream);
                (end, resumed)
            }
            other => panic!("{other:?}"),
        };
        let told = asked.map(|_| Told {
            log: self.id,
            epoch: 1,
            role: Role::Primary,
            case_rule: RULE,
            last,
            mark: self.mark(last).map(|(mark, _)| mark),
            end,
            end_mark: self.mark(end).map(|(mark, _)| mark),
            token: None,
            lease_ms: 0,
            cut_at,
            resumed,
            had: None,
            gives_way: false,
            leader: None,
        });
        let behind = Writer::to_vec(|w| told.iter().for_each(|told| told.write(w)));
        (behind, stream)
    }

    fn transactions(&self, start: Start, out: &mut Vec<u8>) -> u64 {
        let end = self.store.last();
        let block = |content: Content<'_>, out: &mut Vec<u8>| content.encode(&mut Writer::new(out));
        let status = match start {
            Start::After(_) => Content::SENDING,
            Start::Redump(_) => Content::REDUMP,
        };
        let status = Some(status);
        block(Content::Start { format: 1, status }, out);
        let Start::After(after) = start else {
            return end;
        };
        let numbering = match self.kin {
            true => Numbering::Dense,
            false => Numbering::Sparse,
        };
        let feed = Feed::new(Receiver::ALL, numbering);
        let last = end.min(after.saturating_add(self.window));
        for number in after + 1..=last {
            let logged = &self.store.log[usize::try_from(number - 1).unwrap()];
            let change = LogChange {
                number,
                action: logged.action,
                at_ms: logged.at_ms,
                handle: logged.handle.borrow(),
            };
            let record = match feed.need(&change) {
                Need::Record => {
                    let key = logged.handle.key(RULE);
                    self.store.records.get(key.as_bytes())
                }
                Need::Nothing => None,
            };
            let values = record.map(|record| Values::from_wire(&record.values).unwrap());
            feed.write(&change, values, out);
        }
        let next_query_ms = Some(self.mark(last).map_or(0, |(_, at_ms)| at_ms).cast_signed());
        block(Content::End { next_query_ms }, out);
        last
    }

    fn dump(&self, after: &[u8], cut_at: u64, out: &mut Vec<u8>) {
        let start = Content::Start {
            format: 2,
            status: None,
        };
        start.encode(&mut Writer::new(out));
        let end = self.store.last();
        write_dump_head(end, self.mark(end).map_or(0, |(_, at)| at), out);
        let feed = Feed::new(Receiver::ALL, Numbering::Dense);
        let after = String::from_utf8(after.to_vec()).unwrap();
        let after = Handle::parse(&after).map(|handle| handle.key(RULE).as_bytes().to_vec());
        let mut records: Vec<_> = self.store.records.iter().collect();
        if !self.kin {
            // Others have an order of their own.
            records.sort_by_key(|(key, _)| key.iter().rev().copied().collect::<Vec<u8>>());
        }
        let mut sent = 0;
        for (key, record) in records {
            if cut_at > 0 && sent == cut_at {
                break;
            }
            if after.as_ref().is_ok_and(|after| key <= after) {
                continue;
            }
            let values = Values::from_wire(&record.values).unwrap();
            feed.write_record(record.handle.borrow(), values, out);
            sent += 1;
        }
        for prefix in self.store.homed.values() {
            write_dump_tail(prefix.borrow(), out);
        }
        Content::DumpEnd.encode(&mut Writer::new(out));
    }
}

fn head() -> Content<'static> {
    Content::Head {
        protection: Protection::Plain,
        digest: None,
    }
}

//----------- Mirror ---------------------------------------------------------

/// A mirror's store, with the position that is saved in it.
#[derive(Clone)]
struct Mirror {
    store: Records,
    position: Vec<u8>,
    /// Most changes of a portion.
    portion: usize,
    /// Portions written so far.
    written: usize,
}

impl Mirror {
    fn new(portion: usize) -> Self {
        Self {
            store: Records::default(),
            position: Vec::new(),
            portion,
            written: 0,
        }
    }

    fn follower(&self) -> Follower {
        let position = match self.position.is_empty() {
            true => Position::Nothing,
            false => Position::decode(&self.position).unwrap(),
        };
        Follower::new(LogId([2; 16]), RULE, position, 1).in_portions_of(self.portion)
    }

    /// Does the work of a portion and saves its position, both or neither.
    fn write(&mut self, work: Work, position: &Position) {
        match work {
            Work::Apply(changes) => changes.into_iter().for_each(|c| self.store.apply(c, 0)),
            Work::Merge { after, records } => {
                let upto = records.last().unwrap().key.clone();
                let local = self.local(after.as_deref(), Some(&upto));
                let changes = merge(local.into_iter(), records.into_iter());
                let changes: Vec<_> = changes.map(Result::unwrap).collect();
                changes.into_iter().for_each(|c| self.store.apply(c, 0));
            }
            Work::Finish { leftover, homed } => {
                let gone: Vec<Handle> = match leftover {
                    Leftover::Behind(after) => {
                        let local = self.local(after.as_deref(), None);
                        local.into_iter().map(|l| l.unwrap().handle).collect()
                    }
                    Leftover::NotSince(change) => {
                        let records = self.store.records.values();
                        let old = records.filter(|record| record.version <= change);
                        old.map(|record| record.handle.clone()).collect()
                    }
                    Leftover::Unknown => Vec::new(),
                };
                for handle in gone {
                    self.store.apply(RecordChange::Delete { handle }, 0);
                }
                let old: Vec<_> = self.store.homed.values().cloned().collect();
                for handle in old.into_iter().filter(|handle| !homed.contains(handle)) {
                    self.store.apply(RecordChange::Unhome(handle), 0);
                }
                for handle in homed {
                    self.store.apply(RecordChange::Home(handle), 0);
                }
            }
        }
        self.position = position.encode();
        self.written += 1;
    }

    fn local(&self, after: Option<&[u8]>, upto: Option<&[u8]>) -> Vec<Result<Local, Infallible>> {
        let records = self.store.records.iter();
        let within = records.filter(|(key, _)| {
            after.is_none_or(|after| key.as_slice() > after)
                && upto.is_none_or(|upto| key.as_slice() <= upto)
        });
        let local = within.map(|(key, record)| {
            Ok(Local {
                key: key.clone(),
                handle: record.handle.clone(),
                values: record.values.clone(),
            })
        });
        local.collect()
    }

    /// One exchange over a connection that breaks after `octets` of the stream; the process is
    /// killed when it has written `portions`. Says whether anything came.
    fn exchange(
        &mut self,
        follower: &mut Follower,
        primary: &Primary,
        octets: usize,
        portions: usize,
    ) -> Result<bool, Fault> {
        let (op, body) = follower.request(0, None);
        let (behind, stream) = primary.answer(op, &body);
        let Some(kind) = follower.answered(&behind, self.store.last())? else {
            return Ok(true);
        };
        follower.comes(Channel::Protected, None);
        let stream = &stream[..octets.min(stream.len())];
        self.read(follower, kind, stream, portions)
    }

    fn read(
        &mut self,
        follower: &mut Follower,
        kind: StreamKind,
        stream: &[u8],
        portions: usize,
    ) -> Result<bool, Fault> {
        let mut decoder = StreamDecoder::new(kind);
        let (mut at, mut written) = (0, 0);
        let before = self.position.clone();
        while let Some((block, len)) = decoder.next(&stream[at..])? {
            at += len;
            follower.block(&block)?;
            while let Some(portion) = follower.next_portion() {
                if written == portions {
                    return Ok(true);
                }
                written += 1;
                self.write(portion.work, &portion.position);
            }
        }
        Ok(written > 0 || self.position != before || follower.ask() == Ask::Dump)
    }

    /// Follows without a fault until nothing comes any more.
    fn catch_up(&mut self, primary: &Primary) {
        let mut follower = self.follower();
        for _ in 0..10_000 {
            let came = self.exchange(&mut follower, primary, usize::MAX, usize::MAX);
            if !came.unwrap() {
                assert!(matches!(follower.position(), Position::Following(_)));
                return;
            }
        }
        panic!("it never catches up");
    }
}

//----------- Properties -----------------------------------------------------

#[derive(Clone, Debug)]
enum Event {
    Put(u8, u8),
    Delete(u8),
    Home(u8),
    Unhome(u8),
    /// Follow; the connection breaks after so many octets, the process dies after so many portions.
    Follow(usize, usize),
    /// The primary is restored from a backup that is so many changes old.
    Restore(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0..40_u8, any::<u8>()).prop_map(|(name, value)| Event::Put(name, value)),
        4 => (0..40_u8).prop_map(Event::Delete),
        1 => (0..4_u8).prop_map(Event::Home),
        1 => (0..4_u8).prop_map(Event::Unhome),
        4 => (0..6_000_usize, 0..4_usize).prop_map(|(o, p)| Event::Follow(o, p)),
        1 => Just(Event::Follow(usize::MAX, usize::MAX)),
        1 => (1..20_usize).prop_map(Event::Restore),
    ]
}

fn name(n: u8) -> Handle {
    // Some names differ in case only from one change to the next.
    let letter = if n.is_multiple_of(2) { 'a' } else { 'A' };
    Handle::parse(&format!("88.118.5/{letter}{}", n / 2)).unwrap()
}

fn put(n: u8, value: u8) -> RecordChange {
    let values = [Value::new(1, "URL", vec![value; 64].as_slice())];
    RecordChange::Put {
        handle: name(n),
        values: Writer::to_vec(|w| Values::encode(&values, w)),
    }
}

/// Up to three exchanges of one process, which dies with the portion that it cannot write any more.
fn follow(mirror: &mut Mirror, primary: &Primary, octets: usize, portions: usize) {
    let mut follower = mirror.follower();
    for _ in 0..3 {
        let before = mirror.written;
        let _ = mirror.exchange(&mut follower, primary, octets, portions);
        if mirror.written - before == portions {
            return;
        }
    }
}

fn run(kin: bool, window: u64, portion: usize, events: &[Event]) {
    let mut primary = Primary::new(kin);
    primary.window = window;
    let mut mirror = Mirror::new(portion);
    let mut versions = vec![primary.store.clone()];
    for (n, event) in events.iter().enumerate() {
        let at_ms = 1_000 + n as u64;
        let prefix = |n: &u8| Handle::of_prefix(&format!("88.118.{n}")).unwrap();
        let change = match event {
            Event::Put(name, value) => put(*name, *value),
            Event::Delete(n) => RecordChange::Delete { handle: name(*n) },
            Event::Home(n) => RecordChange::Home(prefix(n)),
            Event::Unhome(n) => RecordChange::Unhome(prefix(n)),
            Event::Follow(octets, portions) => {
                follow(&mut mirror, &primary, *octets, *portions);
                continue;
            }
            Event::Restore(_) if !kin => continue,
            Event::Restore(back) => {
                let kept = versions.len().saturating_sub(*back).max(1);
                versions.truncate(kept);
                primary.store = versions[kept - 1].clone();
                continue;
            }
        };
        primary.store.apply(change, at_ms);
        versions.push(primary.store.clone());
    }
    mirror.catch_up(&primary);
    assert_eq!(mirror.store.content(), primary.store.content());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn mirror_of_a_node_of_ours_ends_equal(
        events in prop::collection::vec(event(), 0..120),
        window in prop_oneof![Just(u64::MAX), 1..20_u64],
        portion in prop_oneof![Just(1_000), 1..8_usize],
    ) {
        run(true, window, portion, &events);
    }

    #[test]
    fn mirror_of_a_node_of_another_maker_ends_equal(
        events in prop::collection::vec(event(), 0..120),
        portion in prop_oneof![Just(1_000), 1..8_usize],
    ) {
        run(false, u64::MAX, portion, &events);
    }
}

//----------- Faults ---------------------------------------------------------

/// A primary with changes, and a mirror that has all but the last five of them.
fn behind_by_five(kin: bool) -> (Primary, Mirror) {
    let (mut primary, mut mirror) = (Primary::new(kin), Mirror::new(1_000));
    for n in 0..20 {
        if n == 15 {
            mirror.catch_up(&primary);
        }
        primary.store.apply(put(n, n), u64::from(n));
    }
    (primary, mirror)
}

/// The blocks of a stream, each with its octets.
fn blocks(kind: StreamKind, stream: &[u8]) -> Vec<Vec<u8>> {
    let mut decoder = StreamDecoder::new(kind);
    let (mut at, mut blocks) = (0, Vec::new());
    while let Some((_, len)) = decoder.next(&stream[at..]).unwrap() {
        blocks.push(stream[at..at + len].to_vec());
        at += len;
    }
    blocks
}

#[test]
fn changes_that_are_missing_or_out_of_order_are_refused_and_nothing_of_them_is_kept() {
    let (primary, mirror) = behind_by_five(true);
    let asked = mirror.follower().request(0, None);
    let (notice, stream) = primary.answer(asked.0, &asked.1);
    let good = blocks(StreamKind::Transactions, &stream);
    let spoil = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut blocks = good.clone();
        change(&mut blocks);
        blocks.concat()
    };
    for stream in [
        spoil(&|blocks| blocks.swap(2, 3)),
        spoil(&|blocks| drop(blocks.remove(3))),
        spoil(&|blocks| blocks.insert(3, blocks[3].clone())),
        spoil(&|blocks| drop(blocks.remove(blocks.len() - 2))),
    ] {
        let mut victim = mirror.clone();
        let mut follower = victim.follower();
        let kind = follower.answered(&notice, 0).unwrap().unwrap();
        follower.comes(Channel::Protected, None);
        let outcome = victim.read(&mut follower, kind, &stream, usize::MAX);
        let fault = outcome.unwrap_err();
        assert!(
            matches!(fault, Fault::Order { .. } | Fault::Short { .. }),
            "{fault}"
        );
        assert_eq!(victim.store.content(), mirror.store.content());
        assert_eq!(victim.position, mirror.position);
        victim.catch_up(&primary);
        assert_eq!(victim.store.content(), primary.store.content());
    }
}

#[test]
fn stream_that_is_neither_encrypted_nor_signed_is_refused() {
    let (primary, mut mirror) = behind_by_five(true);
    let mut follower = mirror.follower();
    let (op, body) = follower.request(0, None);
    let (notice, stream) = primary.answer(op, &body);
    let kind = follower.answered(&notice, 0).unwrap().unwrap();
    follower.comes(Channel::Clear, None);
    let outcome = mirror.read(&mut follower, kind, &stream, usize::MAX);
    assert!(matches!(outcome, Err(Fault::Unprotected)));
}

#[test]
fn answer_of_a_node_that_is_not_primary_any_more_is_refused() {
    let (primary, mirror) = behind_by_five(true);
    let position = Position::decode(&mirror.position).unwrap();
    let mut follower = Follower::new(LogId([2; 16]), RULE, position, 2);
    let (op, body) = follower.request(0, None);
    let (notice, _) = primary.answer(op, &body);
    let outcome = follower.answered(&notice, 0);
    assert!(matches!(
        outcome,
        Err(Fault::Outdated { found: 1, known: 2 })
    ));
}

#[test]
fn node_does_not_follow_itself() {
    let mut primary = Primary::new(true);
    primary.id = LogId([2; 16]);
    let mut follower = Mirror::new(1_000).follower();
    let (op, body) = follower.request(0, None);
    let (notice, _) = primary.answer(op, &body);
    assert!(matches!(follower.answered(&notice, 0), Err(Fault::Itself)));
}

#[test]
fn dump_that_lost_its_order_is_refused() {
    let (primary, _) = behind_by_five(true);
    let mut mirror = Mirror::new(1_000);
    let mut follower = mirror.follower();
    mirror
        .exchange(&mut follower, &primary, usize::MAX, usize::MAX)
        .unwrap();
    assert_eq!(follower.ask(), Ask::Dump);
    let (op, body) = follower.request(0, None);
    let (notice, stream) = primary.answer(op, &body);
    let mut blocks = blocks(StreamKind::Dump, &stream);
    blocks.swap(4, 5);
    let kind = follower.answered(&notice, 0).unwrap().unwrap();
    follower.comes(Channel::Protected, None);
    let outcome = mirror.read(&mut follower, kind, &blocks.concat(), usize::MAX);
    assert!(matches!(outcome, Err(Fault::DumpOrder { .. })));
}

//----------- Handle.Net -----------------------------------------------------

/// A vector of octets that a running Handle.Net server has sent.
fn vector(name: &str) -> Vec<u8> {
    let text = include_str!("../../../test-data/wire/handle-vectors.json");
    let vectors: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut all = vectors.as_array().unwrap().iter();
    let found = all.find(|vector| vector["name"] == name);
    let hex = found.unwrap()["hex"].as_str().unwrap();
    let octet = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(octet).collect()
}

/// The key in the site record of that server.
fn handle_net_key() -> VerifyingKey {
    let packet = vector("live-siteinfo-response");
    let message = Message::decode(&packet).unwrap();
    let Body::SiteInfo(octets) = Response::of(&message).unwrap().body else {
        panic!("it is a site");
    };
    let site = Site::decode(octets).unwrap();
    VerifyingKey::new(&site.servers[0].key().unwrap()).unwrap()
}

/// A mirror that has everything up to change 0 of a server of another maker.
fn follower_of_handle_net() -> Follower {
    let position = Position::Following(Following::default());
    let mut follower = Follower::new(LogId([2; 16]), RULE, position, 1);
    assert_eq!(follower.ask(), Ask::Transactions);
    let kind = follower.answered(b"", 0).unwrap().unwrap();
    assert_eq!(kind, StreamKind::Transactions);
    follower.comes(Channel::Clear, Some(handle_net_key()));
    follower
}

#[test]
fn signed_stream_of_handle_net_is_followed() {
    let stream = vector("live-txn-stream");
    let mut follower = follower_of_handle_net();
    let mut mirror = Mirror::new(1_000);
    mirror
        .read(&mut follower, StreamKind::Transactions, &stream, usize::MAX)
        .unwrap();
    let (records, homed) = mirror.store.content();
    let names: Vec<_> = records.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), 8, "{names:?}");
    assert!(names.contains(&"20.500.12345/New2"));
    assert_eq!(homed.len(), 4);
    let Position::Following(following) = follower.position() else {
        panic!("it follows");
    };
    assert_eq!((following.last, following.log), (22, None));
    assert_eq!(following.query_ms, 1_795_305_965_894);
}

#[test]
fn octet_that_was_changed_on_the_way_is_found_by_its_signature() {
    let good = vector("live-txn-stream");
    // Behind the head of the stream, every octet is in a block, a length or a signature.
    for at in (8..good.len()).step_by(97) {
        let mut stream = good.clone();
        stream[at] ^= 0x01;
        let mut follower = follower_of_handle_net();
        let mut mirror = Mirror::new(1);
        let outcome = mirror.read(&mut follower, StreamKind::Transactions, &stream, usize::MAX);
        let is_whole = matches!(follower.position(), Position::Following(f) if f.last == 22);
        assert!(outcome.is_err() || !is_whole, "octet {at}");
    }
}

#[test]
fn stream_is_not_believed_with_another_key_or_without_one() {
    let stream = vector("live-txn-stream");
    for key in [None, Some(VerifyingKey::Ed25519(vec![0; 32]))] {
        let mut follower = follower_of_handle_net();
        follower.comes(Channel::Clear, key);
        let mut mirror = Mirror::new(1_000);
        let outcome = mirror.read(&mut follower, StreamKind::Transactions, &stream, usize::MAX);
        assert!(matches!(outcome, Err(Fault::Signature(_))));
    }
}
