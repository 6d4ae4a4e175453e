//! The grant matrix: who sees and writes which fields of a registration, by every protocol alike.
//!
//! Templates, rules and callers are random. What each protocol shows and lets write is compared
//! with a small oracle that knows nothing of the engine. A protocol is one row of [`READING`], and
//! one of [`WRITING`] if fields are changed one by one there.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use guantong_core::admin::{Confirm, Presented, StoredRecord};
use guantong_core::grant::{Rule, Subject};
use guantong_core::template::{Definition, Extent, State, Template};
use guantong_proto::data::{Admin, AdminPermissions, List};
use guantong_proto::json::ValueForm;
use guantong_proto::message::{
    Body as NativeBody, Envelope, Message, OpCode, OpFlags, RequestBuilder, Response, Version,
};
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, Permissions, Reference, Value, Values};
use guantong_store::{Batch, Change, Expect, Origin, Trail};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tower::ServiceExt;

use super::change::basic;
use super::secure;
use crate::config;
use crate::errand::{Confirmed, FoundRecord, KeySource, Task};
use crate::http::inside;
use crate::init::{InitOptions, init};
use crate::listen::Peer;
use crate::metrics::Transport;
use crate::node::{Node, Via};

const CASE: CaseRule = CaseRule::Insensitive;
const TEMPLATE: &str = "88.118.5/META_matrix";
const THING: &str = "88.118.5/matrix";
const SECRET: &str = "a secret of some length";
const FIELDS: [&str; 4] = ["a", "b", "c", "d"];
/// Whom grants may name.
const SUBJECTS: [&str; 7] = [
    "everybody",
    "300:88.118.5/App_a",
    "0:88.118.5/App_b",
    "301:88.118.5/App_a",
    "200:88.118.5/Group_local",
    "200:88.99.1/Group_foreign",
    "200:88.99.1/Group_absent",
];
/// Who asks; `None` is nobody in particular.
const CALLERS: [Option<&str>; 5] = [
    None,
    Some("88.118.5/App_a"),
    Some("88.118.5/App_b"),
    Some("88.118.5/App_c"),
    Some("88.118.5/owner"),
];

//----------- The table ------------------------------------------------------

type Told<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A protocol: its name, and the names of the fields that it shows to a caller.
struct Reading {
    name: &'static str,
    shows: for<'a> fn(&'a Place, Option<&'a str>) -> Told<'a, BTreeSet<String>>,
}

const READING: [Reading; 6] = [
    Reading {
        name: "native",
        shows: |place, caller| Box::pin(native(place, caller)),
    },
    Reading {
        name: "/api/handles",
        shows: |place, caller| Box::pin(handles(place, caller)),
    },
    Reading {
        name: "/api/v2",
        shows: |place, caller| Box::pin(v2(place, caller)),
    },
    Reading {
        name: "/api/v1",
        shows: |place, caller| Box::pin(v1(place, caller)),
    },
    Reading {
        name: "/identityv2",
        shows: |place, caller| Box::pin(snms(place, caller)),
    },
    Reading {
        name: "console",
        shows: |place, caller| Box::pin(console(place, caller)),
    },
];

/// A protocol: its name, and whether it lets a caller write the field of that number.
struct Writing {
    name: &'static str,
    writes: for<'a> fn(&'a Place, Option<&'a str>, usize) -> Told<'a, bool>,
}

const WRITING: [Writing; 3] = [
    Writing {
        name: "native",
        writes: |place, caller, field| Box::pin(native_writes(place, caller, field)),
    },
    Writing {
        name: "/api/handles",
        writes: |place, caller, field| Box::pin(handles_write(place, caller, field)),
    },
    Writing {
        name: "/api/v2",
        writes: |place, caller, field| Box::pin(v2_writes(place, caller, field)),
    },
];

