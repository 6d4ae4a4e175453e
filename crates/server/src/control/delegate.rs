//! Delegating a prefix: which sites serve it, written into its prefix record.

use std::collections::BTreeSet;

use guantong_api::control::{Identity, Json, Refusal};
use guantong_proto::data::{Admin, AdminPermissions};
use guantong_proto::{Handle, Value, json, type_matches};

use super::refusal;

/// Type of the values that name the sites of a prefix.
const SITE: &str = "HS_SITE";
/// Type of the values that name administrators.
const ADMIN: &str = "HS_ADMIN";
/// Index at which the first administrator of a record stands by custom.
const ADMIN_INDEX: i32 = 100;

//----------- Delegation -----------------------------------------------------

/// What a prefix record is to say.
#[derive(Debug)]
pub(super) struct Delegation {
    handle: Handle,
    /// Data of the HS_SITE values.
    sites: Vec<Vec<u8>>,
    admin: Option<Identity>,
}

impl Delegation {
    /// Reads the words of a question.
    pub(super) fn parse(
        prefix: &str,
        sites: &[Json],
        admin: Option<Identity>,
    ) -> Result<Self, Refusal> {
        if sites.is_empty() {
            return Err(refusal::invalid(
                "a prefix is delegated to one site at least, none was given",
            ));
        }
        let sites = sites.iter().enumerate().map(|(at, site)| {
            let site = json::parse_site(site.get().as_bytes());
            let site = site.map_err(|e| refusal::invalid(format!("site {}: {e}", at + 1)))?;
            Ok(site.encode())
        });
        Ok(Self {
            handle: Handle::of_prefix(prefix).map_err(refusal::invalid)?,
            sites: sites.collect::<Result<_, Refusal>>()?,
            admin,
        })
    }

    /// The prefix handle.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The values of the prefix record: the sites in place of those that `old` has, the
    /// administrator unless it is there already, and everything else as it was.
    pub(super) fn apply(&self, old: Option<&[Value]>) -> Vec<Value> {
        let old = old.unwrap_or_default();
        let is_site = |value: &&Value| type_matches(SITE.as_bytes(), value.kind.as_bytes());
        let mut values: Vec<Value> = old.iter().filter(|v| !is_site(v)).cloned().collect();
        let taken: BTreeSet<i32> = values.iter().map(|value| value.index).collect();
        // A site that stays keeps its index, and so its place in the eyes of clients.
        let known = old.iter().filter(is_site).map(|value| value.index);
        let free = (1..ADMIN_INDEX).filter(|index| !taken.contains(index));
        let mut indexes = known
            .clone()
            .chain(free.filter(|free| !known.clone().any(|k| k == *free)));
        for site in &self.sites {
            // There are fewer sites than indexes: a record holds 2,048 values.
            let index = indexes.next().unwrap_or(ADMIN_INDEX + values.len() as i32);
            let mut value = Value::new(index, SITE, site.clone());
            if let Some(old) = old.iter().find(|value| value.index == index) {
                value.ttl = old.ttl;
                value.permissions = old.permissions;
            }
            values.push(value);
        }
        if let Some(admin) = &self.admin {
            add_admin(&mut values, admin);
        }
        values.sort_by_key(|value| value.index);
        values
    }
}

/// Adds an administrator with all permissions, unless the same key is one already.
fn add_admin(values: &mut Vec<Value>, admin: &Identity) {
    let is_same = |value: &Value| {
        let known = Admin::decode(&value.data).map(|known| known.identity);
        value.kind.eq_ignore_ascii_case(ADMIN)
            && known.is_ok_and(|known| {
                known.index == admin.index && known.handle.eq_ignore_ascii_case(&admin.handle)
            })
    };
    if values.iter().any(is_same) {
        return;
    }
    let taken = |index: &i32| values.iter().any(|value| value.index == *index);
    let free = (ADMIN_INDEX..).find(|index| !taken(index));
    let data = Admin::new(AdminPermissions::ALL, admin.handle.clone(), admin.index).encode();
    values.push(Value::new(free.unwrap_or(ADMIN_INDEX), ADMIN, data));
}

#[cfg(test)]
mod tests {
    use guantong_proto::data::Site;
    use guantong_proto::json::SiteForm;
    use serde_json::value::to_raw_value;

    use super::*;

    fn delegation(serials: &[u16]) -> Delegation {
        let sites: Vec<Json> = serials
            .iter()
            .map(|&serial| {
                let site = Site {
                    serial,
                    ..Site::default()
                };
                to_raw_value(&SiteForm::new(&site)).unwrap()
            })
            .collect();
        let admin = Identity {
            handle: "0.NA/88.118".into(),
            index: 300,
        };
        Delegation::parse("88.118.5", &sites, Some(admin)).unwrap()
    }

    fn shape(values: &[Value]) -> Vec<(i32, &str)> {
        let shape = values.iter().map(|v| (v.index, v.kind.as_str()));
        shape.collect()
    }

    #[test]
    fn new_prefix_record_has_its_sites_and_its_administrator() {
        let values = delegation(&[1, 2]).apply(None);
        assert_eq!(shape(&values), [(1, SITE), (2, SITE), (100, ADMIN)]);
    }

    #[test]
    fn sites_are_replaced_and_everything_else_stays() {
        let first = delegation(&[1, 2]).apply(None);
        let mut with_more = first.clone();
        with_more[0].index = 3;
        with_more.push(Value::new(1, "DESC", "ours"));
        let values = delegation(&[7]).apply(Some(&with_more));
        assert_eq!(shape(&values), [(1, "DESC"), (3, SITE), (100, ADMIN)]);
        assert_eq!(Site::decode(&values[1].data).unwrap().serial, 7);
        assert_eq!(delegation(&[1, 2]).apply(Some(&first)), first);
    }

    #[test]
    fn delegation_without_a_site_or_to_a_broken_one_is_refused() {
        let none = Delegation::parse("88.118.5", &[], None).unwrap_err();
        assert!(none.message.contains("one site at least"));
        let broken: Json = serde_json::from_str(r#"{"servers":7}"#).unwrap();
        let error = Delegation::parse("88.118.5", &[broken], None).unwrap_err();
        assert!(
            error.message.starts_with("site 1: servers: expected"),
            "{}",
            error.message
        );
    }
}
