//! Changes that are decided together come to what the messages that mean the same come to, each by
//! itself.

use guantong_core::admin::authenticate::Proven;
use guantong_core::admin::{
    Change, Declined, Deed, Effect, Expected, Presented, SHARED_MAX, STALE, Together, Verdict, Wish,
};
use guantong_core::identity::{Kind, MEMBERS_INDEX, Role, group_values};
use guantong_proto::message::ResponseCode;

use super::foresight::{Before, errand, proven};
use super::*;

const OTHER: &str = "88.118.5/another";

/// Somebody who was proven.
fn by(user: &str) -> Proven {
    match proven(user) {
        Presented::Session(proven) => proven,
        other => unreachable!("{other:?}"),
    }
}

/// The wish that means the same as a request for a change.
fn wish_of(request: &[u8]) -> Option<Wish> {
    let message = Message::decode(request).unwrap();
    let overwrites = message.header.flags.has(OpFlags::OVERWRITE);
    let (name, deed) = match (message.header.op, Request::of(&message).unwrap()) {
        (op, Request::Write { handle, values }) => {
            let values = values.to_vec().unwrap();
            let change = match (op, overwrites) {
                (OpCode::CREATE, false) => Change::Create(values),
                (OpCode::CREATE, true) => Change::Put(values),
                (OpCode::ADD_VALUE, false) => Change::Add(values),
                (OpCode::ADD_VALUE, true) => Change::Write(values),
                _ => Change::Modify(values),
            };
            (handle, Deed::Change(change))
        }
        (_, Request::Remove { handle, indexes }) => (
            handle,
            Deed::Change(Change::Remove(indexes.iter().collect())),
        ),
        (OpCode::DELETE, Request::Named { handle }) => (handle, Deed::Delete),
        _ => return None,
    };
    Some(Wish {
        handle: Handle::from_wire(name).unwrap(),
        deed,
        condition: None,
    })
}

fn create(name: &str) -> Wish {
    Wish {
        handle: Handle::parse(name).unwrap(),
        deed: Deed::Change(Change::Create(vec![url(1)])),
        condition: None,
    }
}

impl Node {
    /// Decides all that is open; the names of the records that were asked for.
    fn decide_all(&mut self, together: &mut Together) -> Vec<String> {
        let mut asked = Vec::new();
        for at in 0..together.len() {
            if let Some(wanted) = together.foreseen(at, &self.site) {
                together.learn(&self.site, &wanted, self.fetch(&wanted));
                asked.push(wanted.handle.to_string());
            }
            let ground = Ground {
                site: &self.site,
                rules: &self.rules,
                now_secs: 1_000,
                tables: &NoTables,
            };
            while let Some(wanted) = together.decide(at, &ground) {
                together.learn(&self.site, &wanted, self.fetch(&wanted));
                asked.push(wanted.handle.to_string());
            }
        }
        asked
    }

    /// Decides all that is open and writes it; the names of the records that were asked for.
    fn round(&mut self, together: &mut Together) -> Vec<String> {
        let asked = self.decide_all(together);
        let orders = together.take_orders();
        let is_stale = orders.iter().any(|order| self.is_stale(order));
        let mut written = if is_stale {
            Written::Conflict
        } else {
            Written::Done
        };
        for order in orders.into_iter().filter(|_| !is_stale) {
            written = self.write(order);
        }
        together.written(&written);
        asked
    }

    /// Whether a record is there that must not be.
    fn is_stale(&self, order: &Order) -> bool {
        let Write::Put { handle, expect, .. } = &order.write else {
            return false;
        };
        *expect == Expected::Absent && self.records.contains_key(&handle.key(RULE).to_string())
    }

    fn together(&mut self, by: Option<Proven>, wishes: Vec<Wish>) -> Vec<Verdict> {
        let mut together = Together::new(by, wishes);
        while together.is_open() {
            self.round(&mut together);
        }
        verdicts(together)
    }
}

fn verdicts(together: Together) -> Vec<Verdict> {
    let verdicts = together.into_verdicts().into_iter();
    verdicts.map(|(_, verdict)| verdict).collect()
}

