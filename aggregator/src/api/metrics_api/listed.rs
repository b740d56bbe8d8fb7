//! The pods of a list, as they were at one moment.

use std::ops::Range;
use std::sync::Arc;

use super::copies::Spot;
use super::items::{Finder, Item, face, told_face};
use crate::cluster::Pod;
use crate::store::Entity;

/// Pods by namespace and name.
#[derive(Debug)]
pub(super) enum Pods {
    /// Those that run, as the Kubernetes API knows them.
    Known(Known),
    /// As agents tell them.
    Told(Vec<Entity>),
}

/// Pods in pieces as they are kept: one of each namespace, so that who lists everything touches no pod before it is
/// written.
#[derive(Debug)]
pub(super) struct Known {
    // Each with how many pods stand before it. None is empty.
    parts: Vec<(usize, Arc<[Arc<Pod>]>)>,
    count: usize,
}

impl Default for Pods {
    fn default() -> Self {
        Pods::Told(Vec::new())
    }
}

impl Pods {
    /// Of these pieces.
    pub(super) fn known(all: Vec<Arc<[Arc<Pod>]>>) -> Self {
        let mut count = 0;
        let all = all.into_iter().filter(|part| !part.is_empty());
        let parts = all.map(|part| {
            let before = count;
            count += part.len();
            (before, part)
        });
        let parts = parts.collect();
        Pods::Known(Known { parts, count })
    }

    /// How many there are, measured or not.
    pub(super) fn len(&self) -> usize {
        match self {
            Pods::Known(known) => known.count,
            Pods::Told(told) => told.len(),
        }
    }

    /// Looks up what those of a range use, in their order.
    pub(super) fn spots(&self, finder: &Finder, range: &Range<usize>) -> Vec<Option<Spot>> {
        match self {
            Pods::Known(known) => {
                let pods: Vec<&Pod> = known.within(range).flatten().map(|pod| &**pod).collect();
                finder.of_known(&pods)
            }
            Pods::Told(told) => finder.of_told(told.get(range.clone()).unwrap_or_default()),
        }
    }

    /// Shows those of a range that are measured, of which these are the spots.
    pub(super) fn each<'f>(
        &'f self,
        finder: &'f Finder,
        (range, spots): (&Range<usize>, &[Option<Spot>]),
        see: impl FnMut(&Item<'f, '_>),
    ) {
        match self {
            Pods::Known(known) => {
                let pods = known.within(range).flatten().map(|pod| face(pod));
                finder.show(pods.zip(spots), see);
            }
            Pods::Told(told) => {
                let pods = told.get(range.clone()).unwrap_or_default();
                finder.show(pods.iter().map(told_face).zip(spots), see);
            }
        }
    }
}

impl Known {
    /// The pods of a range, a piece of each part that it touches.
    fn within<'f>(
        &'f self,
        range: &Range<usize>,
    ) -> impl Iterator<Item = &'f [Arc<Pod>]> + Clone + use<'f> {
        let (start, end) = (range.start, range.end);
        let parts = &self.parts;
        let first = parts.partition_point(|(before, part)| before + part.len() <= start);
        let touched = parts.iter().skip(first);
        let touched = touched.take_while(move |(before, _)| *before < end);
        touched.map(move |(before, part)| {
            let from = start.saturating_sub(*before);
            let to = (end - before).min(part.len());
            part.get(from..to).unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_the_same_pods_however_they_are_kept() {
        let pod = |nth: usize| {
            Arc::new(Pod {
                name: format!("{nth}").into(),
                ..Pod::default()
            })
        };
        let (mut from, mut parts) = (0, Vec::new());
        for count in [3, 0, 1, 5, 0] {
            parts.push((from..from + count).map(pod).collect());
            from += count;
        }
        let pods = Pods::known(parts);
        let Pods::Known(known) = &pods else {
            panic!("they are known")
        };
        assert_eq!(pods.len(), 9);
        for (start, end) in (0..=9).flat_map(|start| (start..=9).map(move |end| (start, end))) {
            let range = start..end;
            let names: Vec<&str> = known
                .within(&range)
                .flatten()
                .map(|pod| &*pod.name)
                .collect();
            let expected: Vec<String> = range.map(|nth| nth.to_string()).collect();
            assert_eq!(names, expected);
        }
    }
}
