//! What holds whatever servers send: every question ends in time, once, and within its limits.

use proptest::prelude::*;

use guantong_core::resolve::limits::{EXCHANGES_MAX, UDP_TRIES};
use guantong_core::resolve::{Outcome, Question, Ticket};
use guantong_proto::{CaseRule, Handle, Value};

use crate::server::{Fixed, Server, Stored};
use crate::world::{Chaos, World};

const TIMEOUT_MS: u64 = 10_000;
const SERVERS: usize = 5;

/// What a world is made of.
#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    chaos: Chaos,
    /// From whom to whom, by which code: referrals that may lead anywhere.
    referrals: Vec<(usize, usize, bool)>,
    /// Which name is an alias of which.
    aliases: Vec<(usize, usize)>,
    /// Which record names which site or service handle.
    records: Vec<(usize, usize, usize, bool)>,
    silent: Vec<usize>,
    questions: Vec<(usize, bool, bool)>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let server = 0..SERVERS;
    let other = 1..SERVERS;
    let rarely = prop::bool::weighted(0.1);
    (
        any::<u64>(),
        (0..60_u32, 0..40_u32, 0..40_u32, 0..400_u64),
        prop::collection::vec((other.clone(), server.clone(), any::<bool>()), 0..4),
        prop::collection::vec((server.clone(), server.clone()), 0..3),
        prop::collection::vec(
            (0..2_usize, server.clone(), server.clone(), any::<bool>()),
            0..12,
        ),
        prop::collection::vec(other, 0..2),
        prop::collection::vec((server, any::<bool>(), rarely), 1..6),
    )
        .prop_map(
            |(seed, chaos, referrals, aliases, records, silent, questions)| Plan {
                seed,
                chaos: Chaos {
                    lost_percent: chaos.0,
                    mutated_percent: chaos.1,
                    doubled_percent: chaos.2,
                    delay_ms: chaos.3,
                },
                referrals,
                aliases,
                records,
                silent,
                questions,
            },
        )
}

fn name(n: usize) -> String {
    format!("s{n}")
}

fn put(world: &mut World, server: usize, handle: &str, stored: Stored) {
    let handle = Handle::parse(handle).unwrap();
    let key = handle.key(CaseRule::Sensitive).as_bytes().to_vec();
    let server = world.servers.get_mut(&name(server)).unwrap();
    server.records.entry(key).or_default().push(stored);
}

/// The records: the truth, and what leads astray.
fn put_records(world: &mut World, plan: &Plan) {
    for (index, (at, prefix, to, is_site)) in (1..).zip(&plan.records) {
        let stored = match is_site {
            true => Stored {
                value: Value::new(index, "HS_SITE", ""),
                site: Some(name(*to)),
            },
            false => Stored {
                value: Value::new(index, "HS_SERV", format!("88.{to}/s")),
                site: None,
            },
        };
        put(world, *at, &format!("0.NA/88.{prefix}"), stored.clone());
        put(world, *at, &format!("88.{prefix}/s"), stored);
    }
    for n in 0..SERVERS {
        // The root knows every prefix; what the plan adds leads astray.
        let known = Stored {
            value: Value::new(50, "HS_SITE", ""),
            site: Some(name(n)),
        };
        put(world, 0, &format!("0.NA/88.{n}"), known);
        let value = Value::new(100, "URL", "the truth");
        for prefix in 0..SERVERS {
            let value = value.clone();
            let handle = format!("88.{prefix}/x");
            put(world, n, &handle, Stored { value, site: None });
        }
    }
    for (from, to) in &plan.aliases {
        let value = Value::new(1, "HS_ALIAS", format!("88.{to}/x"));
        for n in 0..SERVERS {
            let value = value.clone();
            put(
                world,
                n,
                &format!("88.{from}/x"),
                Stored { value, site: None },
            );
        }
    }
}

fn build(plan: &Plan) -> World {
    let mut world = World::new();
    for n in 0..SERVERS {
        let ip = [10, 0, 0, u8::try_from(n).unwrap() + 1];
        world.servers.insert(name(n), Server::new(ip.into()));
    }
    world.roots = vec![name(0)];
    world.settings.timeout_ms = TIMEOUT_MS;
    for (at, to, prefix) in &plan.referrals {
        let fixed = Fixed {
            code: if *prefix { 303 } else { 302 },
            handle: None,
            protocol: None,
            text: String::new(),
            sites: vec![name(*to)],
        };
        world
            .servers
            .get_mut(&name(*at))
            .unwrap()
            .referrals
            .push(fixed);
    }
    put_records(&mut world, plan);
    for n in &plan.silent {
        world
            .servers
            .get_mut(&name(*n))
            .unwrap()
            .silent
            .extend([0, 1]);
    }
    world.chaos(plan.chaos.clone(), plan.seed);
    world
}

/// Asks all questions and lets time pass until all must have ended.
fn play(plan: &Plan) -> (World, Vec<Ticket>) {
    let mut world = build(plan);
    let mut tickets = Vec::new();
    for (prefix, aliases, certified) in &plan.questions {
        let handle = Handle::parse(&format!("88.{prefix}/x")).unwrap();
        let question = Question {
            follow_aliases: *aliases,
            certified: *certified,
            ..Question::new(handle)
        };
        tickets.push(world.ask(question));
    }
    world.run(TIMEOUT_MS, |_| false);
    (world, tickets)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_question_ends_once_in_time_and_within_its_budget(plan in plan()) {
        let (mut world, tickets) = play(&plan);
        for ticket in &tickets {
            prop_assert!(world.answers.contains_key(ticket), "{ticket:?} has no answer");
        }
        let figures = world.resolver().figures();
        prop_assert_eq!((figures.walks, figures.in_flight), (0, 0));
        let questions = u64::try_from(tickets.len()).unwrap();
        let sent: u64 = figures.exchanges.iter().map(|figures| figures.sent).sum();
        prop_assert!(sent <= u64::from(EXCHANGES_MAX) * questions, "{sent} exchanges");
        prop_assert!(figures.retries <= sent * u64::from(UDP_TRIES - 1));
        prop_assert_eq!(world.resolver().poll_timeout(), None, "nothing is left to do");
    }

    #[test]
    fn loss_and_disorder_never_make_an_answer_wrong(plan in plan()) {
        let mut plan = plan;
        plan.chaos.mutated_percent = 0;
        let (world, tickets) = play(&plan);
        for ticket in &tickets {
            if let Outcome::Record(entry) = &world.answers[ticket].1.outcome {
                let values = entry.values();
                let value = values.iter().find(|value| value.index == 100).unwrap();
                prop_assert_eq!(value.data, b"the truth".as_slice());
                let mut kinds = values.iter().map(|value| value.kind);
                prop_assert!(kinds.all(|kind| kind == b"URL" || kind == b"HS_ALIAS"));
            }
        }
    }

    #[test]
    fn random_datagrams_change_nothing(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut world = build(&Plan {
            seed: 1,
            chaos: Chaos::default(),
            referrals: Vec::new(),
            aliases: Vec::new(),
            records: vec![(0, 1, 1, true)],
            silent: Vec::new(),
            questions: Vec::new(),
        });
        let ticket = world.ask(Question::new(Handle::parse("88.1/x").unwrap()));
        let now = world.now();
        for local in 0..4 {
            world.resolver().on_datagram(local, ([10, 0, 0, 1], 2641).into(), &octets, now);
        }
        world.run(TIMEOUT_MS, |_| false);
        prop_assert!(matches!(world.answers[&ticket].1.outcome, Outcome::Record(_)));
    }
}
