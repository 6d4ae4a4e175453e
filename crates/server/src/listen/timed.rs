//! A stream that gives up on a peer that does not move.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a peer may do nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// While we wait for octets of its.
    pub(super) read: Duration,
    /// While it does not take octets of ours.
    pub(super) write: Duration,
}

/// Ends with [`io::ErrorKind::TimedOut`] when the patience with a peer is over.
///
/// Time counts only while an operation waits. HTTP libraries bound the time for headers, but not a
/// body or an answer that trickles.
#[derive(Debug)]
pub(super) struct Timed<S> {
    inner: S,
    reading: Timer,
    writing: Timer,
}

impl<S> Timed<S> {
    pub(super) fn new(inner: S, patience: Patience) -> Self {
        Self {
            inner,
            reading: Timer::new(patience.read),
            writing: Timer::new(patience.write),
        }
    }

    /// The stream itself.
    pub(super) fn into_inner(self) -> S {
        self.inner
    }
}

/// Bounds one operation after the other. To set an alarm costs more than most operations take, so
/// it is left as it is when one ends, and set anew only when it rings too early.
#[derive(Debug)]
struct Timer {
    bound: Duration,
    /// When the operation that waits is given up.
    due: Option<Instant>,
    /// Rings at that time or before.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    fn new(bound: Duration) -> Self {
        Self {
            bound,
            due: None,
            alarm: None,
        }
    }

    /// Passes `poll` on, as long as it is not pending for too long.
    fn bounded<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.due = None;
            return poll;
        }
        let bound = self.bound;
        let due = *self.due.get_or_insert_with(|| Instant::now() + bound);
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        while alarm.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now >= due {
                self.due = None;
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            alarm.as_mut().reset(due);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let poll = Pin::new(&mut this.inner).poll_read(cx, buf);
        this.reading.bounded(cx, poll)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let poll = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.writing.bounded(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let poll = Pin::new(&mut this.inner).poll_flush(cx);
        this.writing.bounded(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let poll = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.writing.bounded(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let poll = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.writing.bounded(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::sleep;

    use super::*;

    const PATIENCE: Patience = Patience {
        read: Duration::from_secs(5),
        write: Duration::from_secs(7),
    };

    #[tokio::test(start_paused = true)]
    async fn silent_peer_is_given_up() {
        let (mut peer, ours) = duplex(16);
        let mut ours = Timed::new(ours, PATIENCE);
        let begun = Instant::now();
        tokio::spawn(async move {
            sleep(Duration::from_secs(4)).await;
            peer.write_all(b"x").await.unwrap();
            sleep(Duration::from_secs(100)).await;
        });
        assert_eq!(ours.read_u8().await.unwrap(), b'x');
        let error = ours.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nothing_waits_does_not_count() {
        let (mut peer, ours) = duplex(16);
        let mut ours = Timed::new(ours, PATIENCE);
        for _ in 0..3 {
            let begun = Instant::now();
            let read = tokio::join!(ours.read_u8(), async {
                sleep(Duration::from_secs(4)).await;
                peer.write_all(b"x").await.unwrap();
            });
            assert_eq!(read.0.unwrap(), b'x');
            assert_eq!(begun.elapsed().as_secs(), 4);
            sleep(Duration::from_secs(100)).await;
        }
        let begun = Instant::now();
        assert!(ours.read_u8().await.is_err());
        assert_eq!(begun.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn peer_that_takes_nothing_is_given_up() {
        let (_peer, ours) = duplex(16);
        let mut ours = Timed::new(ours, PATIENCE);
        let begun = Instant::now();
        let error = ours.write_all(&[0; 17]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), 7);
    }
}
