//! Whether the clock of this process can be believed. Pure.
//!
//! A CA that is made by a clock which is a year ahead holds for nobody, and what it took the place of is gone. So
//! before the Secret is changed, the clock is compared with that of the API server, which says what time it is
//! in every answer (the header `Date`) and in the managed fields of whatever it has just written.

use cairn_proto::rfc3339;
use serde_json::Value;

use super::bundle::MANAGER;
use super::lease::{LIFE_S, Now};

/// How far the two clocks may be apart. Certificates begin two hours before they are made, so what is made by a
/// clock that is an hour ahead holds at once by the other one; below it a fleet whose clocks are set by
/// hand would be without certificates.
pub(super) const MOST_OFF_S: u64 = 3600;

/// What is to be thought of the own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// It and the API server's are close to each other.
    Right,
    /// They are not: the API server's, Unix seconds.
    Off(u64),
    /// The API server did not say what time it is.
    Unknown,
}

/// Judges the own clock, and remembers that it was off.
#[derive(Debug, Default)]
pub(super) struct Guard {
    // What the API server said when the clock was last found off, Unix seconds, and when that was on the line.
    off: Option<(u64, u64)>,
}

impl Guard {
    /// Compares the clock with that of the API server, Unix seconds.
    ///
    /// Where that says what time it is only when it takes a write, what it said is carried on for as long as a Lease
    /// stands: a clock that was off is not believed before, unless it was set right by then.
    pub(super) fn judge(&mut self, now: Now, server_s: Option<u64>) -> Judged {
        let told_s = server_s.or_else(|| self.carried_on(now.line_s));
        let judged = judge(now.unix_s, told_s);
        match (judged, server_s) {
            (Judged::Off(at_s), Some(_)) => self.off = Some((at_s, now.line_s)),
            (Judged::Right, _) => self.off = None,
            _ => {}
        }
        judged
    }

    fn carried_on(&self, line_s: u64) -> Option<u64> {
        let (server_s, since_s) = self.off?;
        let passed_s = line_s.saturating_sub(since_s);
        (passed_s < LIFE_S).then(|| server_s.saturating_add(passed_s))
    }
}

fn judge(now_s: u64, server_s: Option<u64>) -> Judged {
    match server_s {
        None => Judged::Unknown,
        Some(server_s) if now_s.abs_diff(server_s) > MOST_OFF_S => Judged::Off(server_s),
        Some(_) => Judged::Right,
    }
}

/// The time of a header `Date`, Unix seconds. All but the oldest servers write it in one form:
/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, rest) = text.split_once(", ")?;
    let parts: Vec<&str> = rest.split(' ').collect();
    let [day, month, year, time, "GMT"] = parts[..] else {
        return None;
    };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    unix_s(&format!("{year}-{month:02}-{day}T{time}Z"))
}

/// When the API server took our last write of an object, Unix seconds, as its managed fields say.
pub(super) fn written(object: &Value) -> Option<u64> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    let ours = entries.iter().filter(|entry| entry["manager"] == MANAGER);
    ours.filter_map(|entry| unix_s(entry["time"].as_str()?))
        .max()
}

fn unix_s(text: &str) -> Option<u64> {
    u64::try_from(rfc3339::parse(text)? / 1000).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn clocks_may_be_an_hour_apart() {
        for (now_s, server_s, expected) in [
            (10_000, Some(10_000), Judged::Right),
            (10_000, Some(13_600), Judged::Right),
            (13_600, Some(10_000), Judged::Right),
            (13_601, Some(10_000), Judged::Off(10_000)),
            (10_000, Some(13_601), Judged::Off(13_601)),
            (10_000, None, Judged::Unknown),
        ] {
            assert_eq!(judge(now_s, server_s), expected, "{now_s} {server_s:?}");
        }
    }

    #[test]
    fn a_clock_that_was_off_stays_so_for_a_minute_unless_it_was_set_right() {
        let now = |unix_s, line_s| Now { unix_s, line_s };
        let mut guard = Guard::default();
        assert_eq!(guard.judge(now(90_000, 0), None), Judged::Unknown);
        assert_eq!(
            guard.judge(now(90_000, 0), Some(10_000)),
            Judged::Off(10_000)
        );
        // The API server says nothing any more, and its time goes on.
        assert_eq!(guard.judge(now(90_059, 59), None), Judged::Off(10_059));
        assert_eq!(guard.judge(now(90_060, 60), None), Judged::Unknown);
        assert_eq!(
            guard.judge(now(90_070, 70), Some(10_070)),
            Judged::Off(10_070)
        );
        // Somebody has set the clock.
        assert_eq!(guard.judge(now(10_080, 80), None), Judged::Right);
        assert_eq!(guard.judge(now(90_090, 90), None), Judged::Unknown);
        assert_eq!(
            guard.judge(now(90_100, 100), Some(10_100)),
            Judged::Off(10_100)
        );
        assert_eq!(guard.judge(now(90_110, 110), Some(90_110)), Judged::Right);
        assert_eq!(guard.judge(now(90_120, 120), None), Judged::Unknown);
    }

    #[test]
    fn a_date_is_read_and_what_is_none_is_not() {
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(date("Fri, 15 Jan 2027 08:00:00 GMT"), Some(1_800_000_000));
        for bad in [
            "",
            "1800000000",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1960 08:49:37 GMT",
            "Sun, 06 Nix 1994 08:49:37 GMT",
        ] {
            assert_eq!(date(bad), None, "{bad}");
        }
    }

    #[test]
    fn of_the_managed_fields_our_own_count() {
        let entry = |manager: &str, time: &str| json!({"manager": manager, "time": time});
        let object = |entries: Vec<Value>| json!({"metadata": {"managedFields": entries}});
        let fields = vec![
            entry("argo", "2030-01-15T08:00:09Z"),
            entry(MANAGER, "2027-01-15T08:00:00Z"),
            entry(MANAGER, "2026-01-15T08:00:00Z"),
        ];
        assert_eq!(written(&object(fields)), Some(1_800_000_000));
        assert_eq!(written(&object(vec![entry(MANAGER, "soon")])), None);
        assert_eq!(written(&json!({})), None);
    }
}
