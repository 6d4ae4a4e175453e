//! TCP and HTTP connections: those that a polling thread serves to their end, and those that it
//! hands over, which nobody at the other end must be able to tell apart.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use guantong_proto::message::ResponseCode;
use guantong_proto::{Permissions, Value};
use guantong_server::config::{Root, Span};
use guantong_server::metrics::Drop as Dropped;
use guantong_server::node::StartError;
use guantong_server::{Running, start};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use support::liar::{Script, liar};
use support::{PATIENCE, Place, Tcp, ask, decode, eventually, expect_drop, put, put_values};

const NAME: &str = "88.118.5/x";
const PATH: &str = "/api/handles/88.118.5/x";

/// A node with one record.
fn node(place: &Place) -> Running {
    let node = place.start();
    put(&node, NAME, "one");
    node
}

/// Asks for the record and expects it.
#[track_caller]
fn expect_answer(tcp: &mut Tcp, request_id: i32) {
    let reply = tcp.ask(&ask(NAME, request_id));
    assert_eq!((reply.request_id, reply.text.as_str()), (request_id, "one"));
}

//----------- Http -----------------------------------------------------------

struct Http(Tcp);

impl Http {
    fn to(node: &Running) -> Self {
        Self(Tcp::to(node.addresses().http[0]))
    }

