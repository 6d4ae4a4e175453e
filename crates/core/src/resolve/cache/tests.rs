//! Tests of the cache.

use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Ttl, Value, Values};

use super::super::settings::CacheSettings;
use super::super::time::{Now, Tick};
use super::*;
use crate::trust::{CLOCK_SKEW_SECS, Demand, Proof, Report};

fn at(secs: u32) -> Now {
    Now {
        tick: Tick(u64::from(secs) * 1_000),
        secs: 1_700_000_000 + secs,
    }
}

fn lookup(handle: &str, indexes: &[i32], types: &[&str], trust: Trust) -> Lookup {
    let handle = Handle::parse(handle).unwrap();
    let mut lookup = Lookup::default();
    let types = types.iter().map(|kind| kind.as_bytes());
    lookup.set(handle.borrow(), indexes.iter().copied(), types, trust);
    lookup
}

fn whole(handle: &str) -> Lookup {
    lookup(handle, &[], &[], Trust::Any)
}

fn wire(ttls: &[Ttl]) -> Vec<u8> {
    let values: Vec<Value> = (1..)
        .zip(ttls)
        .map(|(index, ttl)| Value {
            ttl: *ttl,
            ..Value::new(index, "URL", "https://example.org/")
        })
        .collect();
    Writer::to_vec(|w| Values::encode(&values, w))
}

fn cache(octets: u64) -> Cache {
    Cache::new(CacheSettings {
        octets,
        stale_secs: 1_000,
        ..CacheSettings::default()
    })
}

fn put(cache: &Cache, mut lookup: Lookup, life_secs: u32, now: Now) {
    let values = wire(&[Ttl::default()]);
    let entry = Entry::new(EntryKind::Record, &values, life_secs, now);
    cache.insert(&mut lookup, &Arc::new(entry));
}

#[test]
fn spelling_and_order_do_not_matter_but_the_case_of_suffixes_does() {
    let cache = cache(1 << 20);
    put(&cache, whole("ab.c/x"), 100, at(0));
    assert!(cache.get(&mut whole("AB.C/x"), at(1)).is_some());
    assert!(cache.get(&mut whole("ab.c/X"), at(1)).is_none());
    put(&cache, whole("88.118"), 100, at(0));
    assert!(cache.get(&mut whole("0.na/88.118"), at(1)).is_some());
    let selected = lookup("a/b", &[2, 1], &["url", "DESC"], Trust::Any);
    put(&cache, selected, 100, at(0));
    let mut same = lookup("A/b", &[1, 2], &["desc", "URL"], Trust::Any);
    assert!(cache.get(&mut same, at(1)).is_some());
    let mut other = lookup("A/b", &[1], &["desc", "URL"], Trust::Any);
    assert!(cache.get(&mut other, at(1)).is_none());
}

#[test]
fn order_of_many_types_does_not_matter_either() {
    let cache = cache(1 << 20);
    let mut types: Vec<String> = (0..20).map(|n| format!("TYPE.{n}")).collect();
    let names = |types: &[String]| -> Lookup {
        let types: Vec<&str> = types.iter().map(String::as_str).collect();
        lookup("a/b", &[], &types, Trust::Any)
    };
    for count in [7, 8, 9, 20] {
        put(&cache, names(&types[..count]), 100, at(0));
        types[..count].reverse();
        assert!(cache.get(&mut names(&types[..count]), at(1)).is_some());
        assert!(cache.get(&mut names(&types[..count - 1]), at(1)).is_none());
    }
}

#[test]
fn parts_of_a_key_cannot_be_taken_for_each_other() {
    let cache = cache(1 << 20);
    put(&cache, lookup("a/b", &[], &["URL"], Trust::Any), 100, at(0));
    for mut other in [
        lookup("a/b", &[], &["UR", "L"], Trust::Any),
        lookup("a/b\0\0\0\0\0\0\0\u{3}URL", &[], &[], Trust::Any),
        lookup("a/b", &[3], &[], Trust::Any),
        whole("a/b"),
    ] {
        assert!(cache.get(&mut other, at(1)).is_none(), "{other:?}");
    }
}

