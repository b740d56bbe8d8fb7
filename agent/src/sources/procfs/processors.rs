//! Each processor of the machine by itself, where that is asked for.

use cairn_proto::catalogue::{FieldId, table};
use cairn_proto::model::EntityKind;
use procfs::KernelStats;

use super::Reader;
use super::kernel::{modes, nanos};

/// Processors taken of a machine: as many as the largest have, and few enough for everybody's window.
const MAX_PROCESSORS: usize = 512;

impl Reader<'_> {
    /// Adds the processors of `/proc/stat`, whose bytes and whose values these are.
    pub(super) fn processors(&mut self, bytes: &[u8], stat: &KernelStats) {
        let per_second = procfs::ticks_per_second();
        let all = names(bytes).zip(&stat.cpu_time);
        for (name, time) in all.take(MAX_PROCESSORS) {
            let fields = (table::PROCESSOR_MODES.0..).map(FieldId);
            let values: Vec<(FieldId, u64)> = fields
                .zip(modes(time))
                .filter_map(|(field, ticks)| Some((field, nanos(ticks?, per_second)?)))
                .collect();
            self.part(EntityKind::Processor, name, &values);
        }
        let beyond = stat.cpu_time.len().saturating_sub(MAX_PROCESSORS);
        self.host.dropped_count += beyond as u64;
    }
}

/// The names of the processors that are online, in the order of their lines: those that are not have
/// none, so the place of a line is not the number of its processor.
fn names(stat: &[u8]) -> impl Iterator<Item = &str> {
    stat.split(|byte| *byte == b'\n').filter_map(|line| {
        let name = line.split(|byte| *byte == b' ').next()?;
        let number = name.strip_prefix(b"cpu")?;
        let is_one = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
        is_one.then(|| std::str::from_utf8(name).ok()).flatten()
    })
}
