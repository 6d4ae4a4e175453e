//! A server with the site and the records of the one that was recorded, as far as the recordings
//! show them. It lives as long as the replay: what one exchange changes, the next one finds.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use guantong_core::admin::authenticate::Pending;
use guantong_core::admin::session::{Rejected, SESSION_BIT, Session, SharedSession};
use guantong_core::admin::{
    Challenge, Chance, Errand, Follow, Ground, Kept, LIST_PAGE_LEN, Listed, Next, Order, Rules,
    StoredRecord, Tables, Wanted, Write, Written,
};
use guantong_core::authority::{
    self, Answered, Demand, Homed, Moment, RecordView, Recursion, Signer, Site,
};
use guantong_proto::crypto::{SigningKey, credential};
use guantong_proto::data::site::Site as SiteRecord;
use guantong_proto::message::{Body, Envelope, Message, OpCode, Request, Response, Version};
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, HandleRef, Key, Permissions, Value, Values};
use ring::rand::SystemRandom;

use crate::vectors::{Vectors, unhex};

const RULE: CaseRule = CaseRule::Insensitive;
/// Whose keys the recorded administrator used.
pub(crate) const ADMIN: &str = "0.NA/20.500.12345";

/// A record: spelling, version, values.
type Stored = (Handle, u64, Vec<u8>);

pub(crate) struct Recorded {
    pub(crate) site: Site,
    rules: Rules,
    records: HashMap<Key, Stored>,
    pub(crate) memory: Memory,
    version: u64,
}

/// What lasts from one exchange to the next.
#[derive(Default)]
pub(crate) struct Memory {
    challenges: RefCell<HashMap<i32, Pending>>,
    sessions: RefCell<HashMap<i32, SharedSession>>,
}

impl Memory {
    /// Puts a session under its id.
    pub(crate) fn keep(&self, id: i32, session: Session) -> SharedSession {
        let session = Arc::new(Mutex::new(session));
        self.sessions.borrow_mut().insert(id, session.clone());
        session
    }
}

impl Tables for Memory {
    fn take_challenge(&self, id: i32) -> Option<Pending> {
        self.challenges.borrow_mut().remove(&id)
    }

    fn session(&self, id: i32) -> Option<SharedSession> {
        self.sessions.borrow().get(&id).cloned()
    }

    fn open(&self, session: Session) -> Result<i32, Rejected> {
        self.keep(SESSION_BIT, session);
        Ok(SESSION_BIT)
    }

    fn bind(&self, id: i32, login: Session) -> Result<SharedSession, Rejected> {
        Ok(self.keep(id, login))
    }

    fn end(&self, id: i32) {
        self.sessions.borrow_mut().remove(&id);
    }
}

impl Recorded {
    pub(crate) fn new(vectors: &Vectors) -> Self {
        let admin = vec![format!("300:{ADMIN}").parse().unwrap()];
        let mut recorded = Self {
            site: site(vectors),
            rules: Rules {
                server_admins: admin.clone(),
                replication_admins: admin,
                ..Rules::default()
            },
            records: HashMap::new(),
            memory: Memory::default(),
            version: 0,
        };
        let exchanges = vectors.exchanges();
        let packets = exchanges.iter().map(|exchange| exchange.response.clone());
        for packet in packets.chain(decrypted(vectors)) {
            recorded.learn_record(&packet);
        }
        for exchange in &exchanges {
            if let Some(request) = &exchange.request {
                recorded.learn_referral(request, &exchange.response);
            }
        }
        recorded.learn_secret();
        recorded
    }

    fn learn_record(&mut self, packet: &[u8]) {
        let Ok(message) = Message::decode(packet) else {
            return;
        };
        if message.header.op != OpCode::RESOLVE {
            return;
        }
        if let Ok(Response {
            body: Body::Record { handle, values },
            ..
        }) = Response::of(&message)
            && let Ok(handle) = HandleRef::from_wire(handle)
        {
            self.learn(handle, values);
        }
    }

    /// The longest list of values seen is the record.
    fn learn(&mut self, handle: HandleRef<'_>, values: Values<'_>) {
        let known = self.records.get(&handle.key(RULE));
        let known = known.map_or(0, |(_, _, wire)| Values::from_wire(wire).unwrap().len());
        if values.len() > known {
            self.put(&handle.expanded(), values.wire().to_vec());
        }
    }

