//! Who is in the row when more is listed than a node can have.
//!
//! Pure. The choice is the same at every tick, in whatever order the kubelet lists.

use std::collections::HashMap;

use crate::sources::cadvisor::{Cadvisor, Cgroup};
use crate::sources::summary::{Pod, Stats};

/// Pods taken of a node: several times what any kubelet is made to run. More would be paid for by
/// the aggregator and by everybody's window.
const MAX_PODS: usize = 1_024;

/// Containers taken of a pod, and system containers of a node. With the pods above they fill the ids
/// of a node.
const MAX_CONTAINERS: usize = 64;

/// The pods to take, and how many are left out: those that began last.
pub(super) fn pods(listed: &[Pod]) -> (Vec<&Pod>, u64) {
    first(listed.iter().collect(), |pod| pod)
}

/// The same of pods with something else about each.
pub(super) fn first<'a, T>(mut listed: Vec<T>, pod: impl Fn(&T) -> &'a Pod) -> (Vec<T>, u64) {
    let dropped = listed.len().saturating_sub(MAX_PODS);
    if dropped > 0 {
        let order = |of: &T| {
            let pod = pod(of);
            (pod.stats.start_ms.unwrap_or(u64::MAX), &pod.uid)
        };
        listed.sort_by(|a, b| order(a).cmp(&order(b)));
        listed.truncate(MAX_PODS);
    }
    (listed, dropped as u64)
}

/// Containers and other cgroups outside of pods that are taken of a host without a kubelet.
const MAX_FREE: usize = 1_024;

/// Those outside of pods to take, by name, and how many are left out: those that began last.
pub(super) fn free(cadvisor: &Cadvisor) -> (Vec<(&str, &Cgroup)>, u64) {
    let listed = cadvisor.free.iter();
    let mut taken: Vec<(&str, &Cgroup)> = listed.map(|(name, of)| (&**name, &**of)).collect();
    taken.sort_unstable_by_key(|(name, of)| (of.start_ms.unwrap_or(u64::MAX), *name));
    let dropped = taken.len().saturating_sub(MAX_FREE);
    taken.truncate(MAX_FREE);
    (taken, dropped as u64)
}

/// Up to so many containers each is compared with each, which takes no map.
const FEW: usize = 8;

/// Puts the containers to take into a list, of two with one name the one that began later; how many names
/// are left out: the last in their order.
pub(super) fn containers<'a>(listed: &'a [Stats], taken: &mut Vec<&'a Stats>) -> u64 {
    taken.clear();
    if listed.len() <= FEW {
        let is_newest = |(at, stats): &(usize, &Stats)| {
            let mut others = listed.iter().enumerate();
            !others.any(|(other_at, other)| {
                (other.start_ms, other_at) > (stats.start_ms, *at) && other.name == stats.name
            })
        };
        let newest = listed.iter().enumerate().filter(is_newest);
        taken.extend(newest.map(|(_, stats)| stats));
        return 0;
    }
    let mut newest: HashMap<&str, &Stats> = HashMap::new();
    for stats in listed {
        let entry = newest.entry(&stats.name).or_insert(stats);
        if entry.start_ms <= stats.start_ms {
            *entry = stats;
        }
    }
    let is_newest = |stats: &&Stats| {
        let named = newest.get(stats.name.as_str());
        named.is_some_and(|newest| std::ptr::eq(*newest, *stats))
    };
    taken.extend(listed.iter().filter(is_newest));
    let dropped = taken.len().saturating_sub(MAX_CONTAINERS);
    if dropped > 0 {
        taken.sort_by_key(|stats| &stats.name);
        taken.truncate(MAX_CONTAINERS);
    }
    dropped as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    fn container(name: String) -> Stats {
        Stats {
            name,
            ..Stats::default()
        }
    }

    fn pod(uid: String, start_ms: Option<u64>) -> Pod {
        let stats = Stats {
            start_ms,
            ..Stats::default()
        };
        Pod {
            name: uid.clone(),
            namespace: "shop".to_owned(),
            uid,
            stats,
            containers: Vec::new(),
        }
    }

    fn containers(listed: &[Stats]) -> (Vec<&Stats>, u64) {
        let mut taken = Vec::new();
        let dropped = super::containers(listed, &mut taken);
        (taken, dropped)
    }

    #[test]
    fn of_few_containers_and_of_many_the_same_lives_are_taken() {
        let life = |name: &str, start_ms| Stats {
            start_ms,
            ..container(name.to_owned())
        };
        let few = [
            life("a", Some(5)),
            life("b", None),
            life("a", Some(7)),
            life("a", Some(7)),
            life("b", Some(1)),
            life("c", None),
            life("a", None),
        ];
        let taken = containers(&few).0;
        let at = |at: usize| &few[at];
        assert!(
            taken
                .iter()
                .zip([3, 4, 5])
                .all(|(stats, n)| std::ptr::eq(*stats, at(n)))
        );
        assert_eq!(taken.len(), 3);
        let others = (0..9).map(|n| container(format!("x{n}")));
        let many: Vec<Stats> = few.iter().cloned().chain(others).collect();
        let of_many = containers(&many).0;
        assert_eq!(of_many.len(), 12);
        assert!(of_many.iter().zip(&taken).all(|(one, other)| one == other));
    }

    #[test]
    fn many_containers_of_one_name_are_one_and_take_no_time() {
        let listed: Vec<Stats> = (0..100_000).map(|_| container("c".to_owned())).collect();
        let began = Instant::now();
        let (taken, dropped) = containers(&listed);
        // Comparing each with each took half a minute.
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
        assert_eq!((taken.len(), dropped), (1, 0));
        assert!(std::ptr::eq(taken[0], listed.last().unwrap()));
    }

    #[test]
    fn of_too_many_containers_the_same_are_taken_in_any_order() {
        let mut listed: Vec<Stats> = (0..70).map(|n| container(format!("c{n:02}"))).collect();
        let (taken, dropped) = containers(&listed);
        let names: Vec<String> = taken.iter().map(|stats| stats.name.clone()).collect();
        assert_eq!((names.len(), dropped), (64, 6));
        listed.reverse();
        assert!(containers(&listed).0.iter().map(|s| &s.name).eq(&names));
    }

    #[test]
    fn of_too_many_pods_the_newcomers_are_left_out() {
        let mut listed: Vec<Pod> = (0..1_030)
            .map(|n| pod(format!("u{n:04}"), Some(5_000 - n)))
            .collect();
        listed.push(pod("unknown".to_owned(), None));
        let (taken, dropped) = pods(&listed);
        assert_eq!((taken.len(), dropped), (1_024, 7));
        let starts = || taken.iter().filter_map(|pod| pod.stats.start_ms);
        assert_eq!((starts().count(), starts().max()), (1_024, Some(4_994)));
        // Not one too many: the kubelet's order stays.
        let (few, none) = pods(&listed[..1_024]);
        assert!(none == 0 && few.iter().copied().eq(&listed[..1_024]));
    }
}
