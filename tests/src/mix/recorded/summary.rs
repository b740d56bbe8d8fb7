//! The body of `/stats/summary`, as far as the catalogue needs it.
//!
//! Read by paths out of a tree of JSON, so that which value is which field stands in tables. Strict:
//! a time that is none, a number that is none and a section that was measured apart from its group
//! are errors, because a recording has none of them.

use cairn_proto::catalogue::table::{self, PressureOf, Storage};
use cairn_proto::catalogue::{FieldId, Group};
use cairn_proto::model::EntityKind;
use serde_json::Value;

use super::Error;
use crate::rfc3339;

/// The sections of group memory, by which of them tells its time: the first that is there.
const MEMORY_SECTIONS: [&str; 4] = ["/memory", "/swap", "/cpu", "/io"];

const MEMORY: &[(&str, FieldId)] = &[
    ("/memory/usageBytes", table::MEMORY_USAGE),
    ("/memory/workingSetBytes", table::MEMORY_WORKING_SET),
    ("/memory/rssBytes", table::MEMORY_RSS),
    ("/memory/availableBytes", table::MEMORY_AVAILABLE),
    ("/memory/pageFaults", table::MEMORY_PAGE_FAULTS),
    ("/memory/majorPageFaults", table::MEMORY_MAJOR_PAGE_FAULTS),
    ("/swap/swapUsageBytes", table::SWAP_USAGE),
    ("/swap/swapAvailableBytes", table::SWAP_AVAILABLE),
    ("/process_stats/process_count", table::PROCESS_COUNT),
];

const CPU: &[(&str, FieldId)] = &[("/usageCoreNanoSeconds", table::CPU)];

const RLIMIT: &[(&str, FieldId)] = &[
    ("/maxpid", table::RLIMIT_MAX_PIDS),
    ("/curproc", table::RLIMIT_CURRENT_PIDS),
];

const NETWORK: &[(&str, FieldId)] = &[
    ("/rxBytes", table::NETWORK_RX),
    ("/txBytes", table::NETWORK_TX),
    ("/rxErrors", table::NETWORK_RX_ERRORS),
    ("/txErrors", table::NETWORK_TX_ERRORS),
];

const STORAGE: [(&str, Storage); 6] = [
    ("/usedBytes", Storage::Usage),
    ("/capacityBytes", Storage::Capacity),
    ("/availableBytes", Storage::Available),
    ("/inodes", Storage::Inodes),
    ("/inodesFree", Storage::InodesFree),
    ("/inodesUsed", Storage::InodesUsed),
];

const EPHEMERAL: &[(&str, FieldId)] = &[
    ("/usedBytes", table::EPHEMERAL_STORAGE_USAGE),
    ("/inodesUsed", table::EPHEMERAL_STORAGE_INODES_USED),
];

/// What was measured together.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) group: Group,
    /// Unix ms.
    pub(super) time_ms: u64,
    pub(super) values: Vec<(FieldId, u64)>,
}

/// One entity with everything below it.
#[derive(Clone, Debug)]
pub(super) struct Entity {
    pub(super) kind: EntityKind,
    pub(super) name: String,
    /// Of a pod, as is the UID.
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) labels: Vec<(String, String)>,
    /// Unix ms.
    pub(super) start_ms: Option<u64>,
    /// At most one of a group.
    pub(super) measured: Vec<Measured>,
    pub(super) parts: Vec<Entity>,
}

/// Reads a body: the node, with the system containers and pods among its parts.
pub(super) fn read(body: &[u8], tick_ms: u64) -> Result<Entity, Error> {
    let json: Value =
        serde_json::from_slice(body).map_err(|source| Error::Summary { tick_ms, source })?;
    Reader { tick_ms }.node(&json)
}

#[derive(Clone, Copy, Debug)]
struct Reader {
    tick_ms: u64,
}

