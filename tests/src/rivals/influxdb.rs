//! `InfluxDB` 1.x.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::answer::{Points, Question};
use super::rival::percent;
use super::server::free_addr;

/// Makes the database.
pub(super) const CREATE: &str = "/query?q=CREATE%20DATABASE%20fleet";

/// Where lines are posted to; their times are ms.
pub(super) const WRITE: &str = "/write?db=fleet&precision=ms";

/// Prepares the directory and gives the arguments.
pub(super) fn arguments(dir: &Path, addr: SocketAddr) -> Result<Vec<String>> {
    let config = dir.join("influxdb.conf");
    let part = |name: &str| dir.join("data").join(name).display().to_string();
    let text = format!(
        "reporting-disabled = true\n\
         bind-address = \"{backup}\"\n\
         [meta]\n  dir = \"{meta}\"\n\
         [data]\n  dir = \"{data}\"\n  wal-dir = \"{wal}\"\n  query-log-enabled = false\n\
         [monitor]\n  store-enabled = false\n\
         [http]\n  bind-address = \"{addr}\"\n  log-enabled = false\n",
        backup = free_addr()?,
        meta = part("meta"),
        data = part("data"),
        wal = part("wal"),
    );
    std::fs::write(&config, text)?;
    Ok(vec![
        "run".to_owned(),
        "-config".to_owned(),
        config.display().to_string(),
    ])
}

/// The request: raw values by pod.
pub(super) fn ask(question: &Question) -> String {
    let Question {
        namespace,
        field,
        first_ms,
        last_ms,
        ..
    } = question;
    let query = format!(
        "SELECT {} FROM pod WHERE namespace = '{namespace}' \
         AND time >= {first_ms}ms AND time <= {last_ms}ms GROUP BY pod",
        field.name
    );
    format!("/query?db=fleet&epoch=ms&q={}", percent(&query))
}

#[derive(Deserialize)]
struct Response {
    results: Vec<Statement>,
}

#[derive(Deserialize)]
struct Statement {
    error: Option<String>,
    #[serde(default)]
    series: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    tags: BTreeMap<String, String>,
    values: Vec<(u64, u64)>,
}

/// Reads the series of one statement.
pub(super) fn read(body: &[u8]) -> Result<Points> {
    let response: Response = serde_json::from_slice(body)?;
    let statement = response.results.into_iter().next();
    let statement = statement.context("an answer without a result")?;
    ensure!(statement.error.is_none(), "{:?}", statement.error);
    let mut points = Points::new();
    for series in statement.series {
        let pod = series.tags.get("pod").context("a series without a pod")?;
        let before = points.insert(pod.clone(), series.values);
        ensure!(before.is_none(), "two series of {pod}");
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn series_are_read_by_pod() {
        let body = br#"{"results":[{"statement_id":0,"series":[
            {"name":"pod","tags":{"pod":"a"},"columns":["time","x"],"values":[[10,1],[20,2]]}]}]}"#;
        assert_eq!(read(body).unwrap()["a"], [(10, 1), (20, 2)]);
        let failed = br#"{"results":[{"statement_id":0,"error":"database not found"}]}"#;
        assert!(read(failed).is_err());
        let nothing = br#"{"results":[{"statement_id":0}]}"#;
        assert!(read(nothing).unwrap().is_empty());
    }
}
