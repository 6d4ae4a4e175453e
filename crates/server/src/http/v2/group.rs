//! `/api/v2/groups`: groups of identities (身份组), and roles, which are groups.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use guantong_api::identity::{GroupAction, GroupAnswer, GroupsAnswer, NewGroup};
use guantong_api::v2::Outcome;
use guantong_core::admin::Identity;
use guantong_core::identity::{Kind, LOGIN_INDEX, MEMBERS_INDEX, Role, group_values};
use guantong_proto::data::List;
use guantong_proto::message::{OpCode, OpFlags, ResponseCode};
use guantong_proto::{Handle, Reference, Value, is_of_type};

use super::super::answer::{Failure, json};
use super::super::asked::Asked;
use super::super::change::builder;
use super::super::cors::OwnOrigin;
use super::super::{condition, path};
use super::identity::{delete, handle_of, name_of, named_value, values_of};
use super::problem::Problem;
use super::registration::seen;
use super::sender::Sender;
use super::template::{done, terms};
use super::{body, not_allowed, page, sought};
use crate::login::KEY_INDEX;
use crate::node::Node;

const AREA: &str = "groups";
/// Most members that one request names, and that a group has.
pub(super) const MEMBERS_MAX: usize = 1_000;
/// The group that lists those of other enterprises. Nobody is in it: its list has another index
/// than that of members.
const IMPORTED: &str = "imported";
/// That index.
const IMPORTED_INDEX: i32 = 201;

/// Answers a request for `/api/v2/groups`.
pub(super) async fn answer(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    condition::check(asked)?;
    match (&asked.method, rest) {
        (&(Method::GET | Method::HEAD), "") => list(node, asked).await,
        (&Method::POST, "") => create(node, asked).await,
        (_, "") => Err(not_allowed(asked, "GET and POST")),
        (&(Method::GET | Method::HEAD), rest) => show(node, asked, rest).await,
        (&Method::POST, rest) => act(node, asked, rest).await,
        (&Method::DELETE, rest) => delete(node, asked, &named(rest)?, AREA).await,
        _ => Err(not_allowed(asked, "GET, POST and DELETE")),
    }
}

/// The group that a path names.
fn named(rest: &str) -> Result<Handle, Problem> {
    let handle = path::handle(rest)?;
    match Kind::of(handle.borrow()) {
        Some(Kind::Group) => Ok(handle),
        _ => {
            let message = "this is no group; their suffixes begin with `Group_`";
            let failure = Failure::new(ResponseCode::HANDLE_NOT_FOUND, message);
            Err(failure.about(handle.as_str()).into())
        }
    }
}

//----------- Reading --------------------------------------------------------

async fn list(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let (handles, next) = page::named(node, asked, Kind::Group).await?;
    let is_first = asked.params.first("after").is_none();
    let prefix = asked.params.first("prefix").unwrap_or_default();
    let imported = Kind::Group
        .handle(prefix, IMPORTED)
        .ok()
        .filter(|_| is_first);
    let imported = match imported {
        Some(handle) => members_at(node, &handle, IMPORTED_INDEX)?,
        None => Vec::new(),
    };
    let is_own = |handle: &&Handle| handle.borrow().suffix() != "Group_imported";
    let form = GroupsAnswer {
        handles: handles
            .iter()
            .filter(is_own)
            .map(ToString::to_string)
            .collect(),
        imported: imported.into_iter().map(|group| group.handle).collect(),
        next,
    };
    let mut response = json(asked, StatusCode::OK, &form);
    // The address of the caller may be what lets him.
    response.extensions_mut().insert(OwnOrigin);
    Ok(response)
}

async fn show(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    let handle = named(rest)?;
    let version = condition::version(node, handle.as_str());
    let values = seen(node, asked, &handle).await?;
    let form = GroupAnswer {
        name: name_of(&values),
        role: Role::of_group(handle.borrow()).map(Role::name),
        members: members_of(&values, MEMBERS_INDEX)
            .iter()
            .map(written)
            .collect(),
        handle: handle.to_string(),
    };
    Ok(condition::tagged(
        json(asked, StatusCode::OK, &form),
        version,
    ))
}

fn written(reference: &Reference) -> String {
    format!("{}:{}", reference.index, reference.handle)
}

/// The members of a group, or what else it lists.
fn members_of(values: &[Value], index: i32) -> Vec<Reference> {
    let is_list =
        |value: &&Value| value.index == index && is_of_type(value.kind.as_bytes(), b"HS_VLIST");
    let list = values.iter().find(is_list);
    let list = list.and_then(|value| List::decode(&value.data).ok());
    list.unwrap_or_default().0
}

