//! A body line by line, each of bounded length.

use bytes::{Bytes, BytesMut};
use cairn_runtime::logging;
use http_body::Body;
use http_body_util::BodyExt as _;

use super::Error;

/// The longest line: an object has at most 1.5 MiB in etcd, and is written with a little more around it.
pub(super) const MAX_LINE_BYTES: usize = 4 * 1024 * 1024;

/// The lines of a body that does not end.
pub(super) struct Lines<B> {
    body: B,
    buffer: BytesMut,
    // What was looked through without an end of line.
    searched: usize,
    // The rest of a line that is too long passes by.
    skipping: bool,
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without its end.
    Whole(Bytes),
    /// It was too long, and passed over.
    TooLong,
}

impl<B> Lines<B>
where
    B: Body<Data = Bytes, Error: std::error::Error + 'static> + Unpin,
{
    pub(super) fn new(body: B) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            searched: 0,
            skipping: false,
        }
    }

    /// The next line that is not empty; `None` at the end, where half a line is none. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<Line>, Error> {
        loop {
            if let Some(line) = self.take() {
                return Ok(Some(line));
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            let frame = frame.map_err(|error| Error::Broken {
                why: logging::chain(&error),
            })?;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }

    /// A line that is there already.
    fn take(&mut self) -> Option<Line> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(at) = rest.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                if self.searched > MAX_LINE_BYTES {
                    self.skipping = true;
                }
                if self.skipping {
                    self.buffer = BytesMut::new();
                    self.searched = 0;
                }
                return None;
            };
            let mut line = self.buffer.split_to(self.searched + at + 1);
            self.searched = 0;
            line.truncate(line.len() - 1);
            if std::mem::take(&mut self.skipping) || line.len() > MAX_LINE_BYTES {
                return Some(Line::TooLong);
            }
            if !line.is_empty() {
                return Some(Line::Whole(line.freeze()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    async fn lines(pieces: Vec<Vec<u8>>) -> Vec<Line> {
        let pieces = pieces
            .into_iter()
            .map(|piece| Ok::<_, Infallible>(Frame::data(piece.into())));
        let pieces: Vec<Result<Frame<Bytes>, Infallible>> = pieces.collect();
        let mut lines = Lines::new(StreamBody::new(stream::iter(pieces)));
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        all
    }

    fn whole(text: &str) -> Line {
        Line::Whole(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[tokio::test]
    async fn lines_are_put_together_and_taken_apart() {
        let pieces = ["on", "e\ntwo\n\nthr", "ee\n", "half"];
        let pieces = pieces.map(|piece| piece.as_bytes().to_vec()).to_vec();
        let expected = [whole("one"), whole("two"), whole("three")];
        assert_eq!(lines(pieces).await, expected);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_passes_by_and_the_next_one_is_read() {
        let long = vec![b'x'; MAX_LINE_BYTES / 2 + 1];
        let pieces = vec![
            b"one\n".to_vec(),
            long.clone(),
            long.clone(),
            long,
            b"\ntwo\n".to_vec(),
        ];
        assert_eq!(
            lines(pieces).await,
            [whole("one"), Line::TooLong, whole("two")]
        );
        let mut at_once = vec![b'x'; MAX_LINE_BYTES + 1];
        at_once.extend_from_slice(b"\ntwo\n");
        assert_eq!(lines(vec![at_once]).await, [Line::TooLong, whole("two")]);
    }
}
