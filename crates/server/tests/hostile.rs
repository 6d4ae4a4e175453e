//! Servers that lie, over real sockets: the recursive node stays correct and bounded, and says what
//! was wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use guantong_core::resolve::limits::EXCHANGES_MAX;
use guantong_core::resolve::{ExchangeFigures, Figures};
use guantong_proto::frame::split;
use guantong_proto::message::ResponseCode;
use guantong_proto::{Ttl, Value};
use guantong_server::Running;
use guantong_server::config::{Root, Span};
use support::liar::{Asked, Script, liar, no_tcp, send};
use support::{Place, Reply, Udp, ask, eventually, get, value};

/// Time for a question in these tests.
const TIMEOUT: Span = Span::secs(2);

fn recursive(root: SocketAddr) -> (Place, Running) {
    let mut place = Place::homing(&[]);
    let recurse = &mut place.config.recurse;
    recurse.allow = vec!["127.0.0.0/8".parse().unwrap()];
    recurse.root = Some(Root::Addresses(vec![root]));
    recurse.timeout = TIMEOUT;
    let node = place.start();
    (place, node)
}

fn figures(node: &Running) -> Figures {
    node.node().courier().unwrap().snapshot().figures
}

fn sent(node: &Running) -> u64 {
    let sent = |exchanges: &ExchangeFigures| exchanges.sent;
    figures(node).exchanges.iter().map(sent).sum()
}

/// Asks, and expects the answer within the time for a question, give or take a slow machine.
fn asked(node: &Running, handle: &str) -> Reply {
    let begun = Instant::now();
    let reply = Udp::to(node.addresses().udp[0]).ask(&ask(handle, 1));
    let bound = TIMEOUT.as_duration() + Duration::from_secs(10);
    assert!(begun.elapsed() < bound, "{:?}", begun.elapsed());
    reply
}

/// A liar that tells the truth on the way, and by UDP what `answer` says about the record itself.
fn lies_by_udp(answer: impl Fn(&Asked, &dyn Fn(&[u8])) + Send + 'static) -> SocketAddr {
    let udp = move |asked: &Asked, send: &dyn Fn(&[u8])| match asked.is_on_the_way() {
        true => send(&asked.prefix()),
        false => answer(asked, send),
    };
    liar(udp, no_tcp)
}

/// A liar that has everybody come by TCP, and answers as `answer` says.
fn lies_by_tcp(
    answer: impl Fn(&Asked, &mut std::net::TcpStream) + Send + Sync + 'static,
) -> SocketAddr {
    let udp = |asked: &Asked, send: &dyn Fn(&[u8])| match asked.is_on_the_way() {
        true => send(&asked.prefix()),
        false => send(&asked.answer(&Script::code(2))),
    };
    liar(udp, answer)
}

//----------- Forged ---------------------------------------------------------

#[test]
fn forged_answers_in_front_of_the_right_one_are_not_believed() {
    let root = lies_by_udp(|asked, send| {
        let forged = Script::text("forged");
        for script in [
            Script {
                id_offset: 1,
                ..forged.clone()
            },
            Script {
                digest_flip: 1,
                ..forged.clone()
            },
            Script {
                handle: Some("88/other".into()),
                ..forged.clone()
            },
            Script {
                expiration: 1,
                ..forged.clone()
            },
        ] {
            send(&asked.answer(&script));
        }
        send(&asked.answer(&Script::text("right")));
    });
    let (_place, node) = recursive(root);
    assert_eq!(asked(&node, "88/x").text, "right");
    // The figures are told after the answer.
    let figures = eventually(|| {
        let figures = figures(&node);
        (figures.questions == 1 && figures.walks == 0).then_some(figures)
    });
    assert!(figures.dropped_unknown >= 1, "{figures:?}");
    assert!(figures.dropped_mismatched >= 3, "{figures:?}");
}

#[test]
fn server_that_only_forges_is_given_up_in_time() {
    let root = lies_by_udp(|asked, send| {
        for n in 0..100 {
            let script = Script {
                digest_flip: 1,
                ..Script::text(&n.to_string())
            };
            send(&asked.answer(&script));
        }
    });
    let (_place, node) = recursive(root);
    let reply = asked(&node, "88/x");
    assert_eq!(reply.code, ResponseCode::ERROR);
    eventually(|| (figures(&node).in_flight == 0).then_some(()));
}

#[test]
fn pieces_that_never_make_a_whole_are_given_up_in_time() {
    let root = lies_by_udp(|asked, send| {
        let packet = asked.answer(&Script::text(&"x".repeat(2_000)));
        let mut first = true;
        split(&packet, |piece| {
            if std::mem::take(&mut first) {
                send(piece);
            }
        });
    });
    let (_place, node) = recursive(root);
    assert_eq!(asked(&node, "88/x").code, ResponseCode::ERROR);
}

//----------- Streams --------------------------------------------------------

#[test]
fn stream_of_a_sound_server_is_used_again() {
    let root = lies_by_tcp(|asked, stream| {
        send(stream, &asked.answer(&Script::text("right")));
    });
    let (_place, node) = recursive(root);
    for n in 0..5 {
        assert_eq!(asked(&node, &format!("88/{n}")).text, "right");
    }
}