fn members_at(node: &Node, group: &Handle, index: i32) -> Result<Vec<Reference>, Problem> {
    let record = sought::record(node, group)?;
    let values = record.as_ref().map(values_of).transpose()?;
    Ok(values.map_or_else(Vec::new, |values| members_of(&values, index)))
}

/// The roles of a user under the prefix of his own handle.
pub(super) async fn roles_of(node: &Node, user: &Handle) -> Vec<&'static str> {
    let prefix = user.borrow().prefix_handle();
    let identity = Identity {
        handle: user.clone(),
        index: LOGIN_INDEX,
    };
    let roles = node.roles_of(&identity, &prefix).await;
    roles.into_iter().map(Role::name).collect()
}

//----------- Writing --------------------------------------------------------

/// Whether somebody is to be in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Membership {
    In,
    Out,
}

/// A member as people write it: `index:handle`, or a handle alone.
fn member(text: &str) -> Result<Reference, Problem> {
    let refuse = |message: String| {
        let failure = Failure::new(ResponseCode::INVALID_VALUE, message);
        Problem::of_field(failure, "members")
    };
    let is_index = |index: &str| !index.is_empty() && index.bytes().all(|c| c.is_ascii_digit());
    let (index, name) = match text.split_once(':') {
        Some((index, name)) if is_index(index) => (index.parse().ok(), name),
        _ => (None, text),
    };
    let handle = Handle::parse(name).map_err(|error| refuse(format!("`{name}`: {error}")))?;
    let usual = match Kind::of(handle.borrow()) {
        Some(Kind::App) => KEY_INDEX,
        Some(Kind::Group) => MEMBERS_INDEX,
        // By his password or by a key.
        Some(Kind::User) | None => 0,
    };
    Ok(Reference {
        handle: handle.to_string(),
        index: index.unwrap_or(usual),
    })
}

fn members(texts: &[String]) -> Result<Vec<Reference>, Problem> {
    if texts.len() > MEMBERS_MAX {
        let message = format!("a group has at most {MEMBERS_MAX} members; make groups of groups");
        let failure = Failure::new(ResponseCode::INVALID_VALUE, message);
        return Err(Problem::of_field(failure, "members"));
    }
    texts.iter().map(|text| member(text)).collect()
}

async fn create(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let new: NewGroup = body(asked)?;
    let sender = Sender::of(node, asked).await?;
    let changing = Changing {
        node,
        asked,
        sender: &sender,
    };
    if let Some(name) = &new.import {
        return changing.import(&new, name).await;
    }
    let code = new.code.as_deref().unwrap_or_default();
    let handle = handle_of(Kind::Group, &new.prefix, code)?;
    let members = members(&new.members)?;
    check_role(&handle, &members)?;
    let mut values = sender.administrators(&handle);
    values.extend(named_value(new.name.as_deref(), Kind::Group)?);
    values.push(Value::new(
        MEMBERS_INDEX,
        "HS_VLIST",
        List(members).encode(),
    ));
    let packet = builder(node, OpFlags::DEFAULT).write(OpCode::CREATE, handle.as_str(), &values);
    sender
        .carry(node, asked, &handle, packet, terms(asked))
        .await?;
    Ok(done(asked, &sender, &handle, Outcome::Created, AREA))
}

async fn act(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    let action: GroupAction = body(asked)?;
    let handle = named(rest)?;
    let sender = Sender::of(node, asked).await?;
    let changing = Changing {
        node,
        asked,
        sender: &sender,
    };
    let (named, membership) = match action {
        GroupAction::Add { members } => (members, Membership::In),
        GroupAction::Remove { members } => (members, Membership::Out),
    };
    let named = members(&named)?;
    if membership == Membership::In {
        check_role(&handle, &named)?;
    }
    changing
        .list(&handle, MEMBERS_INDEX, &named, membership)
        .await?;
    Ok(done(asked, &sender, &handle, Outcome::Changed, AREA))
}

/// Roles are for users: the key of an app identity may be renewed by those who look after app
/// identities, who could give themselves any role so.
fn check_role(group: &Handle, members: &[Reference]) -> Result<(), Problem> {
    let is_app = |member: &Reference| {
        let handle = Handle::parse(&member.handle);
        handle.is_ok_and(|handle| Kind::of(handle.borrow()) == Some(Kind::App))
    };
    match Role::of_group(group.borrow()).is_some() && members.iter().any(is_app) {
        false => Ok(()),
        true => {
            let message = "roles are for users: who looks after app identities could take the \
                           role by giving the app another key";
            let failure = Failure::new(ResponseCode::INVALID_VALUE, message);
            Err(Problem::of_field(failure, "members"))
        }
    }
}

