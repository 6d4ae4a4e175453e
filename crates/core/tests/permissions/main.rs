//! The permission matrix: every operation, by every permission, asked by an administrator, by a
//! member of a group of administrators, by somebody else, and by nobody (6.4).
//!
//! Each cell is a whole exchange: request, challenge, answer, outcome. An operation succeeds
//! exactly if one HS_ADMIN value of the record that counts has every permission that the table
//! names.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

mod foresight;
mod together;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use guantong_core::admin::authenticate::Pending;
use guantong_core::admin::session::{Rejected, Session, SharedSession};
use guantong_core::admin::{
    Challenge, Chance, Errand, Ground, Kept, Next, NoTables, OnDelete, Order, Right, Rules,
    StoredRecord, Tables, Wanted, Warrant, Write, Written,
};
use guantong_core::authority::{Demand, Homed, Moment, Recursion, Site};
use guantong_proto::data::site::{Server, Site as SiteRecord};
use guantong_proto::data::{Admin, AdminPermissions, List, StateData};
use guantong_proto::message::{
    Body, Envelope, Message, OpCode, OpFlags, Request, RequestBuilder, Response, Version,
};
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, Permissions, Reference, Value, Values};
use ring::hmac;

const RULE: CaseRule = CaseRule::Insensitive;
const RECORD: &str = "88.118.5/thing";
const PREFIX: &str = "0.NA/88.118.5";
const SECRET: &[u8] = b"a secret of some length";

type Bits = AdminPermissions;

//----------- Node -----------------------------------------------------------

/// A node with one thing, whose administrators are the question.
struct Node {
    site: Site,
    rules: Rules,
    records: BTreeMap<String, Vec<Value>>,
    pending: Option<Pending>,
    /// What comes of writes, if not success.
    written: Option<Written>,
    /// By which right the last write was ordered.
    warrant: Option<Arc<Warrant>>,
}

/// A table with one challenge.
struct OneChallenge(Cell<Option<Pending>>);

impl Tables for OneChallenge {
    fn take_challenge(&self, _: i32) -> Option<Pending> {
        self.0.take()
    }

    fn session(&self, id: i32) -> Option<SharedSession> {
        NoTables.session(id)
    }

    fn open(&self, session: Session) -> Result<i32, Rejected> {
        NoTables.open(session)
    }

    fn bind(&self, id: i32, login: Session) -> Result<SharedSession, Rejected> {
        NoTables.bind(id, login)
    }

    fn end(&self, id: i32) {
        NoTables.end(id);
    }
}

fn secret_key() -> Value {
    Value {
        permissions: Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE),
        ..Value::new(300, "HS_SECKEY", SECRET)
    }
}

fn admin(index: i32, bits: Bits, handle: &str, at: i32) -> Value {
    Value::new(index, "HS_ADMIN", Admin::new(bits, handle, at).encode())
}

