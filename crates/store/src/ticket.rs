//! Tickets: how the writer tells a caller what became of its batch.
//!
//! A ticket stands for one batch. Who has many batches under way takes their outcomes as a
//! [`Recipient`], which is woken once for all that were committed together: each wake-up is a call
//! of the system, and where cores are scarce a change of threads.

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

//----------- Recipient ------------------------------------------------------

/// Takes the outcomes of many batches; see [`Store::try_submit_all`](crate::Store::try_submit_all).
///
/// It is mostly called on the writer's thread, which it must not hold up.
pub trait Recipient: Send + Sync {
    /// Takes the outcome of the batch that was submitted with this mark. Each batch has one.
    fn take(&self, mark: usize, outcome: Outcome);

    /// Wakes whoever deals with what was taken; no more is to come for now.
    fn wake(&self);
}

/// The recipients that have taken something and are not woken yet. Dropping it wakes each once.
#[derive(Default)]
pub(crate) struct Wakes(Vec<Arc<dyn Recipient>>);

impl Wakes {
    fn add(&mut self, recipient: Arc<dyn Recipient>) {
        if !self.0.iter().any(|known| Arc::ptr_eq(known, &recipient)) {
            self.0.push(recipient);
        }
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        for recipient in self.0.drain(..) {
            unless_it_panics(|| recipient.wake());
        }
    }
}

/// What callers bring along must not take the writer with it when it panics.
fn unless_it_panics(call: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(call));
}

//----------- Stub -----------------------------------------------------------

/// The writer's end of a ticket. Dropped without an outcome it says that the store was closed.
pub(crate) struct Stub(Option<End>);

/// Who is told.
enum End {
    Ticket(Arc<Cell>),
    Recipient(Arc<dyn Recipient>, usize),
}

impl Stub {
    /// One that tells a recipient.
    pub(crate) fn of(recipient: Arc<dyn Recipient>, mark: usize) -> Self {
        Self(Some(End::Recipient(recipient, mark)))
    }

    /// Tells the caller. Who takes many outcomes is woken with `wakes`.
    pub(crate) fn complete(mut self, outcome: Outcome, wakes: &mut Wakes) {
        self.finish(outcome, wakes);
    }

    fn finish(&mut self, outcome: Outcome, wakes: &mut Wakes) {
        let cell = match self.0.take() {
            Some(End::Ticket(cell)) => cell,
            Some(End::Recipient(recipient, mark)) => {
                unless_it_panics(|| recipient.take(mark, outcome));
                return wakes.add(recipient);
            }
            None => return,
        };
        let mut state = cell.lock();
        match std::mem::replace(&mut *state, State::Pending) {
            State::Callback(callback) => {
                drop(state);
                unless_it_panics(move || callback(outcome));
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
        self.finish(Err(WriteError::Closed), &mut Wakes::default());
    }
}

/// A ticket and its other end.
pub(crate) fn ticket() -> (Ticket, Stub) {
    let cell = Arc::new(Cell {
        state: Mutex::new(State::Pending),
        done: Condvar::new(),
    });
    (Ticket(cell.clone()), Stub(Some(End::Ticket(cell))))
}

/// A ticket whose outcome is known already.
pub(crate) fn settled(outcome: Outcome) -> Ticket {
    let (ticket, stub) = ticket();
    stub.complete(outcome, &mut Wakes::default());
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
                stub.complete(DONE, &mut Wakes::default());
            } else {
                stub.complete(DONE, &mut Wakes::default());
                ticket.on_done(tell);
            }
            assert_eq!(receiver.recv().unwrap(), DONE.unwrap());
        }
    }

    #[test]
    fn waiter_is_woken() {
        let (ticket, stub) = ticket();
        let waiter = std::thread::spawn(|| ticket.wait());
        stub.complete(DONE, &mut Wakes::default());
        assert_eq!(waiter.join().unwrap().unwrap(), DONE.unwrap());
    }

    #[test]
    fn dropped_stub_says_that_the_store_was_closed() {
        let (ticket, stub) = ticket();
        drop(stub);
        assert!(matches!(ticket.wait(), Err(WriteError::Closed)));
    }

    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);

    impl Recipient for Notes {
        fn take(&self, mark: usize, outcome: Outcome) {
            let said = outcome.map_or_else(|error| error.to_string(), |_| "done".to_owned());
            self.0.lock().unwrap().push(format!("{mark} {said}"));
        }

        fn wake(&self) {
            self.0.lock().unwrap().push("wake".to_owned());
        }
    }

    #[test]
    fn recipient_is_woken_once_behind_all_that_it_was_told_together() {
        let (notes, others) = (Arc::new(Notes::default()), Arc::new(Notes::default()));
        let mut wakes = Wakes::default();
        for mark in 0..3 {
            Stub::of(notes.clone(), mark).complete(DONE, &mut wakes);
        }
        Stub::of(others.clone(), 7).complete(DONE, &mut wakes);
        drop(wakes);
        assert_eq!(
            *notes.0.lock().unwrap(),
            ["0 done", "1 done", "2 done", "wake"]
        );
        assert_eq!(*others.0.lock().unwrap(), ["7 done", "wake"]);
        drop(Stub::of(others.clone(), 8));
        let said = others.0.lock().unwrap();
        assert_eq!(
            said[2..],
            [format!("8 {}", WriteError::Closed), "wake".to_owned()]
        );
    }
}
