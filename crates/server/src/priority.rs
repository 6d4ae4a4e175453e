//! Which threads go first when all cores are busy.
//!
//! An answer takes microseconds and somebody waits for it; an import, a flush or a compaction takes
//! seconds and nobody waits for its next slice. Left to the system they have equal shares, and each
//! answer may wait for some slices of them. So whatever works in bulk steps back: it has what is
//! left of a busy machine, about a tenth of a core's time at least, and everything of an idle one.

use std::sync::Once;
use std::time::Duration;

use guantong_sched::Before;

/// How far bulk work steps back, on the scale of `nice`. Not to the end of it, 19: changes that
/// administrators wait for go through the same writer.
#[cfg(target_os = "linux")]
const STEP: i32 = 10;

/// What a thread that answers runs at a time: the shortest slices that Linux gives. It works for
/// some ten microseconds at a time and then waits, so it has no use for longer ones.
const SLICE: Duration = Duration::from_micros(100);

/// Lets others go before this thread and the threads that it starts from now on, for good.
pub fn step_back() {
    // Linux keeps this for each thread, other systems for the process, which answers, too. If it is
    // refused, answers wait longer than they need to.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, STEP);
    // It may have been started by a thread that answers, and have its short turns.
    let _ = guantong_sched::ask_for_slices(Duration::ZERO);
}

/// Has this thread, which answers, wait less for a core that others use. If it is refused, answers
/// wait longer beside other work, and nothing else is different.
pub(crate) fn take_short_turns() {
    let _ = guantong_sched::ask_for_slices(SLICE);
}

//----------- Precedence -----------------------------------------------------

/// How often a thread that goes first looks at how much of a core it has used.
const LOOK_MS: u64 = 100;
/// How long a thread that was too busy takes turns before it may go first again.
const REST_MS: u64 = 1_000;
/// Of all cores, the part that threads may use and still go first, all of them together.
const SHARE_MAX: f64 = 0.5;

/// A thread that answers, and runs before everything else on the machine whenever it is due, as
/// long as it mostly waits. One that is asked more than that takes turns with all others until it
/// has become calm: who floods the node takes no core from anything else by it.
#[derive(Debug)]
pub(crate) struct Precedence {
    pace: Pace,
    /// What it was before it went first. None if it is not to, or the system refuses it.
    before: Option<Before>,
}

impl Precedence {
    /// This thread's, one of `threads` that go first if `is_wanted`.
    pub(crate) fn begin(is_wanted: bool, threads: usize, now_ms: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut precedence = Self {
            pace: Pace::new(share_each(threads, cores), now_ms, used()),
            before: None,
        };
        match is_wanted {
            true => precedence.go_first(),
            false => take_short_turns(),
        }
        precedence
    }

    /// After each batch of answers.
    pub(crate) fn on_batch(&mut self, now_ms: u64) {
        let Some(before) = self.before else {
            return;
        };
        match self.pace.look(now_ms, used) {
            Some(Step::GoFirst) => self.go_first(),
            // What refuses this has never let it go first.
            Some(Step::TakeTurns) => drop(before.take_turns(SLICE)),
            None => {}
        }
    }

    /// If it is refused, the thread takes short turns for good, and the log says what it would
    /// need.
    fn go_first(&mut self) {
        static TOLD: Once = Once::new();
        match guantong_sched::go_first() {
            Ok(before) => self.before = self.before.or(Some(before)),
            Err(error) => {
                self.before = None;
                take_short_turns();
                // All of them are refused alike.
                TOLD.call_once(|| {
                    tracing::info!(
                        "answers over UDP wait for their turn beside other work, as the system \
                         does not let them go first ({error}): LimitRTPRIO=1 of a systemd unit \
                         would, or CAP_SYS_NICE; with listen.udp_first = false the node does not \
                         ask for it"
                    );
                });
            }
        }
    }
}

/// Processor time that this thread has used.
fn used() -> Duration {
    // Only Linux lets a thread go first.
    #[cfg(target_os = "linux")]
    let used = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID);
    #[cfg(not(target_os = "linux"))]
    let used: nix::Result<Duration> = Ok(Duration::ZERO);
    used.map_or(Duration::ZERO, Duration::from)
}

/// The part of a core that each of so many threads may use.
fn share_each(threads: usize, cores: usize) -> f64 {
    let all = cores as f64 * SHARE_MAX;
    (all / threads.max(1) as f64).min(SHARE_MAX)
}

/// What a thread has to do because of how busy it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    GoFirst,
    TakeTurns,
}

/// Whether a thread is calm enough to go first.
#[derive(Debug)]
struct Pace {
    /// Of one core.
    share_max: f64,
    is_first: bool,
    /// When it was looked at last, and what it had used by then.
    since_ms: u64,
    used: Duration,
}

