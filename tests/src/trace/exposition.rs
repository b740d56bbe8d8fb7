//! The text of `/metrics/resource`: read into families and samples, and written again byte for
//! byte as the kubelet writes it.

use std::fmt::Write as _;

/// One family: its comment lines and its samples in the order read.
#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) comments: Vec<String>,
    pub(super) name: String,
    pub(super) samples: Vec<Sample>,
}

/// One line. The value stays text until somebody changes it.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Label names and raw (still escaped) values in the order read.
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: f64,
    /// Measurement time in Unix milliseconds; `None` when the line has none.
    pub(super) time_ms: Option<i64>,
}

impl Sample {
    /// The raw value of a label, empty when absent.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    /// Puts another value into a label that is there.
    pub(super) fn set_label(&mut self, name: &str, to: &str) {
        for (key, value) in &mut self.labels {
            if key == name {
                to.clone_into(value);
            }
        }
    }
}

/// Reads a whole body; the error is the line that is not understood.
pub(super) fn parse(body: &str) -> Result<Vec<Family>, String> {
    let mut families: Vec<Family> = Vec::new();
    let mut comments: Vec<String> = Vec::new();
    for line in body.lines() {
        if line.starts_with('#') {
            comments.push(line.to_owned());
            continue;
        }
        let (name, sample) = parse_sample(line).ok_or_else(|| line.to_owned())?;
        match families.last_mut() {
            Some(family) if family.name == name && comments.is_empty() => {
                family.samples.push(sample);
            }
            _ => families.push(Family {
                comments: std::mem::take(&mut comments),
                name,
                samples: vec![sample],
            }),
        }
    }
    Ok(families)
}

fn parse_sample(line: &str) -> Option<(String, Sample)> {
    let (name, labels, rest) = match line.split_once('{') {
        Some((name, rest)) => {
            let (labels, rest) = rest.rsplit_once('}')?;
            (name, parse_labels(labels)?, rest.trim_start())
        }
        None => {
            let (name, rest) = line.split_once(' ')?;
            (name, Vec::new(), rest)
        }
    };
    let mut words = rest.split(' ');
    let value: f64 = words.next()?.parse().ok()?;
    let time_ms = match words.next() {
        Some(word) => Some(word.parse().ok()?),
        None => None,
    };
    let sample = Sample {
        labels,
        value,
        time_ms,
    };
    Some((name.to_owned(), sample))
}

/// The names of namespaces, pods and containers have no quote, comma or backslash, so the simple
/// split is enough for what a kubelet sends here.
fn parse_labels(text: &str) -> Option<Vec<(String, String)>> {
    text.split(',')
        .map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let value = value.strip_prefix('"')?.strip_suffix('"')?;
            Some((key.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Writes the families; samples are written in the order given.
pub(super) fn render(families: &[Family]) -> String {
    let mut out = String::with_capacity(64 * 1024);
    for family in families {
        for comment in &family.comments {
            out.push_str(comment);
            out.push('\n');
        }
        for sample in &family.samples {
            out.push_str(&family.name);
            for (index, (key, value)) in sample.labels.iter().enumerate() {
                out.push(if index == 0 { '{' } else { ',' });
                // Writing into a String cannot fail.
                write!(out, "{key}=\"{value}\"").unwrap_or_default();
            }
            if !sample.labels.is_empty() {
                out.push('}');
            }
            out.push(' ');
            out.push_str(&number(sample.value));
            if let Some(time_ms) = sample.time_ms {
                write!(out, " {time_ms}").unwrap_or_default();
            }
            out.push('\n');
        }
    }
    out
}

/// Writes a number the way the kubelet's library does: shortest digits that read back the same,
/// an exponent of two digits from a million on and below a ten-thousandth.
fn number(value: f64) -> String {
    let shortest = format!("{value:e}");
    let Some((digits, exponent)) = shortest.split_once('e') else {
        return shortest; // NaN and infinities, which have no exponent
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if value != 0.0 && !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{value}"),
    }
}

/// Reads seconds as whole nanoseconds; exact for counters below a hundred CPU days.
pub(super) fn nanos(seconds: f64) -> u64 {
    format!("{:.0}", seconds * 1e9).parse().unwrap_or(0)
}

/// Gives nanoseconds as the seconds a kubelet writes: one division, as it does it.
pub(super) fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::{nanos, number, parse, render, seconds};

    #[test]
    fn numbers_are_written_as_the_kubelet_writes_them() {
        for text in [
            "0",
            "1",
            "389120",
            "690171.5",
            "1.769472e+06",
            "1.7953322207225926e+09",
            "0.033367268",
            "74.258655783",
            "0.0001",
            "1.5e-05",
            "3e+21",
        ] {
            let value: f64 = text.parse().unwrap();
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn nanoseconds_survive_the_way_through_seconds() {
        for value in [0, 1, 1_455_120_141, 74_258_655_783, 999_999_999_999_999] {
            assert_eq!(nanos(seconds(value)), value);
        }
    }

    #[test]
    fn a_body_reads_back_the_same() {
        let body = "# HELP a b\n# TYPE a counter\na{x=\"1\",y=\"2\"} 1.5 1795332326276\n# TYPE e gauge\ne 0\n";
        assert_eq!(render(&parse(body).unwrap()), body);
        assert_eq!(parse("a{x=1} 2\n").unwrap_err(), "a{x=1} 2");
        assert_eq!(parse("a b\n").unwrap_err(), "a b");
    }
}
