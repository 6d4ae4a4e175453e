//! Packets put to the authority: every one gets a reply that decodes, or none.

#![no_main]

use std::convert::Infallible;
use std::sync::LazyLock;

use guantong_core::admin::{
    Challenge, Chance, Errand, Ground, Next, NoTables, Rules, StoredRecord,
};
use guantong_core::authority::{
    self, Answered, Demand, Homed, Moment, RecordView, Recursion, Site,
};
use guantong_proto::data::site::{Server, Site as SiteRecord};
use guantong_proto::message::{Envelope, Message, Response};
use guantong_proto::wire::{Reader, Writer};
use guantong_proto::{CaseRule, Handle, Permissions, Value, Values};

/// Stands in the data of the value that is not public. No letters, so that no folding of names
/// makes it from something else.
const HIDDEN: &[u8] = b"\xf8\x01\xf9\x02\xfa\x03\xfb\x04";

/// A site that is part of the global registry and homes the prefix of the vectors.
static SITE: LazyLock<Site> = LazyLock::new(|| {
    let server = Server {
        id: 1,
        address: [127, 0, 0, 1].into(),
        public_key: Vec::new(),
        interfaces: Vec::new(),
    };
    let record = SiteRecord {
        servers: vec![server],
        ..SiteRecord::default()
    };
    let homed = ["0.NA", "20.500.12345"].map(|p| Handle::of_prefix(p).expect("it is a prefix"));
    Site::new(
        record.encode(),
        1,
        CaseRule::Insensitive,
        Homed::new(&homed),
    )
    .expect("the site has its server")
});

/// The values of every record that exists.
static RECORD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut values = ["URL", "HS_SERV.PREFIX", "SECRET"]
        .map(|kind| Value::new(i32::try_from(kind.len()).unwrap_or(1), kind, "0.SERV/x"));
    values[2].data = HIDDEN.to_vec();
    values[2].permissions = Permissions(Permissions::ADMIN_READ);
    Writer::to_vec(|w| Values::encode(&values, w))
});

/// The values of every record that existed.
static WITHDRAWN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let url = Value::new(1, "URL", HIDDEN);
    let prefix = Value::new(2, "HS_SERV.PREFIX", HIDDEN);
    let state = Value::new(1_900, "GT_STATE", r#"{"state":"withdrawn","reason":"x"}"#);
    Writer::to_vec(|w| Values::encode(&[url, prefix, state], w))
});

fn holds_hidden(octets: &[u8]) -> bool {
    octets.windows(HIDDEN.len()).any(|part| part == HIDDEN)
}

/// Carries out what needs more than one read, for somebody who has proven nothing.
fn run_errand(packet: &[u8], moment: &mut Moment<'_>, out: &mut Vec<u8>) {
    let ground = Ground {
        site: &SITE,
        rules: &Rules::default(),
        now_secs: 1_000,
        tables: &NoTables,
    };
    let chance = Chance {
        suffix: [1; 16],
        nonce: [2; 16],
        seal: [3; 16],
        exponent: [4; 32],
    };
    let mut errand = match Errand::new(packet, chance, &NoTables) {
        Ok(errand) => errand,
        Err(refusal) => return refusal.reply(&SITE, moment, out),
    };
    while let Next::Fetch(wanted) = errand.step(&ground, moment, out) {
        let record = StoredRecord::new(wanted.handle.clone(), 1, &RECORD).ok();
        errand.learn(&SITE, &wanted, record);
    }
}

libfuzzer_sys::fuzz_target!(|packet: &[u8]| {
    let mut challenge = |_: Demand<'_>| Challenge {
        session_id: 1,
        nonce: [7; 16],
    };
    let mut moment = Moment {
        now_secs: 1_700_000_000,
        challenge: &mut challenge,
        recursion: Recursion::Denied,
    };
    let (mut key, mut out) = (Vec::new(), Vec::new());
    // Names of odd length exist, every other of even length did, and the rest do not.
    let fetch = |key: &[u8]| {
        Ok::<_, Infallible>(match key.len() % 4 {
            1 | 3 => Some(&*RECORD),
            2 => Some(&*WITHDRAWN),
            _ => None,
        })
    };
    let view = |values: &&'static Vec<u8>| RecordView {
        handle: "",
        values,
        all_public: false,
    };
    let Ok(answered) =
        authority::answer(&SITE, packet, &mut moment, &mut key, &mut out, fetch, |r| {
            view(r)
        });
    if matches!(answered, Answered::HandOver) {
        run_errand(packet, &mut moment, &mut out);
    }
    // The fuzzer learns what octets are compared with and asks for a name that has them; a reply
    // repeats the name.
    assert!(holds_hidden(packet) || !holds_hidden(&out));
    if out.is_empty() {
        return;
    }
    let asked = Envelope::decode(&mut Reader::new(packet)).expect("a reply means an envelope");
    let reply = Message::decode(&out).expect("a reply decodes");
    assert_eq!(reply.envelope.request_id, asked.request_id);
    Response::of(&reply).expect("the body of a reply decodes");
});
