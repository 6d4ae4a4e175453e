//! A client of HTTP/1.1 on one connection that is kept, in clear or over TLS: one request, its
//! answer, the next one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guantong_proto::crypto::SigningKey;
use guantong_proto::crypto::hash::Hash;
use ring::rand::SystemRandom;
use rustls::{ClientConnection, StreamOwned};
use serde_json::{Value, json};

use crate::tls;

/// Lines of a head that are looked at.
const HEADERS_MAX: usize = 32;
/// Octets that are read at a time.
const READ_LEN: usize = 16 * 1024;
/// An answer that takes longer does not come any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub struct Web {
    stream: Stream,
    token: Option<String>,
    received: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// The body, if the request was a success.
    pub fn success(self, what: &str) -> Result<Value> {
        let Self { status, body } = self;
        ensure!((200..300).contains(&status), "{what}: {status} {body}");
        Ok(body)
    }
}

enum Stream {
    Clear(TcpStream),
    Secure(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, octets: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(octets),
            Self::Secure(stream) => stream.read(octets),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.write(octets),
            Self::Secure(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Clear(stream) => stream.flush(),
            Self::Secure(stream) => stream.flush(),
        }
    }
}

/// The token of an identity, by the private key of its record.
pub fn log_in(http: SocketAddr, identity: &str, key: &SigningKey) -> Result<String> {
    let mut web = Web::connect(http, None)?;
    let body = json!({"identity": identity});
    let answer = web.post("/api/v2/login/challenge", &body)?;
    let answer = answer.success("a challenge")?;
    let nonce = answer["nonce"].as_str().context("no nonce")?;
    let signature = key.sign(Hash::Sha256, nonce.as_bytes(), &SystemRandom::new())?;
    let body = json!({"identity": identity, "signature": STANDARD.encode(signature)});
    let answer = web.post("/api/v2/login/answer", &body)?;
    token(&answer.success("a login by key")?)
}

/// The token that a login has given.
pub fn token(answer: &Value) -> Result<String> {
    let token = answer["token"].as_str().context("no token")?;
    Ok(token.to_owned())
}

impl Web {
    /// Connects; with a token, every request is made under it.
    pub fn connect(address: SocketAddr, token: Option<&str>) -> Result<Self> {
        let stream = TcpStream::connect(address).context("the node takes no connection")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self::of(Stream::Clear(stream), token))
    }

    /// The same over TLS, whoever the certificate names.
    pub fn connect_secure(address: SocketAddr, token: Option<&str>) -> Result<Self> {
        let stream = tls::connect(address)?;
        stream.sock.set_read_timeout(Some(PATIENCE))?;
        Ok(Self::of(Stream::Secure(Box::new(stream)), token))
    }

    fn of(stream: Stream, token: Option<&str>) -> Self {
        Self {
            stream,
            token: token.map(str::to_owned),
            received: Vec::new(),
        }
    }

    pub fn get(&mut self, path: &str) -> Result<Answer> {
        self.send("GET", path, "application/json", b"")
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Result<Answer> {
        self.send(
            "POST",
            path,
            "application/json",
            body.to_string().as_bytes(),
        )
    }

    pub fn patch(&mut self, path: &str, body: &Value) -> Result<Answer> {
        let body = body.to_string();
        self.send("PATCH", path, "application/json", body.as_bytes())
    }

    /// Sends a request and waits for the whole of its answer.
    pub fn send(&mut self, method: &str, path: &str, kind: &str, body: &[u8]) -> Result<Answer> {
        let token = self.token.as_ref();
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{}Content-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n",
            token.unwrap_or_default(),
            body.len()
        );
        self.stream.write_all(&[head.as_bytes(), body].concat())?;
        self.stream.flush()?;
        self.receive()
            .with_context(|| format!("{method} {path}: no answer that can be read"))
    }

    fn receive(&mut self) -> Result<Answer> {
        self.received.clear();
        loop {
            if let Some(answer) = answer(&self.received)? {
                return Ok(answer);
            }
            let mut piece = [0; READ_LEN];
            let len = self.stream.read(&mut piece)?;
            ensure!(len > 0, "the node has closed the connection");
            self.received.extend_from_slice(&piece[..len]);
        }
    }
}

/// The answer, if it is whole.
fn answer(octets: &[u8]) -> Result<Option<Answer>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = head.parse(octets)? else {
        return Ok(None);
    };
    let mut headers = head.headers.iter();
    let length = headers.find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let Some(length) = length else {
        bail!("an answer does not say how long it is");
    };
    let end = start + std::str::from_utf8(length.value)?.parse::<usize>()?;
    let Some(body) = octets.get(start..end) else {
        return Ok(None);
    };
    ensure!(octets.len() == end, "more came than was asked for");
    let body = match body {
        [] => Value::Null,
        // Tables of faults are no JSON, and read by people.
        body => serde_json::from_slice(body)
            .unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned().into()),
    };
    let status = head.code.unwrap_or_default();
    Ok(Some(Answer { status, body }))
}

/// Text as a part of a query.
pub fn encode(text: &str) -> String {
    text.replace('%', "%25")
        .replace('/', "%2F")
        .replace(':', "%3A")
}

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn answer_is_whole_only_at_its_end() {
        let whole = b"HTTP/1.1 201 Created\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
        for len in 0..whole.len() {
            assert!(answer(&whole[..len]).unwrap().is_none(), "{len}");
        }
        let found = answer(whole).unwrap().unwrap();
        assert_eq!((found.status, &found.body["a"]), (201, &1.into()));
        assert!(answer(&[&whole[..], b"x"].concat()).is_err());
    }
}
