//! Locations that a record has from others: from its namespace, and from records that it names.
//!
//! A decision fetches nothing. [`Shared`] names the next record that counts, whoever has the store
//! shows it, and so on until no more is wanted:
//!
//! ```text
//! Shared::of(handle, values, namespace) ──► wanted() ──► Some(name) ── show(values of name) ──┐
//!                                              ▲  └────► None: `redirect` may be asked        │
//!                                              └──────────────────────────────────────────────┘
//! ```
//!
//! The namespace of a record is what HS_NAMESPACE of its prefix record names with `locs` (4.5.7);
//! the record may name another with `nshdl`, or none with `no_nslocs`. `include` names one more
//! record, which may include another in turn (8.7). Templates in them are filled with the handle
//! that was asked for: that is what makes one record serve a whole namespace.

use guantong_proto::{CaseRule, Handle, HandleRef, Key, Ttl, Value};

use super::parse::{LOCATIONS_MAX, Locations};
use crate::namespace::Namespace;

/// Most records that are looked at for one redirect, besides the one that was asked for. A record
/// shared by a namespace that includes a record shared by the enterprise makes two.
pub const SHARED_MAX: usize = 8;

//----------- Shared ---------------------------------------------------------

/// The locations that a record shares with others.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    /// What was found; how to choose is said by the first that was.
    found: Option<Locations>,
    /// How long each of the records that were found may be kept.
    ttls: Vec<Ttl>,
    wanted: Vec<Handle>,
    /// The records that were wanted once; nothing is looked at twice.
    seen: Vec<Key>,
}

impl Shared {
    /// What the record of `handle` shares, given its values and what its prefix record says.
    pub fn of(handle: HandleRef<'_>, values: &[Value], namespace: Option<&Namespace>) -> Self {
        let mut shared = Self::default();
        // The record itself has been looked at.
        shared.seen.push(handle.key(CaseRule::Insensitive));
        let own = Locations::of(values, handle).map(|(locations, _)| locations);
        let own = own.unwrap_or_else(Locations::none);
        let of_namespace = namespace.and_then(|namespace| namespace.locations.clone());
        shared.want(own.include);
        if !own.without_namespace {
            shared.want(own.namespace.or(of_namespace));
        }
        shared
    }

    /// The record that is to be shown next.
    pub fn wanted(&self) -> Option<&Handle> {
        self.wanted.first()
    }

    /// Takes the public values of the wanted record; none if there is no such record here.
    /// `handle` is the one that was asked for.
    pub fn show(&mut self, handle: HandleRef<'_>, values: &[Value]) {
        if self.wanted.is_empty() {
            return;
        }
        self.wanted.remove(0);
        let Some((locations, value)) = Locations::of(values, handle) else {
            return;
        };
        self.want(locations.include.clone());
        self.ttls.push(value.ttl);
        match &mut self.found {
            None => self.found = Some(locations),
            Some(found) => found.list.extend(locations.list),
        }
        if let Some(found) = &mut self.found {
            found.list.truncate(LOCATIONS_MAX);
        }
    }

    /// The locations; `None` if nothing is shared.
    pub(crate) fn found(&self) -> Option<&Locations> {
        self.found.as_ref()
    }

    /// How long what was found may be kept.
    pub(crate) fn seconds_left(&self, now_secs: u32) -> Option<u32> {
        self.ttls.iter().map(|ttl| ttl.seconds_left(now_secs)).min()
    }

    fn want(&mut self, handle: Option<Handle>) {
        let Some(handle) = handle else { return };
        let key = handle.key(CaseRule::Insensitive);
        // The first of those that were seen is the record itself.
        if self.seen.len() <= SHARED_MAX && !self.seen.contains(&key) {
            self.seen.push(key);
            self.wanted.push(handle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle() -> HandleRef<'static> {
        HandleRef::parse("88.118.5/a").unwrap()
    }

    fn loc(xml: &str) -> Vec<Value> {
        vec![Value::new(1, "10320/loc", xml)]
    }

    fn namespace() -> Namespace {
        Namespace::parse(b"<namespace><locs>88.118.5/all</locs></namespace>").unwrap()
    }

    fn wanted(xml: &str) -> Vec<String> {
        let shared = Shared::of(handle(), &loc(xml), Some(&namespace()));
        shared.wanted.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn record_says_whose_locations_it_shares() {
        assert_eq!(wanted("<locations/>"), ["88.118.5/all"]);
        assert!(wanted("<locations no_nslocs='1'/>").is_empty());
        assert_eq!(wanted("<locations nshdl='88.118.5/b'/>"), ["88.118.5/b"]);
        let both = "<locations include='88.118.5/c'/>";
        assert_eq!(wanted(both), ["88.118.5/c", "88.118.5/all"]);
        let alone = Shared::of(handle(), &[], Some(&namespace()));
        assert_eq!(alone.wanted().unwrap().as_str(), "88.118.5/all");
        assert!(Shared::of(handle(), &[], None).wanted().is_none());
    }

    #[test]
    fn record_is_not_shown_twice() {
        let circle = "<locations include='88.118.5/A'/>";
        let mut shared = Shared::of(handle(), &[], Some(&namespace()));
        shared.show(handle(), &loc(circle));
        assert!(shared.wanted().is_none());
        assert!(wanted("<locations include='88.118.5/a' no_nslocs=''/>").is_empty());
        let same = "<locations include='88.118.5/ALL'/>";
        assert_eq!(wanted(same).len(), 1);
    }

    #[test]
    fn chain_of_records_ends_at_the_limit() {
        let mut shared = Shared::of(handle(), &[], Some(&namespace()));
        let mut shown = 0;
        while shared.wanted().is_some() {
            shown += 1;
            let xml =
                format!("<locations include='88.118.5/{shown}'><location href='h:'/></locations>");
            shared.show(handle(), &loc(&xml));
        }
        assert_eq!(shown, SHARED_MAX);
        assert_eq!(shared.found().unwrap().list.len(), SHARED_MAX);
    }

    #[test]
    fn shared_locations_are_bounded_too() {
        let many = format!(
            "<locations>{}</locations>",
            "<location href='h:'/>".repeat(500)
        );
        let mut shared = Shared::of(
            handle(),
            &loc("<locations include='a/b'/>"),
            Some(&namespace()),
        );
        for _ in 0..2 {
            shared.show(handle(), &loc(&many));
        }
        assert_eq!(shared.found().unwrap().list.len(), LOCATIONS_MAX);
    }
}
