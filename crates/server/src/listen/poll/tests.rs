//! Connections that stay with their thread. The tasks of those that were handed over are never run
//! here, so whoever is answered has stayed.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use axum::Router;
use guantong_proto::limits::ENVELOPE_LEN;
use guantong_proto::message::{Envelope, Message, OpFlags, RequestBuilder, ResponseCode, Version};
use guantong_proto::wire::{Reader, Writer};
use guantong_proto::{Value, Values};
use guantong_store::{Batch, Change, Expect, Origin, Trail};
use tokio::runtime::Runtime;

use super::worker::READ_LEN;
use super::*;
use crate::config::Config;
use crate::init::{InitOptions, init};
use crate::shutdown::Stopper;

/// How long a test waits for what never comes. It decides nothing else.
const PATIENCE: Duration = Duration::from_secs(60);

/// So many requests that they fill more than one read, and that the system holds all their answers:
/// a peer that does not take them is handed over.
const MANY: usize = 250;

struct Place {
    node: Arc<Node>,
    native: SocketAddr,
    http: SocketAddr,
    // In the order in which they must end.
    _pollers: Pollers,
    _idle: Runtime,
    _stopper: Stopper,
    _folder: tempfile::TempDir,
}

fn name(n: usize) -> String {
    format!("88.118.5/{n}")
}

impl Place {
    /// A node with `count` records, of which none has been read.
    fn new(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("node");
        let options = InitOptions {
            prefix: Some("88.118.5".to_owned()),
            ..InitOptions::default()
        };
        init(&home, &options).unwrap();
        let mut config = crate::config::load(&home).unwrap();
        config.listen = Config::ephemeral(&home).listen;
        config.limits.requests_per_second_per_address = 0;
        let node = Node::open(config).unwrap();
        let put = |n| Change::Put {
            handle: guantong_proto::Handle::parse(&name(n)).unwrap(),
            values: Writer::to_vec(|w| Values::encode(&[Value::new(1, "TEXT", name(n))], w)),
            expect: Expect::Anything,
        };
        let batch = Batch {
            changes: (0..count).map(put).collect(),
            at_ms: 0,
            origin: Origin::Operator,
            trail: Trail::default(),
        };
        node.store.submit(batch).wait().unwrap();
        Self::listen(node, folder)
    }

