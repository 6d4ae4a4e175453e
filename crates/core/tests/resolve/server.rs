//! Servers of the virtual network: honest ones, and ones that lie in a way that can be told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use guantong_proto::crypto::hash::request_digest;
use guantong_proto::crypto::{SigningKey, credential};
use guantong_proto::data::Site;
use guantong_proto::data::site::{
    HashOption, Interface, InterfaceKind, Protocol, Server as Machine,
};
use guantong_proto::message::{
    Body, Digest, HashId, Header, Message, OpFlags, Request, Resolve, Response, ResponseCode,
    ResponseLayout, Version,
};
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, HandleRef, Value, Values};
use ring::rand::SystemRandom;

pub(crate) const NATIVE_PORT: u16 = 2641;
pub(crate) const HTTP_PORT: u16 = 8000;
pub(crate) const HTTPS_PORT: u16 = 8443;

//----------- Server ---------------------------------------------------------

/// One machine.
pub(crate) struct Server {
    pub(crate) ip: IpAddr,
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) takes_ms: u64,
    pub(crate) is_signing: bool,
    pub(crate) is_mirror: bool,
    /// Serial that it tells; its site record may say another.
    pub(crate) serial: u16,
    pub(crate) version: (u8, u8),
    /// Prefixes; none means that it answers for every name.
    pub(crate) homes: Vec<String>,
    /// Records by folded name: the values in the words of the scenario.
    pub(crate) records: BTreeMap<Vec<u8>, Vec<Stored>>,
    pub(crate) silent: BTreeSet<u8>,
    /// Connections to it are refused.
    pub(crate) refuses: BTreeSet<u8>,
    /// Datagrams that it will lose.
    pub(crate) loses: u32,
    pub(crate) codes: Vec<Fixed>,
    pub(crate) referrals: Vec<Fixed>,
    pub(crate) lie: Option<Lie>,
    /// The truth follows the lie.
    pub(crate) lies_first: bool,
    pub(crate) asked: u32,
}

/// A value; the data of site types is the name of a site.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) value: Value,
    pub(crate) site: Option<String>,
}

/// A reply that does not come from a record.
#[derive(Clone, Debug)]
pub(crate) struct Fixed {
    pub(crate) code: i32,
    /// The handle that it is for; none for every handle.
    pub(crate) handle: Option<String>,
    pub(crate) protocol: Option<Protocol>,
    /// Text of an error, or the handle of a referral.
    pub(crate) text: String,
    /// Sites of a referral.
    pub(crate) sites: Vec<String>,
}

/// What is wrong with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    Id,
    Peer,
    Socket,
    Digest,
    NoDigest,
    Handle,
    Expired,
    Garbage,
    Unsigned,
    Signature,
    Half,
}

impl Lie {
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "wrong-id" => Self::Id,
            "wrong-peer" => Self::Peer,
            "wrong-socket" => Self::Socket,
            "wrong-digest" => Self::Digest,
            "no-digest" => Self::NoDigest,
            "wrong-handle" => Self::Handle,
            "expired" => Self::Expired,
            "garbage" => Self::Garbage,
            "unsigned" => Self::Unsigned,
            "wrong-signature" => Self::Signature,
            "half" => Self::Half,
            _ => return None,
        })
    }
}

impl Server {
    pub(crate) fn new(ip: IpAddr) -> Self {
        Self {
            ip,
            protocols: vec![Protocol::UDP, Protocol::TCP],
            takes_ms: 10,
            is_signing: false,
            is_mirror: false,
            serial: 1,
            version: (2, 11),
            homes: Vec::new(),
            records: BTreeMap::new(),
            silent: BTreeSet::new(),
            refuses: BTreeSet::new(),
            loses: 0,
            codes: Vec::new(),
            referrals: Vec::new(),
            lie: None,
            lies_first: false,
            asked: 0,
        }
    }

    pub(crate) fn address(&self, protocol: Protocol) -> SocketAddr {
        let port = match protocol {
            Protocol::HTTP => HTTP_PORT,
            Protocol::HTTPS => HTTPS_PORT,
            _ => NATIVE_PORT,
        };
        SocketAddr::new(self.ip, port)
    }

    pub(crate) fn machine(&self, id: i32) -> Machine {
        let interfaces = self.protocols.iter().map(|protocol| Interface {
            kind: InterfaceKind::BOTH,
            protocol: *protocol,
            port: i32::from(self.address(*protocol).port()),
        });
        Machine {
            id,
            address: self.ip,
            public_key: match self.is_signing {
                true => key().public_key().encode(),
                false => Vec::new(),
            },
            interfaces: interfaces.collect(),
        }
    }
}

