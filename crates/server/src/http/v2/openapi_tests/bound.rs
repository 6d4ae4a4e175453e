//! The limits of what is taken, written beside the types, from the constants that hold.

use guantong_api::v2;
use guantong_core::enterprise::limit;
use guantong_core::grant::SUBJECTS_MAX;
use guantong_core::identity::{CODE_CHARS_MAX, PASSWORD_CHARS_MIN, PASSWORD_OCTETS_MAX, Role};
use serde_json::{Map, Value as Json, json};

use super::super::{group, identity};

/// Writes the limits of what is taken beside the types, from the constants that hold.
pub(super) fn bound(all: &mut Map<String, Json>) {
    let code = || text(1, CODE_CHARS_MAX);
    let form = "EnterpriseForm";
    for (name, property, bounds) in [
        ("Bulk", "registrations", list(v2::ROWS_MAX)),
        ("NewIdentity", "code", code()),
        ("NewIdentity", "name", text(1, identity::NAME_LEN_MAX)),
        ("NewIdentity", "password", chosen()),
        ("NewGroup", "code", code()),
        ("NewGroup", "name", text(1, identity::NAME_LEN_MAX)),
        ("NewGroup", "members", list(group::MEMBERS_MAX)),
        ("GrantsEdit", "add", list(SUBJECTS_MAX)),
        ("OwnPasswordRequest", "newPassword", chosen()),
        ("SetUpRequest", "password", chosen()),
        ("FiledEnterprise", "password", chosen()),
        (form, "name", text(1, limit::NAME_CHARS_MAX)),
        (form, "prefix", text(1, limit::PREFIX_CHARS_MAX)),
        (form, "userName", text(1, limit::USER_CHARS_MAX)),
        (form, "publicKey", text(0, limit::KEY_OCTETS_MAX)),
        (
            "EnterpriseDocument",
            "number",
            text(1, limit::NUMBER_CHARS_MAX),
        ),
        (
            "EnterpriseContact",
            "name",
            text(1, limit::CONTACT_CHARS_MAX),
        ),
        (
            "EnterpriseContact",
            "phone",
            text(0, limit::PHONE_CHARS_MAX),
        ),
        (
            "EnterpriseContact",
            "email",
            text(0, limit::CONTACT_CHARS_MAX),
        ),
    ] {
        bind(&mut all[name]["properties"][property], &bounds);
    }
    bound_actions(all);
    bound_roles(all);
}

/// The limits of what actions say.
fn bound_actions(all: &mut Map<String, Json>) {
    for (name, action, property, bounds) in [
        ("IdentityAction", "setPassword", "password", chosen()),
        ("EnterpriseAction", "host", "password", chosen()),
        ("GroupAction", "add", "members", list(group::MEMBERS_MAX)),
        ("GroupAction", "remove", "members", list(group::MEMBERS_MAX)),
        (
            "EnterpriseAction",
            "approve",
            "prefix",
            text(1, limit::PREFIX_CHARS_MAX),
        ),
        (
            "EnterpriseAction",
            "reject",
            "reason",
            text(1, limit::REASON_CHARS_MAX),
        ),
    ] {
        let actions = all[name]["oneOf"].as_array_mut().unwrap();
        let is_it = |form: &&mut Json| form["properties"]["action"]["const"] == action;
        bind(
            &mut actions.iter_mut().find(is_it).unwrap()["properties"][property],
            &bounds,
        );
    }
}

/// The names that roles have.
fn bound_roles(all: &mut Map<String, Json>) {
    let roles = || json!(Role::ALL.map(Role::name));
    for name in ["WhoAnswer", "IdentityAnswer"] {
        bind(
            &mut all[name]["properties"]["roles"]["items"],
            &json!({"enum": roles()}),
        );
    }
    for action in ["addRole", "removeRole"] {
        let actions = all["IdentityAction"]["oneOf"].as_array_mut().unwrap();
        let is_it = |form: &&mut Json| form["properties"]["action"]["const"] == action;
        let role = &mut actions.iter_mut().find(is_it).unwrap()["properties"]["role"];
        bind(role, &json!({"enum": roles()}));
    }
}

fn text(least: usize, most: usize) -> Json {
    json!({"minLength": least, "maxLength": most})
}

fn list(most: usize) -> Json {
    json!({"maxItems": most})
}

/// A password that somebody chooses.
fn chosen() -> Json {
    text(PASSWORD_CHARS_MIN, PASSWORD_OCTETS_MAX)
}

/// Adds bounds to the schema of a property, which must be there.
#[track_caller]
fn bind(schema: &mut Json, bounds: &Json) {
    let schema = schema.as_object_mut().unwrap();
    assert!(schema.contains_key("type"), "{schema:?}");
    schema.extend(bounds.as_object().unwrap().clone());
}
