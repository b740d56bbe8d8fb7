//! One field over a range of ticks.

use cairn_proto::catalogue::Kind;
use cairn_proto::v1;
use cairn_proto::v1::range_response::Part;
use futures_util::StreamExt as _;
use tonic::Status;

use super::{Answers, ask, full, say, status};
use crate::api::Api;
use crate::query::{Range, View};

/// A range on its way to its reader.
struct Reading {
    range: Range,
    view: View,
    rate: bool,
    // Said first of all.
    ticks: Option<v1::Ticks>,
}

pub(super) async fn range(
    api: &Api,
    request: v1::RangeRequest,
) -> Result<Answers<v1::RangeResponse>, Status> {
    let choice = ask::choice(request.selector)?;
    let bounds = ask::bounds(request.start_ms, request.end_ms);
    let seat = api.seat().ok_or_else(full)?;
    let (view, interval_ms) = (api.view(), api.interval_ms);
    let begun = api.in_turn(move || {
        let range = Range::new(view.clone(), &choice, &request.field, bounds);
        range.map(|range| (range, view))
    });
    let (range, view) = begun.await.map_err(status)?.map_err(ask::refused)?;
    if request.rate && range.field().kind == Kind::Gauge {
        let why = format!("{} is a gauge and has no rate", range.field().name);
        return Err(Status::invalid_argument(why));
    }
    let ticks = v1::Ticks {
        first_ms: range.ticks_ms().first().copied().unwrap_or(0),
        interval_ms,
        count: u32::try_from(range.ticks_ms().len()).unwrap_or(u32::MAX),
    };
    let reading = Reading {
        range,
        view,
        rate: request.rate,
        ticks: Some(ticks),
    };
    let steps = api.steps(seat, reading, Reading::step);
    Ok(steps.map(|step| step.map_err(status)).boxed())
}

impl Reading {
    fn step(&mut self) -> Option<v1::RangeResponse> {
        let part = match self.ticks.take() {
            Some(ticks) => Part::Ticks(ticks),
            None => Part::Batch(self.batch()?),
        };
        Some(v1::RangeResponse { part: Some(part) })
    }

    fn batch(&mut self) -> Option<v1::SeriesBatch> {
        let (view, rate, count) = (&self.view, self.rate, self.range.ticks_ms().len());
        let mut series = Vec::new();
        let is_more = self.range.batch(|entity, samples| {
            let entity = say::entity(view, entity);
            let one = say::series(entity, samples, count, rate);
            // A rate needs two measurements.
            if !rate || !one.rates.is_empty() {
                series.push(one);
            }
        });
        is_more.then_some(v1::SeriesBatch { series })
    }
}
