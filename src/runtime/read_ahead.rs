//! A TCP connection below TLS that is read in large pieces while there is much to read.
//!
//! rustls asks for 4 KiB at a time, which would cost a large result a system call for every 4 KiB. A read that fills
//! what was offered is therefore followed by one of [`AHEAD`] into a buffer of our own. Small messages never meet it, and
//! it is given back as soon as the connection is quiet.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes read at once while there is much to read: four TLS records.
const AHEAD: usize = 64 * 1024;

/// A wide read that brings less than this was the last one: what comes next is read into the caller's own buffer.
const QUIET: usize = 4 * 1024;

/// The connection, and what has been read of it ahead of time.
#[derive(Debug)]
pub(crate) struct ReadAhead<S = TcpStream> {
    stream: S,
    ahead: Vec<u8>,
    /// How much of `ahead` has been handed out: `0 <= taken <= ahead.len()`.
    taken: usize,
    /// The last read filled all it was given.
    busy: bool,
}

impl<S> ReadAhead<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, ahead: Vec::new(), taken: 0, busy: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.taken == this.ahead.len() {
            this.ahead.clear();
            this.taken = 0;
            if !this.busy {
                let before = buf.filled().len();
                ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
                this.busy = buf.remaining() == 0 && buf.filled().len() - before >= QUIET;
                return Poll::Ready(Ok(()));
            }
            this.ahead.reserve_exact(AHEAD);
            match pin!(this.stream.read_buf(&mut this.ahead)).poll(cx) {
                Poll::Ready(read) => this.busy = read? >= QUIET,
                Poll::Pending => {
                    this.ahead = Vec::new();
                    return Poll::Pending;
                }
            }
        }
        let waiting = this.ahead.get(this.taken..).unwrap_or_default();
        let count = waiting.len().min(buf.remaining());
        buf.put_slice(waiting.get(..count).unwrap_or_default());
        this.taken += count;
        if this.taken == this.ahead.len() && !this.busy {
            (this.ahead, this.taken) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives at most `.1` bytes a read, and says how long the longest buffer was that it was offered.
    struct Source(Vec<u8>, usize, usize);

    impl AsyncRead for Source {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let this = self.get_mut();
            this.2 = this.2.max(buf.remaining());
            let count = this.0.len().min(this.1).min(buf.remaining());
            buf.put_slice(&this.0[..count]);
            this.0.drain(..count);
            if count == 0 { Poll::Pending } else { Poll::Ready(Ok(())) }
        }
    }

    /// Reads all of `bytes` in pieces of `size`; gives back the widest read and what is held when all is read.
    fn read(bytes: &[u8], most: usize, size: usize) -> (usize, usize) {
        let mut stream = ReadAhead::new(Source(bytes.to_vec(), most, 0));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut out = Vec::new();
        let mut buffer = vec![0; size];
        loop {
            let mut piece = ReadBuf::new(&mut buffer);
            if Pin::new(&mut stream).poll_read(&mut cx, &mut piece).is_pending() {
                break;
            }
            out.extend_from_slice(piece.filled());
        }
        assert!(out == bytes, "{} bytes, at most {most} at once, in pieces of {size}", bytes.len());
        (stream.stream.2, stream.ahead.capacity())
    }

    #[test]
    fn bytes_come_out_as_they_went_in_and_nothing_is_held_at_the_end() {
        let bytes: Vec<u8> = (0..300_000usize).map(|index| u8::try_from(index % 251).unwrap()).collect();
        for length in [1, 4095, 4096, 4097, 70_000, 300_000] {
            for most in [1000, 4096, 5000, 16 * 1024, usize::MAX] {
                for size in [100, 4096, 16 * 1024] {
                    assert_eq!(read(&bytes[..length], most, size).1, 0);
                }
            }
        }
    }

    #[test]
    fn much_is_read_widely_and_little_is_not() {
        assert_eq!(read(&[7; 100_000], usize::MAX, 4096).0, AHEAD);
        assert_eq!(read(&[7; 100_000], 1000, 4096).0, 4096);
    }
}
