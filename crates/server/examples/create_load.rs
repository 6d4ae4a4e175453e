//! How fast an administrator creates records over the network: authenticated, each durable before
//! it is answered, beside the rate of the store by itself and of the disk.
//!
//! ```text
//! cargo run --release -p guantong-server --example create_load [-- SECONDS [PART]]
//! ```
//!
//! `PART` is one of `disk`, `store`, `creates` and `batches`; without it all are measured. The
//! folder for temporary files is on the disk that is measured.
//!
//! Node and clients share the machine. Each client has one connection and one session (6.6), in
//! which every message carries its code, and waits for each answer; so the number of clients is the
//! number of changes on their way.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that fails has no result"
)]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guantong_proto::crypto::challenge::answer_with_secret;
use guantong_proto::crypto::credential;
use guantong_proto::crypto::session::{
    Cipher, OAKLEY_GROUP_2, SessionKey, dh_public_key, dh_shared_secret,
};
use guantong_proto::data::key::Number;
use guantong_proto::data::{Admin, AdminPermissions, PublicKey, SecretKey};
use guantong_proto::message::{
    Body, Envelope, KeyExchange, Message, OpCode, OpFlags, Request, RequestBuilder, Response,
    SessionSetup, Version,
};
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, Permissions, Value, Values};
use guantong_server::config::Config;
use guantong_server::{Running, key, start};
use guantong_store::{Batch, Change, CreateOptions, Expect, Options, Origin, Store, Trail};
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error as TlsError, SignatureScheme,
    StreamOwned,
};

/// That of the binary, which is what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USER: &str = "88.118.5/admin";
/// Before the secret, as HTTP Basic has it.
const USER_NAME: &str = "300%3A88.118.5/admin:";
const SECRET: &[u8] = b"correct horse battery staple";
/// Creates of one batch.
const BATCH: usize = 500;
/// Octets of the data of each record, which is then about 300 octets long.
const DATA_LEN: usize = 250;

fn main() {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(5));
    let part = std::env::args().nth(2);
    let is_wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    let folder = tempfile::tempdir().unwrap();
    if is_wanted("disk") {
        for group in [1, 64] {
            let rate = syncs(&folder.path().join("sync"), group, time / 2);
            println!("disk: writes in groups of {group}, each group synced: {rate:.0}/s");
        }
    }
    let mut config = Config::ephemeral(folder.path().join("node"));
    std::fs::create_dir_all(folder.path().join("node")).unwrap();
    config.listen.worker_threads = 2;
    key::make(&config.site.key).unwrap();
    let create = CreateOptions {
        case_rule: CaseRule::Insensitive,
        id: [7; 16],
    };
    let store = Store::create(&config.data, &create, &Options::default()).unwrap();
    prepare(&store);
    if is_wanted("store") {
        measure_store(&store, time);
    }
    drop(store);
    let node = start(config).unwrap();
    if is_wanted("creates") {
        measure_creates(&node, time);
    }
    if is_wanted("batches") {
        measure_batches(&node, time);
    }
}

fn measure_store(store: &Store, time: Duration) {
    for threads in [1, 16, 64] {
        let rate = alone(store, threads, time);
        println!("store alone: {threads} at a time, single creates: {rate:.0}/s");
    }
    for threads in [1, 4] {
        let rate = BATCH as f64 * batches_alone(store, threads, time);
        println!("store alone: {threads} at a time, batches of {BATCH} creates: {rate:.0}/s");
    }
}

fn measure_creates(node: &Running, time: Duration) {
    let address = node.addresses().tcp[0];
    println!(
        "session set-up (Diffie-Hellman, 1024 bits): {:.0} us",
        setup_us(address)
    );
    println!("proof by secret key: {:.0} us", proof_us(address));
    for clients in [1, 16, 64] {
        let rate = over_network(node, clients, time);
        println!("authenticated creates: {clients} clients, one on its way each: {rate:.0}/s");
    }
}

fn measure_batches(node: &Running, time: Duration) {
    for clients in [1, 4] {
        for atomic in [true, false] {
            let rate = BATCH as f64 * batches_over_https(node, clients, atomic, time);
            let kind = if atomic { "atomic" } else { "change by change" };
            println!(
                "authenticated batches of {BATCH} over HTTPS, {kind}: {clients} clients: {rate:.0}/s"
            );
        }
    }
}

//----------- The machine ----------------------------------------------------

/// Writes of a record's length, of which `group` at a time are synced.
fn syncs(path: &Path, group: u64, time: Duration) -> f64 {
    let file = File::create(path).unwrap();
    let (mut count, begun) = (0, Instant::now());
    while begun.elapsed() < time {
        for _ in 0..group {
            file.write_all_at(&[7; 400], count * 400).unwrap();
            count += 1;
        }
        file.sync_data().unwrap();
    }
    count as f64 / begun.elapsed().as_secs_f64()
}

