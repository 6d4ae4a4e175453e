//! Groups, and the permissions that changes need. The matrix of operations and permissions is in
//! `tests/permissions`.

use std::cell::RefCell;
use std::convert::Infallible;

use guantong_proto::Permissions;
use guantong_proto::wire::Writer;

use super::*;

const RULE: CaseRule = CaseRule::Insensitive;

fn identity() -> Identity {
    "300:u/me".parse().unwrap()
}

fn wire(values: &[Value]) -> Vec<u8> {
    Writer::to_vec(|w| Values::encode(values, w))
}

fn admin(permissions: AdminPermissions, handle: &str, index: i32) -> Value {
    Value::new(
        100,
        "HS_ADMIN",
        Admin::new(permissions, handle, index).encode(),
    )
}

fn list(index: i32, members: &[(&str, i32)]) -> Value {
    let members = members.iter().map(|&(handle, index)| Reference {
        handle: handle.into(),
        index,
    });
    Value::new(index, "HS_VLIST", List(members.collect()).encode())
}

/// Whether the record lets the identity add values, with these other records; and which of them
/// were looked at.
fn allowed(record: &[Value], others: &[(&str, Value)]) -> (bool, Vec<String>) {
    let (grant, asked) = granted(record, others);
    (grant.is_some(), asked)
}

/// What lets the identity add values, and which other records were looked at.
fn granted(record: &[Value], others: &[(&str, Value)]) -> (Option<Grant>, Vec<String>) {
    let others: Vec<(&str, Vec<u8>)> = others
        .iter()
        .map(|(name, value)| (*name, wire(std::slice::from_ref(value))))
        .collect();
    let record = wire(record);
    let asked = RefCell::new(Vec::new());
    let lookup = |handle: HandleRef<'_>| {
        asked.borrow_mut().push(handle.to_string());
        let found = others
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(handle.as_str()));
        Ok::<_, Infallible>(found.map(|(_, wire)| Values::from_wire(wire).unwrap()))
    };
    let record = Values::from_wire(&record).unwrap();
    let needed = AdminPermissions::ADD_VALUE;
    let Ok(granted) = authorize(&identity(), needed, record, RULE, lookup);
    (granted, asked.into_inner())
}

#[test]
fn administrator_is_named_by_handle_and_index_and_index_0_is_any() {
    let all = AdminPermissions::ALL;
    for (handle, index, expected) in [
        ("u/me", 300, true),
        ("U/ME", 300, true),
        ("u/me", 0, true),
        ("u/me", 301, false),
        ("u/you", 300, false),
        ("", 300, false),
    ] {
        let (found, _) = allowed(&[admin(all, handle, index)], &[]);
        assert_eq!(found, expected, "{index}:{handle}");
    }
}

#[test]
fn permissions_of_several_values_do_not_add_up() {
    let values = [
        admin(AdminPermissions::ADD_VALUE, "u/you", 300),
        admin(AdminPermissions::READ_VALUE, "u/me", 300),
    ];
    assert!(!allowed(&values, &[]).0);
}

#[test]
fn member_of_a_group_of_a_group_has_the_permission() {
    let record = [admin(AdminPermissions::ALL, "g/a", 200)];
    let others = [
        ("g/a", list(200, &[("u/you", 300), ("g/b", 200)])),
        ("g/b", list(200, &[("u/me", 300)])),
    ];
    assert!(allowed(&record, &others).0);
    let others = [others[0].clone(), ("g/b", list(201, &[("u/me", 300)]))];
    assert!(!allowed(&record, &others).0, "the list has another index");
}

