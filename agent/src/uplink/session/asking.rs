//! Names that the aggregator is asked for.

use cairn_proto::v1::{self, agent_frame};

use super::Session;
use crate::names::Seat;
use crate::uplink::{End, Setup};

impl Session {
    /// Passes a question on, if it is for this session.
    pub(super) async fn ask(&mut self, setup: &Setup) -> Result<(), End> {
        let question = self.seat.as_mut().and_then(Seat::question);
        let Some(question) = question else {
            return Ok(());
        };
        self.send(setup, agent_frame::Kind::Resolve(question)).await
    }

    /// Takes an answer; false when there was no question.
    pub(super) fn answer(&mut self, names: v1::Names) -> bool {
        self.seat.as_mut().is_some_and(|seat| seat.answer(names))
    }
}

/// Waits until somebody is asked; for ever without a seat. Cancel safe.
pub(super) async fn asked(seat: Option<&mut Seat>) {
    match seat {
        Some(seat) => seat.asked().await,
        None => std::future::pending().await,
    }
}
