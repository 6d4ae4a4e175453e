//! Threads that fetch from the disk what the threads of the listener do not wait for.
//!
//! ```text
//!   datagrams ──► UDP thread ── at hand ──► answers, in the batch
//!                     └── on disk ──► queue ──► reader ──► answers, by the same socket
//! ```
//!
//! An answer from memory takes a microsecond, one from the disk a hundred: in one thread, every
//! answer would wait behind the disk, and the disk would be asked for one block at a time although
//! it serves many at once. The order of datagrams promises nothing, so answers may overtake.
//!
//! Handing over costs as much as answering, so it is done for many at once: what a batch of
//! datagrams brings goes through the lock together, one reader at a time is woken, and where more
//! wait than there are readers, each takes its share and sends the answers together.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Readers, and so reads of the disk at a time. A fast disk is at its best with some thirty in
/// flight; a thread that waits costs a few kilobytes.
pub(super) const READERS: usize = 32;
/// Requests that wait for a reader: a tenth of a second's work of a fast disk. Whoever asks for
/// more than that loses some, as datagrams may be lost, and asks again.
pub(super) const WAITING_MAX: usize = 4_096;
/// Requests that a reader takes at once, one after the other from the disk: an answer that is ready
/// waits for at most so many reads less one.
pub(super) const SHARE_MAX: usize = 4;

//----------- Readers --------------------------------------------------------

/// The threads.
#[derive(Debug)]
pub(super) struct Readers(Vec<JoinHandle<()>>);

/// The way to them, for requests of type `T`.
#[derive(Debug)]
pub(super) struct Queue<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    /// Told when there is something for a reader that sleeps.
    changed: Condvar,
    readers: usize,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    /// Readers that sleep, or have been woken and are not up yet.
    asleep: usize,
    /// Whether one of them has been woken and is not up yet.
    is_one_waking: bool,
    /// Ways into the queue that are left.
    queues: usize,
}

impl Readers {
    /// Starts `count` of them, each with what `worker` makes, in that thread, to work on some
    /// requests at a time. They end when the last queue is gone and empty.
    pub(super) fn start<T, W>(
        count: usize,
        worker: impl Fn() -> W + Clone + Send + 'static,
    ) -> std::io::Result<(Self, Queue<T>)>
    where
        T: Send + 'static,
        W: FnMut(&mut Vec<T>),
    {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                asleep: 0,
                is_one_waking: false,
                queues: 1,
            }),
            changed: Condvar::new(),
            readers: count,
        });
        // From here on it is what ends those that have started, should one fail to.
        let queue = Queue(shared);
        let start = |n| {
            let (shared, worker) = (queue.0.clone(), worker.clone());
            let builder = std::thread::Builder::new().name(format!("reader-{n}"));
            builder.spawn(move || {
                let (mut work, mut share) = (worker(), Vec::with_capacity(SHARE_MAX));
                while shared.take(&mut share) {
                    work(&mut share);
                    share.clear();
                }
            })
        };
        let threads = (0..count).map(start).collect::<Result<_, _>>()?;
        Ok((Self(threads), queue))
    }

    /// Waits until they have ended.
    pub(super) fn join(self) {
        for thread in self.0 {
            if thread.join().is_err() {
                tracing::error!("a thread that reads the disk had panicked");
            }
        }
    }
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Nothing is called while it is held that could panic halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for requests and takes a reader's share of them; whether there will be more.
    fn take(&self, share: &mut Vec<T>) -> bool {
        let mut state = self.state();
        while state.waiting.is_empty() {
            if state.queues == 0 {
                return false;
            }
            state.asleep += 1;
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
            state.asleep -= 1;
            state.is_one_waking = false;
        }
        // No more than leaves one for each of the others: they read at the same time.
        let count = (state.waiting.len() / self.readers).clamp(1, SHARE_MAX);
        share.extend(state.waiting.drain(..count));
        self.wake_one(state);
        true
    }

    /// Wakes a reader if there is something for it, and nobody is on the way already: whoever is
    /// up first, that one or one that has just come from the disk, takes what there is and wakes
    /// the next. To wake all at once, while those that are up take it from them, costs more than
    /// the hand-over.
    fn wake_one(&self, mut state: MutexGuard<'_, State<T>>) {
        if state.waiting.is_empty() || state.asleep == 0 || state.is_one_waking {
            return;
        }
        state.is_one_waking = true;
        drop(state);
        self.changed.notify_one();
    }
}

