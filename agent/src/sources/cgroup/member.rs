//! One cgroup that is read: what at which tick.
//!
//! *Fast*, at every tick: CPU time, memory and its parts. Of a cgroup whose CPU time stands still,
//! memory is read at every third tick, and its last values stand under their old time meanwhile.
//! *Slow*, every half minute, at a tick of the cgroup's own: everything else. A group has one time, so
//! at that tick memory is read too: what the catalogue counts as memory and is read slowly is in the
//! figures of that reading only, and whoever shows it holds it until the next. So it is with the processes
//! of a pod, which are counted in all of its containers when the pod's own turn is.

use std::ffi::CStr;

use cairn_proto::catalogue::table::{self, PressureOf};
use cairn_proto::catalogue::{FieldId, Group};
use rustix::io::Errno;

use super::Stat;
use super::devices::{Devices, Io};
use super::files::{Buffer, Files, Often};
use super::hierarchy::{Controller, Version};
use super::text::{self, Blkio};
use super::walks::{Walk, Walks};
use crate::sources::{Figures, thread_cpu};

/// Distance of two slow readings, ms.
const SLOW_EVERY_MS: u64 = 30_000;

/// Ticks from one reading of memory to the next while the CPU time stands still.
const STILL_TICKS: u8 = 3;

/// A limit above this is none: v1 writes the largest number of pages.
const UNLIMITED_BYTES: u64 = 1 << 62;

/// What a cgroup is of: not everything is told of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// The whole machine: CPU time alone. v2's root tells no memory, and what else there is to know
    /// of the machine stands in /proc.
    Node,
    /// All pods together: only what the kubelet tells of its system containers.
    System,
    /// A pod or a container.
    Work,
}

/// One reading: at which tick, when, and with what.
#[derive(Debug)]
pub(super) struct Moment<'a> {
    /// The tick, Unix ms.
    pub(super) tick: u64,
    /// Distance of ticks, ms.
    pub(super) interval_ms: u64,
    /// When it is, Unix ms.
    pub(super) time_ms: u64,
    /// For the files' texts.
    pub(super) buffer: &'a mut Buffer,
    /// Names of block devices.
    pub(super) devices: &'a mut Devices,
    /// Readings for which the kernel walks what is below.
    pub(super) walks: &'a mut Walks,
    /// Such a one of the pod that is read took long.
    pub(super) is_below_dear: bool,
}

/// Values of one group and their time.
#[derive(Debug, Default)]
struct Measured {
    time_ms: Option<u64>,
    values: Vec<(FieldId, u64)>,
}

impl Measured {
    fn begin(&mut self, time_ms: u64) {
        self.time_ms = Some(time_ms);
        self.values.clear();
    }

    fn push(&mut self, field: FieldId, value: Option<u64>) {
        self.values.extend(value.map(|value| (field, value)));
    }

    fn put(&self, group: Group, figures: &mut Figures) {
        if let Some(time_ms) = self.time_ms {
            figures.measured(group, time_ms);
        }
        for (field, value) in &self.values {
            figures.push(*field, Some(*value));
        }
    }
}

/// A cgroup with its files and what was read of it.
#[derive(Debug)]
pub(super) struct Member {
    files: Files,
    of: Of,
    stat: Stat,
    io: Io,
    cpu: Option<u64>,
    still_ticks: u8,
    memory: Measured,
    detail: Measured,
    limit_bytes: Option<u64>,
    slow_tick: Option<u64>,
    // Of v1's block I/O.
    walk: Walk,
    // Which of the ticks between two slow readings is its own.
    turn: u64,
}

/// Parts of memory, from either version's file.
#[derive(Debug, Default)]
struct Memory {
    cache: Option<u64>,
    mapped: Option<u64>,
    rss: Option<u64>,
    swap: Option<u64>,
    inactive_file: u64,
    faults: Option<u64>,
    major_faults: Option<u64>,
}

