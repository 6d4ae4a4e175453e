//! What the node writes into its own prefix records: where it is reached.
//!
//! `init` makes the records. Where ports are chosen at start, the site record in them would be
//! wrong, so it is written again when the real ports are known.

use guantong_proto::data::Site;
use guantong_proto::data::admin::{Admin, AdminPermissions};
use guantong_proto::data::key::PublicKey;
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Permissions, Ttl, Value};
use guantong_store::{Batch, Change, Expect, Origin, Trail, WriteError};

use crate::node::{Node, StartError};

/// Index of the site record in a prefix record, by custom.
const SITE_INDEX: i32 = 1;
/// Index of the administrator list, by custom.
const ADMIN_INDEX: i32 = 100;
/// Index of the administrator's key, by custom.
pub(crate) const KEY_INDEX: i32 = 300;

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

/// Puts the prefix records right that are homed and stored here after this node has taken over: its
/// own site is primary, the one with the key `old` is not any more.
///
/// Records of the parents are theirs; they have to be told by whoever may change them.
pub(crate) fn take_over(node: &Node, old: Option<&[u8]>) -> Result<(), StartError> {
    let (config, site) = (node.config(), node.site());
    let own = node.key().public().encode();
    let has_key = |site: &Site, key: &[u8]| site.servers.iter().any(|s| s.public_key == key);
    let mut changes = Vec::new();
    for prefix in node.store.homed() {
        let Some(record) = node.store.record(prefix.borrow())? else {
            continue;
        };
        let values = record.values().iter();
        let mut values: Vec<_> = values.filter_map(|value| value.to_value().ok()).collect();
        let mut found = false;
        for value in &mut values {
            if !matches!(value.kind.as_str(), "HS_SITE" | "HS_SITE.6") {
                continue;
            }
            let Ok(mut other) = Site::decode(&value.data) else {
                continue;
            };
            let is_old = old.is_some_and(|old| has_key(&other, old));
            if has_key(&other, &own) {
                value.data = site.record().to_vec();
                found = true;
            } else if is_old && other.is_primary() {
                other.flags &= !Site::PRIMARY;
                other.serial = other.serial % 65_534 + 1;
                value.data = other.encode();
            } else {
                continue;
            }
            value.timestamp = node.now_secs();
        }
        if !found {
            values.push(Value {
                index: free_index(&values),
                timestamp: node.now_secs(),
                ttl: Ttl::default(),
                permissions: Permissions::default(),
                kind: site_type(config.site.address).into(),
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
    submit(node, changes)
}

/// The first index of a record that is free.
fn free_index(values: &[Value]) -> i32 {
    let is_free = |index: &i32| values.iter().all(|value| value.index != *index);
    (SITE_INDEX..).find(is_free).unwrap_or(SITE_INDEX)
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
    submit(node, changes)
}

fn submit(node: &Node, changes: Vec<Change>) -> Result<(), StartError> {
    if changes.is_empty() {
        return Ok(());
    }
    let batch = Batch {
        changes,
        at_ms: node.now_ms(),
        origin: Origin::Node,
        trail: Trail::default(),
    };
    match node.store.submit(batch).wait() {
        // A mirror's records are its primary's affair, and a primary without its standby may only
        // wait; neither is a reason not to answer.
        Err(WriteError::NotAdmitted { why }) => {
            tracing::info!(%why, "the site was not written into the prefix records");
            Ok(())
        }
        outcome => Ok(outcome.map(drop)?),
    }
}
