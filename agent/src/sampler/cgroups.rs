//! What cgroups mean for the rest of a tick.

use cairn_proto::catalogue::Source;
use cairn_runtime::readiness::Note;

use super::Sampler;
use super::cadence::Seen;
use super::preference::Heard;
use super::roster::Joined;
use super::tick::{choose, gauge, last};
use crate::metrics::ByKind;

/// Under this name `/readyz?verbose` says that cgroups are left out for want of descriptors.
const SHORTAGE_NOTE: &str = "cgroups";

/// Under this name it says that cgroups cannot be told apart.
const STRANGERS_NOTE: &str = "names of cgroups";

impl Sampler {
    /// Looks at who is there, and says whom to ask for more.
    pub(super) fn see(&mut self, tick: u64) -> Seen {
        if self.cgroups.is_none() {
            return Seen::default();
        }
        // The others count as heard: who is silent is left for them.
        let heard = |source| match source {
            Source::Cgroup => self.paces.heard(source),
            _ => Heard::Good,
        };
        let chosen = choose(&mut self.cgroups, "pods and containers", tick, heard);
        let Some(reading) = last(&self.feeds.cgroups) else {
            return Seen::default();
        };
        if self.paces.is_fresh(Source::Cgroup) {
            self.roster.see(tick, &reading.values);
        }
        let unnamed_container = self.roster.has_unnamed_container(tick);
        let asks_for_names = unnamed_container && self.feeds.cadvisor.is_some();
        let strangers = self.tell_strangers(asks_for_names);
        Seen {
            serves: chosen == Source::Cgroup && !strangers,
            unnamed_pod: self.roster.has_unnamed_pod(),
            newcomer: self.roster.has_newcomer(tick),
            unnamed_container,
        }
    }

    /// Says when containers of which the kubelet tells have cgroups that nobody can tell apart, while
    /// nobody is asked for it. True when that is so of all of them: then what the kubelet says at each row
    /// is better than what it says now and then.
    fn tell_strangers(&mut self, asks_for_names: bool) -> bool {
        let Joined { known, waiting } = self.roster.joined();
        // What a kubelet said that is silent now is no word of who is there.
        let is_told = waiting > 0 && !asks_for_names && self.paces.stands(Source::Summary);
        let all = is_told && known == 0;
        let strangers = is_told.then(|| {
            let how = if all {
                "so the kubelet is asked at every row"
            } else {
                "so they are told as often as the summary is read"
            };
            let remedy = if self.feeds.cadvisor.is_some() {
                "check that the kubelet's /metrics/cadvisor has their ids"
            } else {
                "leave --cadvisor off out, so that it can be asked for names"
            };
            format!("nobody tells whose cgroup is whose of {waiting} containers, {how}: {remedy}")
        });
        if strangers != self.strangers {
            match &strangers {
                Some(reason) => {
                    if self.strangers.is_none() {
                        tracing::warn!(reason, "containers without a cgroup");
                    }
                    let note = Note::Degraded(reason.clone());
                    self.setup.readiness.note(STRANGERS_NOTE, note);
                }
                None => self.setup.readiness.clear(STRANGERS_NOTE),
            }
            self.strangers = strangers;
        }
        all
    }

    /// Takes the names that came.
    pub(super) fn learn(&mut self, tick: u64) {
        let Some(reading) = last(&self.feeds.cgroups) else {
            return;
        };
        let summary = last(&self.feeds.summary);
        if let Some(summary) = summary.filter(|_| self.paces.is_fresh(Source::Summary)) {
            self.roster.learn_pods(tick, &summary.values);
        }
        let cadvisor = last(&self.feeds.cadvisor);
        if let Some(cadvisor) = cadvisor.filter(|_| self.paces.is_fresh(Source::Cadvisor)) {
            let sandboxes = self.roster.learn_identities(tick, &cadvisor.values);
            self.feeds.sandboxes.set(sandboxes);
        }
        if let Some(summary) = summary
            && let Some(sandboxes) = self.roster.recognise(tick, &reading.values, summary)
        {
            self.feeds.sandboxes.set(sandboxes);
        }
        self.roster.settle(&reading.values, summary);
        if self.paces.is_fresh(Source::Cgroup) {
            self.count_cgroups();
        }
    }

    fn count_cgroups(&mut self) {
        let Some(reading) = last(&self.feeds.cgroups) else {
            return;
        };
        let cgroups = &reading.values;
        let metrics = &self.setup.metrics.cgroups;
        let containers: usize = cgroups.pods.iter().map(|pod| pod.containers.len()).sum();
        let [unnamed_pods, unnamed_containers] = self.roster.unnamed_counts();
        for (kind, read, unnamed) in [
            ("pod", cgroups.pods.len(), unnamed_pods),
            ("container", containers, unnamed_containers),
        ] {
            let of = metrics.read.get_or_create(&ByKind { kind });
            of.set(gauge(read as u64));
            let of = metrics.unnamed.get_or_create(&ByKind { kind });
            of.set(gauge(unnamed as u64));
        }
        metrics.put_off.inc_by(cgroups.put_off_count);
        metrics.descriptors.set(gauge(cgroups.descriptor_count));
        for (kind, count) in [
            ("too_many", cgroups.dropped_count),
            ("no_descriptor", cgroups.shut_out_count),
            ("not_listed", cgroups.unlisted_count),
        ] {
            let of = metrics.left_out.get_or_create(&ByKind { kind });
            of.inc_by(count);
        }
        let shortage = cgroups.shortage();
        if shortage == self.shut_out {
            return;
        }
        match &shortage {
            Some(reason) => {
                if self.shut_out.is_none() {
                    tracing::warn!(reason, "cgroups are left out");
                }
                let note = Note::Degraded(reason.clone());
                self.setup.readiness.note(SHORTAGE_NOTE, note);
            }
            None => self.setup.readiness.clear(SHORTAGE_NOTE),
        }
        self.shut_out = shortage;
    }
}