//----------- Queue ----------------------------------------------------------

impl<T> Queue<T> {
    /// Hands requests over, all that there is room for; those that are left had too many waiting
    /// in front of them.
    pub(super) fn push_all(&self, requests: &mut Vec<T>) {
        if requests.is_empty() {
            return;
        }
        let mut state = self.0.state();
        let room = WAITING_MAX.saturating_sub(state.waiting.len());
        let count = room.min(requests.len());
        state.waiting.extend(requests.drain(..count));
        self.0.wake_one(state);
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        self.0.state().queues += 1;
        Self(self.0.clone())
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.queues -= 1;
        let is_last = state.queues == 0;
        drop(state);
        if is_last {
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    #[test]
    fn as_many_requests_are_worked_on_at_a_time_as_there_are_readers() {
        let all = Arc::new(Barrier::new(READERS));
        // Each waits for all others: with one reader less, none would ever end.
        let worker = || {
            |share: &mut Vec<Arc<Barrier>>| {
                for barrier in share.drain(..) {
                    barrier.wait();
                }
            }
        };
        let (readers, queue) = Readers::start(READERS, worker).unwrap();
        queue.push_all(&mut vec![all; READERS]);
        drop(queue);
        readers.join();
    }

    /// Readers who wait for the sender to hang up before they work, and what they take.
    fn held(count: usize) -> (Readers, Queue<usize>, Sender<()>, Receiver<Vec<usize>>) {
        let (begin, begun) = channel::<()>();
        let (done, all_done) = channel();
        let begun = Arc::new(Mutex::new(begun));
        let worker = move || {
            let (begun, done) = (begun.clone(), done.clone());
            move |share: &mut Vec<usize>| {
                let _ = begun.lock().unwrap().recv();
                done.send(std::mem::take(share)).unwrap();
            }
        };
        let (readers, queue) = Readers::start(count, worker).unwrap();
        (readers, queue, begin, all_done)
    }

    #[test]
    fn request_above_the_limit_is_given_back_and_the_others_are_worked_on() {
        let (readers, queue, begin, done) = held(1);
        let mut requests: Vec<_> = (0..WAITING_MAX + SHARE_MAX + 1).collect();
        queue.push_all(&mut requests);
        // A share may be in the hands of the reader.
        assert_eq!(requests.len(), SHARE_MAX + 1);
        queue.push_all(&mut requests);
        assert!((1..=SHARE_MAX + 1).contains(&requests.len()));
        let given_back = requests.len();
        drop((begin, queue));
        readers.join();
        let worked_on: usize = done.iter().map(|share| share.len()).sum();
        assert_eq!(worked_on + given_back, WAITING_MAX + SHARE_MAX + 1);
    }

    #[test]
    fn reader_takes_several_only_where_more_wait_than_there_are_readers() {
        for (waiting, share_max) in [(2, 1), (3, 1), (4, 2), (1_000, SHARE_MAX)] {
            let (readers, queue, begin, done) = held(2);
            queue.push_all(&mut (0..waiting).collect());
            drop((begin, queue));
            readers.join();
            let shares: Vec<_> = done.iter().collect();
            let longest = shares.iter().map(Vec::len).max();
            assert_eq!(longest, Some(share_max), "{waiting} waiting");
            let mut all = shares.concat();
            all.sort_unstable();
            assert_eq!(all, (0..waiting).collect::<Vec<_>>());
        }
    }

    #[test]
    fn readers_go_on_until_the_last_queue_is_gone() {
        let (readers, queue, begin, done) = held(2);
        drop(begin);
        let other = queue.clone();
        drop(queue);
        other.push_all(&mut vec![7]);
        assert_eq!(done.recv().unwrap(), [7]);
        drop(other);
        readers.join();
    }
}
