//! One level of the tree: the sites that a record names, each visited, and compared with the rest.
//!
//! A fault of one site is something to look at as long as another site of the level gives what was
//! asked for, because resolvers go on to that one. If none does, the walk breaks here.

use std::fmt;
use std::sync::Arc;

use guantong_client::{Transport, printable};
use guantong_proto::Handle;
use guantong_proto::data::Site;
use guantong_proto::message::ResponseCode;
use tokio::task::JoinSet;

use super::answers::SKEW_MAX_SECS;
use super::probe::{Probe, Proof, Said};
use super::visit::Visit;
use crate::failed::{Exit, Failed};

//----------- Source ---------------------------------------------------------

/// Who says that these sites serve the level.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The file with the root.
    RootFile,
    /// Bare addresses of the root: their serials and keys are not known.
    RootAddresses,
    /// A prefix record.
    Record(Handle),
    /// A referral of a site of the level above.
    Referral(ResponseCode, Handle),
}

impl Source {
    /// Who mends what the source says wrong.
    fn mender(&self) -> String {
        match self {
            Self::RootFile | Self::RootAddresses => {
                "whoever runs this machine must fetch the file of the root anew".to_owned()
            }
            Self::Record(handle) => format!(
                "whoever holds {handle} must write it again: guantong prefix delegate {}",
                handle.borrow().suffix()
            ),
            Self::Referral(_, handle) => format!(
                "whoever refers {handle} there must write the prefix record again: guantong \
                 prefix delegate"
            ),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RootFile | Self::RootAddresses => f.write_str("the root"),
            Self::Record(handle) => write!(f, "the prefix record {handle}"),
            Self::Referral(code, _) => write!(f, "a referral ({}) of the level above", code.0),
        }
    }
}

//----------- Level ----------------------------------------------------------

/// Sites, and what they are asked for.
pub(super) struct Level {
    pub(super) source: Source,
    pub(super) sites: Vec<Arc<Site>>,
    pub(super) asked: Handle,
}

/// A site that was visited.
struct Visited {
    site: Arc<Site>,
    /// Position of the server that is responsible.
    position: usize,
    probe: Probe,
}

impl Visited {
    fn name(&self) -> String {
        let server = &self.site.servers[self.position];
        let address = server.address;
        match self.site.attribute("desc", Some(server)) {
            Some(name) => format!("{} ({address})", printable(name)),
            None => address.to_string(),
        }
    }

    fn is_primary(&self) -> bool {
        self.site.is_primary() || self.site.is_multi_primary()
    }
}

impl Level {
    /// Visits every site, says what is found, and returns what the level says: what its primary
    /// says, if that can be reached.
    pub(super) async fn look(&self, visit: &mut Visit) -> Result<Option<Said>, Failed> {
        let (source, count) = (&self.source, self.sites.len());
        let noun = if count == 1 { "site" } else { "sites" };
        let asked = printable(self.asked.as_str());
        visit.heading(format_args!("{source}: {count} {noun}, asked for {asked}"))?;
        let visited = self.ask_all().await;
        let said = measure(&visited);
        let goes_on = matches!(said, Some(Said::Record(_) | Said::Referral { .. }));
        for one in &visited {
            let mut findings = Findings {
                visit: &mut *visit,
                about: one.name(),
                goes_on,
            };
            self.tell(&mut findings, one, said.as_ref())?;
        }
        Ok(said)
    }

    /// Asks the responsible server of every site, all at a time: some may be silent for long.
    async fn ask_all(&self) -> Vec<Visited> {
        let mut asked = JoinSet::new();
        for (n, site) in self.sites.iter().enumerate() {
            let Some(position) = site.server_position(self.asked.borrow()) else {
                continue;
            };
            let (site, handle) = (site.clone(), self.asked.clone());
            asked.spawn(async move {
                let probe = Probe::make(&site, &site.servers[position], &handle).await;
                let visited = Visited {
                    site,
                    position,
                    probe,
                };
                (n, visited)
            });
        }
        let mut visited = asked.join_all().await;
        visited.sort_by_key(|(n, _)| *n);
        visited.into_iter().map(|(_, one)| one).collect()
    }

