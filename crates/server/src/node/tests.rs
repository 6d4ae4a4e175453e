//! Which answers a thread gives that does not wait for the disk.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use guantong_proto::message::{Message, OpFlags, RequestBuilder, Version};
use guantong_proto::{Handle, Value, Values};
use guantong_store::{Batch, Change, Expect, Origin, Trail};

use super::*;
use crate::init::{InitOptions, init};

/// Two records that nobody has read yet.
const NAMES: [&str; 2] = ["88.118.5/one", "88.118.5/two"];

/// How long a test waits for what never comes. It decides nothing else.
const PATIENCE: Duration = Duration::from_secs(60);

/// A new node in a folder, with any free port everywhere.
fn config(folder: &Path) -> Config {
    let options = InitOptions {
        prefix: Some("88.118.5".to_owned()),
        ..InitOptions::default()
    };
    init(folder, &options).unwrap();
    let mut config = crate::config::load(folder).unwrap();
    config.listen = Config::ephemeral(folder).listen;
    config
}

fn put_all(node: &Node) {
    put(node, NAMES.map(|name| (name, "one")));
}

fn put<'a>(node: &Node, records: impl IntoIterator<Item = (&'a str, &'a str)>) {
    let put = |(name, data)| Change::Put {
        handle: Handle::parse(name).unwrap(),
        values: Writer::to_vec(|w| Values::encode(&[Value::new(1, "TEXT", data)], w)),
        expect: Expect::Anything,
    };
    let batch = Batch {
        changes: records.into_iter().map(put).collect(),
        at_ms: 0,
        origin: Origin::Operator,
        trail: Trail::default(),
    };
    node.store.submit(batch).wait().unwrap();
}

struct Place {
    node: Arc<Node>,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Node::open(config(&folder.path().join("node"))).unwrap();
        put_all(&node);
        Self {
            node,
            _folder: folder,
        }
    }

    /// Answers without waiting for the disk: what was said, or that it would have to be read.
    fn at_hand(&self, name: &str) -> Result<ResponseCode, OnDisk> {
        let mut out = b"in front".to_vec();
        let (site, via) = (self.node.site(), via());
        let mut scratch = Scratch::default();
        let packet = ask(name, 1);
        let answered = self
            .node
            .answer_at_hand(&site, 0, &packet, via, &mut scratch, &mut out);
        match answered {
            Ok(wait) => assert!(wait.is_none()),
            Err(OnDisk) => {
                assert_eq!(out, b"in front");
                return Err(OnDisk);
            }
        }
        Ok(Message::decode(&out[8..]).unwrap().header.code)
    }
}

fn via() -> Via {
    Via {
        transport: Transport::Udp,
        peer: ([127, 0, 0, 1], 9).into(),
        by_console: false,
    }
}

fn ask(name: &str, id: i32) -> Vec<u8> {
    let builder = RequestBuilder {
        envelope: Envelope::new(Version::OURS, id),
        flags: OpFlags::DEFAULT,
        expiration: u32::MAX / 2,
    };
    let none: [&str; 0] = [];
    builder.resolve(name, &[], &none)
}

#[test]
fn record_that_is_not_hot_is_left_to_others_after_a_slow_read() {
    let place = Place::new();
    assert_eq!(place.at_hand(NAMES[0]), Ok(ResponseCode::SUCCESS));
    place.node.expect_disk();
    // The first is hot by now, and answered whatever the disk does.
    assert_eq!(place.at_hand(NAMES[0]), Ok(ResponseCode::SUCCESS));
    assert_eq!(place.at_hand(NAMES[1]), Err(OnDisk));
    assert_eq!(place.at_hand("88.118.5/none"), Err(OnDisk));
}

#[test]
fn record_that_is_not_hot_is_left_to_others_beside_many_changes() {
    let place = Place::new();
    assert_eq!(place.at_hand(NAMES[0]), Ok(ResponseCode::SUCCESS));
    let many: Vec<String> = (0..2_000).map(|n| format!("88.118.5/many-{n}")).collect();
    put(&place.node, many.iter().map(|name| (name.as_str(), "x")));
    assert_eq!(place.at_hand(NAMES[0]), Ok(ResponseCode::SUCCESS));
    assert_eq!(place.at_hand(NAMES[1]), Err(OnDisk));
}

#[test]
fn answer_that_waits_for_no_record_is_given_whatever_the_disk_does() {
    let place = Place::new();
    place.node.expect_disk();
    let elsewhere = place.at_hand("99.9/elsewhere");
    assert_eq!(elsewhere, Ok(ResponseCode::SERVER_NOT_RESPONSIBLE));
}