/// The throw-away key of all servers.
pub(crate) fn key() -> SigningKey {
    use std::sync::OnceLock;
    static DER: OnceLock<Vec<u8>> = OnceLock::new();
    let der = DER.get_or_init(|| {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../test-data/wire/handle-vectors.json"
        );
        let text = std::fs::read(path).expect("the vectors come with the sources");
        let vectors: Vec<serde_json::Value> = serde_json::from_slice(&text).expect("JSON");
        let vector = vectors.iter().find(|v| v["name"] == "hs-pubkey-rsa");
        let hex = vector.expect("the vector is there")["fields"]["testPrivateKeyPkcs8"]
            .as_str()
            .expect("it has a private key");
        let octet = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
        (0..hex.len()).step_by(2).map(octet).collect()
    });
    SigningKey::from_pkcs8(der, &SystemRandom::new()).expect("the key can sign")
}

//----------- Sites ----------------------------------------------------------

/// A set of servers by name.
#[derive(Clone, Debug)]
pub(crate) struct SiteOf {
    pub(crate) servers: Vec<String>,
    pub(crate) hash: HashOption,
}

/// The site record of `name`: a site, or a server that is one alone.
pub(crate) fn site_record(
    name: &str,
    servers: &BTreeMap<String, Server>,
    sites: &BTreeMap<String, SiteOf>,
) -> Site {
    let alone = SiteOf {
        servers: vec![name.to_owned()],
        hash: HashOption::Whole,
    };
    let site = sites.get(name).unwrap_or(&alone);
    let machines: Vec<Machine> = (1..)
        .zip(&site.servers)
        .map(|(id, name)| {
            let server = servers.get(name);
            server
                .unwrap_or_else(|| panic!("no server {name}"))
                .machine(id)
        })
        .collect();
    let first = &servers[&site.servers[0]];
    Site {
        protocol: first.version,
        serial: first.serial,
        flags: if first.is_mirror { 0 } else { Site::PRIMARY },
        hash_option: site.hash,
        servers: machines,
        ..Site::default()
    }
}

//----------- Replies --------------------------------------------------------

/// What a server makes of a request.
pub(crate) struct Answered {
    pub(crate) code: ResponseCode,
    pub(crate) text: String,
    pub(crate) values: Vec<Value>,
}

impl Answered {
    pub(crate) fn code(code: i32, text: &str) -> Self {
        Self {
            code: ResponseCode(code),
            text: text.to_owned(),
            values: Vec::new(),
        }
    }
}

/// The honest answer to `resolve`, with the values of site types already encoded by `encode`.
pub(crate) fn answer(
    server: &Server,
    protocol: Protocol,
    resolve: &Resolve<'_>,
    flags: OpFlags,
    encode: &dyn Fn(&Stored) -> Value,
) -> Answered {
    let handle = HandleRef::from_wire(resolve.handle).expect("the resolver asks for handles");
    let fits = |fixed: &&Fixed| {
        fixed.protocol.is_none_or(|p| p == protocol)
            && fixed
                .handle
                .as_ref()
                .is_none_or(|h| h.eq_ignore_ascii_case(handle.as_str()))
    };
    if let Some(fixed) = server.codes.iter().find(fits) {
        return Answered::code(fixed.code, &fixed.text);
    }
    if let Some(fixed) = server.referrals.iter().find(fits) {
        let kind = if fixed.code == 303 {
            "HS_SITE.PREFIX"
        } else {
            "HS_SITE"
        };
        let values = (1..).zip(&fixed.sites).map(|(index, site)| {
            encode(&Stored {
                value: Value::new(index, kind, ""),
                site: Some(site.clone()),
            })
        });
        return Answered {
            values: values.collect(),
            ..Answered::code(fixed.code, &fixed.text)
        };
    }
    if !is_home(server, handle) {
        return Answered::code(301, "not homed here");
    }
    let found = server
        .records
        .get(handle.key(CaseRule::Sensitive).as_bytes());
    let Some(stored) = found else {
        return referral(server, handle, flags, encode)
            .unwrap_or_else(|| Answered::code(100, "no such handle"));
    };
    let is_withdrawn = stored.iter().any(|s| s.value.is_state());
    if is_withdrawn && !asks_for_state(stored, resolve) {
        return Answered::code(100, "withdrawn");
    }
    let values: Vec<Value> = stored
        .iter()
        .filter(|s| !is_withdrawn || s.value.is_state())
        .filter(|s| resolve.selects(s.value.index, s.value.kind.as_bytes()))
        .filter(|s| !flags.has(OpFlags::PUBLIC_ONLY) || s.value.permissions.public_read())
        .map(encode)
        .collect();
    if values.is_empty() {
        return Answered::code(200, "");
    }
    if values.iter().any(|value| !value.permissions.public_read()) {
        return Answered::code(401, "restricted");
    }
    Answered {
        values,
        ..Answered::code(1, "")
    }
}

/// Whether the state of a withdrawn record is asked for, which is all that is shown of it.
fn asks_for_state(stored: &[Stored], resolve: &Resolve<'_>) -> bool {
    let mut states = stored.iter().filter(|s| s.value.is_state());
    let is_wanted = |s: &Stored| resolve.selects(s.value.index, s.value.kind.as_bytes());
    resolve.is_selective() && states.any(is_wanted)
}

