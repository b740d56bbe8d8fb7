//! Answers of cAdvisor with fewer or more of what it can tell of the same cgroups.

/// How much is told of each cgroup.
#[derive(Clone, Copy)]
pub(crate) enum Told {
    Half,
    All,
}

/// Pods, each with a container and a sandbox; on a host without a kubelet as many containers.
const PODS: u64 = 100;

/// What all tell of a container.
static OWN: [&str; 8] = [
    "cpu_cfs_periods_total",
    "cpu_cfs_throttled_periods_total",
    "memory_cache",
    "memory_mapped_file",
    "cpu_cfs_throttled_seconds_total",
    "oom_events_total",
    "file_descriptors",
    "threads",
];

/// What one without a kubelet tells besides.
static MORE: [&str; 10] = [
    "memory_usage_bytes",
    "memory_working_set_bytes",
    "memory_rss",
    "memory_swap",
    "pressure_cpu_waiting_seconds_total",
    "pressure_cpu_stalled_seconds_total",
    "pressure_memory_waiting_seconds_total",
    "pressure_memory_stalled_seconds_total",
    "pressure_io_waiting_seconds_total",
    "pressure_io_stalled_seconds_total",
];

static OF_DEVICES: [&str; 4] = [
    "fs_reads_bytes_total",
    "fs_writes_bytes_total",
    "fs_reads_total",
    "fs_writes_total",
];

static OF_INTERFACES: [&str; 4] = [
    "network_receive_packets_total",
    "network_transmit_packets_total",
    "network_receive_packets_dropped_total",
    "network_transmit_packets_dropped_total",
];

impl Told {
    fn of(self, families: &'static [&'static str]) -> &'static [&'static str] {
        match self {
            Self::Half => &families[..families.len() / 2],
            Self::All => families,
        }
    }
}

/// A kubelet's answer.
pub(crate) fn of_kubelet(told: Told) -> String {
    let mut text = String::new();
    for n in 0..PODS {
        let pod = format!("/kubepods/burstable/pod{n:08x}-ca1d-4b94-9704-26a125eae027");
        let names = format!("namespace=\"shop\",pod=\"web-{n}\"");
        let id = |which: u64| format!("{n:063x}{which}");
        let labels = |id: &str, container: &str| {
            format!("id=\"{pod}/{id}\",name=\"{id}\",container=\"{container}\",{names}")
        };
        let container = labels(&id(1), "app");
        lines(&mut text, told.of(&OWN), &container);
        let of_device = format!("device=\"/dev/vda\",{container}");
        lines(&mut text, told.of(&OF_DEVICES), &of_device);
        let of_interface = format!("interface=\"eth0\",{}", labels(&id(0), ""));
        lines(&mut text, told.of(&OF_INTERFACES), &of_interface);
    }
    text
}

/// That of a cAdvisor on a host without a kubelet.
pub(crate) fn alone(told: Told) -> String {
    let mut text = String::new();
    for n in 0..PODS {
        let container = format!("id=\"/docker/{n:064x}\",name=\"web-{n}\"");
        for families in [&OWN[..], &MORE] {
            lines(&mut text, told.of(families), &container);
        }
        let of_device = format!("device=\"/dev/vda\",{container}");
        lines(&mut text, told.of(&OF_DEVICES), &of_device);
        let of_interface = format!("interface=\"eth0\",{container}");
        lines(&mut text, told.of(&OF_INTERFACES), &of_interface);
    }
    text
}

fn lines(text: &mut String, families: &[&str], labels: &str) {
    for (n, family) in families.iter().enumerate() {
        *text += &format!("container_{family}{{{labels}}} {n} 1795332330000\n");
    }
}