    fn tell(
        &self,
        findings: &mut Findings<'_>,
        one: &Visited,
        measure: Option<&Said>,
    ) -> Result<(), Failed> {
        if !self.reached(findings, one)? {
            return Ok(());
        }
        match one.probe.said() {
            Some(said) => self.content(findings, one, said, measure)?,
            None => findings.bad(
                Exit::Network,
                format_args!("answers, but not this: {}", first_error(&one.probe)),
                "its operator must look at the log of the node",
            )?,
        }
        self.serial(findings, &one.probe, one.site.serial)?;
        let skew = one.probe.skew_secs();
        if skew.abs() > SKEW_MAX_SECS {
            let text = format_args!("its clock differs from ours by {skew} s");
            findings.look(
                text,
                "set the wrong one of the two: chrony keeps a clock right",
            )?;
        }
        if one.probe.proof == Proof::Wrong {
            findings.broken(
                format_args!("its signature does not fit the key in {}", self.source),
                format_args!(
                    "if the site has a new key, {}; else somebody else answers there",
                    self.source.mender()
                ),
            )?;
        }
        Ok(())
    }

    /// By which ways the server can be reached; whether by any.
    fn reached(&self, findings: &mut Findings<'_>, one: &Visited) -> Result<bool, Failed> {
        let (open, closed): (Vec<_>, Vec<_>) = one.probe.ways.iter().partition(|w| w.is_open());
        let names = |ways: &[&super::probe::Way]| {
            let names: Vec<_> = ways.iter().map(|way| way.transport.name()).collect();
            names.join(", ")
        };
        if open.is_empty() {
            findings.bad(
                Exit::Network,
                format_args!(
                    "cannot be reached: {}",
                    match closed.is_empty() {
                        true => "it publishes no way to ask".to_owned(),
                        false => format!("no answer by {}", names(&closed)),
                    }
                ),
                format_args!(
                    "its operator must start it or open its firewall; if it is gone for good, {}",
                    self.source.mender()
                ),
            )?;
            return Ok(false);
        }
        let kind = if one.is_primary() {
            "primary"
        } else {
            "mirror"
        };
        let mut facts = vec![format!("{kind}, answers by {}", timed(&open))];
        if let Some(said) = one.probe.said() {
            facts.push(said.to_string());
            facts.extend(said.ttl().map(|ttl| format!("TTL {ttl} s")));
        }
        facts.push(format!("serial {}", one.site.serial));
        if one.probe.proof == Proof::Fits {
            facts.push("signature fits".to_owned());
        }
        findings.good(facts.join(", "))?;
        if !closed.is_empty() {
            let what_to_do = match closed.iter().all(|way| way.transport == Transport::Udp) {
                true => "a firewall of that site drops UDP: its operator must open the port",
                false => "its operator must open the port, or publish it no longer",
            };
            let (open, closed) = (names(&open), names(&closed));
            findings.look(
                format_args!("reachable by {open}, but not by {closed}"),
                what_to_do,
            )?;
        }
        Ok(true)
    }

    /// Whether it says what the others say, and what it should.
    fn content(
        &self,
        findings: &mut Findings<'_>,
        one: &Visited,
        said: &Said,
        measure: Option<&Said>,
    ) -> Result<(), Failed> {
        let asked = printable(self.asked.as_str());
        let prefix = self.asked.borrow().prefix().to_owned();
        let told = one.probe.ways.iter().filter_map(|way| way.said.as_ref());
        if told.clone().any(|other| other != said) {
            let all: Vec<_> = told.map(ToString::to_string).collect();
            let text = format!("says different things by its ways: {}", all.join("; "));
            findings.broken(
                text,
                "several programs answer there: its operator must look",
            )?;
        }
        match (said, measure) {
            (Said::NotHomed, _) => findings.bad(
                Exit::Refused,
                format_args!(
                    "says that {asked} is not its own (301), but {} leads to it",
                    self.source
                ),
                format_args!(
                    "its operator must home the prefix: guantong prefix home {prefix}; or else {}",
                    self.source.mender()
                ),
            ),
            (Said::Missing, Some(Said::Record(_) | Said::Referral { .. })) => findings.broken(
                format_args!("has no {asked}, which others of these sites have"),
                "it is behind: its operator must look at `guantong mirror status` there",
            ),
            (Said::Missing, _) => self.missing(findings),
            (Said::Record(_), Some(Said::Record(_))) if Some(said) != measure => findings.broken(
                format_args!("gives other values of {asked} than the primary"),
                "it is behind: its operator must look at `guantong mirror status` there",
            ),
            _ => Ok(()),
        }
    }

