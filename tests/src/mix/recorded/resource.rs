//! The body of `/metrics/resource`, as far as the catalogue needs it.

use std::collections::HashMap;

use super::Error;

/// A CPU counter with its stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counter {
    /// CPU time in ns.
    pub(super) nanos: u64,
    /// Unix ms.
    pub(super) time_ms: u64,
    /// Unix ms.
    pub(super) start_ms: Option<u64>,
}

/// One answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Resource {
    pub(super) node: Option<Counter>,
    /// By namespace, pod and container; the pod's own under an empty container.
    counters: HashMap<(String, String, String), Counter>,
    starts_ms: HashMap<(String, String, String), u64>,
}

impl Resource {
    /// Reads a body.
    pub(super) fn read(body: &[u8], tick_ms: u64) -> Result<Self, Error> {
        let mut resource = Self::default();
        let text = String::from_utf8_lossy(body);
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            resource.line(line, tick_ms).ok_or_else(|| Error::Text {
                tick_ms,
                text: line.to_owned(),
                expected: "a line of the text format",
            })?;
        }
        Ok(resource)
    }

    /// The counter of a pod (with an empty container) or of a container.
    pub(super) fn counter(&self, namespace: &str, pod: &str, container: &str) -> Option<Counter> {
        let key = (namespace.to_owned(), pod.to_owned(), container.to_owned());
        let start_ms = self.starts_ms.get(&key).copied();
        self.counters.get(&key).map(|counter| Counter {
            start_ms,
            ..*counter
        })
    }

    fn line(&mut self, line: &str, tick_ms: u64) -> Option<()> {
        let (series, rest) = match line.split_once('}') {
            Some((series, rest)) => (series, rest),
            None => line.split_once(' ')?,
        };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let label = |wanted: &str| {
            let mut pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
            let found = pairs.find(|(key, _)| *key == wanted);
            found
                .map_or("", |(_, value)| value.trim_matches('"'))
                .to_owned()
        };
        let mut parts = rest.split_whitespace();
        let value = parts.next()?;
        let time_ms = match parts.next() {
            Some(time) => time.parse().ok()?,
            None => tick_ms,
        };
        let key = (label("namespace"), label("pod"), label("container"));
        match name {
            "node_cpu_usage_seconds_total" => self.node = Some(counter(value, time_ms)?),
            "pod_cpu_usage_seconds_total" | "container_cpu_usage_seconds_total" => {
                self.counters.insert(key, counter(value, time_ms)?);
            }
            "container_start_time_seconds" => {
                self.starts_ms.insert(key, scaled(value, 3)?);
            }
            _ => {}
        }
        Some(())
    }
}

fn counter(value: &str, time_ms: u64) -> Option<Counter> {
    Some(Counter {
        nanos: scaled(value, 9)?,
        time_ms,
        start_ms: None,
    })
}

/// A decimal number times ten to the power of `scale`, rounded down, without a detour over floats.
fn scaled(text: &str, scale: i32) -> Option<u64> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let exponent: i32 = exponent
        .strip_prefix('+')
        .unwrap_or(exponent)
        .parse()
        .ok()?;
    let shift = exponent + scale - i32::try_from(fraction.len()).ok()?;
    let power = 10_u128.checked_pow(shift.unsigned_abs())?;
    let value = if shift < 0 {
        digits / power
    } else {
        digits.checked_mul(power)?
    };
    u64::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn decimals_keep_every_digit() {
        assert_eq!(scaled("1.564984343", 9), Some(1_564_984_343));
        assert_eq!(scaled("1.7953324378253133e+09", 3), Some(1_795_332_437_825));
        assert_eq!(scaled("0", 9), Some(0));
        assert_eq!(scaled("5e-10", 9), Some(0));
        assert_eq!(scaled("74258.655783", 9), Some(74_258_655_783_000));
        for bad in ["", "x", "-1", "1e99", "NaN"] {
            assert_eq!(scaled(bad, 9), None, "{bad}");
        }
    }
}
