//! Roles, logins by password, and what nobody is told, through every way in.

use std::sync::LazyLock;

use guantong_core::identity::{
    Chosen, Kind, Login, MEMBERS_INDEX, Role, SALT_LEN, SecondFactor, group_values, role_values,
};
use guantong_proto::Reference;
use guantong_proto::data::{Admin, AdminPermissions, List};
use serde_json::{Value as Json, json};

use super::*;

const PREFIX: &str = "88.118.5";
const PASSWORD: &str = "a password of some length";
/// Hashing takes its time; one hash does for all.
static LOGIN: LazyLock<Login> =
    LazyLock::new(|| Login::new(PASSWORD, [7; SALT_LEN], Chosen::ByOwner).unwrap());

/// What a user logs in by.
pub(super) fn login_values() -> Vec<Value> {
    vec![LOGIN.to_value()]
}

/// A node with a user of each role, one without, a thing and an app identity.
pub(super) struct World {
    pub(super) node: Arc<Node>,
    _folder: tempfile::TempDir,
}

pub(super) fn user(code: &str) -> String {
    format!("{PREFIX}/User_{code}")
}

pub(super) fn world() -> World {
    world_where(|_| {})
}

/// The same with other settings.
pub(super) fn world_where(set: fn(&mut config::Config)) -> World {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    let options = InitOptions {
        prefix: Some(PREFIX.to_owned()),
        ..InitOptions::default()
    };
    init(&dir, &options).unwrap();
    let mut config = config::load(&dir).unwrap();
    set(&mut config);
    let node = Node::open(config).unwrap();
    let world = World {
        node,
        _folder: folder,
    };
    let prefix = Handle::of_prefix(PREFIX).unwrap();
    let mut values = world.values(prefix.as_str());
    values.extend(role_values(prefix.borrow()));
    world.put(prefix.as_str(), &values);
    for role in Role::ALL {
        let member = Reference {
            handle: user(role.name()),
            index: 0,
        };
        let members = Value::new(MEMBERS_INDEX, "HS_VLIST", List(vec![member]).encode());
        let group = role.group(prefix.borrow()).unwrap();
        world.put(group.as_str(), &[members]);
        world.put(&user(role.name()), &[LOGIN.to_value()]);
    }
    world.put(&user("none"), &[LOGIN.to_value()]);
    let hidden = Value {
        permissions: guantong_proto::Permissions(0x0c),
        ..Value::new(5, "PRICE", "a price")
    };
    world.put(
        "88.118.5/SN1",
        &[Value::new(1, "URL", "https://example.org/"), hidden],
    );
    world.put("88.118.5/App_a", &[Value::new(1, "DESC", "an app")]);
    world
}

impl World {
    pub(super) fn values(&self, name: &str) -> Vec<Value> {
        let handle = Handle::parse(name).unwrap();
        let record = self.node.store.record(handle.borrow()).unwrap();
        record.map_or_else(Vec::new, |record| record.values().to_vec().unwrap())
    }

    pub(super) fn put(&self, name: &str, values: &[Value]) {
        let change = Change::Put {
            handle: Handle::parse(name).unwrap(),
            values: Writer::to_vec(|w| Values::encode(values, w)),
            expect: Expect::Anything,
        };
        let batch = Batch {
            changes: vec![change],
            at_ms: 0,
            origin: Origin::Operator,
            trail: Trail::default(),
        };
        self.node.store.submit(batch).wait().unwrap();
    }

    /// A request from this machine with a token.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: &Json,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let request = request.header("Content-Type", "application/json");
        let body = match body {
            Json::Null => Body::empty(),
            body => Body::from(body.to_string()),
        };
        ask_at(self.node.clone(), request.body(body).unwrap(), NEAR).await
    }

    pub(super) async fn post(&self, path: &str, token: Option<&str>, body: &Json) -> Answer {
        self.send(Method::POST, path, token, body).await
    }

    pub(super) async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        self.send(Method::GET, path, token, &Json::Null).await
    }

    pub(super) async fn log_in(&self, code: &str) -> String {
        let body = json!({"user": user(code), "password": PASSWORD});
        let answer = self.post("/api/v2/login/password", None, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["token"].as_str().unwrap().to_owned()
    }
}

//----------- Roles ----------------------------------------------------------

