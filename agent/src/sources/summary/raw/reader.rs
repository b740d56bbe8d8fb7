//! From the objects as they are written to values with their times.

use std::borrow::Cow;

use cairn_proto::catalogue::table::{self, PressureOf};
use cairn_proto::catalogue::{FieldId, Group};
use cairn_proto::rfc3339;
use serde_json::value::RawValue;

use super::Containers;
use super::field::Field;
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

/// The sections of a cgroup that are read in one pass, and so have one time.
#[derive(Default)]
struct Pass {
    time_ms: Option<u64>,
    figures: Figures,
}

impl Reader {
    pub(super) fn pod(&mut self, raw: &RawValue) -> Option<Pod> {
        let text = raw.get();
        let raw: RawPod<'_> = text
            .starts_with('{')
            .then(|| serde_json::from_str(text).ok())??;
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
    pub(super) fn cgroup(&mut self, name: String, raw: RawCgroup<'_>) -> Stats {
        let start_ms = self.time(raw.start_time);
        let mut pass = Pass::default();
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

    fn memory(&mut self, pass: &mut Pass, raw: Field<RawMemory<'_>>, averages: bool) {
        let Some(raw) = self.value(raw) else { return };
        let mut figures = self.figures(raw.values());
        self.pressure(&mut figures, raw.psi, PressureOf::Memory, averages);
        self.section(pass, &figures, raw.time);
    }

    fn swap(&mut self, pass: &mut Pass, raw: Field<RawSwap<'_>>) {
        let Some(raw) = self.value(raw) else { return };
        let figures = self.figures(raw.values());
        self.section(pass, &figures, raw.time);
    }

    fn io(&mut self, pass: &mut Pass, raw: Field<RawIo<'_>>, averages: bool) {
        let Some(raw) = self.value(raw) else { return };
        let mut figures = Figures::default();
        self.pressure(&mut figures, raw.psi, PressureOf::Io, averages);
        self.section(pass, &figures, raw.time);
    }

    /// The CPU time with its measurement time; pressure goes into the pass.
    fn cpu(
        &mut self,
        pass: &mut Pass,
        raw: Field<RawCpu<'_>>,
        averages: bool,
    ) -> Option<(u64, u64)> {
        let raw = self.value(raw)?;
        let usage = self.value(raw.usage_core_nano_seconds);
        let mut figures = Figures::default();
        self.pressure(&mut figures, raw.psi, PressureOf::Cpu, averages);
        if usage.is_none() && figures.values().is_empty() {
            return None;
        }
        let time_ms = self.time(raw.time)?;
        self.add(pass, &figures, time_ms);
        usage.map(|usage| (time_ms, usage))
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
    pub(super) fn rlimit(&mut self, stats: &mut Stats, raw: Field<RawRlimit<'_>>) {
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
        time: Text<'_>,
    ) -> Option<u64> {
        let read = self.figures(values);
        if read.values().is_empty() {
            return None;
        }
        let time_ms = self.time(time)?;
        figures.measured(group, time_ms);
        for (field, value) in read.values() {
            figures.push(*field, Some(*value));
        }
        Some(time_ms)
    }

    /// Adds a section to the pass, unless it has no value or no time.
    fn section(&mut self, pass: &mut Pass, figures: &Figures, time: Text<'_>) {
        if figures.values().is_empty() {
            return;
        }
        if let Some(time_ms) = self.time(time) {
            self.add(pass, figures, time_ms);
        }
    }

    /// A value and its time come from one reading: a section of another time than the first one's
    /// is counted and not taken.
    fn add(&mut self, pass: &mut Pass, figures: &Figures, time_ms: u64) {
        if figures.values().is_empty() {
            return;
        }
        if *pass.time_ms.get_or_insert(time_ms) != time_ms {
            self.odd_count += 1;
            return;
        }
        for (field, value) in figures.values() {
            pass.figures.push(*field, Some(*value));
        }
    }

    /// The values that are there and understood.
    pub(super) fn figures<const N: usize>(
        &mut self,
        values: [(FieldId, Field<u64>); N],
    ) -> Figures {
        let mut figures = Figures::default();
        for (field, value) in values {
            figures.push(field, self.value(value));
        }
        figures
    }

    /// What was understood; what was not is counted.
    pub(super) fn value<T>(&mut self, field: Field<T>) -> Option<T> {
        self.odd_count += u64::from(matches!(field, Field::Odd));
        field.known()
    }

    pub(super) fn time(&mut self, text: Text<'_>) -> Option<u64> {
        let text = self.value(text)?;
        // Nothing that runs was measured before 1970.
        let parsed = rfc3339::parse(&text).and_then(|ms| u64::try_from(ms).ok());
        self.odd_count += u64::from(parsed.is_none());
        parsed
    }
}
