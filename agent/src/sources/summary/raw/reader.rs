//! From the objects as they are written to values with their times.

use std::borrow::Cow;

use cairn_proto::catalogue::table::{self, PressureOf};
use cairn_proto::catalogue::{FieldId, Group};

use super::again::{Psi, Share};
use super::field::Field;
use super::lists::Containers;
use super::shape::{
    Container, Node, RawCgroup, RawCpu, RawIo, RawMemory, RawPod, RawRlimit, RawSwap, Text,
};
use super::spare::Spare;
use super::time::Time;
use crate::sources::Figures;
use crate::sources::summary::{Pod, Stats, Summary};

/// What was not taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Not understood.
    pub(super) odd: u64,
    /// Not read.
    pub(super) dropped: u64,
}

impl Counts {
    /// These, and one thing that was not understood, whatever was in it.
    pub(super) fn and_one_odd(self) -> Self {
        Self {
            odd: self.odd + 1,
            ..self
        }
    }
}

/// Turns raw parts into inner ones and counts what was not understood.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) counts: Counts,
    /// The room that it is made in.
    pub(super) spare: Spare,
}

/// Values of a container, and of a pod, which has a network and volumes too.
const CONTAINER_VALUES: usize = 16;
const POD_VALUES: usize = 24;

/// The sections of a cgroup that are read in one pass, and so have one time.
struct Pass {
    time_ms: Option<u64>,
    figures: Figures,
}

impl Reader {
    pub(super) fn pod(&mut self, raw: RawPod<'_>) -> Option<Pod> {
        let pod_ref = raw.pod_ref.known()?;
        let named = |text| known_name(text);
        let (name, namespace) = (named(pod_ref.name)?, named(pod_ref.namespace)?);
        let uid = named(pod_ref.uid)?;
        let cgroup = RawCgroup {
            start_time: raw.start_time,
            cpu: raw.cpu,
            memory: raw.memory,
            io: raw.io,
            swap: raw.swap,
            averages: false,
        };
        let mut stats = self.cgroup("", cgroup);
        if let Some(processes) = self.value(raw.process_stats) {
            let count = self.value(processes.process_count);
            stats.figures.push(table::PROCESS_COUNT, count);
        }
        self.network(&mut stats, raw.network);
        self.pod_storage(&mut stats, raw.ephemeral_storage, raw.volume);
        let containers = self.containers(raw.containers);
        let mut pod = self.spare.pod([&namespace, &name, &uid]);
        (pod.stats, pod.containers) = (stats, containers);
        Some(pod)
    }

    /// The node without its pods.
    pub(super) fn node(&mut self, raw: Node<'_>) -> Summary {
        let cgroup = RawCgroup {
            start_time: raw.start_time,
            cpu: raw.cpu,
            memory: raw.memory,
            io: raw.io,
            swap: raw.swap,
            averages: true,
        };
        let mut node = self.cgroup("", cgroup);
        self.network(&mut node, raw.network);
        self.node_storage(&mut node, raw.fs, raw.runtime);
        self.rlimit(&mut node, raw.rlimit);
        let node_name = self.value(raw.node_name).unwrap_or_default();
        Summary {
            node_name: node_name.into_owned(),
            node,
            system: self.containers(raw.system_containers),
            ..Summary::default()
        }
    }

    fn containers(&mut self, raw: Field<Containers>) -> Vec<Stats> {
        self.value(raw).map(|raw| raw.0).unwrap_or_default()
    }

    pub(super) fn container(&mut self, raw: Container<'_>) -> Option<Stats> {
        let name = known_name(raw.name)?;
        let cgroup = RawCgroup {
            start_time: raw.start_time,
            cpu: raw.cpu,
            memory: raw.memory,
            io: raw.io,
            swap: raw.swap,
            averages: false,
        };
        let mut stats = self.cgroup(&name, cgroup);
        self.container_storage(&mut stats, raw.rootfs, raw.logs);
        self.accelerators(&mut stats, raw.accelerators);
        Some(stats)
    }

    /// CPU time, and what is read in the same pass: memory, swap and pressure.
    pub(super) fn cgroup(&mut self, name: &str, raw: RawCgroup) -> Stats {
        let mut stats = self.spare.stats(name);
        stats.start_ms = self.time(raw.start_time);
        let mut pass = Pass {
            time_ms: None,
            figures: std::mem::take(&mut stats.figures),
        };
        pass.figures.reserve(if name.is_empty() {
            POD_VALUES
        } else {
            CONTAINER_VALUES
        });
        self.memory(&mut pass, raw.memory, raw.averages);
        self.swap(&mut pass, raw.swap);
        let cpu = self.cpu(&mut pass, raw.cpu, raw.averages);
        self.io(&mut pass, raw.io, raw.averages);
        let mut figures = pass.figures;
        if let Some(time_ms) = pass.time_ms {
            figures.measured(Group::Memory, time_ms);
        }
        if let Some((time_ms, nanos)) = cpu {
            figures.measured(Group::Cpu, time_ms);
            figures.push(table::CPU, Some(nanos));
        }
        stats.figures = figures;
        stats
    }