    fn listen(node: Arc<Node>, folder: tempfile::TempDir) -> Self {
        let idle = tokio::runtime::Builder::new_current_thread();
        let idle = { idle }.enable_all().build().unwrap();
        let stopper = Stopper::new();
        let http = Http {
            node: node.clone(),
            router: Router::new(),
            tls: None,
            console: false,
            stop: stopper.stop(),
        };
        let bind = || Pollers::bind(([127, 0, 0, 1], 0).into(), 1).unwrap();
        let (native, web) = (bind(), bind());
        let address = |listeners: &[TcpListener]| listeners[0].local_addr().unwrap();
        Self {
            native: address(&native),
            http: address(&web),
            _pollers: Pollers::start(
                &node,
                vec![
                    (Service::Native, native),
                    (Service::Http(Box::new(http)), web),
                ],
                idle.handle(),
                &stopper.stop(),
            )
            .unwrap(),
            node,
            _idle: idle,
            _stopper: stopper,
            _folder: folder,
        }
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn ask(n: usize) -> Vec<u8> {
    let builder = RequestBuilder {
        envelope: Envelope::new(Version::OURS, n as i32),
        flags: OpFlags::DEFAULT,
        expiration: u32::MAX / 2,
    };
    let none: [&str; 0] = [];
    builder.resolve(&name(n), &[], &none)
}

fn get(n: usize) -> Vec<u8> {
    let name = name(n);
    let agent = "a".repeat(80);
    format!("GET /api/handles/{name} HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\n\r\n")
        .into_bytes()
}

/// Reads the answer to `ask(n)`.
fn expect_record(stream: &mut TcpStream, n: usize) {
    let mut packet = vec![0; ENVELOPE_LEN];
    stream.read_exact(&mut packet).unwrap();
    let envelope = Envelope::decode(&mut Reader::new(&packet)).unwrap();
    packet.resize(ENVELOPE_LEN + envelope.message_len().unwrap(), 0);
    stream.read_exact(&mut packet[ENVELOPE_LEN..]).unwrap();
    let message = Message::decode(&packet).unwrap();
    assert_eq!(message.envelope.request_id, n as i32);
    assert_eq!(message.header.code, ResponseCode::SUCCESS);
}

/// Reads answers to `get` until there is one for each of `count` records, in their order.
fn expect_pages(stream: &mut TcpStream, count: usize) {
    expect_pages_of(stream, &(0..count).collect::<Vec<_>>());
}

/// The same for these records.
fn expect_pages_of(stream: &mut TcpStream, expected: &[usize]) {
    let mut text = String::new();
    let mut at = 0;
    for &n in expected {
        let wanted = format!("\"handle\":\"{}\"", name(n));
        let end = loop {
            let (before, rest) = match text[at..].split_once("]}") {
                Some((before, _)) => (before, at + before.len() + 2),
                None => {
                    let mut read = [0; 65_536];
                    let len = stream.read(&mut read).unwrap();
                    assert_ne!(len, 0, "closed before the answer for {n}");
                    text += std::str::from_utf8(&read[..len]).unwrap();
                    continue;
                }
            };
            assert!(before.contains("HTTP/1.1 200 OK"), "{n}: {before}");
            assert!(before.contains(&wanted), "{n}: {before}");
            break rest;
        };
        at = end;
    }
    assert_eq!(text.len(), at);
}

#[test]
fn record_on_the_disk_is_waited_for_and_the_connection_stays() {
    let place = Place::new(3);
    let mut native = connect(place.native);
    native.write_all(&ask(1)).unwrap();
    expect_record(&mut native, 1);
    for _ in 0..2 {
        place.node.expect_disk();
        native
            .write_all(&[ask(1), ask(0), ask(1)].concat())
            .unwrap();
        for n in [1, 0, 1] {
            expect_record(&mut native, n);
        }
    }
    let place = Place::new(3);
    let mut http = connect(place.http);
    for _ in 0..2 {
        place.node.expect_disk();
        http.write_all(&[get(0), get(1), get(2)].concat()).unwrap();
        expect_pages(&mut http, 3);
    }
}

#[test]
fn what_one_read_does_not_take_is_read_in_the_next_turn() {
    let place = Place::new(MANY);
    let mut native = connect(place.native);
    let mut http = connect(place.http);
    let questions: Vec<u8> = (0..MANY).flat_map(ask).collect();
    let requests: Vec<u8> = (0..MANY).flat_map(get).collect();
    assert!(questions.len() > READ_LEN && requests.len() > READ_LEN);
    std::thread::scope(|scope| {
        let (mut to_native, mut to_http) = (&native, &http);
        scope.spawn(move || to_native.write_all(&questions).unwrap());
        scope.spawn(move || to_http.write_all(&requests).unwrap());
        let mut native = native.try_clone().unwrap();
        scope.spawn(move || (0..MANY).for_each(|n| expect_record(&mut native, n)));
        expect_pages(&mut http.try_clone().unwrap(), MANY);
    });
    // And they are as before.
    native.write_all(&ask(7)).unwrap();
    expect_record(&mut native, 7);
    http.write_all(&get(0)).unwrap();
    expect_pages(&mut http, 1);
}

#[test]
fn peer_that_ends_behind_its_questions_is_answered_and_let_go() {
    let place = Place::new(2);
    for expects_disk in [false, true] {
        if expects_disk {
            place.node.expect_disk();
        }
        let mut native = connect(place.native);
        native.write_all(&[ask(0), ask(1)].concat()).unwrap();
        native.shutdown(Shutdown::Write).unwrap();
        expect_record(&mut native, 0);
        expect_record(&mut native, 1);
        assert_eq!(native.read(&mut [0]).unwrap(), 0);
    }
    let mut http = connect(place.http);
    http.write_all(&[get(0), get(1)].concat()).unwrap();
    http.shutdown(Shutdown::Write).unwrap();
    expect_pages(&mut http, 2);
    assert_eq!(http.read(&mut [0]).unwrap(), 0);
}

#[test]
fn connection_that_ends_while_its_record_is_read_leaves_the_others_alone() {
    let place = Place::new(64);
    for n in 0..64 {
        place.node.expect_disk();
        let mut gone = connect(place.native);
        gone.write_all(&ask(n)).unwrap();
        drop(gone);
        let mut stays = connect(place.native);
        stays.write_all(&ask(63 - n)).unwrap();
        expect_record(&mut stays, 63 - n);
    }
}

#[test]
fn connections_that_ask_singly_get_their_own_answers() {
    let count = 150;
    let place = Place::new(count);
    let mut all: Vec<TcpStream> = (0..count).map(|_| connect(place.native)).collect();
    for turn in 0..6 {
        // Of some turns, what was not asked for before has to be waited for.
        if turn % 2 == 1 {
            place.node.expect_disk();
        }
        let of = |n: usize| (n * 7 + turn * 13) % count;
        for (n, stream) in all.iter_mut().enumerate() {
            // One that asks for more than one thing has a turn of its own.
            let more = if n % 10 == turn { ask(n) } else { Vec::new() };
            stream.write_all(&[ask(of(n)), more].concat()).unwrap();
        }
        for (n, stream) in all.iter_mut().enumerate() {
            expect_record(stream, of(n));
            if n % 10 == turn {
                expect_record(stream, n);
            }
        }
    }
}

#[test]
fn connections_that_ask_singly_over_http_get_their_own_answers() {
    let count = 150;
    let place = Place::new(count);
    let mut native = connect(place.native);
    let mut all: Vec<TcpStream> = (0..count).map(|_| connect(place.http)).collect();
    for turn in 0..6 {
        // Of some turns, what was not asked for before has to be waited for.
        if turn % 2 == 1 {
            place.node.expect_disk();
        }
        let of = |n: usize| (n * 7 + turn * 13) % count;
        for (n, stream) in all.iter_mut().enumerate() {
            // One that asks for more than one thing has a turn of its own, and what is cut waits.
            let request = match n % 10 == turn {
                true => [get(of(n)), get(n)].concat(),
                false => get(of(n)),
            };
            let (front, rest) = request.split_at(request.len() - n % 3);
            stream.write_all(front).unwrap();
            native.write_all(&ask(n)).unwrap();
            stream.write_all(rest).unwrap();
        }
        for (n, stream) in all.iter_mut().enumerate() {
            let mut expected = vec![of(n)];
            expected.extend((n % 10 == turn).then_some(n));
            expect_pages_of(stream, &expected);
            expect_record(&mut native, n);
        }
    }
}

#[test]
fn question_in_two_pieces_is_answered_whoever_asks_in_between() {
    let place = Place::new(3);
    let mut one = connect(place.native);
    let mut other = connect(place.native);
    for stream in [&mut one, &mut other] {
        stream.write_all(&ask(0)).unwrap();
        expect_record(stream, 0);
    }
    let question = ask(1);
    for cut in 1..question.len() {
        one.write_all(&question[..cut]).unwrap();
        other.write_all(&ask(2)).unwrap();
        expect_record(&mut other, 2);
        one.write_all(&question[cut..]).unwrap();
        expect_record(&mut one, 1);
    }
}
