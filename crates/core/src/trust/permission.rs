//! What a certificate lets its subject sign (clause 7).

use guantong_proto::crypto::jws::Permission;
use guantong_proto::{CaseRule, Handle, HandleRef};

/// Names in certificates are compared without regard to the case of ASCII letters: whoever wrote
/// the certificate did not know which servers would hold the record.
const RULE: CaseRule = CaseRule::Insensitive;

/// Whether one of `permissions` covers `handle`. No permission, no name that can be read and no
/// known word cover nothing.
pub fn covers(permissions: &[Permission], handle: HandleRef<'_>) -> bool {
    permissions.iter().any(|permission| {
        let named = permission.handle.as_deref().map(Handle::parse);
        let named = named
            .and_then(Result::ok)
            .map(|named| named.borrow().expanded());
        match (permission.perm.as_str(), named) {
            ("everything", _) => true,
            ("thisHandle", Some(named)) => is(handle, &named) || is_under(handle, &named),
            ("handlesUnderThisPrefix", Some(named)) => is_under(handle, &named),
            ("derivedPrefixes", Some(named)) => {
                is_derived(handle, &named) || is_derived(handle.prefix_handle().borrow(), &named)
            }
            _ => false,
        }
    })
}

fn is(handle: HandleRef<'_>, named: &Handle) -> bool {
    handle.key(RULE) == named.key(RULE)
}

/// Whether `handle` has the prefix whose prefix handle is `named`.
fn is_under(handle: HandleRef<'_>, named: &Handle) -> bool {
    named.borrow().is_prefix_handle() && is(handle.prefix_handle().borrow(), named)
}

/// Whether `handle` is a prefix handle that was derived from `named`, by however many steps.
fn is_derived(handle: HandleRef<'_>, named: &Handle) -> bool {
    let expanded = handle.expanded();
    let mut above = expanded.borrow().parent();
    while let Some(parent) = above {
        if is(parent, named) {
            return true;
        }
        above = parent.parent();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(perm: &str, named: Option<&str>, handle: &str, expected: bool) {
        let permission = Permission {
            handle: named.map(str::to_owned),
            perm: perm.to_owned(),
        };
        let found = covers(&[permission], HandleRef::parse(handle).unwrap());
        assert_eq!(found, expected, "{perm} {named:?} over {handle}");
    }

    #[test]
    fn permission_covers_what_it_names_and_nothing_beside_it() {
        check("everything", None, "88.118.5/x", true);
        check("thisHandle", Some("88.118.5/x"), "88.118.5/X", true);
        check("thisHandle", Some("88.118.5/x"), "88.118.5/xy", false);
        check("thisHandle", Some("0.NA/88.118.5"), "88.118.5/x", true);
        check(
            "handlesUnderThisPrefix",
            Some("0.na/88.118.5"),
            "88.118.5/x",
            true,
        );
        check(
            "handlesUnderThisPrefix",
            Some("88.118.5"),
            "88.118.5/x",
            true,
        );
        check(
            "handlesUnderThisPrefix",
            Some("0.NA/88.118.5"),
            "88.118.55/x",
            false,
        );
        check(
            "handlesUnderThisPrefix",
            Some("0.NA/88.118.5"),
            "0.NA/88.118.5",
            false,
        );
        check(
            "handlesUnderThisPrefix",
            Some("88.118.5/x"),
            "88.118.5/y",
            false,
        );
        check(
            "derivedPrefixes",
            Some("0.NA/88.118"),
            "0.NA/88.118.5",
            true,
        );
        check(
            "derivedPrefixes",
            Some("0.NA/88.118"),
            "0.NA/88.118.5.6",
            true,
        );
        check("derivedPrefixes", Some("0.NA/88.118"), "88.118.5/x", true);
        check("derivedPrefixes", Some("0.NA/88.118"), "88.118/x", false);
        check("derivedPrefixes", Some("0.NA/88.118"), "0.NA/88.118", false);
        check("derivedPrefixes", Some("0.NA/88.118"), "88.1189.5/x", false);
    }

    #[test]
    fn what_cannot_be_read_covers_nothing() {
        for perm in [
            "thisHandle",
            "handlesUnderThisPrefix",
            "derivedPrefixes",
            "all",
            "",
        ] {
            check(perm, None, "88.118.5/x", false);
            check(perm, Some(""), "88.118.5/x", false);
        }
        assert!(!covers(&[], HandleRef::parse("88.118.5/x").unwrap()));
    }
}
