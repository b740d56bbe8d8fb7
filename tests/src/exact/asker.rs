//! Asking for many things at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use super::native::{self, Cells};
use super::{Point, Points};
use crate::http1::Session;
use crate::{oracle, rfc3339};

/// An aggregator's plain listener, asked over a few kept connections.
#[derive(Debug)]
pub struct Asker {
    sessions: Vec<Session>,
}

impl Asker {
    /// So many connections, each asked by a thread of its own; at least one.
    #[must_use]
    pub fn new(addr: SocketAddr, connections: usize) -> Self {
        let sessions = (0..connections.max(1)).map(|_| Session::new(addr));
        Self {
            sessions: sessions.collect(),
        }
    }

    /// The bodies for all paths, in their order.
    ///
    /// # Errors
    ///
    /// The first answer that did not come or is not 200.
    pub fn bodies(&mut self, paths: &[String]) -> Result<Vec<Vec<u8>>> {
        let share = paths.len().div_ceil(self.sessions.len()).max(1);
        let parts = thread::scope(|scope| {
            let pairs = self.sessions.iter_mut().zip(paths.chunks(share));
            let asking: Vec<_> = pairs
                .map(|(session, paths)| scope.spawn(move || all(session, paths)))
                .collect();
            let parts = asking.into_iter().map(|thread| match thread.join() {
                Ok(part) => part,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            parts.collect::<Result<Vec<_>>>()
        })?;
        Ok(parts.into_iter().flatten().collect())
    }

    /// The points of series of the model API, of one tick or of the whole window.
    ///
    /// # Errors
    ///
    /// As [`Asker::bodies`], or when an answer is no series.
    pub fn points(&mut self, paths: &[&String], tick_ms: Option<u64>) -> Result<Vec<Points>> {
        let asked: Vec<String> = paths.iter().map(|path| spanning(path, tick_ms)).collect();
        let bodies = self.bodies(&asked)?;
        let read = asked
            .iter()
            .zip(&bodies)
            .map(|(path, body)| series(path, body));
        read.collect()
    }

    /// The names of lists of the model API.
    ///
    /// # Errors
    ///
    /// As [`Asker::bodies`], or when an answer is no list.
    pub fn lists(&mut self, paths: &[&String]) -> Result<Vec<Vec<String>>> {
        let asked: Vec<String> = paths.iter().map(|&path| path.clone()).collect();
        let bodies = self.bodies(&asked)?;
        let read = asked.iter().zip(&bodies).map(|(path, body)| {
            let text = || format!("{path}: {}", String::from_utf8_lossy(body));
            serde_json::from_slice(body).with_context(text)
        });
        read.collect()
    }

    /// Everything of a node, of one tick or of the whole window, by tick: the metrics that
    /// `wanted` accepts.
    ///
    /// # Errors
    ///
    /// As [`Asker::bodies`], or when the answer is not what the API promises.
    pub fn cells(
        &mut self,
        node: &str,
        tick_ms: Option<u64>,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<u64, Cells>> {
        let path = format!("/api/cairn/v1/values?node={node}");
        let path = spanning(&path, tick_ms);
        let bodies = self.bodies(std::slice::from_ref(&path))?;
        let body = bodies.first().context("no answer")?;
        match native::read(node, body, wanted) {
            Ok(cells) => Ok(cells),
            Err(problem) => bail!("{path}: {problem}"),
        }
    }
}

fn all(session: &mut Session, paths: &[String]) -> Result<Vec<Vec<u8>>> {
    let one = |path: &String| {
        let answer = session.get(path).with_context(|| path.clone())?;
        let status = answer.status;
        ensure!(status == 200, "{path}: {status} {}", answer.text());
        Ok(answer.body)
    };
    paths.iter().map(one).collect()
}

/// The path for one tick, beside what its query asks for already; without one, for the window.
fn spanning(path: &str, tick_ms: Option<u64>) -> String {
    let Some(tick_ms) = tick_ms else {
        return path.to_owned();
    };
    let joint = if path.contains('?') { '&' } else { '?' };
    let time = rfc3339::format(tick_ms);
    format!("{path}{joint}start={time}&end={time}")
}

/// Reads a series; a point that is there twice is an error.
fn series(path: &str, body: &[u8]) -> Result<Points> {
    let read = oracle::heapster::points(body).with_context(|| path.to_owned())?;
    let count = read.len();
    let points: Points = read
        .into_iter()
        .map(|point| {
            let (value, float) = (point.value, point.float);
            (point.tick_ms, Point { value, float })
        })
        .collect();
    ensure!(points.len() == count, "{path}: a point twice");
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::{series, spanning};

    #[test]
    fn a_span_joins_the_query_that_is_there() {
        let span = |path: &str| spanning(path, Some(1_525_428_060_000));
        let times = "start=2018-05-04T10:01:00Z&end=2018-05-04T10:01:00Z";
        assert_eq!(span("/a"), format!("/a?{times}"));
        assert_eq!(span("/a?b=c:/"), format!("/a?b=c:/&{times}"));
        assert_eq!(spanning("/a", None), "/a");
    }

    #[test]
    fn a_series_has_a_point_once() {
        let point = r#"{"timestamp":"2018-05-04T10:01:00Z","value":1}"#;
        let of = |points: &[&str]| {
            let joined = points.join(",");
            format!(r#"{{"metrics":[{joined}],"latestTimestamp":"x"}}"#)
        };
        let read = series("/a", of(&[point]).as_bytes()).unwrap();
        assert_eq!(read[&1_525_428_060_000].value, 1);
        assert!(series("/a", of(&[point, point]).as_bytes()).is_err());
        assert!(series("/a", b"[]").is_err());
    }
}
