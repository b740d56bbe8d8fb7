//! Reading the Heapster model API, the way its clients do.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::{http1, rfc3339};

/// Why an answer is no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer.
    #[error("no answer for {path}")]
    Exchange {
        /// The path asked for.
        path: String,
        /// Why.
        #[source]
        source: http1::Error,
    },
    /// Another status than 200.
    #[error("{path} answered {status}: {text}")]
    Status {
        /// The path asked for.
        path: String,
        /// The status.
        status: u16,
        /// The body.
        text: String,
    },
    /// The body is no result of this API.
    #[error("{text:?} is no result of the model API")]
    Json {
        /// The body.
        text: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A timestamp is no RFC 3339.
    #[error("timestamp {text:?} is no RFC 3339 time")]
    Timestamp {
        /// What stands there.
        text: String,
    },
}

/// One point of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Grid time, Unix ms.
    pub tick_ms: u64,
    /// The value, truncated toward zero.
    pub value: u64,
    /// The value with its fraction, of metrics that have one.
    pub float: Option<f64>,
}

#[derive(Deserialize)]
struct MetricResult {
    metrics: Vec<MetricPoint>,
}

#[derive(Deserialize)]
struct MetricPoint {
    timestamp: String,
    value: u64,
    #[serde(rename = "floatValue")]
    float_value: Option<f64>,
}

/// Parses a `MetricResult`: the points in the order of the answer.
///
/// # Errors
///
/// `Json` or `Timestamp`.
pub fn points(body: &[u8]) -> Result<Vec<Point>, Error> {
    let json: MetricResult = serde_json::from_slice(body).map_err(|source| Error::Json {
        text: String::from_utf8_lossy(body).into_owned(),
        source,
    })?;
    let point = |one: MetricPoint| {
        let Some(tick_ms) = rfc3339::parse(&one.timestamp) else {
            return Err(Error::Timestamp {
                text: one.timestamp,
            });
        };
        Ok(Point {
            tick_ms,
            value: one.value,
            float: one.float_value,
        })
    };
    json.metrics.into_iter().map(point).collect()
}

/// Reads a series from an aggregator's plain listener; `series` is its path below
/// `/api/v1/model/`, with a query where one is wanted.
///
/// # Errors
///
/// `Exchange`, `Status`, or as [`points`].
pub fn read(http: SocketAddr, series: &str) -> Result<Vec<Point>, Error> {
    let path = format!("/api/v1/model/{series}");
    match http1::get(http, &path) {
        Ok(answer) if answer.status == 200 => points(&answer.body),
        Ok(answer) => Err(Error::Status {
            path,
            status: answer.status,
            text: answer.text(),
        }),
        Err(source) => Err(Error::Exchange { path, source }),
    }
}