impl Memory {
    fn parse(text: &[u8], version: Version) -> Self {
        let mut memory = Self::default();
        for (name, value) in text::pairs(text) {
            match (version, name) {
                (Version::V2, b"anon") | (Version::V1, b"total_rss") => memory.rss = Some(value),
                (Version::V2, b"file") | (Version::V1, b"total_cache") => {
                    memory.cache = Some(value);
                }
                (Version::V2, b"file_mapped") | (Version::V1, b"total_mapped_file") => {
                    memory.mapped = Some(value);
                }
                (Version::V2, b"inactive_file") | (Version::V1, b"total_inactive_file") => {
                    memory.inactive_file = value;
                }
                (Version::V2, b"pgfault") | (Version::V1, b"total_pgfault") => {
                    memory.faults = Some(value);
                }
                (Version::V2, b"pgmajfault") | (Version::V1, b"total_pgmajfault") => {
                    memory.major_faults = Some(value);
                }
                (Version::V1, b"total_swap") => memory.swap = Some(value),
                _ => {}
            }
        }
        memory
    }
}

impl Member {
    /// Begins to read a cgroup. `seed` tells its tick for slow readings from others'.
    pub(super) fn new(files: Files, of: Of, seed: u64, seen_ms: u64) -> Self {
        // A directory's time is when it was made, or when it was last looked up: never earlier.
        let made_ms = files.made_ms().unwrap_or(seen_ms);
        let stat = Stat {
            start_ms: made_ms.min(seen_ms),
            ..Stat::default()
        };
        Self {
            files,
            of,
            stat,
            io: Io::default(),
            cpu: None,
            still_ticks: 0,
            memory: Measured::default(),
            detail: Measured::default(),
            limit_bytes: None,
            slow_tick: None,
            walk: Walk::default(),
            turn: seed,
        }
    }

    /// What was read of it.
    pub(super) fn stat(&self) -> &Stat {
        &self.stat
    }

    /// Whether it was ever read.
    pub(super) fn is_known(&self) -> bool {
        self.cpu.is_some()
    }

    /// Cgroups directly below it.
    pub(super) fn child_count(&self) -> Option<u64> {
        self.files.child_count()
    }

    /// Whether its slow values were read at this tick.
    pub(super) fn was_slow(&self, tick: u64) -> bool {
        self.slow_tick == Some(tick)
    }

    /// Counts the processes in it, and not below it.
    pub(super) fn count_processes(&mut self, buffer: &mut Buffer) -> Option<u64> {
        let list = self
            .files
            .list(Controller::Cpuacct, c"cgroup.procs", buffer);
        list.map(text::line_count)
    }

    /// Whether the kernel took long to add up its block I/O.
    pub(super) fn is_dear(&self) -> bool {
        self.walk.is_dear()
    }

    /// Whether its memory was measured at this time.
    pub(super) fn has_memory_of(&self, time_ms: u64) -> bool {
        self.memory.time_ms == Some(time_ms)
    }

    /// Adds the processes of a pod's containers, which are in none of its own lists, to its memory: they
    /// have one time.
    pub(super) fn tell_processes(&mut self, count: u64) {
        self.memory.push(table::PROCESS_COUNT, Some(count));
        self.stat.figures.push(table::PROCESS_COUNT, Some(count));
    }

    /// Reads what is due at this tick.
    ///
    /// # Errors
    ///
    /// What the system said of a cgroup that is gone, or that cannot be read.
    pub(super) fn read(&mut self, moment: &mut Moment<'_>) -> Result<(), Errno> {
        let is_slow = self.is_slow(moment.tick, moment.interval_ms);
        let cpu = self.cpu(moment, is_slow)?;
        let cpu = Some(cpu);
        self.still_ticks = if cpu == self.cpu && self.memory.time_ms.is_some() {
            self.still_ticks + 1
        } else {
            0
        };
        self.cpu = cpu;
        let has_memory = self.of != Of::Node;
        let is_slow = is_slow && has_memory;
        if is_slow {
            self.slow_tick = Some(moment.tick);
            self.limit(moment);
        }
        let is_due = is_slow || self.still_ticks == 0 || self.still_ticks >= STILL_TICKS;
        if has_memory && is_due {
            self.still_ticks = 0;
            self.memory(moment, is_slow)?;
        }
        if is_slow {
            self.slow(moment);
        }
        if self.walk.is_due(moment.walks, moment.is_below_dear) {
            let began = thread_cpu();
            self.blkio(moment);
            let cpu = thread_cpu().saturating_sub(began);
            self.walk.cost(moment.walks, cpu);
        }
        let figures = &mut self.stat.figures;
        figures.clear();
        figures.measured(Group::Cpu, moment.time_ms);
        figures.push(table::CPU, self.cpu);
        self.memory.put(Group::Memory, figures);
        self.detail.put(Group::Detail, figures);
        Ok(())
    }