    /// The values of a prefix referral are in the nearest parent whose record is not seen
    /// elsewhere.
    fn learn_referral(&mut self, request: &[u8], response: &[u8]) {
        let (Ok(request), Ok(response)) = (Message::decode(request), Message::decode(response))
        else {
            return;
        };
        let Ok(Response {
            body:
                Body::Referral {
                    values: Some(values),
                    ..
                },
            ..
        }) = Response::of(&response)
        else {
            return;
        };
        let Ok(Request::Resolve(resolve)) = Request::of(&request) else {
            return;
        };
        let handle = HandleRef::from_wire(resolve.handle).unwrap();
        let mut parents = std::iter::successors(handle.parent(), |parent| parent.parent());
        if let Some(parent) = parents.find(|parent| !self.records.contains_key(&parent.key(RULE))) {
            self.learn(parent, values);
        }
    }

    /// The secret key of the administrator is in no recorded reply; it is known from the vectors.
    fn learn_secret(&mut self) {
        let admin = Handle::parse(ADMIN).unwrap();
        let Some((_, _, wire)) = self.records.get(&admin.key(RULE)) else {
            return;
        };
        let mut values = Values::from_wire(wire).unwrap().to_vec().unwrap();
        if values.iter().all(|value| value.kind != "HS_SECKEY") {
            values.push(Value {
                permissions: Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE),
                ..Value::new(301, "HS_SECKEY", "password")
            });
        }
        self.put(&admin, Writer::to_vec(|w| Values::encode(&values, w)));
    }

    /// A server with that site, which homes this prefix alone and knows nothing yet.
    pub(crate) fn homing(vectors: &Vectors, prefix: &str) -> Self {
        let mut server = Self::new(vectors);
        let record = server.site.record().to_vec();
        let id = SiteRecord::decode(&record).unwrap().servers[0].id;
        let homed = Homed::new(&[Handle::of_prefix(prefix).unwrap()]);
        server.site = Site::new(record, id, RULE, homed).unwrap();
        server.records.clear();
        server
    }

    /// Lets anybody change anything.
    pub(crate) fn open_to_all(&mut self) {
        self.rules.anonymous_admin_full_access = true;
    }

    pub(crate) fn put_values(&mut self, handle: &str, values: &[Value]) {
        let wire = Writer::to_vec(|w| Values::encode(values, w));
        self.put(&Handle::parse(handle).unwrap(), wire);
    }

    fn put(&mut self, handle: &Handle, values: Vec<u8>) {
        self.version += 1;
        let stored = (handle.clone(), self.version, values);
        self.records.insert(handle.key(RULE), stored);
    }

    //--- Answering

    /// Answers a request. A challenge gets the id and the nonce of `draw`.
    pub(crate) fn answer(&mut self, request: &[u8], now_secs: u32, draw: Challenge) -> Vec<u8> {
        let (mut key, mut out) = (Vec::new(), Vec::new());
        let mut kept = None;
        let mut challenge = |demand: Demand<'_>| {
            let request = Kept::of(demand.envelope, demand.octets).unwrap();
            kept = Some(Pending::new(draw.nonce, request));
            draw
        };
        let mut moment = Moment {
            now_secs,
            challenge: &mut challenge,
            recursion: Recursion::Denied,
        };
        let fetch = |key: &[u8]| {
            let found = self.records.iter().find(|(name, _)| name.as_bytes() == key);
            Ok::<_, Infallible>(found.map(|(_, (_, _, wire))| wire))
        };
        let answered = authority::answer(
            &self.site,
            request,
            &mut moment,
            &mut key,
            &mut out,
            fetch,
            |wire| RecordView {
                handle: "",
                values: wire,
                all_public: false,
            },
        );
        if matches!(answered.unwrap(), Answered::HandOver) {
            let chance = Chance {
                suffix: [1; 16],
                nonce: draw.nonce,
                seal: [3; 16],
                exponent: [4; 32],
            };
            match Errand::new(request, chance, &self.memory) {
                Ok(mut errand) => {
                    while let Some(order) = self.drive(&mut errand, &mut moment, &mut out) {
                        errand.written(self.write(order));
                    }
                }
                Err(refusal) => refusal.reply(&self.site, &moment, &mut out),
            }
        }
        if let Some(pending) = kept {
            self.memory
                .challenges
                .borrow_mut()
                .insert(draw.session_id, pending);
        }
        out
    }

    /// Goes on until something is to be written.
    fn drive(
        &self,
        errand: &mut Errand,
        moment: &mut Moment<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Order> {
        let ground = Ground {
            site: &self.site,
            rules: &self.rules,
            now_secs: moment.now_secs,
            tables: &self.memory,
        };
        loop {
            match errand.step(&ground, moment, out) {
                Next::Fetch(wanted) => errand.learn(&self.site, &wanted, self.fetch(&wanted)),
                Next::Confirm(_) => errand.confirmed(Err("nobody is asked".to_owned())),
                Next::Write(order) => return Some(order),
                Next::List(listing) => {
                    for page in self.listed(listing.listed()).chunks(LIST_PAGE_LEN) {
                        listing.page(&self.site, page, Follow::End, moment, out);
                    }
                    return None;
                }
                Next::Stream(stream) => {
                    stream.accept(&self.site, &[0], moment, out);
                    return None;
                }
                Next::Done => return None,
            }
        }
    }

    fn fetch(&self, wanted: &Wanted) -> Option<StoredRecord> {
        let (handle, version, wire) = self.records.get(&wanted.handle.key(RULE))?;
        Some(StoredRecord::new(handle.clone(), *version, wire).unwrap())
    }

    fn write(&mut self, order: Order) -> Written {
        match order.write {
            Write::Put { handle, values, .. } => self.put(&handle, values),
            Write::Delete { handle, .. } => drop(self.records.remove(&handle.key(RULE))),
            Write::Home { .. } | Write::Unhome { .. } => {}
        }
        Written::Done
    }

    /// As the recorded server lists: in the order of folded names, folded.
    fn listed(&self, listed: &Listed) -> Vec<Handle> {
        let fold = |name: &str| Handle::parse(&name.to_ascii_uppercase()).unwrap();
        let mut handles: Vec<Handle> = match listed {
            Listed::Homed => ["0.NA/0.NA", "0.NA/20.500", ADMIN].map(fold).to_vec(),
            Listed::Prefix(prefix) => {
                let prefix = prefix.borrow().suffix().to_ascii_uppercase();
                let names = self
                    .records
                    .values()
                    .map(|(handle, _, _)| fold(handle.as_str()));
                names
                    .filter(|name| name.borrow().prefix() == prefix)
                    .collect()
            }
        };
        handles.sort();
        handles
    }
}