async fn native(place: &Place, caller: Option<&str>) -> BTreeSet<String> {
    let flags = match caller {
        None => OpFlags::DEFAULT,
        Some(_) => OpFlags::DEFAULT.without(OpFlags::PUBLIC_ONLY),
    };
    let packet = request(flags).resolve(THING, &[], &[""; 0]);
    let via = Via {
        transport: Transport::Tcp,
        peer: secure().address,
        by_console: false,
    };
    let reply = match caller {
        None => {
            let mut reply = Vec::new();
            assert!(place.node.answer(&packet, via, &mut reply).is_none());
            reply
        }
        Some(_) => place.carry(packet, caller).await,
    };
    let message = Message::decode(&reply).unwrap();
    match Response::of(&message).unwrap().body {
        NativeBody::Record { values, .. } => fields(&values.to_vec().unwrap()),
        _ => BTreeSet::new(),
    }
}

fn request(flags: OpFlags) -> RequestBuilder {
    RequestBuilder {
        envelope: Envelope::new(Version::OURS, 7),
        flags,
        expiration: u32::MAX,
    }
}

/// Another value of a field, with the permissions that it has.
fn other(place: &Place, field: usize) -> Value {
    let handle = Handle::parse(THING).unwrap();
    let record = place.node.store.record(handle.borrow()).unwrap().unwrap();
    let index = 2_000 + i32::try_from(field).unwrap();
    let value = record.values().iter().find(|value| value.index == index);
    Value {
        data: b"y".to_vec(),
        ..value.unwrap().to_value().unwrap()
    }
}

async fn native_writes(place: &Place, caller: Option<&str>, field: usize) -> bool {
    let value = other(place, field);
    let packet = request(OpFlags::DEFAULT).write(OpCode::MODIFY_VALUE, THING, &[value]);
    let reply = place.carry(packet, caller).await;
    Message::decode(&reply).unwrap().header.code.is_success()
}

async fn handles_write(place: &Place, caller: Option<&str>, field: usize) -> bool {
    let value = other(place, field);
    let path = format!("/api/handles/{THING}?index={}&dryRun=true", value.index);
    let body = serde_json::json!({ "values": [ValueForm::from(&value)] });
    place
        .send(Method::PUT, &path, caller, &body.to_string())
        .await["wouldBe"]
        == "changed"
}

async fn v2_writes(place: &Place, caller: Option<&str>, field: usize) -> bool {
    let path = format!("/api/v2/registrations/{THING}?dryRun=true");
    let body = serde_json::json!({ "fields": { FIELDS[field]: "y" } });
    place
        .send(Method::PATCH, &path, caller, &body.to_string())
        .await["dryRun"]
        == true
}

fn fields(values: &[Value]) -> BTreeSet<String> {
    assert!(values.iter().all(|value| value.kind != "HS_SECKEY"));
    let fields = values
        .iter()
        .filter(|value| (2_000..10_000).contains(&value.index));
    fields.map(|value| value.kind.clone()).collect()
}

async fn handles(place: &Place, caller: Option<&str>) -> BTreeSet<String> {
    let json = place.get(&format!("/api/handles/{THING}"), caller).await;
    let values = json["values"].as_array().cloned().unwrap_or_default();
    let fields = values.iter().filter_map(|value| {
        let is_field = value["index"]
            .as_i64()
            .is_some_and(|i| (2_000..10_000).contains(&i));
        is_field.then(|| value["type"].as_str().unwrap().to_owned())
    });
    fields.collect()
}

/// Whether it is told that fields were left out.
async fn withheld(place: &Place, caller: Option<&str>) -> bool {
    let indexes = (2_000..).take(FIELDS.len());
    let indexes: Vec<String> = indexes.map(|index| format!("index={index}")).collect();
    let path = format!("/api/handles/{THING}?{}", indexes.join("&"));
    let json = place.get(&path, caller).await;
    assert!(
        json["withheld"].is_null() || json["withheld"] == true,
        "{json}"
    );
    json["withheld"] == true
}

