//! What was compared and what differs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::native::{self, Cells};
use super::{Point, Points, are_near};

/// So many examples of one metric say where to look.
const EXAMPLE_LIMIT: usize = 3;

/// The result of comparisons so far.
#[derive(Debug, Default)]
pub struct Found {
    compared: u64,
    wrong: BTreeMap<String, Wrong>,
}

/// What differs in one metric or list.
#[derive(Debug, Default)]
struct Wrong {
    count: u64,
    examples: Vec<String>,
}

impl Found {
    /// How many points, lists and values were compared.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.compared
    }

    /// Whether nothing differed.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.wrong.is_empty()
    }

    /// Compares one series of the model API within the ticks: nothing missing, nothing more.
    pub fn points(&mut self, path: &str, ticks: &[u64], expected: &Points, answered: &Points) {
        let group = format!("model {}", metric_of(path));
        for tick in ticks {
            let pair = (expected.get(tick), answered.get(tick));
            self.compare(&group, are_same(pair.0, pair.1), || {
                format!("{tick} {path}: expected {:?}, found {:?}", pair.0, pair.1)
            });
        }
        for tick in answered.keys().filter(|tick| !ticks.contains(tick)) {
            self.compare(&group, false, || format!("{tick} {path}: not asked for"));
        }
    }

    /// Compares one list.
    pub fn list(&mut self, tick: u64, path: &str, expected: &[String], answered: &[String]) {
        let last = path.trim_end_matches('/').rsplit('/').next();
        let group = format!("list of {}", last.unwrap_or_default());
        self.compare(&group, expected == answered, || {
            format!("{tick} {path}: expected {expected:?}, found {answered:?}")
        });
    }

    /// Compares everything of a node at one tick: nothing missing, nothing more.
    pub fn cells(&mut self, node: &str, tick: u64, expected: &Cells, answered: &Cells) {
        let keys: BTreeSet<&String> = expected.keys().chain(answered.keys()).collect();
        for key in keys {
            let pair = (expected.get(key), answered.get(key));
            let same = pair.0.is_some_and(|cell| cell.is_same(pair.1));
            let group = || format!("native {}", native::metric_of(key));
            self.compare_in(group, same, || {
                format!(
                    "{tick} {node} {key}: expected {:?}, found {:?}",
                    pair.0, pair.1
                )
            });
        }
    }

    /// Notes an answer that cannot be compared at all.
    pub fn broken(&mut self, what: &str, problem: &str) {
        self.compare("answer", false, || format!("{what}: {problem}"));
    }

    fn compare(&mut self, group: &str, same: bool, example: impl FnOnce() -> String) {
        self.compare_in(|| group.to_owned(), same, example);
    }

    fn compare_in(
        &mut self,
        group: impl FnOnce() -> String,
        same: bool,
        example: impl FnOnce() -> String,
    ) {
        self.compared += 1;
        if same {
            return;
        }
        let wrong = self.wrong.entry(group()).or_default();
        wrong.count += 1;
        if wrong.examples.len() < EXAMPLE_LIMIT {
            wrong.examples.push(example());
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count: u64 = self.wrong.values().map(|wrong| wrong.count).sum();
        write!(f, "{count} of {} differ", self.compared)?;
        for (group, wrong) in &self.wrong {
            write!(f, "\n{group}: {}", wrong.count)?;
            for example in &wrong.examples {
                write!(f, "\n    {example}")?;
            }
        }
        Ok(())
    }
}

/// What stands after the last `/metrics/` of a path, without its query.
fn metric_of(path: &str) -> &str {
    let metric = path.split("/metrics/").last().unwrap_or(path);
    metric.split('?').next().unwrap_or(metric)
}

fn are_same(one: Option<&Point>, other: Option<&Point>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.value == other.value && are_near(one.float, other.float),
        (one, other) => one.is_none() && other.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, Point};
    use super::{Cells, Found, Points};

    fn point(value: u64, float: Option<f64>) -> Point {
        Point { value, float }
    }

    fn judge(expected: &[(u64, Point)], answered: &[(u64, Point)]) -> (bool, u64) {
        let mut found = Found::default();
        let of = |points: &[(u64, Point)]| points.iter().copied().collect::<Points>();
        let path = "/api/v1/model/metrics/cpu/usage_rate";
        found.points(path, &[10, 20], &of(expected), &of(answered));
        (found.is_right(), found.compared())
    }

    #[test]
    fn points_are_compared_both_ways() {
        let one = point(1, None);
        assert_eq!(judge(&[(10, one)], &[(10, one)]), (true, 2));
        assert_eq!(judge(&[(10, one)], &[]), (false, 2));
        assert_eq!(judge(&[], &[(20, one)]), (false, 2));
        assert_eq!(judge(&[(10, one)], &[(10, point(2, None))]), (false, 2));
        assert_eq!(
            judge(&[(10, one)], &[(10, point(1, Some(1.0)))]),
            (false, 2)
        );
        assert_eq!(judge(&[], &[(30, one)]), (false, 3), "a tick not asked for");
    }

    #[test]
    fn fractions_may_differ_in_the_last_digits_only() {
        let third = point(0, Some(1.0 / 3.0));
        let near = point(0, Some(0.333_333_333_333_3));
        let far = point(0, Some(0.333_333));
        assert!(judge(&[(10, third)], &[(10, near)]).0);
        assert!(!judge(&[(10, third)], &[(10, far)]).0);
        let zero = point(0, Some(0.0));
        assert!(judge(&[(10, zero)], &[(10, zero)]).0);
        assert!(!judge(&[(10, zero)], &[(10, point(0, None))]).0);
    }

    #[test]
    fn cells_are_compared_both_ways() {
        let cell = |value| Cell { value, rate: None };
        let of = |cells: &[(&str, u64)]| -> Cells {
            let owned = cells
                .iter()
                .map(|&(key, value)| (key.to_owned(), cell(value)));
            owned.collect()
        };
        let judge = |expected: &[(&str, u64)], answered: &[(&str, u64)]| {
            let mut found = Found::default();
            found.cells("node1", 10, &of(expected), &of(answered));
            (found.is_right(), found.compared())
        };
        assert_eq!(
            judge(&[("a x", 1), ("a y", 2)], &[("a x", 1), ("a y", 2)]),
            (true, 2)
        );
        assert_eq!(judge(&[("a x", 1)], &[]), (false, 1));
        assert_eq!(judge(&[], &[("a x", 1)]), (false, 1));
        assert_eq!(judge(&[("a x", 1)], &[("a x", 2)]), (false, 1));
    }

    #[test]
    fn the_report_has_a_few_examples_of_each_metric() {
        let mut found = Found::default();
        let names = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
        for tick in 0..5 {
            found.list(tick, "/api/v1/model/nodes/", &names(&["a"]), &names(&["b"]));
        }
        found.list(9, "/api/v1/model/nodes/", &names(&["a"]), &names(&["a"]));
        found.broken("GET /", "404");
        let text = found.to_string();
        assert!(text.starts_with("6 of 7 differ\nanswer: 1\n    GET /: 404\nlist of nodes: 5\n"));
        assert_eq!(text.lines().count(), 7, "{text}");
    }
}
