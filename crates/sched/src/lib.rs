//! How long a thread asks the system to run at a time, and whether before all others.
//!
//! Threads of equal rights have equal shares of a busy core, a slice at a time. Linux (6.12 and
//! later) lets a thread say how long its slices are to be. Short ones leave its share as it is, but
//! have it wait less: of two threads that are due, the one goes first whose slice would end first,
//! and a thread that wakes up need not wait for the end of a longer slice of another.
//!
//! A thread that is due may wait for a turn of another all the same: the system looks at ticks,
//! some milliseconds apart, whose turn it is. Only a real-time thread runs as soon as it is due.
//!
//! This is the only crate of ours with `unsafe`: no library that is kept offers the two calls of
//! the system, `sched_getattr(2)` and `sched_setattr(2)`.

#![allow(unsafe_code)]

use std::io;
use std::time::Duration;

/// Asks for slices of that length for this thread, and for the threads that it starts from now on.
/// Its share of a busy core stays as it is. Zero gives back what was asked for: the slices are
/// those of the system again.
///
/// Linux gives at least 0.1 ms and at most 100 ms. A Linux before 6.12 takes note of nothing and
/// gives what it always gives; so does this call where somebody has chosen another policy for the
/// thread than the common one, such as that of batches or of real time.
///
/// # Errors
///
/// What the system says if it refuses, as under a filter of system calls; `Unsupported` on
/// systems other than Linux. Nothing has changed then.
pub fn ask_for_slices(length: Duration) -> io::Result<()> {
    system::ask_for_slices(length)
}

/// Has this thread run before all common ones of the machine whenever it is due, in turns with
/// others of its kind: under `SCHED_RR`, with the lowest priority of it. Threads that it starts
/// from now on are common ones again.
///
/// It takes `CAP_SYS_NICE`, or a limit of real-time priorities (`RLIMIT_RTPRIO`) of 1. It is for
/// threads that often wait for something: while one runs, common threads have of its core only
/// what Linux keeps for them, a twentieth.
///
/// # Errors
///
/// What the system says if it refuses; `Unsupported` on systems other than Linux. Nothing has
/// changed then.
pub fn go_first() -> io::Result<Before> {
    system::go_first().map(Before)
}

/// What a thread was before it went first: how nice it is to others, which the system does not tell
/// of one that goes first.
#[derive(Clone, Copy, Debug)]
pub struct Before(i32);

impl Before {
    /// Has this thread, which went first, take turns with the common threads of the machine again,
    /// as nice to others as it was, in slices of that length (as [`ask_for_slices`] has them).
    /// Anybody may do so.
    ///
    /// # Errors
    ///
    /// What the system says if it refuses; `Unsupported` on systems other than Linux. Nothing has
    /// changed then.
    pub fn take_turns(self, length: Duration) -> io::Result<()> {
        system::take_turns(self.0, length)
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::ffi::c_long;

    use super::{Duration, io};

    /// This thread.
    const SELF: libc::pid_t = 0;
    /// Neither call has any flags yet.
    const NO_FLAGS: libc::c_uint = 0;
    pub(super) const COMMON_POLICY: u32 = libc::SCHED_OTHER.cast_unsigned();
    /// Threads that this one starts have the common policy.
    pub(super) const RESET_ON_FORK: u64 = libc::SCHED_FLAG_RESET_ON_FORK as u64;
    const SIZE: u32 = size_of::<libc::sched_attr>() as u32;

    pub(super) fn ask_for_slices(length: Duration) -> io::Result<()> {
        let mut attributes = attributes()?;
        if attributes.sched_policy == COMMON_POLICY {
            // For the common policy this is the slice. All else is given back as it was.
            attributes.sched_runtime = nanos(length);
            set(&attributes)?;
        }
        Ok(())
    }

    /// Gives back how nice the thread was.
    pub(super) fn go_first() -> io::Result<i32> {
        let mut attributes = attributes()?;
        let nice = attributes.sched_nice;
        attributes.sched_policy = libc::SCHED_RR.cast_unsigned();
        attributes.sched_priority = 1;
        attributes.sched_flags |= RESET_ON_FORK;
        set(&attributes)?;
        Ok(nice)
    }

    pub(super) fn take_turns(nice: i32, length: Duration) -> io::Result<()> {
        let mut attributes = attributes()?;
        attributes.sched_policy = COMMON_POLICY;
        attributes.sched_priority = 0;
        attributes.sched_nice = nice;
        attributes.sched_runtime = nanos(length);
        // `RESET_ON_FORK` stays: only the privileged may take it back.
        set(&attributes)
    }

    fn nanos(length: Duration) -> u64 {
        u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
    }

    /// How this thread is scheduled.
    pub(super) fn attributes() -> io::Result<libc::sched_attr> {
        let mut attributes = libc::sched_attr {
            size: SIZE,
            sched_policy: 0,
            sched_flags: 0,
            sched_nice: 0,
            sched_priority: 0,
            sched_runtime: 0,
            sched_deadline: 0,
            sched_period: 0,
        };
        let place: *mut libc::sched_attr = &raw mut attributes;
        // SAFETY: the system writes at most `SIZE` octets to `place`, which is ours alone and has
        // as many; each of its fields is a number, for which all octets are valid.
        done(unsafe { libc::syscall(libc::SYS_sched_getattr, SELF, place, SIZE, NO_FLAGS) })?;
        Ok(attributes)
    }

    pub(super) fn set(attributes: &libc::sched_attr) -> io::Result<()> {
        let place: *const libc::sched_attr = attributes;
        // SAFETY: the system reads `attributes.size` octets from `place`. That is at most `SIZE`,
        // as `attributes` made it and the system gave it back, and `place` has as many; it keeps
        // nothing of it.
        done(unsafe { libc::syscall(libc::SYS_sched_setattr, SELF, place, NO_FLAGS) })
    }

    fn done(result: c_long) -> io::Result<()> {
        match result {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Duration, io};

    pub(super) fn ask_for_slices(_: Duration) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn go_first() -> io::Result<i32> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn take_turns(_: i32, _: Duration) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::system::{COMMON_POLICY, RESET_ON_FORK, attributes, set};
    use super::*;

    /// In a thread of its own, since it would be changed for good.
    fn apart<T: Send>(act: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| scope.spawn(act).join().expect("it panics nowhere"))
    }

    #[test]
    fn thread_has_the_slices_it_asked_for_where_the_system_has_them() {
        apart(|| {
            let before = attributes().unwrap();
            ask_for_slices(Duration::from_micros(300)).unwrap();
            let after = attributes().unwrap();
            // An older system has no slices to tell; who runs the tests may have chosen a policy.
            match before.sched_runtime != 0 && before.sched_policy == COMMON_POLICY {
                true => assert_eq!(after.sched_runtime, 300_000),
                false => assert_eq!(after.sched_runtime, before.sched_runtime),
            }
            let rest = |of: &libc::sched_attr| (of.sched_policy, of.sched_nice, of.sched_flags);
            assert_eq!(rest(&after), rest(&before));
        });
    }

    #[test]
    fn slices_are_of_lengths_that_the_system_gives() {
        for length in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            apart(|| {
                ask_for_slices(length).unwrap();
                let found = Duration::from_nanos(attributes().unwrap().sched_runtime);
                assert!(found <= Duration::from_millis(100), "{found:?}");
            });
        }
    }