impl Pace {
    fn new(share_max: f64, now_ms: u64, used: Duration) -> Self {
        Self {
            share_max,
            is_first: true,
            since_ms: now_ms,
            used,
        }
    }

    /// Asks for the time `used` only if it is due.
    fn look(&mut self, now_ms: u64, used: impl Fn() -> Duration) -> Option<Step> {
        let passed = now_ms.saturating_sub(self.since_ms);
        let interval = match self.is_first {
            true => LOOK_MS,
            false => REST_MS,
        };
        if passed < interval {
            return None;
        }
        let used = used();
        let spent = used.saturating_sub(self.used);
        let share = spent.as_secs_f64() * 1_000.0 / passed as f64;
        (self.since_ms, self.used) = (now_ms, used);
        // Half of it, so that one who is just about as busy does not go to and fro. Beside much
        // other work a flooded thread may look calm, as it does not get its turn: it then goes
        // first for one look, a tenth of the time.
        let step = match self.is_first {
            true if share > self.share_max => Step::TakeTurns,
            false if share < self.share_max / 2.0 => Step::GoFirst,
            _ => return None,
        };
        self.is_first = step == Step::GoFirst;
        Some(step)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn nice() -> i32 {
        rustix::process::getpriority_process(None).expect("a thread may read its own priority")
    }

    #[test]
    fn thread_steps_back_with_those_that_it_starts_and_no_others() {
        let before = nice();
        let inside = std::thread::spawn(|| {
            step_back();
            (nice(), std::thread::spawn(nice).join().unwrap())
        });
        let wanted = before.max(STEP);
        assert_eq!(inside.join().unwrap(), (wanted, wanted));
        assert_eq!(nice(), before);
    }

    /// Looks every 10 ms at a thread that uses so many percent of its core.
    fn run(pace: &mut Pace, now: &mut (u64, Duration), percent: u32, ms: u64) -> Vec<(u64, Step)> {
        let mut steps = Vec::new();
        let until = now.0 + ms;
        while now.0 < until {
            now.0 += 10;
            now.1 += Duration::from_micros(100) * percent;
            let used = now.1;
            steps.extend(pace.look(now.0, || used).map(|step| (now.0, step)));
        }
        steps
    }

    #[test]
    fn calm_thread_goes_first_for_good() {
        let mut now = (5, Duration::from_secs(3));
        let mut pace = Pace::new(0.5, now.0, now.1);
        assert_eq!(run(&mut pace, &mut now, 49, 60_000), []);
    }

    #[test]
    fn flooded_thread_takes_turns_until_it_is_calm_again() {
        let mut now = (0, Duration::ZERO);
        let mut pace = Pace::new(0.5, now.0, now.1);
        assert_eq!(
            run(&mut pace, &mut now, 100, 5_000),
            [(100, Step::TakeTurns)]
        );
        // Neither flooded nor calm: it stays as it is.
        assert_eq!(run(&mut pace, &mut now, 40, 5_000), []);
        let steps = run(&mut pace, &mut now, 10, 3_000);
        assert_eq!(steps.len(), 1);
        assert_eq!(steps[0].1, Step::GoFirst);
        assert_eq!(run(&mut pace, &mut now, 100, 1_000).len(), 1);
    }

    #[test]
    fn long_sleep_counts_as_calm() {
        let mut pace = Pace::new(0.5, 0, Duration::ZERO);
        assert_eq!(
            pace.look(100, || Duration::from_millis(90)),
            Some(Step::TakeTurns)
        );
        let step = pace.look(60_000, || Duration::from_millis(100));
        assert_eq!(step, Some(Step::GoFirst));
    }

    #[test]
    fn time_is_asked_for_only_when_a_look_is_due() {
        let mut pace = Pace::new(0.5, 0, Duration::ZERO);
        assert_eq!(pace.look(LOOK_MS - 1, || panic!("nobody needs it")), None);
    }

    /// However many threads there are, half of all cores is left to others.
    #[test]
    fn threads_share_half_of_the_cores() {
        for cores in 1..9 {
            for threads in 1..40 {
                let each = share_each(threads, cores);
                assert!(each <= SHARE_MAX);
                assert!(each * threads as f64 <= cores as f64 * SHARE_MAX + 1e-9);
            }
        }
        assert!((share_each(2, 2) - 0.5).abs() < 1e-9);
        assert!((share_each(4, 2) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn thread_knows_what_it_has_used() {
        let before = used();
        let begun = std::time::Instant::now();
        while used() == before {
            assert!(begun.elapsed() < Duration::from_secs(60), "it stands still");
            std::hint::spin_loop();
        }
    }

    #[test]
    fn thread_that_is_not_to_go_first_never_asks() {
        let mut precedence = Precedence::begin(false, 1, 0);
        precedence.on_batch(10 * REST_MS);
        assert!(precedence.before.is_none());
    }
}