/// Code and text of a verdict, as a reply has them.
fn told(verdict: &Verdict) -> (i32, String) {
    match verdict {
        Ok(_) => (1, String::new()),
        Err(declined) => (declined.code.0, declined.text.clone()),
    }
}

#[test]
fn wish_comes_to_what_the_message_comes_to_alone_and_behind_others() {
    let mut count = 0;
    for user in ["88.118.5/owner", "88.118.5/member", "88.118.5/other"] {
        let (presented, by) = (proven(user), by(user));
        for operation in operations() {
            let Some(wish) = wish_of(&operation.request) else {
                continue;
            };
            for bits in sets(&operation) {
                let mut node = Node::new(bits);
                let mut errand = errand(&operation.request, presented.clone());
                let (reply, _) = node.drive(&mut errand, Before::Foreseen);
                let reply = Message::decode(&reply).unwrap();
                let text = match Response::of(&reply).unwrap().body {
                    Body::Error { text, .. } => String::from_utf8_lossy(text).into_owned(),
                    _ => String::new(),
                };
                let expected = (reply.header.code.0, text);
                let what = format!("{} with {bits} by {user}", operation.name);

                let mut alone = Node::new(bits);
                let verdict = alone.together(Some(by.clone()), vec![wish.clone()]);
                assert_eq!(told(&verdict[0]), expected, "{what}");
                assert_eq!(verdict[0].as_ref().ok().copied(), errand.effect(), "{what}");
                assert_eq!(alone.records, node.records, "{what}");
                assert_eq!(alone.warrant, node.warrant, "{what}");

                let mut behind = Node::new(bits);
                let wishes = vec![create(OTHER), wish.clone()];
                let verdict = behind.together(Some(by.clone()), wishes);
                assert_eq!(told(&verdict[1]), expected, "{what}");
                behind.records.remove(&OTHER.to_ascii_uppercase());
                assert_eq!(behind.records, node.records, "{what}");
                if node.warrant.is_some() {
                    assert_eq!(behind.warrant, node.warrant, "{what}");
                }
                count += 1;
            }
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn what_says_who_may_is_asked_for_once() {
    let mut node = Node::new(Bits::ALL);
    let names = ["88.118.5/a", "88.118.5/b", "88.118.5/c"];
    let wishes = names.map(create).to_vec();
    let mut together = Together::new(Some(by("88.118.5/owner")), wishes);
    let asked = node.round(&mut together);
    assert_eq!(asked, ["88.118.5/owner", PREFIX]);
    assert_eq!(verdicts(together), vec![Ok(Effect::Created); 3]);
}

#[test]
fn right_to_create_by_a_role_is_found_for_each_record_by_itself() {
    let prefix = Handle::parse(PREFIX).unwrap();
    let app = Kind::App.handle("88.118.5", "robot").unwrap();
    let (app, thing) = (create(app.as_str()), create("88.118.5/new"));
    for (role, of_app) in [(Role::AppAdministrators, true), (Role::Operators, false)] {
        let group = role.group(prefix.borrow()).unwrap();
        let mut node = Node::new(Bits::default());
        let member = Reference {
            handle: "88.118.5/owner".into(),
            index: 300,
        };
        let roles = admin(110, role.on_prefix(), group.as_str(), MEMBERS_INDEX);
        node.records.insert(PREFIX.to_owned(), vec![roles]);
        let members = group_values(prefix.borrow(), vec![member]);
        node.records.insert(group.key(RULE).to_string(), members);
        for is_app_first in [true, false] {
            let mut wishes = vec![app.clone(), thing.clone()];
            if !is_app_first {
                wishes.reverse();
            }
            let mut together = Together::new(Some(by("88.118.5/owner")), wishes);
            node.decide_all(&mut together);
            let made: Vec<bool> = verdicts(together).iter().map(Result::is_ok).collect();
            let first = is_app_first == of_app;
            assert_eq!(made, [first, !first], "{role}");
        }
    }
}

#[test]
fn right_to_create_is_that_of_the_prefix() {
    let mut node = Node::new(Bits::ALL);
    let homed = ["88.118.5", "88.118.6"].map(|prefix| Handle::of_prefix(prefix).unwrap());
    node.site = Site::new(node.site.record().to_vec(), 1, RULE, Homed::new(&homed)).unwrap();
    let other = admin(100, Bits::ALL, "88.118.5/other", 300);
    node.records.insert("0.NA/88.118.6".to_owned(), vec![other]);
    let names = ["88.118.5/a", "88.118.6/b", "88.118.5/c", "88.118.6/d"];
    let wishes = names.map(create).to_vec();
    let mut together = Together::new(Some(by("88.118.5/owner")), wishes);
    node.decide_all(&mut together);
    let made = verdicts(together);
    let made: Vec<bool> = made.iter().map(Result::is_ok).collect();
    assert_eq!(made, [true, false, true, false]);
}

#[test]
fn record_that_is_to_be_created_is_looked_for_only_where_the_store_does_not() {
    let names = ["88.118.5/a", "88.118.5/b"];
    let owner = by("88.118.5/owner");
    let is_asked_for = |asked: &[String]| names.map(|name| asked.iter().any(|a| a == name));
    let exists = ResponseCode::HANDLE_ALREADY_EXISTS;

    // The store finds one of them.
    let mut node = Node::new(Bits::ALL);
    node.records.insert("88.118.5/A".to_owned(), vec![url(1)]);
    let mut together = Together::new(Some(owner.clone()), names.map(create).to_vec());
    assert_eq!(is_asked_for(&node.round(&mut together)), [false, false]);
    assert!(together.is_open());
    assert_eq!(is_asked_for(&node.round(&mut together)), [true, true]);
    let both = verdicts(together);
    assert_eq!(both[0].as_ref().unwrap_err().code, exists);
    assert_eq!(both[1], Ok(Effect::Created));

    // Nothing is written, for the sake of a third.
    node.records.remove("88.118.5/B");
    let stale = Wish {
        condition: Some(Expected::Version(7)),
        ..create("88.118.5/c")
    };
    let wishes = [&names.map(create)[..], &[stale]].concat();
    let mut together = Together::new(Some(owner.clone()), wishes);
    node.decide_all(&mut together);
    assert!(together.has_declined() && !together.is_open());
    together.look_closely();
    assert!(together.is_open());
    assert_eq!(is_asked_for(&node.decide_all(&mut together)), [true, true]);
    together.look_closely();
    assert!(!together.is_open());
    let all = verdicts(together);
    assert_eq!(all[0].as_ref().unwrap_err().code, exists);
    assert_eq!(all[1], Ok(Effect::Created));
    assert!(all[2].as_ref().unwrap_err().text.starts_with(STALE));

    let mut rehearsed = Together::new(Some(owner), names.map(create).to_vec()).rehearsal(true);
    assert_eq!(is_asked_for(&node.decide_all(&mut rehearsed)), [true, true]);
    assert_eq!(verdicts(rehearsed)[0].as_ref().unwrap_err().code, exists);
}

#[test]
fn records_that_changes_share_are_bounded_and_every_change_has_the_whole_bound() {
    let mut node = Node::new(Bits::ALL);
    let count = 100;
    assert!(count > guantong_core::admin::FETCHES_MAX);
    const { assert!(SHARED_MAX < guantong_core::admin::FETCHES_MAX) };
    let mut wishes = Vec::new();
    for number in 0..count {
        let (thing, group) = (format!("88.118.5/T{number}"), format!("88.118.5/G{number}"));
        let members = List(vec![Reference {
            handle: "88.118.5/member".into(),
            index: 300,
        }]);
        let by_group = admin(100, Bits::ALL, &group, 200);
        node.records
            .insert(thing.to_ascii_uppercase(), vec![by_group]);
        let group_value = Value::new(200, "HS_VLIST", members.encode());
        node.records
            .insert(group.to_ascii_uppercase(), vec![group_value]);
        wishes.push(Wish {
            deed: Deed::Change(Change::Add(vec![url(1)])),
            ..create(&thing)
        });
    }
    let verdicts = node.together(Some(by("88.118.5/member")), wishes);
    assert_eq!(verdicts, vec![Ok(Effect::Changed); count]);
}

#[test]
fn conflict_has_all_decided_anew_so_often_and_no_more() {
    let mut node = Node::new(Bits::ALL);
    node.written = Some(Written::Conflict);
    let wishes = vec![create("88.118.5/a"), create("88.118.5/b")];
    let mut together = Together::new(Some(by("88.118.5/owner")), wishes.clone());
    node.round(&mut together);
    assert!(together.is_open());
    // Meanwhile somebody else has made one of them.
    node.written = None;
    node.records.insert("88.118.5/A".to_owned(), vec![url(1)]);
    node.round(&mut together);
    let both = verdicts(together);
    let exists = ResponseCode::HANDLE_ALREADY_EXISTS;
    assert!(matches!(&both[0], Err(declined) if declined.code == exists));
    assert_eq!(both[1], Ok(Effect::Created));

    node.written = Some(Written::Conflict);
    let mut together = Together::new(Some(by("88.118.5/owner")), vec![create("88.118.5/c")]);
    let mut rounds = 0;
    while together.is_open() {
        node.round(&mut together);
        rounds += 1;
    }
    assert_eq!(rounds, 17);
    let busy = ResponseCode::SERVER_TOO_BUSY;
    assert!(matches!(&verdicts(together)[0], Err(Declined { code, .. }) if *code == busy));
}

#[test]
fn whose_key_is_gone_changes_nothing_any_more_and_nobody_changes_nothing() {
    let mut node = Node::new(Bits::ALL);
    let owner = by("88.118.5/owner");
    node.records.remove("88.118.5/OWNER");
    let refused = node.together(
        Some(owner),
        vec![create("88.118.5/a"), create("88.118.5/b")],
    );
    for verdict in refused {
        assert_eq!(
            verdict.unwrap_err().code,
            ResponseCode::AUTHENTICATION_FAILED
        );
    }
    let refused = node.together(None, vec![create("88.118.5/a")]);
    let code = refused[0].as_ref().unwrap_err().code;
    assert_eq!(code, ResponseCode::AUTHENTICATION_NEEDED);
    node.rules.anonymous_admin_full_access = true;
    let made = node.together(None, vec![create("88.118.5/a")]);
    assert_eq!(made, [Ok(Effect::Created)]);
}

#[test]
fn condition_is_that_of_its_wish_alone_and_a_rehearsal_orders_nothing() {
    let mut node = Node::new(Bits::ALL);
    let stale = Wish {
        condition: Some(Expected::Version(7)),
        ..wish_of(&write(OpCode::ADD_VALUE, &[url(9)])).unwrap()
    };
    let wishes = vec![stale, create("88.118.5/a")];
    let owner = by("88.118.5/owner");
    let before = node.records.clone();
    let mut together = Together::new(Some(owner), wishes).rehearsal(true);
    node.round(&mut together);
    assert!(together.has_declined() && !together.is_open());
    let both = verdicts(together);
    assert!(both[0].as_ref().unwrap_err().text.starts_with(STALE));
    assert_eq!(both[1], Ok(Effect::Created));
    assert_eq!(node.records, before);
}

#[test]
fn what_is_held_until_it_is_written_is_told() {
    let mut node = Node::new(Bits::ALL);
    let wishes = vec![create("88.118.5/a"), wish_of(&remove(&[1])).unwrap()];
    let mut together = Together::new(Some(by("88.118.5/owner")), wishes);
    assert_eq!(together.held_octets(0), 0);
    let ground = Ground {
        site: &node.site,
        rules: &node.rules,
        now_secs: 1_000,
        tables: &NoTables,
    };
    while let Some(wanted) = together.decide(0, &ground) {
        together.learn(&node.site, &wanted, node.fetch(&wanted));
    }
    assert_eq!(together.held_octets(0), 4 + url(1).encoded_len());
    node.round(&mut together);
    assert_eq!(together.held_octets(0), 0);
}
