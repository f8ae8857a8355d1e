//! Connections: at most so many at once, and none that stands still for ever.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// So many connections at once. A page needs one for what is live, and now and then another.
pub(super) const MOST_CONNECTIONS: usize = 128;

/// A connection over which nothing goes for so long is closed: what is live says something more often than that.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Lets connections in.
pub(super) struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Door {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(MOST_CONNECTIONS)) }
    }
}

impl Listener for Door {
    type Io = Patient<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let place = Arc::clone(&self.places).acquire_owned().await.ok();
            match self.listener.accept().await {
                Ok((stream, from)) => {
                    // It is about waiting a little less, and no more.
                    let _ = stream.set_nodelay(true);
                    return (Patient::new(stream, place), from);
                }
                // Mostly there are too many open files: that passes.
                Err(_) => sleep(Duration::from_millis(200)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A stream that fails when for [`PATIENCE`] nothing has gone over it, in either direction: a client that does not read what
/// it asked for, or does not finish what it began to ask, is dropped.
pub(super) struct Patient<S> {
    stream: S,
    /// When patience ends.
    ends: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl<S> Patient<S> {
    fn new(stream: S, place: Option<OwnedSemaphorePermit>) -> Self {
        Self { stream, ends: Box::pin(sleep(PATIENCE)), _place: place }
    }

    /// Something went over it; or nothing did, and it may be over.
    fn after<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.ends.as_mut().reset(Instant::now() + PATIENCE);
            return polled;
        }
        self.ends.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, into);
        self.after(polled, context)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, from);
        self.after(polled, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.after(polled, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_dropped_and_who_says_little_is_not() {
        let (mut client, server) = duplex(64);
        let mut server = Patient::new(server, None);
        let reading = tokio::spawn(async move {
            let mut bytes = Vec::new();
            let ended = server.read_to_end(&mut bytes).await;
            (bytes, ended.map_err(|error| error.kind()))
        });
        for _ in 0..4 {
            sleep(PATIENCE - Duration::from_secs(1)).await;
            client.write_all(b"x").await.unwrap();
        }
        let (bytes, ended) = reading.await.unwrap();
        assert_eq!((bytes.as_slice(), ended.unwrap_err()), (&b"xxxx"[..], io::ErrorKind::TimedOut));
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_is_dropped_and_nothing_is_gathered_for_them() {
        let (_client, server) = duplex(64);
        let mut server = Patient::new(server, None);
        let error = server.write_all(&[0; 1_000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_connection_too_many_waits_for_another_to_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let mut door = Door { listener, places: Arc::new(Semaphore::new(1)) };
        let _clients = (TcpStream::connect(at).await.unwrap(), TcpStream::connect(at).await.unwrap());
        let (first, _) = door.accept().await;
        let mut second = Box::pin(door.accept());
        assert!(futures::poll!(&mut second).is_pending(), "there is no place");
        drop(first);
        second.await;
    }
}
