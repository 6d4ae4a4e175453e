//! Which threads go first when all cores are busy.
//!
//! An answer takes microseconds and somebody waits for it; an import, a flush or a compaction takes
//! seconds and nobody waits for its next slice. Left to the system they have equal shares, and each
//! answer may wait for some slices of them. So whatever works in bulk steps back: it has what is
//! left of a busy machine, about a tenth of a core's time at least, and everything of an idle one.

use std::sync::Once;
use std::time::Duration;

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

/// Has this thread, which answers, run before everything else on the machine whenever it is due. If
/// it is refused, it takes short turns, and the log says what it would need.
pub(crate) fn go_first() {
    static TOLD: Once = Once::new();
    if let Err(error) = guantong_sched::go_first() {
        // All of them are refused alike.
        TOLD.call_once(|| {
            tracing::warn!(
                "listen.udp_first: the system refuses it ({error}): give the node CAP_SYS_NICE or \
                 LimitRTPRIO=1 of a systemd unit, or set it to false"
            );
        });
        take_short_turns();
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
}
