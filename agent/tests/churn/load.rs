//! A small node on which everything comes and goes, a pure function of the tick's number.

use cairn_agent::sources::procfs::Host;
use cairn_agent::sources::resource::{self, Resource};
use cairn_agent::sources::summary::{Pod, Stats, Summary};
use cairn_agent::sources::{Figures, Part};
use cairn_proto::catalogue::table::{self, Storage};
use cairn_proto::catalogue::{EntityKind, FieldId, Group};

/// Distance of the ticks.
pub(crate) const INTERVAL_MS: u64 = 10_000;

/// Ticks that the pods of each place live; shorter than a window and longer.
const LIVES: [u64; 6] = [3, 7, 13, 40, 101, 997];

/// One pod of the moment.
pub(crate) struct Life {
    pub(crate) place: u64,
    pub(crate) number: u64,
    age: u64,
}

impl Life {
    /// Every other place gives its pods a new name each, the others the same again.
    pub(crate) fn name(&self) -> String {
        if self.place.is_multiple_of(2) {
            format!("web-{}-{}", self.place, self.number)
        } else {
            format!("db-{}", self.place)
        }
    }

    pub(crate) fn namespace(&self, n: u64) -> String {
        format!("shop-{}", n.saturating_sub(self.age) / 500)
    }

    pub(crate) fn uid(&self) -> String {
        let Self { place, number, .. } = self;
        format!("{place:08x}-ca1d-4b94-9704-{number:012x}")
    }

    /// How often the container was started anew.
    pub(crate) fn restart(&self) -> u64 {
        self.age / 5
    }

    /// The name of the debug container, while there is one.
    pub(crate) fn debug(n: u64) -> Option<String> {
        (n % 4 < 2).then(|| format!("debug-{}", n / 4))
    }

    /// The container restarts under its name every five ticks.
    fn start_ms(&self, tick: u64) -> u64 {
        tick - self.age % 5 * INTERVAL_MS
    }
}

/// Three to six pods.
pub(crate) fn lives(n: u64) -> impl Iterator<Item = Life> {
    let count = 3 + n / 50 % 4;
    (0..).zip(LIVES).filter_map(move |(place, life)| {
        let moved = n + place * 5;
        (place < count).then_some(Life {
            place,
            number: moved / life,
            age: moved % life,
        })
    })
}

/// What the kubelet's summary says.
pub(crate) fn summary(n: u64, tick: u64) -> Summary {
    let node = stats("", tick - n * INTERVAL_MS, tick, n);
    let system = ["kubelet".to_owned(), format!("system-{}", n / 20)];
    Summary {
        node_name: "node1".to_owned(),
        node: Stats {
            parts: vec![interface(format!("veth{}", n / 3), tick, n)],
            ..node
        },
        system: system.map(|name| stats(&name, tick, tick, n)).to_vec(),
        pods: lives(n).map(|life| pod(&life, n, tick)).collect(),
        odd_count: 0,
        dropped_count: 0,
    }
}

fn pod(life: &Life, n: u64, tick: u64) -> Pod {
    let mut own = stats("", tick - life.age * INTERVAL_MS, tick, n);
    // The interface is another one after a while, so is the volume; what is claimed changes while
    // the volume keeps its name.
    own.parts = vec![
        interface(format!("eth{}", n / 8), tick, n),
        volume(&format!("data-{}", n / 6), "data", tick, n),
        volume("cache", &format!("claim-{}", n / 12), tick, n),
    ];
    let mut app = stats("app", life.start_ms(tick), tick, n);
    app.parts = vec![storage(EntityKind::Filesystem, "rootfs", tick, n)];
    let mut containers = vec![app];
    let debug = Life::debug(n).map(|name| stats(&name, tick, tick, n));
    containers.extend(debug);
    Pod {
        name: life.name(),
        namespace: life.namespace(n),
        uid: life.uid(),
        stats: own,
        containers,
    }
}

fn stats(name: &str, start_ms: u64, tick: u64, n: u64) -> Stats {
    let mut figures = Figures::default();
    for group in [Group::Cpu, Group::Memory, Group::Network] {
        figures.measured(group, tick - 700);
    }
    for field in [table::CPU, table::MEMORY_USAGE, table::MEMORY_WORKING_SET] {
        figures.push(field, Some(n * 4_096));
    }
    Stats {
        name: name.to_owned(),
        start_ms: Some(start_ms),
        figures,
        parts: Vec::new(),
    }
}

fn interface(name: String, tick: u64, n: u64) -> Part {
    part(
        EntityKind::Interface,
        name,
        (Group::Network, table::INTERFACE_RX_BYTES),
        (tick, n),
    )
}

fn volume(name: &str, claim: &str, tick: u64, n: u64) -> Part {
    Part {
        labels: vec![("claim".to_owned(), claim.to_owned())],
        ..storage(EntityKind::Volume, name, tick, n)
    }
}

fn storage(kind: EntityKind, name: &str, tick: u64, n: u64) -> Part {
    let (group, field) = match kind {
        EntityKind::Volume => (Group::Volume, table::volume(Storage::Usage)),
        _ => (Group::Filesystem, table::filesystem(Storage::Usage)),
    };
    part(kind, name.to_owned(), (group, field), (tick, n))
}

fn part(kind: EntityKind, name: String, what: (Group, FieldId), (tick, n): (u64, u64)) -> Part {
    let mut figures = Figures::default();
    figures.measured(what.0, tick - 700);
    figures.push(what.1, Some(n * 512));
    Part {
        kind,
        name,
        labels: Vec::new(),
        figures,
    }
}

/// What the kubelet's resource endpoint says.
pub(crate) fn resource(n: u64, tick: u64) -> Resource {
    let (mut body, time_ms) = (String::new(), tick - 300);
    let mut usage = |of: &str, labels: &str| {
        let (nanos, bytes) = (n * 4_097, n * 4_096);
        body += &format!("{of}_cpu_usage_seconds_total{labels} {nanos}e-9 {time_ms}\n");
        body += &format!("{of}_memory_working_set_bytes{labels} {bytes} {time_ms}\n");
    };
    usage("node", "");
    let mut starts = String::new();
    for life in lives(n) {
        let (namespace, pod) = (life.namespace(n), life.name());
        let of_pod = format!("namespace=\"{namespace}\",pod=\"{pod}\"");
        let of_app = format!("{{container=\"app\",{of_pod}}}");
        usage("pod", &format!("{{{of_pod}}}"));
        usage("container", &of_app);
        let start_ms = life.start_ms(tick);
        starts += &format!("container_start_time_seconds{of_app} {start_ms}e-3\n");
    }
    resource::parse((body + &starts).as_bytes()).unwrap()
}

/// What /proc says: each interface of a pod is one of the host's too.
pub(crate) fn host(n: u64, tick: u64) -> Host {
    let mut figures = Figures::default();
    figures.measured(Group::Host, tick);
    figures.push(table::HOST_LOAD1, Some(n));
    let parts = (0..3).map(|at| interface(format!("cali{at}-{}", n / 5), tick, n));
    Host {
        figures,
        parts: parts.collect(),
        ..Host::default()
    }
}
