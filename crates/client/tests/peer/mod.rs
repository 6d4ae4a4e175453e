//! Scripted peers on loopback: they read requests and send whatever a test tells them to.
#![allow(dead_code, reason = "each test file uses some of them")]

use std::net::SocketAddr;
use std::time::Duration;

use guantong_client::{Builder, Client, Error, Fault, Outcome, Server};
use guantong_proto::crypto::hash::request_digest;
use guantong_proto::frame::Framer;
use guantong_proto::message::{
    Body, Digest, Envelope, HashId, Header, Message, OpFlags, Request, Response, ResponseCode,
    ResponseLayout, Version, begin, finish,
};
use guantong_proto::wire::Writer;
use guantong_proto::{Value, Values};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

/// The handle that all tests ask for.
pub(crate) const HANDLE: &str = "88.118.5/a";

//----------- Client side ----------------------------------------------------

/// A client with waits short enough for tests that run into them.
pub(crate) fn impatient(server: &str) -> Builder {
    Client::builder(server.parse::<Server>().unwrap())
        .udp_waits([Duration::from_millis(500)])
        .stream_timeout(Duration::from_millis(500))
}

/// A client whose time is never up in a test.
pub(crate) fn patient(server: &str) -> Client {
    let long = Duration::from_secs(60);
    Client::builder(server.parse::<Server>().unwrap())
        .udp_waits([long])
        .stream_timeout(long)
        .build()
}

/// How the last attempt of a failed question ended.
#[track_caller]
pub(crate) fn outcome(error: Error) -> Outcome {
    match error {
        Error::Unreachable { mut attempts } | Error::Misbehaved { mut attempts } => {
            attempts.pop().unwrap().outcome
        }
        other => panic!("{other}"),
    }
}

/// The fault that made the question fail.
#[track_caller]
pub(crate) fn fault(error: Error) -> Fault {
    match outcome(error) {
        Outcome::Misbehaved(fault) | Outcome::NoAnswer(Some(fault)) => fault,
        other => panic!("{other}"),
    }
}

//----------- Answers --------------------------------------------------------

/// What an answer says; every field can be falsified.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) code: ResponseCode,
    pub(crate) handle: String,
    pub(crate) values: Vec<Value>,
    pub(crate) flags: OpFlags,
    pub(crate) id_offset: i32,
    pub(crate) digest: bool,
    pub(crate) digest_flip: u8,
    pub(crate) expiration: u32,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            code: ResponseCode::SUCCESS,
            handle: HANDLE.into(),
            values: vec![Value::new(1, "URL", "https://example.org/")],
            flags: OpFlags::DEFAULT,
            id_offset: 0,
            digest: true,
            digest_flip: 0,
            expiration: u32::MAX,
        }
    }
}

impl Script {
    /// An answer of one large value, `len` octets long.
    pub(crate) fn large(len: usize) -> Self {
        let values = vec![Value::new(1, "BLOB", vec![b'x'; len])];
        Self {
            values,
            ..Self::default()
        }
    }

    /// An answer that is no.
    pub(crate) fn refusal(code: ResponseCode) -> Self {
        Self {
            code,
            ..Self::default()
        }
    }

    /// The packet that answers `request`.
    pub(crate) fn answer(&self, request: &[u8]) -> Vec<u8> {
        let request = Message::decode(request).unwrap();
        let values = Writer::to_vec(|w| Values::encode(&self.values, w));
        let body = match self.code {
            ResponseCode::SUCCESS => Body::Record {
                handle: self.handle.as_bytes(),
                values: Values::from_wire(&values).unwrap(),
            },
            code if code.is_referral() => Body::Referral {
                handle: self.handle.as_bytes(),
                values: Some(Values::from_wire(&values).unwrap()),
            },
            _ => Body::Error {
                text: b"because\x1b[2J",
                rest: b"",
            },
        };
        self.answer_with(&request, body)
    }

    /// The packet that answers `request` with `body`.
    pub(crate) fn answer_with(&self, request: &Message<'_>, body: Body<'_>) -> Vec<u8> {
        let mut digest = request_digest(HashId::Sha256, request);
        digest[0] ^= self.digest_flip;
        let flags = match self.digest {
            true => self.flags.with(OpFlags::RETURN_DIGEST),
            false => self.flags.without(OpFlags::RETURN_DIGEST),
        };
        let header = Header {
            code: self.code,
            flags,
            site_serial: 7,
            ..Header::request(request.header.op, flags, self.expiration)
        };
        let id = request.envelope.request_id.wrapping_add(self.id_offset);
        let layout = ResponseLayout {
            op: header.op,
            code: header.code,
            flags,
            version: Version::OURS,
        };
        let digest = self.digest.then_some(Digest {
            hash: HashId::Sha256,
            octets: &digest,
        });
        let mut out = Vec::new();
        let start = begin(&mut out, &Envelope::new(Version::OURS, id), &header);
        Response { digest, body }.encode(layout, &mut Writer::new(&mut out));
        finish(&mut out, start, Some(&[]));
        out
    }
}

/// The name that a request asks for.
pub(crate) fn asked(request: &[u8]) -> String {
    let message = Message::decode(request).unwrap();
    match Request::of(&message).unwrap() {
        Request::Resolve(resolve) => String::from_utf8(resolve.handle.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

//----------- Peers ----------------------------------------------------------

/// Answers each datagram with those that `answer` makes of it and of its number from 0.
pub(crate) async fn udp(
    mut answer: impl FnMut(&[u8], usize) -> Vec<Vec<u8>> + Send + 'static,
) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 65_536];
        for number in 0.. {
            let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
            for datagram in answer(&buffer[..len], number) {
                // The client may have gone by now.
                let _ = socket.send_to(&datagram, from).await;
            }
        }
    });
    address
}

/// A UDP and a TCP socket at the same port of loopback.
pub(crate) async fn same_port() -> (UdpSocket, TcpListener) {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()).await {
            return (socket, listener);
        }
    }
}

/// Runs `serve` on each connection that is accepted.
pub(crate) async fn tcp<F>(serve: impl Fn(Stream, usize) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    accept(listener, serve);
    address
}

/// Runs `serve` on each connection that `listener` accepts.
pub(crate) fn accept<F>(
    listener: TcpListener,
    serve: impl Fn(Stream, usize) -> F + Send + 'static,
) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(Stream::new(stream), number));
        }
    })
}

/// A connection that reads whole packets.
pub(crate) struct Stream {
    pub(crate) stream: TcpStream,
    framer: Framer,
}

impl Stream {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            framer: Framer::new(),
        }
    }

    /// The next request; `None` at the end.
    pub(crate) async fn request(&mut self) -> Option<Vec<u8>> {
        let mut buffer = [0; 4_096];
        loop {
            if let Some(packet) = self.framer.next_packet().unwrap() {
                return Some(packet.to_vec());
            }
            match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(len) => self.framer.push(&buffer[..len]),
            }
        }
    }

    /// Sends octets; `false` once the client has gone.
    pub(crate) async fn send(&mut self, octets: &[u8]) -> bool {
        self.stream.write_all(octets).await.is_ok()
    }
}
