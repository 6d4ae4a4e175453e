//! What the node writes into its own prefix records: where it is reached.
//!
//! `init` makes the records. Where ports are chosen at start, the site record in them would be
//! wrong, so it is written again when the real ports are known.

use guantong_proto::data::admin::{Admin, AdminPermissions};
use guantong_proto::data::key::PublicKey;
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Permissions, Ttl, Value};
use guantong_store::{Batch, Change, Expect, Origin};

use crate::node::{Node, StartError};

/// Index of the site record in a prefix record, by custom.
const SITE_INDEX: i32 = 1;
/// Index of the administrator list, by custom.
const ADMIN_INDEX: i32 = 100;
/// Index of the administrator's key, by custom.
const KEY_INDEX: i32 = 300;

/// The prefix record of a new prefix: who serves it, who administers it, with which key.
pub(crate) fn prefix_record(
    prefix: &Handle,
    site: Option<(&str, Vec<u8>)>,
    administrator: &PublicKey,
    now_secs: u32,
) -> Vec<Value> {
    let value = |index, kind: &str, data| Value {
        index,
        timestamp: now_secs,
        ttl: Ttl::default(),
        permissions: Permissions::default(),
        kind: kind.into(),
        data,
        references: Vec::new(),
    };
    let admin = Admin::new(AdminPermissions::ALL, prefix.as_str(), KEY_INDEX);
    let mut values = Vec::new();
    if let Some((kind, record)) = site {
        values.push(value(SITE_INDEX, kind, record));
    }
    values.push(value(ADMIN_INDEX, "HS_ADMIN", admin.encode()));
    values.push(value(KEY_INDEX, "HS_PUBKEY", administrator.encode()));
    values
}

/// The type of a site record: sites with IPv6 addresses are kept from old clients (4.5.2).
pub(crate) fn site_type(address: std::net::IpAddr) -> &'static str {
    match address.is_ipv6() {
        true => "HS_SITE.6",
        false => "HS_SITE",
    }
}

/// Values in the form in which the store takes them.
pub(crate) fn wire(values: &[Value]) -> Vec<u8> {
    Writer::to_vec(|w| {
        w.size(values.len());
        for value in values {
            value.encode(w);
        }
    })
}

/// Writes the node's site record into the prefix records that are homed and stored here.
pub(crate) fn own_site(node: &Node) -> Result<(), StartError> {
    let (config, site) = (node.config(), node.site());
    let kind = site_type(config.site.address);
    let mut changes = Vec::new();
    for prefix in node.store.homed() {
        let Some(record) = node.store.record(prefix.borrow())? else {
            continue;
        };
        let mut values = Vec::new();
        let mut found = false;
        for value in record.values().iter() {
            let Ok(mut value) = value.to_value() else {
                continue;
            };
            if value.index == SITE_INDEX && value.kind.starts_with("HS_SITE") {
                value.data = site.record().to_vec();
                value.kind = kind.into();
                value.timestamp = node.now_secs();
                found = true;
            }
            values.push(value);
        }
        if !found && values.iter().all(|value| value.index != SITE_INDEX) {
            values.push(Value {
                index: SITE_INDEX,
                timestamp: node.now_secs(),
                ttl: Ttl::default(),
                permissions: Permissions::default(),
                kind: kind.into(),
                data: site.record().to_vec(),
                references: Vec::new(),
            });
        }
        values.sort_by_key(|value| value.index);
        changes.push(Change::Put {
            handle: record.handle().to_owned(),
            values: wire(&values),
            expect: Expect::Version(record.version()),
        });
    }
    if changes.is_empty() {
        return Ok(());
    }
    let batch = Batch {
        changes,
        at_ms: node.now_ms(),
        origin: Origin::Node,
    };
    node.store.submit(batch).wait()?;
    Ok(())
}