impl Node {
    /// `bits` for the administrator and for the group, on the thing and on its prefix.
    fn new(bits: Bits) -> Self {
        let server = Server {
            id: 1,
            address: [127, 0, 0, 1].into(),
            public_key: Vec::new(),
            interfaces: Vec::new(),
        };
        let record = SiteRecord {
            flags: SiteRecord::PRIMARY,
            servers: vec![server],
            ..SiteRecord::default()
        };
        let homed = ["0.NA", "88.118.5"].map(|prefix| Handle::of_prefix(prefix).unwrap());
        let site = Site::new(record.encode(), 1, RULE, Homed::new(&homed)).unwrap();
        let members = [Reference {
            handle: "88.118.5/member".into(),
            index: 300,
        }];
        let group = Value::new(200, "HS_VLIST", List(members.to_vec()).encode());
        let admins = [
            admin(100, bits, "88.118.5/owner", 300),
            admin(101, bits, "88.118.5/group", 200),
            // Somebody who may do everything, and who does not ask.
            admin(102, Bits::ALL, "88.118.5/chief", 300),
        ];
        let hidden = Value {
            permissions: Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE),
            ..Value::new(2, "EMAIL", "hidden")
        };
        let thing = [&admins[..], &[Value::new(1, "URL", "x"), hidden]].concat();
        let records = [
            (RECORD, thing),
            (PREFIX, admins.to_vec()),
            ("88.118.5/group", vec![group]),
            ("88.118.5/owner", vec![secret_key()]),
            ("88.118.5/member", vec![secret_key()]),
            ("88.118.5/other", vec![secret_key()]),
        ];
        let records = records.map(|(name, values)| (name.to_ascii_uppercase(), values));
        Self {
            site,
            rules: Rules::default(),
            records: records.into(),
            pending: None,
            written: None,
            warrant: None,
        }
    }

    /// The reply to a packet.
    fn answer(&mut self, packet: &[u8]) -> Vec<u8> {
        let pending = self.pending.take();
        let mut kept = None;
        let mut challenge = |demand: Demand<'_>| {
            let request = Kept::of(demand.envelope, demand.octets).unwrap();
            kept = Some(Pending::new([5; 16], request));
            Challenge {
                session_id: 9,
                nonce: [5; 16],
            }
        };
        let mut moment = Moment {
            now_secs: 1_000,
            challenge: &mut challenge,
            recursion: Recursion::Denied,
        };
        let mut out = Vec::new();
        let chance = Chance {
            suffix: [1; 16],
            nonce: [2; 16],
            seal: [3; 16],
            exponent: [4; 32],
        };
        let tables = OneChallenge(Cell::new(pending));
        let mut errand = Errand::new(packet, chance, &tables).unwrap();
        loop {
            let ground = Ground {
                site: &self.site,
                rules: &self.rules,
                now_secs: 1_000,
                tables: &tables,
            };
            match errand.step(&ground, &mut moment, &mut out) {
                Next::Fetch(wanted) => errand.learn(&self.site, &wanted, self.fetch(&wanted)),
                Next::Write(order) => errand.written(self.write(order)),
                // That there is a list is success.
                Next::Confirm(_) | Next::List(_) | Next::Stream(_) | Next::Done => break,
            }
        }
        self.pending = kept;
        out
    }

    fn fetch(&self, wanted: &Wanted) -> Option<StoredRecord> {
        let values = self.records.get(&wanted.handle.key(RULE).to_string())?;
        let wire = Writer::to_vec(|w| Values::encode(values, w));
        Some(StoredRecord::new(wanted.handle.clone(), 1, &wire).unwrap())
    }

    fn write(&mut self, order: Order) -> Written {
        if let Some(written) = &self.written {
            return written.clone();
        }
        self.warrant = Some(order.warrant);
        match order.write {
            Write::Put { handle, values, .. } => {
                let values = Values::from_wire(&values).unwrap().to_vec().unwrap();
                self.records.insert(handle.key(RULE).to_string(), values);
            }
            Write::Delete { handle, .. } => {
                self.records.remove(&handle.key(RULE).to_string());
            }
            Write::Home { .. } | Write::Unhome { .. } => {}
        }
        Written::Done
    }

    /// The response code of a request by `user`, and whether anything was changed. `None` does not
    /// answer the challenge.
    fn ask(&mut self, request: &[u8], user: Option<&str>) -> (i32, bool) {
        let before = self.records.clone();
        let reply = self.answer(request);
        let challenge = Message::decode(&reply).unwrap();
        let (402, Some(user)) = (challenge.header.code.0, user) else {
            return (challenge.header.code.0, self.records != before);
        };
        let response = Response::of(&challenge).unwrap();
        let Body::Challenge { nonce } = response.body else {
            unreachable!("{response:?}")
        };
        let signed = [nonce, response.digest.unwrap().octets].concat();
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), &signed);
        let answer = Request::ChallengeAnswer {
            auth_type: b"HS_SECKEY",
            user: user.as_bytes(),
            user_index: 300,
            signed: &[&[0x13], mac.as_ref()].concat(),
        };
        let body = Writer::to_vec(|w| answer.encode(Version::OURS, w));
        let packet = request_by(9, OpFlags::DEFAULT).packet(OpCode::CHALLENGE_ANSWER, &body);
        let reply = self.answer(&packet);
        // A list is sent by the shell: what there is no reply to is a success.
        let code = Message::decode(&reply).map_or(1, |reply| reply.header.code.0);
        (code, self.records != before)
    }
}

