//! The grant matrix: who sees which fields of a registration, by every protocol alike.
//!
//! Templates, rules and callers are random. What each protocol shows is compared with a small
//! oracle that knows nothing of the engine. A protocol is one row of [`PROTOCOLS`].

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use guantong_core::admin::{Confirm, Presented, StoredRecord};
use guantong_core::grant::{Rule, Subject};
use guantong_core::template::{Definition, Extent, State, Template};
use guantong_proto::data::{Admin, AdminPermissions, List};
use guantong_proto::message::{
    Body as NativeBody, Envelope, Message, OpFlags, RequestBuilder, Response, Version,
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
use crate::init::{InitOptions, init};
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

type Shown<'a> = Pin<Box<dyn Future<Output = BTreeSet<String>> + Send + 'a>>;

/// A protocol: its name, and the names of the fields that it shows to a caller.
struct Protocol {
    name: &'static str,
    shows: for<'a> fn(&'a Place, Option<&'a str>) -> Shown<'a>,
}

const PROTOCOLS: [Protocol; 3] = [
    Protocol {
        name: "native",
        shows: |place, caller| Box::pin(native(place, caller)),
    },
    Protocol {
        name: "/api/handles",
        shows: |place, caller| Box::pin(handles(place, caller)),
    },
    Protocol {
        name: "/api/v2",
        shows: |place, caller| Box::pin(v2(place, caller)),
    },
];

async fn native(place: &Place, caller: Option<&str>) -> BTreeSet<String> {
    let flags = match caller {
        None => OpFlags::DEFAULT,
        Some(_) => OpFlags::DEFAULT.without(OpFlags::PUBLIC_ONLY),
    };
    let builder = RequestBuilder {
        envelope: Envelope::new(Version::OURS, 7),
        flags,
        expiration: u32::MAX,
    };
    let packet = builder.resolve(THING, &[], &[""; 0]);
    let via = Via {
        transport: Transport::Tcp,
        peer: secure().address,
    };
    let reply = match caller {
        None => {
            let mut reply = Vec::new();
            assert!(place.node.answer(&packet, via, &mut reply).is_none());
            reply
        }
        Some(user) => {
            let presented = Presented::Password {
                user: Handle::parse(user).unwrap(),
                index: 300,
                secret: SECRET.as_bytes().into(),
            };
            let task = Task {
                packet,
                presented: Some(presented),
                condition: None,
                is_rehearsal: false,
            };
            place.node.carry_out(task, via).await.reply
        }
    };
    let message = Message::decode(&reply).unwrap();
    match Response::of(&message).unwrap().body {
        NativeBody::Record { values, .. } => fields(&values.to_vec().unwrap()),
        _ => BTreeSet::new(),
    }
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
        let place = Self {
            node: Node::open(config::load(&dir).unwrap()).unwrap(),
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
        let mut request = Request::get(path);
        if let Some(user) = caller {
            request = request.header("authorization", basic(user, SECRET));
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(secure());
        let router = crate::http::router(self.node.clone());
        let response = router.oneshot(request).await.unwrap();
        let body = to_bytes(response.into_body(), 1_000_000).await.unwrap();
        serde_json::from_slice(&body).unwrap()
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

fn rule(readers: &[usize]) -> Rule {
    let subject = |at: &usize| SUBJECTS[*at].parse::<Subject>().unwrap();
    Rule {
        readers: readers.iter().map(subject).collect(),
        writers: Vec::new(),
    }
}

//----------- Cases ----------------------------------------------------------

/// Which fields everybody reads by the definition, and who is named by which rule.
#[derive(Clone, Debug)]
struct Case {
    open: [bool; 4],
    class: [Option<Vec<usize>>; 4],
    own: Option<Vec<usize>>,
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

    /// What a caller is to see: nothing here knows how it is found out.
    fn oracle(&self, caller: Option<&str>) -> BTreeSet<String> {
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
        let sees = |at: usize| {
            let rule = self.own.as_ref().or(self.class[at].as_ref());
            caller == Some("88.118.5/owner")
                || self.open[at]
                || rule.is_some_and(|rule| rule.iter().any(names))
        };
        let seen = (0..FIELDS.len()).filter(|at| sees(*at));
        seen.map(|at| FIELDS[at].to_owned()).collect()
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let rule = || proptest::collection::vec(0..SUBJECTS.len(), 0..3);
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
fn every_protocol_shows_to_everybody_exactly_what_he_is_granted() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = {
        let _guard = runtime.enter();
        Place::new()
    };
    let config = ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(&cases(), |case| {
            place.set(&case);
            for protocol in &PROTOCOLS {
                for caller in CALLERS {
                    let shown = runtime.block_on(async {
                        // Whoever may nothing else may what everybody may.
                        let mut shown = (protocol.shows)(&place, caller).await;
                        if shown.is_empty() {
                            shown = (protocol.shows)(&place, None).await;
                        }
                        shown
                    });
                    let what = (protocol.name, caller);
                    prop_assert_eq!(shown, case.oracle(caller), "{:?}", what);
                }
            }
            Ok(())
        })
        .unwrap();
}
