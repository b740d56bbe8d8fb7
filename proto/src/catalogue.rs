//! The table of every metric.
//!
//! One row a metric: number, unit, counter or gauge, which entities carry it, its names in the
//! Heapster and Prometheus worlds, who measures it and how it sums. Codec, rates, every API and
//! `docs/metrics.md` are driven by this table: adding a metric is adding a row and a source.

mod doc;
mod kind;
pub mod table;

pub use doc::markdown;
pub use kind::EntityKind;
pub use table::{FIELDS, field};

/// Version of the table; grows when rows are added. Rows never change their meaning.
pub const VERSION: u32 = 4;

/// The lowest field number; the numbers below are the stamps' columns.
pub const FIRST_FIELD: u16 = 64;

/// Number of a field; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldId(pub u16);

/// Values that are measured together and so share one measurement time.
///
/// CPU and memory are apart because their sources differ in what they say: a node that is read
/// through the kubelet alone takes CPU from `/metrics/resource` with milliseconds and memory from
/// `/stats/summary` with whole seconds, and one time for both would be false for one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum Group {
    /// CPU time.
    Cpu = 0,
    /// Memory, swap, pressure and processes: what a kubelet reads of a cgroup in one pass.
    Memory = 1,
    /// Network.
    Network = 2,
    /// File systems.
    Filesystem = 3,
    /// Volumes.
    Volume = 4,
    /// The host's own figures from /proc.
    Host = 5,
    /// Process limits of the node.
    Process = 6,
    /// What is dear to read and so read seldom: throttling, block I/O, parts of memory.
    Detail = 7,
}

impl Group {
    /// Every group.
    pub const ALL: [Group; 8] = [
        Group::Cpu,
        Group::Memory,
        Group::Network,
        Group::Filesystem,
        Group::Volume,
        Group::Host,
        Group::Process,
        Group::Detail,
    ];

    /// How old a measurement may be before its values are absent, ms.
    ///
    /// Three of the kubelet's slowest container cycles (30 s); file systems and volumes are
    /// recomputed every one to two minutes and were seen 165 s old when read. Details are read once
    /// a minute: three times that.
    #[must_use]
    pub const fn max_age_ms(self) -> u64 {
        match self {
            Group::Cpu | Group::Memory | Group::Network | Group::Host | Group::Process => 90_000,
            Group::Filesystem | Group::Detail => 180_000,
            Group::Volume => 300_000,
        }
    }

    /// The word for it in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Group::Cpu => "cpu",
            Group::Memory => "memory",
            Group::Network => "network",
            Group::Filesystem => "filesystem",
            Group::Volume => "volume",
            Group::Host => "host",
            Group::Process => "process",
            Group::Detail => "detail",
        }
    }
}

/// Where a scrape reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Source {
    /// The kubelet's `/stats/summary`.
    Summary = 1,
    /// The kubelet's `/metrics/resource`.
    Resource = 2,
    /// The node's `/proc`.
    Procfs = 3,
    /// Control group files.
    Cgroup = 4,
    /// The kubelet's `/metrics/cadvisor`, or the `/metrics` of a cAdvisor of its own.
    Cadvisor = 5,
}

impl Source {
    /// Every source, in wire order.
    pub const ALL: [Source; 5] = [
        Source::Summary,
        Source::Resource,
        Source::Procfs,
        Source::Cgroup,
        Source::Cadvisor,
    ];

    /// The source with this number on the wire; `None` for one that this version does not know.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        let nth = usize::try_from(number).ok()?.checked_sub(1)?;
        Self::ALL.get(nth).copied()
    }

    /// The word for it in logs, metrics and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Summary => "summary",
            Source::Resource => "resource",
            Source::Procfs => "procfs",
            Source::Cgroup => "cgroup",
            Source::Cadvisor => "cadvisor",
        }
    }

    /// True when both read the same kernel counter, so that a series goes on when one takes over
    /// from the other. `/proc` counts the whole machine and never continues a cgroup's series.
    #[must_use]
    pub fn same_counter(self, other: Source) -> bool {
        self == other || (self != Source::Procfs && other != Source::Procfs)
    }
}

/// What a number means over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until it is reset with the thing that it counts.
    Counter,
    /// Is what it is.
    Gauge,
}

/// Unit of a raw value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds of CPU time.
    CpuNanos,
    /// Bytes.
    Bytes,
    /// Pieces: errors, faults, operations.
    Count,
    /// Thousandths of a load average.
    MilliLoad,
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Percent.
    Percent,
    /// Hundredths of a percent.
    CentiPercent,
    /// Thousandths of a core.
    Millicores,
    /// Millionths of a whole.
    Millionths,
}

impl Unit {
    /// The word for it in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::CpuNanos => "ns of CPU",
            Unit::Bytes => "bytes",
            Unit::Count => "count",
            Unit::MilliLoad => "1/1000",
            Unit::Micros => "us",
            Unit::Millis => "ms",
            Unit::Percent => "%",
            Unit::CentiPercent => "1/100 %",
            Unit::Millicores => "millicores",
            Unit::Millionths => "1/1000000",
        }
    }
}

