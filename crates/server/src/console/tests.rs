//! The console as a browser without script sees it, against a node of each test's own.

mod admin;
mod enterprise;
mod grant;
mod identity;
mod import;
mod overview;
mod sign;
mod template;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use guantong_proto::data::{Admin, AdminPermissions};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Permissions, Value, Values};
use guantong_store::{Batch, Change, Expect, Origin, Trail};
use tower::ServiceExt;

use crate::config;
use crate::init::{InitOptions, init};
use crate::listen::{Peer, console};
use crate::node::Node;

/// Where the console answers.
const HOST: &str = "127.0.0.1:8080";
/// Who may do everything below 88.118.5.
const CLERK: &str = "300:88.118.5/clerk";
const SECRET: &str = "opensesame";

/// The form of a template with one field, as the designer sends it.
const DRAFT: [(&str, &str); 9] = [
    ("title", "Battery"),
    ("prefix", "88.118.5"),
    ("code", "battery"),
    ("row", "0"),
    ("name.0", "serial"),
    ("type.0", "text"),
    ("lengthMin.0", "4"),
    ("required.0", "true"),
    ("readers.0", "everybody"),
];

//----------- Desk -----------------------------------------------------------

/// A node, and a browser in front of its console.
struct Desk {
    node: Arc<Node>,
    cookie: Option<String>,
    _folder: tempfile::TempDir,
}

/// An answer with its body as text.
#[derive(Debug)]
struct Page {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Page {
    #[track_caller]
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The token of the forms on the page.
    #[track_caller]
    fn token(&self) -> String {
        let (_, rest) = self.text.split_once("name=\"token\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("node");
        let options = InitOptions {
            prefix: Some("88.118.5".to_owned()),
            name: Some("plant-7".to_owned()),
            ..InitOptions::default()
        };
        init(&dir, &options).unwrap();
        let node = Node::open(config::load(&dir).unwrap()).unwrap();
        let desk = Self {
            node,
            cookie: None,
            _folder: folder,
        };
        let mut key = Value::new(300, "HS_SECKEY", SECRET);
        key.permissions = Permissions(0x0c);
        let admin = Admin::new(AdminPermissions::ALL, "88.118.5/clerk", 300);
        desk.put("88.118.5/clerk", &[key]);
        let values = [Value::new(100, "HS_ADMIN", admin.encode())];
        desk.put("0.NA/88.118.5", &values);
        desk
    }

    fn put(&self, handle: &str, values: &[Value]) {
        let change = Change::Put {
            handle: Handle::parse(handle).unwrap(),
            values: Writer::to_vec(|w| Values::encode(values, w)),
            expect: Expect::Anything,
        };
        let batch = Batch {
            changes: vec![change],
            at_ms: self.node.now_ms(),
            origin: Origin::Operator,
            trail: Trail::default(),
        };
        self.node.store.submit(batch).wait().unwrap();
    }

    async fn get(&self, target: &str) -> Page {
        self.send(Request::get(target), Body::empty()).await
    }

    /// Sends a form as a page of the console would, but for the token.
    async fn post_bare(&self, target: &str, form: &[(&str, &str)]) -> Page {
        let mut text = form_urlencoded::Serializer::new(String::new());
        let text = text.extend_pairs(form).finish();
        let request = Request::post(target)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", format!("http://{HOST}"))
            .header("sec-fetch-site", "same-origin");
        self.send(request, Body::from(text)).await
    }

    async fn send(&self, request: axum::http::request::Builder, body: Body) -> Page {
        let has_host = request
            .headers_ref()
            .is_some_and(|headers| headers.contains_key("host"));
        let mut request = match has_host {
            true => request,
            false => request.header("host", HOST),
        };
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("gt_lang=en; {cookie}"));
        }
        let peer = Peer {
            address: ([127, 0, 0, 1], 50_000).into(),
            secure: false,
            console: true,
        };
        let request = request.extension(peer).body(body).unwrap();
        let response = console::router(self.node.clone()).oneshot(request).await;
        let (head, body) = response.unwrap().into_parts();
        let octets = to_bytes(body, 10_000_000).await.unwrap();
        Page {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8(octets.to_vec()).unwrap(),
        }
    }

    async fn sign_in(&mut self) {
        let form = [("identity", CLERK), ("secret", SECRET)];
        let page = self.post_bare("/sign-in", &form).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        let cookie = page.header("set-cookie").split(';').next().unwrap();
        self.cookie = Some(cookie.to_owned());
    }
}

//----------- Templates ------------------------------------------------------

impl Desk {
    /// Sends a form as a page of the console does.
    async fn post(&self, target: &str, form: &[(&str, &str)]) -> Page {
        let token = self.get("/account").await.token();
        let mut form = form.to_vec();
        form.push(("token", &token));
        self.post_bare(target, &form).await
    }

    async fn publish(&self) {
        let mut form = DRAFT.to_vec();
        form.extend([("unique.0", "true"), ("do", "save-publish")]);
        let page = self.post("/template/edit", &form).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        assert_eq!(
            page.header("location"),
            "/template?handle=88.118.5/META_battery"
        );
    }
}