    fn is_slow(&self, tick: u64, interval_ms: u64) -> bool {
        let Some(last) = self.slow_tick else {
            return true;
        };
        let turns = (SLOW_EVERY_MS / interval_ms.max(1)).max(1);
        let is_turn = (tick / interval_ms.max(1) + self.turn).is_multiple_of(turns);
        // Its own tick may have been skipped.
        (is_turn && tick != last) || tick.abs_diff(last) >= 2 * SLOW_EVERY_MS
    }

    /// The CPU time, with which every reading begins: what has none is no cgroup any more.
    fn cpu(&mut self, moment: &mut Moment<'_>, is_slow: bool) -> Result<u64, Errno> {
        let version = self.files.version();
        let Some(text) = self.files.often(Often::Cpu, moment.buffer)? else {
            return Err(Errno::NOENT);
        };
        let is_slow = is_slow && self.of == Of::Work;
        if is_slow {
            self.detail.begin(moment.time_ms);
        }
        let cpu = match version {
            Version::V1 => text::number(text),
            Version::V2 => {
                let of = |wanted: &[u8]| {
                    let mut pairs = text::pairs(text);
                    pairs.find_map(|(name, value)| (name == wanted).then_some(value))
                };
                if is_slow {
                    let time = of(b"throttled_usec").map(|usec| usec.saturating_mul(1_000));
                    throttling(
                        &mut self.detail,
                        of(b"nr_periods"),
                        of(b"nr_throttled"),
                        time,
                    );
                }
                of(b"usage_usec").map(|usec| usec.saturating_mul(1_000))
            }
        };
        cpu.ok_or(Errno::NODATA)
    }

    fn limit(&mut self, moment: &mut Moment<'_>) {
        let name = match self.files.version() {
            Version::V1 => c"memory.limit_in_bytes",
            Version::V2 => c"memory.max",
        };
        let limit = self.number(Controller::Memory, name, moment.buffer);
        self.limit_bytes = limit.filter(|bytes| *bytes < UNLIMITED_BYTES);
    }

    fn memory(&mut self, moment: &mut Moment<'_>, is_slow: bool) -> Result<(), Errno> {
        let version = self.files.version();
        let used = match self.files.often(Often::Usage, moment.buffer)? {
            Some(text) => text::number(text),
            None => None,
        };
        let Some(text) = self.files.often(Often::Memory, moment.buffer)? else {
            return Ok(());
        };
        let parts = Memory::parse(text, version);
        // Without its usage, as of v2's root, the rest would stand for a whole that is not told.
        let Some(used) = used else {
            return Ok(());
        };
        let working_set = used.saturating_sub(parts.inactive_file);
        let memory = &mut self.memory;
        memory.begin(moment.time_ms);
        memory.push(table::MEMORY_USAGE, Some(used));
        memory.push(table::MEMORY_WORKING_SET, Some(working_set));
        memory.push(table::MEMORY_RSS, parts.rss);
        let limit = self.limit_bytes;
        let available = limit.map(|limit| limit.saturating_sub(working_set));
        memory.push(table::MEMORY_AVAILABLE, available);
        memory.push(table::MEMORY_PAGE_FAULTS, parts.faults);
        memory.push(table::MEMORY_MAJOR_PAGE_FAULTS, parts.major_faults);
        memory.push(table::SWAP_USAGE, parts.swap);
        if is_slow && self.of == Of::Work {
            self.detail.push(table::MEMORY_CACHE, parts.cache);
            self.detail.push(table::MEMORY_MAPPED_FILE, parts.mapped);
        }
        Ok(())
    }

    fn slow(&mut self, moment: &mut Moment<'_>) {
        match self.files.version() {
            Version::V2 => self.slow_v2(moment),
            Version::V1 => self.slow_v1(moment),
        }
        if self.of != Of::Work {
            return;
        }
        let threads = self.number(Controller::Pids, c"pids.current", moment.buffer);
        self.detail.push(table::THREADS, threads);
    }

