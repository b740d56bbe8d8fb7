//! What is not done by a clock that cannot be believed, and who is told.

use cairn_proto::rfc3339;
use serde_json::Value;

use super::super::guard::Judged;
use super::super::held::{self, Found};
use super::super::lease::Now;
use super::super::told::About;
use super::Keeper;

impl Keeper {
    /// Whether the Secret may be changed by this clock; if not, that is told. Of clocks that cannot be compared it is
    /// told by the replica that would change it alone.
    pub(super) fn is_right(&mut self, now: Now, server_s: Option<u64>, writes: bool) -> bool {
        let judged = self.guard.judge(now, server_s);
        let (is_right, server_s) = match judged {
            Judged::Right => (true, server_s),
            Judged::Off(server_s) => (false, Some(server_s)),
            Judged::Unknown => (!writes, None),
        };
        self.metrics.clock(now.unix_s, server_s, !is_right);
        if is_right {
            self.told.well(About::Clock);
            return true;
        }
        let secret = self.objects.secret_name();
        let time = |unix_s: u64| rfc3339::format(unix_s.saturating_mul(1000));
        let now = time(now.unix_s);
        let (kind, text) = match judged {
            Judged::Off(server_s) => (
                "off",
                format!(
                    "this clock says {now}, that of the Kubernetes API {}: they are more than an hour apart, so \
                     until they agree this replica does not change Secret {secret}, gives the Lease back and does \
                     not take it: a replica whose clock is right renews, and what it makes is served here too. Set \
                     the clock of this node right (timedatectl, chronyc makestep), or that of the API server",
                    time(server_s)
                ),
            ),
            Judged::Right | Judged::Unknown => (
                "unknown",
                format!(
                    "the Kubernetes API does not say what time it is, so this clock, which says {now}, cannot be \
                     judged and Secret {secret} is not changed; what is served stays. Does a proxy before the API \
                     server take the header Date off its answers?"
                ),
            ),
        };
        self.metrics.failed(About::Clock, kind);
        self.told.wrong(About::Clock, kind, text);
        false
    }

    /// What the Secret has. By a clock that is off, what another replica has just made may have ended or not begun:
    /// then the API server's clock counts, by which that replica made it.
    pub(super) fn found(&mut self, object: &Value, now: Now, server_s: Option<u64>) -> Found {
        let found = held::read(object, &self.names, now.unix_s);
        match (&found, self.guard.judge(now, server_s)) {
            (Found::Good(held), Judged::Off(server_s)) if held.facts.leaf.is_err() => {
                held::read(object, &self.names, server_s)
            }
            _ => found,
        }
    }
}
