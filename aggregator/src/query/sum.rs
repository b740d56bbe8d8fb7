//! Values of several series as one.

/// Adds series tick by tick; `None` where none of them has a value. Saturates, so that figures
/// made up by a node cannot wrap.
#[must_use]
pub fn add_up(series: impl IntoIterator<Item = Vec<Option<u64>>>, len: usize) -> Vec<Option<u64>> {
    let mut total = vec![None; len];
    for one in series {
        for (sum, value) in total.iter_mut().zip(one) {
            *sum = match (*sum, value) {
                (Some(sum), Some(value)) => Some(u64::saturating_add(sum, value)),
                (sum, value) => sum.or(value),
            };
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_there_when_any_part_is() {
        let series = [vec![Some(1), None, None], vec![Some(2), Some(5), None]];
        assert_eq!(add_up(series, 3), [Some(3), Some(5), None]);
        assert_eq!(
            add_up([vec![Some(u64::MAX)], vec![Some(1)]], 1),
            [Some(u64::MAX)]
        );
    }
}
