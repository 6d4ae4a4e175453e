//! HTTP and HTTPS on one port: what belongs to the listener, not to the routes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use guantong_proto::{Permissions, Value};
use guantong_server::config::Span;
use guantong_server::listen::http::{HEADERS_MAX, STREAMS_MAX};
use guantong_server::metrics::Drop as Dropped;
use support::tls::{Anything, secure};
use support::{PATIENCE, Place, Tcp, eventually, expect_drop, put_values, value};
use tokio_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned};

fn get(stream: &mut (impl Read + Write), path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A TLS peer may close without ceremony once everything has been said.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn connect(address: SocketAddr) -> TcpStream {
    Tcp::to(address).0
}

fn secure_with(
    config: ClientConfig,
    address: SocketAddr,
) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(client, connect(address))
}

#[test]
fn one_port_takes_http_and_https() {
    let place = Place::new();
    let node = place.start();
    let address = node.addresses().http[0];
    assert!(get(&mut connect(address), "/live").starts_with("HTTP/1.1 200 "));
    assert!(get(&mut secure(address), "/ready").starts_with("HTTP/1.1 200 "));
    // The certificate made at the first start is kept for the next one.
    let certificate = place.dir.path().join("certificate.pem");
    let first = std::fs::read(&certificate).unwrap();
    node.stop();
    place.start().stop();
    assert_eq!(std::fs::read(&certificate).unwrap(), first);
}

/// The subject of the certificate names nobody, so the answer to somebody who shows it says so.
#[test]
fn client_is_asked_for_a_certificate_where_that_is_set() {
    let pair = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    let chain = vec![params.self_signed(&pair).unwrap().der().clone()];
    let read = |is_asked: bool| {
        let mut place = Place::new();
        place.config.http.client_certificates = is_asked;
        let node = place.start();
        let hidden = Value {
            permissions: Permissions(Permissions::ADMIN_READ),
            ..value(1, "URL", "x")
        };
        put_values(&node, "88.118.5/x", &[hidden]);
        let address = node.addresses().http[0];
        let builder = ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anything));
        let secret = PrivatePkcs8KeyDer::from(pair.serialize_der());
        let config = builder.with_client_auth_cert(chain.clone(), secret.into());
        let path = "/api/handles/88.118.5/x?index=1";
        let plain = get(&mut secure(address), path);
        (get(&mut secure_with(config.unwrap(), address), path), plain)
    };
    let (shown, plain) = read(true);
    assert!(
        shown.contains("write the index of the key in front"),
        "{shown}"
    );
    assert!(!plain.contains("write the index"), "{plain}");
    let (unasked, plain) = read(false);
    assert!(!unasked.contains("write the index"), "{unasked}");
    assert!(!plain.contains("write the index"), "{plain}");
}

#[test]
fn figures_are_at_the_console_address() {
    let place = Place::new();
    let node = place.start();
    let text = get(&mut connect(node.addresses().console.unwrap()), "/metrics");
    assert!(text.contains("guantong_store_records 0"), "{text}");
    assert!(text.contains("guantong_homed_prefixes 1"), "{text}");
    assert!(text.contains("\nguantong_build_info{"), "{text}");
    let expiry = "guantong_tls_certificate_expiry_timestamp_seconds ";
    let (_, after) = text.split_once(&format!("\n{expiry}")).unwrap();
    let expiry: u64 = after.lines().next().unwrap().parse().unwrap();
    assert!(expiry > node.node().now_ms() / 1_000);
}

#[test]
fn connection_that_says_nothing_is_given_up() {
    let mut place = Place::new();
    place.config.limits.message_timeout = Span(50);
    let node = place.start();
    Tcp::to(node.addresses().http[0]).expect_close();
    expect_drop(&node, Dropped::Idle);
    // Half a head, and a handshake that goes no further.
    let mut half = Tcp::to(node.addresses().http[0]);
    half.send(b"GET / HT");
    let mut rest = String::new();
    half.0.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains(" 200 "), "{rest}");
    let mut tls = Tcp::to(node.addresses().http[0]);
    tls.send(&[0x16, 3, 1]);
    tls.expect_close();
    expect_drop(&node, Dropped::Slow);
}

