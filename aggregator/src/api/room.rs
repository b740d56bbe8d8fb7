//! Room for answers that are made and not sent yet.
//!
//! A client that reads slowly keeps its answer in memory, and its turn has long gone to another. So
//! every large answer has a share of one budget, which travels inside its bytes and comes back when
//! the last of them is sent or dropped.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::answer;

/// Bytes of all answers that wait for their readers, and the most that one answer may have: three
/// lists of 4,000 pods over a quarter of an hour, and a sixteenth of the usual memory limit.
pub(super) const ROOM_BYTES: usize = 64 << 20;

/// A budget.
#[derive(Clone, Debug)]
pub struct Room {
    left: Arc<Semaphore>,
    all: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self::of(ROOM_BYTES)
    }
}

/// A part of it, which comes back when it is dropped.
#[derive(Debug)]
pub(super) struct Share(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// Bytes that give their share of the budget back when nobody has them any more.
struct Held {
    bytes: Bytes,
    _share: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Room {
    pub(super) fn of(bytes: usize) -> Self {
        Self {
            left: Arc::new(Semaphore::new(bytes)),
            all: bytes,
        }
    }

    /// Bytes that there are.
    pub(super) fn all(&self) -> usize {
        self.all
    }

    /// Bytes that nobody has.
    pub(super) fn left(&self) -> usize {
        self.left.available_permits()
    }

    /// A share of so many bytes, or of all when these are more; `None` when others have too much of it.
    pub(super) fn share(&self, bytes: usize) -> Option<Share> {
        let bytes = u32::try_from(bytes.min(self.all)).ok()?;
        let share = Arc::clone(&self.left).try_acquire_many_owned(bytes);
        share.ok().map(Share)
    }

    /// The answer with its share; `None` when no room came in time.
    pub(super) async fn held(&self, response: Response, within: Duration) -> Option<Response> {
        let (parts, body) = response.into_parts();
        // In memory, so it is there at once and cannot fail.
        let bytes = body.collect().await.ok()?.to_bytes();
        let count = u32::try_from(bytes.len()).ok()?;
        let share = Arc::clone(&self.left).acquire_many_owned(count);
        let held = Held {
            bytes,
            _share: timeout(within, share).await.ok()?.ok()?,
        };
        let body = Body::from(Bytes::from_owner(held));
        Some(Response::from_parts(parts, body))
    }
}

/// Memory that takes no more than it may, and goes on after line breaks as it is told.
pub(super) struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    // Follows every line break.
    indent: &'static [u8],
}

impl Bounded {
    pub(super) fn new(limit: usize, indent: &'static str) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
            indent: indent.as_bytes(),
        }
    }

    /// What was written, and no memory beyond it: the budget counts bytes, not room to grow.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.shrink_to_fit();
        self.bytes
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > self.limit - self.bytes.len() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.indent.is_empty() {
            self.put(bytes)?;
            return Ok(bytes.len());
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.put(piece)?;
            if piece.ends_with(b"\n") {
                self.put(self.indent)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The refusal of an answer that no budget has room for.
pub(super) fn too_large() -> Response {
    let body = format!(
        "the answer is over {ROOM_BYTES} bytes: ask for fewer pods or one metric, or shorten it by \
         start and end"
    );
    answer::text(http::StatusCode::BAD_REQUEST, body)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn text() -> Response {
        answer::text(StatusCode::OK, "0123456789")
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_read_keeps_its_room_and_what_is_dropped_gives_it_back() {
        let room = Room::of(25);
        let soon = Duration::from_secs(5);
        let first = room.held(text(), soon).await.unwrap();
        let second = room.held(text(), soon).await.unwrap();
        assert!(room.held(text(), soon).await.is_none());
        // Read, but not sent.
        let bytes = second.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&*bytes, b"0123456789");
        let half = bytes.slice(5..);
        drop(bytes);
        assert!(room.held(text(), soon).await.is_none());
        drop(half);
        let third = room.held(text(), soon).await.unwrap();
        drop((first, third));
        assert_eq!(room.left(), 25);
    }

    #[tokio::test]
    async fn a_length_is_still_told() {
        let held = Room::of(25).held(text(), Duration::ZERO).await.unwrap();
        let size = axum::body::HttpBody::size_hint(held.body());
        assert_eq!(size.exact(), Some(10));
    }

    #[test]
    fn nothing_is_written_beyond_the_limit() {
        let mut bounded = Bounded::new(8, "  ");
        bounded.write_all(b"a\nb\n").unwrap();
        assert!(bounded.write_all(b"c").is_err());
        assert_eq!(bounded.into_bytes(), b"a\n  b\n  ");
        assert!(Bounded::new(1, "").write_all(b"\n\n").is_err());
    }
}
