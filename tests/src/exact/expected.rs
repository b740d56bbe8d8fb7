//! The output of the scripts of `tests/expect`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::native::{self, Cell, Cells, Entity};
use super::{Asker, Found, Point, Points};

/// Which script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// `expect.py`: what comes from the kubelet.
    Kubelet,
    /// `expect_proc.py`: what comes from /proc.
    Proc,
}

/// What a script says of a recording. Ticks are Unix ms.
#[derive(Debug, Default)]
pub struct Expected {
    /// Series of the model API by path.
    pub paths: BTreeMap<String, Points>,
    /// Lists of the model API by path and tick.
    pub lists: BTreeMap<String, BTreeMap<u64, Vec<String>>>,
    /// Everything of the native API by node and tick.
    pub nodes: BTreeMap<String, BTreeMap<u64, Cells>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Sample {
        tick: u64,
        path: String,
        value: u64,
        float: Option<f64>,
    },
    List {
        tick: u64,
        list: String,
        names: Vec<String>,
    },
    Native {
        tick: u64,
        node: String,
        #[serde(flatten)]
        entity: Entity,
        metric: String,
        value: u64,
        rate: Option<(u64, u64)>,
    },
}

impl Expected {
    /// Runs a script over an archive.
    ///
    /// # Errors
    ///
    /// When python3 is missing, or with what the script says when it fails.
    pub fn of(script: Script, archive: &Path) -> Result<Self> {
        let name = match script {
            Script::Kubelet => "expect/expect.py",
            Script::Proc => "expect/expect_proc.py",
        };
        Self::read(&Self::run(name, archive)?)
    }

    /// What a script prints.
    pub(super) fn run(name: &str, archive: &Path) -> Result<String> {
        let output = Command::new("python3")
            .arg("-B")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
            .arg(archive)
            .output()
            .context("python3 runs the expectation script: install python3")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{said}");
        Ok(String::from_utf8(output.stdout)?)
    }

    pub(super) fn read(text: &str) -> Result<Self> {
        let mut expected = Self::default();
        for line in text.lines() {
            let read = serde_json::from_str(line).with_context(|| line.to_owned())?;
            let is_new = expected.add(read);
            ensure!(is_new, "said twice: {line}");
        }
        Ok(expected)
    }

    /// Compares everything that the native API says of these nodes, with one request for each: within one tick,
    /// or all ticks of the window.
    pub fn compare_nodes(
        &self,
        found: &mut Found,
        asker: &mut Asker,
        ticks: &[u64],
        wanted: fn(&str) -> bool,
    ) {
        let one = match ticks {
            [tick] => Some(*tick),
            _ => None,
        };
        let none = Cells::new();
        for (node, expected) in &self.nodes {
            let answered = match asker.cells(node, one, wanted) {
                Ok(answered) => answered,
                Err(error) => {
                    found.broken("values", &format!("{error:#}"));
                    continue;
                }
            };
            if one.is_some() && answered.len() > 1 {
                found.broken("values", &format!("{node}: more than one tick"));
            }
            for (tick, answered) in &answered {
                let expected = expected.get(tick).unwrap_or(&none);
                found.cells(node, *tick, expected, answered);
            }
            for tick in ticks.iter().filter(|tick| !answered.contains_key(tick)) {
                found.broken("values", &format!("{node} has no tick {tick}"));
            }
        }
    }

    /// Adds a line; false when there was one for the same place.
    fn add(&mut self, line: Line) -> bool {
        match line {
            Line::Sample {
                tick,
                path,
                value,
                float,
            } => {
                let points = self.paths.entry(path).or_default();
                points.insert(tick * 1000, Point { value, float }).is_none()
            }
            Line::List { tick, list, names } => {
                let ticks = self.lists.entry(list).or_default();
                ticks.insert(tick * 1000, names).is_none()
            }
            Line::Native {
                tick,
                node,
                entity,
                metric,
                value,
                rate,
            } => {
                let rate = rate.map(|(delta, over_ms)| delta as f64 * 1000.0 / over_ms as f64);
                let key = format!("{} {metric}", native::key(&entity));
                let cells = self.nodes.entry(node).or_default();
                let cells = cells.entry(tick * 1000).or_default();
                cells.insert(key, Cell { value, rate }).is_none()
            }
        }
    }
}

/// True of a metric that comes from the kubelet: all but the host's own figures.
#[must_use]
pub fn is_of_kubelet(metric: &str) -> bool {
    !is_of_host(metric)
}

/// True of a metric that comes from /proc.
#[must_use]
pub fn is_of_host(metric: &str) -> bool {
    let prefixes = ["host_", "disk_", "interface_"];
    prefixes.iter().any(|prefix| metric.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::{Expected, Script};
    use crate::system::Recording;

    #[test]
    fn each_kind_of_line_is_read() {
        let text = r#"{"tick":10,"path":"/p","value":3,"float":3.5}
{"tick":10,"list":"/l","names":["a"]}
{"tick":10,"node":"n","kind":"pod","namespace":"s","pod":"","pod_uid":"u","container":"","name":"w","labels":{},"metric":"m","value":7,"rate":[5,2000]}
{"tick":10,"node":"n","kind":"volume","namespace":"s","pod":"w","pod_uid":"u","container":"","name":"v","labels":{"k":"x"},"metric":"m","value":7,"rate":null}"#;
        let expected = Expected::read(text).unwrap();
        assert_eq!(expected.paths["/p"][&10_000].float, Some(3.5));
        assert_eq!(expected.lists["/l"][&10_000], ["a"]);
        let cells = &expected.nodes["n"][&10_000];
        let pod = &cells["pod namespace=s pod= uid=u container= name=w {} m"];
        assert_eq!((pod.value, pod.rate), (7, Some(2.5)));
        let volume = "volume namespace=s pod=w uid=u container= name=v {\"k\": \"x\"} m";
        assert_eq!(cells[volume].rate, None);
        assert!(Expected::read("{\"tick\":10}").is_err());
        let twice = "{\"tick\":10,\"list\":\"/l\",\"names\":[]}\n".repeat(2);
        assert!(Expected::read(&twice).is_err());
    }

    #[test]
    fn the_scripts_speak_of_every_tick_of_every_recording() {
        for (name, script) in [
            ("trace", Script::Kubelet),
            ("pods-51", Script::Kubelet),
            ("cgroup-v2", Script::Kubelet),
            ("cgroup-v2", Script::Proc),
        ] {
            let recording = Recording::named(name).unwrap();
            let expected = Expected::of(script, recording.archive.as_deref().unwrap()).unwrap();
            let nodes: Vec<&String> = expected.nodes.keys().collect();
            assert_eq!(nodes, recording.nodes.iter().collect::<Vec<_>>());
            let count = match script {
                Script::Kubelet => recording.tick_count,
                Script::Proc => 18,
            };
            let ticks: Vec<u64> = recording
                .ticks()
                .take(usize::try_from(count).unwrap())
                .collect();
            for by_tick in expected.nodes.values() {
                assert_eq!(by_tick.keys().copied().collect::<Vec<_>>(), ticks);
            }
        }
    }
}
