//! What cgroups mean for the rest of a tick.

use cairn_proto::catalogue::Source;

use super::Sampler;
use super::cadence::Seen;
use super::tick::{choose, last};

impl Sampler {
    /// Looks at who is there, and says whom to ask for more.
    pub(super) fn see(&mut self, tick: u64, fresh: &[Source]) -> Seen {
        if self.cgroups.is_none() {
            return Seen::default();
        }
        // The others count as heard: who is silent is left for them.
        let mut heard = vec![Source::Summary, Source::Resource];
        heard.extend(fresh.iter().filter(|source| **source == Source::Cgroup));
        let chosen = choose(&mut self.cgroups, "pods and containers", tick, &heard);
        let Some(reading) = last(&self.feeds.cgroups) else {
            return Seen::default();
        };
        if fresh.contains(&Source::Cgroup) {
            self.roster.see(tick, &reading.values);
        }
        Seen {
            serves: chosen == Source::Cgroup,
            unnamed_pod: self.roster.has_unnamed_pod(),
            unnamed_container: self.roster.has_unnamed_container(tick),
        }
    }

    /// Takes the names that came.
    pub(super) fn learn(&mut self, tick: u64, fresh: &[Source]) {
        let Some(reading) = last(&self.feeds.cgroups) else {
            return;
        };
        let summary = last(&self.feeds.summary);
        if let Some(summary) = summary.filter(|_| fresh.contains(&Source::Summary)) {
            self.roster.learn_pods(tick, &summary.values);
        }
        let cadvisor = last(&self.feeds.cadvisor);
        if let Some(cadvisor) = cadvisor.filter(|_| fresh.contains(&Source::Cadvisor)) {
            let sandboxes = self.roster.learn_identities(tick, &cadvisor.values);
            self.feeds.sandboxes.set(sandboxes);
        }
        self.roster.settle(&reading.values, summary);
    }
}
