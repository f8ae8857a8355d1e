//! A listener for strangers: only so many connections at once, none of them for long. What they can't take are the file
//! descriptors that the run needs.

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
use tokio::time::{Sleep, sleep};

/// How many at once. More wait to be accepted.
const MOST: usize = 32;

/// How long each may last. Who still wants something comes again.
const STAY: Duration = Duration::from_secs(60);

/// Accepts connections, so many at once.
pub(super) struct Visitors {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Visitors {
    pub(super) fn at(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(MOST)) }
    }
}

impl Listener for Visitors {
    type Io = Visitor;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visitor, SocketAddr) {
        // It is never closed, so that there always is a place in the end.
        let place = self.places.clone().acquire_owned().await.ok();
        let (stream, from) = Listener::accept(&mut self.listener).await;
        (Visitor { stream, until: Box::pin(sleep(STAY)), _place: place }, from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends after a while.
pub(super) struct Visitor {
    stream: TcpStream,
    until: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Visitor {
    fn may_stay(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.until.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Visitor {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.may_stay(context)?;
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Visitor {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.may_stay(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::AsyncReadExt;
    use tokio::time::{advance, timeout};

    use super::*;

    async fn visitors() -> (Visitors, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        (Visitors::at(listener), address)
    }

    #[tokio::test]
    async fn more_than_so_many_wait_until_one_has_gone() {
        let (mut visitors, address) = visitors().await;
        let mut here = Vec::new();
        let mut callers = Vec::new();
        for _ in 0..MOST {
            callers.push(TcpStream::connect(address).await.unwrap());
            here.push(visitors.accept().await);
        }
        callers.push(TcpStream::connect(address).await.unwrap());
        assert!(timeout(Duration::from_millis(50), visitors.accept()).await.is_err());
        here.pop();
        visitors.accept().await;
    }

    #[tokio::test]
    async fn who_says_nothing_has_to_go() {
        let (mut visitors, address) = visitors().await;
        let _caller = TcpStream::connect(address).await.unwrap();
        let (mut visitor, _) = visitors.accept().await;
        tokio::time::pause();
        let reading = tokio::spawn(async move { visitor.read(&mut [0; 8]).await });
        tokio::task::yield_now().await;
        advance(STAY + Duration::from_secs(1)).await;
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