    /// One answer, head and body.
    fn receive(&mut self) -> (String, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            self.0.0.read_exact(&mut octet).unwrap();
            head.push(octet[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let line = head.lines().find(|l| l.starts_with("content-length: "));
        let len = line.map_or("0", |line| line.split_at(16).1);
        let mut body = vec![0; len.parse().unwrap()];
        self.0.0.read_exact(&mut body).unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    fn ask(&mut self, request: &str) -> (String, String) {
        self.0.send(request.as_bytes());
        self.receive()
    }

    #[track_caller]
    fn expect_answer(&mut self) {
        let (head, body) = self.ask(&get(PATH, ""));
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(body.contains("\"value\":\"one\""), "{body}");
    }
}

/// A request with more lines.
fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

/// The lines of a head, without what differs from answer to answer.
fn lines(head: &str) -> Vec<&str> {
    let steady = |line| match str::split_once(line, ": ") {
        Some((name @ "date", value)) => {
            assert!(value.len() == 29 && value.ends_with(" GMT"), "{value}");
            name
        }
        Some((name @ "x-request-id", value)) => {
            assert_eq!(value.len(), 16, "{value}");
            name
        }
        _ => line,
    };
    head.lines().map(steady).collect()
}

fn sorted(mut lines: Vec<&str>) -> Vec<&str> {
    lines.sort_unstable();
    lines
}

//----------- The same either way --------------------------------------------

#[test]
fn answers_over_http_are_the_same_octets_either_way() {
    let place = Place::new();
    let node = node(&place);
    let mut http = Http::to(&node);
    let (quick, body) = http.ask(&get(PATH, "Accept: */*\r\n"));
    // The way of those that ask singly, as this connection now has.
    for more in ["Accept: */*\r\n", "Accept: a\r\n"] {
        let (again, again_body) = http.ask(&get(PATH, more));
        assert_eq!((lines(&quick), &body), (lines(&again), &again_body));
    }
    // The way of hyper, on which the connection stays.
    for more in ["Content-Length: 0\r\n", ""] {
        let (long, long_body) = http.ask(&get(PATH, more));
        assert_eq!((lines(&quick), &body), (lines(&long), &long_body));
    }
    // The way of the router, by an empty query; it has another order.
    let (longest, longest_body) = http.ask(&get(&format!("{PATH}?"), ""));
    assert_eq!(sorted(lines(&quick)), sorted(lines(&longest)));
    assert_eq!(body, longest_body);
}

#[test]
fn every_request_on_a_connection_is_answered_in_order_whatever_it_needs() {
    let place = Place::new();
    let node = node(&place);
    let close = "Connection: close\r\n";
    let requests = [
        (get(PATH, ""), "200", "\"one\""),
        (get(PATH, ""), "200", "\"one\""),
        (
            get("/api/handles/88.118.5/none", ""),
            "404",
            "\"responseCode\":100",
        ),
        (get(PATH, ""), "200", "\"one\""),
        (get("/live", ""), "200", ""),
        (get(PATH, close), "200", "\"one\""),
    ];
    let mut http = Http::to(&node);
    let all: String = requests
        .iter()
        .map(|(request, ..)| request.as_str())
        .collect();
    http.0.send(all.as_bytes());
    for (request, status, part) in &requests {
        let (head, body) = http.receive();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}{head}"
        );
        assert!(body.contains(part), "{request}{body}");
    }
    http.0.expect_close();
}

#[test]
fn connection_that_asks_singly_may_ask_for_whatever_it_wants_next() {
    let place = Place::new();
    let node = node(&place);
    let hidden = Value {
        permissions: Permissions(0),
        ..Value::new(2, "SECRET", "two")
    };
    put_values(
        &node,
        "88.118.5/part",
        &[Value::new(1, "TEXT", "part"), hidden],
    );
    let two = get(PATH, "") + &get("/api/handles/88.118.5/part", "");
    let next = [
        (get("/api/handles/88.118.5/none", ""), 1, "HTTP/1.1 404 "),
        (
            get("/api/handles/88.118.5/part", ""),
            1,
            "\"withheld\":true",
        ),
        (get("/api/handles/88.118.5/%78", ""), 1, "\"one\""),
        (get("/api/handles/1.2/x", ""), 1, "\"responseCode\":"),
        (get("/live", ""), 1, "HTTP/1.1 200 "),
        (two, 2, "\"withheld\":true"),
    ];
    for (request, count, part) in next {
        let mut http = Http::to(&node);
        // The second time it is expected to ask singly.
        for _ in 0..2 {
            http.expect_answer();
        }
        http.0.send(request.as_bytes());
        let answers: Vec<_> = (0..count).map(|_| http.receive()).collect();
        let (head, body) = answers.last().unwrap();
        assert!(
            format!("{head}{body}").contains(part),
            "{request}{head}{body}"
        );
        http.expect_answer();
    }
}

#[test]
fn request_that_two_readers_could_take_for_different_ones_is_not_taken_for_plain() {
    let place = Place::new();
    let node = node(&place);
    // The octets of a body are no request, however they look.
    let inner = get("/api/handles/88.118.5/none", "");
    let len = inner.len();
    let chunk = format!("{len:x}\r\n{inner}\r\n0\r\n\r\n");
    let with_body = [
        get(PATH, &format!("Content-Length: {len}\r\n")) + &inner,
        get(PATH, "Transfer-Encoding: chunked\r\n") + &chunk,
    ];
    for request in with_body {
        let mut http = Http::to(&node);
        let last = get(PATH, "Connection: close\r\n");
        http.0.send(format!("{request}{last}").as_bytes());
        let mut answers = String::new();
        // What the node does not read makes the system reset the connection.
        let _ = http.0.0.read_to_string(&mut answers);
        assert!(answers.starts_with("HTTP/1.1 200 "), "{answers}");
        assert!(!answers.contains("HTTP/1.1 404 "), "{answers}");
    }
    let refused = [
        get(PATH, "Content-Length: 5\r\nContent-Length: 6\r\n"),
        get(PATH, "Content-Length: x\r\n"),
        get(PATH, "Content-Length : 5\r\n"),
        get(PATH, "Folded: a\r\n b\r\n"),
        get(PATH, "Nul: a\0b\r\n"),
    ];
    for request in refused {
        let (head, _) = Http::to(&node).ask(&request);
        assert!(head.starts_with("HTTP/1.1 400 "), "{request}{head}");
    }
}

#[test]
fn requests_may_be_cut_at_every_octet() {
    let place = Place::new();
    let node = node(&place);
    let two = [ask(NAME, 1), ask(NAME, 2)].concat();
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    for at in 1..two.len() {
        tcp.send(&two[..at]);
        tcp.send(&two[at..]);
        let replies = [tcp.receive(), tcp.receive()].map(|reply| decode(&reply).request_id);
        assert_eq!(replies, [1, 2], "{at}");
    }
    let two = [get(PATH, "A: b\r\n"), get(PATH, "")].concat();
    let mut http = Http::to(&node);
    for at in 1..two.len() {
        http.0.send(&two.as_bytes()[..at]);
        http.0.send(&two.as_bytes()[at..]);
        for _ in 0..2 {
            assert!(http.receive().0.starts_with("HTTP/1.1 200 "), "{at}");
        }
    }
}

#[test]
fn answer_that_waits_keeps_its_place_among_those_that_need_not() {
    let root = liar(
        |asked, send| {
            send(&match asked.is_on_the_way() {
                true => asked.prefix(),
                false => asked.answer(&Script::text("far")),
            });
        },
        |_, _| {},
    );
    let mut place = Place::new();
    place.config.recurse.root = Some(Root::Addresses(vec![root]));
    place.config.recurse.allow = vec!["127.0.0.0/8".parse().unwrap()];
    let node = node(&place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let names = [NAME, "88.7/far", NAME, "88.8/far", NAME];
    for round in 0..2 {
        let asked = names
            .iter()
            .zip(round * 10..)
            .map(|(name, id)| ask(name, id));
        tcp.send(&asked.collect::<Vec<_>>().concat());
        for (name, id) in names.iter().zip(round * 10..) {
            let reply = decode(&tcp.receive());
            let text = if *name == NAME { "one" } else { "far" };
            assert_eq!((reply.request_id, reply.text.as_str()), (id, text));
        }
    }
}

#[test]
fn request_that_needs_an_identity_keeps_its_place() {
    let place = Place::new();
    let node = node(&place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    tcp.send(&[ask(NAME, 1), support::admin::dump(2), ask(NAME, 3)].concat());
    let replies = [tcp.receive(), tcp.receive(), tcp.receive()].map(|reply| decode(&reply));
    assert_eq!(replies.each_ref().map(|reply| reply.request_id), [1, 2, 3]);
    assert_eq!(replies[0].text, "one");
    assert_ne!(replies[1].code, ResponseCode::SUCCESS);
    assert_eq!(replies[2].text, "one");
    expect_answer(&mut tcp, 4);
}

#[test]
fn message_longer_than_a_thread_keeps_is_answered_all_the_same() {
    let place = Place::new();
    let node = node(&place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let long = ask(&format!("88.118.5/{}", "y".repeat(30_000)), 7);
    for part in long.chunks(1_000) {
        tcp.send(part);
    }
    assert_eq!(decode(&tcp.receive()).request_id, 7);
    expect_answer(&mut tcp, 8);
    let name = "z".repeat(10_000);
    let (head, _) = Http::to(&node).ask(&get(&format!("/api/handles/88.118.5/{name}"), ""));
    assert!(head.starts_with("HTTP/1.1 4"), "{head}");
}

//----------- Peers that take their time -------------------------------------

#[test]
fn peer_that_does_not_read_holds_up_nobody_and_is_given_up() {
    let mut place = Place::new();
    place.config.limits.message_timeout = Span(200);
    place.config.listen.worker_threads = 1;
    let node = place.start();
    put(&node, NAME, &"y".repeat(30_000));
    let many = ask(NAME, 1).repeat(2_000);
    let deaf = Tcp::to(node.addresses().tcp[0]);
    let mut writer = deaf.0.try_clone().unwrap();
    // Its octets stay in its own window in the end, so somebody has to wait with it.
    let sender = std::thread::spawn(move || writer.write_all(&many));
    let mut quick = Tcp::to(node.addresses().tcp[0]);
    let drops = || node.node().metrics.drops(Dropped::Slow);
    while drops() == 0 {
        assert_eq!(quick.ask(&ask(NAME, 2)).request_id, 2);
    }
    expect_drop(&node, Dropped::Slow);
    drop(deaf);
    let _ = sender.join().unwrap();
}

#[test]
fn peers_that_drip_hold_up_nobody() {
    let place = Place::new();
    let node = node(&place);
    let request = ask(NAME, 5);
    let mut slow: Vec<Tcp> = (0..50).map(|_| Tcp::to(node.addresses().tcp[0])).collect();
    let mut quick = Tcp::to(node.addresses().tcp[0]);
    for octet in &request {
        for tcp in &mut slow {
            tcp.send(&[*octet]);
        }
        expect_answer(&mut quick, 6);
    }
    for tcp in &mut slow {
        assert_eq!(decode(&tcp.receive()).request_id, 5);
    }
}

#[test]
fn http_connection_at_rest_is_closed_in_time() {
    let mut place = Place::new();
    place.config.limits.message_timeout = Span(400);
    let node = node(&place);
    let mut http = Http::to(&node);
    http.expect_answer();
    http.0.expect_close();
    expect_drop(&node, Dropped::Idle);
    // So is one that has begun its next request.
    let mut http = Http::to(&node);
    http.expect_answer();
    http.0.send(b"GET /api/ha");
    http.0.expect_close();
    assert_eq!(node.node().metrics.drops(Dropped::Idle), 1);
}

#[test]
fn time_for_a_message_begins_with_its_first_octet() {
    let mut place = Place::new();
    place.config.limits.message_timeout = Span(300);
    let node = node(&place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let begun = Instant::now();
    // Octet by octet, so that it is never silent for long.
    for octet in ask(&format!("88.118.5/{}", "y".repeat(20_000)), 9) {
        if node.node().metrics.drops(Dropped::Slow) > 0 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "it may drip for ever");
        let _ = tcp.0.write_all(&[octet]);
        std::thread::sleep(Duration::from_millis(20));
    }
    expect_drop(&node, Dropped::Slow);
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

//----------- Stopping -------------------------------------------------------

#[test]
fn connections_at_rest_do_not_hold_up_a_stop() {
    let place = Place::new();
    let node = node(&place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    expect_answer(&mut tcp, 1);
    let mut http = Http::to(&node);
    http.expect_answer();
    let silent = [node.addresses().tcp[0], node.addresses().http[0]].map(Tcp::to);
    let begun = Instant::now();
    node.stop();
    // Far below `limits.stop_timeout`.
    assert!(begun.elapsed() < Duration::from_secs(8));
    for tcp in [tcp, http.0].into_iter().chain(silent) {
        tcp.expect_close();
    }
}

#[test]
fn message_that_has_begun_is_answered_while_the_node_stops() {
    let place = Place::new();
    let node = node(&place);
    let request = ask(NAME, 3);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let mut http = Http::to(&node);
    expect_answer(&mut tcp, 2);
    http.expect_answer();
    let head = get(PATH, "");
    tcp.send(&request[..30]);
    http.0.send(&head.as_bytes()[..30]);
    let (tcp_address, http_address) = (node.addresses().tcp[0], node.addresses().http[0]);
    let is_closed = |address: SocketAddr| TcpStream::connect(address).is_err();
    let stopping = std::thread::spawn(move || node.stop());
    eventually(|| (is_closed(tcp_address) && is_closed(http_address)).then_some(()));
    tcp.send(&request[30..]);
    http.0.send(&head.as_bytes()[30..]);
    assert_eq!(decode(&tcp.receive()).text, "one");
    assert!(http.receive().0.starts_with("HTTP/1.1 200 "));
    tcp.expect_close();
    http.0.expect_close();
    stopping.join().unwrap();
}

#[test]
fn requests_that_have_arrived_are_answered_while_the_node_stops() {
    let place = Place::new();
    let node = node(&place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    expect_answer(&mut tcp, 1);
    // More than is read in one turn, and all of it here before the node hears of its end.
    let requests: Vec<u8> = (0..400).flat_map(|id| ask(NAME, id)).collect();
    tcp.send(&requests);
    node.stop();
    for id in 0..400 {
        assert_eq!(decode(&tcp.receive()).request_id, id);
    }
    tcp.expect_close();
}

//----------- Limits ---------------------------------------------------------

#[test]
fn second_node_does_not_share_a_port() {
    let place = Place::new();
    let node = node(&place);
    for what in ["listen.tcp", "listen.http"] {
        let mut other = Place::new();
        match what {
            "listen.tcp" => other.config.listen.tcp = node.addresses().tcp.clone(),
            _ => other.config.listen.http = node.addresses().http.clone(),
        }
        match start(other.config.clone()) {
            Err(StartError::Listen { what: named, .. }) => assert_eq!(named, what),
            other => unreachable!("{other:?}"),
        }
    }
}

#[test]
fn records_over_http_are_given_within_the_rate_of_an_address() {
    let mut place = Place::new();
    place.config.limits.trusted.clear();
    place.config.limits.requests_per_second_per_address = 20;
    let node = node(&place);
    let mut http = Http::to(&node);
    let begun = Instant::now();
    let mut given = 0;
    let refused = loop {
        let (head, body) = http.ask(&get(PATH, ""));
        if !head.starts_with("HTTP/1.1 200 ") {
            break (head, body);
        }
        given += 1;
    };
    let earned = 20 * (begun.elapsed().as_secs() + 1) + 20;
    assert!((20..=earned).contains(&given), "{given}");
    assert!(refused.0.starts_with("HTTP/1.1 503 "), "{}", refused.0);
    assert!(refused.1.contains("\"responseCode\":3"), "{}", refused.1);
    assert!(node.node().metrics.drops(Dropped::RequestRate) > 0);
}

/// Lets this process open as many files as the system allows, and says how many.
fn open_files() -> u64 {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    most
}

#[test]
fn two_thousand_connections_are_busy_beside_thousands_at_rest() {
    const BUSY: usize = 2_000;
    let most = usize::try_from(open_files()).unwrap_or(usize::MAX);
    // Both ends of each are in this process.
    let at_rest = (most.saturating_sub(2 * BUSY + 1_000) / 2).min(8_000);
    if most < 2 * BUSY + 1_000 {
        // A machine that allows so few open files has nothing to test here.
        return;
    }
    let mut place = Place::new();
    place.config.limits.connections = 20_000;
    place.config.limits.connections_per_address = 20_000;
    let node = node(&place);
    let address = node.addresses().tcp[0];
    let rest: Vec<Tcp> = (0..at_rest).map(|_| Tcp::to(address)).collect();
    let mut busy: Vec<Tcp> = (0..BUSY).map(|_| Tcp::to(address)).collect();
    for round in 0..3 {
        for tcp in &mut busy {
            tcp.send(&[ask(NAME, round), ask(NAME, round)].concat());
        }
        for tcp in &mut busy {
            for _ in 0..2 {
                assert_eq!(decode(&tcp.receive()).request_id, round);
            }
        }
    }
    let open = usize::try_from(node.node().connections.open()).unwrap();
    assert_eq!(open, at_rest + BUSY);
    drop((rest, busy));
    eventually(|| (node.node().connections.open() == 0).then_some(()));
}

#[test]
fn garbage_costs_its_connection_only() {
    let place = Place::new();
    let node = node(&place);
    let addresses = [node.addresses().tcp[0], node.addresses().http[0]];
    let seeds = [ask(NAME, 1), get(PATH, "A: b\r\n").into_bytes()];
    // Numbers that look like chance and are always the same.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % below
    };
    for round in 0..400 {
        let mut octets: Vec<u8> = match round % 3 {
            0 => (0..next(600))
                .map(|_| u8::try_from(next(256)).unwrap())
                .collect(),
            _ => seeds[next(2)].repeat(1 + next(3)),
        };
        for _ in 0..next(4) {
            let len = octets.len();
            if let Some(octet) = octets.get_mut(next(len.max(1))) {
                *octet = u8::try_from(next(256)).unwrap();
            }
        }
        octets.truncate(next(octets.len() + 1));
        let mut tcp = Tcp::to(addresses[next(2)]);
        // The node may close before it has read everything.
        let _ = tcp.0.write_all(&octets);
        drop(tcp);
        // Those who connected before are accepted before: a node that waits for a core must not
        // come to refuse this address for its many connections.
        if round % 100 == 99 {
            expect_answer(&mut Tcp::to(addresses[0]), round);
            Http::to(&node).expect_answer();
            eventually(|| (node.node().connections.open() == 0).then_some(()));
        }
    }
    assert_eq!(node.node().metrics.drops(Dropped::AddressFull), 0);
}
