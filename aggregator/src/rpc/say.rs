//! How an answer is written.

use cairn_proto::catalogue::EntityKind;
use cairn_proto::v1;

use crate::query::{Sample, View};
use crate::store::Entity;

/// What an entity is called.
pub(super) fn entity(view: &View, entity: &Entity) -> v1::Entity {
    named(entity, view.is_current(entity))
}

/// The same of one of which it is known whether it is there now.
pub(super) fn named(entity: &Entity, is_current: bool) -> v1::Entity {
    let (kind, pod, container) = match entity.kind {
        EntityKind::Node => (v1::EntityKind::Node, "", ""),
        EntityKind::System => (v1::EntityKind::System, "", &*entity.name),
        EntityKind::Container => (v1::EntityKind::Container, &*entity.pod, &*entity.name),
        _ => (v1::EntityKind::Pod, &*entity.name, ""),
    };
    v1::Entity {
        kind: kind.into(),
        node: entity.node.as_ref().into(),
        namespace: entity.namespace.as_ref().into(),
        pod: pod.into(),
        pod_uid: entity.pod_uid.as_ref().into(),
        container: container.into(),
        start_ms: entity.start_ms,
        first_tick_ms: entity.first_tick_ms,
        last_tick_ms: entity.last_tick_ms,
        alive: is_current,
    }
}

/// Which of `count` ticks have a value, as lengths of runs: absent, present, absent, in turn. The
/// last run is left out, so there is none where no tick is without a value.
pub(super) fn runs(count: usize, is_there: impl Iterator<Item = bool>) -> Vec<u32> {
    let mut runs = Vec::new();
    let (mut state, mut length) = (false, 0);
    let all = is_there.chain(std::iter::repeat(false)).take(count);
    for there in all {
        if there != state {
            runs.push(length);
            (state, length) = (there, 0);
        }
        length += 1;
    }
    // Present from the first tick to the last.
    if runs == [0] && length as usize == count {
        runs.clear();
    }
    runs
}

/// One series: its values, or its rates.
pub(super) fn series(
    entity: v1::Entity,
    samples: &[Option<Sample>],
    count: usize,
    rate: bool,
) -> v1::Series {
    let mut series = v1::Series {
        entity: Some(entity),
        ..v1::Series::default()
    };
    if rate {
        let rates = samples.iter().map(|s| s.and_then(|s| s.rate));
        series.runs = runs(count, rates.clone().map(|rate| rate.is_some()));
        let rates = rates.flatten().map(|rate| rate.per_second());
        series.rates = rates.collect();
        return series;
    }
    series.runs = runs(count, samples.iter().map(Option::is_some));
    series.deltas.reserve_exact(samples.len());
    let mut before = 0_u64;
    for sample in samples.iter().flatten() {
        let delta = sample.value.wrapping_sub(before);
        series.deltas.push(delta.cast_signed());
        before = sample.value;
    }
    series
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader makes of the runs.
    fn read(count: usize, runs: &[u32]) -> Vec<bool> {
        let mut there = Vec::new();
        let mut state = runs.is_empty();
        for length in runs {
            there.extend(std::iter::repeat_n(state, *length as usize));
            state = !state;
        }
        there.resize(count, state);
        there
    }

    #[test]
    fn runs_say_which_ticks_have_a_value() {
        for count in 0..9_usize {
            for mask in 0..1_u32 << count {
                let there: Vec<bool> = (0..count).map(|at| mask >> at & 1 == 1).collect();
                let runs = runs(count, there.iter().copied());
                let expected = if mask == 0 { 0 } else { count };
                assert_eq!(read(count, &runs).len(), count);
                if mask == 0 {
                    // Such a series is not sent.
                    assert!(runs.is_empty());
                } else {
                    assert_eq!(read(count, &runs), there, "{runs:?} of {expected}");
                }
            }
        }
    }
}