/// What is tried, and which roles may.
const OPERATIONS: [(&str, Method, &str, &[Role]); 9] = {
    use Role::{Administrators, AppAdministrators, Auditors, Operators};
    [
        (
            "create a thing",
            Method::PUT,
            "new",
            &[Administrators, Operators],
        ),
        (
            "change a thing",
            Method::PUT,
            "SN1?index=1",
            &[Administrators, Operators],
        ),
        (
            "create an app",
            Method::PUT,
            "App_new",
            &[Administrators, AppAdministrators],
        ),
        (
            "change an app",
            Method::PUT,
            "App_a?index=1",
            &[Administrators, AppAdministrators],
        ),
        ("create a user", Method::PUT, "User_new", &[Administrators]),
        (
            "create a group",
            Method::PUT,
            "Group_new",
            &[Administrators],
        ),
        (
            "change a role",
            Method::PUT,
            "Group_operators?index=1",
            &[Administrators],
        ),
        (
            "set a login",
            Method::PUT,
            "User_none?index=400",
            &[Administrators],
        ),
        (
            "read what is not public",
            Method::GET,
            "SN1?index=5",
            &[Administrators, Operators, Auditors],
        ),
    ]
};

#[tokio::test]
async fn roles_may_what_the_table_says_and_nothing_else() {
    let world = world();
    let mut tokens = vec![(None, world.log_in("none").await)];
    for role in Role::ALL {
        tokens.push((Some(role), world.log_in(role.name()).await));
    }
    for (what, method, name, may) in &OPERATIONS {
        for (role, token) in &tokens {
            // What was made by one is made anew by the next.
            let own = role.map_or("none", Role::name);
            let name = name.replace("new", &format!("new-{own}"));
            let (index, kind, data) = match name.contains("index=400") {
                true => (
                    400,
                    "GT_LOGIN",
                    String::from_utf8(LOGIN.to_value().data).unwrap(),
                ),
                false => (1, "DESC", "something".to_owned()),
            };
            let body = match *method {
                Method::PUT => json!([{"index": index, "type": kind, "data": data,
                    "permissions": "0100"}]),
                _ => Json::Null,
            };
            let path = format!("/api/handles/88.118.5/{name}");
            let answer = world.send(method.clone(), &path, Some(token), &body).await;
            let is_done = answer.status.is_success();
            let may = role.is_some_and(|role| may.contains(&role));
            assert_eq!(
                is_done,
                may,
                "{what}, {own}: {} {}",
                answer.status,
                answer.text()
            );
        }
    }
}

/// Somebody whom an HS_ADMIN value of the prefix record names, as people add one by hand.
fn admin_by_hand(index: i32, code: &str, permissions: AdminPermissions) -> Value {
    let admin = Admin::new(permissions, user(code), 0);
    Value::new(index, "HS_ADMIN", admin.encode())
}

