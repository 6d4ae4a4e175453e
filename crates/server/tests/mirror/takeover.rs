//! A mirror takes over: no acknowledged change is lost, and no two nodes take changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use guantong_core::replicate::Role;
use guantong_proto::data::Site;
use guantong_server::config::{Acknowledge, Span};
use guantong_server::mirror::{Promote, PromoteError};
use guantong_store::WriteError;

use crate::pair::{Side, eventually, identity};
use crate::relay::Relay;

/// How the two nodes are set up against the loss of one.
#[derive(Clone, Copy)]
struct Terms {
    lease_ms: u64,
    acknowledge: Acknowledge,
}

const PLAIN: Terms = Terms {
    lease_ms: 0,
    acknowledge: Acknowledge::Local,
};
const SAFE: Terms = Terms {
    lease_ms: 800,
    acknowledge: Acknowledge::Mirror,
};

/// A primary, its standby, and the cable by which the standby reaches it.
fn pair(terms: Terms) -> (Side, Side, Relay) {
    let mut primary = Side::primary(0);
    set(&mut primary, terms, 1);
    let relay = Relay::to(primary.tcp());
    let mut standby = Side::new(1);
    standby.config.site.primary = false;
    standby.config.mirror.of = Some(relay.address.to_string());
    set(&mut standby, terms, 0);
    standby.catches_up_with(&primary);
    eventually("the standby is told of its part", || {
        let standing = standby.running().node().mirroring.standing();
        (standing.lease_ms == terms.lease_ms).then_some(())
    });
    (primary, standby, relay)
}

fn set(side: &mut Side, terms: Terms, standby: usize) {
    side.stop();
    let mirror = &mut side.config.mirror;
    mirror.standby = Some(identity(standby));
    mirror.lease = Span(terms.lease_ms);
    mirror.acknowledge = terms.acknowledge;
    mirror.poll_interval = Span(200);
    mirror.acknowledge_timeout = Span::secs(2);
    side.start();
}

fn site(side: &Side) -> Site {
    Site::decode(side.running().node().site().record()).unwrap()
}

#[track_caller]
fn ends_equal(one: &Side, other: &Side) {
    eventually("both hold the same", || {
        (one.content() == other.content()).then_some(())
    });
}

#[test]
fn primary_that_can_be_reached_hands_over_everything() {
    let (mut old, new, _relay) = pair(PLAIN);
    let serial = site(&new).serial;
    for n in 0..200 {
        old.text(&format!("SN{n}"), "x").unwrap();
    }
    let before = old.content();
    let promoted = new.promote(Promote::Safely).unwrap();
    assert_eq!(promoted.epoch, 2);
    assert!(promoted.how.contains("handed over"), "{}", promoted.how);
    assert_eq!(before.0, new.content().0);
    assert!(site(&new).is_primary() && site(&new).serial > serial);
    assert!(!site(&old).is_primary());

    assert!(old.text("SN1", "y").is_err());
    new.text("SN1", "y").unwrap();
    eventually("the old primary follows", || {
        (old.role() == Role::Mirror).then_some(())
    });
    ends_equal(&new, &old);
    // It stays what it has become.
    old.stop();
    old.start();
    assert_eq!(old.role(), Role::Mirror);
    assert!(old.text("SN1", "z").is_err());
    new.text("SN2", "y").unwrap();
    old.catches_up_with(&new);
    ends_equal(&new, &old);
    assert!(matches!(
        new.promote(Promote::Safely),
        Err(PromoteError::Already { epoch: 2 })
    ));
}

#[test]
fn primary_can_be_changed_there_and_back() {
    let (old, new, _relay) = pair(PLAIN);
    new.promote(Promote::Safely).unwrap();
    eventually("the old primary follows", || {
        (old.role() == Role::Mirror).then_some(())
    });
    new.text("SN1", "x").unwrap();
    old.catches_up_with(&new);
    assert_eq!(old.promote(Promote::Safely).unwrap().epoch, 3);
    old.text("SN2", "x").unwrap();
    eventually("the other one follows", || {
        (new.role() == Role::Mirror).then_some(())
    });
    ends_equal(&old, &new);
}

#[test]
fn silent_primary_without_a_lease_is_replaced_by_force_only() {
    let (mut old, new, relay) = pair(PLAIN);
    old.text("SN1", "both").unwrap();
    new.catches_up_with(&old);
    relay.cut();
    let refused = new.promote(Promote::Safely).unwrap_err();
    assert!(matches!(refused, PromoteError::NoLease { .. }), "{refused}");
    assert_eq!(new.role(), Role::Mirror);
    // What only the old primary has.
    old.text("SN1", "only here").unwrap();
    old.text("SN2", "only here").unwrap();
    old.text("SN3", "not for long").unwrap();
    old.delete("SN3").unwrap();
    new.promote(Promote::ByForce).unwrap();
    new.text("SN1", "new primary").unwrap();
    old.stop();
    old.start();
    relay.mend();
    eventually("the old primary gives way", || {
        (old.role() == Role::Mirror).then_some(())
    });
    ends_equal(&new, &old);
    assert_eq!(old.read("SN1").unwrap(), "new primary");
    assert!(old.read("SN2").is_none());
    let kept: Vec<_> = std::fs::read_dir(old.config.folder.join("diverged"))
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let kept = kept.join("\n");
    assert_eq!(kept.matches("only here").count(), 2, "{kept}");
    assert!(kept.contains("88.118.5/SN3"), "{kept}");
    assert!(!kept.contains("NODE-"), "{kept}");
}

