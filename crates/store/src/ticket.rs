//! Tickets: how the writer tells a caller what became of its batch.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::batch::Committed;
use crate::error::WriteError;

/// What became of a batch.
pub type Outcome = Result<Committed, WriteError>;

type Callback = Box<dyn FnOnce(Outcome) + Send>;

//----------- Ticket ---------------------------------------------------------

/// Stands for a submitted batch until its outcome is known.
///
/// Dropping a ticket does not take the batch back.
#[must_use = "a batch is only known to be written when its ticket says so"]
pub struct Ticket(Arc<Cell>);

impl Ticket {
    /// Waits for the outcome.
    pub fn wait(self) -> Outcome {
        let mut state = self.0.lock();
        loop {
            if let State::Done(outcome) = &*state {
                return outcome.clone();
            }
            state = self
                .0
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Calls `callback` with the outcome: at once if it is known, otherwise later on the writer's
    /// thread, which it must not hold up. This is the bridge to asynchronous callers.
    pub fn on_done(self, callback: impl FnOnce(Outcome) + Send + 'static) {
        let mut state = self.0.lock();
        match &*state {
            State::Done(outcome) => {
                let outcome = outcome.clone();
                drop(state);
                callback(outcome);
            }
            State::Pending | State::Callback(_) => *state = State::Callback(Box::new(callback)),
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = matches!(&*self.0.lock(), State::Done(_));
        f.debug_struct("Ticket").field("done", &done).finish()
    }
}

//----------- Stub -----------------------------------------------------------

/// The writer's end of a ticket. Dropped without an outcome it says that the store was closed.
pub(crate) struct Stub(Option<Arc<Cell>>);

impl Stub {
    /// Tells the caller.
    pub(crate) fn complete(mut self, outcome: Outcome) {
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: Outcome) {
        let Some(cell) = self.0.take() else { return };
        let mut state = cell.lock();
        match std::mem::replace(&mut *state, State::Pending) {
            State::Callback(callback) => {
                drop(state);
                // A callback that panics must not take the writer with it.
                let call = AssertUnwindSafe(move || callback(outcome));
                let _ = catch_unwind(call);
            }
            State::Pending | State::Done(_) => {
                *state = State::Done(outcome);
                drop(state);
                cell.done.notify_all();
            }
        }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.finish(Err(WriteError::Closed));
    }
}

/// A ticket and its other end.
pub(crate) fn ticket() -> (Ticket, Stub) {
    let cell = Arc::new(Cell {
        state: Mutex::new(State::Pending),
        done: Condvar::new(),
    });
    (Ticket(cell.clone()), Stub(Some(cell)))
}

/// A ticket whose outcome is known already.
pub(crate) fn settled(outcome: Outcome) -> Ticket {
    let (ticket, stub) = ticket();
    stub.complete(outcome);
    ticket
}

//----------- Cell -----------------------------------------------------------

struct Cell {
    state: Mutex<State>,
    done: Condvar,
}

impl Cell {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is replaced whole, so it is sound even if a holder panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum State {
    Pending,
    Callback(Callback),
    Done(Outcome),
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const DONE: Outcome = Ok(Committed { first: 1, last: 2 });

    #[test]
    fn callback_is_called_whether_it_comes_before_or_after_the_outcome() {
        for early in [true, false] {
            let (sender, receiver) = mpsc::channel();
            let (ticket, stub) = ticket();
            let tell = move |outcome: Outcome| sender.send(outcome.unwrap()).unwrap();
            if early {
                ticket.on_done(tell);
                stub.complete(DONE);
            } else {
                stub.complete(DONE);
                ticket.on_done(tell);
            }
            assert_eq!(receiver.recv().unwrap(), DONE.unwrap());
        }
    }

    #[test]
    fn waiter_is_woken() {
        let (ticket, stub) = ticket();
        let waiter = std::thread::spawn(|| ticket.wait());
        stub.complete(DONE);
        assert_eq!(waiter.join().unwrap().unwrap(), DONE.unwrap());
    }

    #[test]
    fn dropped_stub_says_that_the_store_was_closed() {
        let (ticket, stub) = ticket();
        drop(stub);
        assert!(matches!(ticket.wait(), Err(WriteError::Closed)));
    }
}
