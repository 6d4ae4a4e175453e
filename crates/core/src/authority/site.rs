//! What a node knows of itself when it answers.

use std::collections::HashSet;
use std::fmt;

use foldhash::fast::RandomState;
use guantong_proto::data::site::{
    HashOption, Interface, Server as ServerRecord, Site as SiteRecord,
};
use guantong_proto::message::Message;
use guantong_proto::{CaseRule, DecodeError, Handle, HandleRef};

use super::outcome::Misdirected;
use super::record::Selected;

/// Prefix of all prefix handles.
pub(super) const NAMING_AUTHORITY: &[u8] = b"0.NA";

//----------- Site -----------------------------------------------------------

/// An immutable snapshot of one server: its site record, its place in it, what is homed.
///
/// The shell makes a new one when any of it changes.
#[derive(Debug)]
pub struct Site {
    /// The site record in wire form, as GET_SITE_INFO answers it.
    record: Box<[u8]>,
    serial: u16,
    primary: bool,
    hash_option: HashOption,
    servers: usize,
    /// Position of this server in the site.
    position: usize,
    /// This server, as the record describes it.
    server: ServerRecord,
    case_rule: CaseRule,
    homed: Homed,
    signer: Option<Signer>,
}

impl Site {
    /// The snapshot of server `server_id` in the site that `record` (data of HS_SITE) describes.
    pub fn new(
        record: Vec<u8>,
        server_id: i32,
        case_rule: CaseRule,
        homed: Homed,
    ) -> Result<Self, SiteError> {
        let site = SiteRecord::decode(&record).map_err(SiteError::Record)?;
        let position = site
            .servers
            .iter()
            .position(|server| server.id == server_id);
        let Some(position) = position else {
            let known = site.servers.iter().map(|server| server.id).collect();
            return Err(SiteError::UnknownServer { server_id, known });
        };
        Ok(Self {
            serial: site.serial,
            primary: site.is_primary() || site.is_multi_primary(),
            hash_option: site.hash_option,
            servers: site.servers.len(),
            position,
            server: site.servers[position].clone(),
            record: record.into(),
            case_rule,
            homed,
            signer: None,
        })
    }

    /// The same site with a key that signs certified answers.
    #[must_use]
    pub fn with_signer(mut self, signer: Signer) -> Self {
        self.signer = Some(signer);
        self
    }

    /// What signs certified answers; `None` if this node signs nothing.
    pub(super) fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    /// The site record in wire form.
    pub fn record(&self) -> &[u8] {
        &self.record
    }

    /// Serial of the site record.
    pub fn serial(&self) -> u16 {
        self.serial
    }

    /// Whether the site takes changes.
    pub fn is_primary(&self) -> bool {
        self.primary
    }

    /// How names fold.
    pub fn case_rule(&self) -> CaseRule {
        self.case_rule
    }

    /// The homed prefixes.
    pub fn homed(&self) -> &Homed {
        &self.homed
    }

    /// Whether this server is in one of the sites among these values: whoever is sent there by us
    /// would come back.
    pub(super) fn is_among(&self, values: &Selected<'_>) -> bool {
        values.iter().any(|value| {
            SiteRecord::decode(value.data)
                .is_ok_and(|site| site.servers.iter().any(|server| self.is(server)))
        })
    }

    /// Whether it is this server: the same address, and one of its ports. The key does not tell,
    /// since nodes that were made from one image may share it.
    fn is(&self, server: &ServerRecord) -> bool {
        let own = &self.server;
        let has_port = |interface: &Interface| {
            let mut others = server.interfaces.iter();
            others.any(|other| other.port == interface.port)
        };
        own.address == server.address && own.interfaces.iter().any(has_port)
    }

    /// Whether we answer for `handle`, whether or not there is such a record.
    pub fn is_responsible(&self, handle: HandleRef<'_>) -> Result<(), Misdirected> {
        self.responsibility(handle).map(|_| ())
    }

    /// Why we answer for `handle`, whether or not there is such a record.
    pub(crate) fn responsibility(
        &self,
        handle: HandleRef<'_>,
    ) -> Result<Responsibility, Misdirected> {
        let key = handle.key(self.case_rule);
        super::lookup::responsibility(self, handle, key.as_bytes())
    }

    /// Whether this server of the site is the one that holds `handle` (5.4).
    pub fn holds(&self, handle: HandleRef<'_>) -> bool {
        self.hash_option.server_position(handle, self.servers) == Some(self.position)
    }
}

//----------- Signer ---------------------------------------------------------

/// Makes the credential of a message with the server's key.
///
/// Signing draws random octets, and the key may live in a device, so the shell brings the function.
pub struct Signer(Box<SignFn>);

