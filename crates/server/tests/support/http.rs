//! Requests over HTTPS.

use std::io::{Read, Write};
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use super::tls::secure;

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Sends JSON, or nothing for `null`, as an administrator with a secret key.
pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    who: Option<(&str, &str)>,
    body: &Json,
) -> Answer {
    let body = match body {
        Json::Null => String::new(),
        body => body.to_string(),
    };
    send(
        address,
        method,
        path,
        who,
        "application/json",
        body.as_bytes(),
    )
}

/// Sends octets of a type.
pub(crate) fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    who: Option<(&str, &str)>,
    kind: &str,
    body: &[u8],
) -> Answer {
    let mut stream = secure(address);
    let credential = who.map_or(String::new(), |(user, secret)| {
        let name = format!("300%3A{}", user.replace('/', "%2F"));
        let pair = STANDARD.encode(format!("{name}:{secret}"));
        format!("Authorization: Basic {pair}\r\n")
    });
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{credential}\
         Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    // A TLS peer may close without ceremony once everything has been said.
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|at| at == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_off(end + 4);
    Answer { status, head, body }
}
