//! Words for the refusals that hyper writes by itself.
//!
//! A request that hyper cannot read never reaches a service: hyper answers with a bare head and
//! closes, and the client is left with a number. [`Explained`] stands between hyper and the
//! socket, knows that head when it sees it, and sends a whole answer in its place.
//!
//! What hyper writes (1.12, `proto/h1/role.rs`): the status line of 400, 414 or 431, then
//! `connection: close`, `content-length: 0` and `date`, in this order, and nothing else. An answer
//! of a service passes untouched: [`mark`] makes sure that one which is as bare has its length
//! first. It is taken for a refusal only when it is all that is written, and is written after the
//! client has said something new, so not in the middle of an answer that happens to contain it. A
//! refusal that follows another answer at once, to a client that sent both requests together,
//! stays bare, and so does one to a connection that began in HTTP/1.0.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How hyper refuses.
const REFUSALS: [StatusCode; 3] = [
    StatusCode::BAD_REQUEST,
    StatusCode::URI_TOO_LONG,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
];

/// What hyper writes between the status line and the date.
const BARE: &[u8] = b"connection: close\r\ncontent-length: 0\r\ndate: ";

/// Bytes of a date in a header.
const DATE_BYTES: usize = 29;

/// How long a refused client is listened to, so that it gets to read why: a socket that is closed
/// with something unread in it takes back what was sent.
const LINGER: Duration = Duration::from_secs(1);

/// How much of what a refused client goes on sending is read and dropped.
const LINGER_BYTES: usize = 1024 * 1024;

/// A connection whose refusals are explained.
pub(super) struct Explained<I> {
    inner: I,
    max_header_bytes: u32,
    // Whether the client said something since the last byte was written.
    heard: bool,
    answer: Option<Answer>,
    linger: Option<Linger>,
}

/// What is sent in place of a refusal.
struct Answer {
    bytes: Vec<u8>,
    sent: usize,
    // Bytes of the refusal.
    stands_for: usize,
}

/// What is left of the patience with a refused client.
struct Linger {
    until: Option<Pin<Box<Sleep>>>,
    bytes: usize,
}

impl<I> Explained<I> {
    pub(super) fn new(inner: I, max_header_bytes: u32) -> Self {
        Self {
            inner,
            max_header_bytes,
            heard: false,
            answer: None,
            linger: None,
        }
    }
}

impl<I: AsyncWrite + Unpin> Explained<I> {
    /// Sends what stands for a refusal; `None` when this is none. The refusal counts as written
    /// when all of that is.
    fn poll_explain(
        &mut self,
        cx: &mut Context<'_>,
        head: &[u8],
    ) -> Poll<Option<io::Result<usize>>> {
        if self.answer.is_none() && self.heard {
            self.answer = explanation(head, self.max_header_bytes);
        }
        let Some(answer) = &mut self.answer else {
            return Poll::Ready(None);
        };
        while let Some(rest) = answer.bytes.get(answer.sent..).filter(|r| !r.is_empty()) {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, rest)) {
                Ok(0) => return Poll::Ready(Some(Err(io::ErrorKind::WriteZero.into()))),
                Ok(count) => answer.sent += count,
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        let stands_for = answer.stands_for.min(head.len());
        self.answer = None;
        self.heard = false;
        self.linger = Some(Linger {
            until: None,
            bytes: LINGER_BYTES,
        });
        Poll::Ready(Some(Ok(stands_for)))
    }

    fn wrote(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(result, Poll::Ready(Ok(1..))) {
            self.heard = false;
        }
        result
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Explained<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.heard |= buf.filled().len() > before;
        result
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Explained<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(result) = ready!(self.poll_explain(cx, buf)) {
            return Poll::Ready(result);
        }
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // hyper keeps a head in one piece.
        let mut pieces = bufs.iter().filter(|piece| !piece.is_empty());
        if let (Some(head), None) = (pieces.next(), pieces.next())
            && let Some(result) = ready!(self.poll_explain(cx, head))
        {
            return Poll::Ready(result);
        }
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some(linger) = &mut this.linger else {
            return Pin::new(&mut this.inner).poll_shutdown(cx);
        };
        if linger.until.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
        }
        let until = linger
            .until
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        loop {
            let mut space = [0; 4096];
            let mut dropped = ReadBuf::new(&mut space);
            let polled = Pin::new(&mut this.inner).poll_read(cx, &mut dropped);
            let count = dropped.filled().len();
            linger.bytes = linger.bytes.saturating_sub(count);
            match polled {
                Poll::Ready(Ok(())) if count > 0 && linger.bytes > 0 => {}
                // The client is done, or has gone, or says too much: nothing is left to do.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    ready!(until.as_mut().poll(cx));
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

/// The answer in place of what hyper wrote; `None` when that is not a refusal of its own.
fn explanation(head: &[u8], max_header_bytes: u32) -> Option<Answer> {
    REFUSALS.into_iter().find_map(|status| {
        let line = status_line(status);
        let date = head
            .strip_prefix(line.as_bytes())?
            .strip_prefix(BARE)?
            .strip_suffix(b"\r\n\r\n")?;
        let date = std::str::from_utf8(date).ok()?;
        let is_date = date.len() == DATE_BYTES && !date.contains(['\r', '\n']);
        let text = words(status, max_header_bytes);
        is_date.then(|| Answer {
            bytes: format!(
                "{line}content-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
                 connection: close\r\ndate: {date}\r\n\r\n{text}",
                text.len()
            )
            .into_bytes(),
            sent: 0,
            stands_for: head.len(),
        })
    })
}

fn status_line(status: StatusCode) -> String {
    let reason = status.canonical_reason().unwrap_or_default();
    format!("HTTP/1.1 {} {reason}\r\n", status.as_u16())
}

/// What was wrong and what to do.
fn words(status: StatusCode, max_header_bytes: u32) -> String {
    match status {
        StatusCode::URI_TOO_LONG => {
            "the request target is over 65534 bytes: ask for less at once, such as fewer pods in \
             one list\n"
                .to_owned()
        }
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => format!(
            "the request's target and headers are over {max_header_bytes} bytes together, or are \
             more than 100 headers: send fewer or shorter ones, or ask for fewer pods in one list\n"
        ),
        _ => "this is not a request of HTTP/1.1: check the request line and the headers, and \
              whether the client speaks TLS to a listener without it\n"
            .to_owned(),
    }
}

/// Tells a service's answer that is as bare as a refusal of hyper's apart from one: its length
/// comes first among its headers, which changes nothing for the client. Returns whether it is; its
/// body must then not say that it is at its end, or hyper writes the length where it does itself.
pub(super) fn mark<B: http_body::Body>(answer: &mut Response<B>) -> bool {
    let is_bare = answer.body().is_end_stream() || answer.body().size_hint().exact() == Some(0);
    let marked = is_bare && REFUSALS.contains(&answer.status());
    if marked {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let mut others = std::mem::take(answer.headers_mut());
        others.remove(CONTENT_LENGTH);
        headers.extend(others);
        *answer.headers_mut() = headers;
    }
    marked
}

#[cfg(test)]
mod tests;