#[tokio::test]
async fn whoever_has_everything_on_the_prefix_gives_roles_and_others_are_told_who_does() {
    let world = world();
    let prefix = "0.NA/88.118.5";
    let mut values = world.values(prefix);
    let most = AdminPermissions(AdminPermissions::ALL.0 & !AdminPermissions::MODIFY_ADMIN.0);
    values.push(admin_by_hand(120, "none", AdminPermissions::ALL));
    values.push(admin_by_hand(121, "most", most));
    world.put(prefix, &values);
    world.put(&user("most"), &login_values());
    // As `init` makes it: the key of the prefix keeps the group.
    let above = Handle::parse(prefix).unwrap();
    world.put(
        "88.118.5/Group_operators",
        &group_values(above.borrow(), Vec::new()),
    );

    let path = format!("/api/v2/identities/{}", user("most"));
    let body = json!({"action": "addRole", "role": "operators"});
    let token = world.log_in("most").await;
    let answer = world.post(&path, Some(&token), &body).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    let told = answer.text();
    assert!(
        told.contains("guantong identity roles") && told.contains(prefix),
        "{told}"
    );

    let token = world.log_in("none").await;
    let answer = world.post(&path, Some(&token), &body).await;
    assert!(answer.status.is_success(), "{}", answer.text());
    let members = world.values("88.118.5/Group_operators");
    let list = List::decode(&members[1].data).unwrap();
    assert_eq!(list.0[0].handle, user("most"));
    // Members are all that he decides on: who keeps the group, and whether it is there, are not.
    for (method, path) in [
        (Method::DELETE, "/api/handles/88.118.5/Group_operators"),
        (
            Method::PUT,
            "/api/handles/88.118.5/Group_operators?index=100&overwrite=true",
        ),
        (
            Method::PUT,
            "/api/handles/88.118.5/SN1?index=1&overwrite=true",
        ),
    ] {
        let admin = json!([{"index": 100, "type": "HS_ADMIN", "data": {"format": "admin",
            "value": {"handle": user("none"), "index": 0, "permissions": "111111111111"}}}]);
        let body = match path.contains("SN1") {
            true => json!([{"index": 1, "type": "URL", "data": "https://example.org/x"}]),
            false => admin,
        };
        let answer = world.send(method, path, Some(&token), &body).await;
        assert!(!answer.status.is_success(), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn role_ends_with_the_membership() {
    let world = world();
    let token = world.log_in("operators").await;
    let body = json!([{"index": 1, "type": "URL", "data": "https://example.org/2"}]);
    let path = "/api/handles/88.118.5/SN1?index=1";
    let change = || world.send(Method::PUT, path, Some(&token), &body);
    assert!(change().await.status.is_success());
    let who = world.get("/api/v2/login", Some(&token)).await.json();
    assert_eq!(who["roles"], json!(["operators"]));
    let nobody = Value::new(MEMBERS_INDEX, "HS_VLIST", List(vec![]).encode());
    world.put("88.118.5/Group_operators", &[nobody]);
    assert!(!change().await.status.is_success());
    let who = world.get("/api/v2/login", Some(&token)).await.json();
    assert_eq!(who["roles"], json!([]));
}

//----------- Logins ---------------------------------------------------------

#[tokio::test]
async fn login_is_told_to_nobody() {
    let world = world();
    let admin = world.log_in("administrators").await;
    let name = user("operators");
    for token in [None, Some(admin.as_str())] {
        for path in [
            format!("/api/handles/{name}"),
            format!("/api/handles/{name}?index=400"),
            format!("/api/handles/{name}?type=GT_LOGIN"),
            format!("/{name}?noredirect"),
            format!("/api/v2/identities/{name}"),
        ] {
            let text = world.get(&path, token).await.text();
            assert!(!text.contains("argon2"), "{path}: {text}");
        }
    }
    // Not even if somebody has given it the permissions of a public value.
    let open = Value {
        permissions: guantong_proto::Permissions(0x0e),
        ..LOGIN.to_value()
    };
    world.put(&name, &[open]);
    let text = world
        .get(&format!("/api/handles/{name}"), None)
        .await
        .text();
    assert!(!text.contains("argon2"), "{text}");
}

#[tokio::test]
async fn wrong_password_is_refused_with_the_words_for_no_such_user() {
    let world = world();
    let try_it = async |code: &str, password: &str| {
        let body = json!({"user": user(code), "password": password});
        let answer = world.post("/api/v2/login/password", None, &body).await;
        (answer.status, answer.json()["detail"].clone())
    };
    let wrong = try_it("operators", "not the password").await;
    assert_eq!(wrong, try_it("nobody-at-all", PASSWORD).await);
    assert_eq!(wrong.0, 401);
    let disabled = LOGIN.clone();
    let disabled = disabled.with_state(guantong_core::identity::LoginState::Disabled);
    world.put(&user("auditors"), &[disabled.to_value()]);
    assert_eq!(wrong, try_it("auditors", PASSWORD).await);
    for _ in 0..12 {
        try_it("operators", "not the password").await;
    }
    let (_, detail) = try_it("operators", PASSWORD).await;
    assert!(detail.as_str().unwrap().contains("too many"), "{detail}");
    // Others are not held up by that.
    world.log_in("administrators").await;
}

#[tokio::test]
async fn passwords_and_tokens_are_not_taken_where_others_listen() {
    let world = world();
    let token = world.log_in("operators").await;
    for (path, header) in [("/api/v2/login", true), ("/api/v2/login/password", false)] {
        let mut request = Request::builder().method(match header {
            true => Method::GET,
            false => Method::POST,
        });
        request = request.uri(path).header("Content-Type", "application/json");
        if header {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let body = json!({"user": user("operators"), "password": PASSWORD}).to_string();
        let request = request.body(Body::from(body)).unwrap();
        let answer = ask_at(world.node.clone(), request, far()).await;
        assert!(
            answer.text().contains("plain_http_allow"),
            "{}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn own_password_needs_the_old_one_and_ends_all_sessions() {
    let world = world();
    let token = world.log_in("operators").await;
    let change = async |old: &str, new: &str| {
        let body = json!({"user": user("operators"), "password": old, "newPassword": new});
        world
            .post("/api/v2/login/own-password", Some(&token), &body)
            .await
    };
    assert_eq!(
        change("not the old one", "another password").await.status,
        401
    );
    assert_eq!(change(PASSWORD, "short").await.status, 400);
    assert_eq!(change(PASSWORD, PASSWORD).await.status, 400);
    let changed = change(PASSWORD, "another password").await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(world.get("/api/v2/login", Some(&token)).await.status, 401);
    let fresh = changed.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(world.get("/api/v2/login", Some(&fresh)).await.status, 200);
    // The token alone does not write it, by whatever way.
    let body = json!([{"index": 400, "type": "GT_LOGIN", "permissions": "0100",
        "data": String::from_utf8(LOGIN.to_value().data).unwrap()}]);
    let path = format!("/api/handles/{}?index=400", user("operators"));
    let answer = world.send(Method::PUT, &path, Some(&fresh), &body).await;
    assert!(!answer.status.is_success(), "{}", answer.text());
}

#[tokio::test]
async fn password_of_others_is_good_for_setting_ones_own_only() {
    let world = world();
    let given = Login::new("given by others", [1; SALT_LEN], Chosen::ByOther).unwrap();
    world.put(&user("none"), &[given.to_value()]);
    let body = json!({"user": user("none"), "password": "given by others"});
    let answer = world.post("/api/v2/login/password", None, &body).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["errors"][0]["field"], "newPassword");
    let mut body = body;
    body["newPassword"] = json!("chosen by oneself");
    let answer = world.post("/api/v2/login/own-password", None, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn second_factor_is_set_up_asked_for_and_good_once() {
    let world = world();
    let mut body = json!({"user": user("operators"), "password": PASSWORD, "action": "begin"});
    let path = "/api/v2/login/second-factor";
    let begun = world.post(path, None, &body).await.json();
    let secret = begun["secret"].as_str().unwrap().to_owned();
    assert!(
        begun["uri"]
            .as_str()
            .unwrap()
            .starts_with("otpauth://totp/")
    );
    let factor = SecondFactor::of(&secret).unwrap();
    let code = |steps: u32| factor.code_at(world.node.now_secs() + steps * 30).unwrap();
    body["action"] = json!("confirm");
    body["secret"] = json!(secret);
    body["newCode"] = json!("000");
    assert_eq!(world.post(path, None, &body).await.status, 400);
    body["newCode"] = json!(code(0));
    let confirmed = world.post(path, None, &body).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text());
    let try_it = async |code: Option<String>| {
        let body = json!({"user": user("operators"), "password": PASSWORD, "code": code});
        world.post("/api/v2/login/password", None, &body).await
    };
    let asked = try_it(None).await;
    assert_eq!(
        (asked.status.as_u16(), &asked.json()["errors"][0]["field"]),
        (401, &json!("code"))
    );
    // The one that has confirmed it is used up, the next is good once.
    let next = code(1);
    assert_eq!(try_it(Some(next.clone())).await.status, 200);
    assert_eq!(try_it(Some(next)).await.status, 401);
    let text = world
        .get(&format!("/{}?noredirect", user("operators")), None)
        .await
        .text();
    assert!(!text.contains(&secret));
    let kind = Kind::of(Handle::parse(&user("operators")).unwrap().borrow());
    assert_eq!(kind, Some(Kind::User));
}

/// The node forgets when it stops which codes were used. One that was seen over somebody's shoulder
/// is not to be used again after a new start.
#[tokio::test]
async fn code_that_could_have_been_used_before_the_start_is_not_taken() {
    let world = world();
    let factor = SecondFactor::new([7; 20]);
    let login = LOGIN.clone().with_second_factor(Some(&factor));
    world.put(&user("operators"), &[login.to_value()]);
    for steps in [0, 1] {
        let code = factor.code_at(world.node.now_secs() + steps * 30);
        let body = json!({"user": user("operators"), "password": PASSWORD, "code": code});
        let refused = world.post("/api/v2/login/password", None, &body).await;
        assert_eq!(refused.status, 401, "{}", refused.text());
        assert_eq!(refused.json()["errors"][0]["field"], "code");
        assert!(refused.text().contains("started"), "{}", refused.text());
    }
}

#[tokio::test]
async fn cookie_is_a_token_at_the_console_only_and_not_for_pages_of_others() {
    let world = world();
    let token = world.log_in("operators").await;
    let ask = async |peer: Peer, method: Method, path: &str, site: &str| {
        let request = Request::builder().method(method).uri(path);
        let cookie = format!("other=1; {}={token}", crate::login::COOKIE);
        let request = request
            .header("Cookie", cookie)
            .header("Sec-Fetch-Site", site);
        let request = request.header("Content-Type", "application/json");
        let body = Body::from(r#"[{"index": 1, "type": "DESC", "data": "x"}]"#);
        let request = request.body(body).unwrap();
        ask_at(world.node.clone(), request, peer).await
    };
    let console = Peer {
        console: true,
        ..NEAR
    };
    let hidden = "/api/handles/88.118.5/SN1?index=5";
    let read = async |peer| ask(peer, Method::GET, hidden, "same-origin").await.text();
    assert!(read(console).await.contains("a price"));
    assert!(!read(NEAR).await.contains("a price"));
    let change = "/api/handles/88.118.5/SN1?index=1";
    let write = async |site| ask(console, Method::PUT, change, site).await.status;
    assert!(write("same-origin").await.is_success());
    assert!(!write("cross-site").await.is_success());
}