    #[test]
    fn thread_has_the_slices_of_the_system_again_once_it_has_given_its_own_back() {
        apart(|| {
            let before = attributes().unwrap().sched_runtime;
            ask_for_slices(Duration::from_micros(300)).unwrap();
            ask_for_slices(Duration::ZERO).unwrap();
            assert_eq!(attributes().unwrap().sched_runtime, before);
        });
    }

    #[test]
    fn policy_that_somebody_has_chosen_stays() {
        apart(|| {
            let mut batch = attributes().unwrap();
            batch.sched_policy = u32::try_from(libc::SCHED_BATCH).unwrap();
            set(&batch).unwrap();
            let before = attributes().unwrap();
            ask_for_slices(Duration::from_micros(100)).unwrap();
            let after = attributes().unwrap();
            assert_eq!(after.sched_policy, batch.sched_policy);
            assert_eq!(after.sched_runtime, before.sched_runtime);
        });
    }

    #[test]
    fn thread_goes_first_and_takes_turns_again_or_nothing_changes() {
        apart(|| {
            // Nicer than most, which anybody may be.
            let mut nice = attributes().unwrap();
            nice.sched_nice = nice.sched_nice.max(5);
            set(&nice).unwrap();
            let before = attributes().unwrap();
            match go_first() {
                Ok(turns) => {
                    let after = attributes().unwrap();
                    assert_eq!(after.sched_policy, libc::SCHED_RR.cast_unsigned());
                    assert_eq!(after.sched_priority, 1);
                    assert_eq!(after.sched_flags & RESET_ON_FORK, RESET_ON_FORK);
                    // What concerns common threads only leaves it as it is.
                    ask_for_slices(Duration::from_micros(100)).unwrap();
                    let policy = attributes().unwrap().sched_policy;
                    assert_eq!(policy, libc::SCHED_RR.cast_unsigned());
                    let started = apart(|| attributes().unwrap());
                    assert_eq!(started.sched_policy, COMMON_POLICY);
                    assert_eq!(started.sched_priority, 0);
                    turns.take_turns(Duration::from_micros(300)).unwrap();
                    let common = attributes().unwrap();
                    assert_eq!(common.sched_policy, COMMON_POLICY);
                    assert_eq!(common.sched_priority, 0);
                    assert_eq!(common.sched_nice, before.sched_nice);
                    if before.sched_runtime != 0 {
                        assert_eq!(common.sched_runtime, 300_000);
                    }
                    go_first().unwrap();
                    let again = attributes().unwrap().sched_policy;
                    assert_eq!(again, libc::SCHED_RR.cast_unsigned());
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
                    assert_eq!(attributes().unwrap().sched_policy, before.sched_policy);
                }
            }
        });
    }

    #[test]
    fn other_threads_keep_their_slices() {
        let before = attributes().unwrap().sched_runtime;
        apart(|| ask_for_slices(Duration::from_micros(200)).unwrap());
        assert_eq!(attributes().unwrap().sched_runtime, before);
    }
}
