//! An autoscaler that acts on what this aggregator says changes the number of replicas no more often than one that
//! acts on what metrics-server would say of the same kubelets.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

#[path = "autoscaling/bursts.rs"]
mod bursts;

use std::collections::BTreeMap;

use serde_json::Value;
use testkit::front_proxy::{Core, FrontProxy, Identity};
use testkit::hpa::{Autoscaler, Metric, Pod, SYNC_MS};
use testkit::http1::Target;
use testkit::metrics_server::Storage;
use testkit::rfc3339;
use testkit::system::{Options, Recording, SERVICE_HOST, System};
use testkit::trace::Trace;
use testkit::usage::{Recorded, app};

const PODS: &str = "/apis/metrics.k8s.io/v1beta1/pods";

/// A pod is ready so long after its start, ms.
const READY_AFTER_MS: u64 = 2_000;

/// What an autoscaler is told of the pods of one workload.
type Metrics = BTreeMap<String, Metric>;

/// What is said of all pods at one moment, by namespace and name.
type Said = BTreeMap<(String, String), Metric>;

/// Both servers' answers, and the pods, at each moment at which an autoscaler looks.
struct Moment {
    now_ms: u64,
    began: BTreeMap<(String, String), u64>,
    here: Said,
    there: Said,
}

/// Scenario: the recorded cluster, in which pods come and go, one worker burns CPU and another writes.
#[test]
fn the_recorded_cluster_is_scaled_no_more_often() {
    let moments = moments(&Recording::carried(), &Trace::carried().unwrap());
    let mut sum = (0, 0);
    for (workload, requests) in [("web", [1, 2, 3, 4]), ("burner", [10, 20, 30, 40])] {
        for request in requests {
            sum = add(sum, events(&moments, workload, request));
        }
    }
    println!(
        "recorded cluster: {} scale events here, {} on metrics-server",
        sum.0, sum.1
    );
    // Who says nothing scales nothing.
    assert!(sum.0 > 0 && sum.1 > 0, "{sum:?}");
    assert!(sum.0 <= sum.1, "{sum:?}");
}

/// Scenario: pods that use a whole core for a second now and then, so that any short span says something else.
#[test]
fn bursts_of_a_second_scale_no_more_often() {
    let dir = tempfile::tempdir().unwrap();
    let mut sum = (0, 0);
    for seed in 1..=2 {
        let archive = dir.path().join(format!("bursts-{seed}.tar.gz"));
        bursts::write(&archive, seed);
        let (recording, trace) = (
            Recording::load(&archive).unwrap(),
            Trace::load(&archive).unwrap(),
        );
        let moments = moments(&recording, &trace);
        for request in [300, 350, 400, 450, 500, 600] {
            sum = add(sum, events(&moments, "web", request));
        }
    }
    println!(
        "bursts: {} scale events here, {} on metrics-server",
        sum.0, sum.1
    );
    assert!(sum.0 > 0 && sum.1 > 0, "{sum:?}");
    assert!(sum.0 <= sum.1, "{sum:?}");
}

fn add(a: (u64, u64), b: (u64, u64)) -> (u64, u64) {
    (a.0 + b.0, a.1 + b.1)
}

/// Plays a recording to real agents and a real aggregator, and its scrapes to the rules of metrics-server.
fn moments(recording: &Recording, trace: &Trace) -> Vec<Moment> {
    let ticks: Vec<u64> = recording.ticks().collect();
    let (first_ms, last_ms) = (ticks[0], *ticks.last().unwrap());
    let syncs: Vec<u64> = (first_ms..=last_ms)
        .step_by(usize::try_from(SYNC_MS).unwrap())
        .collect();
    let said = Recorded::at(trace, &syncs).unwrap();
    let cairn = of_cairn(recording, &ticks);
    let mut storage = Storage::new(SYNC_MS);
    let mut moments = Vec::new();
    for now_ms in syncs {
        storage.store(said.scrape(now_ms));
        let there = storage.pods().into_iter().filter_map(|(pod, containers)| {
            let first = containers.values().next()?;
            let metric = Metric {
                millicores: containers
                    .values()
                    .map(|one| one.cpu_nanocores.div_ceil(1_000_000))
                    .sum(),
                time_ms: first.time_ms,
                window_ms: first.window_ms,
            };
            Some((pod, metric))
        });
        let (_, here) = cairn.range(..=now_ms).next_back().unwrap();
        moments.push(Moment {
            now_ms,
            began: said.began(now_ms),
            here: here.clone(),
            there: there.collect(),
        });
    }
    moments
}

