//! Whose turn it is to write: the replica that holds the Lease. Pure.
//!
//! A Lease that somebody else holds is free when it has not changed for a minute that *has passed here*: times
//! that the other one wrote are of its clock and judged by nobody, and a clock that is set makes nothing older.
//! Two replicas that both believe to hold it do no harm, since each write compares the version that was read.
//! One whose clock is off neither takes nor renews it, and gives it back.

use cairn_proto::rfc3339;
use serde_json::{Value, json};

/// How long a Lease stands without being renewed.
pub(super) const LIFE_S: u64 = 60;

/// Renewed after a third of that.
const RENEW_S: u64 = 20;

/// Now, as this process has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    /// By the clock, which somebody may set, Unix seconds: what is written down is of it.
    pub(super) unix_s: u64,
    /// On a line that nobody sets and that never goes back, seconds: ages are measured on it.
    pub(super) line_s: u64,
}

/// What one replica knows of the Lease.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    me: String,
    /// The version that was seen last, and since when, seconds of the line.
    seen: Option<(String, u64)>,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Turn {
    /// It is ours, and fresh.
    Ours,
    /// It is to be written so; then it is ours.
    Write(Value),
    /// It is ours and may not be: it is to be written so; then it is nobody's.
    GiveBack(Value),
    /// It is another's.
    Theirs(String),
    /// It is nobody's, and not for us to take.
    Free,
}

impl Lease {
    pub(super) fn new(me: String) -> Self {
        Self { me, seen: None }
    }

    pub(super) fn me(&self) -> &str {
        &self.me
    }

