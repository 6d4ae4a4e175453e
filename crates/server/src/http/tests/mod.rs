//! Requests through the whole router, against one node that all tests share and none changes.

mod api;
mod batch;
pub(super) mod change;
mod enterprise;
mod grant_matrix;
mod grants;
mod identity;
mod identity_api;
mod matrix;
mod onboarding;
mod pages;
mod proxy;
mod quick;
mod sample;
mod secret;
mod snms;
mod state;
mod v1;
mod v2;

use std::sync::{Arc, LazyLock};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Value, Values};
use guantong_store::{Batch, Change, Expect, Origin, Trail};
use tower::ServiceExt;

use super::v2::openapi_tests::{Described, Exchange};
use crate::config;
use crate::init::{InitOptions, init};
use crate::listen::Peer;
use crate::node::Node;

/// Somebody on this machine.
pub(super) const NEAR: Peer = Peer {
    address: std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 50_000),
    secure: false,
    console: false,
};

/// Somebody far away, in a network for documentation.
pub(super) fn far() -> Peer {
    Peer {
        address: ([203, 0, 113, 7], 50_000).into(),
        ..NEAR
    }
}

/// The same over TLS.
pub(super) fn secure() -> Peer {
    Peer {
        secure: true,
        ..NEAR
    }
}

struct Shared {
    node: Arc<Node>,
    _folder: tempfile::TempDir,
}

static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    let options = InitOptions {
        prefix: Some("88.118.5".to_owned()),
        name: Some("sample".to_owned()),
        ..InitOptions::default()
    };
    init(&dir, &options).unwrap();
    let mut config = config::load(&dir).unwrap();
    config.compatible.doip = true;
    config.compatible.snms = true;
    config.compatible.day_digest = true;
    let reviewer = format!("300:{}", enterprise::REVIEWER);
    let rules = &mut config.administration.rules;
    rules.server_admins.push(reviewer.parse().unwrap());
    let node = Node::open(config).unwrap();
    let put = |name: &str, values: &[Value]| Change::Put {
        handle: Handle::parse(name).unwrap(),
        values: Writer::to_vec(|w| Values::encode(values, w)),
        expect: Expect::Anything,
    };
    let mut changes: Vec<Change> = sample::records().iter().map(|(n, v)| put(n, v)).collect();
    changes.extend(
        ["88.118.6", "88.118.7", "88.118.9"].map(|prefix| Change::Home {
            prefix: Handle::of_prefix(prefix).unwrap(),
        }),
    );
    let batch = Batch {
        changes,
        at_ms: 0,
        origin: Origin::Operator,
        trail: Trail::default(),
    };
    node.store.submit(batch).wait().unwrap();
    node.refresh_site().unwrap();
    Shared {
        node,
        _folder: folder,
    }
});

/// The node of all tests.
pub(super) fn node() -> Arc<Node> {
    SHARED.node.clone()
}

/// An answer with its body as text.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    #[track_caller]
    pub(super) fn header(&self, name: &str) -> &str {
        match self.headers.get(name) {
            Some(value) => value.to_str().unwrap(),
            None => "",
        }
    }
}

/// A GET from this machine.
pub(super) async fn get(path: &str) -> Answer {
    ask(Request::get(path).body(Body::empty()).unwrap(), NEAR).await
}

/// A GET with headers.
pub(super) async fn get_with(path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = Request::get(path);
    let request = headers
        .iter()
        .fold(request, |r, (name, value)| r.header(*name, *value));
    ask(request.body(Body::empty()).unwrap(), NEAR).await
}

/// Any request from anybody.
pub(super) async fn ask(request: Request<Body>, peer: Peer) -> Answer {
    ask_at(node(), request, peer).await
}

/// The same at a node of one test's own. Whatever is asked below `/api/v2`, the answer must be of
/// the form that its description says.
pub(super) async fn ask_at(node: Arc<Node>, request: Request<Body>, peer: Peer) -> Answer {
    let (mut head, body) = request.into_parts();
    head.extensions.insert(peer);
    let (method, path) = (head.method.clone(), head.uri.path().to_owned());
    let kind = head.headers.get("content-type");
    let is_json = kind.is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
    let (body, sent) = match is_json {
        true => {
            let sent = to_bytes(body, 100_000_000).await.unwrap();
            (Body::from(sent.clone()), Some(sent))
        }
        false => (body, None),
    };
    let request = Request::from_parts(head, body);
    let response = super::router(node).oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let answer = Answer {
        status: head.status,
        headers: head.headers,
        body: to_bytes(body, 10_000_000).await.unwrap().to_vec(),
    };
    Described::get().check_exchange(&Exchange {
        method: &method,
        path: &path,
        sent: sent.as_deref(),
        status: answer.status,
        kind: answer.header("content-type"),
        got: &answer.body,
    });
    answer
}
