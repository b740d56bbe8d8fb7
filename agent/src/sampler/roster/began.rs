//! When those who have a name began.

use std::sync::Arc;

use super::{Called, Roster, START_TOLERANCE_MS};
use crate::sources::Reading;
use crate::sources::cgroup::Cgroups;
use crate::sources::summary::Summary;

impl Roster {
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
                let by_kubelet = told.and_then(|(pod, taken_ms)| {
                    let mut named = pod.containers.iter().filter(|of| *of.name == *name);
                    let start_ms = named.find_map(|of| of.start_ms)?;
                    // One that was there before the agent was may have been made long before its
                    // directory's time, but what a later summary says is about it.
                    let was_there = known.seen.map(|seen| seen.first_tick) == first_tick
                        && first_tick.is_some_and(|first| first <= taken_ms);
                    let is_near = start_ms.saturating_add(START_TOLERANCE_MS) >= known.made_ms;
                    (was_there || is_near).then_some(start_ms)
                });
                // Who was named by an aggregator alone may have begun earlier, as the kubelet will say.
                let is_open = known.is_open();
                let made_ms = Some(known.made_ms).filter(|_| !is_open);
                known.start_ms = known.start_ms.or(by_kubelet).or(made_ms);
            }
        }
    }
}