    fn memory(&mut self, pass: &mut Pass, raw: Field<RawMemory>, averages: bool) {
        let Some(raw) = self.value(raw) else { return };
        let mark = pass.figures.values().len();
        self.add(&mut pass.figures, raw.values());
        self.pressure(&mut pass.figures, raw.psi, PressureOf::Memory, averages);
        self.section(pass, mark, raw.time);
    }

    fn swap(&mut self, pass: &mut Pass, raw: Field<RawSwap>) {
        let Some(raw) = self.value(raw) else { return };
        let mark = pass.figures.values().len();
        self.add(&mut pass.figures, raw.values());
        self.section(pass, mark, raw.time);
    }

    fn io(&mut self, pass: &mut Pass, raw: Field<RawIo>, averages: bool) {
        let Some(raw) = self.value(raw) else { return };
        let mark = pass.figures.values().len();
        self.pressure(&mut pass.figures, raw.psi, PressureOf::Io, averages);
        self.section(pass, mark, raw.time);
    }

    /// The CPU time with its measurement time; pressure goes into the pass.
    fn cpu(&mut self, pass: &mut Pass, raw: Field<RawCpu>, averages: bool) -> Option<(u64, u64)> {
        let raw = self.value(raw)?;
        let usage = self.value(raw.usage_core_nano_seconds);
        let mark = pass.figures.values().len();
        self.pressure(&mut pass.figures, raw.psi, PressureOf::Cpu, averages);
        if usage.is_none() && pass.figures.values().len() == mark {
            return None;
        }
        let time_ms = self.time(raw.time);
        self.passed(pass, mark, time_ms);
        time_ms.zip(usage)
    }

    fn pressure(&mut self, figures: &mut Figures, raw: Field<Psi>, of: PressureOf, averages: bool) {
        let Some(Psi(raw)) = self.value(raw) else {
            return;
        };
        for (full, share) in [(false, raw.some), (true, raw.full)] {
            let Some(Share(share)) = self.value(share) else {
                continue;
            };
            let total = self.value(share.total);
            figures.push(table::pressure_total(of, full), total);
            let shares = [share.avg10, share.avg60, share.avg300];
            for (at, average) in shares.into_iter().enumerate().filter(|_| averages) {
                let average = self.value(average).map(|average| average.0);
                figures.push(table::pressure_average(of, full, at), average);
            }
        }
    }

    /// Process limits of the node, which have a time of their own.
    pub(super) fn rlimit(&mut self, stats: &mut Stats, raw: Field<RawRlimit>) {
        let Some(raw) = self.value(raw) else { return };
        let values = [
            (table::RLIMIT_MAX_PIDS, raw.maxpid),
            (table::RLIMIT_CURRENT_PIDS, raw.curproc),
        ];
        self.group(&mut stats.figures, Group::Process, values, raw.time);
    }

    /// Adds values that are measured together and have a time of their own, unless there is none.
    pub(super) fn group<const N: usize>(
        &mut self,
        figures: &mut Figures,
        group: Group,
        values: [(FieldId, Field<u64>); N],
        time: Field<Time>,
    ) -> Option<u64> {
        let mark = figures.values().len();
        self.add(figures, values);
        if figures.values().len() == mark {
            return None;
        }
        let time_ms = self.time(time);
        match time_ms {
            Some(time_ms) => figures.measured(group, time_ms),
            None => figures.truncate(mark),
        }
        time_ms
    }

    /// Ends a section of a pass, unless it has no value.
    fn section(&mut self, pass: &mut Pass, mark: usize, time: Field<Time>) {
        if pass.figures.values().len() > mark {
            let time_ms = self.time(time);
            self.passed(pass, mark, time_ms);
        }
    }

    /// A value and its time come from one reading: a section without a time is not taken, nor is one of
    /// another time than the first one's, which is counted.
    fn passed(&mut self, pass: &mut Pass, mark: usize, time_ms: Option<u64>) {
        if pass.figures.values().len() == mark {
            return;
        }
        let is_first = |time_ms: u64| *pass.time_ms.get_or_insert(time_ms) == time_ms;
        let taken = time_ms.map(is_first);
        self.counts.odd += u64::from(taken == Some(false));
        if taken != Some(true) {
            pass.figures.truncate(mark);
        }
    }

    /// Adds the values that are there and understood.
    pub(super) fn add<const N: usize>(
        &mut self,
        figures: &mut Figures,
        values: [(FieldId, Field<u64>); N],
    ) {
        for (field, value) in values {
            figures.push(field, self.value(value));
        }
    }

    /// What was understood; what was not is counted.
    pub(super) fn value<T>(&mut self, field: Field<T>) -> Option<T> {
        self.counts.odd += u64::from(matches!(field, Field::Odd));
        field.known()
    }

    pub(super) fn time(&mut self, time: Field<Time>) -> Option<u64> {
        self.value(time).map(|time| time.0)
    }
}

/// A name that something can have.
pub(super) fn known_name(text: Text<'_>) -> Option<Cow<'_, str>> {
    text.known().filter(|name| !name.is_empty())
}
