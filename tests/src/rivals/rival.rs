//! A rival: how it is started, fed and asked.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, ensure};

use super::answer::{Points, Question};
use super::data::{Bodies, Data};
use super::{influxdb, line_protocol, prometheus, remote_write};

/// How it takes samples in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Prometheus remote write 1.0.
    RemoteWrite,
    /// `InfluxDB`'s line protocol.
    Lines,
}

impl Form {
    /// The header lines of a request.
    pub(super) fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Form::RemoteWrite => &remote_write::HEADERS,
            Form::Lines => &line_protocol::HEADERS,
        }
    }

    /// The bodies of all requests.
    pub(super) fn bodies(self, data: &Data) -> &Bodies {
        match self {
            Form::RemoteWrite => &data.remote_write,
            Form::Lines => &data.lines,
        }
    }

    /// What it is, for people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Form::RemoteWrite => "remote write 1.0, snappy",
            Form::Lines => "line protocol, gzip",
        }
    }
}

/// One of them. Paths are those of HTTP requests.
#[derive(Debug)]
pub(super) struct Rival {
    /// Name of its Debian package.
    pub(super) name: &'static str,
    /// The program.
    pub(super) program: &'static str,
    /// What it does that Cairn does not, for people.
    pub(super) does_more: &'static str,
    /// Prepares an empty directory and gives the arguments to serve from it at an address.
    pub(super) arguments: fn(&Path, SocketAddr) -> Result<Vec<String>>,
    /// Answers 2xx when it is up.
    pub(super) ready: &'static str,
    /// Posted once before the first sample; empty when nothing has to be.
    pub(super) create: &'static str,
    /// Where samples are posted to.
    pub(super) write: &'static str,
    /// In which form.
    pub(super) form: Form,
    /// Asked for after the last sample, so that all can be found; empty when nothing has to be.
    pub(super) flush: &'static str,
    /// The request for a question.
    pub(super) ask: fn(&Question) -> String,
    /// Reads the answer.
    pub(super) read: fn(&[u8]) -> Result<Points>,
}

/// All of them, in the order they are measured.
pub(super) const ALL: [Rival; 3] = [
    Rival {
        name: "prometheus",
        program: "prometheus",
        does_more: "keeps a log on disk, PromQL, any labels, alerts",
        arguments: prometheus::arguments,
        ready: "/-/ready",
        create: "",
        write: "/api/v1/write",
        form: Form::RemoteWrite,
        flush: "",
        ask: prometheus::ask,
        read: prometheus::read,
    },
    Rival {
        name: "victoria-metrics",
        program: "victoria-metrics",
        does_more: "keeps all on disk for a month, PromQL and more, any labels",
        arguments: victoria_arguments,
        ready: "/health",
        create: "",
        write: "/api/v1/write",
        form: Form::RemoteWrite,
        flush: "/internal/force_flush",
        ask: victoria_ask,
        read: prometheus::read,
    },
    Rival {
        name: "influxdb",
        program: "influxd",
        does_more: "keeps all on disk for ever, SQL-like queries, any tags, integers and texts",
        arguments: influxdb::arguments,
        ready: "/ping",
        create: influxdb::CREATE,
        write: influxdb::WRITE,
        form: Form::Lines,
        flush: "",
        ask: influxdb::ask,
        read: influxdb::read,
    },
];

fn victoria_arguments(dir: &Path, addr: SocketAddr) -> Result<Vec<String>> {
    Ok(vec![
        format!("-storageDataPath={}", dir.join("data").display()),
        format!("-httpListenAddr={addr}"),
        // The newest points are shown at once, as everywhere else in the comparison.
        "-search.latencyOffset=0s".to_owned(),
    ])
}

/// A dashboard asks for a range that has moved on, so the cache of whole answers is not what is to
/// be measured.
fn victoria_ask(question: &Question) -> String {
    prometheus::ask(question) + "&nocache=1"
}

/// A value that travelled as a floating-point number; all in the comparison are whole.
pub(super) fn whole(value: f64) -> Result<u64> {
    let text = format!("{value:.0}");
    ensure!(
        value.fract().abs() < f64::EPSILON,
        "{value} is no whole number"
    );
    Ok(text.parse()?)
}

/// A text as part of a request's path.
pub(super) fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{percent, whole};

    #[test]
    fn paths_and_values_are_exact() {
        assert_eq!(percent("a{b=\"c\"}"), "a%7Bb%3D%22c%22%7D");
        assert_eq!(whole(86_400_000_000_000.0).unwrap(), 86_400_000_000_000);
        assert!(whole(0.5).is_err());
        assert!(whole(-1.0).is_err());
    }
}
