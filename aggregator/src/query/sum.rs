//! Values of several series as one.

/// Series added up tick by tick; nothing where none of them has a value. Saturates, so that figures
/// made up by a node cannot wrap.
#[derive(Clone, Debug)]
pub struct Sum {
    totals: Vec<Option<u64>>,
}

impl Sum {
    /// Of no series, over so many ticks.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let totals = vec![None; len];
        Self { totals }
    }

    /// Adds one series.
    pub fn add(&mut self, series: impl IntoIterator<Item = Option<u64>>) {
        for (sum, value) in self.totals.iter_mut().zip(series) {
            *sum = match (*sum, value) {
                (Some(sum), Some(value)) => Some(sum.saturating_add(value)),
                (sum, value) => sum.or(value),
            };
        }
    }

    /// What came of it.
    #[must_use]
    pub fn totals(self) -> Vec<Option<u64>> {
        self.totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_there_when_any_part_is() {
        let mut sum = Sum::new(3);
        sum.add([Some(1), None, None]);
        sum.add([Some(2), Some(5), None]);
        assert_eq!(sum.totals(), [Some(3), Some(5), None]);
        let mut sum = Sum::new(1);
        sum.add([Some(u64::MAX)]);
        sum.add([Some(1)]);
        assert_eq!(sum.totals(), [Some(u64::MAX)]);
    }
}
