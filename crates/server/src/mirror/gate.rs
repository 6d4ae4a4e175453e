//! The gate: whether this node takes changes at this moment.
//!
//! The store's writer asks it for every batch, so that no way into the store passes it by.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guantong_core::replicate::{Instant, Lease, Role, Token};
use guantong_store::{Admission, Origin};
use nix::time::{ClockId, clock_gettime};

use crate::node::wall_clock_ms;

//----------- Gate -----------------------------------------------------------

/// Whether this node takes changes.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    role: Role,
    /// On the way to another role: nobody's changes are taken.
    is_closed: bool,
    lease: Lease,
    /// A standby has been told of leases: from then on changes are taken only while one holds.
    is_armed: bool,
    /// Who takes changes, in words.
    primary: String,
}

impl Gate {
    /// A gate for a node of that role. `is_armed`: a standby was told of leases before.
    pub(crate) fn new(role: Role, primary: String, lease: Lease, is_armed: bool) -> Self {
        let is_closed = false;
        Self {
            state: Mutex::new(State {
                role,
                is_closed,
                lease,
                is_armed,
                primary,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every field is written whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes no changes until a role is set.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
    }

    /// Opens again in the role that it had.
    pub(crate) fn reopen(&self) {
        self.lock().is_closed = false;
    }

    /// Sets the role, and who takes changes if it is not this node.
    pub(crate) fn set(&self, role: Role, primary: String) {
        let mut state = self.lock();
        (state.role, state.primary, state.is_closed) = (role, primary, false);
    }

    /// The token for an answer made now, if a standby was told of leases.
    pub(crate) fn token(&self) -> Option<Token> {
        let state = self.lock();
        state.is_armed.then(|| state.lease.token(now()))
    }

    /// How long the leases run, in milliseconds; 0 if there are none.
    pub(crate) fn lease_ms(&self) -> u64 {
        self.lock().lease.span_ms()
    }

    /// The standby has returned a token. Whether it is one of this run of the process, so that the
    /// standby knows how long leases run now.
    pub(crate) fn renew(&self, token: &Token) -> bool {
        let mut state = self.lock();
        state.lease.renew(token, now());
        state.lease.made(token)
    }

    /// A standby is being told of leases: the first one begins.
    pub(crate) fn arm(&self) {
        let mut state = self.lock();
        if !state.is_armed {
            state.is_armed = true;
            state.lease.begin(now());
        }
    }

    /// The standby has been told that there are no leases any more.
    pub(crate) fn disarm(&self) {
        self.lock().is_armed = false;
    }

    /// Whether changes are taken now; if not, why.
    pub(crate) fn is_open(&self) -> Result<(), String> {
        let state = self.lock();
        if state.role != Role::Primary {
            return Err(format!(
                "it is not a primary; send changes to {}",
                state.primary
            ));
        }
        if state.is_closed {
            return Err("another node is taking over from it; try again in a moment".to_owned());
        }
        match state.is_armed && !state.lease.holds(now()) {
            true => Err(
                "it has not heard of its standby, which may have taken over; see that the standby \
                 runs and reaches this node; if it is gone for good and was not promoted, \
                 `guantong mirror promote --force` frees this node of it"
                    .to_owned(),
            ),
            false => Ok(()),
        }
    }
}

impl Admission for Gate {
    fn admits(&self, origin: &Origin) -> Result<(), Arc<str>> {
        if *origin != Origin::Replication {
            return self.is_open().map_err(Into::into);
        }
        let state = self.lock();
        match state.role {
            Role::Primary => Err("it is the primary now and follows nobody".into()),
            Role::Mirror | Role::Fenced => Ok(()),
        }
    }
}

//----------- Clock ----------------------------------------------------------

/// This moment by both clocks of a lease.
pub(crate) fn now() -> Instant {
    Instant {
        boot_ms: boot_ms(),
        wall_ms: wall_clock_ms(),
    }
}

/// Milliseconds since the machine started, time asleep included where the system can tell.
pub(crate) fn boot_ms() -> u64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let clock = ClockId::CLOCK_BOOTTIME;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let clock = ClockId::CLOCK_MONOTONIC;
    // The clock exists on every system that we build for; one that fails makes every lease end.
    let time = clock_gettime(clock).map(std::time::Duration::from);
    time.map_or(u64::MAX, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primary_with_a_lease_takes_nothing_until_its_standby_was_in_touch() {
        let lease = Lease::new(60_000, 7);
        let gate = Gate::new(Role::Primary, String::new(), lease, true);
        assert!(gate.admits(&Origin::Operator).is_err());
        let token = gate.token().unwrap();
        assert!(gate.renew(&token));
        assert!(gate.admits(&Origin::Operator).is_ok());
        gate.close();
        assert!(gate.admits(&Origin::Operator).is_err());
        gate.reopen();
        assert!(gate.admits(&Origin::Operator).is_ok());
    }

    #[test]
    fn primary_without_a_standby_that_knows_of_leases_needs_none() {
        let gate = Gate::new(Role::Primary, String::new(), Lease::new(1, 7), false);
        assert!(gate.admits(&Origin::Operator).is_ok() && gate.token().is_none());
        gate.arm();
        while gate.admits(&Origin::Operator).is_ok() {
            std::thread::yield_now();
        }
        gate.disarm();
        assert!(gate.admits(&Origin::Operator).is_ok());
    }

    #[test]
    fn primary_takes_no_replication_and_mirror_takes_nothing_else() {
        let gate = Gate::new(Role::Primary, String::new(), Lease::new(0, 7), false);
        assert!(gate.admits(&Origin::Import).is_ok());
        assert!(gate.admits(&Origin::Replication).is_err());
        for role in [Role::Mirror, Role::Fenced] {
            gate.set(role, "192.0.2.7:2641".into());
            assert!(gate.admits(&Origin::Replication).is_ok());
            let why = gate.admits(&Origin::Node).unwrap_err();
            assert!(why.contains("192.0.2.7:2641"), "{why}");
        }
    }
}
