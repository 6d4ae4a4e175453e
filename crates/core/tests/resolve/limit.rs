//! Limits that a scenario would be too long to show: each is reached, and holds.

use guantong_core::resolve::limits::{
    DEPTH_MAX, EXCHANGES_MAX, REFERRAL_VALUES_MAX, UDP_REQUEST_LEN_MAX,
};
use guantong_core::resolve::{Answer, Outcome, Question, ResolveError};
use guantong_proto::data::site::Protocol;
use guantong_proto::{CaseRule, Handle, Value};

use crate::server::{Fixed, Server, Stored};
use crate::world::World;

fn world(servers: &[&str]) -> World {
    let mut world = World::new();
    for (n, name) in (1..).zip(servers) {
        let server = Server::new([10, 0, 0, n].into());
        world.servers.insert((*name).to_owned(), server);
    }
    world.roots = vec![servers[0].to_owned()];
    world
}

fn put(world: &mut World, server: &str, handle: &str, index: i32, kind: &str, data: &str) {
    let key = Handle::parse(handle).unwrap().key(CaseRule::Sensitive);
    let stored = match kind {
        "HS_SITE" => Stored {
            value: Value::new(index, kind, ""),
            site: Some(data.to_owned()),
        },
        _ => Stored {
            value: Value::new(index, kind, data),
            site: None,
        },
    };
    let server = world.servers.get_mut(server).unwrap();
    let record = server.records.entry(key.as_bytes().to_vec());
    record.or_default().push(stored);
}

fn ask(world: &mut World, question: Question) -> Answer {
    let ticket = world.ask(question);
    world.run(1_000_000, |world| world.answers.contains_key(&ticket));
    world.answers[&ticket].1.clone()
}

fn error(answer: &Answer) -> &ResolveError {
    match &answer.outcome {
        Outcome::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

fn question(handle: &str) -> Question {
    Question::new(Handle::parse(handle).unwrap())
}

#[test]
fn question_that_needs_many_datagrams_goes_by_stream_at_once() {
    let mut world = world(&["root"]);
    let count = i32::try_from(UDP_REQUEST_LEN_MAX / 4).unwrap();
    let long = Question {
        indexes: (1..=count).collect(),
        ..question("0.NA/1")
    };
    assert!(matches!(ask(&mut world, long).outcome, Outcome::NotFound));
    let by: Vec<Protocol> = world.asked.iter().map(|(_, by, _)| *by).collect();
    assert_eq!(by, [Protocol::TCP]);
}

#[test]
fn referral_with_too_many_values_is_not_followed() {
    for (values, is_followed) in [
        (REFERRAL_VALUES_MAX, true),
        (REFERRAL_VALUES_MAX + 1, false),
    ] {
        let mut world = world(&["root", "maker"]);
        put(&mut world, "root", "0.NA/88.1", 1, "HS_SITE", "root");
        put(
            &mut world,
            "maker",
            "88.1/x",
            1,
            "URL",
            "https://example.org/",
        );
        let referral = Fixed {
            code: 302,
            handle: Some("88.1/x".to_owned()),
            protocol: None,
            text: String::new(),
            sites: vec!["maker".to_owned(); values],
        };
        world
            .servers
            .get_mut("root")
            .unwrap()
            .referrals
            .push(referral);
        let answer = ask(&mut world, question("88.1/x"));
        match is_followed {
            true => assert!(matches!(answer.outcome, Outcome::Record(_))),
            false => assert!(matches!(error(&answer), ResolveError::Refused { .. })),
        }
    }
}

#[test]
fn records_that_need_each_other_too_deeply_are_given_up() {
    let mut world = world(&["root"]);
    for n in 1..=DEPTH_MAX + 5 {
        let (prefix, service) = (format!("0.NA/88.{n}"), format!("88.{}/s", n + 1));
        put(&mut world, "root", &prefix, 1, "HS_SERV", &service);
    }
    let answer = ask(&mut world, question("88.1/x"));
    assert!(
        matches!(error(&answer), ResolveError::TooDeep { .. }),
        "{answer:?}"
    );
    assert_eq!(world.resolver().figures().walks, 0);
}

#[test]
fn messages_that_one_question_may_cost_are_counted_over_all_sub_questions() {
    let mut world = world(&["root", "dead1", "dead2", "dead3"]);
    world.settings.timeout_ms = 1_000_000;
    for n in 1..=30 {
        let (prefix, service) = (format!("0.NA/88.{n}"), format!("88.{n}/s"));
        put(&mut world, "root", "0.NA/88.0", n, "HS_SERV", &service);
        for (index, dead) in (1..).zip(["dead1", "dead2", "dead3"]) {
            put(&mut world, "root", &prefix, index, "HS_SITE", dead);
        }
    }
    for dead in ["dead1", "dead2", "dead3"] {
        world.servers.get_mut(dead).unwrap().silent.extend([0, 1]);
    }
    let answer = ask(&mut world, question("88.0/x"));
    error(&answer);
    let figures = world.resolver().figures();
    let sent: u64 = figures.exchanges.iter().map(|figures| figures.sent).sum();
    assert_eq!(sent, u64::from(EXCHANGES_MAX));
    assert_eq!((figures.walks, figures.in_flight), (0, 0));
}
