//! Which answers a thread gives that does not wait for the disk.

use std::net::UdpSocket;
use std::time::Duration;

use guantong_proto::message::{Message, OpFlags, RequestBuilder, Version};
use guantong_proto::{Handle, Value, Values};
use guantong_store::{Batch, Change, Expect, Origin, Trail};

use super::*;
use crate::config;
use crate::init::{InitOptions, init};
use crate::listen::udp::Udp;

/// Two records that nobody has read yet.
const NAMES: [&str; 2] = ["88.118.5/one", "88.118.5/two"];

struct Place {
    node: Arc<Node>,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("node");
        let options = InitOptions {
            prefix: Some("88.118.5".to_owned()),
            ..InitOptions::default()
        };
        init(&dir, &options).unwrap();
        let node = Node::open(config::load(&dir).unwrap()).unwrap();
        let put = |name| Change::Put {
            handle: Handle::parse(name).unwrap(),
            values: Writer::to_vec(|w| Values::encode(&[Value::new(1, "TEXT", "one")], w)),
            expect: Expect::Anything,
        };
        let batch = Batch {
            changes: NAMES.map(put).into(),
            at_ms: 0,
            origin: Origin::Operator,
            trail: Trail::default(),
        };
        node.store.submit(batch).wait().unwrap();
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

    /// As after a read that took long.
    fn expect_disk(&self) {
        let pause = || std::thread::sleep(Duration::from_millis(5));
        self.node.pace.time(pause);
    }
}

fn via() -> Via {
    Via {
        transport: Transport::Udp,
        peer: ([127, 0, 0, 1], 9).into(),
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
    place.expect_disk();
    // The first is hot by now, and answered whatever the disk does.
    assert_eq!(place.at_hand(NAMES[0]), Ok(ResponseCode::SUCCESS));
    assert_eq!(place.at_hand(NAMES[1]), Err(OnDisk));
    assert_eq!(place.at_hand("88.118.5/none"), Err(OnDisk));
}

#[test]
fn answer_that_waits_for_no_record_is_given_whatever_the_disk_does() {
    let place = Place::new();
    place.expect_disk();
    let elsewhere = place.at_hand("99.9/elsewhere");
    assert_eq!(elsewhere, Ok(ResponseCode::SERVER_NOT_RESPONSIBLE));
}

#[test]
fn thread_that_may_wait_answers_what_was_left_to_it() {
    let place = Place::new();
    place.expect_disk();
    assert_eq!(place.at_hand(NAMES[1]), Err(OnDisk));
    let mut out = Vec::new();
    let wait = place.node.answer(&ask(NAMES[1], 1), via(), &mut out);
    assert!(wait.is_none());
    let code = Message::decode(&out).unwrap().header.code;
    assert_eq!(code, ResponseCode::SUCCESS);
}

#[test]
fn datagrams_whose_records_are_on_the_disk_are_all_answered() {
    let place = Place::new();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    let sockets = Udp::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
    let address = sockets[0].local_addr().unwrap();
    let udp = Udp::start(&place.node, sockets, runtime.handle()).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(address).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    place.expect_disk();
    let names = [NAMES[0], NAMES[1], "88.118.5/none"];
    for (name, id) in names.into_iter().zip(1..) {
        client.send(&ask(name, id)).unwrap();
    }
    let mut found = [ResponseCode(0); 3];
    for _ in names {
        let mut packet = [0; 2_048];
        let len = client.recv(&mut packet).unwrap();
        let message = Message::decode(&packet[..len]).unwrap();
        found[message.envelope.request_id as usize - 1] = message.header.code;
    }
    let (here, none) = (ResponseCode::SUCCESS, ResponseCode::HANDLE_NOT_FOUND);
    assert_eq!(found, [here, here, none]);
    udp.stop();
}