fn request_by(session_id: i32, flags: OpFlags) -> RequestBuilder {
    let mut envelope = Envelope::new(Version::OURS, 1);
    envelope.session_id = session_id;
    RequestBuilder {
        envelope,
        flags,
        expiration: 9,
    }
}

//----------- The table ------------------------------------------------------

/// An operation with everything that it needs: any of these sets of permissions will do.
struct Operation {
    name: &'static str,
    request: Vec<u8>,
    needs: &'static [&'static [Bits]],
}

fn operation(name: &'static str, request: Vec<u8>, needs: &'static [&'static [Bits]]) -> Operation {
    Operation {
        name,
        request,
        needs,
    }
}

fn operations() -> Vec<Operation> {
    [on_records(), on_values(), on_administrators(), on_states()]
        .into_iter()
        .flatten()
        .collect()
}

fn url(index: i32) -> Value {
    Value::new(index, "URL", "new")
}

fn chief(index: i32) -> Value {
    admin(index, Bits::ALL, "88.118.5/chief", 300)
}

fn write(op: OpCode, values: &[Value]) -> Vec<u8> {
    request_by(0, OpFlags::DEFAULT).write(op, RECORD, values)
}

fn remove(indexes: &[i32]) -> Vec<u8> {
    let body = Writer::to_vec(|w| {
        w.bytes(RECORD.as_bytes());
        w.i32_array(indexes);
    });
    request_by(0, OpFlags::DEFAULT).packet(OpCode::REMOVE_VALUE, &body)
}

fn on_records() -> Vec<Operation> {
    let plain = request_by(0, OpFlags::DEFAULT);
    let over = request_by(0, OpFlags::DEFAULT.with(OpFlags::OVERWRITE));
    let create = |name: &str| plain.write(OpCode::CREATE, name, &[url(1)]);
    let derived = create("0.NA/88.118.5.1");
    let write_over = over.write(OpCode::CREATE, RECORD, &[url(1), url(9), chief(100)]);
    vec![
        operation("create", create("88.118.5/new"), &[&[Bits::ADD_HANDLE]]),
        operation("create derived", derived, &[&[Bits::ADD_DERIVED_PREFIX]]),
        operation(
            "delete",
            plain.named(OpCode::DELETE, RECORD),
            &[&[Bits::DELETE_HANDLE]],
        ),
        operation(
            "list",
            plain.named(OpCode::LIST_HANDLES, PREFIX),
            &[&[Bits::LIST_HANDLES]],
        ),
        operation(
            "create over",
            write_over,
            &[
                &[
                    Bits::ADD_VALUE,
                    Bits::MODIFY_VALUE,
                    Bits::REMOVE_VALUE,
                    Bits::MODIFY_ADMIN,
                    Bits::REMOVE_ADMIN,
                ],
                &[Bits::DELETE_HANDLE, Bits::ADD_HANDLE],
            ],
        ),
    ]
}

fn on_values() -> Vec<Operation> {
    let over = request_by(0, OpFlags::DEFAULT.with(OpFlags::OVERWRITE));
    let all = request_by(0, OpFlags::DEFAULT.without(OpFlags::PUBLIC_ONLY));
    let add_over = over.write(OpCode::ADD_VALUE, RECORD, &[url(1), url(9)]);
    let read = all.resolve(RECORD, &[2], &[""; 0]);
    let add = write(OpCode::ADD_VALUE, &[url(9)]);
    let modify = write(OpCode::MODIFY_VALUE, &[url(1)]);
    vec![
        operation("add", add, &[&[Bits::ADD_VALUE]]),
        operation(
            "add over",
            add_over,
            &[&[Bits::ADD_VALUE, Bits::MODIFY_VALUE]],
        ),
        operation("modify", modify, &[&[Bits::MODIFY_VALUE]]),
        operation("remove", remove(&[1]), &[&[Bits::REMOVE_VALUE]]),
        operation("read", read, &[&[Bits::READ_VALUE]]),
    ]
}

fn on_administrators() -> Vec<Operation> {
    let add = write(OpCode::ADD_VALUE, &[chief(109)]);
    let modify = |value| write(OpCode::MODIFY_VALUE, &[value]);
    let make: &[&[Bits]] = &[&[Bits::MODIFY_VALUE, Bits::ADD_ADMIN]];
    let unmake: &[&[Bits]] = &[&[Bits::REMOVE_ADMIN, Bits::MODIFY_VALUE]];
    let both: &[&[Bits]] = &[&[Bits::REMOVE_VALUE, Bits::REMOVE_ADMIN]];
    vec![
        operation("add admin", add, &[&[Bits::ADD_VALUE, Bits::ADD_ADMIN]]),
        operation("modify admin", modify(chief(101)), &[&[Bits::MODIFY_ADMIN]]),
        operation("make admin", modify(chief(1)), make),
        operation("unmake admin", modify(url(101)), unmake),
        operation("remove admin", remove(&[101]), &[&[Bits::REMOVE_ADMIN]]),
        operation("remove both", remove(&[1, 101]), both),
    ]
}

fn state(data: &str) -> Value {
    StateData::decode(data.as_bytes()).unwrap().to_value()
}

fn withdrawn() -> Value {
    state(r#"{"state":"withdrawn","reason":"scrapped"}"#)
}

fn on_states() -> Vec<Operation> {
    let reserved = state(r#"{"state":"reserved"}"#);
    let over = request_by(0, OpFlags::DEFAULT.with(OpFlags::OVERWRITE));
    let with_another = write(OpCode::ADD_VALUE, &[withdrawn(), url(9)]);
    let withdraw: &[&[Bits]] = &[&[Bits::DELETE_HANDLE], &[Bits::MODIFY_VALUE]];
    vec![
        operation(
            "withdraw",
            write(OpCode::ADD_VALUE, &[withdrawn()]),
            withdraw,
        ),
        operation(
            "withdraw over",
            over.write(OpCode::ADD_VALUE, RECORD, &[withdrawn()]),
            withdraw,
        ),
        operation(
            "reserve",
            write(OpCode::ADD_VALUE, &[reserved]),
            &[&[Bits::MODIFY_VALUE]],
        ),
        operation(
            "withdraw and more",
            with_another,
            &[&[Bits::ADD_VALUE, Bits::MODIFY_VALUE]],
        ),
    ]
}

/// The thing in a state, with these permissions for its administrators.
fn in_state(bits: Bits, state: Value) -> Node {
    let mut node = Node::new(bits);
    let key = RECORD.to_ascii_uppercase();
    node.records.get_mut(&key).unwrap().push(state);
    node
}

const OWNER: Option<&str> = Some("88.118.5/owner");

#[test]
fn record_is_published_by_whoever_may_change_or_remove_values() {
    for (bits, code) in [
        (Bits::MODIFY_VALUE, 1),
        (Bits::REMOVE_VALUE, 1),
        (Bits::DELETE_HANDLE, 400),
        (Bits::ADD_VALUE, 400),
    ] {
        let mut node = in_state(bits, withdrawn());
        assert_eq!(
            node.ask(&remove(&[1_900]), OWNER),
            (code, code == 1),
            "{bits}"
        );
    }
}

#[test]
fn withdrawn_name_is_not_given_again_until_it_is_published() {
    let mut node = in_state(Bits::ALL, withdrawn());
    let over = request_by(0, OpFlags::DEFAULT.with(OpFlags::OVERWRITE));
    let create = write(OpCode::CREATE, &[url(1)]);
    let write_over = over.write(OpCode::CREATE, RECORD, &[url(1), chief(100)]);
    assert_eq!(node.ask(&create, OWNER), (101, false));
    assert_eq!(node.ask(&write_over, OWNER), (101, false));
    assert_eq!(node.ask(&remove(&[1_900]), OWNER), (1, true));
    assert_eq!(node.ask(&write_over, OWNER), (1, true));
}

#[test]
fn administrators_read_what_the_public_does_not_and_others_learn_nothing() {
    let all = request_by(0, OpFlags::DEFAULT.without(OpFlags::PUBLIC_ONLY));
    let read = all.resolve(RECORD, &[], &[""; 0]);
    for state in [withdrawn(), state(r#"{"state":"reserved"}"#)] {
        let mut node = in_state(Bits::READ_VALUE, state.clone());
        assert_eq!(node.ask(&read, OWNER), (1, false));
        assert_eq!(node.ask(&read, Some("88.118.5/other")), (100, false));
        let mut node = in_state(Bits::ADD_VALUE, state);
        assert_eq!(node.ask(&read, OWNER), (100, false));
    }
}

#[test]
fn stranger_cannot_tell_a_reserved_record_from_none_by_changing_it() {
    let mut node = in_state(Bits::ALL, state(r#"{"state":"reserved"}"#));
    let key = RECORD.to_ascii_uppercase();
    node.records.get_mut(&key).unwrap()[3].permissions = Permissions(0xf);
    let modify = write(OpCode::MODIFY_VALUE, &[url(1)]);
    assert_eq!(node.ask(&modify, None), (402, false));
    let other = Some("88.118.5/other");
    assert_eq!(node.ask(&modify, other), (100, false));
    let delete = request_by(0, OpFlags::DEFAULT).named(OpCode::DELETE, RECORD);
    assert_eq!(node.ask(&delete, other), (100, false));
}

#[test]
fn deletion_withdraws_where_the_operator_says_so_unless_the_client_insists() {
    let delete = |flags| request_by(0, flags).named(OpCode::DELETE, RECORD);
    let plain = delete(OpFlags::DEFAULT);
    let mut node = Node::new(Bits::DELETE_HANDLE);
    node.rules.on_delete = OnDelete::Withdraw;
    assert_eq!(node.ask(&plain, OWNER), (1, true));
    let key = RECORD.to_ascii_uppercase();
    let state = node.records[&key].last().unwrap();
    let text = r#"{"state":"withdrawn","reason":"deleted","since":"1970-01-01T00:16:40Z"}"#;
    assert_eq!(state.text(), Some(text));
    // What is deleted is deleted.
    assert_eq!(node.ask(&plain, OWNER), (100, false));
    let insisting = delete(OpFlags::DEFAULT.with(OpFlags::OVERWRITE));
    assert_eq!(node.ask(&insisting, OWNER), (1, true));
    assert!(!node.records.contains_key(&key));
    let mut node = Node::new(Bits::DELETE_HANDLE);
    assert_eq!(node.ask(&plain, OWNER), (1, true));
    assert!(!node.records.contains_key(&key));
}

fn union(bits: &[Bits]) -> Bits {
    bits.iter()
        .fold(Bits::default(), |all, bit| all.union(*bit))
}

/// Sets of permissions at whose edges something could be wrong: none, each alone, all but each,
/// all, and for the operation exactly what it needs, and that less each.
fn sets(operation: &Operation) -> Vec<Bits> {
    let each = Bits::NAMES.map(|(bit, _)| bit);
    let without = |set: Bits, bit: Bits| AdminPermissions(set.0 & !bit.0);
    let mut sets = vec![Bits::default(), Bits::ALL];
    sets.extend(each);
    sets.extend(each.map(|bit| without(Bits::ALL, bit)));
    for needed in operation.needs {
        sets.push(union(needed));
        sets.extend(needed.iter().map(|bit| without(union(needed), *bit)));
    }
    sets
}

#[test]
fn operation_succeeds_exactly_with_the_permissions_of_the_table() {
    for operation in operations() {
        for bits in sets(&operation) {
            let is_enough = operation
                .needs
                .iter()
                .any(|needed| bits.contains(union(needed)));
            for (user, may) in [
                (Some("88.118.5/owner"), is_enough),
                (Some("88.118.5/member"), is_enough),
                (Some("88.118.5/other"), false),
                (Some("88.118.5/nobody"), false),
                (None, false),
            ] {
                let mut node = Node::new(bits);
                let (code, is_changed) = node.ask(&operation.request, user);
                let expected = match (may, user) {
                    (true, _) => 1,
                    (false, None) => 402,
                    (false, Some("88.118.5/nobody")) => 403,
                    (false, _) => 400,
                };
                let what = format!("{} with {bits} by {user:?}", operation.name);
                assert_eq!(code, expected, "{what}");
                assert!(may || !is_changed, "{what}");
                if let (true, Some(warrant)) = (is_changed, &node.warrant) {
                    check_warrant(warrant, &operation, user, &what);
                }
            }
        }
    }
}

/// The warrant names who asks, the value that names him or his group, and one of the sets of
/// permissions that do.
#[track_caller]
fn check_warrant(warrant: &Warrant, operation: &Operation, user: Option<&str>, what: &str) {
    let by = warrant.by.as_ref().map(|by| by.handle.as_str());
    assert_eq!(by, user, "{what}");
    let Right::Administrator(used) = &warrant.right else {
        panic!("{what}: {warrant:?}")
    };
    let is_member = user == Some("88.118.5/member");
    for used in used {
        let through: Vec<String> = used.through.iter().map(Reference::to_string).collect();
        match is_member {
            true => assert_eq!(
                (used.index, &through[..]),
                (101, &["200:88.118.5/group".to_owned()][..])
            ),
            false => assert_eq!((used.index, &through[..]), (100, &[][..]), "{what}"),
        }
        let of_prefix = Bits::ADD_HANDLE.union(Bits::ADD_DERIVED_PREFIX);
        let record = match of_prefix.contains(used.permissions) {
            true => PREFIX,
            false => RECORD,
        };
        assert_eq!(used.record.as_str(), record, "{what}");
    }
    let permissions = union(&used.iter().map(|used| used.permissions).collect::<Vec<_>>());
    let mut sets = operation.needs.iter();
    assert!(
        sets.any(|needs| union(needs) == permissions),
        "{what}: {permissions}"
    );
}

#[test]
fn server_administrator_with_full_access_needs_no_permission() {
    for operation in operations() {
        let mut node = Node::new(Bits::default());
        node.rules.server_admins = vec!["300:88.118.5/other".parse().unwrap()];
        let (code, _) = node.ask(&operation.request, Some("88.118.5/other"));
        assert_eq!(code, 400, "{}", operation.name);
        node.rules.server_admin_full_access = true;
        let (code, _) = node.ask(&operation.request, Some("88.118.5/owner"));
        assert_eq!(code, 400, "{}", operation.name);
        let (code, _) = node.ask(&operation.request, Some("88.118.5/other"));
        assert_eq!(code, 1, "{}", operation.name);
        if let Some(warrant) = node.warrant {
            assert_eq!(warrant.right, Right::FullAccess, "{}", operation.name);
        }
    }
}

#[test]
fn open_node_asks_nobody_who_he_is_but_for_what_is_not_public() {
    for operation in operations() {
        let mut node = Node::new(Bits::default());
        node.rules.anonymous_admin_full_access = true;
        if operation.name == "list" {
            // The shell sends the list; there is no reply yet.
            continue;
        }
        let (code, _) = node.ask(&operation.request, None);
        let expected = match operation.name {
            "read" => 402,
            _ => 1,
        };
        assert_eq!(code, expected, "{}", operation.name);
        if let Some(warrant) = node.warrant {
            let Warrant { by, right } = &*warrant;
            assert_eq!((by, right), (&None, &Right::OpenNode), "{}", operation.name);
        }
    }
}

#[test]
fn value_that_is_open_to_all_is_changed_without_a_proof() {
    let mut node = Node::new(Bits::default());
    let thing = node.records.get_mut(&RECORD.to_ascii_uppercase()).unwrap();
    let url = thing.iter_mut().find(|value| value.index == 1).unwrap();
    url.permissions = Permissions(0x0f);
    let plain = request_by(0, OpFlags::DEFAULT);
    let modify = |index| {
        plain.write(
            OpCode::MODIFY_VALUE,
            RECORD,
            &[Value::new(index, "URL", "by anybody")],
        )
    };
    assert_eq!(node.ask(&modify(2), None), (402, false));
    assert_eq!(node.ask(&modify(77), None), (402, false));
    assert_eq!(node.ask(&modify(1), None), (1, true));
    let warrant = node.warrant.take().unwrap();
    let Warrant { by, right } = &*warrant;
    assert_eq!((by, right), (&None, &Right::OpenValues));
    // The new value is not open any more.
    assert_eq!(node.ask(&modify(1), None), (402, false));
}

#[test]
fn value_without_admin_write_is_changed_by_nobody() {
    let mut node = Node::new(Bits::ALL);
    let thing = node.records.get_mut(&RECORD.to_ascii_uppercase()).unwrap();
    let url = thing.iter_mut().find(|value| value.index == 1).unwrap();
    url.permissions = Permissions(Permissions::PUBLIC_READ);
    let plain = request_by(0, OpFlags::DEFAULT);
    let modify = plain.write(OpCode::MODIFY_VALUE, RECORD, &[Value::new(1, "URL", "new")]);
    assert_eq!(node.ask(&modify, Some("88.118.5/owner")), (401, false));
    assert_eq!(node.ask(&modify, Some("88.118.5/other")), (400, false));
}

#[test]
fn nothing_is_told_of_what_exists_before_it_is_known_who_asks() {
    let plain = request_by(0, OpFlags::DEFAULT);
    let remove = |name: &str, index| {
        let body = Writer::to_vec(|w| {
            w.bytes(name.as_bytes());
            w.i32_array(&[index]);
        });
        plain.packet(OpCode::REMOVE_VALUE, &body)
    };
    let value = [Value::new(1, "URL", "new")];
    for request in [
        plain.write(OpCode::CREATE, RECORD, &value),
        plain.write(OpCode::CREATE, "88.118.5/new", &value),
        plain.write(OpCode::ADD_VALUE, RECORD, &value),
        plain.write(OpCode::MODIFY_VALUE, "88.118.5/missing", &value),
        plain.named(OpCode::DELETE, "88.118.5/missing"),
        plain.named(OpCode::DELETE, RECORD),
        remove(RECORD, 1),
        remove(RECORD, 77),
        remove("88.118.5/missing", 1),
    ] {
        assert_eq!(Node::new(Bits::ALL).ask(&request, None), (402, false));
    }
}

#[test]
fn secret_keys_and_values_that_nobody_may_read_stay_here() {
    let mut node = Node::new(Bits::ALL);
    let thing = node.records.get_mut(&RECORD.to_ascii_uppercase()).unwrap();
    thing.push(secret_key());
    thing.push(Value {
        permissions: Permissions(Permissions::ADMIN_WRITE),
        ..Value::new(4, "NOTE", "for nobody")
    });
    let all = request_by(0, OpFlags::DEFAULT.without(OpFlags::PUBLIC_ONLY));
    let read = |indexes: &[i32]| all.resolve(RECORD, indexes, &[""; 0]);
    for indexes in [[300], [4]] {
        let found = node.ask(&read(&indexes), Some("88.118.5/owner"));
        assert_eq!(found, (401, false), "{indexes:?}");
    }
    assert_eq!(node.ask(&read(&[77]), Some("88.118.5/owner")), (200, false));
    let (code, _) = node.ask(&read(&[]), Some("88.118.5/owner"));
    assert_eq!(code, 1);
}

#[test]
fn write_that_fails_is_told_by_its_own_code() {
    let plain = request_by(0, OpFlags::DEFAULT);
    let delete = plain.named(OpCode::DELETE, RECORD);
    for (written, code) in [
        (Written::Busy, 3),
        (Written::Conflict, 3),
        (Written::NotAdmitted("another node is primary".into()), 7),
        (Written::Unconfirmed("no mirror has it yet".into()), 2),
        (Written::Unfit("too long".into()), 202),
        (Written::Failed, 2),
    ] {
        let mut node = Node::new(Bits::ALL);
        node.written = Some(written.clone());
        let found = node.ask(&delete, Some("88.118.5/owner"));
        assert_eq!(found, (code, false), "{written:?}");
    }
}
