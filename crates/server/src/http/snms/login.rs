//! `/identity/token` and `/identity/token/v1`: a token for a name and a password, or for a digest
//! of the day in its place.
//!
//! The name is that of a user with a password, or of an identity whose secret key is the password.
//! Its record may hold the digest of the password instead, so that the node does not know the
//! password itself.
//!
//! Neither the time nor the text of a refusal says whether there is somebody of that name: a
//! password costs one verification whoever he is, and whatever is wrong is told alike.

use axum::response::Response;
use guantong_api::snms::{Login, TokenAnswer};
use guantong_core::admin::{Identity, Presented};
use guantong_core::enterprise::{Application, user_key};
use guantong_core::identity::{API_SECRET_LEN_MIN, api_digest, day_digests};
use guantong_core::template::KEY_TYPE;
use guantong_proto::Handle;
use guantong_proto::crypto::challenge::SECRET_KEY;
use guantong_proto::data::SecretKey;
use guantong_proto::message::ResponseCode;

use super::super::answer::Failure;
use super::super::asked::Asked;
use super::super::change::{Reply, carry_out_for, who_is_it};
use super::super::identity::{Offered, identity};
use super::super::v2::problem::Problem;
use super::super::v2::sought;
use super::{body, done, refuse, required};
use crate::login::{Credentials, KEY_INDEX, LoginError, Token};
use crate::node::Node;

/// Longest name and password, in characters.
const NAME_CHARS_MAX: usize = 262;
const PASSWORD_CHARS_MAX: usize = 255;
/// What the names of users begin with, behind their prefix.
const USER_LEAD: &str = "User_";
/// Prefixes in which a name without a prefix is looked for.
const PREFIXES_MAX: usize = 64;

/// The password itself.
pub(super) async fn plain(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let (identity, login) = read(node, asked)?;
    let kept = secret_of(node, &identity)?;
    if kept.is_none() && is_ours(node, &identity) {
        let credentials = Credentials {
            user: &identity.handle,
            password: &login.password,
            code: None,
        };
        let token = node.login_password(credentials, asked.peer.address.ip());
        return match token.await {
            Ok(token) => Ok(given(asked, &token)),
            Err(LoginError::Wrong | LoginError::Failed(_)) => Err(wrong()),
            Err(error) => Err(Failure::from(error).into()),
        };
    }
    // A secret key is compared at once; a password is not.
    let is_as_long = node.login_as_long(&login.password).await;
    is_as_long.map_err(Failure::from)?;
    let digest = api_digest(login.password.as_bytes());
    let is_digest = kept.is_some_and(|kept| is_same(&kept, &digest));
    let secret = match is_digest {
        true => digest,
        false => login.password,
    };
    begin(node, asked, identity, secret.as_bytes()).await
}

/// A digest of the day.
pub(super) async fn digest(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    if !node.config().compatible.day_digest {
        let message = "this node takes no digest of the day in place of a password: log in at \
                       `/identity/token`, or ask its operator for `compatible.day_digest`";
        return Err(refuse(message.to_owned()));
    }
    let (identity, login) = read(node, asked)?;
    let kept = secret_of(node, &identity)?;
    let kept = kept.filter(|kept| kept.len() >= API_SECRET_LEN_MIN);
    let said = login.password.to_ascii_lowercase();
    let is_it = |kept: &[u8]| {
        // The record holds the password, or its digest.
        let own = std::str::from_utf8(kept).unwrap_or_default();
        [api_digest(kept).as_str(), own].iter().any(|digest| {
            let digests = day_digests(digest, node.now_secs());
            digests.iter().any(|day| is_same(day.as_bytes(), &said))
        })
    };
    // A wrong digest is tried as a secret, so that it counts as an attempt like any other.
    let secret = kept.filter(|kept| is_it(kept));
    begin(
        node,
        asked,
        identity,
        &secret.unwrap_or_else(|| said.clone().into_bytes()),
    )
    .await
}

fn read(node: &Node, asked: &Asked) -> Result<(Identity, Login), Problem> {
    node.login_takes(&asked.peer).map_err(Failure::from)?;
    let login: Login = body(asked)?;
    let name = required("username", &login.username, NAME_CHARS_MAX)?;
    required("password", &login.password, PASSWORD_CHARS_MAX)?;
    Ok((named(node, name)?, login))
}