#[test]
fn whole_record_answers_selections_and_certified_answers_plain_questions() {
    let cache = cache(1 << 20);
    put(
        &cache,
        lookup("a/b", &[], &[], Trust::Certified),
        100,
        at(0),
    );
    for (indexes, types, trust) in [
        (&[][..], &[][..], Trust::Any),
        (&[1], &[], Trust::Any),
        (&[], &["URL"], Trust::Certified),
    ] {
        let mut lookup = lookup("a/b", indexes, types, trust);
        assert!(cache.get(&mut lookup, at(1)).is_some(), "{lookup:?}");
    }
    put(&cache, whole("a/c"), 100, at(0));
    let mut certified = lookup("a/c", &[], &[], Trust::Certified);
    assert!(cache.get(&mut certified, at(1)).is_none());
}

#[test]
fn smallest_ttl_within_floor_and_ceiling_is_the_life_of_an_entry() {
    let cache = Cache::new(CacheSettings {
        ttl_min_secs: 5,
        ttl_max_secs: 1_000,
        negative_ttl_secs: 7,
        ..CacheSettings::default()
    });
    let now = at(0);
    let moment = i32::try_from(now.secs).unwrap() + 20;
    for (ttls, life_secs) in [
        (&[Ttl::Relative(300), Ttl::Relative(60)][..], 60),
        (&[Ttl::Relative(60), Ttl::Absolute(moment)], 20),
        (&[Ttl::Relative(i32::MAX)], 1_000),
        (&[Ttl::Relative(-1)], 5),
        (&[Ttl::Absolute(0)], 5),
        (&[Ttl::Other { kind: 9, ttl: 100 }], 5),
        (&[], 7),
    ] {
        let octets = wire(ttls);
        let values = Values::from_wire(&octets).unwrap();
        assert_eq!(cache.life_secs(values, now), life_secs, "{ttls:?}");
    }
}

#[test]
fn refresh_is_wished_once_near_the_end_of_an_entry_that_is_asked_for() {
    let cache = cache(1 << 20);
    put(&cache, whole("a/b"), 100, at(0));
    let wishes = |secs| {
        cache
            .get(&mut whole("a/b"), at(secs))
            .unwrap()
            .wants_refresh
    };
    assert!(!wishes(1) && !wishes(2) && !wishes(3));
    assert!(wishes(90));
    assert!(!wishes(91));
    put(&cache, whole("a/cold"), 100, at(0));
    assert!(
        !cache
            .get(&mut whole("a/cold"), at(95))
            .unwrap()
            .wants_refresh
    );
}

#[test]
fn expired_entry_is_kept_for_its_grace_and_answered_only_while_asking_is_in_vain() {
    let cache = cache(1 << 20);
    put(&cache, whole("a/b"), 100, at(0));
    assert!(cache.get(&mut whole("a/b"), at(99)).is_some());
    assert!(cache.get(&mut whole("a/b"), at(100)).is_none());
    let entry = cache.expired(&mut whole("a/b"), at(1_099)).unwrap();
    assert!(cache.expired(&mut whole("a/b"), at(1_100)).is_none());
    entry.pause_until(at(200).tick);
    let hit = cache.get(&mut whole("a/b"), at(199)).unwrap();
    assert_eq!((hit.freshness, hit.age_secs), (Freshness::Stale, 199));
    assert!(cache.get(&mut whole("a/b"), at(200)).is_none());
}

#[test]
fn cache_stays_within_its_octets() {
    let cache = cache(200_000);
    for n in 0..20_000 {
        put(&cache, whole(&format!("a/{n}")), 100, at(0));
    }
    assert!(cache.octets() <= 200_000, "{}", cache.octets());
    assert!(cache.len() > 300, "{}", cache.len());
}

#[test]
fn names_that_are_looked_for_together_find_what_each_finds_alone() {
    let cache = cache(1 << 20);
    for n in (0..200).step_by(2) {
        put(&cache, whole(&format!("a/{n}")), 100, at(0));
    }
    let look = cache.look(Wanted::Any);
    let keys: Vec<Vec<u8>> = (0..200)
        .map(|n| whole(&format!("a/{n}")).key().to_vec())
        .collect();
    let places: Vec<_> = keys.iter().map(|key| look.place(key)).collect();
    look.touch(places.iter().copied());
    let found = |moment| {
        let mut names = places.iter().zip(&keys);
        let found = names.position(|(&place, key)| {
            let name = String::from_utf8_lossy(key).into_owned();
            let is_there = name.trim_end().ends_with(['0', '2', '4', '6', '8']);
            look.find(place, key, moment).is_some() != is_there
        });
        assert_eq!(found, None);
    };
    found(at(99));
    let mut late = places.iter().zip(&keys);
    assert!(late.all(|(&place, key)| look.find(place, key, at(100)).is_none()));
}

