//! `cairn-agent top`: what it says is what the kubelet served, to those who may know it alone.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::fs::{Permissions, set_permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use rustix::termios::Termios;
use serde_json::Value;
use testkit::proc::{self, Finished, Proc};
use testkit::system::{FIRST_TICK_MS, Options, System, TRACE_START_MS, at};
use testkit::terminal::Terminal;
use testkit::trace::{self, Replay, Trace};

/// Whatever happens, one look ends in 5 s; a busy machine gets more.
const WITHIN: Duration = Duration::from_secs(60);

/// A pod that lives through the recording, and its containers.
const POD: &str = "burner-6cb655c9bf-tt7hk";

fn socket(agent: &Proc) -> String {
    agent.socket().display().to_string()
}

fn top(socket: &str, args: &[&str]) -> Finished {
    let mut all = vec!["top", "--socket", socket];
    all.extend(args);
    Proc::finish("cairn-agent", &all, &[], WITHIN).unwrap()
}

/// A system that has sampled so many ticks.
fn sampled(ticks: u64) -> System {
    let system = System::start(Options::one_node()).unwrap();
    for k in 0..ticks {
        system.tick(at(k)).unwrap();
    }
    system
}

fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

/// A pod, and a container of it or nothing.
type Name = (String, String);

/// Of each pod and container the CPU time in ns and when it was measured, Unix ms, of an answer of
/// `/metrics/resource`.
fn cpu_times(resource: &str) -> BTreeMap<Name, (f64, u64)> {
    let label = |labels: &str, key: &str| {
        let begin = labels.find(&format!("{key}=\""))? + key.len() + 2;
        let rest = labels.get(begin..)?;
        Some(rest.split('"').next()?.to_owned())
    };
    let lines = resource.lines().filter(|line| {
        line.starts_with("container_cpu_usage_seconds_total{")
            || line.starts_with("pod_cpu_usage_seconds_total{")
    });
    lines
        .filter_map(|line| {
            let (labels, numbers) = line.split_once('}')?;
            let mut numbers = numbers.split_whitespace();
            let seconds: f64 = numbers.next()?.parse().ok()?;
            let time_ms = numbers.next()?.parse().ok()?;
            let container = label(labels, "container").unwrap_or_default();
            Some(((label(labels, "pod")?, container), (seconds * 1e9, time_ms)))
        })
        .collect()
}

/// What the kubelet served at these ticks comes to: CPU in billionths of a core, by the two newest times at
/// which each was measured, and the working sets of the newest summary.
fn served(ticks: &[u64]) -> (BTreeMap<Name, f64>, BTreeMap<Name, u64>) {
    let trace = Trace::carried().unwrap();
    let replay = Replay::new(&trace, "node1", trace::Options::starting(TRACE_START_MS)).unwrap();
    let mut last: BTreeMap<Name, (f64, u64)> = BTreeMap::new();
    let mut rates = BTreeMap::new();
    for tick in ticks {
        let resource = String::from_utf8(replay.resource(*tick, None)).unwrap();
        for (name, (value, time_ms)) in cpu_times(&resource) {
            let before = last.insert(name.clone(), (value, time_ms));
            let Some((old, old_ms)) = before.filter(|(_, old_ms)| *old_ms < time_ms) else {
                continue;
            };
            let over_ms = u32::try_from(time_ms - old_ms).unwrap();
            rates.insert(name, (value - old) * 1e3 / f64::from(over_ms));
        }
    }
    let newest = ticks.last().unwrap();
    let summary: Value = serde_json::from_slice(&replay.summary(*newest, None)).unwrap();
    let mut memory = BTreeMap::new();
    for pod in summary["pods"].as_array().unwrap() {
        let name = pod["podRef"]["name"].as_str().unwrap();
        let mut add = |container: &str, of: &Value| {
            if let Some(bytes) = of["memory"]["workingSetBytes"].as_u64() {
                memory.insert((name.to_owned(), container.to_owned()), bytes);
            }
        };
        add("", pod);
        for one in pod["containers"].as_array().unwrap() {
            add(one["name"].as_str().unwrap(), one);
        }
    }
    (rates, memory)
}