/// The identity of a name: `300:88.118.5/App_x`, the handle alone, or the end of the handle of a
/// user under a prefix of ours.
fn named(node: &Node, name: &str) -> Result<Identity, Problem> {
    if name.contains('/') {
        return match name.split_once(':') {
            Some((index, _)) if index.parse::<i32>().is_ok() => Ok(identity(name)?),
            _ => Ok(Identity {
                handle: Handle::parse(name)?,
                index: KEY_INDEX,
            }),
        };
    }
    let mut found = Vec::new();
    for prefix in node.store.homed().into_iter().take(PREFIXES_MAX) {
        let prefix = prefix.borrow().suffix().to_owned();
        let handle = Handle::parse(&format!("{prefix}/{USER_LEAD}{name}"))?;
        if sought::record(node, &handle)?.is_some() {
            found.push(handle);
        }
    }
    if found.is_empty() {
        found.extend(applicant(node, name)?);
    }
    match found.len() {
        1 => Ok(Identity {
            handle: found.remove(0),
            index: KEY_INDEX,
        }),
        // Whether there is such a user is not told: his place is taken by one who is not there.
        _ => {
            let prefix = node.store.homed().into_iter().next().ok_or_else(wrong)?;
            let (prefix, number) = (prefix.borrow().suffix(), u128::from_be_bytes(node.random()));
            Ok(Identity {
                handle: Handle::parse(&format!("{prefix}/{USER_LEAD}{number:032x}"))?,
                index: KEY_INDEX,
            })
        }
    }
}

/// The first user of an enterprise that is hosted here, who is not looked for in its prefix: there
/// may be any number of these.
fn applicant(node: &Node, name: &str) -> Result<Option<Handle>, Problem> {
    let rule = node.site().case_rule();
    for above in node.store.homed().into_iter().take(PREFIXES_MAX) {
        let key = user_key(&above, name, rule);
        // Without an index there are no applications.
        let found = sought::find(node, KEY_TYPE, &key, None, 1).unwrap_or_default();
        for handle in found.0 {
            let record = sought::record(node, &handle)?;
            let application = record.and_then(|it| Application::of(handle, it.values()));
            let user = application.and_then(|it| it.user().ok());
            if let Some(user) = user
                && sought::record(node, &user)?.is_some()
            {
                return Ok(Some(user));
            }
        }
    }
    Ok(None)
}

/// The refusal of whoever has not proven who he is, whatever was wrong.
fn wrong() -> Problem {
    let message = "user name or password are not right, or were not too often; give the whole \
                   handle of the identity if the node has several prefixes";
    Failure::new(ResponseCode::AUTHENTICATION_FAILED, message).into()
}

/// The secret key of an identity of ours.
fn secret_of(node: &Node, identity: &Identity) -> Result<Option<Vec<u8>>, Problem> {
    let record = sought::record(node, &identity.handle)?;
    Ok(record.and_then(|record| {
        let mut values = record.values().iter();
        let value = values.find(|value| {
            value.index == identity.index && value.kind.eq_ignore_ascii_case(SECRET_KEY)
        });
        value.map(|value| value.data.to_vec())
    }))
}

fn given(asked: &Asked, token: &Token) -> Response {
    let token = token.as_str().to_owned();
    done(asked, TokenAnswer { token })
}

/// Whether the record of an identity is kept here, if there is one.
fn is_ours(node: &Node, identity: &Identity) -> bool {
    let prefix = identity.handle.borrow().prefix_handle();
    node.store.is_homed(prefix.borrow())
}

/// In constant time.
fn is_same(octets: &[u8], text: &str) -> bool {
    SecretKey::new(octets) == SecretKey::new(text.as_bytes())
}

/// Has the secret checked as that of every other request is, and begins a session.
async fn begin(
    node: &Node,
    asked: &Asked,
    identity: Identity,
    secret: &[u8],
) -> Result<Response, Problem> {
    let is_here = is_ours(node, &identity);
    let offered = Offered {
        presented: Presented::Password {
            user: identity.handle,
            index: identity.index,
            secret: secret.into(),
        },
        session: None,
    };
    let reply = Reply(carry_out_for(node, asked, &who_is_it(node), Some(offered)).await);
    match &reply.0.proven {
        Some(proven) => {
            let token = node.login_begin(proven.clone());
            Ok(given(asked, &token))
        }
        None if is_here => Err(wrong()),
        // What stood in the way of asking another node is told.
        None => Err(reply.failure().into()),
    }
}
