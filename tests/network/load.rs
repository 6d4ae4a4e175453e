//! Those who ask, all the time, each in its own way, and what comes of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use guantong_client::Client;
use guantong_core::resolve::{
    Cache, CacheSettings, Outcome, Question, RootRefresh, Settings, TraceWanted,
};
use guantong_proto::Handle;
use guantong_server::config::Root;
use guantong_server::recurse::{Clock, Courier, Setup, load_roots};

use crate::PATIENCE;
use crate::tree::{ENTERPRISE_RECORDS, ENTERPRISES, NATIONAL_RECORDS, item};

/// Pause of an asker between two questions, which bounds the load.
const PAUSE: Duration = Duration::from_millis(20);
/// Names that the recursive node is asked for again and again.
const CACHED_NAMES: usize = 10;

//----------- Askers ---------------------------------------------------------

/// The ways of asking.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// The recursive node, for names that it knows.
    Cached,
    /// The recursive node, for names of the national nodes that nobody asked for before.
    Mirrored,
    /// From the root down for a name of an enterprise, by somebody who remembers no record, only
    /// which servers were slow.
    FromRoot,
    /// The same by somebody who has just begun and remembers nothing, as `resolve --root` does.
    Beginner,
}

impl Way {
    pub(crate) const ALL: [Self; 4] =
        [Self::Cached, Self::Mirrored, Self::FromRoot, Self::Beginner];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Cached => "cached, recursive node",
            Self::Mirrored => "mirrored, recursive node",
            Self::FromRoot => "uncached, from the root",
            Self::Beginner => "uncached, by a beginner",
        }
    }

    /// Answers that are waited for in each part of the test.
    pub(crate) fn answers(self) -> u64 {
        match self {
            // It meets the servers that are down again and again, so it is slow.
            Self::Beginner => 15,
            _ => 40,
        }
    }
}

/// The names that `Way::Cached` asks for.
pub(crate) fn cached_names() -> impl Iterator<Item = String> {
    let prefixes = ENTERPRISES.map(|(_, prefix)| prefix).into_iter().cycle();
    (0..CACHED_NAMES)
        .zip(prefixes)
        .map(|(n, prefix)| item(prefix, n))
}

/// Asks for ever. `recursive` is the recursive node, `root` where resolution begins.
pub(crate) async fn ask(way: Way, recursive: &Client, root: &Path, tally: &Tally) {
    let cached: Vec<String> = cached_names().collect();
    let remembering = courier(root);
    for n in 0.. {
        let (_, prefix) = ENTERPRISES[n % ENTERPRISES.len()];
        let enterprise = item(prefix, n % ENTERPRISE_RECORDS);
        let begun = Instant::now();
        let failure = match way {
            Way::Cached => through(recursive, &cached[n % cached.len()]).await,
            Way::Mirrored => through(recursive, &item("88", n % NATIONAL_RECORDS)).await,
            Way::FromRoot => walk(&remembering, &enterprise).await,
            Way::Beginner => {
                let beginner = courier(root);
                walk(&beginner, &enterprise).await
            }
        };
        tally.note(begun, failure);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Why a name was not resolved, if it was not.
async fn through(recursive: &Client, name: &str) -> Option<String> {
    let answer = recursive.resolve(name).await;
    match answer {
        Ok(answer) if answer.text("TEXT") == Some(name) => None,
        Ok(answer) => Some(format!("{name}: {:?}", answer.values())),
        Err(error) => Some(format!("{name}: {error}")),
    }
}

async fn walk(courier: &Courier, name: &str) -> Option<String> {
    let question = Question::new(Handle::parse(name).unwrap());
    match courier.resolve(question, TraceWanted::No).await.outcome {
        Outcome::Record(_) => None,
        outcome => Some(format!("{name}: {outcome:?}")),
    }
}

/// A resolver that keeps no record for the next question.
fn courier(root: &Path) -> Arc<Courier> {
    let cache = CacheSettings {
        octets: 1 << 20,
        ttl_max_secs: 0,
        negative_ttl_secs: 0,
        stale_secs: 0,
        ..CacheSettings::default()
    };
    let setup = Setup {
        settings: Settings {
            sockets: 4,
            root_refresh: RootRefresh::Never,
            ..Settings::default()
        },
        roots: load_roots(&Root::File(root.to_owned())).unwrap(),
        cache: Arc::new(Cache::new(cache)),
        clock: Clock::start(),
        root_info: None,
        cache_file: None,
        verify: None,
    };
    Courier::start(setup).unwrap()
}

//----------- Tally ----------------------------------------------------------

/// What came of one way of asking.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    answered: AtomicU64,
    slowest_us: AtomicU64,
    failures: std::sync::Mutex<Vec<String>>,
}

impl Tally {
    fn note(&self, begun: Instant, failure: Option<String>) {
        if let Some(failure) = failure {
            self.failures.lock().unwrap().push(failure);
            return;
        }
        let us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.slowest_us.fetch_max(us, Ordering::Relaxed);
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for so many more answers or the first failure.
    pub(crate) async fn wait_for(&self, more: u64) {
        let wanted = self.answered.load(Ordering::Relaxed) + more;
        let begun = Instant::now();
        while self.answered.load(Ordering::Relaxed) < wanted
            && self.failures.lock().unwrap().is_empty()
        {
            assert!(begun.elapsed() < PATIENCE, "the askers have stopped");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What came since the last call: answers, and the time of the slowest.
    pub(crate) fn take(&self) -> Part {
        Part {
            answered: self.answered.swap(0, Ordering::Relaxed),
            slowest: Duration::from_micros(self.slowest_us.swap(0, Ordering::Relaxed)),
            failures: std::mem::take(&mut *self.failures.lock().unwrap()),
        }
    }
}

/// What came of one way of asking in one part of the test.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) answered: u64,
    pub(crate) slowest: Duration,
    pub(crate) failures: Vec<String>,
}