fn is_home(server: &Server, handle: HandleRef<'_>) -> bool {
    let within = |prefix: &str| {
        let own = Handle::of_prefix(prefix).expect("it is a prefix");
        let (own, key) = (
            own.key(CaseRule::Insensitive),
            handle.key(CaseRule::Insensitive),
        );
        let derived = [own.as_bytes(), b"."].concat();
        handle.prefix().eq_ignore_ascii_case(prefix)
            || key == own
            || handle.is_prefix_handle() && key.as_bytes().starts_with(&derived)
    };
    server.homes.is_empty() || server.homes.iter().any(|prefix| within(prefix))
}

/// The prefix referral of the nearest parent that has one.
fn referral(
    server: &Server,
    handle: HandleRef<'_>,
    flags: OpFlags,
    encode: &dyn Fn(&Stored) -> Value,
) -> Option<Answered> {
    if flags.has(OpFlags::DO_NOT_REFER) {
        return None;
    }
    let mut parent = handle.parent();
    while let Some(name) = parent {
        if let Some(stored) = server.records.get(name.key(CaseRule::Sensitive).as_bytes()) {
            let derived = |s: &&Stored| {
                let kind = s.value.kind.as_str();
                ["HS_SITE.PREFIX", "HS_NA_DELEGATE", "HS_SERV.PREFIX"].contains(&kind)
            };
            let values: Vec<Value> = stored.iter().filter(derived).map(encode).collect();
            if !values.is_empty() {
                return Some(Answered {
                    values,
                    ..Answered::code(303, "")
                });
            }
        }
        parent = name.parent();
    }
    None
}

/// The reply packet, with what `lie` makes wrong.
pub(crate) fn reply(
    server: &Server,
    asked: &Message<'_>,
    answered: &Answered,
    lie: Option<Lie>,
    now_secs: u32,
) -> Vec<u8> {
    let Ok(Request::Resolve(resolve)) = Request::of(asked) else {
        panic!("the resolver resolves")
    };
    let version = asked.envelope.answer_version();
    let mut flags = asked.header.flags.without(OpFlags::AUTHORITATIVE);
    if !server.is_mirror {
        flags = flags.with(OpFlags::AUTHORITATIVE);
    }
    if lie == Some(Lie::NoDigest) {
        flags = flags.without(OpFlags::RETURN_DIGEST);
    }
    let hash = HashId::of_version(version);
    let mut digest = request_digest(hash, asked);
    if lie == Some(Lie::Digest) {
        digest[0] ^= 1;
    }
    let handle = match lie {
        Some(Lie::Handle) => b"1/forged".as_slice(),
        _ => resolve.handle,
    };
    let values = Writer::to_vec(|w| Values::encode(&answered.values, w));
    let values = Values::from_wire(&values).expect("they were just encoded");
    let body = match answered.code.0 {
        1 => Body::Record { handle, values },
        302 | 303 => Body::Referral {
            handle: answered.text.as_bytes(),
            values: (!answered.values.is_empty()).then_some(values),
        },
        _ => Body::Error {
            text: answered.text.as_bytes(),
            rest: &[],
        },
    };
    let response = Response {
        digest: flags.has(OpFlags::RETURN_DIGEST).then_some(Digest {
            hash,
            octets: &digest,
        }),
        body,
    };
    packet(
        server,
        asked,
        (version, flags, answered.code),
        &response,
        lie,
        now_secs,
    )
}

fn packet(
    server: &Server,
    asked: &Message<'_>,
    (version, flags, code): (Version, OpFlags, ResponseCode),
    response: &Response<'_>,
    lie: Option<Lie>,
    now_secs: u32,
) -> Vec<u8> {
    let layout = ResponseLayout {
        op: asked.header.op,
        code,
        flags,
        version,
    };
    let body = Writer::to_vec(|w| response.encode(layout, w));
    let mut envelope = asked.envelope;
    envelope.version = version;
    envelope.suggested = Version::OURS;
    if lie == Some(Lie::Id) {
        envelope.request_id ^= 1;
    }
    let header = Header {
        code,
        flags,
        site_serial: server.serial,
        expiration: match lie {
            Some(Lie::Expired) => now_secs - 3_600,
            _ => now_secs + 43_200,
        },
        body_len: i32::try_from(body.len()).expect("bodies are short"),
        ..asked.header
    };
    let mut message = Message {
        envelope,
        header,
        body: &body,
        credential: Some(&[]),
    };
    let signs = flags.has(OpFlags::CERTIFIED) && server.is_signing;
    let mut signature = match signs && lie != Some(Lie::Unsigned) {
        true => credential::sign(&message, 0, &key(), &SystemRandom::new()).expect("it signs"),
        false => Vec::new(),
    };
    if lie == Some(Lie::Signature)
        && let Some(last) = signature.last_mut()
    {
        *last ^= 1;
    }
    message.credential = Some(&signature);
    let mut out = Vec::new();
    message.encode(&mut out);
    if lie == Some(Lie::Garbage) {
        out.truncate(40);
    }
    out
}
