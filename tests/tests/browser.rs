//! The page in a real browser.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::deadline::Deadline;
use testkit::system::{Options, System};

/// Longer than the script's own deadlines.
const WITHIN: Duration = Duration::from_secs(150);

/// Scenario: two nodes on the system's clock at 1 s; headless Chromium opens the page.
/// Guarantees: both views show graphs that gain points without a reload, the console stays
/// silent, and screenshots of both are saved in `tests/browser/shots`.
#[test]
fn the_page_shows_graphs_that_move() {
    let options = Options {
        interval: "1s".to_owned(),
        driven: false,
        ..Options::default()
    };
    let system = System::start(options).unwrap();
    let http = system.aggregator().unwrap().addr("http").unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    let mut script = Command::new("node")
        .arg(folder.join("run.mjs"))
        .args(["--url", &format!("http://{http}")])
        .arg("--shots")
        .arg(folder.join("shots"))
        .current_dir(&folder)
        .stdin(Stdio::null())
        .spawn()
        .expect("node runs the browser test: scripts/deps.sh test installs it");
    let ended = Deadline::after(WITHIN).poll(|| script.try_wait().unwrap());
    if ended.is_none() {
        script.kill().unwrap();
        script.wait().unwrap();
    }
    let status = ended.unwrap_or_else(|| panic!("no end within {WITHIN:?}\n{}", system.stderr()));
    assert!(status.success(), "{status}\n{}", system.stderr());
    for shot in ["overview.png", "node.png"] {
        let picture = std::fs::metadata(folder.join("shots").join(shot)).unwrap();
        assert!(picture.len() > 10_000, "{shot} is {} bytes", picture.len());
    }
}
