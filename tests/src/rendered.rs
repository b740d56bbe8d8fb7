//! The objects of `deploy/`, as a stock kubectl renders them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Turns the YAML documents of its standard input into one JSON list.
const TO_JSON: &str = "import json, sys, yaml\n\
                       json.dump([one for one in yaml.safe_load_all(sys.stdin) if one], sys.stdout)";

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Renders a directory below `deploy/`, such as `base` or `overlays/metrics-api`.
///
/// # Errors
///
/// When a tool that `scripts/deps.sh test` brings is missing, or it cannot be rendered.
pub fn render(name: &str) -> Result<Vec<Value>> {
    let root = root();
    let kubectl = root.join(".tools/bin/kubectl");
    ensure!(
        kubectl.exists(),
        "there is no {}: run scripts/deps.sh test",
        kubectl.display()
    );
    let rendered = Command::new(&kubectl)
        .arg("kustomize")
        .arg(root.join("deploy").join(name))
        .output()?;
    let said = String::from_utf8_lossy(&rendered.stderr);
    ensure!(
        rendered.status.success(),
        "kubectl kustomize {name}: {said}"
    );
    let mut python = Command::new("python3")
        .args(["-B", "-c", TO_JSON])
        .env("PYTHONPATH", root.join(".tools/python"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("python3 was not started: run scripts/deps.sh test")?;
    let mut input = python.stdin.take().context("no standard input")?;
    // What is rendered is larger than a pipe holds.
    let writing = std::thread::spawn(move || input.write_all(&rendered.stdout));
    let read = python.wait_with_output()?;
    drop(writing.join());
    ensure!(
        read.status.success(),
        "PyYAML is missing: run scripts/deps.sh test"
    );
    serde_json::from_slice(&read.stdout).context("the rendered objects")
}

/// The one of this kind and name.
///
/// # Errors
///
/// When there is none.
pub fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> Result<&'a Value> {
    let found = objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.with_context(|| format!("no {kind} {name} is rendered"))
}
