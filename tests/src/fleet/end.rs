//! How an attempt or a session of an agent ends.

use std::time::Duration;

use cairn_proto::v1::{AggregatorFrame, Drain};
use cairn_runtime::logging;
use tonic::Status;

/// One line that says what happened, and when the aggregator wants to be asked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) text: String,
    pub(super) retry_after: Option<Duration>,
}

impl End {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            retry_after: None,
        }
    }

    /// The end that an aggregator asked for, with its wish.
    pub(super) fn drained(drain: &Drain) -> Self {
        Self {
            text: "the aggregator asked to leave".to_owned(),
            retry_after: Some(Duration::from_millis(drain.reconnect_after_ms)),
        }
    }

    pub(super) fn of_status(status: &Status) -> Self {
        let message = logging::escape(status.message());
        Self::new(format!("{:?}: {message}", status.code()))
    }
}

/// What came of waiting for a frame.
pub(super) fn received(
    frame: Result<Option<AggregatorFrame>, Status>,
) -> Result<AggregatorFrame, End> {
    match frame {
        Ok(Some(frame)) => Ok(frame),
        Ok(None) => Err(End::new("the aggregator ended the stream")),
        Err(status) => Err(End::of_status(&status)),
    }
}
