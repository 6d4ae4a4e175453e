//! `/api/v2/identities`: app identities (应用身份) and users (用户身份).
//!
//! They are records as others are. A private key that is made here is in the one answer and nowhere
//! else.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use guantong_api::identity::{
    IdentityAction, IdentityAnswer, IdentityKind, KeyAnswer, KeyKind, LoginState as LoginForm,
    MakeKey, NewIdentity,
};
use guantong_api::v2::Outcome;
use guantong_core::admin::Expected;
use guantong_core::identity::{
    Chosen, Kind, LOGIN_INDEX, LOGIN_TYPE, Login, LoginState, Role, check_password, code_of,
};
use guantong_proto::data::key::PublicKey;
use guantong_proto::message::{OpCode, OpFlags, ResponseCode};
use guantong_proto::{Handle, Permissions, Value, Values};
use guantong_store::StoredRecord;

use super::super::answer::{Failure, json};
use super::super::asked::Asked;
use super::super::change::{self, builder};
use super::super::{condition, path};
use super::login::unstored;
use super::problem::Problem;
use super::registration::seen;
use super::sender::{Sender, Terms};
use super::template::{done, terms};
use super::{body, group, not_allowed, page, sought};
use crate::key::form::{self, Form, Key, KeyPair};
use crate::login::{KEY_INDEX, LoginError};
use crate::node::Node;

const AREA: &str = "identities";
/// Index of what people call an identity.
pub(super) const NAME_INDEX: i32 = 1;
/// Type of that value.
pub(super) const NAME_TYPE: &str = "DESC";
/// Longest name, in octets.
pub(super) const NAME_LEN_MAX: usize = 256;
/// Type of a key that proves nothing for now. No software takes it for one.
const DISABLED_TYPE: &str = "GT_DISABLED_KEY";
/// Permissions of what administrators read.
pub(in crate::http) const FOR_ADMINISTRATORS: Permissions =
    Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE);

/// Answers a request for `/api/v2/identities`.
pub(super) async fn answer(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    condition::check(asked)?;
    match (&asked.method, rest) {
        (&(Method::GET | Method::HEAD), "") => list(node, asked).await,
        (&Method::POST, "") => create(node, asked).await,
        (_, "") => Err(not_allowed(asked, "GET and POST")),
        (&(Method::GET | Method::HEAD), rest) => show(node, asked, rest).await,
        (&Method::POST, rest) => act(node, asked, rest).await,
        (&Method::DELETE, rest) => {
            let (handle, _) = named(rest)?;
            delete(node, asked, &handle, AREA).await
        }
        _ => Err(not_allowed(asked, "GET, POST and DELETE")),
    }
}

/// The identity that a path names.
fn named(rest: &str) -> Result<(Handle, IdentityKind), Problem> {
    let handle = path::handle(rest)?;
    let kind = match Kind::of(handle.borrow()) {
        Some(Kind::App) => IdentityKind::App,
        Some(Kind::User) => IdentityKind::User,
        Some(Kind::Group) | None => {
            let message = "this is no identity; their suffixes begin with `App_` or `User_`";
            let failure = Failure::new(ResponseCode::HANDLE_NOT_FOUND, message);
            return Err(failure.about(handle.as_str()).into());
        }
    };
    Ok((handle, kind))
}

/// Removes an identity or a group for good, whatever deletions come to otherwise: what is withdrawn
/// keeps its keys.
pub(super) async fn delete(
    node: &Node,
    asked: &Asked,
    handle: &Handle,
    area: &str,
) -> Result<Response, Problem> {
    let sender = Sender::of(node, asked).await?;
    let insisting = OpFlags::DEFAULT.with(OpFlags::OVERWRITE);
    let packet = builder(node, insisting).named(OpCode::DELETE, handle.as_str());
    sender
        .carry(node, asked, handle, packet, terms(asked))
        .await?;
    Ok(done(asked, &sender, handle, Outcome::Deleted, area))
}

//----------- Reading --------------------------------------------------------