fn name(entity: &Value) -> Name {
    let own = entity["name"].as_str().unwrap().to_owned();
    match entity["pod"].as_str() {
        Some(pod) => (pod.to_owned(), own),
        None => (own, String::new()),
    }
}

/// Cores as the table has them.
fn cores(nanocores: u64) -> String {
    let milli = nanocores / 1_000_000;
    format!("{}.{:03}", milli / 1_000, milli % 1_000)
}

/// Scenario: an agent samples eight ticks of a recorded kubelet.
/// Guarantees: the document and the table have CPU and memory of every pod and container as the kubelet
/// served them, with standard error empty.
#[test]
fn what_is_told_is_what_the_kubelet_served() {
    let system = sampled(8);
    let socket = socket(system.nodes[0].agent.as_ref().unwrap());
    let said = top(&socket, &["--output", "json"]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
    let document: Value = serde_json::from_str(&said.stdout).unwrap();
    let ticks: Vec<u64> = (0..8).map(at).collect();
    assert_eq!(document["node"], "node1");
    assert_eq!(document["tick_ms"], at(7));
    assert_eq!(document["interval_ms"], 10_000);
    assert!(
        document["host"]["memory_total_bytes"].as_u64() > Some(1 << 20),
        "{document}"
    );
    let (rates, memory) = served(&ticks);
    let entities = document["entities"].as_array().unwrap();
    let of_pods = |one: &&Value| one["kind"] == "pod" || one["kind"] == "container";
    let (mut compared, mut busy) = (0, 0);
    for entity in entities.iter().filter(of_pods) {
        let name = name(entity);
        let told = entity["memory_working_set_bytes"].as_u64();
        assert_eq!(told, memory.get(&name).copied(), "{entity}");
        // One that began anew has no rate, however it was served.
        let Some(told) = entity["cpu_nanocores"].as_u64() else {
            continue;
        };
        let expected = rates.get(&name).copied().unwrap_or(-1.0);
        let off = expected - f64::from(u32::try_from(told).unwrap());
        assert!(
            (-100.0..100.0).contains(&off),
            "{expected} was served: {entity}"
        );
        assert!(
            entity["age_ms"]["cpu"].as_u64().unwrap() < 90_000,
            "{entity}"
        );
        compared += 1;
        busy += usize::from(told > 1_000_000);
    }
    assert!(
        compared > 8 && busy > 0,
        "{compared} rates, {busy} of them not small"
    );

    let text = top(&socket, &["--once", "--containers"]).stdout;
    holds(
        &text,
        &[
            "node1  2026-",
            ", every 10s",
            "\nCPU [",
            "\nMEM [",
            "\nload ",
        ],
    );
    for entity in entities.iter().filter(of_pods) {
        let (pod, container) = name(entity);
        let namespace = entity["namespace"].as_str().unwrap();
        let first = if container.is_empty() {
            format!("{namespace}/{pod}")
        } else {
            container
        };
        let cpu = entity["cpu_nanocores"]
            .as_u64()
            .map_or("-".to_owned(), cores);
        let rows = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut named = rows.filter(|row| row.first() == Some(&first.as_str()));
        assert!(
            named.any(|row| row[1] == cpu),
            "{first} {cpu} is not in {text}"
        );
    }
    // Not on a terminal: as with --once.
    let plain = top(&socket, &["--containers"]).stdout;
    assert_eq!(plain, text);
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

/// Scenario: one namespace is asked for.
/// Guarantees: its pods are told, and nothing of others or of the system.
#[test]
fn one_namespace_can_be_asked_for() {
    let system = sampled(2);
    let socket = socket(system.nodes[0].agent.as_ref().unwrap());
    let shop = top(&socket, &["--once", "--namespace", "shop"]).stdout;
    assert!(shop.contains(&format!("shop/{POD}")), "{shop}");
    assert!(
        !shop.contains("kube-system/") && !shop.contains("(kubelet)"),
        "{shop}"
    );
}

/// Scenario: an agent runs as one user; another user, and whoever reaches its admin listener, ask.
/// Guarantees: the socket is its owner's alone; who comes through to it and is another user gets a 403 that
/// says who may ask; the admin listener names no pod, on any path.
#[test]
fn whoever_is_not_the_agents_user_is_told_nothing() {
    let system = sampled(2);
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(agent.socket()), 0o600);
    for path in ["/top", "/debug/top", "/metrics", "/readyz?verbose"] {
        let answer = agent.get("admin", path).unwrap().text();
        assert!(
            !answer.contains(POD) && !answer.contains("burner"),
            "{path}: {answer}"
        );
    }
    assert_eq!(agent.get("admin", "/top").unwrap().status, 404);
    if !rustix::process::geteuid().is_root() {
        let line = b"SKIPPED: only root can ask as another user: run the test as root\n";
        // Past the harness, which keeps what a test that passes has printed.
        std::io::stderr().write_all(line).unwrap();
        return;
    }
    let socket = socket(agent);
    let ask =
        || Proc::finish_foreign("cairn-agent", &["top", "--socket", &socket], WITHIN).unwrap();
    let said = ask();
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{said:?}");
    holds(
        &said.stderr,
        &[
            "nobody answers at the socket",
            "Permission denied",
            "as the agent's user",
        ],
    );
    // Somebody opened the directory and the socket to everybody.
    set_permissions(agent.dir(), Permissions::from_mode(0o755)).unwrap();
    set_permissions(agent.socket(), Permissions::from_mode(0o666)).unwrap();
    let said = ask();
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{said:?}");
    holds(
        &said.stderr,
        &["answered 403", "root and the user", "not user 65534"],
    );
    assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
}

/// Scenario: no agent runs, or it has no socket, or it was killed and another took its place.
/// Guarantees: the error names the socket, the reason, and what to try; the next agent is found.
#[test]
fn that_no_agent_answers_is_said_with_what_to_try() {
    let said = top("/nonexistent/agent.sock", &[]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{said:?}");
    assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
    let parts = [
        "error: nobody answers at the socket /nonexistent/agent.sock",
        "No such file or directory",
        "kubectl exec -n cairn ds/cairn-agent -- cairn-agent top",
        "--socket",
    ];
    holds(&said.stderr, &parts);

    let args = [
        "--node-name",
        "node1",
        "--kubelet",
        "off",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    let dir = tempfile::tempdir().unwrap();
    let shared = dir.path().join("agent.sock").display().to_string();
    let with = |socket: &str| {
        let args: Vec<&str> = args.iter().copied().chain(["--socket", socket]).collect();
        Proc::start("cairn-agent", &args, &[]).unwrap()
    };
    let mut first = with(&shared);
    assert_eq!(top(&shared, &["--once"]).code, Some(0));
    // A second one goes on without, and says so.
    let second = with(&shared);
    let ready = second.get("admin", "/readyz?verbose").unwrap().text();
    holds(
        &ready,
        &["[!]socket: --socket: the socket ", "is another process's"],
    );
    first.kill9().unwrap();
    holds(&top(&shared, &[]).stderr, &["Connection refused"]);
    let third = with(&shared);
    assert_eq!(top(&shared, &["--once"]).code, Some(0));
    drop(third);
    // Taken for a path it would be made where the agent runs.
    let without = Proc::start("cairn-agent", &args, &[("CAIRN_SOCKET", "off")]).unwrap();
    let ready = without.get("admin", "/readyz?verbose").unwrap().text();
    assert!(!ready.contains("socket"), "{ready}");
    assert!(!Path::new("off").exists());
}

/// A way to end a program on a terminal.
type Way<'a> = (&'a str, &'a dyn Fn(&mut Terminal));

/// The parts of a terminal's settings that a program changes.
fn settings(of: &Termios) -> [u32; 4] {
    [
        of.input_modes.bits(),
        of.output_modes.bits(),
        of.control_modes.bits(),
        of.local_modes.bits(),
    ]
}

/// The command on a terminal of so many columns and rows.
fn on_terminal(socket: &str, args: &[&str], size: (u16, u16)) -> Terminal {
    let binary = proc::find("cairn-agent").unwrap();
    let mut all = vec!["top", "--socket", socket];
    all.extend(args);
    Terminal::start(&binary, &all, size.0, size.1).unwrap()
}

/// Scenario: the live mode on a terminal: keys, another size, a new tick; then it is ended, by each way.
/// Guarantees: each is drawn; the terminal is as it was, whichever way it ends.
#[test]
fn the_live_mode_draws_what_is_pressed_and_gives_the_terminal_back() {
    let mut options = Options::one_node();
    options.interval = "1s".to_owned();
    let system = System::start(options).unwrap();
    for k in 0..3 {
        system.tick(FIRST_TICK_MS + k * 1_000).unwrap();
    }
    let socket = socket(system.nodes[0].agent.as_ref().unwrap());
    let start = |args: &[&str]| on_terminal(&socket, args, (100, 24));
    let mut terminal = start(&[]);
    let shows = |terminal: &Terminal, parts: &[&str]| terminal.shows(parts, WITHIN).unwrap();
    shows(
        &terminal,
        &["\x1b[?1049h", "pods by cpu", "q quit", POD, "\x1b[24;1H"],
    );
    let raw = settings(&terminal.settings().unwrap());
    terminal.forget();
    terminal.press(b"m").unwrap();
    shows(&terminal, &["pods by memory"]);
    terminal.press(b" ").unwrap();
    shows(&terminal, &["  disk "]);
    terminal.press(b"/burner").unwrap();
    shows(&terminal, &["/burner_"]);
    terminal.press(b"\r").unwrap();
    shows(&terminal, &["names with burner"]);

    // It draws each second, so the old size may come once more; behind the new one it does not.
    terminal.resize(60, 12).unwrap();
    shows(&terminal, &["\x1b[12;1H\x1b[J"]);
    terminal.forget();
    terminal.press(b"a").unwrap();
    shows(&terminal, &["pods by name"]);
    assert!(
        !terminal.drawn().contains("\x1b[13;1H"),
        "{:?}",
        terminal.drawn()
    );

    // The time of the tick is in the first line.
    terminal.forget();
    system.tick(FIRST_TICK_MS + 3_000).unwrap();
    shows(&terminal, &["T07:25:33Z"]);

    let ways: [Way<'_>; 4] = [
        ("q", &|terminal| terminal.press(b"q").unwrap()),
        ("Ctrl-C", &|terminal| terminal.press(b"\x03").unwrap()),
        ("SIGTERM", &|terminal| {
            terminal.signal(Signal::TERM).unwrap();
        }),
        ("SIGINT", &|terminal| terminal.signal(Signal::INT).unwrap()),
    ];
    drop(terminal);
    for (way, end) in ways {
        let mut terminal = start(&["--sort", "name"]);
        shows(&terminal, &["pods by name"]);
        assert_eq!(settings(&terminal.settings().unwrap()), raw, "{way}");
        end(&mut terminal);
        assert_eq!(terminal.ends(WITHIN).unwrap().code(), Some(0), "{way}");
        shows(&terminal, &["\x1b[?25h\x1b[?1049l"]);
        let after = settings(&terminal.settings().unwrap());
        let fresh = settings(&start(&["--once"]).settings().unwrap());
        assert_eq!(after, fresh, "{way}");
        assert_ne!(after, raw, "{way}");
    }
}

/// Scenario: colours are wanted, then not; a program's output is asked for on a terminal.
/// Guarantees: `NO_COLOR` is kept; one table ends by itself and leaves the terminal alone.
#[test]
fn a_terminal_has_colours_unless_it_must_not() {
    let system = sampled(2);
    let socket = socket(system.nodes[0].agent.as_ref().unwrap());
    let start = |args: &[&str]| on_terminal(&socket, args, (80, 24));
    let coloured = start(&[]);
    coloured.shows(&["pods by cpu", "\x1b[1m"], WITHIN).unwrap();
    let plain = start(&["--no-color", "1"]);
    plain.shows(&["pods by cpu", "\x1b[J"], WITHIN).unwrap();
    assert!(!plain.drawn().contains("\x1b[1m"), "{:?}", plain.drawn());
    let mut once = start(&["--once"]);
    assert_eq!(once.ends(WITHIN).unwrap().code(), Some(0));
    once.shows(&[POD], WITHIN).unwrap();
    assert!(!once.drawn().contains('\u{1b}'), "{:?}", once.drawn());
}