#[test]
fn thread_that_may_wait_answers_what_was_left_to_it() {
    let place = Place::new();
    place.node.expect_disk();
    assert_eq!(place.at_hand(NAMES[1]), Err(OnDisk));
    let mut out = Vec::new();
    let wait = place.node.answer(&ask(NAMES[1], 1), via(), &mut out);
    assert!(wait.is_none());
    let code = Message::decode(&out).unwrap().header.code;
    assert_eq!(code, ResponseCode::SUCCESS);
}

#[test]
fn requests_whose_records_are_on_the_disk_are_all_answered() {
    let folder = tempfile::tempdir().unwrap();
    let running = crate::running::start(config(&folder.path().join("node"))).unwrap();
    let node = running.node();
    put_all(node);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.connect(running.addresses().udp[0]).unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut tcp = TcpStream::connect(running.addresses().tcp[0]).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let names = [NAMES[0], NAMES[1], "88.118.5/none"];
    let expected = [
        ResponseCode::SUCCESS,
        ResponseCode::SUCCESS,
        ResponseCode::HANDLE_NOT_FOUND,
    ];

    node.expect_disk();
    let packets: Vec<_> = names
        .into_iter()
        .zip(0..)
        .map(|(name, id)| ask(name, id))
        .collect();
    tcp.write_all(&packets.concat()).unwrap();
    for (code, id) in expected.into_iter().zip(0..) {
        let mut packet = vec![0; ENVELOPE_LEN];
        tcp.read_exact(&mut packet).unwrap();
        let envelope = Envelope::decode(&mut Reader::new(&packet)).unwrap();
        packet.resize(ENVELOPE_LEN + envelope.message_len().unwrap(), 0);
        tcp.read_exact(&mut packet[ENVELOPE_LEN..]).unwrap();
        let message = Message::decode(&packet).unwrap();
        // On a connection they come in the order of the questions.
        assert_eq!(
            (message.envelope.request_id, message.header.code),
            (id, code)
        );
    }

    node.expect_disk();
    for packet in &packets {
        udp.send(packet).unwrap();
    }
    let mut found = [ResponseCode(0); 3];
    for _ in names {
        let mut packet = [0; 2_048];
        let len = udp.recv(&mut packet).unwrap();
        let message = Message::decode(&packet[..len]).unwrap();
        found[message.envelope.request_id as usize] = message.header.code;
    }
    assert_eq!(found, expected);
    running.stop();
}

#[test]
fn each_of_several_clients_gets_the_answers_to_its_own_questions_from_the_disk() {
    // More than there are readers, so that they take several at once and send them together.
    const CLIENTS: i32 = 4;
    const QUESTIONS: i32 = 40;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder.path().join("node"));
    config.limits.udp_response_max = 512;
    let running = crate::running::start(config).unwrap();
    put(
        running.node(),
        [("88.118.5/long", "n".repeat(600).as_str())],
    );
    let client = |_| {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.connect(running.addresses().udp[0]).unwrap();
        udp.set_read_timeout(Some(PATIENCE)).unwrap();
        udp
    };
    let clients: Vec<_> = (0..CLIENTS).map(client).collect();
    // There is no record of most, so they are never hot.
    let name = |id: i32| match id % 10 {
        0 => "88.118.5/long".to_owned(),
        _ => format!("88.118.5/none-{id}"),
    };
    running.node().expect_disk();
    for id in 0..QUESTIONS {
        for (udp, first) in clients.iter().zip((0..).step_by(1_000)) {
            udp.send(&ask(&name(id), first + id)).unwrap();
        }
    }
    for (udp, first) in clients.iter().zip((0..).step_by(1_000)) {
        let mut answered: Vec<_> = (0..QUESTIONS).map(|_| receive(udp)).collect();
        answered.sort_unstable_by_key(|&(id, _)| id);
        let code = |id: i32| match id % 10 {
            0 => ResponseCode::ERROR,
            _ => ResponseCode::HANDLE_NOT_FOUND,
        };
        let expected: Vec<_> = (0..QUESTIONS).map(|id| (first + id, code(id))).collect();
        assert_eq!(answered, expected);
    }
    running.stop();
}

/// The id and the code of the next answer.
fn receive(udp: &UdpSocket) -> (i32, ResponseCode) {
    let mut packet = [0; 2_048];
    let len = udp.recv(&mut packet).unwrap();
    let message = Message::decode(&packet[..len]).unwrap();
    (message.envelope.request_id, message.header.code)
}
