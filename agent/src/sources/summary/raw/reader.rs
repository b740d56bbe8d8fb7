//! From the objects as they are written to values with their times.

use std::borrow::Cow;

use cairn_proto::catalogue::table::{self, PressureOf};
use cairn_proto::catalogue::{FieldId, Group};

use super::Containers;
use super::field::{Field, Time};
use super::shape::{
    Container, RawCgroup, RawCpu, RawIo, RawMemory, RawPod, RawPsi, RawRlimit, RawSwap, Text,
};
use crate::sources::Figures;
use crate::sources::summary::{Pod, Stats};

/// Turns raw parts into inner ones and counts what was not understood.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) odd_count: u64,
    pub(super) dropped_count: u64,
}

/// More values than a cgroup has without averages.
const CGROUP_VALUES: usize = 24;

/// The sections of a cgroup that are read in one pass, and so have one time.
struct Pass {
    time_ms: Option<u64>,
    figures: Figures,
}

impl Reader {
    pub(super) fn pod(&mut self, raw: RawPod<'_>) -> Option<Pod> {
        let named = |text: Text<'_>| text.known().filter(|t| !t.is_empty()).map(Cow::into_owned);
        let pod_ref = raw.pod_ref.known()?;
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
        let mut stats = self.cgroup(String::new(), cgroup);
        if let Some(processes) = self.value(raw.process_stats) {
            let count = self.value(processes.process_count);
            stats.figures.push(table::PROCESS_COUNT, count);
        }
        self.network(&mut stats, raw.network);
        self.pod_storage(&mut stats, raw.ephemeral_storage, raw.volume);
        Some(Pod {
            name,
            namespace,
            uid,
            stats,
            containers: self.containers(raw.containers),
        })
    }

    pub(super) fn containers(&mut self, raw: Field<Containers>) -> Vec<Stats> {
        let Some(Containers { kept, reader }) = self.value(raw) else {
            return Vec::new();
        };
        self.odd_count += reader.odd_count;
        self.dropped_count += reader.dropped_count;
        kept
    }

    pub(super) fn container(&mut self, raw: Field<Container<'_>>) -> Option<Stats> {
        let raw = raw.known()?;
        let name = raw.name.known().filter(|name| !name.is_empty())?;
        let cgroup = RawCgroup {
            start_time: raw.start_time,
            cpu: raw.cpu,
            memory: raw.memory,
            io: raw.io,
            swap: raw.swap,
            averages: false,
        };
        let mut stats = self.cgroup(name.into_owned(), cgroup);
        self.container_storage(&mut stats, raw.rootfs, raw.logs);
        self.accelerators(&mut stats, raw.accelerators);
        Some(stats)
    }

    /// CPU time, and what is read in the same pass: memory, swap and pressure.
    pub(super) fn cgroup(&mut self, name: String, raw: RawCgroup) -> Stats {
        let start_ms = self.time(raw.start_time);
        let mut pass = Pass {
            time_ms: None,
            figures: Figures::with_capacity(CGROUP_VALUES),
        };
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
        Stats {
            name,
            start_ms,
            figures,
            parts: Vec::new(),
        }
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

    fn pressure(
        &mut self,
        figures: &mut Figures,
        raw: Field<RawPsi>,
        of: PressureOf,
        averages: bool,
    ) {
        let Some(raw) = self.value(raw) else { return };
        for (full, share) in [(false, raw.some), (true, raw.full)] {
            let Some(share) = self.value(share) else {
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
        self.odd_count += u64::from(taken == Some(false));
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
        self.odd_count += u64::from(matches!(field, Field::Odd));
        field.known()
    }

    pub(super) fn time(&mut self, time: Field<Time>) -> Option<u64> {
        self.value(time).map(|time| time.0)
    }
}