/// The rate of `threads` that each submit one create after the other.
fn alone(store: &Store, threads: usize, time: Duration) -> f64 {
    during(threads, time, |thread, count| {
        let handle = Handle::parse(&format!("88.118.5/alone-{threads}-{thread}-{count}")).unwrap();
        let change = Change::Put {
            handle,
            values: Writer::to_vec(|w| Values::encode(&record(), w)),
            expect: Expect::Absent,
        };
        store.submit(batch(vec![change])).wait().unwrap();
    })
}

/// The same with batches.
fn batches_alone(store: &Store, threads: usize, time: Duration) -> f64 {
    during(threads, time, |thread, count| {
        let change = |number: usize| Change::Put {
            handle: Handle::parse(&batch_name("alone", threads, thread, count, number)).unwrap(),
            values: Writer::to_vec(|w| Values::encode(&record(), w)),
            expect: Expect::Absent,
        };
        let changes = (0..BATCH).map(change).collect();
        store.submit(batch(changes)).wait().unwrap();
    })
}

fn batch_name(kind: &str, clients: usize, client: usize, count: u64, number: usize) -> String {
    format!("88.118.5/{kind}-batch-{clients}-{client}-{count}-{number}")
}

/// Calls `act` again and again on each of `threads`; calls per second.
fn during(threads: usize, time: Duration, act: impl Fn(usize, u64) + Sync) -> f64 {
    let (stop, total) = (AtomicBool::new(false), AtomicU64::new(0));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (stop, total, act) = (&stop, &total, &act);
            scope.spawn(move || {
                let mut count = 0;
                while !stop.load(Relaxed) {
                    act(thread, count);
                    count += 1;
                }
                total.fetch_add(count, Relaxed);
            });
        }
        std::thread::sleep(time);
        stop.store(true, Relaxed);
    });
    total.load(Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

//----------- Records --------------------------------------------------------

fn record() -> Vec<Value> {
    vec![Value::new(1, "URL", vec![b'x'; DATA_LEN])]
}

fn batch(changes: Vec<Change>) -> Batch {
    Batch {
        changes,
        at_ms: 1,
        origin: Origin::Operator,
        trail: Trail::default(),
    }
}

/// The prefix with its administrator.
fn prepare(store: &Store) {
    let admin = Admin::new(AdminPermissions::ALL, USER, 300).encode();
    let secret = Value {
        permissions: Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE),
        ..Value::new(300, "HS_SECKEY", SECRET)
    };
    let put = |name: &str, value: Value| Change::Put {
        handle: Handle::parse(name).unwrap(),
        values: Writer::to_vec(|w| Values::encode(&[value], w)),
        expect: Expect::Anything,
    };
    let changes = vec![
        Change::Home {
            prefix: Handle::of_prefix("88.118.5").unwrap(),
        },
        put(USER, secret),
        put("0.NA/88.118.5", Value::new(100, "HS_ADMIN", admin)),
    ];
    store.submit(batch(changes)).wait().unwrap();
}

//----------- Clients --------------------------------------------------------

fn over_network(node: &Running, clients: usize, time: Duration) -> f64 {
    let address = node.addresses().tcp[0];
    let sessions: Vec<_> = (0..clients).map(|_| Session::begin(address)).collect();
    let sessions: Arc<Vec<std::sync::Mutex<Session>>> =
        Arc::new(sessions.into_iter().map(std::sync::Mutex::new).collect());
    during(clients, time, |client, count| {
        let mut session = sessions[client].lock().unwrap();
        let name = format!("88.118.5/net-{clients}-{client}-{count}");
        let packet = builder(0).write(OpCode::CREATE, &name, &record());
        assert_eq!(session.ask(&packet), 1);
    })
}

fn setup_us(address: SocketAddr) -> f64 {
    let begun = Instant::now();
    for _ in 0..20 {
        Session::begin(address);
    }
    begun.elapsed().as_secs_f64() * 1e6 / 20.0
}

/// Of a challenge and its answer, outside of a session; the record is there already.
fn proof_us(address: SocketAddr) -> f64 {
    let mut session = Session::begin(address);
    let begun = Instant::now();
    for _ in 0..50 {
        let create = builder(0).write(OpCode::CREATE, USER, &record());
        assert_eq!(session.prove_outside(&create), 101);
    }
    begun.elapsed().as_secs_f64() * 1e6 / 50.0
}

/// Batches per second; each client keeps its connection.
fn batches_over_https(node: &Running, clients: usize, atomic: bool, time: Duration) -> f64 {
    let address = node.addresses().http[0];
    let connections: Vec<_> = (0..clients)
        .map(|_| std::sync::Mutex::new(secure(address)))
        .collect();
    let user = STANDARD.encode([USER_NAME.as_bytes(), SECRET].concat());
    let data = "x".repeat(DATA_LEN);
    during(clients, time, |client, count| {
        let kind = if atomic { "atomic" } else { "each" };
        let operation = |number| {
            let name = batch_name(kind, clients, client, count, number);
            format!(
                r#"{{"op":"create","handle":"{name}","values":[{{"index":1,"type":"URL","data":"{data}"}}]}}"#
            )
        };
        let operations: Vec<String> = (0..BATCH).map(operation).collect();
        let body = format!(
            r#"{{"atomic":{atomic},"operations":[{}]}}"#,
            operations.join(",")
        );
        let head = format!(
            "POST /api/batch HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {user}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut connection = connections[client].lock().unwrap();
        connection.write_all((head + &body).as_bytes()).unwrap();
        let answer = read_answer(&mut *connection);
        assert!(
            answer.contains(&format!("\"done\":{BATCH},")),
            "{answer:.400}"
        );
    })
}

/// An answer with `Content-Length`.
fn read_answer(stream: &mut impl Read) -> String {
    let (mut octets, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let len = stream.read(&mut chunk).unwrap();
        octets.extend_from_slice(&chunk[..len]);
        let text = String::from_utf8_lossy(&octets);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if body.len() >= length {
                return text.into_owned();
            }
        }
    }
}