/// Packets of replies that went out encrypted; the file has their clear form without envelope.
fn decrypted(vectors: &Vectors) -> Vec<Vec<u8>> {
    let packet = |name: &String| {
        let octets = vectors.octets(name)?;
        let start = Envelope::new(Version::OURS, 0);
        let len = i32::try_from(octets.len()).ok()?;
        let mut packet = Vec::new();
        Envelope {
            message_len: len,
            ..start
        }
        .encode(&mut Writer::new(&mut packet));
        packet.extend_from_slice(&octets);
        Some(packet)
    };
    vectors
        .names("live-", "-decrypted")
        .iter()
        .filter_map(packet)
        .collect()
}

fn site(vectors: &Vectors) -> Site {
    let packet = vectors.octets("live-siteinfo-response").unwrap();
    let record = Message::decode(&packet).unwrap().body.to_vec();
    let server = SiteRecord::decode(&record).unwrap().servers[0].id;
    let packet = vectors.octets("live-listhomed-2-response").unwrap();
    let message = Message::decode(&packet).unwrap();
    let Ok(Response {
        body: Body::Handles(handles),
        ..
    }) = Response::of(&message)
    else {
        panic!()
    };
    let homed: Vec<Handle> = handles
        .iter()
        .map(|h| Handle::from_wire(h).unwrap())
        .collect();
    let site = Site::new(record, server, RULE, Homed::new(&homed)).unwrap();
    let key = key(vectors, "hs-pubkey-rsa");
    site.with_signer(Signer::new(move |message| {
        credential::sign(message, 0, &key, &SystemRandom::new()).ok()
    }))
}

/// One of the throw-away keys of the vector file.
pub(crate) fn key(vectors: &Vectors, name: &str) -> SigningKey {
    let pkcs8 = vectors.field(name, "testPrivateKeyPkcs8").unwrap();
    SigningKey::from_pkcs8(&unhex(pkcs8), &SystemRandom::new()).unwrap()
}
