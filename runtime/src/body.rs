//! Bodies read with a cap and a deadline.
//!
//! The only way a body of a peer becomes one buffer: nothing is reserved on the peer's announced
//! length beyond the cap, and a peer that trickles is given up on.

use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::BodyExt;

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body has, or announces, more bytes than are taken.
    #[error("body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The largest size taken, in bytes.
        limit_bytes: usize,
    },
    /// The body did not end in time.
    #[error("body did not end within {deadline:?}: check that the peer is not overloaded")]
    Deadline {
        /// The time given.
        deadline: Duration,
    },
    /// The peer broke off, or sent something that is no body.
    #[error("body broke off: check the peer and the network to it")]
    Read {
        /// What the connection said.
        source: ReadError,
    },
}

/// The connection's own words on a body that broke off, as one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ReadError(String);

/// Reads a whole body of at most `max_bytes` bytes within `deadline`.
///
/// An announced length above the cap is refused before a byte is read. Trailers are dropped. Cancel
/// safe in the sense that the body is dropped with the future.
///
/// # Errors
///
/// [`Error::TooLarge`], [`Error::Deadline`] or [`Error::Read`].
pub async fn read_capped<B>(body: B, max_bytes: usize, deadline: Duration) -> Result<Bytes, Error>
where
    B: Body<Data: Buf, Error: std::fmt::Display>,
{
    let mut room = Vec::new();
    read_capped_into(body, &mut room, max_bytes, deadline).await?;
    Ok(room.into())
}

/// Like [`read_capped`], in the place of what `room` held: for whoever reads such bodies again and
/// again. What is in it after an error is of no use.
///
/// # Errors
///
/// As [`read_capped`].
pub async fn read_capped_into<B>(
    body: B,
    room: &mut Vec<u8>,
    max_bytes: usize,
    deadline: Duration,
) -> Result<(), Error>
where
    B: Body<Data: Buf, Error: std::fmt::Display>,
{
    room.clear();
    match tokio::time::timeout(deadline, read(body, room, max_bytes)).await {
        Ok(result) => result,
        Err(_) => Err(Error::Deadline { deadline }),
    }
}

async fn read<B>(body: B, room: &mut Vec<u8>, max_bytes: usize) -> Result<(), Error>
where
    B: Body<Data: Buf, Error: std::fmt::Display>,
{
    let too_large = Error::TooLarge {
        limit_bytes: max_bytes,
    };
    let mut body = pin!(body);
    let announced = body.size_hint().lower();
    if usize::try_from(announced).map_or(true, |announced| announced > max_bytes) {
        return Err(too_large);
    }
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::Read {
            source: ReadError(error.to_string()),
        })?;
        if let Ok(data) = frame.into_data() {
            if data.remaining() > max_bytes - room.len() {
                return Err(too_large);
            }
            put(room, data);
        }
    }
    Ok(())
}

/// Appends all of `data`, chunk by chunk.
fn put(room: &mut Vec<u8>, mut data: impl Buf) {
    while data.has_remaining() {
        let chunk = data.chunk();
        let length = chunk.len();
        room.extend_from_slice(chunk);
        data.advance(length);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::{Frame, SizeHint};
    use http_body_util::Full;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(5);

    /// A body without an announced length: `chunks` of 1 KiB, then silence or the end.
    struct Stream {
        chunks: usize,
        polled: usize,
        hangs: bool,
        announced: u64,
    }

    impl Body for Stream {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.polled == self.chunks {
                return if self.hangs {
                    Poll::Pending
                } else {
                    Poll::Ready(None)
                };
            }
            self.polled += 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 1024])))))
        }

        fn size_hint(&self) -> SizeHint {
            let mut hint = SizeHint::new();
            hint.set_lower(self.announced);
            hint
        }
    }

    #[tokio::test]
    async fn a_body_of_exactly_the_cap_is_read() {
        let body = Full::new(Bytes::from_static(b"12345"));
        assert_eq!(read_capped(body, 5, DEADLINE).await.unwrap(), "12345");
    }

    #[tokio::test]
    async fn a_body_takes_the_place_of_the_one_before() {
        let mut room = b"what was there".to_vec();
        let place = room.as_ptr();
        let body = Full::new(Bytes::from_static(b"12345"));
        read_capped_into(body, &mut room, 5, DEADLINE)
            .await
            .unwrap();
        assert_eq!((room.as_slice(), room.as_ptr()), (&b"12345"[..], place));
        let body = Full::new(Bytes::from_static(b"123456"));
        let read = read_capped_into(body, &mut room, 5, DEADLINE).await;
        assert!(matches!(read, Err(Error::TooLarge { limit_bytes: 5 })));
    }

    #[tokio::test]
    async fn an_endless_body_stops_at_the_cap() {
        let mut body = Stream {
            chunks: usize::MAX,
            polled: 0,
            hangs: false,
            announced: 0,
        };
        let error = read_capped(&mut body, 10 * 1024, DEADLINE)
            .await
            .unwrap_err();
        assert!(matches!(
            error,
            Error::TooLarge {
                limit_bytes: 10_240
            }
        ));
        assert_eq!(body.polled, 11);
    }

    #[tokio::test]
    async fn a_large_announcement_is_refused_unread() {
        let mut body = Stream {
            chunks: 1,
            polled: 0,
            hangs: false,
            announced: 1 << 40,
        };
        let error = read_capped(&mut body, 10 * 1024, DEADLINE)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }));
        assert_eq!(body.polled, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_meets_the_deadline() {
        let body = Stream {
            chunks: 2,
            polled: 0,
            hangs: true,
            announced: 0,
        };
        let error = read_capped(body, 10 * 1024, DEADLINE).await.unwrap_err();
        assert!(matches!(error, Error::Deadline { deadline: DEADLINE }));
    }
}
