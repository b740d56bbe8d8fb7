//! What a replica has, as it tells a reader: agents, their clocks, memory, and how far back it knows.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use cairn_runtime::http2::{self, Options};
use cairn_runtime::tls::ClientStream;
use cairn_runtime::{bearer, body, logging};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http2::SendRequest;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::finding::Finding;

/// What these findings are called.
pub(super) const CHECK: &str = "window";

/// For each question and its whole answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// An overview of 5,000 nodes is some three megabytes.
const MOST_BYTES: usize = 32 * 1024 * 1024;

const MAX_TOKEN_BYTES: usize = 16 * 1024;

const BYTES_UNDER_WAY: u32 = 1024 * 1024;

const OPTIONS: Options = Options {
    windows: (BYTES_UNDER_WAY, 2 * BYTES_UNDER_WAY),
    keep_alive: (Duration::from_secs(5), Duration::from_secs(5)),
    while_idle: false,
};

/// What a node has a value of at every tick: from its kubelet, or where it reads none from its own /proc.
const OF_NODES: [&str; 2] = ["memory_working_set_bytes", "host_load1"];

/// Nodes that are named.
const NAMED: usize = 5;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Overview {
    window_ms: u64,
    memory: String,
    nodes: Vec<Node>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Node {
    name: String,
    state: String,
    clock_offset_ms: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Range {
    ticks: Vec<u64>,
    series: Vec<Series>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Series {
    values: Vec<Option<f64>>,
}

/// A connection to a replica that has proved who it is.
struct Link<'a> {
    sender: SendRequest<Empty<Bytes>>,
    host: &'a str,
    token: HeaderValue,
}

/// Asks one of this namespace, showing the token of this file.
pub(super) async fn look(
    (about, namespace): (&str, &str),
    stream: ClientStream,
    token_file: &Path,
    host: &str,
) -> Vec<Finding> {
    match ask(stream, token_file, host).await {
        Ok((overview, held_ms)) => judge((about, namespace), &overview, held_ms),
        Err((found, todo)) => vec![Finding::warn((CHECK, about), found, todo)],
    }
}

/// What went wrong, and what to do.
type Refused = (String, String);

async fn ask(
    stream: ClientStream,
    token_file: &Path,
    host: &str,
) -> Result<(Overview, Option<u64>), Refused> {
    let token = bearer::read(token_file, MAX_TOKEN_BYTES).map_err(|error| {
        let found = format!("--reader-token-file: {}", logging::chain(&error));
        (found, "put a token into that file".to_owned())
    })?;
    let mut token = HeaderValue::from_maybe_shared(format!("Bearer {token}")).map_err(|_| {
        (
            "the token has characters that none has".to_owned(),
            String::new(),
        )
    })?;
    token.set_sensitive(true);
    let again = |why: String| (why, "look at the log of that replica".to_owned());
    let shaken = timeout(DEADLINE, http2::connect(stream, OPTIONS)).await;
    let shaken = shaken.map_err(|_| again(format!("no HTTP/2 within {DEADLINE:?}")))?;
    let (sender, _guard) = shaken.map_err(|error| again(logging::chain(&error)))?;
    let mut link = Link {
        sender,
        host,
        token,
    };
    let overview: Overview = link.get("/api/cairn/v1/overview").await?;
    let fresh = overview.nodes.iter().find(|node| node.state == "fresh");
    let mut held_ms = None;
    for metric in OF_NODES {
        if let (Some(node), None) = (fresh, held_ms) {
            let path = format!(
                "/api/cairn/v1/range?metric={metric}&kind=node&node={}",
                node.name
            );
            held_ms = held(&link.get(&path).await?);
        }
    }
    Ok((overview, held_ms))
}

impl Link<'_> {
    async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, Refused> {
        let again = |why: String| (why, "look at the log of that replica".to_owned());
        let request = Request::get(format!("https://{}{path}", self.host))
            .header(AUTHORIZATION, self.token.clone())
            .body(Empty::new())
            .map_err(|error| again(error.to_string()))?;
        let asked = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        let answered = timeout(DEADLINE, asked).await;
        let answered = answered.map_err(|_| again(format!("no answer within {DEADLINE:?}")))?;
        let answer = answered.map_err(|error| again(logging::chain(&error)))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => {
                let found = "the token is not taken".to_owned();
                let todo = "make one for the audience of --reader-audience, which is cairn unless it was set";
                return Err((found, todo.to_owned()));
            }
            StatusCode::FORBIDDEN => {
                let found = "whose token it is may not list nodes.metrics.k8s.io".to_owned();
                let todo = "bind cairn-metrics-reader (overlays/metrics-api), or a role with {apiGroups: \
                            [metrics.k8s.io], resources: [nodes], verbs: [get, list]}, to that account";
                return Err((found, todo.to_owned()));
            }
            status => return Err(again(format!("it answered {status}"))),
        }
        let read = body::read_capped(answer.into_body(), MOST_BYTES, DEADLINE).await;
        let bytes = read.map_err(|error| again(logging::chain(&error)))?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let found = format!("its answer is not understood: {error}");
            (
                found,
                "check with the version of the aggregator that runs".to_owned(),
            )
        })
    }
}

/// From the first value to the last tick, ms.
fn held(range: &Range) -> Option<u64> {
    let of_series = |series: &Series| series.values.iter().position(Option::is_some);
    let first = range.series.iter().filter_map(of_series).min()?;
    Some(range.ticks.last()?.saturating_sub(*range.ticks.get(first)?))
}

