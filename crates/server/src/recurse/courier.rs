//! The face of the resolver's thread: questions in, replies out.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use guantong_core::resolve::{
    Answer, Cache, Figures, Freshness, Hit, Look, Lookup, Now, Outcome, Question, ResolveError,
    Roots, Settings, Tick, TraceWanted, Wanted,
};
use guantong_core::trust::Rule;
use tokio::sync::{mpsc, oneshot};

use super::drive::Driver;
use super::judge::Tally;
use crate::metrics::RecurseSnapshot;

/// Questions that wait to be begun. The thread takes all that are there at a time, so this is a
/// burst, not a backlog.
pub const QUEUE_MAX: usize = 4_096;

//----------- Clock ----------------------------------------------------------

/// Both clocks of the resolver. Copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    begun: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self {
            begun: Instant::now(),
        }
    }

    /// This moment.
    pub fn now(&self) -> Now {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let secs = since.map_or(0, |since| since.as_secs());
        Now {
            tick: Tick(u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)),
            secs: u32::try_from(secs).unwrap_or(u32::MAX),
        }
    }

    /// When a moment of the resolver comes.
    pub(super) fn instant(&self, tick: Tick) -> Instant {
        self.begun + Duration::from_millis(tick.0)
    }
}

//----------- Job ------------------------------------------------------------

/// Called with the answer, on the resolver's thread: it must not wait for anything.
pub type Reply = Box<dyn FnOnce(Answer) + Send>;

/// What the thread is asked to do.
pub(super) enum Job {
    /// Resolve.
    Ask {
        question: Question,
        trace: TraceWanted,
        /// Whether the answer is judged first.
        judged: bool,
        reply: Reply,
    },
    /// Renew what the cache has.
    Refresh(Question),
    /// End.
    Stop,
}

//----------- Setup ----------------------------------------------------------

/// What a courier needs.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What the resolver is told.
    pub settings: Settings,
    /// Where resolution begins.
    pub roots: Roots,
    /// The cache, shared with those who answer.
    pub cache: Arc<Cache>,
    /// The clock by which the cache is read.
    pub clock: Clock,
    /// Where a new root record is kept; nowhere for a single question.
    pub root_info: Option<PathBuf>,
    /// Where the cache is kept while nothing runs.
    pub cache_file: Option<PathBuf>,
    /// By what rule records are judged before anybody is given them; none: they are not.
    pub verify: Option<Arc<Rule>>,
}

//----------- Courier --------------------------------------------------------

