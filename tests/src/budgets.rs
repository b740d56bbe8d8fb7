//! Limits of what must not grow unnoticed, from one file that people edit.
//!
//! A line is `name limit unit  # why`. A value over its limit fails; a value below half of it fails
//! too, so that what was won is not lost again by and by.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Why the file or a value is not good.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line has another form.
    #[error("{}:{line}: expected `name limit unit  # why`, each name once", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
    },
    /// No line of that name.
    #[error("no budget {name}: add the line `{name} {value:.3} UNIT  # WHY` to {}", path.display())]
    Unknown {
        /// The budget asked for.
        name: String,
        /// What was measured.
        value: f64,
        /// The file.
        path: PathBuf,
    },
    /// Over the limit.
    #[error("{name} is {value:.3} {unit}, over its limit {limit}: undo what made it grow, or raise the limit in {} and say there why", path.display())]
    Over {
        /// The budget.
        name: String,
        /// What was measured.
        value: f64,
        /// What is allowed.
        limit: f64,
        /// Of both.
        unit: String,
        /// The file.
        path: PathBuf,
    },
    /// Below half of the limit.
    #[error("{name} is {value:.3} {unit}, less than half of its limit {limit}: lower the limit in {} to keep what was won", path.display())]
    Loose {
        /// The budget.
        name: String,
        /// What was measured.
        value: f64,
        /// What is allowed.
        limit: f64,
        /// Of both.
        unit: String,
        /// The file.
        path: PathBuf,
    },
}

#[derive(Clone, Debug)]
struct Budget {
    limit: f64,
    unit: String,
}

/// The budgets of a file.
#[derive(Clone, Debug)]
pub struct Budgets {
    path: PathBuf,
    budgets: BTreeMap<String, Budget>,
}

impl Budgets {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// `Read` or `Line`.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_path_buf(),
            source,
        })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let mut budgets = BTreeMap::new();
        for (line, number) in text.lines().zip(1..) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || Error::Line {
                path: path.to_path_buf(),
                line: number,
            };
            let (name, budget) = parse_line(line).ok_or_else(wrong)?;
            if budgets.insert(name, budget).is_some() {
                return Err(wrong());
            }
        }
        Ok(Self {
            path: path.to_path_buf(),
            budgets,
        })
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.budgets.keys().map(String::as_str)
    }

    /// Judges a value.
    ///
    /// # Errors
    ///
    /// `Unknown`, `Over` or `Loose`; the message says what to edit.
    pub fn judge(&self, name: &str, value: f64) -> Result<(), Error> {
        let (name, path) = (name.to_owned(), self.path.clone());
        let Some(Budget { limit, unit }) = self.budgets.get(&name).cloned() else {
            return Err(Error::Unknown { name, value, path });
        };
        if value > limit {
            return Err(Error::Over {
                name,
                value,
                limit,
                unit,
                path,
            });
        }
        if value < limit / 2.0 {
            return Err(Error::Loose {
                name,
                value,
                limit,
                unit,
                path,
            });
        }
        Ok(())
    }
}

fn parse_line(line: &str) -> Option<(String, Budget)> {
    let (budget, why) = line.split_once('#')?;
    let mut words = budget.split_whitespace();
    let (name, limit, unit) = (words.next()?, words.next()?, words.next()?);
    let limit: f64 = limit.parse().ok()?;
    let good = limit > 0.0 && limit.is_finite() && !why.trim().is_empty();
    (good && words.next().is_none()).then(|| {
        (
            name.to_owned(),
            Budget {
                limit,
                unit: unit.to_owned(),
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Budgets, Error};

    fn parse(text: &str) -> Result<Budgets, Error> {
        Budgets::parse(Path::new("budgets.txt"), text)
    }

    #[test]
    fn a_value_is_judged_from_both_sides() {
        let budgets = parse("# head\n\nrow_bytes 10 bytes  # why\n").unwrap();
        assert_eq!(budgets.names().collect::<Vec<_>>(), ["row_bytes"]);
        for good in [10.0, 5.0] {
            budgets.judge("row_bytes", good).unwrap();
        }
        let over = budgets.judge("row_bytes", 10.1).unwrap_err().to_string();
        assert!(
            over.contains("over its limit 10") && over.contains("budgets.txt"),
            "{over}"
        );
        let loose = budgets.judge("row_bytes", 4.9).unwrap_err().to_string();
        assert!(loose.contains("lower the limit in budgets.txt"), "{loose}");
        assert!(matches!(
            budgets.judge("other", 1.0),
            Err(Error::Unknown { .. })
        ));
    }

    #[test]
    fn lines_of_another_form_are_refused() {
        for bad in [
            "a 1 b",
            "a 1 b #",
            "a x b # c",
            "a 1 b c # d",
            "a 0 b # c",
            "a 1 b # c\na 1 b # c",
        ] {
            assert!(matches!(parse(bad), Err(Error::Line { .. })), "{bad}");
        }
    }
}
