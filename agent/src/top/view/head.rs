//! The lines above the table: the machine as a whole, and what is wrong.

use cairn_proto::rfc3339;

use super::{Line, Style};
use crate::top::document::{Document, Entity, Host, SourceState};
use crate::top::units;

/// Of so many failing sources the reasons are shown.
const MAX_FAILING: usize = 4;

/// The eight heights of a block.
const BLOCKS: [char; 8] = [
    '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}',
];

/// Before the bars.
const LABEL: usize = 4;

/// Of the numbers behind a bar.
const NUMBERS: usize = 24;

/// Above this share of the whole a bar is red.
const HIGH: f64 = 0.9;

/// One line for a screen without room.
pub(super) fn brief(document: &Document, silent: Option<&str>) -> Line {
    if let Some(reason) = silent {
        return Line::of(format!("no answer: {}", units::safe(reason)), Style::Bad);
    }
    let (cpu, memory) = (Gauge::cpu(document), Gauge::memory(document));
    let mut line = Line::of(
        format!("CPU {} MEM {}", cpu.short(), memory.short()),
        Style::Bold,
    );
    let failing = document.sources.iter().filter(|one| is_failing(one));
    match failing.count() {
        0 => {}
        count => line.push(format!(" {count} failed"), Style::Bad),
    }
    line
}

/// All there is.
pub(super) fn full(document: &Document, silent: Option<&str>, columns: usize) -> Vec<Line> {
    let mut lines = vec![title(document)];
    let history = &document.history;
    lines.push(Gauge::cpu(document).line("CPU", &history.cpu_nanocores, columns));
    lines.push(Gauge::memory(document).line("MEM", &history.memory_used_bytes, columns));
    lines.push(load(&document.host));
    if let Some(reason) = silent {
        lines.insert(
            1,
            Line::of(format!("no answer: {}", units::safe(reason)), Style::Bad),
        );
    }
    let failing = document.sources.iter().filter(|one| is_failing(one));
    for source in failing.take(MAX_FAILING) {
        let reason = source.reason.as_deref().unwrap_or_default();
        let text = format!("{} failed: {reason}", source.source);
        lines.push(Line::of(units::safe(&text), Style::Bad));
    }
    lines
}

fn is_failing(source: &SourceState) -> bool {
    source.state == "failing"
}

fn title(document: &Document) -> Line {
    let mut line = Line::of(units::safe(&document.node), Style::Bold);
    match document.tick_ms {
        Some(tick_ms) => {
            let age_ms = document.unix_ms.saturating_sub(tick_ms);
            let time = rfc3339::format(tick_ms);
            let every = units::age(document.interval_ms);
            let text = format!("  {time}, {} old, every {every}", units::age(age_ms));
            let style = if age_ms > 3 * document.interval_ms.max(1) {
                Style::Bad
            } else {
                Style::Plain
            };
            line.push(text, style);
        }
        None => line.push("  no row yet", Style::Plain),
    }
    if let Some(uptime_ms) = document.host.uptime_ms {
        line.push(format!(", up {}", units::uptime(uptime_ms)), Style::Plain);
    }
    line
}

fn load(host: &Host) -> Line {
    let load = host
        .load
        .map(|load| load.map_or(units::NOTHING.to_owned(), |load| format!("{load:.2}")));
    let share =
        |share: Option<f64>| share.map_or(units::NOTHING.to_owned(), |share| format!("{share:.1}"));
    let pressure = &host.pressure;
    let text = format!(
        "load {}  waiting % cpu {} memory {}/{} io {}/{}",
        load.join(" "),
        share(pressure.cpu_some),
        share(pressure.memory_some),
        share(pressure.memory_full),
        share(pressure.io_some),
        share(pressure.io_full)
    );
    Line::of(text, Style::Plain)
}

/// How much is in use, and of what.
struct Gauge {
    used: Option<u64>,
    whole: Option<u64>,
    // Tells an amount.
    amount: fn(u64) -> String,
    // Tells the whole.
    all: fn(u64) -> String,
}

impl Gauge {
    fn cpu(document: &Document) -> Self {
        let of_node = node(document).and_then(|node| node.cpu_nanocores);
        let host = &document.host;
        Self {
            used: host.cpu_nanocores.or(of_node),
            whole: host.cores.map(|cores| cores.saturating_mul(1_000_000_000)),
            amount: units::cores,
            all: |whole| format!("{} cores", whole / 1_000_000_000),
        }
    }

    fn memory(document: &Document) -> Self {
        let of_node = node(document).and_then(|node| node.memory_working_set_bytes);
        let host = &document.host;
        Self {
            used: host.memory_used_bytes.or(of_node),
            whole: host.memory_total_bytes,
            amount: units::bytes,
            all: units::bytes,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a bar has few places")]
    fn share(&self) -> Option<f64> {
        let (used, whole) = (self.used?, self.whole.filter(|whole| *whole > 0)?);
        Some((used as f64 / whole as f64).min(1.0))
    }

    fn short(&self) -> String {
        match (self.share(), self.used) {
            (Some(share), _) => units::percent(share),
            (None, Some(used)) => (self.amount)(used),
            (None, None) => units::NOTHING.to_owned(),
        }
    }

    fn numbers(&self) -> String {
        let used = self.used.map_or(units::NOTHING.to_owned(), self.amount);
        match (self.whole, self.share()) {
            (Some(whole), Some(share)) => {
                format!("{used} of {} {}", (self.all)(whole), units::percent(share))
            }
            _ => used,
        }
    }

    /// A label, a bar, numbers, and the past as far as there is room.
    fn line(&self, label: &str, past: &[Option<u64>], columns: usize) -> Line {
        let mut line = Line::of(format!("{label:<LABEL$}"), Style::Bold);
        let bar = (columns / 4).clamp(4, 40);
        let full = self.share().map_or(0, |share| places(share, bar));
        let high = self.share().is_some_and(|share| share > HIGH);
        line.push("[", Style::Plain);
        line.push(
            "|".repeat(full),
            if high { Style::Bad } else { Style::Good },
        );
        line.push(format!("{}] ", " ".repeat(bar - full)), Style::Plain);
        line.push(format!("{:<NUMBERS$}", self.numbers()), Style::Plain);
        let room = columns.saturating_sub(line.width() + 1);
        let shown = past.len().min(room);
        let newest = past.get(past.len() - shown..).unwrap_or_default();
        if !newest.is_empty() {
            let most = past.iter().copied().flatten().max();
            let whole = self.whole.or(most).unwrap_or_default().max(1);
            let blocks: String = newest.iter().map(|point| block(*point, whole)).collect();
            line.push(format!(" {blocks}"), Style::Dim);
        }
        line
    }
}

fn node(document: &Document) -> Option<&Entity> {
    document.entities.iter().find(|one| one.kind == "node")
}

/// So many places of a bar; something is one at least.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share is between 0 and 1, and a bar has few places"
)]
fn places(share: f64, bar: usize) -> usize {
    let places = (share * bar as f64).round() as usize;
    let least = usize::from(share > 0.0);
    places.clamp(least, bar)
}

fn block(point: Option<u64>, whole: u64) -> char {
    let Some(point) = point else { return ' ' };
    let height = u128::from(point) * BLOCKS.len() as u128 / u128::from(whole.max(1));
    let height = usize::try_from(height).unwrap_or(usize::MAX);
    let height = height.min(BLOCKS.len() - 1);
    BLOCKS.get(height).copied().unwrap_or(' ')
}