/// The thread that carries the resolver's questions into the network. Dropping it stops it.
pub struct Courier {
    cache: Arc<Cache>,
    clock: Clock,
    jobs: mpsc::Sender<Job>,
    figures: Arc<Mutex<Figures>>,
    tally: Arc<Tally>,
    judges: bool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Courier {
    /// Binds the sockets and starts the thread.
    pub fn start(setup: Setup) -> io::Result<Arc<Self>> {
        let (cache, clock) = (setup.cache.clone(), setup.clock);
        let judges = setup.verify.is_some();
        let figures = Arc::new(Mutex::new(Figures::default()));
        let tally = Arc::new(Tally::default());
        let (jobs, inbox) = mpsc::channel(QUEUE_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let driver = {
            let _inside = runtime.enter();
            Driver::new(setup, inbox, figures.clone(), tally.clone())?
        };
        let builder = std::thread::Builder::new().name("resolve".to_owned());
        let thread = builder.spawn(move || runtime.block_on(driver.run()))?;
        Ok(Arc::new(Self {
            cache,
            clock,
            jobs,
            figures,
            tally,
            judges,
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// What the cache has that may be given away, for as long as nothing of it may change.
    pub(crate) fn look(&self) -> Look<'_> {
        self.cache.look(match self.judges {
            true => Wanted::Vouched,
            false => Wanted::Any,
        })
    }

    /// The moment by which the cache is read.
    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    /// What the cache knows of the name that `lookup` was set to; only what was judged and passed,
    /// if records are judged.
    pub fn cached(&self, lookup: &mut Lookup) -> Option<Hit> {
        match self.judges {
            true => self.cache.get_vouched(lookup, self.clock.now()),
            false => self.cache.get(lookup, self.clock.now()),
        }
    }

    /// The cache.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Counters and gauges of the resolver, at most a moment old, and of the cache.
    pub fn snapshot(&self) -> RecurseSnapshot {
        RecurseSnapshot {
            figures: *self.figures.lock().unwrap_or_else(PoisonError::into_inner),
            cache_entries: self.cache.len(),
            cache_octets: self.cache.octets(),
            judged: self.tally.counts(),
        }
    }

    /// Asks. `reply` is called once, on the resolver's thread; on this one, with "too busy", if the
    /// queue is full or the thread has ended. If records are judged, the answer holds only what has
    /// passed, and may hold more of the record than was asked for.
    pub fn ask(&self, question: Question, trace: TraceWanted, reply: Reply) {
        self.post(question, trace, self.judges, reply);
    }

    fn post(&self, question: Question, trace: TraceWanted, judged: bool, reply: Reply) {
        let job = Job::Ask {
            question,
            trace,
            judged,
            reply,
        };
        if let Err(error) = self.jobs.try_send(job)
            && let Job::Ask { reply, .. } = error.into_inner()
        {
            reply(busy());
        }
    }

    /// Asks and waits.
    pub async fn resolve(&self, question: Question, trace: TraceWanted) -> Answer {
        self.wait(question, trace, self.judges).await
    }

    /// The same without judging the record: for whoever judges it himself.
    pub async fn resolve_unjudged(&self, question: Question, trace: TraceWanted) -> Answer {
        self.wait(question, trace, false).await
    }

    async fn wait(&self, question: Question, trace: TraceWanted, judged: bool) -> Answer {
        let (sender, answer) = oneshot::channel();
        let reply = Box::new(move |answer| {
            // Whoever has gone away needs no answer.
            let _ = sender.send(answer);
        });
        self.post(question, trace, judged, reply);
        answer.await.unwrap_or_else(|_| busy())
    }

    /// Has an entry of the cache renewed before its time is over. Where there is no room the entry
    /// just ends.
    pub fn refresh(&self, question: Question) {
        let _ = self.jobs.try_send(Job::Refresh(question));
    }

    /// Ends the thread; the cache is saved if it is to be. Those who still wait are told that the
    /// node is busy.
    pub fn stop(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(thread) = thread else {
            return;
        };
        // A full queue is emptied by the thread, so there is room soon; a thread that has ended
        // needs no telling.
        while let Err(mpsc::error::TrySendError::Full(_)) = self.jobs.try_send(Job::Stop) {
            std::thread::yield_now();
        }
        if thread.join().is_err() {
            tracing::error!("the resolver's thread had panicked");
        }
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Courier")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

/// The answer to those for whom there is no room.
pub(crate) fn busy() -> Answer {
    Answer {
        outcome: Outcome::Failed(Arc::new(ResolveError::TooBusy)),
        freshness: Freshness::Fresh,
        age_secs: 0,
        aliases: Vec::new(),
        namespace: None,
        trace: None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use guantong_core::resolve::CacheSettings;
    use guantong_proto::Handle;

    use super::*;

    /// A courier whose root is an address at which nobody listens.
    fn courier() -> Arc<Courier> {
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = nobody.local_addr().unwrap();
        Courier::start(Setup {
            settings: Settings::default(),
            roots: Roots::from_addresses(&[address]).unwrap(),
            cache: Arc::new(Cache::new(CacheSettings::default())),
            clock: Clock::start(),
            root_info: None,
            cache_file: None,
            verify: None,
        })
        .unwrap()
    }

    fn question() -> Question {
        Question::new(Handle::parse("88.118.5/x").unwrap())
    }

    /// A question that is refused without asking anybody.
    fn hopeless() -> Question {
        Question {
            recursion_count: u8::MAX,
            ..question()
        }
    }

    fn is_busy(answer: &Answer) -> bool {
        match &answer.outcome {
            Outcome::Failed(error) => **error == ResolveError::TooBusy,
            _ => false,
        }
    }

    #[test]
    fn question_that_finds_no_room_in_the_queue_is_answered_at_once() {
        let courier = courier();
        // The thread is held up in the reply to the first question.
        let (entered, has_entered) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let hold = Box::new(move |_| {
            entered.send(()).unwrap();
            let _ = released.recv();
        });
        courier.ask(hopeless(), TraceWanted::No, hold);
        has_entered.recv().unwrap();
        let (answered, answers) = mpsc::channel();
        for _ in 0..QUEUE_MAX + 5 {
            let answered = answered.clone();
            let reply = Box::new(move |answer| answered.send(is_busy(&answer)).unwrap());
            courier.ask(hopeless(), TraceWanted::No, reply);
        }
        // Those beyond the queue have been told on this thread.
        assert_eq!(answers.try_iter().collect::<Vec<_>>(), [true; 5]);
        drop(release);
        let later = answers.iter().take(QUEUE_MAX);
        assert!(later.into_iter().all(|busy| !busy));
    }

    #[test]
    fn everybody_is_answered_when_the_thread_ends() {
        let courier = courier();
        let (answered, answers) = mpsc::channel();
        let ask = || {
            let answered = answered.clone();
            let reply = Box::new(move |answer| answered.send(is_busy(&answer)).unwrap());
            courier.ask(question(), TraceWanted::No, reply);
        };
        ask();
        courier.stop();
        ask();
        assert_eq!(answers.try_iter().collect::<Vec<_>>(), [true, true]);
        // Stopping again does nothing.
        courier.stop();
    }
}
