//! Whose turn it is to write: the replica that holds the Lease. Pure.
//!
//! A Lease that somebody else holds is free when it has not changed for a minute *by our own clock*: times
//! that the other one wrote are of its clock and judged by nobody. Two replicas that both believe to hold it
//! do no harm, since each write compares the version that was read.

use cairn_proto::rfc3339;
use serde_json::{Value, json};

/// How long a Lease stands without being renewed.
pub(super) const LIFE_S: u64 = 60;

/// Renewed after a third of that.
const RENEW_S: u64 = 20;

/// What one replica knows of the Lease.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    me: String,
    /// The version that was seen last, and since when, Unix seconds.
    seen: Option<(String, u64)>,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Turn {
    /// It is ours, and fresh.
    Ours,
    /// It is to be written so; then it is ours.
    Write(Value),
    /// It is another's.
    Theirs(String),
}

impl Lease {
    pub(super) fn new(me: String) -> Self {
        Self { me, seen: None }
    }

    pub(super) fn me(&self) -> &str {
        &self.me
    }

    /// Looks at the Lease as it is now.
    pub(super) fn turn(&mut self, object: &Value, now_s: u64) -> Turn {
        let version = object["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default();
        let since_s = match &self.seen {
            Some((seen, since_s)) if seen == version => (*since_s).min(now_s),
            _ => now_s,
        };
        self.seen = Some((version.to_owned(), since_s));
        let age_s = now_s - since_s;
        let holder = object["spec"]["holderIdentity"]
            .as_str()
            .unwrap_or_default();
        if holder == self.me {
            return if age_s < RENEW_S {
                Turn::Ours
            } else {
                Turn::Write(self.taken(object, now_s))
            };
        }
        if holder.is_empty() || age_s >= LIFE_S {
            return Turn::Write(self.taken(object, now_s));
        }
        Turn::Theirs(holder.to_owned())
    }

    /// Notes what the API server made of a write.
    pub(super) fn written(&mut self, object: &Value, now_s: u64) {
        let version = object["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default();
        self.seen = Some((version.to_owned(), now_s));
    }

    /// The Lease given back, for a replica that goes.
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

    #[test]
    fn an_empty_one_is_taken_and_kept_fresh() {
        let mut own = Lease::new("a".to_owned());
        let shipped = json!({"metadata": {"resourceVersion": "1"}});
        let Turn::Write(taken) = own.turn(&shipped, 1_800_000_000) else {
            panic!("not taken")
        };
        assert_eq!(taken["spec"]["holderIdentity"], "a");
        assert_eq!(taken["spec"]["renewTime"], "2027-01-15T08:00:00.000000Z");
        assert_eq!(taken["metadata"]["resourceVersion"], "1");
        own.written(&lease(2, "a"), 1_800_000_000);
        assert_eq!(own.turn(&lease(2, "a"), 1_800_000_019), Turn::Ours);
        assert!(matches!(
            own.turn(&lease(2, "a"), 1_800_000_020),
            Turn::Write(_)
        ));
    }

    #[test]
    fn anothers_is_taken_when_it_has_not_changed_for_a_minute_by_our_clock() {
        let mut own = Lease::new("b".to_owned());
        assert_eq!(own.turn(&lease(1, "a"), 5_000), Turn::Theirs("a".into()));
        assert_eq!(own.turn(&lease(2, "a"), 5_050), Turn::Theirs("a".into()));
        assert_eq!(own.turn(&lease(2, "a"), 5_109), Turn::Theirs("a".into()));
        assert!(matches!(own.turn(&lease(2, "a"), 5_110), Turn::Write(_)));
        // Set back by an hour: a minute from there.
        let mut own = Lease::new("b".to_owned());
        own.turn(&lease(2, "a"), 5_000);
        own.turn(&lease(2, "a"), 1_400);
        assert!(matches!(own.turn(&lease(2, "a"), 1_460), Turn::Write(_)));
    }

    #[test]
    fn one_that_goes_gives_its_own_back_and_no_other() {
        let own = Lease::new("a".to_owned());
        let back = own.given_back(&lease(1, "a")).unwrap();
        assert_eq!(back["spec"]["holderIdentity"], "");
        assert_eq!(own.given_back(&lease(1, "b")), None);
    }
}