#[test]
fn one_answer_can_be_kept_under_two_names() {
    let cache = cache(1 << 20);
    let entry = Entry::new(EntryKind::Record, &wire(&[Ttl::default()]), 100, at(0));
    let entry = Arc::new(entry);
    entry.rule(&unsigned(Demand::IfSigned));
    for name in ["a/b", "a/c", "a/b"] {
        cache.insert(&mut whole(name), &entry);
    }
    assert_eq!(cache.len(), 2);
    for name in ["a/b", "a/c"] {
        let hit = cache.get_vouched(&mut whole(name), at(5)).unwrap();
        assert_eq!((hit.entry.wire(), hit.age_secs), (entry.wire(), 5));
    }
    cache.remove(&mut whole("a/b"));
    assert!(cache.get(&mut whole("a/b"), at(5)).is_none());
    assert!(cache.get(&mut whole("a/c"), at(5)).is_some());
}

#[test]
fn hot_names_stay_while_rarely_asked_ones_pass_through() {
    let cache = cache(100_000);
    let hot: Vec<String> = (0..50).map(|n| format!("hot/{n}")).collect();
    for name in &hot {
        put(&cache, whole(name), 100, at(0));
    }
    for n in 0..5_000 {
        for name in &hot {
            cache.get(&mut whole(name), at(1));
        }
        put(&cache, whole(&format!("cold/{n}")), 100, at(0));
    }
    let is_kept = |name: &&String| cache.get(&mut whole(name), at(1)).is_some();
    let kept = hot.iter().filter(is_kept).count();
    assert!(kept >= 45, "{kept} of 50");
}

fn saved(cache: &Cache, now: Now) -> Vec<u8> {
    let mut octets = Vec::new();
    let write = |block: &[u8]| {
        octets.extend_from_slice(block);
        Ok::<_, std::convert::Infallible>(())
    };
    cache.save(now, write).unwrap();
    octets
}

#[test]
fn entries_age_while_they_lie_in_a_file() {
    let old = cache(1 << 20);
    put(&old, whole("a/b"), 100, at(10));
    let octets = saved(&old, at(20));
    // The monotonic clock begins anew, the wall clock goes on.
    let later = |secs: u32| Now {
        tick: Tick(5),
        secs: at(secs).secs,
    };
    let new = cache(1 << 20);
    assert_eq!(new.load(&octets, later(50)).unwrap().entries, 1);
    let hit = new.get(&mut whole("a/b"), later(50)).unwrap();
    assert_eq!(hit.age_secs, 40);
    let new = cache(1 << 20);
    assert_eq!(new.load(&octets, later(111)).unwrap().entries, 1);
    assert!(new.get(&mut whole("a/b"), later(111)).is_none());
    assert!(new.expired(&mut whole("a/b"), later(111)).is_some());
    for too in [later(2_000), later(0)] {
        assert_eq!(cache(1 << 20).load(&octets, too).unwrap().entries, 0);
    }
}

#[test]
fn damaged_file_never_gives_an_entry_that_was_not_saved() {
    let old = cache(1 << 20);
    put(&old, whole("a/b"), 100, at(0));
    let octets = saved(&old, at(0));
    for len in 0..octets.len() {
        let new = cache(1 << 20);
        match new.load(&octets[..len], at(0)) {
            Ok(loaded) => assert!(
                loaded.entries == 0 && (loaded.is_damaged || len == 8),
                "{len}"
            ),
            Err(error) => assert!(len < 8, "{len}: {error}"),
        }
    }
    for position in 0..octets.len() {
        let mut damaged = octets.clone();
        damaged[position] ^= 0x10;
        let loaded = cache(1 << 20).load(&damaged, at(0));
        assert!(loaded.is_err() || loaded.is_ok_and(|l| l.entries == 0 && l.is_damaged));
    }
    let mut newer = octets;
    newer[7] = 2;
    assert_eq!(
        cache(1 << 20).load(&newer, at(0)),
        Err(CacheFileError::Version(2))
    );
}

