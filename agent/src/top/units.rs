//! Numbers as people read them. What is absent is a dash.

use cairn_runtime::logging;

/// What stands where there is nothing to say.
pub(super) const NOTHING: &str = "-";

/// Cores, from billionths of one: thousandths where they count.
pub(super) fn cores(nanocores: u64) -> String {
    let milli = nanocores / 1_000_000;
    match milli {
        0..10_000 => format!("{}.{:03}", milli / 1_000, milli % 1_000),
        10_000..100_000 => format!("{}.{:02}", milli / 1_000, milli % 1_000 / 10),
        _ => format!("{}.{}", milli / 1_000, milli % 1_000 / 100),
    }
}

/// Bytes in powers of 1,024, with three digits.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["", "Ki", "Mi", "Gi", "Ti", "Pi"];
    if bytes < 1_024 {
        return format!("{bytes}B");
    }
    // Tenths of the unit, which the last step before leaves exact enough.
    let (mut tenths, mut unit) = (u128::from(bytes) * 10, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths = (tenths + 512) / 1_024;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if tenths < 1_000 {
        format!("{}.{}{name}", tenths / 10, tenths % 10)
    } else {
        format!("{}{name}", (tenths + 5) / 10)
    }
}

/// Bytes a second.
pub(super) fn rate(per_second: f64) -> String {
    bytes(whole(per_second))
}

/// Hundredths as a whole percentage.
pub(super) fn percent(ratio: f64) -> String {
    format!("{:.0}%", ratio * 100.0)
}

/// A duration in its largest unit.
pub(super) fn age(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A duration in its two largest units.
pub(super) fn uptime(ms: u64) -> String {
    let minutes = ms / 60_000;
    let (days, hours) = (minutes / 1_440, minutes / 60 % 24);
    match (days, hours) {
        (0, 0) => format!("{minutes}m"),
        (0, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {hours}h"),
    }
}

/// A text that takes one place a character and moves no cursor.
pub(super) fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in logging::escape(text).chars() {
        if character.is_ascii() {
            safe.push(character);
        } else {
            // How wide it would be, and whether it would join its neighbours, only the terminal knows.
            safe.extend(character.escape_unicode());
        }
    }
    safe
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        let told = [
            0,
            1_023,
            1_024,
            1_536,
            102_349,
            1_048_575,
            1 << 20,
            5 << 30,
            u64::MAX,
        ];
        let texts = told.map(bytes);
        assert_eq!(
            texts,
            [
                "0B", "1023B", "1.0Ki", "1.5Ki", "100Ki", "1.0Mi", "1.0Mi", "5.0Gi", "16384Pi"
            ]
        );
        let told = [0, 999_999, 1_234_000_000, 12_345_000_000, 123_456_000_000];
        assert_eq!(
            told.map(cores),
            ["0.000", "0.000", "1.234", "12.34", "123.4"]
        );
        assert_eq!(
            (rate(0.4), rate(2_048.0), rate(f64::NAN)),
            ("0B".into(), "2.0Ki".into(), "0B".into())
        );
    }

    #[test]
    fn durations_have_their_largest_units() {
        let told = [0, 119_999, 120_000, 7_200_000, 172_800_000];
        assert_eq!(told.map(age), ["0s", "119s", "2m", "2h", "2d"]);
        let told = [59_000, 3_660_000, 90_000_000];
        assert_eq!(told.map(uptime), ["0m", "1h 1m", "1d 1h"]);
    }

    #[test]
    fn texts_move_no_cursor_and_have_one_place_a_character() {
        assert_eq!(safe("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\u{a}c");
        assert_eq!(
            safe("\u{202e}\u{4e2d}\u{301}"),
            "\\u{202e}\\u{4e2d}\\u{301}"
        );
    }
}
