//! The answer to the question of the comparison, in one form for all systems.

use std::collections::BTreeMap;

use cairn_proto::catalogue::Field;

/// Points by pod: grid time, Unix ms, and value; oldest first.
pub(super) type Points = BTreeMap<String, Vec<(u64, u64)>>;

/// One field of the pods of a namespace, over the window.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// The namespace.
    pub(super) namespace: String,
    /// The field.
    pub(super) field: &'static Field,
    /// The first tick, Unix ms.
    pub(super) first_ms: u64,
    /// The last tick, Unix ms.
    pub(super) last_ms: u64,
    /// Distance of the ticks, ms.
    pub(super) interval_ms: u64,
}

/// The first difference, in words; `None` when both are equal.
#[must_use]
pub(super) fn difference(expected: &Points, found: &Points) -> Option<String> {
    if expected.len() != found.len() {
        return Some(format!("{} pods, not {}", found.len(), expected.len()));
    }
    for (pod, points) in expected {
        let Some(others) = found.get(pod) else {
            return Some(format!("no pod {pod}"));
        };
        if points.len() != others.len() {
            let (there, wanted) = (others.len(), points.len());
            return Some(format!("{there} points of {pod}, not {wanted}"));
        }
        let mut pairs = points.iter().zip(others);
        if let Some((point, other)) = pairs.find(|(point, other)| point != other) {
            return Some(format!("{other:?} of {pod}, not {point:?}"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Points, difference};

    fn points(pods: &[(&str, &[(u64, u64)])]) -> Points {
        let pods = pods.iter();
        pods.map(|(pod, points)| ((*pod).to_owned(), points.to_vec()))
            .collect()
    }

    #[test]
    fn the_first_difference_is_told() {
        let expected = points(&[("a", &[(10, 1), (20, 2)]), ("b", &[(10, 3)])]);
        assert_eq!(difference(&expected, &expected), None);
        for (found, told) in [
            (points(&[("a", &[(10, 1), (20, 2)])]), "1 pods, not 2"),
            (points(&[("a", &[]), ("c", &[])]), "0 points of a, not 2"),
            (
                points(&[("a", &[(10, 1), (20, 2)]), ("c", &[])]),
                "no pod b",
            ),
            (
                points(&[("a", &[(10, 1), (20, 4)]), ("b", &[(10, 3)])]),
                "(20, 4) of a, not (20, 2)",
            ),
        ] {
            assert_eq!(difference(&expected, &found).as_deref(), Some(told));
        }
    }
}
