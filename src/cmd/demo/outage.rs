//! The last stop of the tour: two top-level nodes stop under load, and resolution goes on.
//!
//! The load is a resolver that forgets within a second, so that resolutions go down from the root
//! through the top level again and again, and the same names asked of the recursive node, which
//! remembers.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use guantong_client::{Client, Endpoint, Server, Transport};
use guantong_core::resolve::{CacheSettings, Outcome, Question, TraceWanted};
use guantong_proto::Handle;
use guantong_server::demo::{DemoError, Network, ROOT_INFO};
use guantong_server::recurse::Courier;

use super::super::resolve::walk::courier;
use super::SAMPLE;
use crate::failed::{Exit, Failed, Report};
use crate::output::Output;

/// The nodes that stop: two of the seven.
const STOPPED: [&str; 2] = ["shanghai", "wuhan"];
/// Names that are asked for; each enterprise has the first one.
const NAMES: [&str; 3] = [
    SAMPLE,
    "88.118.6/nev-production",
    "88.118.7/data-centre-racks",
];
/// How long each part takes: before, while they are down, and after.
const PART: Duration = Duration::from_millis(1_500);
/// Pause between two questions of one asker.
const PAUSE: Duration = Duration::from_millis(5);

//----------- Tally ----------------------------------------------------------

/// What came of one kind of question.
#[derive(Debug, Default)]
struct Tally {
    answered: AtomicU64,
    failed: AtomicU64,
    slowest_us: AtomicU64,
}

impl Tally {
    fn note(&self, begun: Instant, is_answered: bool) {
        let counter = if is_answered {
            &self.answered
        } else {
            &self.failed
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.slowest_us.fetch_max(us, Ordering::Relaxed);
    }

    /// What has come since the last call.
    fn take(&self) -> Part {
        Part {
            answered: self.answered.swap(0, Ordering::Relaxed),
            failed: self.failed.swap(0, Ordering::Relaxed),
            slowest_us: self.slowest_us.swap(0, Ordering::Relaxed),
        }
    }
}

struct Part {
    answered: u64,
    failed: u64,
    slowest_us: u64,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            answered,
            failed,
            slowest_us,
        } = self;
        let slowest_ms = slowest_us / 1_000;
        write!(
            f,
            "{answered} answered, {failed} failed, slowest {slowest_ms} ms"
        )
    }
}

/// What came of all questions.
#[derive(Debug, Default)]
struct Tallies {
    from_the_root: Tally,
    recursive: Tally,
    stop: AtomicBool,
}

//----------- run ------------------------------------------------------------

/// Puts the network under load, stops two nodes and starts them again. Says what came of each part;
/// any question that failed fails the tour.
pub(super) fn run(out: &mut Output, network: &mut Network, folder: &Path) -> Result<(), Failed> {
    let recursive = network.recursive().map_err(|e| failed(&e))?;
    let native = recursive.addresses().udp.first().copied();
    let native = native.ok_or_else(|| failed(&DemoError::Stopped("recursive")))?;
    let forgetful = CacheSettings {
        ttl_max_secs: 1,
        stale_secs: 0,
        ..CacheSettings::default()
    };
    let root = folder.join(ROOT_INFO);
    let courier = courier(&root.display().to_string(), forgetful)?;
    let tallies = Arc::new(Tallies::default());
    let load = load(courier.clone(), native, tallies.clone());
    let told = parts(out, network, &tallies);
    tallies.stop.store(true, Ordering::Relaxed);
    let ended = load.map(|thread| thread.join().is_ok());
    courier.stop();
    match ended {
        Ok(true) => told,
        Ok(false) | Err(_) => Err(Report::new(Exit::Network, "the load did not end well").fail()),
    }
}

fn parts(out: &mut Output, network: &mut Network, tallies: &Tallies) -> Result<(), Failed> {
    part(out, "all nodes run", tallies)?;
    for name in STOPPED {
        network.stop_member(name);
    }
    part(out, &format!("{} are down", STOPPED.join(" and ")), tallies)?;
    for name in STOPPED {
        network.start_member(name).map_err(|e| failed(&e))?;
    }
    part(out, "they are back", tallies)
}

/// Lets the load run for a while and says what came of it.
fn part(out: &mut Output, what: &str, tallies: &Tallies) -> Result<(), Failed> {
    std::thread::sleep(PART);
    let (root, recursive) = (tallies.from_the_root.take(), tallies.recursive.take());
    out.line(format_args!("  {what}"))?;
    out.line(format_args!("    from the root down:  {root}"))?;
    out.line(format_args!("    recursive node:      {recursive}"))?;
    if root.failed + recursive.failed > 0 || root.answered == 0 || recursive.answered == 0 {
        let report = Report::new(Exit::Network, "the tour failed at the outage");
        return Err(report
            .cause(format_args!("{what}: {root}; {recursive}"))
            .fail());
    }
    Ok(())
}

fn failed(error: &DemoError) -> Failed {
    Report::new(Exit::Network, "the tour failed at the outage")
        .causes_of(error)
        .fail()
}

//----------- Load -----------------------------------------------------------

/// Asks until it is told to stop, on a thread of its own.
fn load(
    courier: Arc<Courier>,
    native: SocketAddr,
    tallies: Arc<Tallies>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("load".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                let walks = from_the_root(&courier, &tallies);
                let recursive = through_recursion(native, &tallies);
                tokio::join!(walks, recursive);
            });
        })
}

async fn from_the_root(courier: &Courier, tallies: &Tallies) {
    for name in NAMES.iter().cycle() {
        if tallies.stop.load(Ordering::Relaxed) {
            return;
        }
        let Ok(handle) = Handle::parse(name) else {
            return;
        };
        let begun = Instant::now();
        let answer = courier.resolve(Question::new(handle), TraceWanted::No);
        let outcome = answer.await.outcome;
        let is_answered = matches!(outcome, Outcome::Record(_));
        tallies.from_the_root.note(begun, is_answered);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn through_recursion(native: SocketAddr, tallies: &Tallies) {
    let endpoint = Endpoint::new(Transport::Tcp, native.ip().to_string(), native.port());
    let client = Client::builder(Server::new([endpoint])).build();
    for name in NAMES.iter().cycle() {
        if tallies.stop.load(Ordering::Relaxed) {
            return;
        }
        let begun = Instant::now();
        let is_answered = client.resolve(name).await.is_ok();
        tallies.recursive.note(begun, is_answered);
        tokio::time::sleep(PAUSE).await;
    }
}
