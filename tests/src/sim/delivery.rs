//! Bodies that arrive whole, cut off, slowly or without end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

/// One piece of an endless body: large enough to fill a careless reader quickly.
const ENDLESS_PIECE_BYTES: usize = 64 * 1024;

/// What was sent reaches the peer before the cut: without the pause the server would throw both
/// away together.
const CUT_AFTER: Duration = Duration::from_millis(50);

/// The connection is to be cut here.
#[derive(Debug, thiserror::Error)]
#[error("the body is cut off, as ordered")]
pub(super) struct Cut;

/// A body on its way.
#[derive(Debug)]
pub(super) enum Delivery {
    Whole(Bytes),
    Cut {
        /// What is still to be sent before the cut.
        left: Bytes,
        /// The length that the header announces.
        length: u64,
        pause: Option<Pin<Box<Sleep>>>,
    },
    Endless(Bytes),
    Huge {
        /// What is to be sent next.
        next: Bytes,
        /// What is sent after it, again and again.
        piece: Bytes,
        /// How much of the announced length is still to come.
        left: u64,
    },
    Drip {
        left: Bytes,
        piece_bytes: usize,
        every: Duration,
        pause: Pin<Box<Sleep>>,
    },
}

impl Delivery {
    pub(super) fn cut(body: &Bytes, at: usize) -> Self {
        Self::Cut {
            left: body.slice(..at.min(body.len())),
            // One byte more than there is keeps even a cut at the very end a cut.
            length: body.len().max(at.saturating_add(1)) as u64,
            pause: None,
        }
    }

    /// Spaces: both JSON and the text format may begin with any number of them.
    pub(super) fn endless() -> Self {
        Self::Endless(Bytes::from(vec![b' '; ENDLESS_PIECE_BYTES]))
    }

    /// A summary that goes on with pods until its length is reached.
    pub(super) fn huge(length: u64) -> Self {
        let pod = r#"{"podRef":{"name":"a","namespace":"b","uid":"c"},"containers":[]},"#;
        let pods = pod.repeat(ENDLESS_PIECE_BYTES / pod.len());
        Self::Huge {
            next: Bytes::from_static(br#"{"node":{"nodeName":"node1"},"pods":["#),
            piece: Bytes::from(pods),
            left: length,
        }
    }

    pub(super) fn drip(body: Bytes, bytes_per_s: u64) -> Self {
        let piece_bytes = usize::try_from(bytes_per_s / 10).unwrap_or(usize::MAX);
        // Below ten bytes a second single bytes come further apart.
        let pieces_per_s = u32::try_from(bytes_per_s.clamp(1, 10)).unwrap_or(1);
        let every = Duration::from_secs(1) / pieces_per_s;
        Self::Drip {
            left: body,
            piece_bytes: piece_bytes.max(1),
            every,
            pause: Box::pin(tokio::time::sleep(every)),
        }
    }
}

impl Body for Delivery {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let piece = match &mut *self {
            Self::Whole(left) => std::mem::take(left),
            Self::Cut { left, pause, .. } => {
                if left.is_empty() {
                    let pause =
                        pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(CUT_AFTER)));
                    ready!(pause.as_mut().poll(context));
                    return Poll::Ready(Some(Err(Cut)));
                }
                std::mem::take(left)
            }
            Self::Endless(piece) => piece.clone(),
            Self::Huge { next, piece, left } => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let sent = next.slice(..most.min(next.len()));
                *left -= sent.len() as u64;
                next.clone_from(piece);
                sent
            }
            Self::Drip {
                left,
                piece_bytes,
                every,
                pause,
            } => {
                ready!(pause.as_mut().poll(context));
                let next = pause.deadline() + *every;
                pause.as_mut().reset(next);
                left.split_to((*piece_bytes).min(left.len()))
            }
        };
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(left) | Self::Drip { left, .. } => SizeHint::with_exact(left.len() as u64),
            Self::Huge { left, .. } => SizeHint::with_exact(*left),
            Self::Cut { length, .. } => SizeHint::with_exact(*length),
            Self::Endless(_) => SizeHint::default(),
        }
    }
}
