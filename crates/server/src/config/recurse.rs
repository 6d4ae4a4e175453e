//! The section `[recurse]` as the node understands it.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use guantong_core::resolve::{CacheSettings, RootRefresh, Settings};
use guantong_core::trust::Demand;
use ipnet::IpNet;

use super::unit::{Size, Span, Verify};
use super::v1;

//----------- RecurseConfig --------------------------------------------------

/// For whom the node resolves, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct RecurseConfig {
    /// Networks for which the node resolves names that live elsewhere; none: it does not recurse.
    pub allow: Vec<IpNet>,
    /// Where resolution begins.
    pub root: Option<Root>,
    /// Octets of the cache.
    pub cache: Size,
    /// Where the cache is kept while the node does not run.
    pub cache_file: Option<PathBuf>,
    /// How long it is remembered that something does not exist.
    pub negative_ttl: Span,
    /// How long past its time an answer may be given when nobody can be asked.
    pub stale: Span,
    /// How long an answer is kept at most.
    pub ttl_max: Span,
    /// Whether answers that are asked for often are renewed before their time is over.
    pub prefetch: bool,
    /// Time for one question.
    pub timeout: Span,
    /// Questions under way at most.
    pub pending_max: u32,
    /// Whether records are judged before they are given away.
    pub verify: Verify,
    /// UDP sockets.
    pub sockets: u16,
}

/// Where resolution begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// A file of one of the known forms.
    File(PathBuf),
    /// Servers of the root.
    Addresses(Vec<SocketAddr>),
}

impl RecurseConfig {
    pub(super) fn of(spec: v1::Recurse, folder: &Path) -> Self {
        let addresses = Some(spec.root_addresses).filter(|addresses| !addresses.is_empty());
        let file = spec.root.map(|path| Root::File(folder.join(path)));
        Self {
            allow: spec.allow,
            root: file.or(addresses.map(Root::Addresses)),
            cache: spec.cache,
            cache_file: spec.cache_file.map(|path| folder.join(path)),
            negative_ttl: spec.negative_ttl,
            stale: spec.stale,
            ttl_max: spec.ttl_max,
            prefetch: spec.prefetch,
            timeout: spec.timeout,
            pending_max: spec.pending_max,
            verify: spec.verify,
            sockets: spec.sockets,
        }
    }

    /// Whether the node recurses at all.
    pub fn is_on(&self) -> bool {
        !self.allow.is_empty()
    }

    /// Whether the node resolves for `peer`.
    pub fn allows(&self, peer: IpAddr) -> bool {
        self.allow.iter().any(|network| network.contains(&peer))
    }

    /// What the resolver is told.
    pub fn settings(&self) -> Settings {
        Settings {
            sockets: self.sockets,
            timeout_ms: self.timeout.0,
            pending_max: usize::try_from(self.pending_max).unwrap_or(usize::MAX),
            root_refresh: RootRefresh::Daily,
            ..Settings::default()
        }
    }

    /// What is demanded of a record before it is given away; `None`: nothing.
    pub fn demand(&self) -> Option<Demand> {
        match self.verify {
            Verify::Off => None,
            Verify::IfSigned => Some(Demand::IfSigned),
            Verify::Required => Some(Demand::Required),
        }
    }

    /// What the cache is told.
    pub fn cache_settings(&self) -> CacheSettings {
        CacheSettings {
            octets: self.cache.0,
            ttl_max_secs: secs(self.ttl_max),
            negative_ttl_secs: secs(self.negative_ttl),
            stale_secs: secs(self.stale),
            ..CacheSettings::default()
        }
    }
}

fn secs(span: Span) -> u32 {
    u32::try_from(span.0.div_ceil(1_000)).unwrap_or(u32::MAX)
}

//----------- contradictions -------------------------------------------------

/// Settings of the section that do not go together.
pub(super) fn contradictions(
    spec: &v1::Recurse,
    trust: &v1::Trust,
    mut report: impl FnMut(&str, &str),
) {
    if spec.verify != Verify::Off && trust.roots.is_none() {
        report(
            "recurse.verify",
            "demands signatures, but no root key is believed; name a file in trust.roots",
        );
    }
    match (&spec.root, spec.root_addresses.is_empty()) {
        (None, true) if !spec.allow.is_empty() => report(
            "recurse.allow",
            "is set, but not where resolution begins; set recurse.root or recurse.root_addresses",
        ),
        (Some(_), false) => report(
            "recurse.root_addresses",
            "is set as well as recurse.root; set one of them",
        ),
        _ => {}
    }
    if spec
        .root_addresses
        .iter()
        .any(|address| address.port() == 0)
    {
        report("recurse.root_addresses", "has an address without a port");
    }
}
