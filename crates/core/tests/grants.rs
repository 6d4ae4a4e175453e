//! What somebody reads and writes who is named by a rule and is no administrator.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

use std::collections::BTreeMap;

use guantong_core::admin::{
    Challenge, Chance, Errand, Ground, Kept, Next, NoTables, Order, Presented, Right, Rules,
    StoredRecord, Write, Written,
};
use guantong_core::authority::{Demand, Homed, Moment, Recursion, Site};
use guantong_core::grant::Rule;
use guantong_core::template::{Definition, Template};
use guantong_proto::data::site::{Server, Site as SiteRecord};
use guantong_proto::data::{Admin, AdminPermissions, List};
use guantong_proto::message::{
    Body, Envelope, Message, OpCode, OpFlags, RequestBuilder, Response, Version,
};
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, Permissions, Reference, Value, Values};

const CASE: CaseRule = CaseRule::Insensitive;
const THING: &str = "88.1/thing";
const TEMPLATE: &str = "88.1/META_t";
const SECRET: &str = "a secret of some length";
const NONE: [&str; 0] = [];

//----------- Node -----------------------------------------------------------

struct Node {
    site: Site,
    records: BTreeMap<String, Vec<Value>>,
    /// What others answer for.
    elsewhere: BTreeMap<String, Vec<Value>>,
    right: Option<Right>,
}

fn private(index: i32, kind: &str, data: &str) -> Value {
    Value {
        permissions: Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE),
        ..Value::new(index, kind, data)
    }
}

fn rule(index: i32, readers: &[&str], writers: &[&str]) -> Value {
    let subjects = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    let rule = Rule {
        readers: subjects(readers),
        writers: subjects(writers),
    };
    rule.to_value(index)
}

fn group(members: &[&str]) -> Vec<Value> {
    let member = |handle: &&str| Reference {
        index: 300,
        handle: (*handle).to_owned(),
    };
    let list = List(members.iter().map(member).collect());
    vec![Value::new(200, "HS_VLIST", list.encode())]
}

fn template() -> Template {
    let definition: Definition = serde_json::from_str(
        r#"{"title":"t","fields":[
            {"name":"serial","unique":true,"kind":{"type":"text"}},
            {"name":"mass","kind":{"type":"number"}},
            {"name":"made","readers":"everybody","kind":{"type":"date"}},
            {"name":"note","kind":{"type":"text"}}]}"#,
    )
    .unwrap();
    let template = Template::draft(Handle::parse(TEMPLATE).unwrap(), definition).unwrap();
    template
        .turn(guantong_core::template::State::Published)
        .unwrap()
}

fn thing() -> Vec<Value> {
    let said = serde_json::json!({"serial": "A1", "mass": 7, "made": "2026-03-01"});
    let said = said.as_object().unwrap();
    let given = template()
        .check(said, guantong_core::template::Extent::Whole)
        .unwrap();
    let admin = Admin::new(AdminPermissions::ALL, "88.1/owner", 300);
    let mut values = vec![Value::new(100, "HS_ADMIN", admin.encode())];
    values.extend(template().values(&given, CASE));
    values
}

impl Node {
    /// The thing, with these rules in its template and in itself.
    fn new(class: &[Value], own: &[Value]) -> Self {
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
        let homed = [Handle::of_prefix("88.1").unwrap()];
        let site = Site::new(record.encode(), 1, CASE, Homed::new(&homed)).unwrap();
        let mut node = Self {
            site,
            records: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            right: None,
        };
        for user in ["88.1/owner", "88.1/App_a", "88.1/App_b"] {
            node.put(user, vec![private(300, "HS_SECKEY", SECRET)]);
        }
        node.put("88.1/Group_g", group(&["88.1/App_b"]));
        node.put(
            TEMPLATE,
            [template().to_values(CASE), class.to_vec()].concat(),
        );
        node.put(THING, [thing(), own.to_vec()].concat());
        let foreign = group(&["88.1/App_a"]);
        node.elsewhere.insert("88.2/GROUP_F".to_owned(), foreign);
        node
    }

    fn put(&mut self, name: &str, values: Vec<Value>) {
        self.records.insert(name.to_ascii_uppercase(), values);
    }