#[test]
fn change_waits_for_the_mirror_or_is_reported_as_uncertain() {
    let (old, _new, relay) = pair(Terms {
        lease_ms: 0,
        ..SAFE
    });
    old.text("SN1", "x").unwrap();
    relay.cut();
    let uncertain = old.text("SN2", "x").unwrap_err();
    assert!(matches!(uncertain, WriteError::Unconfirmed { .. }));
    assert_eq!(old.read("SN2").unwrap(), "x");
    relay.mend();
    eventually("changes are confirmed again", || old.text("SN3", "x").ok());
}

#[test]
fn leased_primary_takes_nothing_after_a_restart_until_its_standby_is_in_touch() {
    let (mut old, new, relay) = pair(Terms {
        lease_ms: 60_000,
        acknowledge: Acknowledge::Local,
    });
    old.text("SN1", "x").unwrap();
    relay.cut();
    old.text("SN2", "x").unwrap();
    old.stop();
    old.start();
    let refused = old.text("SN3", "x").unwrap_err();
    assert!(matches!(refused, WriteError::NotAdmitted { .. }));
    relay.mend();
    eventually("it takes changes again", || old.text("SN3", "x").ok());
    new.catches_up_with(&old);
    ends_equal(&old, &new);
}

#[test]
fn primary_frees_itself_by_force_of_a_standby_that_is_gone() {
    let (old, mut new, _relay) = pair(SAFE);
    new.stop();
    eventually("the lease runs out", || {
        let refused = old.text("SN1", "x").err()?;
        matches!(refused, WriteError::NotAdmitted { .. }).then_some(())
    });
    assert_eq!(old.promote(Promote::ByForce).unwrap().epoch, 2);
    // No mirror confirms it, but it is taken.
    let uncertain = old.text("SN1", "x").unwrap_err();
    assert!(matches!(uncertain, WriteError::Unconfirmed { .. }));
}

/// A primary gave way to a mirror that was not its standby. The standby, cut off at that time,
/// could take over by itself when its lease had run out, and two nodes took changes in one epoch.
#[test]
fn mirror_that_is_not_the_standby_takes_over_by_force_only() {
    let (old, _standby, _relay) = pair(SAFE);
    let other = Side::mirror_of(2, &old);
    other.catches_up_with(&old);
    let refused = other.promote(Promote::Safely).unwrap_err();
    assert!(refused.to_string().contains("standby"), "{refused}");
    assert_eq!(old.role(), Role::Primary);
    eventually("changes are taken as before", || old.text("SN1", "x").ok());
    assert_eq!(other.promote(Promote::ByForce).unwrap().epoch, 2);
    eventually("the old primary is fenced", || {
        (old.role() != Role::Primary).then_some(())
    });
}

/// A write that was reported as done.
struct Done {
    name: String,
    begun: Instant,
    done: Instant,
}

/// Writes to a node until told to stop, and notes what was reported as done.
fn write_on(side: &Side, tag: &str, stop: &AtomicBool) -> Vec<Done> {
    let mut all = Vec::new();
    for n in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let (name, begun) = (format!("{tag}{n}"), Instant::now());
        if side.text(&name, tag).is_ok() {
            let done = Instant::now();
            all.push(Done { name, begun, done });
        }
    }
    all
}

#[test]
fn acknowledged_changes_survive_a_partition_and_no_two_nodes_take_them() {
    let (old, new, relay) = pair(SAFE);
    let stop = AtomicBool::new(false);
    let (at_old, at_new) = std::thread::scope(|scope| {
        let at_old = scope.spawn(|| write_on(&old, "OLD", &stop));
        let at_new = scope.spawn(|| write_on(&new, "NEW", &stop));
        eventually("changes flow", || new.read("OLD20").map(drop));
        relay.cut();
        new.promote(Promote::Safely).unwrap();
        eventually("the new primary takes changes", || {
            // Nobody confirms them yet: its standby is on the other side of the cut.
            new.read("NEW0")
                .or_else(|| (new.role() == Role::Primary).then(String::new))
        });
        relay.mend();
        eventually("the old primary gives way", || {
            (old.role() != Role::Primary).then_some(())
        });
        eventually("the old primary follows", || {
            (old.role() == Role::Mirror).then_some(())
        });
        let written = new.store().last_change();
        eventually("changes flow the other way", || {
            (new.store().last_change() > written + 20).then_some(())
        });
        stop.store(true, Ordering::SeqCst);
        (at_old.join().unwrap(), at_new.join().unwrap())
    });
    ends_equal(&new, &old);
    assert!(at_old.len() > 20 && at_new.len() > 10);
    for done in at_old.iter().chain(&at_new) {
        assert!(new.read(&done.name).is_some(), "{} is lost", done.name);
    }
    // Whatever the old primary has reported, it had taken before the new one took anything.
    let last_at_old = at_old.iter().map(|done| done.done).max().unwrap();
    let first_at_new = at_new.iter().map(|done| done.begun).min().unwrap();
    assert!(at_new.iter().all(|done| done.done > last_at_old));
    assert!(first_at_new > at_old[0].begun);
}