/// Changes of groups by one request.
pub(super) struct Changing<'a> {
    pub(super) node: &'a Node,
    pub(super) asked: &'a Asked,
    pub(super) sender: &'a Sender,
}

impl Changing<'_> {
    /// Gives a user a role under the prefix of his own handle, or takes it.
    pub(super) async fn role(
        &self,
        role: Role,
        user: &Handle,
        membership: Membership,
    ) -> Result<(), Problem> {
        let prefix = user.borrow().prefix_handle();
        let group = role.group(prefix.borrow()).ok_or_else(|| {
            let message = "roles are given under a prefix such as 88.118.5";
            Failure::new(ResponseCode::INVALID_HANDLE, message)
        })?;
        let member = Reference {
            handle: user.to_string(),
            index: 0,
        };
        self.list(&group, MEMBERS_INDEX, &[member], membership)
            .await
    }

    /// Has a group of another enterprise listed among those of a prefix.
    async fn import(&self, new: &NewGroup, name: &str) -> Result<Response, Problem> {
        let refuse = |message: String| {
            let failure = Failure::new(ResponseCode::INVALID_VALUE, message);
            Problem::of_field(failure, "import")
        };
        let group = Handle::parse(name).map_err(|error| refuse(error.to_string()))?;
        let found = self.node.record_of(&group).await.map_err(refuse)?;
        let is_group = found.is_some_and(|record| {
            let is_list = |kind: &[u8]| is_of_type(kind, b"HS_VLIST");
            let mut values = record.values().iter();
            values.any(|value| value.index == MEMBERS_INDEX && is_list(value.kind))
        });
        if !is_group {
            let message = format!("there is no group at {MEMBERS_INDEX}:{group}");
            return Err(refuse(message));
        }
        let listing = handle_of(Kind::Group, &new.prefix, IMPORTED)?;
        let reference = Reference {
            handle: group.to_string(),
            index: MEMBERS_INDEX,
        };
        self.list(&listing, IMPORTED_INDEX, &[reference], Membership::In)
            .await?;
        Ok(done(
            self.asked,
            self.sender,
            &group,
            Outcome::Changed,
            AREA,
        ))
    }

    /// Takes references into a list of a group, or out of it. A group of this node that is not
    /// there yet is made: roles may be in force before anybody has them.
    async fn list(
        &self,
        group: &Handle,
        index: i32,
        named: &[Reference],
        membership: Membership,
    ) -> Result<(), Problem> {
        let (node, asked) = (self.node, self.asked);
        let rule = node.site().case_rule();
        let key = |reference: &Reference| {
            let handle = Handle::parse(&reference.handle);
            handle.ok().map(|handle| handle.key(rule))
        };
        let is_named = |member: &Reference| {
            named.iter().any(|one| {
                let same_index = one.index == member.index || one.index == 0;
                same_index && key(one).is_some() && key(one) == key(member)
            })
        };
        let record = sought::record(node, group)?;
        let is_role = Role::of_group(group.borrow()).is_some() || index == IMPORTED_INDEX;
        if record.is_none() && !is_role {
            let failure = Failure::new(ResponseCode::HANDLE_NOT_FOUND, "there is no such group");
            return Err(failure.about(group.as_str()).into());
        }
        let mut members = members_at(node, group, index)?;
        members.retain(|member| !is_named(member));
        if membership == Membership::In {
            members.extend(named.iter().cloned());
        }
        if members.len() > MEMBERS_MAX {
            let message = format!("a group has at most {MEMBERS_MAX} members");
            let failure = Failure::new(ResponseCode::INVALID_VALUE, message);
            return Err(Problem::of_field(failure, "members"));
        }
        let insisting = OpFlags::DEFAULT.with(OpFlags::OVERWRITE);
        let value = Value::new(index, "HS_VLIST", List(members.clone()).encode());
        let (packet, terms) = match record {
            Some(record) => {
                let builder = builder(node, insisting);
                let packet = builder.write(OpCode::ADD_VALUE, group.as_str(), &[value]);
                (packet, terms(asked).at(record.version()))
            }
            None => {
                let prefix = group.borrow().prefix_handle();
                let mut values = group_values(prefix.borrow(), Vec::new());
                values.retain(|value| value.index != index);
                values.push(value);
                let builder = builder(node, OpFlags::DEFAULT);
                let packet = builder.write(OpCode::CREATE, group.as_str(), &values);
                (packet, terms(asked))
            }
        };
        Ok(self.sender.carry(node, asked, group, packet, terms).await?)
    }
}
