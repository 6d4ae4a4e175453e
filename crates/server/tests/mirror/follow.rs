//! A mirror follows: everything, then every change, whatever happens in between.

use guantong_core::replicate::Role;
use guantong_proto::Handle;
use guantong_proto::data::Site;
use guantong_proto::message::{Message, OpCode, ResponseCode};
use guantong_store::{Change, Origin, Source, WriteError};

use crate::pair::{PREFIX, Side, builder, eventually, put, value};

#[test]
fn fresh_mirror_receives_everything_and_then_every_change() {
    let primary = Side::primary(0);
    for n in 0..500 {
        primary.text(&format!("SN{n}"), &n.to_string()).unwrap();
    }
    let mirror = Side::mirror_of(1, &primary);
    mirror.catches_up_with(&primary);
    assert_eq!(mirror.content(), primary.content());
    assert!(mirror.running().node().is_ready());

    primary.text("SN1", "changed").unwrap();
    primary.delete("SN2").unwrap();
    primary.text("SN501", "new").unwrap();
    let prefix = Handle::of_prefix("88.118.6").unwrap();
    primary.submit(vec![Change::Home { prefix }]).unwrap();
    mirror.catches_up_with(&primary);
    assert_eq!(mirror.content(), primary.content());
    let figures = mirror.running().node().mirroring.figures();
    assert_eq!((figures.lag_changes(), figures.faults), (0, 0));
    let newest = mirror.store().changes(mirror.store().last_change() - 1, 1);
    let newest = newest.unwrap().remove(0);
    assert_eq!(newest.origin, Origin::Replication);
    let address = primary.tcp().to_string();
    assert_eq!(newest.trail.from, Source::Primary { address });
}

#[test]
fn mirror_takes_no_changes_and_publishes_itself_as_none() {
    let primary = Side::primary(0);
    let mirror = Side::mirror_of(1, &primary);
    mirror.catches_up_with(&primary);
    assert_eq!(mirror.role(), Role::Mirror);
    let refused = mirror.text("SN1", "x").unwrap_err();
    assert!(matches!(refused, WriteError::NotAdmitted { .. }));
    let who = primary.tcp().to_string();
    assert!(refused.to_string().contains(&who), "{refused}");
    let refused = mirror.ask(&builder().write(OpCode::CREATE, "88.118.5/SN1", &[]));
    let refused = Message::decode(&refused).unwrap().header.code;
    assert_eq!(refused, ResponseCode::SERVER_NOT_RESPONSIBLE);
    let site = |side: &Side| Site::decode(side.running().node().site().record()).unwrap();
    assert!(!site(&mirror).is_primary());
    assert!(site(&primary).is_primary());
}

#[test]
fn mirror_that_was_away_takes_what_it_missed() {
    let primary = Side::primary(0);
    primary.text("SN1", "old").unwrap();
    let mut mirror = Side::mirror_of(1, &primary);
    mirror.catches_up_with(&primary);
    mirror.stop();
    primary.text("SN1", "new").unwrap();
    primary.text("SN2", "new").unwrap();
    mirror.start();
    mirror.catches_up_with(&primary);
    assert_eq!(mirror.read("SN1").unwrap(), "new");
    assert_eq!(mirror.content(), primary.content());
}

#[test]
fn mirror_keeps_from_the_public_what_its_primary_withdraws() {
    let primary = Side::primary(0);
    primary.text("SN1", "one").unwrap();
    let mirror = Side::mirror_of(1, &primary);
    mirror.catches_up_with(&primary);
    let name = format!("{PREFIX}/SN1");
    let resolve = builder().resolve(&name, &[], &[""; 0]);
    let code = |reply: &[u8]| Message::decode(reply).unwrap().header.code;
    assert_eq!(code(&mirror.ask(&resolve)), ResponseCode::SUCCESS);
    let state = guantong_proto::Value {
        index: 1_900,
        ..value(
            "GT_STATE",
            br#"{"state":"withdrawn","reason":"lost"}"#.to_vec(),
        )
    };
    primary
        .write(&name, &[value("TEXT", "one"), state])
        .unwrap();
    mirror.catches_up_with(&primary);
    assert_eq!(mirror.content(), primary.content());
    let reply = mirror.ask(&resolve);
    assert_eq!(code(&reply), ResponseCode::HANDLE_NOT_FOUND);
    assert!(String::from_utf8_lossy(&reply).contains("withdrawn: lost"));
}

