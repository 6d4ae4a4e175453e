//! Attacks over real sockets: floods of half-open proofs and sessions, keys in the wrong place, and
//! every way to ask for a secret. What one exchange does is tested elsewhere; here it is that many
//! of them stay bounded, are told once, and cost others nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use std::io;
use std::sync::{Arc, Mutex, Once};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use guantong_proto::crypto::Hash;
use guantong_proto::crypto::session::{OAKLEY_GROUP_2, dh_public_key};
use guantong_proto::data::PublicKey;
use guantong_proto::data::key::Number;
use guantong_proto::message::{
    KeyExchange, Message, OpCode, OpFlags, Request, ResponseCode, SessionSetup, Version,
};
use guantong_proto::wire::Writer;
use guantong_proto::{Permissions, Value};
use guantong_server::Running;
use guantong_server::key::ServerKey;
use guantong_server::metrics::Drop as Dropped;
use tracing_subscriber::filter::LevelFilter;

use support::admin::{
    SECRET, USER, admin_value, administered, answer, builder, code_of, dump, node, prove,
    secret_value, write_request,
};
use support::{Place, Tcp, Udp, put_values, value};

/// Half-open exchanges of a flood.
const FLOOD: usize = 100_000;
/// Requests on their way at a time.
const WINDOW: usize = 32;

//----------- Log ------------------------------------------------------------

/// What all nodes of this process have logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// How many lines have `words`.
    fn lines_with(&self, words: &str) -> usize {
        self.text()
            .lines()
            .filter(|line| line.contains(words))
            .count()
    }
}

/// Everything that is logged from now on, down to the finest.
fn log() -> Log {
    static LOG: Mutex<Option<Log>> = Mutex::new(None);
    static SET: Once = Once::new();
    let log = LOG.lock().unwrap().get_or_insert_default().clone();
    SET.call_once(|| {
        let log = log.clone();
        tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(move || log.clone())
            .init();
    });
    log
}

//----------- Floods ---------------------------------------------------------

#[test]
fn challenges_that_nobody_answers_are_bounded_told_once_and_cost_others_nothing() {
    let log = log();
    let mut place = Place::new();
    let node = administered(&mut place);
    let udp = Udp::to(node.addresses().udp[0]);
    let request = dump(1);
    for _ in 0..FLOOD / WINDOW {
        (0..WINDOW).for_each(|_| udp.send(&request));
        for _ in 0..WINDOW {
            assert_eq!(code_of(&udp.receive()), 402);
        }
    }
    let dropped = node.node().metrics.drops(Dropped::Challenge);
    assert!(
        dropped > FLOOD as u64 * 9 / 10,
        "only {dropped} of {FLOOD} challenges were forgotten"
    );
    assert_eq!(log.lines_with("more challenges are open"), 1);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let create = write_request(OpCode::CREATE, "88.118.5/after", &[value(1, "URL", "x")]);
    assert_eq!(code_of(&prove(&mut tcp, &create)), 1);
}

fn setup() -> Vec<u8> {
    let (p, g) = (Number::new(&OAKLEY_GROUP_2), Number::new(&[2]));
    let public = dh_public_key(&p, &g, &Number::new(&[0x5a; 32])).unwrap();
    let request = Request::SessionSetup(SessionSetup {
        timeout: 600,
        identity: USER.as_bytes(),
        identity_index: 300,
        exchange: KeyExchange::DiffieHellman(&PublicKey::Dh(public).encode()),
        padding: &[0, 0],
    });
    let body = Writer::to_vec(|w| request.encode(Version::OURS, w));
    builder(0, 1).packet(OpCode::SESSION_SETUP, &body)
}