impl Reader {
    fn node(self, json: &Value) -> Result<Entity, Error> {
        let stats = &json["node"];
        let mut node = self.cgroup(EntityKind::Node, stats, "/nodeName")?;
        node.measured
            .extend(self.section(stats, "/rlimit", Group::Process, RLIMIT)?);
        let disk = EPHEMERAL.get(..1).unwrap_or_default();
        node.measured
            .extend(self.section(stats, "/fs", Group::Filesystem, disk)?);
        for (path, name) in [
            ("/fs", "/"),
            ("/runtime/imageFs", "imagefs"),
            ("/runtime/containerFs", "containerfs"),
        ] {
            node.parts
                .extend(self.filesystem(stats, path, name, path == "/fs")?);
        }
        self.network(stats, &mut node)?;
        for one in items(&stats["systemContainers"]) {
            let mut system = self.cgroup(EntityKind::System, one, "/name")?;
            // The resource endpoint knows no system containers.
            system
                .measured
                .extend(self.section(one, "/cpu", Group::Cpu, CPU)?);
            node.parts.push(system);
        }
        for one in items(&json["pods"]) {
            node.parts.push(self.pod(one)?);
        }
        Ok(node)
    }

    fn pod(self, stats: &Value) -> Result<Entity, Error> {
        let mut pod = self.cgroup(EntityKind::Pod, stats, "/podRef/name")?;
        pod.namespace = self.text(stats, "/podRef/namespace")?;
        pod.uid = self.text(stats, "/podRef/uid")?;
        let group = Group::Filesystem;
        pod.measured
            .extend(self.section(stats, "/ephemeral-storage", group, EPHEMERAL)?);
        self.network(stats, &mut pod)?;
        for one in items(&stats["volume"]) {
            let name = self.text(one, "/name")?;
            let mut labels = vec![("resource_id".to_owned(), format!("Volume:{name}"))];
            if one.get("pvcRef").is_some() {
                for key in ["name", "namespace"] {
                    let value = self.text(one, &format!("/pvcRef/{key}"))?;
                    labels.push((format!("pvc_{key}"), value));
                }
            }
            labels.sort();
            let measured = self.section(
                one,
                "",
                Group::Volume,
                &STORAGE.map(|(path, what)| (path, table::volume(what))),
            )?;
            let kind = EntityKind::Volume;
            pod.parts.push(Entity {
                labels,
                ..part(kind, name, measured.into_iter().collect())
            });
        }
        for one in items(&stats["containers"]) {
            pod.parts.push(self.container(one)?);
        }
        Ok(pod)
    }

    fn container(self, stats: &Value) -> Result<Entity, Error> {
        let mut container = self.cgroup(EntityKind::Container, stats, "/name")?;
        if let Some(odd) = stats.get("accelerators") {
            return Err(self.odd(odd, "no accelerator"));
        }
        for (path, name) in [("/rootfs", "/"), ("/logs", "logs")] {
            container
                .parts
                .extend(self.filesystem(stats, path, name, true)?);
        }
        let of = |path| self.section(stats, path, Group::Filesystem, EPHEMERAL);
        if let (Some(rootfs), Some(logs)) = (of("/rootfs")?, of("/logs")?) {
            let used = |one: &Measured| one.values.first().map(|(_, value)| *value);
            if let (Some(root_bytes), Some(log_bytes)) = (used(&rootfs), used(&logs)) {
                container.measured.push(Measured {
                    time_ms: rootfs.time_ms.min(logs.time_ms),
                    values: vec![(table::EPHEMERAL_STORAGE_USAGE, root_bytes + log_bytes)],
                    ..rootfs
                });
            }
        }
        Ok(container)
    }

    /// What has a cgroup of its own, with group memory.
    fn cgroup(self, kind: EntityKind, stats: &Value, name: &str) -> Result<Entity, Error> {
        let mut entity = part(kind, self.text(stats, name)?, Vec::new());
        entity.start_ms = stats
            .get("startTime")
            .map(|time| self.time(time))
            .transpose()?;
        let mut times = Vec::new();
        for path in MEMORY_SECTIONS {
            let Some(section) = stats.pointer(path) else {
                continue;
            };
            let time_ms = self.time(&section["time"])?;
            if times.first().is_some_and(|first| *first != time_ms) {
                return Err(self.odd(&section["time"], "the time of the group's other sections"));
            }
            times.push(time_ms);
        }
        let mut values = self.values(stats, MEMORY)?;
        for of in PressureOf::ALL {
            for (full, word) in [(false, "some"), (true, "full")] {
                let path = format!("/{}/psi/{word}", of.as_str());
                let Some(psi) = stats.pointer(&path) else {
                    continue;
                };
                values.extend(self.values(psi, &[("/total", table::pressure_total(of, full))])?);
                if kind == EntityKind::Node {
                    for (at, key) in ["avg10", "avg60", "avg300"].into_iter().enumerate() {
                        let percent = psi[key].as_f64();
                        let percent = percent.ok_or_else(|| self.odd(&psi[key], "a percentage"))?;
                        let field = table::pressure_average(of, full, at);
                        values.push((field, hundredths(percent)));
                    }
                }
            }
        }
        if let (Some(time_ms), false) = (times.first(), values.is_empty()) {
            entity.measured.push(Measured {
                group: Group::Memory,
                time_ms: *time_ms,
                values,
            });
        }
        Ok(entity)
    }