    /// The reply to a request of that user.
    fn ask(&mut self, packet: &[u8], user: &str) -> Vec<u8> {
        let presented = Presented::Password {
            user: Handle::parse(user).unwrap(),
            index: 300,
            secret: SECRET.as_bytes().into(),
        };
        let chance = Chance {
            suffix: [1; 16],
            nonce: [2; 16],
            seal: [3; 16],
            exponent: [4; 32],
        };
        let mut errand = Errand::of(Kept::new(packet).unwrap(), chance, Some(presented));
        let mut challenge = |_: Demand<'_>| Challenge {
            session_id: 9,
            nonce: [5; 16],
        };
        let mut moment = Moment {
            now_secs: 1_000,
            challenge: &mut challenge,
            recursion: Recursion::Denied,
        };
        let (rules, mut out) = (Rules::default(), Vec::new());
        loop {
            let ground = Ground {
                site: &self.site,
                rules: &rules,
                now_secs: 1_000,
                tables: &NoTables,
            };
            match errand.step(&ground, &mut moment, &mut out) {
                Next::Fetch(wanted) => {
                    let key = wanted.handle.key(CASE).to_string();
                    let found = match wanted.place {
                        guantong_core::admin::Place::Here => self.records.get(&key),
                        guantong_core::admin::Place::Elsewhere => self.elsewhere.get(&key),
                    };
                    match found {
                        None if key.ends_with("UNREACHABLE") => {
                            errand.fail(&self.site, &wanted, "no route".to_owned());
                        }
                        found => {
                            let record = found.map(|values| {
                                let wire = Writer::to_vec(|w| Values::encode(values, w));
                                StoredRecord::new(wanted.handle.clone(), 1, &wire).unwrap()
                            });
                            errand.learn(&self.site, &wanted, record);
                        }
                    }
                }
                Next::Write(order) => errand.written(self.write(order)),
                _ => return out,
            }
        }
    }

    fn write(&mut self, order: Order) -> Written {
        self.right = Some(order.warrant.right.clone());
        let Write::Put { handle, values, .. } = order.write else {
            panic!("nothing else is granted");
        };
        let values = Values::from_wire(&values).unwrap().to_vec().unwrap();
        self.put(handle.as_str(), values);
        Written::Done
    }

    /// The indexes that a user is shown, or the code of the refusal.
    fn reads(&mut self, user: &str, indexes: &[i32]) -> Result<Vec<i32>, i32> {
        self.reads_of(THING, user, indexes)
    }

    fn reads_of(&mut self, name: &str, user: &str, indexes: &[i32]) -> Result<Vec<i32>, i32> {
        let flags = OpFlags::DEFAULT.without(OpFlags::PUBLIC_ONLY);
        let reply = self.ask(&builder(flags).resolve(name, indexes, &NONE), user);
        let message = Message::decode(&reply).unwrap();
        match Response::of(&message).unwrap().body {
            Body::Record { values, .. } => Ok(values.iter().map(|value| value.index).collect()),
            _ => Err(message.header.code.0),
        }
    }

    /// The code of the reply to a change by `88.1/App_a`, and whether anything was changed.
    fn changes(&mut self, op: OpCode, flags: OpFlags, values: &[Value]) -> (i32, bool) {
        let before = self.records.clone();
        let packet = builder(flags).write(op, THING, values);
        let reply = self.ask(&packet, "88.1/App_a");
        let code = Message::decode(&reply).unwrap().header.code.0;
        (code, self.records != before)
    }
}

fn builder(flags: OpFlags) -> RequestBuilder {
    RequestBuilder {
        envelope: Envelope::new(Version::OURS, 1),
        flags,
        expiration: 9,
    }
}

//----------- Reading --------------------------------------------------------

const REFUSED: Result<Vec<i32>, i32> = Err(400);

#[test]
fn named_reader_sees_what_is_public_and_what_the_class_grants_him() {
    let mut node = Node::new(&[rule(20_001, &["300:88.1/App_a"], &[])], &[]);
    assert_eq!(
        node.reads("88.1/App_a", &[]),
        Ok(vec![100, 1_000, 1_001, 2_001, 2_002])
    );
    assert_eq!(node.reads("88.1/App_a", &[2_001]), Ok(vec![2_001]));
    assert_eq!(node.reads("88.1/App_a", &[2_000]), REFUSED);
    // Nobody has granted him anything: he gets what everybody gets.
    assert_eq!(
        node.reads("88.1/App_b", &[]),
        Ok(vec![100, 1_000, 1_001, 2_002])
    );
    assert_eq!(node.reads("88.1/App_b", &[2_001]), REFUSED);
    let all = vec![100, 1_000, 1_001, 2_000, 100_000, 2_001, 2_002];
    assert_eq!(node.reads("88.1/owner", &[]), Ok(all));
}

