//! What was measured of one system, as lines, and two of them held against each other.

use super::asked::Timed;
use super::data::Data;
use crate::bench::Line;
use crate::proc::used::Memory;

/// Of one system.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    /// Its name.
    pub(super) name: &'static str,
    /// What it does that Cairn does not; empty for Cairn.
    pub(super) does_more: &'static str,
    /// How samples travel to it.
    pub(super) form: &'static str,
    /// Its memory before the first sample.
    pub(super) empty: Memory,
    /// Its memory with all of them.
    pub(super) full: Memory,
    /// Bytes of its files.
    pub(super) disk_bytes: u64,
    /// CPU time to take all samples in, until it is idle again, s.
    pub(super) cpu_seconds: f64,
    /// From the first sample to the last answer, s.
    pub(super) wall_seconds: f64,
    /// What travelled to it.
    pub(super) wire_bytes: u64,
    /// The question.
    pub(super) timed: Timed,
}

/// Number and name of a line, its value and unit, and what is to be known about it.
type Figure = (&'static str, &'static str, f64, &'static str, String);

impl Measured {
    fn figures(&self, data: &Data) -> Vec<Figure> {
        let samples = data.samples as f64;
        let each = |bytes: u64| bytes as f64 / samples;
        let grown = self.full.resident.saturating_sub(self.empty.resident);
        let peak = self.full.peak.saturating_sub(self.empty.resident);
        let millions = samples / 1e6;
        let empty_mib = self.empty.resident >> 20;
        let asked = format!(
            "15 min of one field of {} pods, {} questions, answer of {} KiB",
            data.expected.len(),
            self.timed.count(),
            self.timed.answer_bytes >> 10
        );
        vec![
            (
                "4",
                "window_bytes_per_sample",
                each(grown),
                "bytes",
                format!("growth of resident memory over the empty {empty_mib} MiB"),
            ),
            (
                "4",
                "window_peak_bytes_per_sample",
                each(peak),
                "bytes",
                "the same at its peak".to_owned(),
            ),
            (
                "4",
                "disk_bytes_per_sample",
                each(self.disk_bytes),
                "bytes",
                "files, beside the memory".to_owned(),
            ),
            (
                "6",
                "ingest_rate_per_core",
                millions / self.cpu_seconds.max(0.01),
                "M/s",
                "samples by CPU time until idle again; more is better".to_owned(),
            ),
            (
                "6",
                "ingest_rate_wall",
                millions / self.wall_seconds.max(0.001),
                "M/s",
                "samples by time from the first to the last answer; more is better".to_owned(),
            ),
            (
                "3",
                "wire_bytes_per_sample",
                each(self.wire_bytes),
                "bytes",
                self.form.to_owned(),
            ),
            (
                "8",
                "query_p50",
                self.timed.percentile_ms(50),
                "ms",
                asked.clone(),
            ),
            ("8", "query_p99", self.timed.percentile_ms(99), "ms", asked),
        ]
    }

    /// A line a figure.
    pub(super) fn lines(&self, data: &Data) -> Vec<Line> {
        let more = if self.does_more.is_empty() {
            String::new()
        } else {
            format!("; beyond Cairn: {}", self.does_more)
        };
        let figures = self.figures(data).into_iter();
        // What keeps nothing on disk has no figure for it.
        let figures = figures.filter(|(_, _, value, ..)| *value > 0.0);
        figures
            .map(|(number, name, value, unit, about)| {
                let data = format!("{}: {about}{more}", self.name);
                line(number, name, (value, unit), data)
            })
            .collect()
    }

    /// Every figure by that of Cairn.
    pub(super) fn ratios(&self, cairn: &Measured, data: &Data) -> Vec<Line> {
        let pairs = self.figures(data).into_iter().zip(cairn.figures(data));
        let pairs = pairs.filter(|(_, (_, _, cairn, ..))| *cairn > 0.0);
        pairs
            .map(|((number, name, value, unit, _), (_, _, cairn, ..))| {
                let better = if unit == "M/s" { "below" } else { "above" };
                let data = format!("{}/cairn; {better} 1 Cairn is better", self.name);
                line(number, name, (value / cairn, "times"), data)
            })
            .collect()
    }
}

fn line(
    number: &'static str,
    name: &'static str,
    (value, unit): (f64, &'static str),
    data: String,
) -> Line {
    Line {
        number,
        name,
        value,
        unit,
        goal: None,
        data,
    }
}
