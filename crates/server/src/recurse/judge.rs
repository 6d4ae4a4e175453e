//! Judging records before they are given to others (`recurse.verify`): what is asked and what
//! follows is decided by [`Inspection`]; here are the tasks, the threads and the time.
//!
//! Equal questions share one inspection. The cryptography runs on threads of its own, as many at a
//! time as there are cores, so that the resolver's thread waits for none of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use guantong_core::resolve::{Answer, Inspected, Inspection, Question, Ruling, TraceWanted, Worth};
use guantong_core::trust::{CHAIN_OCTETS_MAX, Refusal, Rule};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, timeout_at};

use super::courier::{Clock, Reply, busy};

/// Records that are judged at a time; more wait for their turn, within their time. With the most
/// octets of a chain for each this bounds their memory to 64 MiB.
const PLACES: usize = 64 * 1024 * 1024 / CHAIN_OCTETS_MAX;
/// The part of `recurse.timeout` that is there for judging at least, however long the record took.
const TIME_PART: u32 = 4;

//----------- Tally ----------------------------------------------------------

/// How many records were judged, by verdict.
#[derive(Debug, Default)]
pub(super) struct Tally([AtomicU64; 4]);

/// The verdicts, in the order of the counts.
pub const VERDICTS: [&str; 4] = ["signed", "unsigned", "refused", "undecided"];

impl Tally {
    fn count(&self, ruling: &Ruling) {
        let slot = match ruling.worth() {
            Worth::Signed { .. } => 0,
            Worth::Unsigned | Worth::Refused(Refusal::Unsigned) => 1,
            Worth::Refused(Refusal::Undecided(_)) => 3,
            Worth::Refused(_) => 2,
        };
        self.0[slot].fetch_add(1, Relaxed);
    }

    pub(super) fn counts(&self) -> [u64; 4] {
        std::array::from_fn(|slot| self.0[slot].load(Relaxed))
    }
}

//----------- Judge ----------------------------------------------------------

/// A question of an inspection for the resolver.
pub(super) type Wanted = (Question, TraceWanted, oneshot::Sender<Answer>);

/// All inspections under way.
pub(super) struct Judge {
    rule: Option<Arc<Rule>>,
    tools: Arc<Tools>,
    wanted: mpsc::UnboundedReceiver<Wanted>,
    tasks: JoinSet<(Question, Answer)>,
    waiting: HashMap<Question, Vec<Reply>>,
    waiters: usize,
}

/// What an inspection needs.
struct Tools {
    clock: Clock,
    timeout: Duration,
    /// One question of each inspection at most is in here.
    ask: mpsc::UnboundedSender<Wanted>,
    places: Semaphore,
    cores: Arc<Semaphore>,
    tally: Arc<Tally>,
}

/// What a judge does.
pub(super) enum Turn {
    /// It wants something of the resolver.
    Wants(Wanted),
    /// An inspection is over.
    Ended(Question, Answer),
}

impl Judge {
    /// One that judges by `rule`; nothing if there is none.
    pub(super) fn new(
        rule: Option<Arc<Rule>>,
        clock: Clock,
        timeout: Duration,
        tally: Arc<Tally>,
    ) -> Self {
        let (ask, wanted) = mpsc::unbounded_channel();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let tools = Tools {
            clock,
            timeout,
            ask,
            places: Semaphore::new(PLACES),
            cores: Arc::new(Semaphore::new(cores)),
            tally,
        };
        Self {
            rule,
            tools: Arc::new(tools),
            wanted,
            tasks: JoinSet::new(),
            waiting: HashMap::new(),
            waiters: 0,
        }
    }

    /// Those who wait.
    pub(super) fn len(&self) -> usize {
        self.waiters
    }

    /// Begins an inspection, or joins the one of the same question.
    pub(super) fn begin(&mut self, question: Question, trace: TraceWanted, reply: Reply) {
        let Some(rule) = &self.rule else {
            return reply(busy());
        };
        self.waiters += 1;
        if let Some(waiting) = self.waiting.get_mut(&question) {
            return waiting.push(reply);
        }
        self.waiting.insert(question.clone(), vec![reply]);
        let inspection = Inspection::new(question.clone(), rule.clone());
        let tools = self.tools.clone();
        self.tasks
            .spawn(async move { (question, tools.inspect(inspection, trace).await) });
    }

    /// The next thing that happens here.
    pub(super) async fn next(&mut self) -> Turn {
        loop {
            tokio::select! {
                Some(wanted) = self.wanted.recv() => return Turn::Wants(wanted),
                Some(ended) = self.tasks.join_next() => {
                    if let Ok((question, answer)) = ended {
                        return Turn::Ended(question, answer);
                    }
                }
                else => std::future::pending().await,
            }
        }
    }

    /// Those who wait for an inspection that is over.
    pub(super) fn take(&mut self, question: &Question) -> Vec<Reply> {
        let replies = self.waiting.remove(question).unwrap_or_default();
        self.waiters -= replies.len();
        replies
    }

    /// All who wait, at the end.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Reply> {
        self.waiting.drain().flat_map(|(_, replies)| replies)
    }
}

//----------- One inspection -------------------------------------------------

impl Tools {
    async fn inspect(&self, mut inspection: Inspection, trace: TraceWanted) -> Answer {
        let begun = Instant::now();
        let mut trace = trace;
        // The record has the time of any question.
        while !inspection.is_judging() {
            match inspection.next(self.clock.now()) {
                Inspected::Done(answer) => return *answer,
                Inspected::Ask(question) => {
                    let answer = self.ask(question, std::mem::take(&mut trace)).await;
                    inspection.take(answer, self.clock.now());
                }
            }
        }
        let handle = inspection.handle().clone();
        let end = (begun + self.timeout).max(Instant::now() + self.timeout / TIME_PART);
        match timeout_at(end, self.judge(inspection)).await {
            Ok(Some(answer)) => answer,
            Ok(None) => Inspection::undecided(handle, "the check has failed: please report it"),
            Err(_) => Inspection::undecided(handle, "the certificates did not come in time"),
        }
    }

    /// `None` if judging panicked.
    async fn judge(&self, mut inspection: Inspection) -> Option<Answer> {
        let _place = self.places.acquire().await;
        loop {
            let core = self.cores.clone().acquire_owned().await;
            let now = self.clock.now();
            let step = move || {
                let next = inspection.next(now);
                drop(core);
                (inspection, next)
            };
            let (back, next) = spawn_blocking(step).await.ok()?;
            inspection = back;
            match next {
                Inspected::Done(answer) => {
                    if let Some(ruling) = inspection.judged() {
                        self.tally.count(ruling);
                    }
                    return Some(*answer);
                }
                Inspected::Ask(question) => {
                    let answer = self.ask(question, TraceWanted::No).await;
                    inspection.take(answer, self.clock.now());
                }
            }
        }
    }

    async fn ask(&self, question: Question, trace: TraceWanted) -> Answer {
        let (sender, answer) = oneshot::channel();
        // The receiver ends with the thread that this runs on.
        let _ = self.ask.send((question, trace, sender));
        answer.await.unwrap_or_else(|_| busy())
    }
}
