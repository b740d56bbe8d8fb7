//! What is not done by a clock that cannot be believed, and who is told.

use cairn_proto::rfc3339;

use super::super::guard::{self, Judged};
use super::super::told::About;
use super::Keeper;

impl Keeper {
    /// Whether the Secret may be changed by this clock; if not, that is told. Of clocks that cannot be compared it is
    /// told by the replica that would change it alone.
    pub(super) fn is_right(&mut self, now_s: u64, server_s: Option<u64>, writes: bool) -> bool {
        let judged = guard::judge(now_s, server_s);
        let is_right = match judged {
            Judged::Right => true,
            Judged::Off(_) => false,
            Judged::Unknown => !writes,
        };
        self.metrics.clock(now_s, server_s, !is_right);
        if is_right {
            self.told.well(About::Clock);
            return true;
        }
        let secret = self.objects.secret_name();
        let time = |unix_s: u64| rfc3339::format(unix_s.saturating_mul(1000));
        let now = time(now_s);
        let (kind, text) = match judged {
            Judged::Off(server_s) => (
                "off",
                format!(
                    "this clock says {now}, that of the Kubernetes API {}: they are more than an hour apart, so \
                     this replica does not change Secret {secret}, and no CA is made, promoted or dropped; what is \
                     served stays. Set the clock of this node right (timedatectl, chronyc makestep), or that of \
                     the API server",
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
}
