//! Roles (角色): groups under a prefix that its prefix record names.
//!
//! A role is in force once an HS_ADMIN value of `0.NA/P` names `200:P/Group_<role>`. What that
//! value allows on the prefix record itself is what it says, for every software. What the role
//! allows on records under the prefix is the table here:
//!
//! | role | on the prefix | on records under it |
//! |---|---|---|
//! | administrators (管理员) | everything | everything |
//! | operators (操作员) | create, list | values, read, delete; of no identity, and no key |
//! | app-administrators (应用管理员) | create, list | the same, of app identities only |
//! | auditors (审计员) | list | read |

use std::fmt;
use std::str::FromStr;

use guantong_proto::data::{Admin, AdminPermissions, List};
use guantong_proto::{Handle, HandleRef, Reference, Value, Values, is_of_type};

use super::login::LOGIN_TYPE;
use super::name::{Kind, code_of};

/// Index of the value with the members of a group.
pub const MEMBERS_INDEX: i32 = 200;
/// Index of the HS_ADMIN value of the first role in a prefix record; the others follow.
const ROLES_INDEX: i32 = 110;
/// Index of the key of a prefix.
const PREFIX_KEY_INDEX: i32 = 300;
/// Index of the value that says who keeps a group.
const GROUP_ADMIN_INDEX: i32 = 100;

//----------- Role -----------------------------------------------------------

/// A role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// May everything.
    Administrators,
    /// Register and change.
    Operators,
    /// Look after app identities.
    AppAdministrators,
    /// Read.
    Auditors,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Administrators,
        Self::Operators,
        Self::AppAdministrators,
        Self::Auditors,
    ];

    /// Its name, which is the end of its group's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Administrators => "administrators",
            Self::Operators => "operators",
            Self::AppAdministrators => "app-administrators",
            Self::Auditors => "auditors",
        }
    }

    /// Its group under the prefix of a prefix handle.
    pub fn group(self, prefix: HandleRef<'_>) -> Option<Handle> {
        let prefix = prefix.is_prefix_handle().then(|| prefix.suffix())?;
        Kind::Group.handle(prefix, self.name()).ok()
    }

    /// The role whose group an HS_ADMIN value of the prefix record `prefix` names.
    pub fn named(admin: &Admin, prefix: HandleRef<'_>) -> Option<Self> {
        let reference = &admin.identity;
        if !matches!(reference.index, 0 | MEMBERS_INDEX) || !prefix.is_prefix_handle() {
            return None;
        }
        let group = HandleRef::parse(&reference.handle).ok()?;
        let role = Self::of_group(group)?;
        // Prefixes fold under every rule.
        let is_own = group.prefix().eq_ignore_ascii_case(prefix.suffix());
        is_own.then_some(role)
    }

    /// The role whose group has this handle.
    pub fn of_group(group: HandleRef<'_>) -> Option<Self> {
        let code = code_of(Kind::Group, group)?;
        Self::ALL
            .into_iter()
            .find(|role| role.name().eq_ignore_ascii_case(code))
    }

    /// What the HS_ADMIN value in the prefix record allows.
    pub fn on_prefix(self) -> AdminPermissions {
        match self {
            Self::Administrators => AdminPermissions::ALL,
            Self::Operators | Self::AppAdministrators => {
                AdminPermissions::ADD_HANDLE.union(AdminPermissions::LIST_HANDLES)
            }
            Self::Auditors => AdminPermissions::LIST_HANDLES,
        }
    }

    /// What the role allows on a record under the prefix that has these values.
    ///
    /// Whoever has a key in a record is somebody, whatever the record is called, and so is whoever
    /// is in a list: an operator who could write either would have all that is given to them.
    pub fn on_record(self, handle: HandleRef<'_>, values: Values<'_>) -> AdminPermissions {
        let keep = AdminPermissions::ADD_VALUE
            .union(AdminPermissions::MODIFY_VALUE)
            .union(AdminPermissions::REMOVE_VALUE)
            .union(AdminPermissions::READ_VALUE)
            .union(AdminPermissions::DELETE_HANDLE);
        match self {
            Self::Administrators => AdminPermissions::ALL,
            Self::Auditors => AdminPermissions::READ_VALUE,
            Self::Operators if values.iter().any(|value| proves(value.kind)) => {
                AdminPermissions::READ_VALUE
            }
            Self::Operators | Self::AppAdministrators if self.may_make(handle) => keep,
            Self::Operators | Self::AppAdministrators => AdminPermissions::default(),
        }
    }

    /// Whether whoever has the role may create a record of that handle, if the prefix record lets
    /// him create records at all.
    pub fn may_make(self, handle: HandleRef<'_>) -> bool {
        match self {
            Self::Administrators => true,
            Self::Operators => Kind::of(handle).is_none(),
            Self::AppAdministrators => Kind::of(handle) == Some(Kind::App),
            Self::Auditors => false,
        }
    }
}