/// Where the values of a field come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Agents measure it; it travels, and has a history.
    Measured,
    /// The Kubernetes API says it. It never travels and has no history: at each tick at which its
    /// entity has a row, it is what is known now; absent where that is nothing.
    Cluster,
    /// What is measured as a part of what the Kubernetes API says now; rounded down.
    Utilization {
        /// What is used: of a counter its rate.
        usage: FieldId,
        /// What there is to be used. Where it is 0 there is no value.
        allocatable: FieldId,
    },
    /// 1 at each tick at which its entity has a row.
    Presence,
}

/// How a counter's rate is named and counted in the Heapster API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateUnit {
    /// Whole thousandths of a core.
    Millicores,
    /// Units per second, with a fraction.
    PerSecond,
}

/// How values of several entities become one value of what holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// Never summed.
    None,
    /// A namespace is the sum of its pods, the cluster the sum of its namespaces: what the
    /// system itself uses is not in it.
    Pods,
}

/// One row of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Number on the wire.
    pub id: FieldId,
    /// Name in Cairn's own APIs.
    pub name: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
    /// Unit of the raw value.
    pub unit: Unit,
    /// With what it is measured.
    pub group: Group,
    /// Which entities carry it.
    pub entities: &'static [EntityKind],
    /// Who measures it, best first; nobody, where it is not measured.
    pub sources: &'static [Source],
    /// Where its values come from.
    pub origin: Origin,
    /// Name of the value in the Heapster API.
    pub heapster: Option<&'static str>,
    /// Name and unit of the rate in the Heapster API.
    pub heapster_rate: Option<(&'static str, RateUnit)>,
    /// Name of the value in the Prometheus exposition.
    pub prometheus: &'static str,
    /// How the value (of a gauge) or its rate (of a counter) sums.
    pub sum: Sum,
    /// What it says, for people.
    pub help: &'static str,
}

/// Name of the time since the start of a life in Cairn's own APIs.
pub const UPTIME: &str = "uptime_ms";

/// Name of the time since the start of a life in the Heapster API.
pub const HEAPSTER_UPTIME: &str = "uptime";

/// What has an uptime.
pub const UPTIME_ENTITIES: &[EntityKind] = table::CGROUPS;

/// A name of the Heapster API, found in the table.
#[derive(Clone, Copy, Debug)]
pub enum HeapsterMetric {
    /// The value as measured.
    Value(&'static Field),
    /// The rate of a counter.
    Rate(&'static Field, RateUnit),
    /// Time since the start of a life. No value of the table: a stamp carries the start.
    Uptime,
}

impl HeapsterMetric {
    /// Finds a metric by its Heapster name; the five names of the oldest clients are understood.
    /// Metrics that are told apart by labels are not among them.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        let name = Self::current_name(name);
        if name == HEAPSTER_UPTIME {
            return Some(HeapsterMetric::Uptime);
        }
        let plain = |field: &&Field| !field.is_labeled();
        FIELDS
            .iter()
            .filter(plain)
            .find_map(|field| match field.heapster_rate {
                Some((rate, unit)) if rate == name => Some(HeapsterMetric::Rate(field, unit)),
                _ if field.heapster == Some(name) => Some(HeapsterMetric::Value(field)),
                _ => None,
            })
    }

    /// What a metric is called today: another name than the given one for the five names of the
    /// oldest clients.
    #[must_use]
    pub fn current_name(name: &str) -> &str {
        match name {
            "cpu-usage" => "cpu/usage_rate",
            "cpu-limit" => "cpu/limit",
            "memory-limit" => "memory/limit",
            "memory-usage" => "memory/usage",
            "memory-working" => "memory/working_set",
            other => other,
        }
    }

    /// Finds a metric of parts of this kind by its Heapster name.
    #[must_use]
    pub fn find_labeled(name: &str, kind: EntityKind) -> Option<Self> {
        FIELDS
            .iter()
            .filter(|field| field.is_labeled() && field.entities.contains(&kind))
            .find(|field| field.heapster == Some(name))
            .map(HeapsterMetric::Value)
    }

    /// The row of the catalogue; `None` for the uptime.
    #[must_use]
    pub fn field(&self) -> Option<&'static Field> {
        match self {
            HeapsterMetric::Value(field) | HeapsterMetric::Rate(field, _) => Some(field),
            HeapsterMetric::Uptime => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn sources_are_numbered_in_their_order_from_one() {
        for (number, source) in (1..).zip(Source::ALL) {
            assert_eq!(source as u64, number);
            assert_eq!(Source::from_number(number), Some(source));
        }
        for unknown in [0, 6, u64::MAX] {
            assert_eq!(Source::from_number(unknown), None);
        }
    }
}
