mod reading;
mod screens;

use super::document::{Ages, Document, Entity, History, Host, Pressure, SourceState, VERSION};

/// A tick of 2026-11-27, Unix ms.
const TICK: u64 = 1_795_767_260_000;

const MI: u64 = 1 << 20;

/// A pod or container that uses so many thousandths of a core and so many mebibytes.
fn uses(kind: &str, name: &str, milli: u64, mebibytes: u64) -> Entity {
    Entity {
        kind: kind.to_owned(),
        name: name.to_owned(),
        cpu_nanocores: Some(milli * 1_000_000),
        memory_working_set_bytes: Some(mebibytes * MI),
        memory_usage_bytes: Some(mebibytes * MI * 3 / 2),
        age_ms: Ages {
            cpu: Some(4_200),
            memory: Some(12_900),
            ..Ages::default()
        },
        ..Entity::default()
    }
}

fn pod(namespace: &str, name: &str, milli: u64, mebibytes: u64) -> Entity {
    let mut pod = uses("pod", name, milli, mebibytes);
    pod.namespace = Some(namespace.to_owned());
    pod.network_rx_per_second = Some(1_024.0 * milli as f64);
    pod.network_tx_per_second = Some(512.0);
    pod
}

fn container(of: &Entity, name: &str, milli: u64, mebibytes: u64) -> Entity {
    let mut container = uses("container", name, milli, mebibytes);
    container.namespace.clone_from(&of.namespace);
    container.pod = Some(of.name.clone());
    container
}

/// A node of a few pods, one of which has names that no terminal must see, and one nothing but a name.
fn node() -> Document {
    let api = pod("kube-system", "kube-apiserver-node1", 251, 412);
    let mut server = container(&api, "kube-apiserver", 250, 410);
    server.disk_read_per_second = Some(0.0);
    server.disk_write_per_second = Some(73_400.0);
    server.throttled_ratio = Some(0.125);
    server.age_ms.disk = Some(61_000);
    let hostile = pod("default", "red\u{1b}[31m\u{202e}\u{4e2d}", 7, 1);
    let silent = Entity {
        kind: "pod".to_owned(),
        namespace: Some("default".to_owned()),
        name: "new".to_owned(),
        ..Entity::default()
    };
    let web = pod(
        "shop",
        "web-6d4b75cb6d-hqt9z-and-more-of-a-long-name",
        1_900,
        96,
    );
    let sidecar = container(&web, "proxy", 20, 90);
    let app = container(&web, "app\nNAME", 1_880, 6);
    Document {
        version: VERSION,
        node: "node1".to_owned(),
        interval_ms: 10_000,
        unix_ms: TICK + 4_200,
        tick_ms: Some(TICK),
        sources: vec![
            SourceState {
                source: "summary".to_owned(),
                state: "failing".to_owned(),
                reason: Some(
                    "kubelet answered 403: does the ClusterRole allow get nodes/stats?".to_owned(),
                ),
                ..SourceState::default()
            },
            SourceState {
                source: "procfs".to_owned(),
                state: "ok".to_owned(),
                ..SourceState::default()
            },
        ],
        host: Host {
            cpu_nanocores: Some(2_400_000_000),
            cores: Some(4),
            memory_used_bytes: Some(3_000 * MI),
            memory_total_bytes: Some(16_000 * MI),
            load: [Some(2.5), Some(1.25), None],
            pressure: Pressure {
                cpu_some: Some(12.5),
                memory_some: Some(0.0),
                memory_full: Some(0.0),
                io_some: None,
                io_full: None,
            },
            uptime_ms: Some(277_200_000),
        },
        history: History {
            tick_ms: (0..12).map(|at| TICK - 110_000 + at * 10_000).collect(),
            cpu_nanocores: (0..12)
                .map(|at| (at != 3).then_some(at * 360_000_000))
                .collect(),
            memory_used_bytes: vec![Some(3_000 * MI); 12],
        },
        entities: vec![
            uses("node", "node1", 2_390, 2_900),
            uses("system", "kubelet", 31, 80),
            uses("system", "pods", 2_200, 2_000),
            silent,
            hostile,
            api,
            server,
            web,
            app,
            sidecar,
        ],
        left_out: 0,
    }
}
