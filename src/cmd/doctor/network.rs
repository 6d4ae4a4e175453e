//! A handle across the network: the way that a resolver goes from the root, then every site of
//! every level on that way.
//!
//! ```text
//!  resolve with a trace ─► hops
//!  root ─► its sites ─► referral or prefix record ─► its sites ─► … ─► record
//! ```
//!
//! The resolver's own way shows one server for each level; what is wrong with the others shows only
//! when each of them is asked.

use std::sync::Arc;

use guantong_client::printable;
use guantong_core::delegation::{Delegation, Scope};
use guantong_core::resolve::limits::{DEPTH_MAX, SERVICES_MAX};
use guantong_core::resolve::{
    Answer, CacheSettings, Origin, Outcome, Question, Roots, TraceWanted,
};
use guantong_proto::data::Site;
use guantong_proto::message::ResponseCode;
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Value, Values};
use guantong_server::recurse::Courier;

use super::level::{Level, Source};
use super::probe::Said;
use super::visit::Visit;
use crate::cmd::resolve::walk::{self, withdrawal};
use crate::failed::{Exit, Failed};

/// Looks at everything between `roots` and the record.
pub(super) async fn look(visit: &mut Visit, roots: Roots, handle: &Handle) -> Result<(), Failed> {
    let courier = walk::courier_of(roots.clone(), CacheSettings::default())?;
    let question = Question::new(handle.borrow().expanded());
    let answer = courier.resolve(question, TraceWanted::Yes).await;
    hops(visit, &answer)?;
    levels(visit, &courier, &roots, &handle.borrow().expanded()).await?;
    conclude(visit, handle, &answer)?;
    courier.stop();
    Ok(())
}

//----------- Hops -----------------------------------------------------------

fn hops(visit: &mut Visit, answer: &Answer) -> Result<(), Failed> {
    let trace = answer.trace.clone().unwrap_or_default();
    visit.heading("the way of a resolver")?;
    for (n, hop) in (1..).zip(&trace.hops) {
        // A resolver is in a hurry and goes on to the next server soon. Whether one that was slow
        // is to blame is judged below, where each is given time.
        visit.note(format_args!("hop {n}"), walk::hop_lines(hop).join("\n"))?;
    }
    Ok(())
}

//----------- Levels ---------------------------------------------------------

async fn levels(
    visit: &mut Visit,
    courier: &Courier,
    roots: &Roots,
    handle: &Handle,
) -> Result<(), Failed> {
    let prefix = Handle::of_prefix(handle.borrow().prefix());
    let is_global = handle.borrow().is_prefix_handle();
    // Who serves a name is said by its prefix record, and that is found from the root.
    let asked = match (is_global, prefix) {
        (false, Ok(prefix)) => prefix,
        _ => handle.clone(),
    };
    let mut level = Level {
        source: match roots.origin() {
            Origin::Addresses => Source::RootAddresses,
            _ => Source::RootFile,
        },
        sites: roots.sites().to_vec(),
        asked,
    };
    let mut seen: Vec<(Vec<Arc<Site>>, Handle)> = Vec::new();
    for _ in 0..DEPTH_MAX {
        let said = level.look(visit).await?;
        let Some(next) = next(visit, courier, &level, said, handle).await? else {
            return Ok(());
        };
        seen.push((level.sites, level.asked));
        level = next;
        let is_old = |(sites, asked): &(Vec<Arc<Site>>, Handle)| {
            *sites == level.sites && *asked == level.asked
        };
        if seen.iter().any(is_old) {
            return visit.bad(
                Exit::Network,
                "circle",
                format_args!(
                    "{} leads back to sites that were asked for {} before",
                    level.source,
                    printable(level.asked.as_str())
                ),
                "the operators of these sites refer to each other: one must home the prefix, or \
                 its parent must delegate it elsewhere",
            );
        }
    }
    visit.bad(
        Exit::Network,
        "depth",
        format_args!("there are more than {DEPTH_MAX} levels"),
        "the owners of the prefixes must mend their referrals",
    )
}

/// The level below, if this one leads anywhere.
async fn next(
    visit: &mut Visit,
    courier: &Courier,
    level: &Level,
    said: Option<Said>,
    handle: &Handle,
) -> Result<Option<Level>, Failed> {
    let mut services = Vec::new();
    let (source, values, scope, asked) = match said {
        Some(Said::Referral {
            code,
            target,
            values,
        }) => {
            let scope = match code == ResponseCode::PREFIX_REFERRAL {
                true => Scope::DerivedPrefixes,
                false => Scope::Names,
            };
            let source = Source::Referral(code, level.asked.clone());
            // Without values the handle that is named has to be looked up (5.6).
            services.extend(Handle::parse(&target).ok().filter(|_| values.is_empty()));
            (source, values, scope, level.asked.clone())
        }
        Some(Said::Record(values)) if level.asked != *handle => {
            let source = Source::Record(level.asked.clone());
            (source, values, Scope::Names, handle.clone())
        }
        _ => return Ok(None),
    };
    let sites = sites(courier, delegation(&values, scope), services).await;
    if sites.is_empty() {
        let what_to_do = "its owner must add a site: guantong prefix delegate";
        let text = format_args!("{source} names no usable site (HS_SITE or HS_SERV)");
        visit.bad(Exit::Refused, "delegation", text, what_to_do)?;
        return Ok(None);
    }
    Ok(Some(Level {
        source,
        sites,
        asked,
    }))
}

/// The sites that values name, those of service handles included.
async fn sites(courier: &Courier, told: Delegation, more: Vec<Handle>) -> Vec<Arc<Site>> {
    let mut sites = told.sites;
    let services = told.services.into_iter().chain(more);
    for service in services.take(SERVICES_MAX) {
        let answer = courier.resolve(Question::new(service), TraceWanted::No);
        if let Outcome::Record(entry) = answer.await.outcome {
            sites.extend(Delegation::of(entry.values(), Scope::Names).sites);
        }
    }
    sites
}

fn delegation(values: &[Value], scope: Scope) -> Delegation {
    let octets = Writer::to_vec(|w| Values::encode(values, w));
    Delegation::of(Values::from_wire(&octets).unwrap_or(Values::EMPTY), scope)
}

//----------- The answer -----------------------------------------------------

fn conclude(visit: &mut Visit, handle: &Handle, answer: &Answer) -> Result<(), Failed> {
    visit.heading("the answer")?;
    let name = printable(handle.as_str());
    let trace = answer.trace.as_ref();
    let elapsed = trace.map_or(0, |trace| trace.elapsed_ms);
    match &answer.outcome {
        Outcome::Record(entry) => {
            let count = entry.values().iter().count();
            let noun = if count == 1 { "value" } else { "values" };
            let life = entry.life_secs();
            let text = format!("{count} {noun} in {elapsed} ms, may be kept {life} s");
            visit.good(name, text)
        }
        Outcome::ValuesNotFound => visit.good(name, "the record has no public values"),
        Outcome::NotFound => {
            if let Some(text) = trace.and_then(withdrawal) {
                let what_to_do = "its name stays taken; ask for the successor, if there is one";
                return visit.bad(Exit::Refused, name, printable(text), what_to_do);
            }
            let what_to_do = "check the spelling; else its owner must register it";
            visit.bad(Exit::Refused, name, "there is no such record", what_to_do)
        }
        Outcome::Failed(error) => {
            let text = printable(&error.to_string());
            visit.bad(
                Exit::Network,
                name,
                text,
                "the lines above say where and who",
            )
        }
        _ => visit.doubtful(name, "an answer that this program does not know"),
    }
}