#[test]
fn right_names_the_value_that_gives_it_and_the_groups_on_the_way() {
    let at = |index: i32, value: Value| Value { index, ..value };
    let record = [
        at(100, admin(AdminPermissions::READ_VALUE, "u/me", 300)),
        at(101, admin(AdminPermissions::ALL, "g/other", 200)),
        at(102, admin(AdminPermissions::ALL, "g/a", 200)),
        at(103, admin(AdminPermissions::ALL, "g/empty", 200)),
    ];
    let others = [
        ("g/other", list(200, &[("u/you", 300)])),
        (
            "g/a",
            list(200, &[("u/you", 300), ("g/b", 201), ("g/c", 200)]),
        ),
        ("g/b", list(201, &[("u/me", 300)])),
        ("g/c", list(200, &[("u/you", 300)])),
    ];
    let (grant, _) = granted(&record, &others);
    let grant = grant.unwrap();
    let through: Vec<String> = grant.through.iter().map(Reference::to_string).collect();
    assert_eq!(
        (grant.index, grant.permissions),
        (102, AdminPermissions::ALL)
    );
    assert_eq!(through, ["200:g/a", "201:g/b"]);
    let direct = at(104, admin(AdminPermissions::ADD_VALUE, "u/me", 0));
    let (grant, asked) = granted(&[&record[..], &[direct]].concat(), &others);
    assert_eq!(
        grant,
        Some(Grant {
            index: 104,
            permissions: AdminPermissions::ADD_VALUE,
            through: vec![]
        })
    );
    assert_eq!(asked, [""; 0], "who is named needs no group");
}

#[test]
fn groups_that_contain_each_other_come_to_an_end() {
    let record = [admin(AdminPermissions::ALL, "g/a", 200)];
    let others = [
        ("g/a", list(200, &[("g/b", 200), ("g/a", 200)])),
        ("g/b", list(200, &[("G/A", 200)])),
    ];
    let (found, asked) = allowed(&record, &others);
    assert!(!found);
    assert_eq!(asked, ["g/a", "g/b"]);
}

#[test]
fn direct_administrators_need_no_other_record() {
    let record = [
        admin(AdminPermissions::ALL, "g/a", 200),
        admin(AdminPermissions::ALL, "u/me", 300),
    ];
    assert_eq!(allowed(&record, &[]), (true, vec![]));
    let record = [admin(AdminPermissions::READ_VALUE, "g/a", 200)];
    assert_eq!(
        allowed(&record, &[]),
        (false, vec![]),
        "this group could not help"
    );
}

#[test]
fn references_that_are_followed_are_bounded() {
    let many: Vec<(String, i32)> = (0..=GROUP_REFERENCES_MAX)
        .map(|n| (format!("u/{n}"), 300))
        .collect();
    let members: Vec<(&str, i32)> = many
        .iter()
        .map(|(name, index)| (&name[..], *index))
        .collect();
    let record = [admin(AdminPermissions::ALL, "g/a", 200)];
    let (found, asked) = allowed(&record, &[("g/a", list(200, &members))]);
    assert!(!found);
    assert_eq!(asked, ["g/a"]);
}

#[test]
fn what_decodes_as_no_administrator_gives_no_right() {
    let mut broken = admin(AdminPermissions::ALL, "u/me", 300);
    broken.data.pop();
    assert!(!allowed(&[broken], &[]).0);
    let mut other = admin(AdminPermissions::ALL, "u/me", 300);
    other.kind = "HS_ADMINS".into();
    assert!(!allowed(&[other], &[]).0);
}

//----------- Open to all ----------------------------------------------------

#[test]
fn only_values_with_public_write_and_no_types_of_the_system_are_open() {
    let value = |index: i32, kind: &str, permissions: u8| Value {
        permissions: Permissions(permissions),
        ..Value::new(index, kind, "x")
    };
    let current = [
        value(1, "URL", 0x0f),
        value(2, "URL", 0x0e),
        value(3, "HS_SECKEY", 0x0f),
    ];
    let open = |change: &Change| is_open_to_all(change, &current);
    assert!(open(&Change::Remove(vec![1])));
    assert!(!open(&Change::Remove(vec![1, 2])));
    assert!(!open(&Change::Remove(vec![3])));
    assert!(!open(&Change::Remove(vec![4])));
    assert!(!open(&Change::Remove(vec![])));
    assert!(open(&Change::Modify(vec![value(1, "EMAIL", 0x0e)])));
    assert!(!open(&Change::Modify(vec![value(1, "HS_ADMIN", 0x0e)])));
    assert!(!open(&Change::Modify(vec![])));
    assert!(!open(&Change::Delete) && !open(&Change::Add(vec![value(9, "URL", 0x0f)])));
}
