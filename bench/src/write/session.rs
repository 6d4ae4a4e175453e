//! An administrator of the native protocol, as Handle.Net clients are: a session by Diffie-Hellman,
//! the proof of a private key once, then a code under every message (clauses 6.2 to 6.6).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use guantong_proto::crypto::SigningKey;
use guantong_proto::crypto::challenge::answer_with_key;
use guantong_proto::crypto::credential;
use guantong_proto::crypto::session::{
    Cipher, OAKLEY_GROUP_2, SessionKey, dh_public_key, dh_shared_secret,
};
use guantong_proto::data::PublicKey;
use guantong_proto::data::key::Number;
use guantong_proto::limits::ENVELOPE_LEN;
use guantong_proto::message::{
    Body, Envelope, KeyExchange, Message, OpCode, OpFlags, Request, RequestBuilder, Response,
    ResponseCode, SessionSetup, Version,
};
use guantong_proto::wire::{Reader, Writer};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use ring::rand::SystemRandom;

use super::expect_code;
use crate::corpus::{self, PREFIX};
use crate::tls::read_key;
use crate::web::log_in;

/// Index of the administrator's public key, as `init` gives it.
const KEY_INDEX: i32 = 300;
/// How long a session is wanted to last, in seconds.
const SESSION_SECS: i32 = 600;
/// Expiration of the requests, far away.
const EXPIRATION: u32 = u32::MAX / 2;
/// The longest that an answer takes.
const PATIENCE_MS: u16 = 30_000;
/// Our private number. Nothing is kept secret here, and the arithmetic is the same for any number.
const PRIVATE_NUMBER: [u8; 32] = [0x5a; 32];

//----------- Administrator --------------------------------------------------

/// The administrator whom `init` has made.
pub struct Administrator {
    address: SocketAddr,
    /// Whether the server closes a connection after each answer; sessions outlive them.
    is_closing: bool,
    identity: String,
    key: SigningKey,
    random: SystemRandom,
}

impl Administrator {
    /// The one whose private key is in the file.
    pub fn new(address: SocketAddr, key: &Path) -> Result<Self> {
        Ok(Self {
            address,
            is_closing: false,
            identity: format!("0.NA/{PREFIX}"),
            key: read_key(key)?,
            random: SystemRandom::new(),
        })
    }

    /// The one of a server that closes a connection after each answer, as Handle.Net does.
    /// The public key is in the handle `identity`.
    pub fn of_closing(address: SocketAddr, identity: String, key: &Path) -> Result<Self> {
        let this = Self::new(address, key)?;
        Ok(Self {
            is_closing: true,
            identity,
            ..this
        })
    }

    /// Sets up a session on a new connection. Who asks is proven with the first request.
    pub fn begin(&self) -> Result<Session<'_>> {
        let mut stream = connect(self.address)?;
        let (p, g) = (Number::new(&OAKLEY_GROUP_2), Number::new(&[2]));
        let x = Number::new(&PRIVATE_NUMBER);
        let public = PublicKey::Dh(dh_public_key(&p, &g, &x)?).encode();
        let setup = Request::SessionSetup(SessionSetup {
            timeout: SESSION_SECS,
            identity: self.identity.as_bytes(),
            identity_index: KEY_INDEX,
            exchange: KeyExchange::DiffieHellman(&public),
            padding: &[0, 0],
        });
        let body = Writer::to_vec(|w| setup.encode(Version::OURS, w));
        let packet = builder(0).packet(OpCode::SESSION_SETUP, &body);
        let reply = exchange(&mut stream, &packet)?;
        let message = Message::decode(&reply)?;
        let Body::Session { data, .. } = Response::of(&message)?.body else {
            bail!("no session: {message:?}");
        };
        let mut r = Reader::new(data);
        r.i32("cipher")?;
        let PublicKey::Dh(theirs) = PublicKey::decode(r.rest())? else {
            bail!("the node's half of the session is no Diffie-Hellman key");
        };
        let secret = dh_shared_secret(&theirs, &x)?;
        Ok(Session {
            administrator: self,
            stream,
            id: message.envelope.session_id,
            key: SessionKey::derive(Cipher::Aes, &secret)?,
            counter: 0,
        })
    }

    /// Proves who asks, outside of a session: a request, a challenge, its answer. The request is to
    /// create what is there, so that nothing is written.
    pub(super) fn prove(&self) -> Result<()> {
        let mut stream = connect(self.address)?;
        let create = builder(0).write(OpCode::CREATE, &corpus::handle(0), &corpus::values(0));
        let challenge = exchange(&mut stream, &create)?;
        let reply = exchange(&mut stream, &self.answer(&challenge)?)?;
        let exists = ResponseCode::HANDLE_ALREADY_EXISTS.0;
        expect_code(code(&reply)?, exists, "the answer to a challenge")
    }

    /// A token for the HTTP interface.
    pub(super) fn log_in(&self, http: SocketAddr) -> Result<String> {
        let identity = format!("{KEY_INDEX}:{}", self.identity);
        log_in(http, &identity, &self.key)
    }

    /// The answer to a challenge.
    fn answer(&self, challenge: &[u8]) -> Result<Vec<u8>> {
        let message = Message::decode(challenge)?;
        let response = Response::of(&message)?;
        let (Body::Challenge { nonce }, Some(digest)) = (response.body, response.digest) else {
            bail!("the node does not challenge: {message:?}");
        };
        let signed = answer_with_key(&self.key, nonce, digest.octets, &self.random)?;
        let body = Writer::to_vec(|w| {
            w.bytes(b"HS_PUBKEY");
            w.bytes(self.identity.as_bytes());
            w.i32(KEY_INDEX);
            w.bytes(&signed);
        });
        let builder = builder(message.envelope.session_id);
        Ok(builder.packet(OpCode::CHALLENGE_ANSWER, &body))
    }
}