#[test]
fn mirror_waits_for_a_primary_that_is_away() {
    let mut primary = Side::primary(0);
    let mirror = Side::mirror_of(1, &primary);
    mirror.catches_up_with(&primary);
    primary.stop();
    eventually("the mirror notices", || {
        (mirror.running().node().mirroring.figures().faults > 0).then_some(())
    });
    primary.start();
    primary.text("SN1", "new").unwrap();
    mirror.catches_up_with(&primary);
    assert_eq!(mirror.content(), primary.content());
}

#[test]
fn primary_that_was_restored_from_a_backup_is_copied_anew() {
    let mut primary = Side::primary(0);
    primary.text("SN1", "before").unwrap();
    let backup = primary.config.folder.join("backup");
    let quietly = &mut |_| std::ops::ControlFlow::Continue(());
    primary.store().backup(&backup, quietly).unwrap();
    for n in 0..50 {
        primary.text(&format!("LOST{n}"), "after").unwrap();
    }
    let mirror = Side::mirror_of(1, &primary);
    mirror.catches_up_with(&primary);
    primary.stop();
    std::fs::remove_dir_all(&primary.config.data).unwrap();
    guantong_store::restore(&backup, &primary.config.data, quietly).unwrap();
    primary.start();
    // As many changes again, under the same numbers.
    for n in 0..60 {
        primary.text(&format!("AGAIN{n}"), "other").unwrap();
    }
    eventually("the mirror is equal", || {
        (mirror.content() == primary.content()).then_some(())
    });
    assert!(mirror.read("LOST1").is_none());
}

#[test]
fn store_with_records_of_its_own_is_not_overwritten() {
    let primary = Side::primary(0);
    let mut other = Side::primary(1);
    other.text("OWN", "mine").unwrap();
    other.stop();
    other.config.mirror.of = Some(primary.tcp().to_string());
    other.start();
    eventually("it refuses", || {
        (other.running().node().mirroring.figures().faults > 0).then_some(())
    });
    assert_eq!(other.read("OWN").unwrap(), "mine");
    assert!(!other.running().node().is_ready());
}

#[test]
fn stranger_is_not_served() {
    let mut primary = Side::primary(0);
    primary.stop();
    primary
        .config
        .administration
        .rules
        .replication_admins
        .clear();
    primary.start();
    let mirror = Side::mirror_of(1, &primary);
    eventually("it is refused", || {
        (mirror.running().node().mirroring.figures().faults > 0).then_some(())
    });
    assert_eq!(mirror.store().stats().unwrap().records, 0);
    assert_eq!(primary.running().node().mirroring.feeds(), 0);
}

#[test]
fn primary_with_another_key_than_the_one_kept_is_not_believed() {
    let primary = Side::primary(0);
    let mut mirror = Side::mirror_of(1, &primary);
    mirror.catches_up_with(&primary);
    let address = primary.tcp();
    mirror.stop();
    let mut primary = primary;
    primary.stop();
    // Somebody else at the same address, with another key.
    std::fs::copy(&mirror.config.site.key, &primary.config.site.key).unwrap();
    primary.start();
    assert_eq!(primary.tcp(), address);
    primary.text("SN1", "forged").unwrap();
    mirror.start();
    eventually("it is not believed", || {
        (mirror.running().node().mirroring.figures().faults > 1).then_some(())
    });
    assert!(mirror.read("SN1").is_none());
}

#[test]
fn twenty_thousand_records_arrive_in_several_answers() {
    let primary = Side::primary(0);
    let name = |n: usize| format!("{PREFIX}/SN{n:06}");
    for from in (0..20_000).step_by(4_000) {
        let changes = (from..from + 4_000).map(|n| put(&name(n), &[value("TEXT", "x")]));
        primary.submit(changes.collect()).unwrap();
    }
    let mirror = Side::mirror_of(1, &primary);
    mirror.catches_up_with(&primary);
    assert_eq!(mirror.content(), primary.content());
}
