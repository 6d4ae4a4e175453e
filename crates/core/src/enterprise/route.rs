//! Who serves the prefix of an enterprise, and who administers it.

use std::net::IpAddr;

use guantong_proto::data::site::{Interface, InterfaceKind, Protocol, Server};
use guantong_proto::data::{Admin, AdminPermissions, Site};
use guantong_proto::{Handle, Value, is_of_type};

use crate::admin::Administrator;

/// What the administrators of a prefix may do with the prefix records below it: change routes, and
/// nothing with the records of the enterprise.
const ROUTE: AdminPermissions = AdminPermissions(
    AdminPermissions::MODIFY_VALUE.0
        | AdminPermissions::REMOVE_VALUE.0
        | AdminPermissions::ADD_VALUE.0
        | AdminPermissions::MODIFY_ADMIN.0
        | AdminPermissions::REMOVE_ADMIN.0
        | AdminPermissions::ADD_ADMIN.0
        | AdminPermissions::READ_VALUE.0,
);

/// The `HS_ADMIN` values of a prefix record, for an application below the prefix: those who
/// administer the prefix review it.
pub fn copied_administrators(prefix_record: &[Value]) -> Vec<Value> {
    let is_admin = |value: &&Value| is_of_type(value.kind.as_bytes(), b"HS_ADMIN");
    prefix_record.iter().filter(is_admin).cloned().collect()
}

/// The administrators of a prefix, as those of the prefix record of an enterprise below it.
pub fn route_administrators(prefix_record: &[Value]) -> Vec<Administrator> {
    let admins = copied_administrators(prefix_record);
    let admins = admins.iter().filter_map(|value| {
        let admin = Admin::decode(&value.data).ok()?;
        let permissions = AdminPermissions(admin.permissions.0 & ROUTE.0);
        Some(Administrator {
            handle: Handle::parse(&admin.identity.handle).ok()?,
            index: admin.identity.index,
            permissions,
        })
    });
    admins.filter(|admin| admin.permissions.0 != 0).collect()
}

/// A site of one server of which the address and the ports are known, and nothing else. Its key is
/// not: what it signs cannot be checked until its own site record is known.
pub fn address_site(address: IpAddr, ports: &[(Protocol, u16)]) -> Site {
    let interfaces = ports.iter().map(|(protocol, port)| Interface {
        kind: InterfaceKind::BOTH,
        protocol: *protocol,
        port: i32::from(*port),
    });
    Site {
        format: 1,
        protocol: (2, 11),
        serial: 1,
        flags: Site::PRIMARY,
        servers: vec![Server {
            id: 1,
            address,
            public_key: Vec::new(),
            interfaces: interfaces.collect(),
        }],
        ..Site::default()
    }
}