//----------- Session --------------------------------------------------------

/// A session, and the connection on which it was asked last.
pub struct Session<'a> {
    administrator: &'a Administrator,
    stream: TcpStream,
    id: i32,
    key: SessionKey,
    counter: i32,
}

impl Session<'_> {
    /// Creates a record under a name that is free.
    pub fn create(&mut self, name: &str) -> Result<()> {
        self.ask(name)?;
        let mut reply = receive(&mut self.stream)?;
        if code(&reply)? == ResponseCode::AUTHENTICATION_NEEDED.0 {
            let answer = self.administrator.answer(&reply)?;
            let answer = self.seal(&answer)?;
            self.send(&answer)?;
            reply = receive(&mut self.stream)?;
        }
        expect_code(code(&reply)?, ResponseCode::SUCCESS.0, name)
    }

    /// Asks for a record to be created under a name that is free.
    fn ask(&mut self, name: &str) -> Result<()> {
        let packet = builder(0).write(OpCode::CREATE, name, &corpus::values(0));
        let packet = self.seal(&packet)?;
        self.send(&packet)
    }

    /// Takes the answer to what was asked, who asks being proven.
    fn take(&mut self) -> Result<()> {
        let reply = receive(&mut self.stream)?;
        expect_code(code(&reply)?, ResponseCode::SUCCESS.0, "a create")
    }

    fn send(&mut self, packet: &[u8]) -> Result<()> {
        if self.administrator.is_closing {
            self.stream = connect(self.administrator.address)?;
        }
        Ok(self.stream.write_all(packet)?)
    }

    /// The packet in the session, with its code.
    fn seal(&mut self, packet: &[u8]) -> Result<Vec<u8>> {
        self.counter += 1;
        let mut message = Message::decode(packet)?;
        message.envelope.session_id = self.id;
        let code = credential::authenticate(&message, self.counter, self.key.as_bytes());
        message.credential = Some(&code);
        let mut out = Vec::new();
        message.encode(&mut out);
        Ok(out)
    }
}

/// Creates in all of these sessions, with one on its way in each, for some time; how many a
/// second. One thread does it, so that nobody is woken for each answer: that would cost the server,
/// which wakes him, as much as a part of its own work. Who asks has been proven.
pub(super) fn create_in_all(
    sessions: &mut [Session<'_>],
    time: Duration,
    mut name: impl FnMut() -> String,
) -> Result<f64> {
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    let watch = |session: &Session<'_>, n: usize| {
        epoll.add(
            &session.stream,
            EpollEvent::new(EpollFlags::EPOLLIN, n as u64),
        )
    };
    let begun = Instant::now();
    for (n, session) in sessions.iter_mut().enumerate() {
        session.ask(&name())?;
        watch(session, n)?;
    }
    let (mut events, mut waiting) = ([EpollEvent::empty(); 64], sessions.len());
    let (mut done, mut rate) = (0_u64, 0.0);
    while waiting > 0 {
        let ready = epoll.wait(&mut events, EpollTimeout::from(PATIENCE_MS))?;
        ensure!(ready > 0, "no create was answered in {PATIENCE_MS} ms");
        for event in &events[..ready] {
            let n = usize::try_from(event.data())?;
            let session = &mut sessions[n];
            session.take()?;
            done += 1;
            let passed = begun.elapsed();
            if passed < time {
                rate = done as f64 / passed.as_secs_f64();
                session.ask(&name())?;
                if session.administrator.is_closing {
                    watch(session, n)?;
                }
            } else {
                // One that the server closes now would be told of again.
                epoll.delete(&session.stream)?;
                waiting -= 1;
            }
        }
    }
    Ok(rate)
}

//----------- Packets --------------------------------------------------------

fn builder(session_id: i32) -> RequestBuilder {
    let mut envelope = Envelope::new(Version::OURS, 1);
    envelope.session_id = session_id;
    RequestBuilder {
        envelope,
        flags: OpFlags::DEFAULT,
        expiration: EXPIRATION,
    }
}

fn code(packet: &[u8]) -> Result<i32> {
    Ok(Message::decode(packet)?.header.code.0)
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).context("the node takes no connection")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn exchange(stream: &mut TcpStream, packet: &[u8]) -> Result<Vec<u8>> {
    stream.write_all(packet)?;
    receive(stream)
}

fn receive(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut reply = vec![0; ENVELOPE_LEN];
    stream.read_exact(&mut reply)?;
    let len = Envelope::decode(&mut Reader::new(&reply))?.message_len()?;
    reply.resize(ENVELOPE_LEN + len, 0);
    stream.read_exact(&mut reply[ENVELOPE_LEN..])?;
    Ok(reply)
}