/// What the aggregator says after each tick.
fn of_cairn(recording: &Recording, ticks: &[u64]) -> BTreeMap<u64, Said> {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity::new(dir.path()).unwrap();
    let options = Options {
        extra_aggregator_args: identity.aggregator_args(),
        ..Options::replaying(recording.clone())
    };
    let system = System::start(options).unwrap();
    let (addr, ca) = (
        system.aggregator().unwrap().addr("https").unwrap(),
        system.path("ingest-ca.pem"),
    );
    let core = Core::recorded().unwrap();
    let proxy = FrontProxy::start(&identity, addr, (SERVICE_HOST, &*ca), core).unwrap();
    let target = Target::tls(proxy.addr, "127.0.0.1", &identity.server_ca.cert_pem).unwrap();
    let target = target.bearer("token-of-admin");
    let mut said = BTreeMap::new();
    for tick_ms in ticks {
        system.tick(*tick_ms).unwrap();
        let answer = target.get(PODS).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let list: Value = serde_json::from_slice(&answer.body).unwrap();
        let items = list["items"].as_array().unwrap().iter();
        said.insert(*tick_ms, items.map(read).collect());
    }
    said
}

/// What a `PodMetrics` says.
fn read(item: &Value) -> ((String, String), Metric) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let containers = item["containers"].as_array().unwrap().iter();
    let metric = Metric {
        millicores: containers
            .map(|one| nanocores(one["usage"]["cpu"].as_str().unwrap()).div_ceil(1_000_000))
            .sum(),
        time_ms: rfc3339::parse(item["timestamp"].as_str().unwrap()).unwrap(),
        window_ms: milliseconds(item["window"].as_str().unwrap()),
    };
    let metadata = &item["metadata"];
    (
        (text(&metadata["namespace"]), text(&metadata["name"])),
        metric,
    )
}

fn nanocores(text: &str) -> u64 {
    let at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(at);
    let factor = match suffix {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "" => 1_000_000_000,
        other => panic!("{other:?} in {text}"),
    };
    number.parse::<u64>().unwrap() * factor
}

/// Of a span as Go writes it, below an hour.
fn milliseconds(text: &str) -> u64 {
    let (minutes, seconds) = text.split_once('m').unwrap_or(("0", text));
    let (whole, fraction) = seconds
        .trim_end_matches('s')
        .split_once('.')
        .unwrap_or((seconds.trim_end_matches('s'), "0"));
    let number = |text: &str| text.parse::<u64>().unwrap();
    number(minutes) * 60_000 + number(whole) * 1_000 + number(&format!("{fraction:0<3}"))
}

/// How often a workload is scaled, each pod of which asks for so many millicores and shall use half of them: on what
/// is said here, and on what metrics-server would say.
fn events(moments: &[Moment], workload: &str, request: u64) -> (u64, u64) {
    let pods_at = |moment: &Moment| {
        let began = moment.began.iter();
        let of_workload = began.filter(|((_, name), _)| app(name) == workload);
        let pods = of_workload.map(|((_, name), start_ms)| {
            let since_ms = start_ms + READY_AFTER_MS;
            let pod = Pod {
                start_ms: *start_ms,
                is_ready: moment.now_ms >= since_ms,
                since_ms,
            };
            (name.clone(), pod)
        });
        pods.collect::<BTreeMap<String, Pod>>()
    };
    let of = |said: &Said| {
        let said = said.iter();
        let of_workload = said.filter(|((_, name), _)| app(name) == workload);
        let metrics = of_workload.map(|((_, name), metric)| (name.clone(), *metric));
        metrics.collect::<Metrics>()
    };
    let replicas = u64::try_from(pods_at(&moments[0]).len()).unwrap();
    let mut here = Autoscaler::new(replicas, request, 50);
    let mut there = here.clone();
    for moment in moments {
        let pods = pods_at(moment);
        here.sync(moment.now_ms, &pods, &of(&moment.here));
        there.sync(moment.now_ms, &pods, &of(&moment.there));
    }
    (here.events(), there.events())
}
