//! How quantities, spans and times are written: by Kubernetes in its objects, and by `kubectl top`.

use crate::rfc3339;

/// CPU in its canonical form: the largest suffix that leaves no fraction.
#[must_use]
pub fn nanocores(nanos: u64) -> String {
    if nanos == 0 {
        return "0".to_owned();
    }
    let (mut number, mut suffixes) = (nanos, ["n", "u", "m", ""].iter());
    let mut suffix = suffixes.next();
    while number.is_multiple_of(1_000) {
        let Some(larger) = suffixes.next() else { break };
        (number, suffix) = (number / 1_000, Some(larger));
    }
    format!("{number}{}", suffix.unwrap_or(&""))
}

/// Memory in its canonical form.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    if bytes == 0 {
        return "0".to_owned();
    }
    let (mut number, mut suffixes) = (bytes, ["", "Ki", "Mi", "Gi", "Ti"].iter());
    let mut suffix = suffixes.next();
    while number.is_multiple_of(1_024) {
        let Some(larger) = suffixes.next() else { break };
        (number, suffix) = (number / 1_024, Some(larger));
    }
    format!("{number}{}", suffix.unwrap_or(&""))
}

/// A span as Go writes durations, such as `1m0.2s`.
#[must_use]
pub fn window(ms: u64) -> String {
    if ms < 1_000 {
        return if ms == 0 {
            "0s".to_owned()
        } else {
            format!("{ms}ms")
        };
    }
    let (minutes, rest_ms) = (ms / 60_000, ms % 60_000);
    let mut text = match (minutes / 60, minutes % 60) {
        (0, 0) => String::new(),
        (0, minutes) => format!("{minutes}m"),
        (hours, minutes) => format!("{hours}h{minutes}m"),
    };
    text.push_str(&(rest_ms / 1_000).to_string());
    if rest_ms % 1_000 > 0 {
        let fraction = format!(".{:03}", rest_ms % 1_000);
        text.push_str(fraction.trim_end_matches('0'));
    }
    text.push('s');
    text
}

/// A time to the second, rounded down.
#[must_use]
pub fn second(unix_ms: u64) -> String {
    rfc3339::format(unix_ms / 1_000 * 1_000)
}

/// CPU as `kubectl top` prints it: millicores, rounded up.
#[must_use]
pub fn millicores(nanos: u64) -> String {
    format!("{}m", nanos.div_ceil(1_000_000))
}

/// Memory as `kubectl top` prints it: mebibytes, rounded down.
#[must_use]
pub fn mebibytes(bytes: u64) -> String {
    format!("{}Mi", bytes >> 20)
}

/// A part as `kubectl top` prints it, rounded down.
#[must_use]
pub fn percent(part: u64, of: u64) -> String {
    let percent = u128::from(part) * 100 / u128::from(of.max(1));
    format!("{percent}%")
}