/// Whether a value of this type says who somebody is, or who is in a group.
pub(crate) fn proves(kind: &[u8]) -> bool {
    let kinds = ["HS_PUBKEY", "HS_SECKEY", "HS_VLIST", LOGIN_TYPE];
    kinds.iter().any(|known| is_of_type(kind, known.as_bytes()))
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Self, NoRole> {
        let role = Self::ALL.into_iter().find(|role| role.name() == text);
        role.ok_or_else(|| NoRole(text.into()))
    }
}

/// A text that names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role; there are administrators, operators, app-administrators, auditors")]
pub struct NoRole(Box<str>);

/// The values of the prefix record that put the roles in force.
pub fn role_values(prefix: HandleRef<'_>) -> Vec<Value> {
    let value = |(index, role): (i32, Role)| {
        let group = role.group(prefix)?.to_string();
        let admin = Admin::new(role.on_prefix(), group, MEMBERS_INDEX);
        Some(Value::new(index, "HS_ADMIN", admin.encode()))
    };
    (ROLES_INDEX..).zip(Role::ALL).filter_map(value).collect()
}

/// The values of a group: whoever has the key of the prefix keeps it, and those who are in it.
pub fn group_values(prefix: HandleRef<'_>, members: Vec<Reference>) -> Vec<Value> {
    let admin = Admin::new(AdminPermissions::ALL, prefix.as_str(), PREFIX_KEY_INDEX);
    vec![
        Value::new(GROUP_ADMIN_INDEX, "HS_ADMIN", admin.encode()),
        Value::new(MEMBERS_INDEX, "HS_VLIST", List(members).encode()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Handle {
        Handle::parse(name).unwrap()
    }

    #[test]
    fn role_is_what_a_prefix_record_names_of_its_own_prefix() {
        let prefix = parse("0.NA/88.118.5");
        let values = role_values(prefix.borrow());
        assert_eq!(values.len(), 4);
        for (value, role) in values.iter().zip(Role::ALL) {
            let admin = Admin::decode(&value.data).unwrap();
            assert_eq!(Role::named(&admin, prefix.borrow()), Some(role));
            assert_eq!(Role::named(&admin, parse("0.NA/88.118.6").borrow()), None);
            assert_eq!(Role::named(&admin, parse("88.118.5/x").borrow()), None);
        }
        let letters = Admin::new(AdminPermissions::ALL, "20.abc/Group_operators", 200);
        let upper = parse("0.NA/20.ABC");
        assert_eq!(Role::named(&letters, upper.borrow()), Some(Role::Operators));
        for (name, index) in [
            ("88.118.5/Group_operators", 300),
            ("88.118.5/Group_other", 200),
            ("88.118.50/Group_operators", 200),
            ("0.NA/88.118.5", 200),
        ] {
            let admin = Admin::new(AdminPermissions::ALL, name, index);
            assert_eq!(Role::named(&admin, prefix.borrow()), None, "{name}");
        }
    }

    #[test]
    fn no_role_but_that_of_administrators_reaches_users_and_groups() {
        for name in ["88.118.5/User_a", "88.118.5/Group_a", "88.118.5/group_x"] {
            let handle = parse(name);
            for role in [Role::Operators, Role::AppAdministrators] {
                assert!(!role.may_make(handle.borrow()), "{role} {name}");
                assert_eq!(role.on_record(handle.borrow(), Values::EMPTY).0, 0);
            }
        }
        let app = parse("88.118.5/App_a");
        assert!(Role::AppAdministrators.may_make(app.borrow()));
        assert!(!Role::Operators.may_make(app.borrow()));
        let thing = parse("88.118.5/SN1");
        assert!(Role::Operators.may_make(thing.borrow()));
        assert!(!Role::AppAdministrators.may_make(thing.borrow()));
    }

    #[test]
    fn roles_below_administrators_change_no_administrators() {
        let admin = AdminPermissions::ADD_ADMIN
            .union(AdminPermissions::MODIFY_ADMIN)
            .union(AdminPermissions::REMOVE_ADMIN);
        for name in ["88.118.5/SN1", "88.118.5/App_a", "88.118.5/User_a"] {
            for role in [Role::Operators, Role::AppAdministrators, Role::Auditors] {
                let given = role.on_record(parse(name).borrow(), Values::EMPTY).0;
                let given = given | role.on_prefix().0;
                assert_eq!(given & admin.0, 0, "{role} {name}");
            }
        }
    }
}
