//! Goal 4: what a sample takes in the window, and of what sums the aggregator's memory is made.

use anyhow::Result;

use super::super::fill::Filled;
use super::super::sheet::Sheet;
use super::super::{Goal, Line};

/// Prints the lines, and below them the sums.
pub(in super::super) fn tell(
    filled: &Filled,
    goal: Option<Goal>,
    sheet: &mut Sheet<'_>,
) -> Result<()> {
    let held = format!(
        "{}, {} ticks, {:.1} M samples held",
        filled.fill.words(),
        filled.fill.ticks,
        filled.millions()
    );
    let line = |name, value, goal, more: &str| Line {
        number: "4",
        name,
        value,
        unit: "bytes",
        goal,
        data: format!("{held}; {more}"),
    };
    let counted = filled.counted_bytes as f64 / filled.samples.max(1) as f64;
    sheet.line(&line(
        "window_bytes_per_sample",
        filled.resident_per_sample(),
        goal,
        "resident, full less connected and empty",
    ))?;
    sheet.line(&line(
        "window_counted_bytes_per_sample",
        counted,
        None,
        "as the store counts its rows",
    ))?;
    for text in sums(filled) {
        sheet.note(&text)?;
    }
    Ok(())
}

/// What the memory is made of, as far as it can be told from outside: by what came at which step,
/// and by what the store counts.
fn sums(filled: &Filled) -> Vec<String> {
    let nodes = filled.fill.nodes.max(1) as u64;
    let (alone, connected) = (filled.alone.resident, filled.connected.resident);
    let (named, full) = (filled.named.resident, filled.full.resident);
    let of_streams = connected.saturating_sub(alone);
    let of_names = named.saturating_sub(connected);
    let of_rows = full.saturating_sub(named);
    let in_window = nodes * (900_000 / filled.fill.interval_ms + 1);
    let beyond = filled.rows.saturating_sub(in_window);
    let row_bytes = filled.counted_bytes / filled.rows.max(1);
    let uncounted = full
        .saturating_sub(connected)
        .saturating_sub(filled.counted_bytes);
    let sum = |bytes: u64, of: &str| {
        format!(
            "memory  {:>8.1} MiB  {of}",
            bytes as f64 / f64::from(1 << 20)
        )
    };
    vec![
        sum(full, "resident, full window"),
        sum(alone, "= the process with nobody connected"),
        sum(
            of_streams,
            &format!(
                "+ connections: {} KiB each",
                (of_streams / nodes).div_ceil(1 << 10)
            ),
        ),
        sum(
            of_names,
            "+ came with the first two rows: names, indexes, the decoded row of each node",
        ),
        sum(of_rows, "+ came with the other rows"),
        sum(
            filled.counted_bytes,
            "of the last two: rows, chunks and decoded rows, as the store counts them",
        ),
        sum(
            row_bytes * beyond,
            "of that: rows past the window, which are held for its border and its whole blocks",
        ),
        sum(
            uncounted,
            "of the last two, not counted: names, indexes, the allocator's slack",
        ),
    ]
}