/// A connection to a server whose certificate is not looked at.
fn secure(address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
    let config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(client, TcpStream::connect(address).unwrap())
}

/// Takes any certificate, as both ends are ours.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA256,
        ]
    }
}

/// A connection with a session in it.
struct Session {
    stream: TcpStream,
    id: i32,
    key: SessionKey,
    counter: i32,
}

impl Session {
    fn begin(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let (p, g) = (Number::new(&OAKLEY_GROUP_2), Number::new(&[2]));
        let x = Number::new(&[0x5a; 32]);
        let public = PublicKey::Dh(dh_public_key(&p, &g, &x).unwrap()).encode();
        let setup = Request::SessionSetup(SessionSetup {
            timeout: 600,
            identity: USER.as_bytes(),
            identity_index: 300,
            exchange: KeyExchange::DiffieHellman(&public),
            padding: &[0, 0],
        });
        let body = Writer::to_vec(|w| setup.encode(Version::OURS, w));
        let reply = exchange(
            &mut stream,
            &builder(0).packet(OpCode::SESSION_SETUP, &body),
        );
        let message = Message::decode(&reply).unwrap();
        let Body::Session { data, .. } = Response::of(&message).unwrap().body else {
            unreachable!("{message:?}")
        };
        let Ok(PublicKey::Dh(theirs)) = PublicKey::decode(&data[4..]) else {
            unreachable!("{data:?}")
        };
        let secret = dh_shared_secret(&theirs, &x).unwrap();
        Self {
            stream,
            id: message.envelope.session_id,
            key: SessionKey::derive(Cipher::Aes, &secret).unwrap(),
            counter: 0,
        }
    }

    /// The code of the reply; proves the identity when that is wanted, which is once.
    fn ask(&mut self, packet: &[u8]) -> i32 {
        let packet = self.wrap(packet);
        let reply = exchange(&mut self.stream, &packet);
        let code = Message::decode(&reply).unwrap().header.code.0;
        if code != 402 {
            return code;
        }
        let answer = self.wrap(&answer(&reply));
        let reply = exchange(&mut self.stream, &answer);
        Message::decode(&reply).unwrap().header.code.0
    }

    fn prove_outside(&mut self, packet: &[u8]) -> i32 {
        let challenge = exchange(&mut self.stream, packet);
        let reply = exchange(&mut self.stream, &answer(&challenge));
        Message::decode(&reply).unwrap().header.code.0
    }

    /// The packet with the id of the session and its code.
    fn wrap(&mut self, packet: &[u8]) -> Vec<u8> {
        self.counter += 1;
        let mut message = Message::decode(packet).unwrap();
        message.envelope.session_id = self.id;
        let code = credential::authenticate(&message, self.counter, self.key.as_bytes());
        message.credential = Some(&code);
        let mut out = Vec::new();
        message.encode(&mut out);
        out
    }
}

fn builder(session_id: i32) -> RequestBuilder {
    let mut envelope = Envelope::new(Version::OURS, 1);
    envelope.session_id = session_id;
    RequestBuilder {
        envelope,
        flags: OpFlags::DEFAULT,
        expiration: u32::MAX / 2,
    }
}

/// The answer to a challenge by secret key.
fn answer(challenge: &[u8]) -> Vec<u8> {
    let message = Message::decode(challenge).unwrap();
    let response = Response::of(&message).unwrap();
    let Body::Challenge { nonce } = response.body else {
        unreachable!("{response:?}")
    };
    let (secret, digest) = (SecretKey::new(SECRET), response.digest.unwrap());
    let signed = answer_with_secret(Version::OURS, &secret, nonce, digest.octets, &[3; 16]);
    let body = Writer::to_vec(|w| {
        w.bytes(b"HS_SECKEY");
        w.bytes(USER.as_bytes());
        w.i32(300);
        w.bytes(&signed);
    });
    builder(message.envelope.session_id).packet(OpCode::CHALLENGE_ANSWER, &body)
}

fn exchange(stream: &mut TcpStream, packet: &[u8]) -> Vec<u8> {
    stream.write_all(packet).unwrap();
    let mut reply = vec![0; 20];
    stream.read_exact(&mut reply).unwrap();
    let len = i32::from_be_bytes(reply[16..20].try_into().unwrap());
    reply.resize(20 + usize::try_from(len).unwrap(), 0);
    stream.read_exact(&mut reply[20..]).unwrap();
    reply
}
