//! The permission matrix over HTTP: every operation, by every permission, asked by an
//! administrator, by a member of a group of administrators, by somebody else, and by nobody (6.4,
//! 8.1).
//!
//! The native half is `guantong-core`'s test `permissions`. Both must agree, because a request over
//! HTTP becomes the native one that means the same.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guantong_proto::data::{Admin, AdminPermissions as Bits, List};
use guantong_proto::json::ValueForm;
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Permissions, Reference, Value, Values};
use guantong_store::{Batch, Change, Expect, Origin, Trail};
use tower::ServiceExt;

use crate::config;
use crate::init::{InitOptions, init};
use crate::listen::Peer;
use crate::node::Node;

const THING: &str = "88.118.5/thing";
const NEW: &str = "88.118.5/new";
const DERIVED: &str = "0.NA/88.118.5.1";
const PREFIX: &str = "0.NA/88.118.5";
const SECRET: &str = "a secret of some length";

//----------- Place ----------------------------------------------------------

/// A node of its own, whose administrators are the question.
struct Place {
    node: Arc<Node>,
    asked: AtomicU32,
    _folder: tempfile::TempDir,
}

fn hidden(index: i32, kind: &str, data: &str) -> Value {
    Value {
        permissions: Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE),
        ..Value::new(index, kind, data)
    }
}

fn admin(index: i32, bits: Bits, handle: &str, at: i32) -> Value {
    Value::new(index, "HS_ADMIN", Admin::new(bits, handle, at).encode())
}

fn chief(index: i32) -> Value {
    admin(index, Bits::ALL, "88.118.5/chief", 300)
}

