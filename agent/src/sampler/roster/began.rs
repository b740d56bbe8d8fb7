//! When those who have a name began.
//!
//! A directory's time is when it was made, or when the kernel looked it up anew, which may be hours later. So it
//! says something of those alone that came while the agent was there. When the others began the kubelet has to say;
//! until then nothing is told of it, since another time than before would read as another life.

use std::sync::Arc;

use super::{Called, Roster, START_TOLERANCE_MS, Seen};
use crate::sources::Reading;
use crate::sources::cgroup::Cgroups;
use crate::sources::summary::Summary;

impl Roster {
    /// When the container with this id began, Unix ms, as far as it is known.
    #[must_use]
    pub fn start_ms(&self, id: &str) -> Option<u64> {
        let known = self.containers.get(id)?;
        let made_ms = Some(known.made_ms).filter(|_| self.is_newer(known.seen));
        known.start_ms.or(made_ms)
    }

    /// The same of the pod with this UID, whose directory has this time.
    #[must_use]
    pub fn pod_start_ms(&self, uid: &str, made_ms: u64) -> Option<u64> {
        let known = self.pods.get(uid)?;
        let by_kubelet = known.named.as_ref().and_then(|named| named.start_ms);
        by_kubelet.or_else(|| self.is_newer(known.cgroup).then_some(made_ms))
    }

    /// True when it came after the agent.
    fn is_newer(&self, seen: Option<Seen>) -> bool {
        seen.is_some_and(|seen| !seen.is_from_before(self.first_tick))
    }

    /// Settles when those with a name began: by the word of the summary where it speaks of the same
    /// life. What is settled is told as long as they live.
    pub fn settle(&mut self, cgroups: &Cgroups, summary: Option<&Reading<Summary>>) {
        let first_tick = self.first_tick;
        for pod in &cgroups.pods {
            let unsettled = |id: &Arc<str>| -> bool {
                let known = self.containers.get(id.as_ref());
                known.is_some_and(|of| of.start_ms.is_none() && of.called != Called::Nothing)
            };
            if !pod.containers.iter().any(|of| unsettled(&of.id)) {
                continue;
            }
            let told = summary.and_then(|reading| {
                let pods = &reading.values.pods;
                let found = pods.iter().find(|other| *other.uid == *pod.uid)?;
                Some((found, reading.taken_ms))
            });
            for container in &pod.containers {
                let Some(known) = self.containers.get_mut(container.id.as_ref()) else {
                    continue;
                };
                let Some(name) = known.name() else {
                    continue;
                };
                let seen = known.seen;
                let was_there = seen.is_some_and(|seen| seen.is_from_before(first_tick));
                let by_kubelet = told.and_then(|(pod, taken_ms)| {
                    let mut named = pod.containers.iter().filter(|of| *of.name == *name);
                    let start_ms = named.find_map(|of| of.start_ms)?;
                    // One that was there before the agent was may have been made long before its
                    // directory's time, but what a later summary says is about it.
                    let is_of_it = was_there && first_tick.is_some_and(|first| first <= taken_ms);
                    let is_near = start_ms.saturating_add(START_TOLERANCE_MS) >= known.made_ms;
                    (is_of_it || is_near).then_some(start_ms)
                });
                // Who was named by an aggregator alone may have begun earlier, as the kubelet will say.
                let is_open = known.is_open();
                let made_ms = Some(known.made_ms).filter(|_| !is_open && !was_there);
                known.start_ms = known.start_ms.or(by_kubelet).or(made_ms);
            }
        }
    }
}
