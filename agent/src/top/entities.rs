//! What the entities of the newest row use.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_proto::catalogue::{EntityKind, FieldId, table};
use cairn_proto::model::{EntityDef, EntityId};

use super::document::{Ages, Entity};
use super::host;
use super::series::Series;

/// Devices of the machine that stand on others: what goes through them is counted there too.
const STACKED: [&str; 2] = ["dm-", "md"];

/// Every field that is read.
pub(super) fn wanted() -> Vec<FieldId> {
    let mut wanted = vec![
        table::CPU,
        table::MEMORY_WORKING_SET,
        table::MEMORY_USAGE,
        table::NETWORK_RX,
        table::NETWORK_TX,
        table::CFS_PERIODS,
        table::CFS_THROTTLED_PERIODS,
        table::IO_READ_BYTES,
        table::IO_WRITE_BYTES,
        table::DISK_READ_BYTES,
        table::DISK_WRITE_BYTES,
    ];
    wanted.extend(host::wanted());
    wanted
}

/// The newest tick.
pub(super) struct Now<'a> {
    pub(super) tick_ms: u64,
    pub(super) unix_ms: u64,
    pub(super) series: &'a Series,
}

/// What there is of something, and when the oldest part of it was measured.
type Measured<T> = Option<(T, u64)>;

/// All entities but devices: the node, system containers, and each pod with its containers, by name.
pub(super) fn all(defs: &[Arc<EntityDef>], now: &Now<'_>) -> Vec<Entity> {
    let of = |id: EntityId| {
        let at = defs.binary_search_by_key(&id, |def| def.id).ok();
        at.and_then(|at| defs.get(at))
    };
    let mut devices: BTreeMap<EntityId, Vec<&EntityDef>> = BTreeMap::new();
    for def in defs
        .iter()
        .filter(|def| def.kind == EntityKind::BlockDevice)
    {
        if let Some(parent) = def.parent {
            devices.entry(parent).or_default().push(def);
        }
    }
    let told = defs
        .iter()
        .filter(|def| def.kind != EntityKind::BlockDevice);
    let mut all: Vec<(EntityId, Entity)> = told
        .map(|def| {
            let pod = def.parent.and_then(of);
            let pod = pod.filter(|_| def.kind == EntityKind::Container);
            let own = devices.get(&def.id).map_or(&[][..], Vec::as_slice);
            let owner = pod.map_or(def.id, |pod| pod.id);
            (owner, now.entity(def, pod.map(Arc::as_ref), own))
        })
        .collect();
    all.sort_by(|(of, one), (of_other, other)| place(*of, one).cmp(&place(*of_other, other)));
    all.into_iter().map(|(_, entity)| entity).collect()
}

/// Where an entity stands among all. `owner` is its pod, or it itself: a pod that goes and the one in
/// its place have one name, and each has its own containers.
fn place(owner: EntityId, entity: &Entity) -> (u8, &str, &str, EntityId, bool, &str) {
    let rank = match entity.kind.as_str() {
        "node" => 0,
        "system" => 1,
        _ => 2,
    };
    let namespace = entity.namespace.as_deref().unwrap_or_default();
    let pod = entity.pod.as_deref();
    (
        rank,
        namespace,
        pod.unwrap_or(&entity.name),
        owner,
        pod.is_some(),
        &entity.name,
    )
}

