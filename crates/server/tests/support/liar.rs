//! A server that plays the root and everything below it, and lies as a test tells it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;

use guantong_proto::crypto::hash::request_digest;
use guantong_proto::data::Site;
use guantong_proto::data::site::{Interface, InterfaceKind, Protocol, Server};
use guantong_proto::frame::Framer;
use guantong_proto::message::{
    Body, Digest, Envelope, HashId, Header, Message, OpFlags, Request, Response, ResponseCode,
    ResponseLayout, Version, begin, finish,
};
use guantong_proto::wire::Writer;
use guantong_proto::{Value, Values};

use super::value;

//----------- Asked ----------------------------------------------------------

/// A request, and the means to answer it.
pub(crate) struct Asked {
    packet: Vec<u8>,
    pub(crate) handle: String,
    /// Where the liar is.
    pub(crate) address: SocketAddr,
}

/// What an answer says; every field can be falsified.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) code: i32,
    pub(crate) handle: Option<String>,
    pub(crate) values: Vec<Value>,
    pub(crate) id_offset: i32,
    pub(crate) digest_flip: u8,
    pub(crate) expiration: u32,
}

impl Script {
    pub(crate) fn record(values: Vec<Value>) -> Self {
        Self {
            code: 1,
            handle: None,
            values,
            id_offset: 0,
            digest_flip: 0,
            expiration: u32::MAX / 2,
        }
    }

    pub(crate) fn text(text: &str) -> Self {
        Self::record(vec![value(1, "TEXT", text)])
    }

    pub(crate) fn code(code: i32) -> Self {
        Self {
            code,
            ..Self::record(Vec::new())
        }
    }
}

impl Asked {
    fn new(packet: &[u8], address: SocketAddr) -> Self {
        let message = Message::decode(packet).unwrap();
        let Request::Resolve(resolve) = Request::of(&message).unwrap() else {
            unreachable!("the resolver resolves");
        };
        Self {
            handle: String::from_utf8(resolve.handle.to_vec()).unwrap(),
            packet: packet.to_vec(),
            address,
        }
    }

    /// Whether the question is on the way to the record, not for it.
    pub(crate) fn is_on_the_way(&self) -> bool {
        self.handle.starts_with("0.")
    }

    /// The site that the liar is.
    pub(crate) fn site(&self) -> Vec<u8> {
        let interface = |protocol| Interface {
            kind: InterfaceKind::BOTH,
            protocol,
            port: self.address.port().into(),
        };
        let server = Server {
            id: 1,
            address: self.address.ip(),
            public_key: Vec::new(),
            interfaces: vec![interface(Protocol::UDP), interface(Protocol::TCP)],
        };
        Site {
            servers: vec![server],
            ..Site::default()
        }
        .encode()
    }

    /// The truth about a prefix: the liar serves it.
    pub(crate) fn prefix(&self) -> Vec<u8> {
        self.answer(&Script::record(vec![value(1, "HS_SITE", self.site())]))
    }

    /// The packet that says what the script says.
    pub(crate) fn answer(&self, script: &Script) -> Vec<u8> {
        let request = Message::decode(&self.packet).unwrap();
        let values = Writer::to_vec(|w| Values::encode(&script.values, w));
        let code = ResponseCode(script.code);
        let handle = script.handle.as_ref().unwrap_or(&self.handle);
        let body = match code {
            ResponseCode::SUCCESS => Body::Record {
                handle: handle.as_bytes(),
                values: Values::from_wire(&values).unwrap(),
            },
            code if code.is_referral() => Body::Referral {
                handle: b"",
                values: Some(Values::from_wire(&values).unwrap()),
            },
            ResponseCode::AUTHENTICATION_NEEDED => Body::Challenge { nonce: &[7; 16] },
            _ => Body::Error {
                text: b"because",
                rest: b"",
            },
        };
        let mut digest = request_digest(HashId::Sha256, &request);
        digest[0] ^= script.digest_flip;
        let flags = OpFlags::DEFAULT.with(OpFlags::RETURN_DIGEST);
        let header = Header {
            code,
            site_serial: 1,
            ..Header::request(request.header.op, flags, script.expiration)
        };
        let layout = ResponseLayout {
            op: header.op,
            code,
            flags,
            version: Version::OURS,
        };
        let id = request.envelope.request_id.wrapping_add(script.id_offset);
        let digest = Some(Digest {
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

//----------- Liar -----------------------------------------------------------

/// Where a liar listens, UDP and TCP at one port. Its threads end with the test process.
pub(crate) fn liar(
    udp: impl Fn(&Asked, &dyn Fn(&[u8])) + Send + 'static,
    tcp: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static,
) -> SocketAddr {
    let (socket, listener) = same_port();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 4_096];
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let send = |datagram: &[u8]| {
                let _ = socket.send_to(datagram, from);
            };
            udp(&Asked::new(&buffer[..len], address), &send);
        }
    });
    let tcp = Arc::new(tcp);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let tcp = tcp.clone();
            std::thread::spawn(move || talk(stream, address, &*tcp));
        }
    });
    address
}

fn talk(mut stream: TcpStream, address: SocketAddr, answer: &dyn Fn(&Asked, &mut TcpStream)) {
    let mut framer = Framer::new();
    let mut buffer = [0; 4_096];
    loop {
        while let Ok(Some(packet)) = framer.next_packet() {
            let asked = Asked::new(packet, address);
            answer(&asked, &mut stream);
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(len) => framer.push(&buffer[..len]),
        }
    }
}

fn same_port() -> (UdpSocket, TcpListener) {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()) {
            return (socket, listener);
        }
    }
}

/// Closes without a word.
pub(crate) fn no_tcp(_: &Asked, stream: &mut TcpStream) {
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

/// Sends the packet by TCP.
pub(crate) fn send(stream: &mut TcpStream, octets: &[u8]) -> bool {
    stream.write_all(octets).is_ok()
}
