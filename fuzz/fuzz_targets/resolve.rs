//! Octets drive a resolver: what is asked, what servers reply, which packets arrive, how time
//! passes. Every question must end in its time, and nothing may stay behind.

#![no_main]

use std::net::SocketAddr;
use std::sync::Arc;

use guantong_core::resolve::{
    Cache, CacheSettings, Now, Question, Resolver, RootRefresh, Roots, Settings, StreamFault, Tick,
    TraceWanted, Transmit, Transport,
};
use guantong_proto::Handle;
use guantong_proto::crypto::hash::request_digest;
use guantong_proto::data::Site;
use guantong_proto::data::site::{Interface, InterfaceKind, Protocol, Server};
use guantong_proto::message::{HashId, Header, Message, OpFlags, ResponseCode};
use guantong_proto::wire::Writer;

/// Names that need each other when the replies say so.
const NAMES: [&str; 6] = [
    "88.1/x",
    "88.2/y",
    "0.NA/88.1",
    "88.1",
    "0.SERV/s",
    "0.NA/0.NA",
];
const TIMEOUT_MS: u64 = 10_000;
const PENDING_MAX: usize = 16;

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn octet(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn octets(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

fn address(n: u8) -> SocketAddr {
    ([10, 0, 0, n % 4 + 1], 2641).into()
}

/// A site record, so that replies that name servers need not be guessed octet by octet.
fn site(n: u8) -> Vec<u8> {
    let interface = |protocol| Interface {
        kind: InterfaceKind::BOTH,
        protocol,
        port: 2641,
    };
    let server = Server {
        id: 1,
        address: address(n).ip(),
        public_key: Vec::new(),
        interfaces: vec![interface(Protocol::UDP), interface(Protocol::TCP)],
    };
    let site = Site {
        flags: Site::PRIMARY,
        servers: vec![server],
        ..Site::default()
    };
    site.encode()
}

/// A body that is well formed up to its values: each is a type, and a site, a name, or anything.
fn body(input: &mut Input<'_>, asked: &Message<'_>, code: ResponseCode) -> Vec<u8> {
    const TYPES: [&str; 6] = [
        "HS_SITE",
        "HS_SERV",
        "HS_SITE.PREFIX",
        "HS_SERV.PREFIX",
        "HS_ALIAS",
        "URL",
    ];
    let handle_len = usize::from(asked.body[3]) + usize::from(asked.body[2]) * 256;
    let handle = &asked.body[4..4 + handle_len];
    Writer::to_vec(|w| {
        w.u8(HashId::Sha256.code());
        w.raw(&request_digest(HashId::Sha256, asked));
        if code == ResponseCode::SUCCESS || code.is_referral() {
            w.bytes(if code.is_referral() { b"" } else { handle });
            let count = input.octet() % 4;
            w.i32(i32::from(count));
            for index in 0..count {
                w.i32(i32::from(index) + 1);
                w.u32(0);
                w.u8(input.octet() % 3);
                w.i32(i32::from(input.octet()) * 100);
                w.u8(0x0e);
                let kind = usize::from(input.octet());
                w.bytes(TYPES[kind % TYPES.len()].as_bytes());
                let choice = input.octet();
                match choice % 3 {
                    0 => w.bytes(&site(choice / 3)),
                    1 => w.bytes(NAMES[usize::from(choice / 3) % NAMES.len()].as_bytes()),
                    _ => w.bytes(input.octets(usize::from(choice / 3))),
                }
                w.i32(0);
            }
        }
        w.raw(input.octets(usize::from(code.0 == 2) * 8));
    })
}

fn reply(input: &mut Input<'_>, transmit: &Transmit) -> Vec<u8> {
    const CODES: [i32; 12] = [1, 1, 1, 302, 303, 100, 200, 301, 2, 3, 300, 402];
    let asked = Message::decode(&transmit.packet).expect("requests decode");
    let code = ResponseCode(CODES[usize::from(input.octet()) % CODES.len()]);
    let body = body(input, &asked, code);
    let message = Message {
        header: Header {
            code,
            flags: asked.header.flags.with(OpFlags::RETURN_DIGEST),
            site_serial: u16::from(input.octet() % 4),
            ..asked.header
        },
        body: &body,
        ..asked
    };
    let mut packet = Vec::new();
    message.encode(&mut packet);
    // Sometimes an octet is wrong.
    let position = usize::from(input.octet()) * 4;
    if let Some(octet) = packet.get_mut(position).filter(|_| position > 200) {
        *octet ^= input.octet();
    }
    packet
}

//----------- Play -----------------------------------------------------------

/// A resolver, what it has sent, and how many questions are not answered yet.
struct Play {
    resolver: Resolver,
    now: Now,
    sent: Vec<Transmit>,
    unanswered: usize,
}

impl Play {
    fn new(root_refresh: RootRefresh) -> Self {
        // Small, since every input begins with a new one.
        let cache = Arc::new(Cache::new(CacheSettings {
            octets: 100_000,
            ..CacheSettings::default()
        }));
        let roots = Roots::from_addresses(&[address(0), address(1)]).expect("there are addresses");
        let settings = Settings {
            root_refresh,
            timeout_ms: TIMEOUT_MS,
            pending_max: PENDING_MAX,
            ..Settings::default()
        };
        let mut state = 7_u64;
        let random = move |octets: &mut [u8]| {
            for octet in octets {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                *octet = state.to_be_bytes()[1];
            }
        };
        Self {
            resolver: Resolver::new(settings, roots, cache, Box::new(random)),
            now: Now {
                tick: Tick(1),
                secs: 1_700_000_000,
            },
            sent: Vec::new(),
            unanswered: 0,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.octet() % 8 {
            0 | 1 => self.ask(input),
            2 => self.now.tick = self.now.tick + u64::from(input.octet()) * 10,
            3 => {
                let len = usize::from(input.octet()) * 2;
                let datagram = input.octets(len);
                self.resolver.on_datagram(0, address(0), datagram, self.now);
            }
            _ => self.reply(input),
        }
        let due = self.resolver.poll_timeout();
        if due.is_some_and(|due| due <= self.now.tick) {
            self.resolver.on_timeout(self.now);
        }
        self.collect();
    }

    fn ask(&mut self, input: &mut Input<'_>) {
        let choice = input.octet();
        let name = NAMES[usize::from(choice) % NAMES.len()];
        let question = Question {
            follow_aliases: choice & 0x40 != 0,
            authoritative: choice & 0x80 != 0,
            ..Question::new(Handle::parse(name).expect("it is a handle"))
        };
        let ticket = self.resolver.start(question, TraceWanted::Yes, self.now);
        match input.octet() {
            0xff => self.resolver.cancel(ticket),
            _ => self.unanswered += 1,
        }
    }

    fn reply(&mut self, input: &mut Input<'_>) {
        let Some(transmit) = self.sent.pop() else {
            return;
        };
        let packet = reply(input, &transmit);
        let (resolver, now) = (&mut self.resolver, self.now);
        match transmit.transport {
            Transport::Udp { local } => {
                resolver.on_datagram(local, transmit.route.address, &packet, now);
            }
            _ if input.octet() % 4 == 0 => {
                resolver.on_stream(transmit.exchange, Err(StreamFault::Closed), now);
            }
            _ => resolver.on_stream(transmit.exchange, Ok(&packet), now),
        }
    }

    /// Takes everything that the resolver gives.
    fn collect(&mut self) {
        while let Some(transmit) = self.resolver.poll_transmit(self.now) {
            self.sent.push(transmit);
        }
        self.sent.drain(..self.sent.len().saturating_sub(64));
        while self.resolver.poll_answer().is_some() {
            self.unanswered -= 1;
        }
        while self.resolver.poll_abandoned().is_some() || self.resolver.poll_event().is_some() {}
    }

    /// Nobody replies any more: everything ends in its time.
    fn end(mut self) {
        let end = self.now.tick + TIMEOUT_MS;
        while let Some(due) = self.resolver.poll_timeout().filter(|due| *due <= end) {
            self.now.tick = self.now.tick.max(due);
            self.resolver.on_timeout(self.now);
            self.collect();
        }
        assert_eq!(self.unanswered, 0, "every question is answered once");
        let figures = self.resolver.figures();
        assert_eq!(
            (figures.walks, figures.in_flight),
            (0, 0),
            "nothing stays behind"
        );
    }
}

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let mut play = Play::new(match input.octet() % 2 {
        0 => RootRefresh::Never,
        _ => RootRefresh::Daily,
    });
    while !input.0.is_empty() {
        play.step(&mut input);
        // Sub-questions have as many places again, and the root record has one.
        assert!(play.resolver.figures().walks <= 2 * PENDING_MAX + 1);
    }
    play.end();
});