#[test]
fn server_that_closes_after_one_answer_is_asked_again() {
    let root = lies_by_tcp(|asked, stream| {
        send(stream, &asked.answer(&Script::text("right")));
        let _ = stream.shutdown(std::net::Shutdown::Both);
    });
    let (_place, node) = recursive(root);
    let client = Udp::to(node.addresses().udp[0]);
    for n in 0..20 {
        client.send(&ask(&format!("88/{n}"), n));
    }
    for _ in 0..20 {
        let reply = support::decode(&client.receive());
        assert_eq!(reply.text, "right", "{}", reply.request_id);
    }
}

#[test]
fn slow_drip_ends_with_the_time_of_the_question() {
    let root = lies_by_tcp(|asked, stream| {
        for octet in asked.answer(&Script::text(&"x".repeat(10_000))) {
            if !send(stream, &[octet]) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let (_place, node) = recursive(root);
    assert_eq!(asked(&node, "88/x").code, ResponseCode::ERROR);
    eventually(|| (figures(&node).in_flight == 0).then_some(()));
}

#[test]
fn length_of_two_gigabytes_is_refused_unread() {
    let root = lies_by_tcp(|asked, stream| {
        let mut packet = asked.answer(&Script::text("x"));
        packet[16..20].copy_from_slice(&i32::MAX.to_be_bytes());
        while send(stream, &packet) {}
    });
    let (_place, node) = recursive(root);
    assert_eq!(asked(&node, "88/x").code, ResponseCode::ERROR);
}

#[test]
fn stream_that_says_nothing_is_given_up_in_time() {
    let root = lies_by_tcp(|_, _| {});
    let (_place, node) = recursive(root);
    assert_eq!(asked(&node, "88/x").code, ResponseCode::ERROR);
    eventually(|| (figures(&node).in_flight == 0).then_some(()));
}

#[test]
fn answer_to_another_request_on_a_stream_is_not_believed() {
    let root = lies_by_tcp(|asked, stream| {
        let script = Script {
            digest_flip: 1,
            ..Script::text("forged")
        };
        send(stream, &asked.answer(&script));
    });
    let (_place, node) = recursive(root);
    assert_eq!(asked(&node, "88/x").code, ResponseCode::ERROR);
}

//----------- Records --------------------------------------------------------

#[test]
fn endless_referrals_end() {
    let refer = |asked: &Asked, kind, code| {
        let site = asked.site();
        asked.answer(&Script {
            code,
            ..Script::record(vec![value(1, kind, site)])
        })
    };
    let udp = move |asked: &Asked, send: &dyn Fn(&[u8])| {
        send(&match asked.handle.as_str() {
            handle if handle.starts_with("0.NA/") => refer(asked, "HS_SITE.PREFIX", 303),
            _ => refer(asked, "HS_SITE", 302),
        });
    };
    let (_place, node) = recursive(liar(udp, no_tcp));
    let reply = asked(&node, "88.1/x");
    assert_eq!(reply.code, ResponseCode::ERROR);
    assert!(sent(&node) <= u64::from(EXCHANGES_MAX), "{}", sent(&node));
}

#[test]
fn service_handles_without_end_end() {
    let udp = |asked: &Asked, send: &dyn Fn(&[u8])| {
        let next = format!("0.SERV/{}", asked.handle.len());
        let values = vec![
            value(1, "HS_SERV", next.as_str()),
            value(2, "HS_SERV", "0.SERV/y"),
        ];
        send(&asked.answer(&Script::record(values)));
    };
    let (_place, node) = recursive(liar(udp, no_tcp));
    assert_eq!(asked(&node, "88.1/x").code, ResponseCode::ERROR);
    assert!(sent(&node) <= u64::from(EXCHANGES_MAX), "{}", sent(&node));
}

#[test]
fn codes_that_ask_for_something_are_not_passed_on() {
    for (code, told) in [
        (402, 401),
        (302, 2),
        (303, 2),
        (300, 2),
        (500, 2),
        (900, 2),
        (5, 5),
    ] {
        let root = lies_by_udp(move |asked, send| send(&asked.answer(&Script::code(code))));
        let (_place, node) = recursive(root);
        assert_eq!(asked(&node, "88/x").code.0, told, "{code}");
    }
}

#[test]
fn lifetimes_of_centuries_are_capped_and_none_are_negative() {
    let root = lies_by_udp(|asked, send| {
        let ttl = match asked.handle.as_str() {
            "88/long" => Ttl::Relative(i32::MAX),
            "88/absolute" => Ttl::Absolute(i32::MAX),
            _ => Ttl::Relative(-1),
        };
        let lying = Value {
            ttl,
            ..value(1, "TEXT", "x")
        };
        send(&asked.answer(&Script::record(vec![lying])));
    });
    let (_place, node) = recursive(root);
    let left = |handle: &str| {
        let path = format!("/api/handles/{handle}");
        let http = node.addresses().http[0];
        get(http, &path);
        let again = get(http, &path);
        let line = again
            .lines()
            .find(|line| line.starts_with("cache-status"))
            .unwrap();
        line.split("ttl=")
            .nth(1)
            .map(|text| text.parse::<u64>().unwrap())
    };
    assert!(left("88/long").is_some_and(|secs| secs <= 172_800));
    assert!(left("88/absolute").is_some_and(|secs| secs <= 172_800));
    assert_eq!(left("88/negative"), None);
}
