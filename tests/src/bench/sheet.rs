//! Where the results go, line by line as they come: some parts take minutes.

use std::io::{self, Write};

use super::line;
use super::{Line, Part};

/// The result while it is being written.
pub(super) struct Sheet<'a> {
    out: &'a mut dyn Write,
    missing: Vec<&'static str>,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        let missing = Vec::new();
        Self { out, missing }
    }

    /// Writes the names of the columns.
    pub(super) fn head(&mut self) -> io::Result<()> {
        writeln!(self.out, "{}", line::head())
    }

    /// Writes a figure.
    pub(super) fn line(&mut self, line: &Line) -> io::Result<()> {
        writeln!(self.out, "{line}")?;
        self.out.flush()
    }

    /// Writes what is no figure, behind `#`.
    pub(super) fn note(&mut self, text: &str) -> io::Result<()> {
        for line in text.lines() {
            writeln!(self.out, "# {line}")?;
        }
        self.out.flush()
    }

    /// Says that a part gave no result, or not all of it, and why.
    pub(super) fn missing(&mut self, part: Part, error: &anyhow::Error) -> io::Result<()> {
        if !self.missing.contains(&part.name()) {
            self.missing.push(part.name());
        }
        self.note(&format!("NOT MEASURED  {}: {error:#}", part.name()))
    }

    /// The parts that are missing.
    pub(super) fn all_missing(&self) -> &[&'static str] {
        &self.missing
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::{Part, Sheet};

    #[test]
    fn a_part_that_cannot_run_says_so_and_looks_like_no_figure() {
        let mut out = Vec::new();
        let mut sheet = Sheet::new(&mut out);
        let error = anyhow!("two\nlines").context("no room");
        sheet.missing(Part::Wire, &error).unwrap();
        assert_eq!(sheet.all_missing(), ["wire"]);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "# NOT MEASURED  wire: no room: two\n# lines\n");
    }
}