    fn missing(&self, findings: &mut Findings<'_>) -> Result<(), Failed> {
        let asked = printable(self.asked.as_str());
        match self.asked.borrow().is_prefix_handle() {
            true => findings.bad(
                Exit::Refused,
                format_args!("there is no prefix record {asked}"),
                format_args!(
                    "this site is its parent: its operator must delegate the prefix: guantong \
                     prefix delegate {}",
                    printable(self.asked.borrow().suffix())
                ),
            ),
            false => findings.bad(
                Exit::Refused,
                format_args!("there is no record {asked}"),
                "check the spelling; else its owner must register it with `guantong record put`",
            ),
        }
    }

    /// Whether the site is what the record says that it is.
    fn serial(&self, findings: &mut Findings<'_>, probe: &Probe, known: u16) -> Result<(), Failed> {
        if matches!(self.source, Source::RootAddresses) {
            return Ok(());
        }
        let serials = probe.serials();
        if serials.iter().all(|serial| *serial == known) {
            return Ok(());
        }
        let told: Vec<_> = serials.iter().map(ToString::to_string).collect();
        findings.look(
            format_args!(
                "says serial {} of itself, but {} says {known}",
                told.join(" and "),
                self.source
            ),
            self.source.mender(),
        )
    }
}

/// What the level says: the primary's word before that of mirrors, something before nothing.
fn measure(visited: &[Visited]) -> Option<Said> {
    let leads = |one: &&Visited| {
        matches!(
            one.probe.said(),
            Some(Said::Record(_) | Said::Referral { .. })
        )
    };
    let primary = visited.iter().filter(|one| one.is_primary()).find(leads);
    let any = || visited.iter().find(leads);
    let nothing = || visited.iter().find(|one| one.probe.said().is_some());
    let found = primary.or_else(any).or_else(nothing);
    found.and_then(|one| one.probe.said().cloned())
}

fn timed(ways: &[&super::probe::Way]) -> String {
    let each = ways.iter().map(|way| {
        let us = way.took.as_micros();
        let name = way.transport.name();
        format!("{name} in {}.{} ms", us / 1_000, us % 1_000 / 100)
    });
    each.collect::<Vec<_>>().join(", ")
}

fn first_error(probe: &Probe) -> String {
    let error = probe.ways.iter().find_map(|way| way.error.as_ref());
    error
        .map(|error| printable(&error.to_string()))
        .unwrap_or_default()
}

//----------- Findings -------------------------------------------------------

/// Findings about one site.
struct Findings<'a> {
    visit: &'a mut Visit,
    about: String,
    /// Whether another site of the level gives what was asked for.
    goes_on: bool,
}

impl Findings<'_> {
    fn good(&mut self, text: impl fmt::Display) -> Result<(), Failed> {
        self.visit.good(&self.about, text)
    }

    /// It works, but somebody should do something.
    fn look(
        &mut self,
        text: impl fmt::Display,
        what_to_do: impl fmt::Display,
    ) -> Result<(), Failed> {
        self.visit.look(&self.about, text, what_to_do)
    }

    /// It does not work here; whether that breaks the walk depends on the other sites.
    fn bad(
        &mut self,
        exit: Exit,
        text: impl fmt::Display,
        what_to_do: impl fmt::Display,
    ) -> Result<(), Failed> {
        match self.goes_on {
            true => self.look(text, what_to_do),
            false => self.visit.bad(exit, &self.about, text, what_to_do),
        }
    }

    /// It gives wrong answers, whatever others do.
    fn broken(
        &mut self,
        text: impl fmt::Display,
        what_to_do: impl fmt::Display,
    ) -> Result<(), Failed> {
        self.visit.bad(Exit::Network, &self.about, text, what_to_do)
    }
}