    fn slow_v2(&mut self, moment: &mut Moment<'_>) {
        for (of, name) in [
            (PressureOf::Cpu, c"cpu.pressure"),
            (PressureOf::Memory, c"memory.pressure"),
            (PressureOf::Io, c"io.pressure"),
        ] {
            // They stand beside memory: one group has one time.
            if self.memory.time_ms != Some(moment.time_ms) {
                break;
            }
            let Some(text) = self.files.seldom(Controller::Cpu, name, moment.buffer) else {
                continue;
            };
            let [some, full] = text::pressure(text);
            self.memory.push(table::pressure_total(of, false), some);
            self.memory.push(table::pressure_total(of, true), full);
        }
        if self.memory.time_ms == Some(moment.time_ms) {
            let swap = self.number(Controller::Memory, c"memory.swap.current", moment.buffer);
            self.memory.push(table::SWAP_USAGE, swap);
            let most = self.number(Controller::Memory, c"memory.swap.max", moment.buffer);
            let left = most.zip(swap).map(|(most, swap)| most.saturating_sub(swap));
            self.memory.push(table::SWAP_AVAILABLE, left);
        }
        if self.of != Of::Work {
            return;
        }
        let events = self
            .files
            .seldom(Controller::Memory, c"memory.events", moment.buffer);
        let killed = events.and_then(|text| value_of(text, b"oom_kill"));
        self.detail.push(table::OOM_EVENTS, killed);
        self.io.begin();
        if let Some(text) = self
            .files
            .seldom(Controller::Blkio, c"io.stat", moment.buffer)
        {
            for (device, told) in text::io(text) {
                self.io.add(device, told);
            }
        }
        self.io
            .finish(moment.time_ms, moment.devices, &mut self.stat.devices);
    }

    fn slow_v1(&mut self, moment: &mut Moment<'_>) {
        if self.of != Of::Work {
            return;
        }
        if let Some(text) = self
            .files
            .seldom(Controller::Cpu, c"cpu.stat", moment.buffer)
        {
            let (periods, throttled, time) = (
                value_of(text, b"nr_periods"),
                value_of(text, b"nr_throttled"),
                value_of(text, b"throttled_time"),
            );
            throttling(&mut self.detail, periods, throttled, time);
        }
        let control = self
            .files
            .seldom(Controller::Memory, c"memory.oom_control", moment.buffer);
        let killed = control.and_then(|text| value_of(text, b"oom_kill"));
        self.detail.push(table::OOM_EVENTS, killed);
        self.walk.want(moment.tick);
    }

    /// v1's block I/O, whose parts have a time of their own.
    fn blkio(&mut self, moment: &mut Moment<'_>) {
        self.io.begin();
        // A disk's scheduler counts, or else what holds reading and writing back; newer kernels begin
        // to count only where either is in use. One disk may have that scheduler and others not, so
        // both are read: of a disk that both tell of, the scheduler's word is taken.
        for names in [
            [
                c"blkio.bfq.io_service_bytes_recursive",
                c"blkio.bfq.io_serviced_recursive",
            ],
            [
                c"blkio.throttle.io_service_bytes_recursive",
                c"blkio.throttle.io_serviced_recursive",
            ],
        ] {
            for (name, of) in names.into_iter().zip([Blkio::Bytes, Blkio::Count]) {
                let Some(text) = self.files.seldom(Controller::Blkio, name, moment.buffer) else {
                    break;
                };
                let mut any = false;
                for (device, told) in text::blkio(text, of) {
                    any = true;
                    self.io.add(device, told);
                }
                // What no byte is counted of has no operations either.
                if !any {
                    break;
                }
            }
        }
        self.io
            .finish(moment.time_ms, moment.devices, &mut self.stat.devices);
    }

    fn number(&self, controller: Controller, name: &CStr, buffer: &mut Buffer) -> Option<u64> {
        text::number(self.files.seldom(controller, name, buffer)?)
    }
}

/// Without a quota no period passes, and nothing is said.
fn throttling(
    detail: &mut Measured,
    periods: Option<u64>,
    throttled: Option<u64>,
    time: Option<u64>,
) {
    if periods.is_none_or(|count| count == 0) {
        return;
    }
    detail.push(table::CFS_PERIODS, periods);
    detail.push(table::CFS_THROTTLED_PERIODS, throttled);
    detail.push(table::CFS_THROTTLED_TIME, time);
}

fn value_of(text: &[u8], wanted: &[u8]) -> Option<u64> {
    text::pairs(text).find_map(|(name, value)| (name == wanted).then_some(value))
}
