//! Clients of Kubernetes as people have them: a current kubectl, an old one, and the one of Python.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::front_proxy::FrontProxy;

/// A client with somebody's token.
pub(super) struct Client {
    program: PathBuf,
    config: PathBuf,
    home: tempfile::TempDir,
}

impl Client {
    /// The current kubectl.
    pub(super) fn kubectl(proxy: &FrontProxy, token: &str) -> Self {
        Self::of(tool("bin/kubectl"), proxy, token)
    }

    /// The kubectl of Debian: in Debian 12 one of 2021.
    pub(super) fn debians(proxy: &FrontProxy, token: &str) -> Self {
        Self::of(tool("kubectl-debian/usr/bin/kubectl"), proxy, token)
    }

    fn of(program: PathBuf, proxy: &FrontProxy, token: &str) -> Self {
        Self {
            program,
            config: proxy.kubeconfig(token).unwrap(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// What it prints, and whether it is content.
    pub(super) fn says(&self, args: &[&str]) -> (bool, String, String) {
        let output = Command::new(&self.program)
            .args(args)
            .arg("--request-timeout=60s")
            .env_clear()
            .env("HOME", self.home.path())
            .env("KUBECONFIG", &self.config)
            .output()
            .unwrap();
        (
            output.status.success(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// What it prints.
    pub(super) fn run(&self, args: &[&str]) -> String {
        let (ok, out, err) = self.says(args);
        assert!(
            ok,
            "{} {}: {out}{err}",
            self.program.display(),
            args.join(" ")
        );
        out
    }

    /// A document that it prints.
    pub(super) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.run(args)).unwrap()
    }

    /// The words of each line, the head first.
    pub(super) fn table(&self, args: &[&str]) -> Vec<Vec<String>> {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        self.run(args).lines().map(words).collect()
    }
}

/// What the client of Python reads, with the token of another one.
pub(super) fn python(of: &Client) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubectl/client.py");
    let package = tool("python/kubernetes");
    let output = Command::new("python3")
        .arg("-B")
        .arg(script)
        .env("PYTHONPATH", package.parent().unwrap())
        .env("HOME", of.home.path())
        .env("KUBECONFIG", &of.config)
        .output()
        .unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "python3: {out}{err}");
    serde_json::from_str(&out).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A file that scripts/deps.sh brings.
fn tool(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools");
    let tool = root.join(path);
    assert!(
        tool.exists(),
        "there is no {}: run scripts/deps.sh test",
        tool.display()
    );
    tool
}