async fn list(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let kind = match asked.params.first("kind") {
        Some("app") | None => Kind::App,
        Some("user") => Kind::User,
        Some(_) => {
            let message = "`kind` is `app` or `user`";
            return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message).into());
        }
    };
    page::identities(node, asked, kind).await
}

async fn show(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    let (handle, kind) = named(rest)?;
    let version = condition::version(node, handle.as_str());
    let values = seen(node, asked, &handle).await?;
    let key = values.iter().find(|value| value.index == KEY_INDEX);
    let public = key.and_then(|value| PublicKey::decode(&value.data).ok());
    let pem = public
        .as_ref()
        .and_then(|key| form::write_public(key, Form::PublicPem).ok());
    let login = login_of(node, asked, &handle).await?;
    let is_disabled_key = key.is_some_and(|key| key.kind.eq_ignore_ascii_case(DISABLED_TYPE));
    let is_disabled = |login: &Login| login.state() == LoginState::Disabled;
    let form = IdentityAnswer {
        kind,
        name: name_of(&values),
        disabled: is_disabled_key || login.as_ref().is_some_and(is_disabled),
        key: public.as_ref().map(form::describe),
        public_key: pem.and_then(|pem| String::from_utf8(pem).ok()),
        login: login.map(|login| LoginForm {
            second_factor: login.has_second_factor(),
            must_change: login.must_change(),
        }),
        roles: group::roles_of(node, &handle).await,
        handle: handle.to_string(),
    };
    Ok(condition::tagged(
        json(asked, StatusCode::OK, &form),
        version,
    ))
}

/// What people call an identity or a group.
pub(super) fn name_of(values: &[Value]) -> Option<String> {
    let name = values.iter().find(|value| value.index == NAME_INDEX)?;
    String::from_utf8(name.data.clone()).ok()
}

/// How a user logs in, for those who may read what is not public.
async fn login_of(node: &Node, asked: &Asked, handle: &Handle) -> Result<Option<Login>, Problem> {
    let record = sought::record(node, handle)?;
    let login = record.and_then(|record| Some(Login::of(record.values())?.1));
    if login.is_none() || !asked.has_credential() {
        return Ok(None);
    }
    // It is asked for by itself: of the whole record everybody may see something.
    match change::restricted(node, asked, handle, &[LOGIN_INDEX], &[]).await {
        // Nobody reads a login; but he might.
        Err(failure) if failure.code() == ResponseCode::INSUFFICIENT_PERMISSIONS => Ok(login),
        _ => Ok(None),
    }
}

//----------- Keys -----------------------------------------------------------

/// A key for a record, and the private half if it was made here.
struct Given {
    public: PublicKey,
    private: Option<String>,
}

/// The key that a request gives or has made; `None` if it does neither.
async fn key_of(
    node: &Node,
    public: Option<String>,
    make: Option<MakeKey>,
) -> Result<Option<Given>, Problem> {
    let refuse = |field: &str, message: String| {
        let failure = Failure::new(ResponseCode::INVALID_VALUE, message);
        Problem::of_field(failure, field)
    };
    match (public, make) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            let message = "give `publicKey` or `makeKey`, not both";
            Err(refuse("makeKey", message.to_owned()))
        }
        (Some(text), None) => {
            let mut no_passphrase = || Err("it is encrypted".to_owned());
            match form::read(text.as_bytes(), &mut no_passphrase) {
                Ok(Key::Public(public)) => Ok(Some(Given {
                    public,
                    private: None,
                })),
                Ok(Key::Private(_)) => {
                    let message = "this is a private key: keep it, and send its public half; as \
                                   it has been on the way, better make a new one";
                    Err(refuse("publicKey", message.to_owned()))
                }
                Err(error) => Err(refuse("publicKey", error.to_string())),
            }
        }
        (None, Some(make)) => {
            let kind = kind_of(make.kind)?;
            let made = node.aside(move || {
                let pair = KeyPair::generate(kind)?;
                let passphrase = make.passphrase.as_deref().map(str::as_bytes);
                let pem = pair.write(Form::Pem, passphrase)?;
                Ok::<_, form::FormError>((pair.signing().public_key(), pem))
            });
            let (public, pem) = made
                .await?
                .map_err(|error| refuse("makeKey", error.to_string()))?;
            let private = Some(String::from_utf8_lossy(&pem).into_owned());
            Ok(Some(Given { public, private }))
        }
    }
}

