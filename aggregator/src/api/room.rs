//! Room for answers that are made and not sent yet.
//!
//! A client that reads slowly keeps its answer in memory, and its turn has long gone to another. So
//! every large answer has a share of one budget, which travels inside its bytes and comes back when
//! the last of them is sent or dropped.

use std::io::{self, Write};
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::answer;
use super::shares::{Part, READERS, Reader, Shares};

/// Bytes of all answers that wait for their readers, and the most that one answer may have: three
/// lists of 4,000 pods over a quarter of an hour, and a sixteenth of the usual memory limit.
pub(super) const ROOM_BYTES: usize = 64 << 20;

/// Answers that wait for their reader's own share, and have given back what others need: as many as there are turns.
const AWAITING_OWN: usize = super::TURNS;

/// A budget.
#[derive(Clone, Debug)]
pub struct Room {
    left: Arc<Semaphore>,
    all: usize,
    of_one: Shares,
    awaiting_own: Arc<Semaphore>,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// Others have too much of it.
    All,
    /// The same reader has.
    OfOne,
    /// There is never so much for this reader.
    TooLarge,
}

impl Default for Room {
    fn default() -> Self {
        Self::of(ROOM_BYTES)
    }
}

/// A part of it, which comes back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    _of_all: OwnedSemaphorePermit,
    _of_one: Part,
}

/// Bytes that give their share of the budget back when nobody has them any more.
struct Held {
    bytes: Bytes,
    _share: Share,
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
            of_one: Shares::of(bytes / READERS),
            awaiting_own: Arc::new(Semaphore::new(AWAITING_OWN)),
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

    /// A share of so many bytes for this reader, or of all when these are more.
    ///
    /// # Errors
    ///
    /// [`NoRoom::OfOne`], [`NoRoom::All`].
    pub(super) fn share(&self, bytes: usize, reader: &Reader) -> Result<Share, NoRoom> {
        let of_one = self.of_one.try_take(reader, bytes).ok_or(NoRoom::OfOne)?;
        let bytes = u32::try_from(bytes.min(self.all)).map_err(|_| NoRoom::All)?;
        let of_all = Arc::clone(&self.left).try_acquire_many_owned(bytes);
        Ok(Share {
            _of_all: of_all.map_err(|_| NoRoom::All)?,
            _of_one: of_one,
        })
    }

    /// The answer with its share. A reader who may see everything may have one that is larger than a reader's part,
    /// which is then all they have.
    ///
    /// Who has to wait for others holds the `turn` meanwhile, so that no more than a turn's answers are without room.
    /// Who has to wait for answers of their own to be read gives it back before: those others need it. Of these a few
    /// can wait; one more is refused at once.
    ///
    /// # Errors
    ///
    /// Why no room came in time.
    pub(super) async fn held<T>(
        &self,
        response: Response,
        (reader, is_all): (&Reader, bool),
        until: Instant,
        turn: T,
    ) -> Result<Response, NoRoom> {
        let (parts, body) = response.into_parts();
        // In memory, so it is there at once and cannot fail.
        let bytes = body.collect().await.map_err(|_| NoRoom::All)?.to_bytes();
        if reader.is_some() && !is_all && bytes.len() > self.of_one.most() {
            return Err(NoRoom::TooLarge);
        }
        let mut turn = Some(turn);
        let mut awaits_own = None;
        let of_one = if let Some(part) = self.of_one.try_take(reader, bytes.len()) {
            part
        } else {
            awaits_own = Some(self.awaiting_own.try_acquire().map_err(|_| NoRoom::OfOne)?);
            drop(turn.take());
            let part = self.of_one.take(reader, bytes.len(), until).await;
            part.ok_or(NoRoom::OfOne)?
        };
        let count = u32::try_from(bytes.len()).map_err(|_| NoRoom::All)?;
        let of_all = Arc::clone(&self.left).acquire_many_owned(count);
        let of_all = timeout_at(until, of_all).await.ok().and_then(Result::ok);
        drop((turn, awaits_own));
        let held = Held {
            bytes,
            _share: Share {
                _of_all: of_all.ok_or(NoRoom::All)?,
                _of_one: of_one,
            },
        };
        let body = Body::from(Bytes::from_owner(held));
        Ok(Response::from_parts(parts, body))
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

/// The refusal of an answer that is more than one reader may have, of what they may see.
pub(super) fn too_large_for_one() -> Response {
    let most = ROOM_BYTES / READERS;
    let body = format!(
        "the answer is over {most} bytes, the most for a reader who may not see everything: ask for fewer pods or one \
         metric, or shorten it by start and end; /api/cairn/v1/range has no such bound"
    );
    answer::text(http::StatusCode::BAD_REQUEST, body)
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
    use std::time::Duration;

    use http::StatusCode;

    use super::*;

    fn text() -> Response {
        answer::text(StatusCode::OK, "0123456789")
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_read_keeps_its_room_and_what_is_dropped_gives_it_back() {
        let room = Room::of(25);
        let held = async || {
            let soon = Instant::now() + Duration::from_secs(5);
            room.held(text(), (&None, true), soon, ()).await
        };
        let first = held().await.unwrap();
        let second = held().await.unwrap();
        assert!(held().await.is_err());
        // Read, but not sent.
        let bytes = second.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&*bytes, b"0123456789");
        let half = bytes.slice(5..);
        drop(bytes);
        assert!(held().await.is_err());
        drop(half);
        let third = held().await.unwrap();
        drop((first, third));
        assert_eq!(room.left(), 25);
    }

    #[tokio::test]
    async fn a_length_is_still_told() {
        let room = Room::of(25);
        let held = room
            .held(text(), (&None, true), Instant::now(), ())
            .await
            .unwrap();
        let size = axum::body::HttpBody::size_hint(held.body());
        assert_eq!(size.exact(), Some(10));
    }

    /// Ten bytes an answer, of forty, of which a reader may have ten.
    #[tokio::test(start_paused = true)]
    async fn one_reader_has_no_more_than_a_part() {
        let room = Room::of(40);
        let held = async |reader: &Reader, is_all| {
            let soon = Instant::now() + Duration::from_secs(5);
            room.held(text(), (reader, is_all), soon, ())
                .await
                .map(drop)
        };
        let keep = async |reader: &Reader| {
            let soon = Instant::now() + Duration::from_secs(5);
            room.held(text(), (reader, false), soon, ()).await.unwrap()
        };
        let (jane, joe) = (Some("jane".into()), Some("joe".into()));
        let slow = keep(&jane).await;
        assert_eq!(held(&jane, false).await, Err(NoRoom::OfOne));
        assert_eq!(room.share(1, &jane).err(), Some(NoRoom::OfOne));
        assert_eq!(held(&joe, false).await, Ok(()));
        drop(slow);
        assert_eq!(held(&jane, false).await, Ok(()));
        let small = Room::of(36);
        let soon = Instant::now();
        for (is_all, expected) in [(false, Err(NoRoom::TooLarge)), (true, Ok(()))] {
            let found = small
                .held(text(), (&jane, is_all), soon, ())
                .await
                .map(drop);
            assert_eq!(found, expected);
        }
        assert_eq!(room.left(), 40);
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