//----------- Ruling ---------------------------------------------------------

/// A ruling on a record whose signature ends at this second, from records of which the first ends
/// at that one.
fn signed(until: u32, holds_until: u32) -> Arc<Ruling> {
    let proof = Proof {
        signer: "300:0.NA/88.118.5".to_owned(),
        links: Vec::new(),
        until: Some(i64::from(at(until).secs) - CLOCK_SKEW_SECS),
    };
    let report = Report {
        handle: Handle::parse("88.118.5/x").unwrap(),
        signatures: vec![(400, Ok(proof))],
    };
    Arc::new(Ruling::of(
        &report,
        Demand::Required,
        at(holds_until).tick,
        at(0),
    ))
}

fn unsigned(demand: Demand) -> Arc<Ruling> {
    let report = Report {
        handle: Handle::parse("88.118.5/x").unwrap(),
        signatures: Vec::new(),
    };
    Arc::new(Ruling::of(&report, demand, at(9).tick, at(0)))
}

#[test]
fn only_what_was_judged_and_has_passed_is_given_where_records_are_judged() {
    let cache = cache(1 << 20);
    put(&cache, whole("88.118.5/x"), 100, at(0));
    let entry = cache.get(&mut whole("88.118.5/x"), at(1)).unwrap().entry;
    let mut types = lookup("88.118.5/x", &[], &["URL"], Trust::Any);
    let mut given = |secs| cache.get_vouched(&mut types, at(secs)).is_some();
    assert!(!given(1));
    entry.rule(&unsigned(Demand::Required));
    assert!(!given(1) && entry.ruling(at(1)).is_some());
    entry.rule(&unsigned(Demand::IfSigned));
    assert!(given(99));
    // The first of: what it rests on, its signature, its own time.
    for (until, holds_until, end) in [(60, 50, 50), (50, 60, 50), (500, 500, 100)] {
        entry.rule(&signed(until, holds_until));
        assert!(given(end - 1) && !given(end), "{until} {holds_until}");
    }
}

#[test]
fn life_of_an_entry_ends_with_its_signature_and_a_refused_one_soon() {
    let cache = cache(1 << 20);
    put(&cache, whole("88.118.5/x"), 100, at(0));
    let entry = cache.get(&mut whole("88.118.5/x"), at(1)).unwrap().entry;
    entry.rule(&signed(50, 500));
    assert_eq!((entry.life_secs(), entry.age_secs(at(20).tick)), (50, 20));
    assert!(cache.get(&mut whole("88.118.5/x"), at(50)).is_none());
    entry.rule(&unsigned(Demand::Required));
    assert!(cache.get(&mut whole("88.118.5/x"), at(29)).is_some());
    assert!(cache.get(&mut whole("88.118.5/x"), at(30)).is_none());
    // Nobody who cannot renew it makes it good again.
    entry.pause_until(at(60).tick);
    entry.rule(&signed(50, 500));
    assert!(cache.get(&mut whole("88.118.5/x"), at(55)).is_some());
    assert!(
        cache
            .get_vouched(&mut whole("88.118.5/x"), at(55))
            .is_none()
    );
}

#[test]
fn ruling_is_not_kept_in_the_file() {
    let cache = cache(1 << 20);
    put(&cache, whole("88.118.5/x"), 100, at(0));
    let entry = cache.get(&mut whole("88.118.5/x"), at(1)).unwrap().entry;
    entry.rule(&signed(500, 500));
    let mut file = Vec::new();
    let keep = |block: &[u8]| -> Result<(), ()> {
        file.extend_from_slice(block);
        Ok(())
    };
    assert_eq!(cache.save(at(2), keep), Ok(1));
    let other = self::cache(1 << 20);
    other.load(&file, at(3)).unwrap();
    assert!(other.get(&mut whole("88.118.5/x"), at(4)).is_some());
    assert!(other.get_vouched(&mut whole("88.118.5/x"), at(4)).is_none());
}
