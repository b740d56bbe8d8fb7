//! The file's text. Each line ends with a line feed, and there is nothing else:
//!
//! ```text
//! cairn-agent runs 1
//! node NAME
//! run BOOT-ID EPOCH-MS STEPPED INTERVAL-MS FIRST-TICK-MS LAST-TICK-MS
//! check FNV-1A
//! ```
//!
//! with a `run` line for each run, oldest first. Boot id and check are hexadecimal, 32 and 16 digits, all
//! else is decimal; STEPPED is 1 of a run that a step of the clock began, else 0. The check is of all
//! bytes before its line. The number of the first line changes when an older version could not read the
//! rest.

use std::fmt::Write as _;

use cairn_proto::limits::MAX_EARLIER_RUNS;
use cairn_proto::model::{EarlierRun, Run};
use cairn_runtime::hash::fnv1a;

/// The largest file that is read. The largest that is written has less than half of it: a name of 253
/// bytes and nine runs of 150.
pub(super) const MAX_BYTES: usize = 4 * 1024;

const HEAD: &str = "cairn-agent runs ";
const VERSION: &str = "1";

/// What a file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) node: String,
    pub(super) runs: Vec<EarlierRun>,
}

/// Why a text is not one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// The first line has another number.
    Version,
    /// Something else.
    Broken,
}

/// Writes the text in the place of what `out` holds.
pub(super) fn write<'a>(out: &mut String, node: &str, runs: impl Iterator<Item = &'a EarlierRun>) {
    out.clear();
    // Writing to a String cannot fail.
    writeln!(out, "{HEAD}{VERSION}\nnode {node}").expect("a String takes any text");
    for run in runs {
        let EarlierRun {
            run,
            interval_ms,
            first_tick_ms,
            last_tick_ms,
        } = run;
        let boot_id = u128::from_be_bytes(run.boot_id);
        let (epoch_ms, stepped) = (run.epoch_ms, u8::from(run.clock_stepped));
        writeln!(
            out,
            "run {boot_id:032x} {epoch_ms} {stepped} {interval_ms} {first_tick_ms} {last_tick_ms}"
        )
        .expect("a String takes any text");
    }
    let check = fnv1a(out.as_bytes());
    writeln!(out, "check {check:016x}").expect("a String takes any text");
}

/// Reads the text.
pub(super) fn read(bytes: &[u8]) -> Result<Said, Bad> {
    let text = std::str::from_utf8(bytes).map_err(|_| Bad::Broken)?;
    let rest = text.strip_prefix(HEAD).ok_or(Bad::Broken)?;
    let (version, _) = rest.split_once('\n').ok_or(Bad::Broken)?;
    if version != VERSION {
        return Err(Bad::Version);
    }
    checked(text).ok_or(Bad::Broken)
}

fn checked(text: &str) -> Option<Said> {
    let (body, check) = text.strip_suffix('\n')?.rsplit_once("\ncheck ")?;
    let summed = text.get(..body.len() + 1)?;
    if check != format!("{:016x}", fnv1a(summed.as_bytes())) {
        return None;
    }
    let mut lines = body.split('\n').skip(1);
    let node = lines.next()?.strip_prefix("node ")?.to_owned();
    let runs: Vec<EarlierRun> = lines.map(run).collect::<Option<_>>()?;
    // Those that had ended, and the one that was going on.
    (runs.len() <= MAX_EARLIER_RUNS + 1).then_some(Said { node, runs })
}

fn run(line: &str) -> Option<EarlierRun> {
    let mut parts = line.strip_prefix("run ")?.split(' ');
    let boot_id = u128::from_str_radix(parts.next()?, 16).ok()?;
    let mut number = || parts.next()?.parse::<u64>().ok();
    let (epoch_ms, stepped) = (number()?, number()?);
    let read = EarlierRun {
        run: Run {
            epoch_ms,
            boot_id: boot_id.to_be_bytes(),
            clock_stepped: stepped == 1,
        },
        interval_ms: number()?,
        first_tick_ms: number()?,
        last_tick_ms: number()?,
    };
    (stepped <= 1 && parts.next().is_none() && read.is_possible()).then_some(read)
}
