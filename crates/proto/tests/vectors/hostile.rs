//! Every vector cut at every octet and changed in many ways, through every decoder.

use guantong_proto::crypto::challenge::{KeyAnswer, verify_secret_answer};
use guantong_proto::crypto::jws::Jws;
use guantong_proto::crypto::keyfile::KeyFile;
use guantong_proto::crypto::session::SessionKey;
use guantong_proto::crypto::{Credential, VerifyingKey};
use guantong_proto::data::{Data, PrivateKey, PublicKey, SecretKey, Site};
use guantong_proto::file::{Bootstrap, decode_local_info, decode_root_info};
use guantong_proto::frame::{Framer, Reassembly};
use guantong_proto::json;
use guantong_proto::message::{Message, Packet, Request, Response};
use guantong_proto::stream::{StreamDecoder, StreamKind};
use guantong_proto::wire::{Reader, Writer};
use guantong_proto::{Value, ValueRef, Values};

/// Octets that are most likely to upset a decoder of lengths and counts.
const NASTY: [u8; 6] = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff];

/// Changed copies of one vector besides the cut ones.
const CHANGES: usize = 300;

pub(crate) fn attack(octets: &[u8], sessions: &[(i32, SessionKey)]) {
    let step = octets.len() / 2_000 + 1;
    for len in (0..=octets.len()).step_by(step) {
        decode_all(&octets[..len], sessions);
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ octets.len() as u64);
    for _ in 0..CHANGES {
        let mut changed = octets.to_vec();
        for _ in 0..random.below(4) + 1 {
            random.change(&mut changed);
        }
        decode_all(&changed, sessions);
    }
}

/// Every decoder must return, whatever it says; what it accepts it must be able to encode.
fn decode_all(octets: &[u8], sessions: &[(i32, SessionKey)]) {
    messages(octets, sessions);
    for kind in [
        "HS_ADMIN",
        "HS_VLIST",
        "HS_SITE",
        "HS_PUBKEY",
        "HS_SECKEY",
        "HS_SERV",
        "HS_ALIAS",
        "HS_NAMESPACE",
        "URL",
    ] {
        let data = Data::decode(kind, octets);
        let again = Data::decode(kind, &data.encode());
        assert_eq!(data, again, "{kind}");
    }
    if let Ok(value) = Value::decode(octets) {
        assert_eq!(Writer::to_vec(|w| value.encode(w)), octets);
    }
    let _ = Values::from_wire(octets);
    let _ = ValueRef::decode(&mut Reader::new(octets)).map(|value| value.to_value());
    let _ = PublicKey::decode(octets).map(|key| VerifyingKey::new(&key));
    let _ = VerifyingKey::from_spki(octets);
    let _ = PrivateKey::decode(octets);
    // Opening costs thousands of hash rounds, so only the form is read here.
    let _ = KeyFile::decode(octets).map(|file| file.encode());
    let _ = Credential::decode(octets);
    let _ = KeyAnswer::decode(octets);
    if octets.first() != Some(&0x22) {
        let _ = verify_secret_answer(&SecretKey::new(b"s"), b"n", b"d", octets);
    }
    let _ = Jws::parse(octets).map(|jws| jws.claims());
    let _ = json::Record::parse(octets);
    let _ = json::parse_values(octets);
    let _ = json::parse_site(octets);
    let _ = Bootstrap::parse(octets);
    let _ = decode_root_info(octets);
    let _ = decode_local_info(octets);
    let _ = Site::decode(octets);
    for kind in [StreamKind::Transactions, StreamKind::Dump] {
        let mut decoder = StreamDecoder::new(kind);
        let mut at = 0;
        while let Ok(Some((_, len))) = decoder.next(&octets[at..]) {
            at += len;
        }
    }
}

fn messages(octets: &[u8], sessions: &[(i32, SessionKey)]) {
    if let Ok(message) = Message::decode(octets) {
        let mut encoded = Vec::new();
        message.encode(&mut encoded);
        assert_eq!(encoded, octets[..encoded.len()]);
        let _ = Request::of(&message);
        let _ = Response::of(&message);
        if let Ok(Some(credential)) = Credential::of(&message) {
            let _ = credential.verify_mac(&message, b"key");
        }
    }
    if let Ok(packet) = Packet::decode(octets) {
        for (_, key) in sessions {
            let _ = key.decrypt(packet.envelope.version, packet.octets);
        }
    }
    let mut reassembly = Reassembly::new();
    let _ = reassembly.on_datagram((), octets, 0);
    let mut framer = Framer::new();
    framer.push(octets);
    while let Ok(Some(_)) = framer.next_packet() {}
}

//----------- Random ---------------------------------------------------------

/// A small generator with a fixed seed, so that every run does the same (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap_or(0) % limit.max(1)
    }

    /// Flips a bit, sets an octet, a length field, or moves a part.
    fn change(&mut self, octets: &mut Vec<u8>) {
        let len = octets.len();
        if len == 0 {
            octets.push(NASTY[self.below(NASTY.len())]);
            return;
        }
        let at = self.below(len);
        match self.below(6) {
            0 => octets[at] ^= 1 << self.below(8),
            1 => octets[at] = NASTY[self.below(NASTY.len())],
            2 => octets[at] = octets[self.below(len)],
            3 => {
                let n = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x0010_0000][self.below(6)];
                let field: [u8; 4] = u32::to_be_bytes(n);
                let end = len.min(at + 4);
                octets[at..end].copy_from_slice(&field[..end - at]);
            }
            4 => {
                octets.remove(at);
            }
            _ => octets.insert(at, NASTY[self.below(NASTY.len())]),
        }
    }
}
