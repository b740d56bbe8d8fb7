//! One line of the result.

use std::fmt;

/// What a figure is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Smaller is better, and this is small enough.
    AtMost(f64),
    /// Larger is better, and this is large enough.
    AtLeast(f64),
}

impl Goal {
    /// Whether a figure reaches it.
    #[must_use]
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Goal::AtMost(goal) => value <= goal,
            Goal::AtLeast(goal) => value >= goal,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::AtMost(goal) => f.pad(&goal.to_string()),
            Goal::AtLeast(goal) => f.pad(&format!(">={goal}")),
        }
    }
}

/// A measured figure, and the goal it is held against.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Number in the table of goals, for example `10`.
    pub number: &'static str,
    /// What was measured.
    pub name: &'static str,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The goal; `None` where the figure has none or does not stand for it.
    pub goal: Option<Goal>,
    /// On what data and with what conditions.
    pub data: String,
}

impl Line {
    /// `ok`, `short`, or `-` without a goal.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        match self.goal {
            None => "-",
            Some(goal) if goal.is_met(self.value) => "ok",
            Some(_) => "short",
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let goal = self.goal.map_or("-".to_owned(), |goal| goal.to_string());
        let Line {
            number,
            name,
            value,
            unit,
            data,
            ..
        } = self;
        let verdict = self.verdict();
        write!(
            f,
            "{number:<3} {name:<32} {value:>9.3} {unit:<8} {goal:>6} {verdict:<5}  # {data}"
        )
    }
}

/// The names of the columns.
pub(crate) fn head() -> String {
    format!(
        "{:<3} {:<32} {:>9} {:<8} {:>6} {:<5}  # data",
        "#", "name", "value", "unit", "goal", ""
    )
}

#[cfg(test)]
mod tests {
    use super::{Goal, Line};

    #[test]
    fn a_line_says_whether_the_goal_is_reached() {
        let mut line = Line {
            number: "10",
            name: "freshness_p99",
            value: 4.125,
            unit: "ms",
            goal: Some(Goal::AtMost(100.0)),
            data: "K".to_owned(),
        };
        let words = |line: &Line| {
            line.to_string()
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(words(&line), "10 freshness_p99 4.125 ms 100 ok # K");
        line.value = 100.5;
        assert_eq!(words(&line), "10 freshness_p99 100.500 ms 100 short # K");
        line.goal = Some(Goal::AtLeast(100.5));
        assert_eq!(words(&line), "10 freshness_p99 100.500 ms >=100.5 ok # K");
        line.goal = Some(Goal::AtLeast(101.0));
        assert_eq!(words(&line), "10 freshness_p99 100.500 ms >=101 short # K");
        line.goal = None;
        assert_eq!(words(&line), "10 freshness_p99 100.500 ms - - # K");
    }
}