fn judge(
    (about, namespace): (&str, &str),
    overview: &Overview,
    held_ms: Option<u64>,
) -> Vec<Finding> {
    let nodes = &overview.nodes;
    let lost: Vec<&str> = nodes
        .iter()
        .filter(|node| node.state != "fresh")
        .map(|node| node.name.as_str())
        .collect();
    let (all, fresh) = (nodes.len(), nodes.len() - lost.len());
    let found = format!("{fresh} of {all} agents report");
    let of = || ("reports", about);
    let reports = if nodes.is_empty() {
        let todo = "look at the logs of the agents: none has a stream to this replica";
        Finding::warn(of(), "no agent reports", todo)
    } else if lost.is_empty() {
        Finding::ok(of(), found)
    } else {
        let todo = "look at these nodes on the page, or at the logs of their agents";
        Finding::warn(of(), format!("{found}; not: {}", named(&lost)), todo)
    };
    let off = nodes.iter().filter_map(|node| {
        let offset_ms = node.clock_offset_ms?;
        Some(format!("{} by {}", node.name, span(offset_ms)))
    });
    let off: Vec<String> = off.collect();
    let clocks = if off.is_empty() {
        Finding::ok(
            ("clocks", about),
            "none is off by more than half an interval",
        )
    } else {
        let off: Vec<&str> = off.iter().map(String::as_str).collect();
        let todo = "synchronise them (NTP): their rows lie elsewhere in time";
        Finding::warn(("clocks", about), format!("off: {}", named(&off)), todo)
    };
    let window_s = overview.window_ms / 1_000;
    let window = match held_ms {
        None => Finding::warn(
            (CHECK, about),
            "it has no row yet",
            format!(
                "wait for one interval; if it stays so, kubectl -n {namespace} logs daemonset/cairn-agent says what \
                 keeps the agents from this replica"
            ),
        ),
        Some(held_ms) => {
            let found = format!("{} s of {window_s} s held", held_ms / 1_000);
            Finding::ok((CHECK, about), found)
        }
    };
    let of_memory = ("memory", about);
    let memory = match overview.memory.as_str() {
        "calm" => Finding::ok(of_memory, "below 75 % of its limit"),
        "no_wants" => Finding::warn(
            of_memory,
            "over 75 % of its limit: no history is asked for",
            MORE,
        ),
        "shorten" => Finding::warn(
            of_memory,
            "over 85 % of its limit: windows are shortened",
            MORE,
        ),
        "refuse" => Finding::fail(
            of_memory,
            "over 95 % of its limit: new agents are sent away",
            MORE,
        ),
        _ => Finding::unasked(of_memory, "it does not tell", "update that replica"),
    };
    vec![reports, clocks, window, memory]
}

/// By how much a clock is off, for people: of a few seconds each millisecond counts.
fn span(offset_ms: i64) -> String {
    if offset_ms.unsigned_abs() < 10_000 {
        format!("{offset_ms} ms")
    } else {
        format!("{} s", offset_ms / 1_000)
    }
}

/// What helps where memory is short.
const MORE: &str =
    "raise the memory limit of the Deployment (deploy/README.md, Sizes), or shorten --window";

fn named(names: &[&str]) -> String {
    let mut text = names
        .iter()
        .take(NAMED)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    if let Some(more) = names.len().checked_sub(NAMED).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;
    use crate::check::finding::State;

    fn judged(overview: serde_json::Value, held_ms: Option<u64>) -> Vec<(State, String)> {
        let overview = from_value(overview).unwrap();
        let all = judge(("a", "cairn"), &overview, held_ms).into_iter();
        all.map(|finding| (finding.state, finding.found)).collect()
    }

    #[test]
    fn a_replica_is_judged_by_what_it_says() {
        let node = |name: &str, state: &str| json!({"name": name, "state": state});
        let well = json!({"window_ms": 900_000, "memory": "calm", "nodes": [node("n1", "fresh")]});
        let told = judged(well, Some(890_000));
        assert!(
            told.iter().all(|(state, _)| *state == State::Ok),
            "{told:?}"
        );
        assert_eq!(told[2].1, "890 s of 900 s held");
        let mut late = node("n2", "fresh");
        late["clock_offset_ms"] = json!(-61_000);
        let mut early = node("n4", "fresh");
        early["clock_offset_ms"] = json!(640);
        let nodes = [node("n1", "stale"), late, node("n3", "connecting"), early];
        let unwell = json!({"window_ms": 900_000, "memory": "refuse", "nodes": nodes});
        let told = judged(unwell, None);
        assert_eq!(
            told[0],
            (State::Warn, "2 of 4 agents report; not: n1, n3".to_owned())
        );
        assert_eq!(
            told[1],
            (State::Warn, "off: n2 by -61 s, n4 by 640 ms".to_owned())
        );
        assert_eq!(told[2].0, State::Warn);
        assert_eq!(told[3].0, State::Fail);
    }

    #[test]
    fn who_has_no_row_is_told_where_to_look() {
        let overview = Overview::default();
        let findings = judge(("a", "metrics"), &overview, None);
        let window = findings.iter().find(|one| one.check == CHECK).unwrap();
        assert!(
            window
                .todo
                .contains("kubectl -n metrics logs daemonset/cairn-agent"),
            "{window:?}"
        );
    }

    #[test]
    fn what_is_held_begins_with_the_first_value() {
        let range = |values: serde_json::Value| -> Range {
            from_value(json!({"ticks": [10, 20, 30], "series": [{"values": values}]})).unwrap()
        };
        assert_eq!(held(&range(json!([null, 1, null]))), Some(10));
        assert_eq!(held(&range(json!([null, null, null]))), None);
        assert_eq!(held(&Range::default()), None);
    }
}
