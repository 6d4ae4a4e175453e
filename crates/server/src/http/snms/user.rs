//! `/identity/registry`: a user of this node, made by somebody who may make identities.
//!
//! He is a user as `/api/v2/identities` makes them, under the prefix of whoever makes him, and has
//! no rights until he is given some. What is said of him is for administrators.

use axum::response::Response;
use guantong_api::snms::NewUser;
use guantong_core::identity::Kind;
use guantong_proto::message::{OpCode, OpFlags};
use guantong_proto::{Handle, Value};

use super::super::answer::Failure;
use super::super::asked::Asked;
use super::super::change::builder;
use super::super::v2::identity::FOR_ADMINISTRATORS;
use super::super::v2::problem::Problem;
use super::super::v2::sender::{Sender, Terms};
use super::{body, done, refuse, required};
use crate::login::LoginError;
use crate::node::Node;

/// Most characters of a user name that names its prefix, too.
const NAME_CHARS_MAX: usize = 255;
/// Digits of the digest of a password.
const DIGEST_CHARS_MAX: usize = 64;
/// Most characters of an address, and of what another system calls the user.
const ADDRESS_CHARS_MAX: usize = 128;
/// Most characters of a telephone number.
const PHONE_CHARS_MAX: usize = 32;
/// Most characters of remarks.
const REMARKS_CHARS_MAX: usize = 1_000;

/// Makes a user.
pub(super) async fn register(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    node.login_takes(&asked.peer).map_err(Failure::from)?;
    let new: NewUser = body(asked)?;
    required("password", &new.password, DIGEST_CHARS_MAX)?;
    let said = said_of(&new)?;
    let sender = Sender::of(node, asked).await?;
    let handle = named(
        node,
        &sender,
        required("userName", &new.user_name, NAME_CHARS_MAX)?,
    )?;
    let mut values = sender.administrators(&handle);
    values.extend(said);
    let packet = |values: &[Value]| {
        builder(node, OpFlags::DEFAULT).write(OpCode::CREATE, handle.as_str(), values)
    };
    // Before a password is hashed: may he, and is the name free?
    let rehearsal = Terms {
        is_rehearsal: true,
        ..Terms::default()
    };
    sender
        .carry(node, asked, &handle, packet(&values), rehearsal)
        .await?;
    let login = match node.login_of_digest(&new.password).await {
        Err(LoginError::Unfit(fault)) => return Err(refuse(format!("`password`: {fault}"))),
        made => made.map_err(Failure::from)?,
    };
    values.push(login.to_value());
    sender
        .carry(node, asked, &handle, packet(&values), Terms::default())
        .await?;
    Ok(done(asked, true))
}

/// The values that say who he is.
fn said_of(new: &NewUser) -> Result<Vec<Value>, Problem> {
    required("email", &new.email, ADDRESS_CHARS_MAX)?;
    required("mobile", &new.mobile, PHONE_CHARS_MAX)?;
    let mut values = Vec::new();
    for (index, kind, name, text, limit) in [
        (2, "EMAIL", "email", &new.email, ADDRESS_CHARS_MAX),
        (3, "MOBILE", "mobile", &new.mobile, PHONE_CHARS_MAX),
        (4, "OPEN_ID", "openId", &new.open_id, ADDRESS_CHARS_MAX),
        (
            5,
            "OPEN_USER_NAME",
            "openUserName",
            &new.open_user_name,
            ADDRESS_CHARS_MAX,
        ),
        (6, "REMARKS", "remarks", &new.remarks, REMARKS_CHARS_MAX),
    ] {
        if text.is_empty() {
            continue;
        }
        required(name, text, limit)?;
        values.push(Value {
            permissions: FOR_ADMINISTRATORS,
            ..Value::new(index, kind, text.as_str())
        });
    }
    Ok(values)
}

/// The handle of a user: the name is the whole of it, or its end under the prefix of the sender or
/// the only one of the node.
fn named(node: &Node, sender: &Sender, name: &str) -> Result<Handle, Problem> {
    if name.contains('/') {
        let handle = Handle::parse(name)?;
        return match Kind::of(handle.borrow()) {
            Some(Kind::User) => Ok(handle),
            _ => Err(refuse(format!(
                "`userName`: `{name}` is no handle of a user"
            ))),
        };
    }
    let homed = node.store.homed();
    let own = sender.by.0.as_ref().map(|by| match by.handle.borrow() {
        prefix if prefix.is_prefix_handle() => by.handle.clone(),
        other => other.prefix_handle(),
    });
    let own = own.filter(|own| node.store.is_homed(own.borrow()));
    let only = homed.first().filter(|_| homed.len() == 1);
    let prefix = own.or_else(|| only.cloned()).ok_or_else(|| {
        let message = "`userName`: under which prefix? write the whole handle, PREFIX/User_NAME";
        refuse(message.to_owned())
    })?;
    Kind::User
        .handle(prefix.borrow().suffix(), name)
        .map_err(|fault| refuse(format!("`userName`: {fault}")))
}