async fn v2(place: &Place, caller: Option<&str>) -> BTreeSet<String> {
    let json = place
        .get(&format!("/api/v2/registrations/{THING}"), caller)
        .await;
    let fields = json["fields"].as_object().cloned().unwrap_or_default();
    let shown: BTreeSet<String> = fields.keys().cloned().collect();
    if json["fields"].is_object() {
        assert_eq!(
            json["withheld"] == true,
            shown.len() < FIELDS.len(),
            "{json}"
        );
    }
    shown
}

async fn v1(place: &Place, caller: Option<&str>) -> BTreeSet<String> {
    let operation = "0.DOIP%2FOp.Retrieve";
    let path = format!("/api/v1/doip?targetId={THING}&operationId={operation}");
    let json = place.get(&path, caller).await;
    let elements = &json["data"]["attributes"]["elements"];
    names_in(elements, "type")
}

async fn snms(place: &Place, caller: Option<&str>) -> BTreeSet<String> {
    let json = place
        .get(&format!("/identityv2/data/detail?handle={THING}"), caller)
        .await;
    names_in(&json["data"]["value"], "type")
}

/// The page of the record, whose table of values and whose list of fields show the same.
async fn console(place: &Place, caller: Option<&str>) -> BTreeSet<String> {
    let page = place.page(&format!("/record?handle={THING}"), caller).await;
    let between = |begin: &str, end: &str| {
        let parts = page.split(begin).skip(1);
        let names = parts.filter_map(|part| part.split(end).next());
        let fields = names.filter(|name| FIELDS.contains(name));
        fields.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let values = between("<td class=\"type\">", "</td>");
    assert_eq!(values, between("<dt>", "</dt>"), "{page}");
    values
}

/// The names of fields among the elements of a list.
fn names_in(list: &serde_json::Value, part: &str) -> BTreeSet<String> {
    let list = list.as_array().cloned().unwrap_or_default();
    let names = list.iter().filter_map(|one| one[part].as_str());
    let fields = names.filter(|name| FIELDS.contains(name));
    fields.map(str::to_owned).collect()
}

//----------- Place ----------------------------------------------------------

struct Place {
    node: Arc<Node>,
    _folder: tempfile::TempDir,
}

/// The network, which has one group.
struct Network;

impl KeySource for Network {
    fn record(&self, handle: Handle) -> FoundRecord {
        Box::pin(async move {
            let group = group(&["88.118.5/App_b", "88.118.5/App_a"]);
            match handle.key(CASE) == Handle::parse("88.99.1/Group_foreign").unwrap().key(CASE) {
                true => Ok(Some(StoredRecord::new(handle, 0, &wire(&[group])).unwrap())),
                false => Err("nobody answers".to_owned()),
            }
        })
    }

    fn confirm(&self, _: Confirm) -> Confirmed {
        Box::pin(async { Err("nobody answers".to_owned()) })
    }
}

fn wire(values: &[Value]) -> Vec<u8> {
    Writer::to_vec(|w| Values::encode(values, w))
}

fn group(members: &[&str]) -> Value {
    let member = |handle: &&str| Reference {
        handle: (*handle).to_owned(),
        index: 300,
    };
    let list = List(members.iter().map(member).collect());
    Value::new(200, "HS_VLIST", list.encode())
}

fn put(name: &str, values: &[Value]) -> Change {
    Change::Put {
        handle: Handle::parse(name).unwrap(),
        values: wire(values),
        expect: Expect::Anything,
    }
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("node");
        let options = InitOptions {
            prefix: Some("88.118.5".to_owned()),
            ..InitOptions::default()
        };
        init(&dir, &options).unwrap();
        let mut config = config::load(&dir).unwrap();
        config.compatible.doip = true;
        config.compatible.snms = true;
        let place = Self {
            node: Node::open(config).unwrap(),
            _folder: folder,
        };
        place.node.set_key_source(Network);
        let key = Value {
            permissions: Permissions(Permissions::ADMIN_READ),
            ..Value::new(300, "HS_SECKEY", SECRET)
        };
        let mut changes = vec![put("88.118.5/Group_local", &[group(&["88.118.5/App_b"])])];
        for user in CALLERS.iter().flatten() {
            changes.push(put(user, std::slice::from_ref(&key)));
        }
        place.submit(changes);
        place
    }

    fn submit(&self, changes: Vec<Change>) {
        let batch = Batch {
            changes,
            at_ms: 0,
            origin: Origin::Operator,
            trail: Trail::default(),
        };
        self.node.store.submit(batch).wait().unwrap();
    }

    async fn get(&self, path: &str, caller: Option<&str>) -> serde_json::Value {
        self.send(Method::GET, path, caller, "").await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        caller: Option<&str>,
        body: &str,
    ) -> serde_json::Value {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("content-type", "application/json");
        if let Some(user) = caller {
            request = request.header("authorization", basic(user, SECRET));
        }
        let mut request = request.body(Body::from(body.to_owned())).unwrap();
        request.extensions_mut().insert(secure());
        let router = crate::http::router(self.node.clone());
        let response = router.oneshot(request).await.unwrap();
        let body = to_bytes(response.into_body(), 1_000_000).await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// A page of the console, as the browser of somebody who has signed in gets it.
    async fn page(&self, target: &str, caller: Option<&str>) -> String {
        let peer = Peer {
            address: ([127, 0, 0, 1], 50_000).into(),
            secure: false,
            console: true,
        };
        let mut request = Request::get(target).header("host", "127.0.0.1:8080");
        if let Some(user) = caller {
            let user = format!("300:{user}");
            let token = inside::sign_in(&self.node, peer.address, &user, SECRET).await;
            let token = token.unwrap();
            request = request.header("cookie", format!("guantong_session={}", token.as_str()));
        }
        let request = request.extension(peer).body(Body::empty()).unwrap();
        let response = crate::listen::console::router(self.node.clone()).oneshot(request);
        let body = to_bytes(response.await.unwrap().into_body(), 1_000_000).await;
        String::from_utf8(body.unwrap().to_vec()).unwrap()
    }

    /// The reply to a native request of somebody; nothing is written.
    async fn carry(&self, packet: Vec<u8>, caller: Option<&str>) -> Vec<u8> {
        let presented = caller.map(|user| Presented::Password {
            user: Handle::parse(user).unwrap(),
            index: 300,
            secret: SECRET.as_bytes().into(),
        });
        let task = Task {
            packet,
            presented,
            condition: None,
            is_rehearsal: true,
        };
        let via = Via {
            transport: Transport::Https,
            peer: secure().address,
            by_console: false,
        };
        self.node.carry_out(task, via).await.reply
    }

    /// Puts the world of a case into the store.
    fn set(&self, case: &Case) {
        let template = case.template();
        let said = FIELDS
            .map(|name| (name.to_owned(), "x".into()))
            .into_iter()
            .collect();
        let given = template.check(&said, Extent::Whole).unwrap();
        let admin = Admin::new(AdminPermissions::ALL, "88.118.5/owner", 300).encode();
        let mut thing = vec![Value::new(100, "HS_ADMIN", admin)];
        thing.extend(template.values(&given, CASE));
        thing.extend(case.own.iter().map(|readers| rule(readers).to_value(1_003)));
        let mut form = template.to_values(CASE);
        let rules = (20_000..).zip(&case.class);
        form.extend(
            rules.filter_map(|(index, readers)| Some(rule(readers.as_ref()?).to_value(index))),
        );
        self.submit(vec![put(TEMPLATE, &form), put(THING, &thing)]);
    }
}

fn rule((readers, writers): &Named) -> Rule {
    let subjects = |named: &[usize]| {
        let named = named
            .iter()
            .map(|at| SUBJECTS[*at].parse::<Subject>().unwrap());
        named.collect()
    };
    Rule {
        readers: subjects(readers),
        writers: subjects(writers),
    }
}

//----------- Cases ----------------------------------------------------------

/// Who reads and who writes, by their places among the subjects.
type Named = (Vec<usize>, Vec<usize>);

/// Which fields everybody reads by the definition, and who is named by which rule.
#[derive(Clone, Debug)]
struct Case {
    open: [bool; 4],
    class: [Option<Named>; 4],
    own: Option<Named>,
    searchable: bool,
}

impl Case {
    fn template(&self) -> Template {
        let fields = FIELDS.iter().zip(self.open).map(|(name, is_open)| {
            serde_json::json!({
                "name": name, "kind": {"type": "text"}, "searchable": self.searchable,
                "readers": if is_open { "everybody" } else { "administrators" },
            })
        });
        let fields: Vec<_> = fields.collect();
        let definition = serde_json::json!({"title": "t", "fields": fields});
        let definition: Definition = serde_json::from_value(definition).unwrap();
        let handle = Handle::parse(TEMPLATE).unwrap();
        Template::draft(handle, definition)
            .unwrap()
            .turn(State::Published)
            .unwrap()
    }

    /// What a caller is to see, and to write: nothing here knows how it is found out.
    fn oracle(&self, caller: Option<&str>) -> (BTreeSet<String>, BTreeSet<String>) {
        let names = |subject: &usize| match (SUBJECTS[*subject], caller) {
            ("everybody", _) => true,
            (_, None) => false,
            ("300:88.118.5/App_a", Some(user)) => user.ends_with("App_a"),
            ("0:88.118.5/App_b" | "200:88.118.5/Group_local", Some(user)) => {
                user.ends_with("App_b")
            }
            ("200:88.99.1/Group_foreign", Some(user)) => {
                user.ends_with("App_a") || user.ends_with("App_b")
            }
            _ => false,
        };
        let may = |at: usize, of: fn(&Named) -> &Vec<usize>| {
            let rule = self.own.as_ref().or(self.class[at].as_ref());
            let is_named = rule.is_some_and(|rule| of(rule).iter().any(names));
            is_named || caller == Some("88.118.5/owner")
        };
        let named = |at: usize| FIELDS[at].to_owned();
        let fields = 0..FIELDS.len();
        let seen = fields
            .clone()
            .filter(|at| self.open[*at] || may(*at, |(readers, _)| readers));
        let written = fields.filter(|at| may(*at, |(_, writers)| writers));
        (seen.map(named).collect(), written.map(named).collect())
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let subjects = |first| proptest::collection::vec(first..SUBJECTS.len(), 0..3);
    // Everybody is the first, and never a writer.
    let rule = move || (subjects(0), subjects(1));
    let class = || proptest::option::weighted(0.6, rule());
    (
        any::<[bool; 4]>(),
        [class(), class(), class(), class()],
        proptest::option::weighted(0.4, rule()),
        any::<bool>(),
    )
        .prop_map(|(open, class, own, searchable)| Case {
            open,
            class,
            own,
            searchable,
        })
}

#[test]
fn every_protocol_gives_everybody_exactly_what_he_is_granted() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = {
        let _guard = runtime.enter();
        Place::new()
    };
    let config = ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let check = |case: Case| {
        place.set(&case);
        for caller in CALLERS {
            let (seen, written) = case.oracle(caller);
            for protocol in &READING {
                let shown = runtime.block_on((protocol.shows)(&place, caller));
                prop_assert_eq!(&shown, &seen, "{} to {:?}", protocol.name, caller);
            }
            let is_told = runtime.block_on(withheld(&place, caller));
            let is_part = !seen.is_empty() && seen.len() < FIELDS.len();
            prop_assert_eq!(is_told, is_part, "withheld to {:?}", caller);
            for protocol in &WRITING {
                for (at, field) in FIELDS.iter().enumerate() {
                    let may = runtime.block_on((protocol.writes)(&place, caller, at));
                    let is_right = may == written.contains(*field);
                    prop_assert!(is_right, "{} {field} of {:?}: {may}", protocol.name, caller);
                }
            }
        }
        Ok(())
    };
    TestRunner::new(config).run(&cases(), check).unwrap();
}