#[test]
fn own_rule_takes_the_place_of_the_class_rule() {
    let class = [rule(20_001, &["300:88.1/App_a"], &[])];
    let mut node = Node::new(&class, &[rule(1_003, &["0:88.1/App_b"], &[])]);
    assert_eq!(
        node.reads("88.1/App_a", &[]),
        Ok(vec![100, 1_000, 1_001, 2_002])
    );
    assert_eq!(node.reads("88.1/App_a", &[2_001]), REFUSED);
    let seen = vec![100, 1_000, 1_001, 2_000, 100_000, 2_001, 2_002];
    assert_eq!(node.reads("88.1/App_b", &[]), Ok(seen));
    assert_eq!(node.reads("88.1/App_b", &[1_003]), REFUSED);
    assert!(node.reads("88.1/owner", &[]).unwrap().contains(&1_003));
}

#[test]
fn member_of_a_group_is_named_wherever_the_group_is() {
    let local = rule(20_001, &["200:88.1/Group_g"], &[]);
    let foreign = rule(20_000, &["200:88.2/Group_f", "200:88.3/unreachable"], &[]);
    let mut node = Node::new(&[local, foreign], &[]);
    assert_eq!(node.reads("88.1/App_b", &[2_001]), Ok(vec![2_001]));
    assert_eq!(node.reads("88.1/App_b", &[2_000]), REFUSED);
    assert_eq!(
        node.reads("88.1/App_a", &[2_000, 100_000]),
        Ok(vec![2_000, 100_000])
    );
    assert_eq!(node.reads("88.1/App_a", &[2_001]), REFUSED);
}