#[test]
fn sessions_that_nobody_uses_are_refused_told_once_and_cost_others_nothing() {
    let log = log();
    let mut place = Place::new();
    place.config.limits.trusted.clear();
    place.config.limits.requests_per_second_per_address = 0;
    let node = administered(&mut place);
    let mut flood = Tcp::to(node.addresses().tcp[0]);
    let window = setup().repeat(WINDOW);
    let (mut opened, mut refused) = (0, 0);
    for _ in 0..FLOOD / WINDOW {
        flood.send(&window);
        for _ in 0..WINDOW {
            match code_of(&flood.receive()) {
                1 => opened += 1,
                code => {
                    assert_eq!(code, ResponseCode::SERVER_TOO_BUSY.0);
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > FLOOD * 8 / 10, "{opened} were opened");
    assert!(opened > 0, "nobody can begin a session");
    assert!(node.node().metrics.drops(Dropped::Session) >= refused as u64);
    assert_eq!(log.lines_with("more sessions are begun"), 1);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let create = write_request(OpCode::CREATE, "88.118.5/after", &[value(1, "URL", "x")]);
    assert_eq!(code_of(&prove(&mut tcp, &create)), 1);
}

//----------- Keys in the wrong place ----------------------------------------

/// Everybody knows a public key: were its octets taken for a secret, everybody could sign.
#[test]
fn octets_of_a_public_key_are_no_secret() {
    let mut place = Place::new();
    let node = administered(&mut place);
    let public = ServerKey::load(&place.config.site.key)
        .unwrap()
        .public()
        .encode();
    let public_value = value(300, "HS_PUBKEY", public.clone());
    put_values(&node, USER, &[public_value]);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let request = write_request(OpCode::CREATE, "88.118.5/x", &[value(1, "URL", "x")]);
    tcp.send(&request);
    let challenge = tcp.receive();
    let packet = support::admin::answer_with(&challenge, 300, &public, 2);
    tcp.send(&packet);
    assert_eq!(code_of(&tcp.receive()), 403);
}

//----------- Secrets --------------------------------------------------------

const LEAKY: &str = "88.118.5/leaky";
const NOBODYS: &str = "nobody may ever read these words";

/// A secret under permissions that would let everybody read it, and a value that nobody may read.
fn with_secrets(place: &mut Place) -> Running {
    let node = administered(place);
    let open = Value {
        permissions: Permissions(0x0f),
        ..secret_value(300)
    };
    let nobodys = Value {
        permissions: Permissions(0),
        ..value(2, "NOTE", NOBODYS)
    };
    put_values(&node, LEAKY, &[admin_value(), open, nobodys]);
    node
}

/// What would give a secret away: itself, and everything from which it could be looked up.
fn traces(secret: &str) -> Vec<Vec<u8>> {
    let hex = |octets: &[u8]| {
        let text = octets.iter().map(|octet| format!("{octet:02x}"));
        text.collect::<String>()
    };
    let mut forms = vec![secret.as_bytes().to_vec()];
    for hash in [Hash::Md5, Hash::Sha1, Hash::Sha256] {
        forms.push(hash.digest(&[secret.as_bytes()]));
    }
    let texts = forms.iter().flat_map(|form| {
        let base64 = [STANDARD.encode(form), URL_SAFE_NO_PAD.encode(form)];
        let hex = [hex(form), hex(form).to_uppercase()];
        base64.into_iter().chain(hex).map(String::into_bytes)
    });
    texts.chain(forms.clone()).collect()
}

#[track_caller]
fn assert_secret(octets: &[u8], what: &str) {
    for secret in [SECRET, NOBODYS] {
        for trace in traces(secret) {
            let found = octets.windows(trace.len()).any(|part| part == trace);
            assert!(!found, "{what}: {}", String::from_utf8_lossy(octets));
        }
    }
}

#[test]
fn secrets_come_out_by_no_question_whoever_asks_and_are_not_logged() {
    let log = log();
    let mut place = Place::new();
    let node = with_secrets(&mut place);
    let udp = Udp::to(node.addresses().udp[0]);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let open = OpFlags::DEFAULT.without(OpFlags::PUBLIC_ONLY);
    let flags = [
        OpFlags::DEFAULT,
        open,
        open.with(OpFlags::AUTHORITATIVE).with(OpFlags::CERTIFIED),
        open.with(OpFlags::RECURSIVE),
    ];
    let types: [&[&str]; 5] = [&[], &["HS_SECKEY"], &["HS_SECKEY."], &["HS_."], &["NOTE"]];
    let mut asked = 0;
    for name in [LEAKY, USER] {
        for flags in flags {
            for types in types {
                for indexes in [&[][..], &[300], &[2, 300, 301]] {
                    let mut builder = builder(0, 5);
                    builder.flags = flags;
                    let request = builder.resolve(name, indexes, types);
                    udp.send(&request);
                    assert_secret(&udp.receive(), "by UDP");
                    tcp.send(&request);
                    let reply = tcp.receive();
                    assert_secret(&reply, "by TCP");
                    if Message::decode(&reply).unwrap().header.code.0 == 402 {
                        tcp.send(&answer(&reply, 300, SECRET, 6));
                        assert_secret(&tcp.receive(), "to an administrator");
                    }
                    asked += 1;
                }
            }
        }
    }
    assert_eq!(asked, 2 * 4 * 5 * 3);
    assert_secret(log.text().as_bytes(), "in the log");
}

/// An administrator may replace a secret; that must not tell him what it was.
#[test]
fn changes_of_a_record_say_nothing_of_its_secrets() {
    let mut place = Place::new();
    let node = with_secrets(&mut place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    let guess = |secret: &str| Value {
        data: secret.into(),
        ..secret_value(300)
    };
    let mut replies = Vec::new();
    for secret in ["wrong", SECRET] {
        let modify = write_request(OpCode::MODIFY_VALUE, LEAKY, &[guess(secret)]);
        let reply = prove(&mut tcp, &modify);
        assert_secret(&reply, "of a change");
        let add = write_request(OpCode::ADD_VALUE, LEAKY, &[guess(secret)]);
        let reply_to_add = prove(&mut tcp, &add);
        assert_secret(&reply_to_add, "of an addition");
        replies.push((code_of(&reply), code_of(&reply_to_add)));
    }
    assert_eq!(replies[0], replies[1]);
}

/// Replication carries secrets, and therefore never goes out in clear.
#[test]
fn copy_of_all_records_is_not_sent_in_clear() {
    let mut place = Place::new();
    let node = node(&mut place);
    let mut tcp = Tcp::to(node.addresses().tcp[0]);
    tcp.send(&dump(1));
    let challenge = tcp.receive();
    tcp.send(&answer(&challenge, 300, SECRET, 2));
    assert_eq!(code_of(&tcp.receive()), 1);
    // A client of TLS would greet; whoever only listens gets what is not worth listening to.
    tcp.0.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    let _ = io::Read::read_to_end(&mut tcp.0, &mut rest);
    assert_secret(&rest, "in the stream");
}