    /// Looks at the Lease as it is now; `may_hold` unless the own clock is off.
    pub(super) fn turn(&mut self, object: &Value, now: Now, may_hold: bool) -> Turn {
        let version = object["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default();
        let since_s = match &self.seen {
            Some((seen, since_s)) if seen == version => *since_s,
            _ => now.line_s,
        };
        self.seen = Some((version.to_owned(), since_s));
        let age_s = now.line_s.saturating_sub(since_s);
        let holder = object["spec"]["holderIdentity"]
            .as_str()
            .unwrap_or_default();
        if !may_hold {
            return match self.given_back(object) {
                Some(object) => Turn::GiveBack(object),
                None if holder.is_empty() => Turn::Free,
                None => Turn::Theirs(holder.to_owned()),
            };
        }
        if holder == self.me {
            return if age_s < RENEW_S {
                Turn::Ours
            } else {
                Turn::Write(self.taken(object, now.unix_s))
            };
        }
        if holder.is_empty() || age_s >= LIFE_S {
            return Turn::Write(self.taken(object, now.unix_s));
        }
        Turn::Theirs(holder.to_owned())
    }

    /// Notes what the API server made of a write, at a time on the line, seconds.
    pub(super) fn written(&mut self, object: &Value, line_s: u64) {
        let version = object["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default();
        self.seen = Some((version.to_owned(), line_s));
    }

    /// The Lease given back, where it is ours: by a replica that goes, or whose clock is off.
    pub(super) fn given_back(&self, object: &Value) -> Option<Value> {
        let holder = object["spec"]["holderIdentity"].as_str();
        if holder != Some(self.me.as_str()) {
            return None;
        }
        let mut object = object.clone();
        object["spec"]["holderIdentity"] = json!("");
        Some(object)
    }

    fn taken(&self, object: &Value, now_s: u64) -> Value {
        let mut object = object.clone();
        let before = object["spec"]["holderIdentity"].as_str();
        let is_new = before != Some(self.me.as_str());
        let now = micro_time(now_s);
        if !object["spec"].is_object() {
            object["spec"] = json!({});
        }
        let transitions = object["spec"]["leaseTransitions"].as_u64().unwrap_or(0);
        let spec = &mut object["spec"];
        spec["holderIdentity"] = json!(self.me);
        spec["leaseDurationSeconds"] = json!(LIFE_S);
        spec["renewTime"] = json!(now);
        if is_new {
            spec["acquireTime"] = json!(now);
            spec["leaseTransitions"] = json!((transitions + 1).min(u64::from(u32::MAX >> 1)));
        }
        object
    }
}

/// The API server takes times of Leases with six digits alone.
fn micro_time(unix_s: u64) -> String {
    let seconds = rfc3339::format(unix_s.saturating_mul(1000));
    format!("{}.000000Z", seconds.trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(version: u64, holder: &str) -> Value {
        json!({"metadata": {"resourceVersion": version.to_string()}, "spec": {"holderIdentity": holder}})
    }

    const START_S: u64 = 1_800_000_000;

    /// So long after the start, by a clock that is right.
    fn after(passed_s: u64) -> Now {
        Now {
            unix_s: START_S + passed_s,
            line_s: START_S + passed_s,
        }
    }

    #[test]
    fn an_empty_one_is_taken_and_kept_fresh() {
        let mut own = Lease::new("a".to_owned());
        let shipped = json!({"metadata": {"resourceVersion": "1"}});
        let Turn::Write(taken) = own.turn(&shipped, after(0), true) else {
            panic!("not taken")
        };
        assert_eq!(taken["spec"]["holderIdentity"], "a");
        assert_eq!(taken["spec"]["renewTime"], "2027-01-15T08:00:00.000000Z");
        assert_eq!(taken["metadata"]["resourceVersion"], "1");
        own.written(&lease(2, "a"), START_S);
        assert_eq!(own.turn(&lease(2, "a"), after(19), true), Turn::Ours);
        assert!(matches!(
            own.turn(&lease(2, "a"), after(20), true),
            Turn::Write(_)
        ));
    }

    #[test]
    fn anothers_is_taken_when_it_has_not_changed_for_a_minute() {
        let theirs = || Turn::Theirs("a".into());
        let mut own = Lease::new("b".to_owned());
        assert_eq!(own.turn(&lease(1, "a"), after(0), true), theirs());
        assert_eq!(own.turn(&lease(2, "a"), after(50), true), theirs());
        assert_eq!(own.turn(&lease(2, "a"), after(109), true), theirs());
        assert!(matches!(
            own.turn(&lease(2, "a"), after(110), true),
            Turn::Write(_)
        ));
    }

    #[test]
    fn a_clock_that_is_set_makes_a_lease_neither_older_nor_younger() {
        let theirs = || Turn::Theirs("a".into());
        for unix_s in [START_S + 86_400, START_S - 86_400] {
            let set = |line_s| Now { unix_s, line_s };
            let mut own = Lease::new("b".to_owned());
            assert_eq!(own.turn(&lease(2, "a"), after(0), true), theirs());
            assert_eq!(own.turn(&lease(2, "a"), set(START_S + 59), true), theirs());
            assert!(matches!(
                own.turn(&lease(2, "a"), set(START_S + 60), true),
                Turn::Write(_)
            ));
        }
    }

    #[test]
    fn who_may_not_hold_it_gives_it_back_and_takes_none() {
        let mut own = Lease::new("a".to_owned());
        own.written(&lease(2, "a"), START_S);
        // As long as it could not be written.
        for passed_s in [0, 20, 60, 600] {
            let turn = own.turn(&lease(2, "a"), after(passed_s), false);
            let Turn::GiveBack(back) = turn else {
                panic!("{turn:?}")
            };
            assert_eq!(back["spec"]["holderIdentity"], "");
        }
        assert_eq!(own.turn(&lease(3, ""), after(610), false), Turn::Free);
        for passed_s in [620, 6_200] {
            assert_eq!(
                own.turn(&lease(4, "b"), after(passed_s), false),
                Turn::Theirs("b".into())
            );
        }
        assert!(matches!(
            own.turn(&lease(4, "b"), after(6_210), true),
            Turn::Write(_)
        ));
    }

    #[test]
    fn one_that_goes_gives_its_own_back_and_no_other() {
        let own = Lease::new("a".to_owned());
        let back = own.given_back(&lease(1, "a")).unwrap();
        assert_eq!(back["spec"]["holderIdentity"], "");
        assert_eq!(own.given_back(&lease(1, "b")), None);
    }
}
