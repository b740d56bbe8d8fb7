//! One field over a range of ticks.

use std::iter;

use cairn_proto::catalogue::Kind;
use cairn_proto::v1;
use cairn_proto::v1::range_response::Part;
use futures_util::StreamExt as _;
use tonic::Status;

use super::{Answers, ask, say, status};
use crate::api::Api;
use crate::query::{Piece, Range};

/// What is to be said next.
enum Next {
    Ticks(v1::Ticks),
    Series(Piece, Shape),
}

/// How series are written.
#[derive(Clone, Copy)]
struct Shape {
    count: usize,
    rate: bool,
}

pub(super) async fn range(
    api: &Api,
    request: v1::RangeRequest,
) -> Result<Answers<v1::RangeResponse>, Status> {
    let choice = ask::choice(request.selector)?;
    let bounds = ask::bounds(request.start_ms, request.end_ms);
    let seat = api.seat().map_err(status)?;
    let (view, interval_ms) = (api.view(), api.interval_ms);
    let begun = api.in_turn(move || Range::new(view, &choice, &request.field, bounds));
    let range = begun.await.map_err(status)?.map_err(ask::refused)?;
    if request.rate && range.field().kind == Kind::Gauge {
        let why = format!("{} is a gauge and has no rate", range.field().name);
        return Err(Status::invalid_argument(why));
    }
    let ticks = v1::Ticks {
        first_ms: range.ticks_ms().first().copied().unwrap_or(0),
        interval_ms,
        count: u32::try_from(range.ticks_ms().len()).unwrap_or(u32::MAX),
    };
    let shape = Shape {
        count: range.ticks_ms().len(),
        rate: request.rate,
    };
    let series = range.pieces().map(move |piece| Next::Series(piece, shape));
    let all = iter::once(Next::Ticks(ticks)).chain(series);
    let made = api.made(seat, all, Next::say);
    Ok(made.map(|made| made.map_err(status)).boxed())
}

impl Next {
    fn say(self) -> v1::RangeResponse {
        let part = match self {
            Next::Ticks(ticks) => Part::Ticks(ticks),
            Next::Series(piece, shape) => Part::Batch(batch(&piece, shape)),
        };
        v1::RangeResponse { part: Some(part) }
    }
}

fn batch(piece: &Piece, shape: Shape) -> v1::SeriesBatch {
    let mut series = Vec::new();
    piece.read(|found| {
        let entity = say::named(found.entity, found.is_current);
        let one = say::series(entity, found.samples, shape.count, shape.rate);
        // A rate needs two measurements.
        if !shape.rate || !one.rates.is_empty() {
            series.push(one);
        }
    });
    v1::SeriesBatch { series }
}