fn url(index: i32) -> Value {
    Value::new(index, "URL", "new")
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
            asked: AtomicU32::new(0),
            _folder: folder,
        };
        let members = ["88.118.5/member"].map(|handle| Reference {
            handle: handle.into(),
            index: 300,
        });
        let group = Value::new(200, "HS_VLIST", List(members.to_vec()).encode());
        let mut changes = vec![put("88.118.5/group", &[group])];
        for user in ["88.118.5/owner", "88.118.5/member", "88.118.5/other"] {
            changes.push(put(user, &[hidden(300, "HS_SECKEY", SECRET)]));
        }
        place.submit(changes);
        place
    }

    /// Everything as it was at the beginning, with `bits` for the administrator and the group.
    fn reset(&self, bits: Bits) {
        let admins = [
            admin(100, bits, "88.118.5/owner", 300),
            admin(101, bits, "88.118.5/group", 200),
            // Somebody who may do everything, and who does not ask.
            chief(102),
        ];
        let values = [Value::new(1, "URL", "x"), hidden(2, "EMAIL", "hidden")];
        let thing = [&admins[..], &values].concat();
        let gone = |name: &str| Change::Delete {
            handle: Handle::parse(name).unwrap(),
            expect: Expect::Anything,
        };
        let changes = vec![
            put(THING, &thing),
            put(PREFIX, &admins),
            gone(NEW),
            gone(DERIVED),
        ];
        self.submit(changes);
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

    /// What of the records could have been changed.
    fn state(&self) -> Vec<Option<Vec<u8>>> {
        let of = |name: &str| {
            let handle = Handle::parse(name).unwrap();
            let record = self.node.store.record(handle.borrow()).unwrap();
            record.map(|record| record.values_wire().to_vec())
        };
        [THING, NEW, DERIVED, PREFIX].map(of).to_vec()
    }

    /// Status and body of the answer to an operation, asked over HTTPS from far away.
    async fn ask(&self, operation: &Operation, user: Option<&str>) -> (u16, String) {
        let request = Request::builder()
            .method(operation.method.clone())
            .uri(operation.path)
            .header("content-type", "application/json");
        let asked = self.asked.fetch_add(1, Relaxed);
        let request = match user {
            Some(user) => {
                // Another nobody each time, for the same reason as below.
                let user = user.replace("nobody", &format!("nobody-{asked}"));
                let password = STANDARD.encode(format!("300%3A{user}:{SECRET}"));
                request.header("authorization", format!("Basic {password}"))
            }
            None => request,
        };
        let forms: Vec<ValueForm<'_>> = operation.values.iter().map(ValueForm::from).collect();
        let body = serde_json::json!({ "values": forms }).to_string();
        let mut request = request.body(Body::from(body)).unwrap();
        // Each from an address of its own: who fails often has to wait.
        let host = 0x0a00_0001 + asked;
        let peer = Peer {
            address: (Ipv4Addr::from(host), 50_000).into(),
            secure: true,
            console: false,
        };
        request.extensions_mut().insert(peer);
        let router = crate::http::router(self.node.clone());
        let response = router.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1_000_000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

fn put(name: &str, values: &[Value]) -> Change {
    Change::Put {
        handle: Handle::parse(name).unwrap(),
        values: Writer::to_vec(|w| Values::encode(values, w)),
        expect: Expect::Anything,
    }
}

//----------- The table ------------------------------------------------------

/// An operation with everything that it needs: any of these sets of permissions will do.
struct Operation {
    name: &'static str,
    method: Method,
    path: &'static str,
    values: Vec<Value>,
    needs: &'static [&'static [Bits]],
}

fn operation(
    name: &'static str,
    (method, path): (Method, &'static str),
    values: &[Value],
    needs: &'static [&'static [Bits]],
) -> Operation {
    Operation {
        name,
        method,
        path,
        values: values.to_vec(),
        needs,
    }
}

fn operations() -> Vec<Operation> {
    [on_records(), on_values()].into_iter().flatten().collect()
}

fn on_records() -> Vec<Operation> {
    let (put, get, delete) = (Method::PUT, Method::GET, Method::DELETE);
    let new = (put.clone(), "/api/handles/88.118.5/new?overwrite=false");
    let derived = (put.clone(), "/api/handles/0.NA/88.118.5.1?overwrite=false");
    let over = (put, "/api/handles/88.118.5/thing");
    let gone = (delete, "/api/handles/88.118.5/thing");
    let list = (get, "/api/handles?prefix=88.118.5");
    let over_values = [url(1), url(9), chief(100)];
    let over_needs: &[&[Bits]] = &[
        &[
            Bits::ADD_VALUE,
            Bits::MODIFY_VALUE,
            Bits::REMOVE_VALUE,
            Bits::MODIFY_ADMIN,
            Bits::REMOVE_ADMIN,
        ],
        &[Bits::DELETE_HANDLE, Bits::ADD_HANDLE],
    ];
    vec![
        operation("create", new, &[url(1)], &[&[Bits::ADD_HANDLE]]),
        operation(
            "create derived",
            derived,
            &[url(1)],
            &[&[Bits::ADD_DERIVED_PREFIX]],
        ),
        operation("create over", over, &over_values, over_needs),
        operation("delete", gone, &[], &[&[Bits::DELETE_HANDLE]]),
        operation("list", list, &[], &[&[Bits::LIST_HANDLES]]),
    ]
}

fn on_values() -> Vec<Operation> {
    let (put, get, delete) = (Method::PUT, Method::GET, Method::DELETE);
    let add = (
        put.clone(),
        "/api/handles/88.118.5/thing?index=9&overwrite=false",
    );
    let modify = (put.clone(), "/api/handles/88.118.5/thing?index=1");
    let several = (put.clone(), "/api/handles/88.118.5/thing?index=various");
    let remove = (delete.clone(), "/api/handles/88.118.5/thing?index=1");
    let read = (get, "/api/handles/88.118.5/thing?index=2");
    let add_admin = (
        put.clone(),
        "/api/handles/88.118.5/thing?index=109&overwrite=false",
    );
    let change_admin = (put, "/api/handles/88.118.5/thing?index=101");
    let remove_admin = (delete, "/api/handles/88.118.5/thing?index=101");
    let to_add_admin: &[&[Bits]] = &[&[Bits::ADD_VALUE, Bits::ADD_ADMIN]];
    let to_make: &[&[Bits]] = &[&[Bits::MODIFY_VALUE, Bits::ADD_ADMIN]];
    let to_unmake: &[&[Bits]] = &[&[Bits::REMOVE_ADMIN, Bits::MODIFY_VALUE]];
    let to_both: &[&[Bits]] = &[&[Bits::ADD_VALUE, Bits::MODIFY_VALUE]];
    vec![
        operation("add", add, &[url(9)], &[&[Bits::ADD_VALUE]]),
        operation(
            "modify",
            modify.clone(),
            &[url(1)],
            &[&[Bits::MODIFY_VALUE]],
        ),
        operation("add and modify", several, &[url(1), url(9)], to_both),
        operation("remove", remove, &[], &[&[Bits::REMOVE_VALUE]]),
        operation("read", read, &[], &[&[Bits::READ_VALUE]]),
        operation("add admin", add_admin, &[chief(109)], to_add_admin),
        operation(
            "modify admin",
            change_admin.clone(),
            &[chief(101)],
            &[&[Bits::MODIFY_ADMIN]],
        ),
        operation("make admin", modify, &[chief(1)], to_make),
        operation("unmake admin", change_admin, &[url(101)], to_unmake),
        operation("remove admin", remove_admin, &[], &[&[Bits::REMOVE_ADMIN]]),
    ]
}

fn union(bits: &[Bits]) -> Bits {
    bits.iter()
        .fold(Bits::default(), |all, bit| all.union(*bit))
}

/// None, each alone, all, all but each that is needed, and exactly what is needed.
fn sets(operation: &Operation) -> Vec<Bits> {
    let without = |set: Bits, bit: Bits| Bits(set.0 & !bit.0);
    let mut sets = vec![Bits::default(), Bits::ALL];
    sets.extend(Bits::NAMES.map(|(bit, _)| bit));
    for needed in operation.needs {
        sets.push(union(needed));
        sets.extend(needed.iter().map(|bit| without(Bits::ALL, *bit)));
    }
    sets
}

#[tokio::test]
async fn operation_over_http_succeeds_exactly_with_the_permissions_of_the_table() {
    let place = Place::new();
    for operation in operations() {
        for bits in sets(&operation) {
            let mut needs = operation.needs.iter();
            let is_enough = needs.any(|needed| bits.contains(union(needed)));
            for (user, may) in [
                (Some("88.118.5/owner"), is_enough),
                (Some("88.118.5/member"), is_enough),
                (Some("88.118.5/other"), false),
                (Some("88.118.5/nobody"), false),
                (None, false),
            ] {
                place.reset(bits);
                let before = place.state();
                let (status, text) = place.ask(&operation, user).await;
                let expected = match (may, user, operation.name) {
                    (true, ..) => status / 100 == 2,
                    // Values that are not public are left out for those who say nothing.
                    (false, None, "read") => text.contains(r#""responseCode":200,"#),
                    (false, None, "list") => status == 403,
                    (false, None | Some("88.118.5/nobody"), _) => status == 401,
                    (false, ..) => status == 403,
                };
                let what = format!(
                    "{} with {bits} by {user:?}: {status} {text}",
                    operation.name
                );
                assert!(expected, "{what}");
                assert!(may || place.state() == before, "{what}");
                assert!(may || !text.contains("hidden"), "{what}");
            }
        }
    }
}
