//! Prometheus as a receiver of remote write, and the query API that `VictoriaMetrics` has too.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::answer::{Points, Question};
use super::rival::{percent, whole};

/// Nothing is scraped: all comes by remote write.
const CONFIG: &str = "global: {}\n";

/// Prepares the directory and gives the arguments.
pub(super) fn arguments(dir: &Path, addr: SocketAddr) -> Result<Vec<String>> {
    let config = dir.join("prometheus.yml");
    std::fs::write(&config, CONFIG)?;
    Ok(vec![
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", dir.join("data").display()),
        format!("--web.listen-address={addr}"),
        "--web.enable-remote-write-receiver".to_owned(),
        "--log.level=warn".to_owned(),
    ])
}

/// The request: raw values at the ticks.
pub(super) fn ask(question: &Question) -> String {
    let Question {
        namespace, field, ..
    } = question;
    // An empty label is one that is not there: the pod itself and not its containers.
    let query = format!(
        "{}{{namespace=\"{namespace}\",pod!=\"\",container=\"\"}}",
        field.name
    );
    format!(
        "/api/v1/query_range?query={}&start={}&end={}&step={}",
        percent(&query),
        question.first_ms / 1000,
        question.last_ms / 1000,
        question.interval_ms / 1000,
    )
}

#[derive(Deserialize)]
struct Response {
    status: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

/// Reads a matrix.
pub(super) fn read(body: &[u8]) -> Result<Points> {
    let response: Response = serde_json::from_slice(body)?;
    ensure!(response.status == "success", "status {}", response.status);
    let mut points = Points::new();
    for series in response.data.context("no data")?.result {
        let pod = series.metric.get("pod").context("a series without a pod")?;
        let values = series.values.into_iter().map(|(seconds, value)| {
            let point = (whole(seconds * 1000.0)?, whole(value.parse()?)?);
            Ok::<_, anyhow::Error>(point)
        });
        let before = points.insert(pod.clone(), values.collect::<Result<_>>()?);
        ensure!(before.is_none(), "two series of {pod}");
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use cairn_proto::catalogue::table;

    use super::{ask, read};
    use crate::rivals::answer::Question;

    #[test]
    fn a_question_asks_for_each_tick() {
        let question = Question {
            namespace: "ns-0".to_owned(),
            field: table::field(table::MEMORY_WORKING_SET).unwrap(),
            first_ms: 10_000,
            last_ms: 900_000,
            interval_ms: 10_000,
        };
        assert_eq!(
            ask(&question),
            "/api/v1/query_range?query=memory_working_set_bytes%7Bnamespace%3D%22ns-0%22%2C\
             pod%21%3D%22%22%2Ccontainer%3D%22%22%7D&start=10&end=900&step=10"
        );
    }

    #[test]
    fn a_matrix_is_read_by_pod() {
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"pod":"a"},"values":[[10,"1"],[20.0,"86400000000000"]]}]}}"#;
        let points = read(body).unwrap();
        assert_eq!(points["a"], [(10_000, 1), (20_000, 86_400_000_000_000)]);
        assert!(read(br#"{"status":"error"}"#).is_err());
    }
}
