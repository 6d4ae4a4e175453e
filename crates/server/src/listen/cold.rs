//! Threads that fetch from the disk what the threads of the listener do not wait for.
//!
//! ```text
//!   datagram ──► UDP thread ── at hand ──► answer, in the batch
//!                    └── on disk ──► queue ──► reader ──► answer, by the same socket
//! ```
//!
//! An answer from memory takes a microsecond, one from the disk a hundred: in one thread, every
//! answer would wait behind the disk, and the disk would be asked for one block at a time although
//! it serves many at once. The order of datagrams promises nothing, so answers may overtake.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Readers, and so reads of the disk at a time. A fast disk is at its best with some thirty in
/// flight; a thread that waits costs a few kilobytes.
pub(super) const READERS: usize = 32;
/// Requests that wait for a reader: a tenth of a second's work of a fast disk. Whoever asks for
/// more than that loses some, as datagrams may be lost, and asks again.
pub(super) const WAITING_MAX: usize = 4_096;

//----------- Readers --------------------------------------------------------

/// The threads.
#[derive(Debug)]
pub(super) struct Readers(Vec<JoinHandle<()>>);

/// The way to them, for requests of type `T`.
#[derive(Debug)]
pub(super) struct Queue<T>(SyncSender<T>);

impl Readers {
    /// Starts `count` of them, each of which does `work` for one request at a time. They end when
    /// the last queue is gone and empty.
    pub(super) fn start<T: Send + 'static>(
        count: usize,
        work: impl Fn(T) + Clone + Send + 'static,
    ) -> std::io::Result<(Self, Queue<T>)> {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        let start = |n| {
            let (receiver, work) = (receiver.clone(), work.clone());
            let builder = std::thread::Builder::new().name(format!("reader-{n}"));
            builder.spawn(move || std::iter::from_fn(|| next(&receiver)).for_each(work))
        };
        let threads = (0..count).map(start).collect::<Result<_, _>>()?;
        Ok((Self(threads), Queue(sender)))
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

/// The next request; `None` if there will be none. The lock is free again while it is worked on.
fn next<T>(receiver: &Mutex<Receiver<T>>) -> Option<T> {
    let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
    receiver.recv().ok()
}

impl<T> Queue<T> {
    /// Hands a request over; gives it back if too many wait already.
    pub(super) fn push(&self, request: T) -> Result<(), T> {
        self.0.try_send(request).map_err(|refused| match refused {
            TrySendError::Full(request) | TrySendError::Disconnected(request) => request,
        })
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn as_many_requests_are_worked_on_at_a_time_as_there_are_readers() {
        let all = Arc::new(Barrier::new(READERS));
        // Each waits for all others: with one reader less, none would ever end.
        let work = move |barrier: Arc<Barrier>| {
            barrier.wait();
        };
        let (readers, queue) = Readers::start(READERS, work).unwrap();
        for _ in 0..READERS {
            queue.push(all.clone()).unwrap();
        }
        drop(queue);
        readers.join();
    }

    #[test]
    fn request_above_the_limit_is_given_back_and_the_others_are_worked_on() {
        let (begin, begun) = std::sync::mpsc::channel::<()>();
        let (done, all_done) = std::sync::mpsc::channel();
        let begun = Arc::new(Mutex::new(begun));
        let work = move |n: usize| {
            // Until the test lets it go on, by hanging up.
            let _ = begun.lock().unwrap().recv();
            done.send(n).unwrap();
        };
        let (readers, queue) = Readers::start(1, work).unwrap();
        // One may be in the hands of the reader.
        let taken = (0..WAITING_MAX + 2).filter(|&n| queue.push(n).is_ok());
        let taken = taken.count();
        assert!((WAITING_MAX..=WAITING_MAX + 1).contains(&taken), "{taken}");
        drop(begin);
        drop(queue);
        readers.join();
        assert_eq!(all_done.iter().count(), taken);
    }
}
