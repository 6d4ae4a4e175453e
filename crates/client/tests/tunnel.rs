//! Questions through HTTP and HTTPS, to web servers that know the protocol and others.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail by panic"
)]
#![cfg(feature = "https")]

mod peer;

use std::sync::Arc;

use guantong_client::{Client, Error, Fault, Outcome, Server, Transport, Trust};
use guantong_proto::data::PublicKey;
use guantong_proto::message::ResponseCode;
use peer::{HANDLE, Script, fault, outcome, patient};
use rcgen::{CertifiedKey, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Reads one HTTP request; returns its head and body.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let (_, after) = head.split_once("content-length: ").unwrap();
    let len = after.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    reply: &(impl Fn(&[u8]) -> Vec<u8> + ?Sized),
) {
    let Some((head, body)) = read_request(&mut stream).await else {
        return;
    };
    assert!(head.starts_with("post /"), "{head}");
    for line in ["content-type", "accept"] {
        assert!(
            head.contains(&format!("{line}: application/x-hdl-message")),
            "{head}"
        );
    }
    // The client may have gone, which is what some tests are about.
    let _ = stream.write_all(&reply(&body)).await;
    let _ = stream.shutdown().await;
}

fn ok(kind: &str, body: &[u8]) -> Vec<u8> {
    let len = body.len();
    let mut reply =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n\r\n")
            .into_bytes();
    reply.extend_from_slice(body);
    reply
}

fn message(body: &[u8]) -> Vec<u8> {
    ok("application/x-hdl-message", body)
}

/// What the client makes of a web server that gives this reply.
async fn ask(reply: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Result<usize, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, &reply).await;
    });
    let answer = patient(&format!("http://{address}/hdl"))
        .resolve(HANDLE)
        .await?;
    assert_eq!(answer.transport(), Transport::Http);
    Ok(answer.values().len())
}

#[tokio::test]
async fn answer_comes_through_http() {
    let values = ask(|request| message(&Script::default().answer(request))).await;
    assert_eq!(values.unwrap(), 1);
    let refused =
        ask(|request| message(&Script::refusal(ResponseCode::HANDLE_NOT_FOUND).answer(request)));
    assert!(matches!(refused.await.unwrap_err(), Error::NotFound { .. }));
}

#[tokio::test]
async fn web_server_that_knows_no_handles_is_told_apart() {
    let status = ask(|_| b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    let fault_of = |result: Result<usize, Error>| fault(result.unwrap_err()).to_string();
    assert_eq!(
        fault_of(status),
        "HTTP: status 404 Not Found: it takes no native messages"
    );
    let page = ask(|_| ok("text/html", b"<html>")).await;
    assert_eq!(
        fault_of(page),
        "HTTP: the answer is not of type application/x-hdl-message"
    );
    let noise = ask(|_| b"220 mail server\r\n".to_vec()).await;
    assert!(fault_of(noise).starts_with("HTTP: "));
}

#[tokio::test]
async fn wrong_message_in_http_is_refused() {
    let foreign = Script {
        id_offset: 1,
        ..Script::default()
    };
    let error = ask(move |request| message(&foreign.answer(request)))
        .await
        .unwrap_err();
    assert!(matches!(fault(error), Fault::ForeignId(_)));
    let error = ask(|_| message(b"short")).await.unwrap_err();
    assert!(matches!(fault(error), Fault::Malformed(_)));
}

#[tokio::test]
async fn body_beyond_the_largest_message_is_not_read() {
    let error = ask(|_| message(&vec![0; 300_000])).await.unwrap_err();
    let text = fault(error).to_string();
    assert_eq!(text, "HTTP: the body cannot be read: length limit exceeded");
}

#[tokio::test]
async fn endless_head_is_refused() {
    let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
    head.extend(b"X-Padding: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n".repeat(100_000));
    let error = ask(move |_| head.clone()).await.unwrap_err();
    assert!(matches!(fault(error), Fault::Http(_)));
}

//----------- HTTPS ----------------------------------------------------------

/// A server with a certificate of its own, and that certificate.
async fn https() -> (String, CertifiedKey<KeyPair>) {
    let own = rcgen::generate_simple_self_signed(["anonymous".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that refuses the certificate goes away here.
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, &|request: &[u8]| {
                    message(&Script::default().answer(request))
                })
                .await;
            }
        }
    });
    (format!("https://{address}"), own)
}

/// The key in a certificate, as a record may hold it.
fn key_of(own: &CertifiedKey<KeyPair>) -> PublicKey {
    PublicKey::Pem(own.signing_key.public_key_pem())
}

async fn ask_securely(server: &str, trust: Trust) -> Result<(), Error> {
    let server: Server = server.parse().unwrap();
    let client = Client::builder(server).trust(trust).build();
    client.resolve(HANDLE).await.map(drop)
}

#[tokio::test]
async fn server_with_the_pinned_certificate_or_key_is_believed() {
    let (server, own) = https().await;
    let certificate = Trust::Certificate(own.cert.der().to_vec());
    ask_securely(&server, certificate).await.unwrap();
    let key = Trust::Key(key_of(&own));
    ask_securely(&server, key).await.unwrap();
    ask_securely(&server, Trust::Anybody).await.unwrap();
}

#[tokio::test]
async fn server_with_another_certificate_or_key_is_not() {
    let (server, _) = https().await;
    let (_, other) = https().await;
    let pins = [
        Trust::Certificate(other.cert.der().to_vec()),
        Trust::Key(key_of(&other)),
    ];
    for trust in pins {
        let error = ask_securely(&server, trust).await.unwrap_err();
        assert!(matches!(error, Error::Misbehaved { .. }));
        let text = fault(error).to_string();
        assert!(text.contains("another key or certificate"), "{text}");
    }
}

#[tokio::test]
async fn without_a_pin_https_is_not_used() {
    let (server, _) = https().await;
    let error = ask_securely(&server, Trust::Nobody).await.unwrap_err();
    assert!(matches!(outcome(error), Outcome::Unusable(_)));
}