fn kind_of(kind: KeyKind) -> Result<form::Kind, Problem> {
    match kind {
        KeyKind::Rsa => Ok(form::Kind::Rsa(crate::key::RSA_BITS)),
        KeyKind::P256 => Ok(form::Kind::P256),
        KeyKind::Ed25519 => Ok(form::Kind::Ed25519),
        #[cfg(feature = "sm")]
        KeyKind::Sm2 => Ok(form::Kind::Sm2),
        #[cfg(not(feature = "sm"))]
        KeyKind::Sm2 => {
            let message = "this node was built without SM2";
            let failure = Failure::new(ResponseCode::INVALID_VALUE, message);
            Err(Problem::of_field(failure, "makeKey"))
        }
    }
}

fn key_value(key: &PublicKey) -> Value {
    Value::new(KEY_INDEX, "HS_PUBKEY", key.encode())
}

//----------- Writing --------------------------------------------------------

async fn create(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let new: NewIdentity = body(asked)?;
    let sender = Sender::of(node, asked).await?;
    let kind = match new.kind {
        IdentityKind::App => Kind::App,
        IdentityKind::User => Kind::User,
    };
    let code = new.code.unwrap_or_else(|| {
        let octets: [u8; 5] = node.random();
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    });
    let handle = handle_of(kind, &new.prefix, &code)?;
    let mut values = sender.administrators(&handle);
    values.extend(named_value(new.name.as_deref(), kind)?);
    if new.kind == IdentityKind::App && new.password.is_some() {
        let failure = Failure::new(
            ResponseCode::INVALID_VALUE,
            "programs prove who they are by a key: leave the password out",
        );
        return Err(Problem::of_field(failure, "password"));
    }
    if let Some(password) = &new.password {
        check_password(password).map_err(LoginError::from)?;
    }
    if new.public_key.is_none() && new.make_key.is_none() && new.password.is_none() {
        let message = match kind {
            Kind::User => "by what does he prove who he is? give `password`, or a key",
            _ => "by what does it prove what it is? give `publicKey` or `makeKey`",
        };
        let failure = Failure::new(ResponseCode::INVALID_VALUE, message);
        return Err(Problem::of_field(failure, "publicKey"));
    }
    // Before anything costs much: may he, and is the name free?
    let packet = |values: &[Value]| {
        builder(node, OpFlags::DEFAULT).write(OpCode::CREATE, handle.as_str(), values)
    };
    let rehearsal = Terms {
        is_rehearsal: true,
        ..terms(asked)
    };
    sender
        .carry(node, asked, &handle, packet(&values), rehearsal)
        .await?;
    let given = key_of(node, new.public_key, new.make_key).await?;
    values.extend(given.as_ref().map(|given| key_value(&given.public)));
    if let Some(password) = &new.password {
        let login = node.login_of_password(password, Chosen::ByOther).await?;
        values.push(login.to_value());
    }
    let terms = terms(asked);
    sender
        .carry(node, asked, &handle, packet(&values), terms)
        .await?;
    let mut response = with_key(asked, &handle, given);
    if !terms.is_rehearsal {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

/// The handle of an identity or a group.
pub(super) fn handle_of(kind: Kind, prefix: &str, code: &str) -> Result<Handle, Problem> {
    kind.handle(prefix, code).map_err(|fault| {
        let failure = Failure::new(ResponseCode::INVALID_HANDLE, fault.to_string());
        Problem::of_field(failure, "code")
    })
}

/// The value with what people call it. Names of persons are not for everybody.
pub(super) fn named_value(name: Option<&str>, kind: Kind) -> Result<Option<Value>, Problem> {
    let Some(name) = name else {
        return Ok(None);
    };
    if name.is_empty() || name.len() > NAME_LEN_MAX {
        let message = format!("a name has 1 to {NAME_LEN_MAX} octets");
        let failure = Failure::new(ResponseCode::INVALID_VALUE, message);
        return Err(Problem::of_field(failure, "name"));
    }
    let value = Value::new(NAME_INDEX, NAME_TYPE, name);
    Ok(Some(match kind {
        Kind::User => Value {
            permissions: FOR_ADMINISTRATORS,
            ..value
        },
        Kind::App | Kind::Group => value,
    }))
}

/// The answer with a private key, if one was made. It is not kept to be given again.
fn with_key(asked: &Asked, handle: &Handle, given: Option<Given>) -> Response {
    let form = KeyAnswer {
        handle: handle.to_string(),
        private_key: given.and_then(|given| given.private),
    };
    unstored(json(asked, StatusCode::OK, &form))
}

async fn act(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    let action: IdentityAction = body(asked)?;
    let (handle, kind) = named(rest)?;
    let sender = Sender::of(node, asked).await?;
    let change = Change {
        node,
        asked,
        sender,
        handle,
    };
    match action {
        IdentityAction::RenewKey {
            public_key,
            make_key,
        } => change.renew(public_key, make_key).await,
        IdentityAction::Disable => change.turn(LoginState::Disabled).await,
        IdentityAction::Enable => change.turn(LoginState::Enabled).await,
        IdentityAction::SetPassword { password } if kind == IdentityKind::User => {
            check_password(&password).map_err(LoginError::from)?;
            change.set_password(&password).await
        }
        IdentityAction::RemoveSecondFactor if kind == IdentityKind::User => {
            change.remove_second_factor().await
        }
        IdentityAction::AddRole { role } if kind == IdentityKind::User => {
            change.role(&role, group::Membership::In).await
        }
        IdentityAction::RemoveRole { role } => change.role(&role, group::Membership::Out).await,
        _ => {
            let message = "this is for users; an app identity has a key and nothing else";
            Err(Failure::new(ResponseCode::INVALID_VALUE, message).into())
        }
    }
}

/// A change of an identity that is there.
struct Change<'a> {
    node: &'a Node,
    asked: &'a Asked,
    sender: Sender,
    handle: Handle,
}

impl Change<'_> {
    /// The record, for somebody who may write the value at `index`.
    async fn record(&self, value: &Value) -> Result<StoredRecord, Problem> {
        // What is there is told to those only who may change it.
        self.write_all(std::slice::from_ref(value), None, true)
            .await?;
        let record = sought::record(self.node, &self.handle)?;
        record.ok_or_else(|| {
            let failure = Failure::new(ResponseCode::HANDLE_NOT_FOUND, "there is no such record");
            failure.about(self.handle.as_str()).into()
        })
    }

    async fn write_all(
        &self,
        values: &[Value],
        version: Option<u64>,
        is_rehearsal: bool,
    ) -> Result<(), Problem> {
        let insisting = OpFlags::DEFAULT.with(OpFlags::OVERWRITE);
        let name = self.handle.as_str();
        let packet = builder(self.node, insisting).write(OpCode::ADD_VALUE, name, values);
        let terms = terms(self.asked);
        let terms = Terms {
            condition: terms.condition.or(version.map(Expected::Version)),
            is_rehearsal: terms.is_rehearsal || is_rehearsal,
        };
        let (node, asked) = (self.node, self.asked);
        Ok(self
            .sender
            .carry(node, asked, &self.handle, packet, terms)
            .await?)
    }

    async fn write(self, values: &[Value], version: u64) -> Result<Response, Problem> {
        self.write_all(values, Some(version), false).await?;
        Ok(done(
            self.asked,
            &self.sender,
            &self.handle,
            Outcome::Changed,
            AREA,
        ))
    }

    async fn renew(
        self,
        public: Option<String>,
        make: Option<MakeKey>,
    ) -> Result<Response, Problem> {
        let record = self
            .record(&Value::new(KEY_INDEX, DISABLED_TYPE, ""))
            .await?;
        let given = key_of(self.node, public, make).await?.ok_or_else(|| {
            let message = "give `publicKey` or `makeKey`";
            let failure = Failure::new(ResponseCode::INVALID_VALUE, message);
            Problem::of_field(failure, "publicKey")
        })?;
        let version = Some(record.version());
        self.write_all(&[key_value(&given.public)], version, false)
            .await?;
        Ok(with_key(self.asked, &self.handle, Some(given)))
    }

    /// Has the identity prove nothing, or something again: its key gets another type, its login
    /// another state.
    async fn turn(self, state: LoginState) -> Result<Response, Problem> {
        let (from, to) = match state {
            LoginState::Disabled => ("HS_PUBKEY", DISABLED_TYPE),
            LoginState::Enabled => (DISABLED_TYPE, "HS_PUBKEY"),
        };
        let record = self
            .record(&Value::new(KEY_INDEX, DISABLED_TYPE, ""))
            .await?;
        let values = values_of(&record)?;
        let key = values.iter().find(|value| value.index == KEY_INDEX);
        let key = key.filter(|key| key.kind.eq_ignore_ascii_case(from));
        let mut changed: Vec<Value> = key
            .map(|key| Value {
                kind: to.into(),
                ..key.clone()
            })
            .into_iter()
            .collect();
        let login = Login::of(record.values());
        changed.extend(login.map(|(_, login)| login.with_state(state).to_value()));
        self.write(&changed, record.version()).await
    }

    async fn set_password(self, password: &str) -> Result<Response, Problem> {
        let record = self.record(&probe()).await?;
        let other = self
            .node
            .login_of_password(password, Chosen::ByOther)
            .await?;
        let login = match Login::of(record.values()) {
            Some((_, login)) => login.with_password(other),
            None => other,
        };
        self.write(&[login.to_value()], record.version()).await
    }

    async fn remove_second_factor(self) -> Result<Response, Problem> {
        let record = self.record(&probe()).await?;
        let Some((_, login)) = Login::of(record.values()) else {
            let message = "the user has no login";
            return Err(Failure::new(ResponseCode::HANDLE_NOT_FOUND, message).into());
        };
        let login = login.with_second_factor(None);
        self.write(&[login.to_value()], record.version()).await
    }

    async fn role(self, role: &str, membership: group::Membership) -> Result<Response, Problem> {
        let role: Role = role
            .parse()
            .map_err(|error: guantong_core::identity::NoRole| {
                let failure = Failure::new(ResponseCode::INVALID_VALUE, error.to_string());
                Problem::of_field(failure, "role")
            })?;
        if code_of(Kind::User, self.handle.borrow()).is_none() {
            let message =
                "roles are for users: the key of an app identity may be renewed by others";
            return Err(Failure::new(ResponseCode::INVALID_VALUE, message).into());
        }
        let changing = group::Changing {
            node: self.node,
            asked: self.asked,
            sender: &self.sender,
        };
        changing.role(role, &self.handle, membership).await?;
        let (asked, handle) = (self.asked, &self.handle);
        Ok(done(asked, &self.sender, handle, Outcome::Changed, AREA))
    }
}

/// A login that nobody has, to try whether one may be written.
fn probe() -> Value {
    Value {
        permissions: FOR_ADMINISTRATORS,
        ..Value::new(LOGIN_INDEX, LOGIN_TYPE, "")
    }
}

/// The values of a record of ours.
pub(super) fn values_of(record: &StoredRecord) -> Result<Vec<Value>, Problem> {
    let values: Values<'_> = record.values();
    let values = values.to_vec();
    Ok(values.map_err(|error| Failure::new(ResponseCode::ERROR, error.to_string()))?)
}
