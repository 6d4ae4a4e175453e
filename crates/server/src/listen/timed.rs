//! A stream that gives up on a peer that does not move.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

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
/// A timer runs only while an operation waits. HTTP libraries bound the time for headers, but not a
/// body or an answer that trickles.
#[derive(Debug)]
pub(super) struct Timed<S> {
    inner: S,
    patience: Patience,
    reading: Option<Pin<Box<Sleep>>>,
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> Timed<S> {
    pub(super) fn new(inner: S, patience: Patience) -> Self {
        Self {
            inner,
            patience,
            reading: None,
            writing: None,
        }
    }
}

/// Passes `poll` on, with the timer running exactly while it is pending.
fn bounded<T>(
    timer: &mut Option<Pin<Box<Sleep>>>,
    bound: Duration,
    cx: &mut Context<'_>,
    poll: Poll<io::Result<T>>,
) -> Poll<io::Result<T>> {
    if poll.is_ready() {
        *timer = None;
        return poll;
    }
    let timer = timer.get_or_insert_with(|| Box::pin(sleep(bound)));
    match timer.as_mut().poll(cx) {
        Poll::Ready(()) => {
            timer.as_mut().reset(Instant::now() + bound);
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        }
        Poll::Pending => Poll::Pending,
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
        bounded(&mut this.reading, this.patience.read, cx, poll)
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
        bounded(&mut this.writing, this.patience.write, cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let poll = Pin::new(&mut this.inner).poll_flush(cx);
        bounded(&mut this.writing, this.patience.write, cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let poll = Pin::new(&mut this.inner).poll_shutdown(cx);
        bounded(&mut this.writing, this.patience.write, cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let poll = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        bounded(&mut this.writing, this.patience.write, cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

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
    async fn peer_that_takes_nothing_is_given_up() {
        let (_peer, ours) = duplex(16);
        let mut ours = Timed::new(ours, PATIENCE);
        let begun = Instant::now();
        let error = ours.write_all(&[0; 17]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), 7);
    }
}
