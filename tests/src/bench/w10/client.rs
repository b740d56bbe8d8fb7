//! Who asks the question of goal 8: one field of all pods of a namespace over the window.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use cairn_proto::v1::range_response::Part;
use cairn_proto::v1::{RangeRequest, RangeResponse, Selector};
use prost::Message as _;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::http1::Session;
use crate::reader::Reader;
use crate::rfc3339;

/// The field.
pub(super) const METRIC: &str = "memory_working_set_bytes";

/// A namespace that is there in every fleet of generated rows, with as many pods as a namespace has.
const NAMESPACE: &str = "ns-0";

/// How long the window is.
const WINDOW_MS: u64 = 900_000;

/// Ticks of the window, less those that may be on their way in and out.
const LEAST_POINTS: usize = 88;

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Protobuf,
}

/// One connection, without TLS.
#[derive(Debug)]
pub(super) enum Client {
    Json(Session),
    Protobuf(Runtime, Box<Reader>),
}

/// An answer.
pub(super) enum Told {
    Json(Vec<u8>),
    Protobuf(Vec<RangeResponse>),
}

impl Client {
    pub(super) fn connect(form: Form, http: SocketAddr) -> Result<Self> {
        if form == Form::Json {
            return Ok(Client::Json(Session::new(http)));
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let reader = runtime.block_on(Reader::plain(http))?;
        Ok(Client::Protobuf(runtime, Box::new(reader)))
    }

    /// Asks once and reads the answer to its end.
    pub(super) fn ask(&mut self, newest_tick_ms: u64) -> Result<Told> {
        let start_ms = newest_tick_ms.saturating_sub(WINDOW_MS);
        match self {
            Client::Json(session) => {
                let start = rfc3339::format(start_ms);
                let path = "/api/cairn/v1/range";
                let query = format!("metric={METRIC}&namespace={NAMESPACE}&kind=pod&start={start}");
                let answer = session.get(&format!("{path}?{query}"))?;
                ensure!(
                    answer.status == 200,
                    "status {}: {:.200}",
                    answer.status,
                    answer.text()
                );
                Ok(Told::Json(answer.body))
            }
            Client::Protobuf(runtime, reader) => {
                let request = RangeRequest {
                    selector: Some(Selector {
                        namespace: NAMESPACE.to_owned(),
                        ..Selector::default()
                    }),
                    field: METRIC.to_owned(),
                    start_ms,
                    ..RangeRequest::default()
                };
                runtime.block_on(async {
                    let mut stream = reader.begin_range(request).await?;
                    let mut answers = Vec::new();
                    while let Some(answer) = stream.message().await? {
                        answers.push(answer);
                    }
                    Ok(Told::Protobuf(answers))
                })
            }
        }
    }
}

impl Told {
    /// How long it is.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Told::Json(body) => body.len(),
            Told::Protobuf(answers) => answers.iter().map(RangeResponse::encoded_len).sum(),
        }
    }

    /// Checks that it has so many pods, each at nearly every tick of the window.
    pub(super) fn has(&self, expected: usize) -> Result<()> {
        let points = match self {
            Told::Json(body) => in_json(&serde_json::from_slice(body)?).context("no series")?,
            Told::Protobuf(answers) => in_protobuf(answers),
        };
        let least = points.iter().copied().min().unwrap_or(0);
        let pods = points.len();
        ensure!(
            pods == expected,
            "{pods} pods where {NAMESPACE} has {expected}"
        );
        ensure!(
            least >= LEAST_POINTS,
            "{pods} pods, one with {least} points"
        );
        Ok(())
    }
}

/// How many points each series has.
fn in_json(answer: &Value) -> Option<Vec<usize>> {
    let points = |series: &Value| {
        let values = series.get("values")?.as_array()?;
        Some(values.iter().filter(|value| !value.is_null()).count())
    };
    let series = answer.get("series")?.as_array()?;
    series.iter().map(points).collect()
}

fn in_protobuf(answers: &[RangeResponse]) -> Vec<usize> {
    let batches = answers.iter().filter_map(|answer| match &answer.part {
        Some(Part::Batch(batch)) => Some(&batch.series),
        _ => None,
    });
    batches
        .flatten()
        .map(|series| series.deltas.len())
        .collect()
}

#[cfg(test)]
mod tests {
    use cairn_proto::v1::range_response::Part;
    use cairn_proto::v1::{RangeResponse, Series, SeriesBatch};
    use serde_json::json;

    use super::{LEAST_POINTS, Told, in_json, in_protobuf};

    #[test]
    fn points_are_counted_by_pod_in_both_forms() {
        let range = json!({"ticks": [1, 2], "series": [{"values": [1, null]}, {"values": [1, 2]}]});
        assert_eq!(in_json(&range), Some(vec![1, 2]));
        assert_eq!(in_json(&json!({"error": "none"})), None);
        let series = |deltas: &[i64]| Series {
            deltas: deltas.to_vec(),
            ..Series::default()
        };
        let series = vec![series(&[5]), series(&[5, 1])];
        let part = Some(Part::Batch(SeriesBatch { series }));
        assert_eq!(in_protobuf(&[RangeResponse { part }]), [1, 2]);
    }

    #[test]
    fn an_answer_with_holes_or_without_a_pod_is_not_measured() {
        let body = json!({"series": [{"values": [1, 2]}]}).to_string();
        let told = Told::Json(body.into_bytes());
        let error = told.has(1).unwrap_err();
        assert_eq!(error.to_string(), "1 pods, one with 2 points");
        let values = vec![1; LEAST_POINTS];
        let body = json!({"series": [{"values": values}]}).to_string();
        let told = Told::Json(body.into_bytes());
        told.has(1).unwrap();
        let error = told.has(2).unwrap_err();
        assert_eq!(error.to_string(), "1 pods where ns-0 has 2");
    }
}