#[test]
fn draft_is_read_by_whom_it_is_shared_with_and_a_reserved_thing_by_nobody() {
    let mut node = Node::new(&[], &[rule(1_003, &["300:88.1/App_a"], &[])]);
    let reserved = Value::new(1_900, "GT_STATE", r#"{"state":"reserved"}"#);
    let mut draft = [template().to_values(CASE), vec![reserved.clone()]].concat();
    draft.push(rule(1_003, &["300:88.1/App_a"], &[]));
    draft.push(rule(20_000, &["300:88.1/App_a"], &[]));
    node.put(TEMPLATE, draft);
    let seen = node.reads_of(TEMPLATE, "88.1/App_a", &[]).unwrap();
    assert!(
        seen.contains(&1) && seen.contains(&2_003) && !seen.contains(&1_003),
        "{seen:?}"
    );
    assert!(!seen.contains(&20_000));
    assert_eq!(node.reads_of(TEMPLATE, "88.1/App_b", &[]), Err(100));

    assert!(node.reads("88.1/App_a", &[]).is_ok());
    let own = rule(1_003, &["300:88.1/App_a"], &[]);
    node.put(THING, [thing(), vec![own, reserved]].concat());
    assert_eq!(node.reads("88.1/App_a", &[]), Err(100));
}

//----------- Writing --------------------------------------------------------

const OVER: OpFlags = OpFlags(OpFlags::DEFAULT.0 | OpFlags::OVERWRITE.0);

fn writable() -> Node {
    let me: &[&str] = &["300:88.1/App_a"];
    Node::new(
        &[
            rule(20_001, &[], me),
            rule(20_003, &[], me),
            rule(20_000, &[], me),
        ],
        &[],
    )
}

fn mass(data: &str) -> Value {
    private(2_001, "mass", data)
}

#[test]
fn named_writer_changes_his_fields_and_adds_them() {
    let mut node = writable();
    assert_eq!(
        node.changes(OpCode::MODIFY_VALUE, OpFlags::DEFAULT, &[mass("8")]),
        (1, true)
    );
    let Some(Right::Administrator(used)) = &node.right else {
        panic!("{:?}", node.right);
    };
    assert_eq!((used[0].record.as_str(), used[0].index), (TEMPLATE, 20_001));
    let note = private(2_003, "note", "new");
    assert_eq!(
        node.changes(
            OpCode::ADD_VALUE,
            OpFlags::DEFAULT,
            std::slice::from_ref(&note)
        ),
        (1, true)
    );
    // What he may not write may stand beside, as long as it stays and everybody knows it.
    let kept: Vec<Value> = thing().into_iter().filter(|v| v.index < 2_000).collect();
    let mut all = [kept, vec![mass("9"), note]].concat();
    assert_eq!(node.changes(OpCode::ADD_VALUE, OVER, &all), (1, true));
    all[1].data.push(b'x');
    assert_eq!(node.changes(OpCode::ADD_VALUE, OVER, &all), (400, false));
    let key = thing()
        .into_iter()
        .find(|value| value.index == 100_000)
        .unwrap();
    let moved = Value {
        data: [&key.data[..], b"2"].concat(),
        ..key
    };
    assert_eq!(
        node.changes(OpCode::MODIFY_VALUE, OpFlags::DEFAULT, &[moved]),
        (1, true)
    );
}

#[test]
fn named_writer_changes_nothing_else() {
    let me = ["300:88.1/App_a"];
    let admin = Admin::new(AdminPermissions::ALL, "88.1/App_a", 300).encode();
    let open = |value: Value| Value {
        permissions: Permissions(0x0f),
        ..value
    };
    let refused: Vec<(&str, Value)> = vec![
        ("another field", private(2_002, "made", "2026-03-02")),
        ("a grant", rule(1_003, &me, &me)),
        ("a class rule", rule(20_001, &me, &me)),
        (
            "an administrator",
            Value::new(101, "HS_ADMIN", admin.clone()),
        ),
        (
            "an administrator at a field",
            Value::new(2_003, "HS_ADMIN", admin),
        ),
        ("a secret", private(2_003, "HS_SECKEY", "x")),
        (
            "a state",
            Value::new(1_900, "GT_STATE", r#"{"state":"withdrawn"}"#),
        ),
        (
            "a template",
            Value::new(1_000, "GT_TEMPLATE.HANDLE", "88.1/META_x"),
        ),
        ("an address", private(2_003, "URL", "https://example.org/")),
        (
            "another type",
            private(2_001, "URL", "https://example.org/"),
        ),
        ("other readers", open(mass("8"))),
        ("writers", open(private(2_003, "note", "x"))),
        ("a field that is none", private(2_004, "more", "x")),
        (
            "a key of others",
            private(100_001, "GT_TEMPLATE.KEY", "template 0.NA/88.1"),
        ),
        ("no field", private(5, "note", "x")),
    ];
    for (what, value) in refused {
        for flags in [OVER, OpFlags::DEFAULT] {
            let mut node = writable();
            let (code, changed) =
                node.changes(OpCode::ADD_VALUE, flags, std::slice::from_ref(&value));
            assert!(code != 1 && !changed, "{what}: {code}");
            let with = [mass("8"), value.clone()];
            let (code, changed) = node.changes(OpCode::ADD_VALUE, OVER, &with);
            assert!(code != 1 && !changed, "{what} beside a field: {code}");
        }
    }
}

#[test]
fn named_writer_removes_nothing_and_does_not_write_the_record_over() {
    let mut node = writable();
    let body = Writer::to_vec(|w| {
        w.bytes(THING.as_bytes());
        w.i32_array(&[2_001]);
    });
    let default = || builder(OpFlags::DEFAULT);
    for packet in [
        default().packet(OpCode::REMOVE_VALUE, &body),
        default().named(OpCode::DELETE, THING),
        builder(OVER).write(OpCode::CREATE, THING, &thing()),
        default().write(OpCode::CREATE, "88.1/other", &[mass("1")]),
    ] {
        let before = node.records.clone();
        let reply = node.ask(&packet, "88.1/App_a");
        assert_eq!(Message::decode(&reply).unwrap().header.code.0, 400);
        assert_eq!(node.records, before);
    }
}

#[test]
fn reader_is_no_writer_and_a_writer_no_reader() {
    let class = rule(20_001, &["300:88.1/App_a"], &["300:88.1/App_b"]);
    let mut node = Node::new(&[class], &[]);
    assert_eq!(node.reads("88.1/App_b", &[2_001]), REFUSED);
    assert_eq!(
        node.changes(OpCode::MODIFY_VALUE, OpFlags::DEFAULT, &[mass("8")]),
        (400, false)
    );
}