    /// The default interface's figures, and every interface as a part.
    fn network(self, stats: &Value, of: &mut Entity) -> Result<(), Error> {
        let own = self.section(stats, "/network", Group::Network, NETWORK)?;
        of.measured.extend(own);
        for one in items(&stats["network"]["interfaces"]) {
            let measured = Measured {
                group: Group::Network,
                time_ms: self.time(&stats["network"]["time"])?,
                values: self.values(one, NETWORK)?,
            };
            let (kind, name) = (EntityKind::Interface, self.text(one, "/name")?);
            of.parts.push(part(kind, name, vec![measured]));
        }
        Ok(())
    }

    fn filesystem(
        self,
        stats: &Value,
        path: &str,
        name: &str,
        labelled: bool,
    ) -> Result<Option<Entity>, Error> {
        if stats.pointer(path).is_none() {
            return Ok(None);
        }
        let measured = self.section(
            stats,
            path,
            Group::Filesystem,
            &STORAGE.map(|(path, what)| (path, table::filesystem(what))),
        )?;
        let measured = measured.into_iter().collect();
        let label = labelled.then(|| ("resource_id".to_owned(), name.to_owned()));
        Ok(Some(Entity {
            labels: label.into_iter().collect(),
            ..part(EntityKind::Filesystem, name.to_owned(), measured)
        }))
    }

    /// A section at its own time; `None` when it is not there or has none of the values.
    fn section(
        self,
        stats: &Value,
        path: &str,
        group: Group,
        fields: &[(&str, FieldId)],
    ) -> Result<Option<Measured>, Error> {
        let Some(section) = stats.pointer(path) else {
            return Ok(None);
        };
        let values = self.values(section, fields)?;
        if values.is_empty() {
            return Ok(None);
        }
        let time_ms = self.time(&section["time"])?;
        Ok(Some(Measured {
            group,
            time_ms,
            values,
        }))
    }

    fn values(
        self,
        section: &Value,
        fields: &[(&str, FieldId)],
    ) -> Result<Vec<(FieldId, u64)>, Error> {
        let mut values = Vec::new();
        for (path, field) in fields {
            if let Some(value) = section.pointer(path) {
                let number = value.as_u64();
                let number = number.ok_or_else(|| self.odd(value, "a whole number"))?;
                values.push((*field, number));
            }
        }
        Ok(values)
    }

    fn text(self, stats: &Value, path: &str) -> Result<String, Error> {
        let found = stats.pointer(path).and_then(Value::as_str);
        let found = found.ok_or_else(|| self.odd(stats, "an object with its names"))?;
        Ok(found.to_owned())
    }

    fn time(self, value: &Value) -> Result<u64, Error> {
        let time_ms = value.as_str().and_then(rfc3339::parse);
        time_ms.ok_or_else(|| self.odd(value, "a time"))
    }

    fn odd(self, value: &Value, expected: &'static str) -> Error {
        Error::Text {
            tick_ms: self.tick_ms,
            text: value.to_string(),
            expected,
        }
    }
}

fn part(kind: EntityKind, name: String, measured: Vec<Measured>) -> Entity {
    Entity {
        kind,
        name,
        namespace: String::new(),
        uid: String::new(),
        labels: Vec::new(),
        start_ms: None,
        measured,
        parts: Vec::new(),
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A percentage in hundredths of a percent, rounded to the nearest.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "percentages are small and not negative, and a cast of another number saturates"
)]
fn hundredths(percent: f64) -> u64 {
    (percent * 100.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::hundredths;

    #[test]
    fn percentages_are_rounded_to_the_nearest_hundredth() {
        for (percent, expected) in [(0.0, 0), (0.29, 29), (50.87, 5087), (1.1, 110)] {
            assert_eq!(hundredths(percent), expected);
        }
    }
}