impl Now<'_> {
    fn entity(&self, def: &EntityDef, pod: Option<&EntityDef>, devices: &[&EntityDef]) -> Entity {
        let id = def.id;
        let is_node = def.kind == EntityKind::Node;
        let cpu = self.rate(id, table::CPU, |rate| rate.nanocores());
        let memory = self.value(id, table::MEMORY_WORKING_SET);
        let usage = self.value(id, table::MEMORY_USAGE);
        let mut network = [table::NETWORK_RX, table::NETWORK_TX].map(|f| self.per_second(id, f));
        if is_node && network.iter().all(Option::is_none) {
            let of_host = [table::HOST_NETWORK_RX, table::HOST_NETWORK_TX];
            network = of_host.map(|field| self.per_second(id, field));
        }
        let disk = if is_node {
            [table::DISK_READ_BYTES, table::DISK_WRITE_BYTES]
        } else {
            [table::IO_READ_BYTES, table::IO_WRITE_BYTES]
        };
        let disk = disk.map(|field| self.summed(devices, field, is_node));
        let throttled = self.throttled(id);
        let owner = pod.unwrap_or(def);
        Entity {
            kind: def.kind.as_str().to_owned(),
            namespace: Some(owner.namespace.clone()).filter(|name| !name.is_empty()),
            pod: pod.map(|pod| pod.name.clone()),
            uid: Some(owner.uid.clone()).filter(|uid| !uid.is_empty()),
            name: def.name.clone(),
            cpu_nanocores: first(cpu),
            memory_working_set_bytes: first(memory),
            memory_usage_bytes: first(usage),
            network_rx_per_second: first(network[0]),
            network_tx_per_second: first(network[1]),
            disk_read_per_second: first(disk[0]),
            disk_write_per_second: first(disk[1]),
            throttled_ratio: first(throttled),
            age_ms: Ages {
                cpu: self.age([time(cpu)]),
                memory: self.age([time(memory), time(usage)]),
                network: self.age(network.map(time)),
                disk: self.age(disk.map(time)),
                throttled: self.age([time(throttled)]),
            },
        }
    }

    fn value(&self, id: EntityId, field: FieldId) -> Measured<u64> {
        let point = self.series.value(id, field, self.tick_ms)?;
        Some((point.value, point.stamp.time_ms))
    }

    fn rate<T>(
        &self,
        id: EntityId,
        field: FieldId,
        unit: impl Fn(cairn_proto::rate::Rate) -> T,
    ) -> Measured<T> {
        let (rate, time_ms) = self.series.rate(id, field, self.tick_ms)?;
        Some((unit(rate), time_ms))
    }

    fn per_second(&self, id: EntityId, field: FieldId) -> Measured<f64> {
        self.rate(id, field, |rate| rate.per_second())
    }

    /// The rates of all devices that have one.
    fn summed(&self, devices: &[&EntityDef], field: FieldId, is_node: bool) -> Measured<f64> {
        let stacked = |name: &str| is_node && STACKED.iter().any(|kind| name.starts_with(kind));
        let own = devices.iter().filter(|device| !stacked(&device.name));
        let rates = own.filter_map(|device| self.per_second(device.id, field));
        rates.reduce(|(sum, oldest), (rate, at)| (sum + rate, oldest.min(at)))
    }

    /// The share of the periods in which the quota ran out; `None` without a period.
    #[expect(clippy::cast_precision_loss, reason = "these are below 2^53")]
    fn throttled(&self, id: EntityId) -> Measured<f64> {
        let (periods, _) = self.series.rate(id, table::CFS_PERIODS, self.tick_ms)?;
        let (throttled, time_ms) =
            self.series
                .rate(id, table::CFS_THROTTLED_PERIODS, self.tick_ms)?;
        let of_one_time = periods.over_ms == throttled.over_ms && periods.delta > 0;
        let share = throttled.delta as f64 / periods.delta as f64;
        of_one_time.then_some((share.min(1.0), time_ms))
    }

    /// Since the oldest of these, ms.
    fn age<const N: usize>(&self, times_ms: [Option<u64>; N]) -> Option<u64> {
        let oldest = times_ms.into_iter().flatten().min()?;
        Some(self.unix_ms.saturating_sub(oldest))
    }
}

fn first<T>(measured: Measured<T>) -> Option<T> {
    measured.map(|(value, _)| value)
}

fn time<T: Copy>(measured: Measured<T>) -> Option<u64> {
    measured.map(|(_, time_ms)| time_ms)
}