type SignFn = dyn Fn(&Message<'_>) -> Option<Vec<u8>> + Send + Sync;

impl Signer {
    /// A signer that calls `sign`. It gets the reply without credential and returns the credential
    /// (without its length), or `None` if it fails; the reply then goes out unsigned.
    pub fn new(sign: impl Fn(&Message<'_>) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self(Box::new(sign))
    }

    pub(super) fn credential(&self, message: &Message<'_>) -> Option<Vec<u8>> {
        (self.0)(message)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

//----------- Homed ----------------------------------------------------------

/// The prefixes that a node is responsible for.
///
/// A prefix that is homed with a dot at its end, such as `88.118.`, is homed for its derived
/// prefixes only (5.5, 6.7): the node answers for `0.NA/88.118.5`, and neither for `88.118/x` nor
/// for `0.NA/88.118`. That is what a node needs that delegates for somebody else's prefix. The dot
/// means here what it means in a type (4.4), and no name that people give ends in one.
#[derive(Clone, Debug, Default)]
pub struct Homed {
    /// Folded prefixes, without `0.NA/`.
    prefixes: HashSet<Box<[u8]>, RandomState>,
    /// Those of which only the derived prefixes are homed, with their dot.
    families: HashSet<Box<[u8]>, RandomState>,
    /// Octets of the longest of them: longer names need not be looked up, which bounds what a name
    /// of a thousand dots costs.
    longest: usize,
}

/// Why a node answers for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Responsibility {
    /// The prefix is homed, or the name is a prefix derived from a homed one.
    Homed,
    /// The name is the prefix record of a homed prefix. It belongs to the parent; we may hold a
    /// copy.
    OwnPrefix,
}

impl Homed {
    /// Homes prefix handles; a name that is no prefix handle is not taken.
    pub fn new<'a>(prefix_handles: impl IntoIterator<Item = &'a Handle>) -> Self {
        let prefixes = prefix_handles
            .into_iter()
            .filter(|handle| handle.borrow().is_prefix_handle())
            .map(|handle| -> Box<[u8]> {
                let key = handle.key(CaseRule::Insensitive);
                key.as_bytes()[NAMING_AUTHORITY.len() + 1..].into()
            });
        let (families, prefixes): (HashSet<_, _>, HashSet<_, _>) =
            prefixes.partition(|prefix| prefix.ends_with(b"."));
        let longest = prefixes.iter().chain(&families).map(|prefix| prefix.len());
        Self {
            longest: longest.max().unwrap_or(0),
            prefixes,
            families,
        }
    }

    /// Number of homed prefixes, those included of which only the derived prefixes are.
    pub fn len(&self) -> usize {
        self.prefixes.len() + self.families.len()
    }

    /// Whether nothing is homed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the folded prefix, without `0.NA/`, is homed.
    pub fn has(&self, prefix: &[u8]) -> bool {
        self.prefixes.contains(prefix)
    }

    /// Why we answer for the record of a folded, expanded name; `None` if we do not.
    pub(super) fn responsibility(&self, key: &[u8]) -> Option<Responsibility> {
        let (prefix, suffix) = split_key(key)?;
        let global = prefix == b"0" || prefix.starts_with(b"0.");
        if self.has(prefix) || global && self.has(NAMING_AUTHORITY) {
            return Some(Responsibility::Homed);
        }
        if prefix != NAMING_AUTHORITY {
            return None;
        }
        let mut name = suffix;
        while let Some(dot) = name.iter().rposition(|&c| c == b'.') {
            let family = &name[..=dot];
            name = &name[..dot];
            if name.len() <= self.longest && (self.has(name) || self.families.contains(family)) {
                return Some(Responsibility::Homed);
            }
        }
        self.has(suffix).then_some(Responsibility::OwnPrefix)
    }

    /// Turns the folded name `P/s` into the name of its prefix record, `0.NA/P`. Says whether we
    /// answer for that record; never for that of a global name.
    pub(super) fn to_prefix_key(&self, key: &mut Vec<u8>) -> bool {
        let Some((prefix, _)) = split_key(key) else {
            return false;
        };
        if prefix == b"0" || prefix.starts_with(b"0.") {
            return false;
        }
        key.truncate(prefix.len());
        key.splice(..0, *b"0.NA/");
        self.responsibility(key) == Some(Responsibility::Homed)
    }
}

/// Prefix and suffix of a folded name.
fn split_key(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = key.iter().position(|&c| c == b'/')?;
    Some((&key[..slash], &key[slash + 1..]))
}

//----------- SiteError ------------------------------------------------------

/// Why a site record cannot be ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SiteError {
    /// The record does not decode.
    #[error("the site record is damaged: {0}")]
    Record(#[source] DecodeError),
    /// The record has no server of that id.
    #[error("the site record has no server {server_id}, it has {known:?}")]
    UnknownServer {
        /// The id that was looked for.
        server_id: i32,
        /// The ids that are there.
        known: Vec<i32>,
    },
}
