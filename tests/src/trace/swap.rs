//! A recording in which swap is used. The machines that were recorded used none.

use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::{Error, Trace};

/// How much swap something uses in it, bytes, at every moment: so many whole pages, by its names. Of a node the names
/// are empty.
#[must_use]
pub fn bytes_of(namespace: &str, pod: &str, container: &str) -> u64 {
    let names = [namespace, pod, container];
    let letters = names.iter().flat_map(|name| name.bytes()).map(u64::from);
    let pages = letters
        .enumerate()
        .map(|(at, letter)| letter * (at as u64 % 7 + 1));
    let is_node = container.is_empty();
    let most_pages = if is_node { 200_000 } else { 3_000 };
    (pages.sum::<u64>() + u64::from(is_node) * 150_001) % most_pages * 4_096
}

impl Trace {
    /// The same with swap in use on a node and in each of its containers, in both bodies.
    ///
    /// # Errors
    ///
    /// When a body is not as a kubelet writes it.
    pub fn with_swap(mut self, node: &str) -> Result<Self, Error> {
        for frame in self.nodes.get_mut(node).into_iter().flatten() {
            let mut summary: Value = serde_json::from_slice(&frame.summary)
                .map_err(|source| Error::Json { number: 0, source })?;
            set(&mut summary["node"], bytes_of("", "", ""));
            for pod in summary["pods"].as_array_mut().into_iter().flatten() {
                of_pod(pod);
            }
            frame.summary = summary.to_string().into_bytes();
            let text = String::from_utf8_lossy(&frame.resource).into_owned();
            let lines = text.lines().map(line);
            frame.resource = lines.collect::<String>().into_bytes();
        }
        Ok(self)
    }

    /// Packs it as [`Trace::load`] reads it.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn pack(&self, path: &Path) -> std::io::Result<()> {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (node, frames) in &self.nodes {
            for (number, frame) in (1..).zip(frames) {
                let captured = frame.captured_at_ms;
                let captured = format!("{}.{:03}", captured / 1_000, captured % 1_000);
                let files: [(&str, &[u8]); 3] = [
                    ("captured_at", captured.as_bytes()),
                    ("stats_summary", &frame.summary),
                    ("metrics_resource", &frame.resource),
                ];
                for (name, body) in files {
                    let mut header = tar::Header::new_gnu();
                    header.set_size(body.len() as u64);
                    header.set_mode(0o644);
                    let path = format!("trace/{node}/{number:02}/{name}");
                    archive.append_data(&mut header, path, body)?;
                }
            }
        }
        let packed = archive.into_inner()?.finish()?;
        std::fs::File::create(path)?.write_all(&packed)
    }
}

fn of_pod(pod: &mut Value) {
    let text = |name: &str| pod["podRef"][name].as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text("namespace"), text("name"));
    let mut all = 0;
    for container in pod["containers"].as_array_mut().into_iter().flatten() {
        let bytes = bytes_of(
            &namespace,
            &name,
            container["name"].as_str().unwrap_or_default(),
        );
        set(container, bytes);
        all += bytes;
    }
    set(pod, all);
}

/// Where swap is told.
fn set(stats: &mut Value, bytes: u64) {
    if let Some(swap) = stats.get_mut("swap") {
        swap["swapUsageBytes"] = json!(bytes);
    }
}

/// A line of `/metrics/resource`: swap in use is another, all else is the same. What is told of a whole pod is told
/// of its containers too, and is left.
fn line(line: &str) -> String {
    let label = |name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\""))?;
        Some(rest.split_once('"')?.0)
    };
    let time = line.rsplit(' ').next().unwrap_or_default();
    let of = |series: &str, bytes: u64| format!("{series} {bytes} {time}\n");
    match line.split_once("} ") {
        Some((series, _)) if line.starts_with("container_swap_usage_bytes{") => {
            let names = (label("namespace"), label("pod"), label("container"));
            let (namespace, pod, container) = names;
            let [namespace, pod, container] =
                [namespace, pod, container].map(Option::unwrap_or_default);
            of(&format!("{series}}}"), bytes_of(namespace, pod, container))
        }
        None if line.starts_with("node_swap_usage_bytes ") => {
            of("node_swap_usage_bytes", bytes_of("", "", ""))
        }
        _ => format!("{line}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_swaps_and_all_else_is_as_it_was() {
        let plain = Trace::carried().unwrap();
        let swapping = plain.clone().with_swap("node1").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("swap.tar.gz");
        swapping.pack(&path).unwrap();
        let read = Trace::load(&path).unwrap();
        assert_eq!(read.nodes(), ["node1", "node2"]);
        for node in read.nodes() {
            let (was, is) = (plain.frames(node).unwrap(), read.frames(node).unwrap());
            assert_eq!(was.len(), is.len());
            for (was, is) in was.iter().zip(is) {
                assert_eq!(was.captured_at_ms, is.captured_at_ms);
                assert_eq!(was.resource == is.resource, node == "node2");
                let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
                let others = |body: &[u8]| {
                    let text = text(body);
                    let lines = text.lines().filter(|line| !line.contains("swap_usage"));
                    lines.map(str::to_owned).collect::<Vec<_>>()
                };
                assert_eq!(others(&was.resource), others(&is.resource));
                let summary: Value = serde_json::from_slice(&is.summary).unwrap();
                let of_node = summary["node"]["swap"]["swapUsageBytes"].as_u64();
                let expected = if node == "node1" {
                    bytes_of("", "", "")
                } else {
                    0
                };
                assert_eq!(of_node, Some(expected));
                let line = format!("node_swap_usage_bytes {expected} ");
                assert!(text(&is.resource).contains(&line), "{line}");
            }
        }
        assert!(bytes_of("", "", "") > 100 << 20);
        let container = bytes_of("shop", "burner-6cb655c9bf-vd7bl", "cpu");
        assert!((1 << 20..64 << 20).contains(&container), "{container}");
    }
}