#[test]
fn handshake_that_is_none_is_counted() {
    let place = Place::new();
    let node = place.start();
    let mut tcp = Tcp::to(node.addresses().http[0]);
    tcp.send(&[0x16; 200]);
    let mut alert = Vec::new();
    let _ = tcp.0.read_to_end(&mut alert);
    expect_drop(&node, Dropped::TlsFailed);
}

#[test]
fn head_above_the_limit_is_refused() {
    let place = Place::new();
    let node = place.start();
    let path = format!("/{}", "x".repeat(64 * 1024));
    let answer = get(&mut connect(node.addresses().http[0]), &path);
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[test]
fn lines_of_a_head_are_limited() {
    let place = Place::new();
    let node = place.start();
    let answer = |lines: usize| {
        let mut stream = connect(node.addresses().http[0]);
        // The lines `Host` and `Connection` are among them.
        let more = "X: y\r\n".repeat(lines - 2);
        let head =
            format!("GET /live HTTP/1.1\r\n{more}Host: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let whole = answer(HEADERS_MAX);
    assert!(whole.starts_with("HTTP/1.1 200 "), "{whole}");
    let refused = answer(HEADERS_MAX + 1);
    assert!(refused.starts_with("HTTP/1.1 431 "), "{refused}");
}

/// A frame of HTTP/2 (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&len[1..], &[kind, flags], &stream.to_be_bytes()];
    [&head.concat()[..], payload].concat()
}

#[test]
fn streams_of_a_connection_are_limited() {
    const HEADERS: u8 = 1;
    const RESET: u8 = 3;
    const SETTINGS: u8 = 4;
    const END_HEADERS: u8 = 4;
    const REFUSED: [u8; 4] = [0, 0, 0, 7];
    let place = Place::new();
    let node = place.start();
    let mut stream = connect(node.addresses().http[0]);
    let mut said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    said.extend(frame(SETTINGS, 0, 0, &[]));
    // POST http://localhost/ by the static table of HPACK; the bodies never come.
    let head = [&[0x83, 0x86, 0x84, 0x41, 9][..], b"localhost"].concat();
    let numbers = (0..=STREAMS_MAX).map(|n| 2 * n + 1);
    let last = numbers.clone().next_back().unwrap();
    said.extend(numbers.flat_map(|number| frame(HEADERS, END_HEADERS, number, &head)));
    stream.write_all(&said).unwrap();
    let refused = loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).unwrap();
        if head[3] == RESET {
            break (u32::from_be_bytes(head[5..].try_into().unwrap()), payload);
        }
    };
    assert_eq!(refused, (last, REFUSED.to_vec()));
}

#[test]
fn native_and_http_connections_share_their_limit() {
    let mut place = Place::new();
    place.config.limits.connections_per_address = 1;
    let node = place.start();
    let _held = Tcp::to(node.addresses().tcp[0]);
    eventually(|| (node.node().connections.open() > 0).then_some(()));
    let mut stream = TcpStream::connect(node.addresses().http[0]).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(b"GET /live HTTP/1.1\r\n\r\n");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty());
    expect_drop(&node, Dropped::AddressFull);
}

#[test]
fn address_that_asks_too_fast_is_told_to_wait() {
    let mut place = Place::new();
    place.config.limits.trusted.clear();
    place.config.limits.requests_per_second_per_address = 1;
    let node = place.start();
    let mut answers = Vec::new();
    // A slow machine may earn a request now and then; it cannot earn every one.
    while !answers
        .iter()
        .any(|answer: &String| answer.starts_with("HTTP/1.1 503 "))
    {
        answers.push(get(&mut connect(node.addresses().http[0]), "/live"));
    }
    let refused = answers.pop().unwrap();
    assert!(refused.contains("retry-after: 1"), "{refused}");
    assert!(refused.contains("\"responseCode\":3"), "{refused}");
    assert!(
        answers
            .iter()
            .all(|answer| answer.starts_with("HTTP/1.1 200 "))
    );
    let console = node.addresses().console.unwrap();
    assert!(get(&mut connect(console), "/live").starts_with("HTTP/1.1 200 "));
}
