//! What is asked for, may be used, or is there: amounts of resources, as objects say them.

use super::decode::wire::{Requirements as Written, Resources};
use super::quantity;

/// Resources of one container beside CPU, memory and ephemeral storage that are kept. A device plugin has one
/// or two; more would be a way to make the aggregator keep much.
const MOST_OTHERS: usize = 16;

/// The longest name of a resource: Kubernetes' own bound, a domain of 253 bytes, a slash and 63.
const LONGEST_NAME: usize = 317;

/// Amounts of resources. `None` is what is not set; that is not 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Amounts {
    /// Thousandths of a core.
    pub cpu_milli: Option<u64>,
    /// Bytes.
    pub memory_bytes: Option<u64>,
    /// Bytes.
    pub ephemeral_storage_bytes: Option<u64>,
    /// Of other resources, such as `nvidia.com/gpu`, how many, sorted by name; of containers alone.
    pub others: Box<[(Box<str>, u64)]>,
}

/// What a container asks for, and what it may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Requirements {
    /// What is put aside for it.
    pub requests: Amounts,
    /// What it may have.
    pub limits: Amounts,
}

impl Amounts {
    /// How many of another resource.
    #[must_use]
    pub fn other(&self, name: &str) -> Option<u64> {
        let at = self
            .others
            .binary_search_by(|(other, _)| (**other).cmp(name));
        let (_, count) = self.others.get(at.ok()?)?;
        Some(*count)
    }
}

/// Reads amounts, and counts those that are none, or are too many.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Amounts that were passed over. Saturates.
    pub(super) bad: u16,
}

impl Reader {
    /// What a container's object says.
    pub(super) fn requirements(&mut self, written: &Written<'_>) -> Requirements {
        Requirements {
            requests: self.with_others(&written.requests),
            limits: self.with_others(&written.limits),
        }
    }

    /// CPU, memory and ephemeral storage: what is served of a node.
    pub(super) fn amounts(&mut self, written: &Resources<'_>) -> Amounts {
        Amounts {
            cpu_milli: self.read(written, "cpu", quantity::milli),
            memory_bytes: self.read(written, "memory", quantity::whole),
            ephemeral_storage_bytes: self.read(written, "ephemeral-storage", quantity::whole),
            others: Box::default(),
        }
    }

    fn with_others(&mut self, written: &Resources<'_>) -> Amounts {
        let is_other = |name: &str| !matches!(name, "cpu" | "memory" | "ephemeral-storage");
        let names = written.names().filter(|name| is_other(name));
        let mut others = Vec::new();
        for name in names {
            if others.len() == MOST_OTHERS || name.is_empty() || name.len() > LONGEST_NAME {
                self.bad = self.bad.saturating_add(1);
            } else if let Some(count) = self.read(written, name, quantity::whole) {
                others.push((Box::from(name), count));
            }
        }
        Amounts {
            others: others.into_boxed_slice(),
            ..self.amounts(written)
        }
    }

    fn read(
        &mut self,
        written: &Resources<'_>,
        name: &str,
        parse: fn(&str) -> Option<u64>,
    ) -> Option<u64> {
        let amount = parse(written.text(name)?);
        if amount.is_none() {
            self.bad = self.bad.saturating_add(1);
        }
        amount
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> (Requirements, u16) {
        let mut reader = Reader::default();
        let written: Written<'_> = serde_json::from_str(json).unwrap();
        (reader.requirements(&written), reader.bad)
    }

    #[test]
    fn every_resource_is_read_exactly_and_sorted_by_name() {
        let (read, bad) = read(
            r#"{"requests": {"nvidia.com/gpu": "2", "cpu": "250m", "memory": "1.5Gi",
                             "hugepages-2Mi": "4Mi", "ephemeral-storage": "2G"},
                "limits": {"cpu": "1"}}"#,
        );
        let others = [("hugepages-2Mi", 4 << 20), ("nvidia.com/gpu", 2)];
        let requests = Amounts {
            cpu_milli: Some(250),
            memory_bytes: Some(3 << 29),
            ephemeral_storage_bytes: Some(2_000_000_000),
            others: others.map(|(name, count)| (name.into(), count)).into(),
        };
        assert_eq!((&read.requests, bad), (&requests, 0));
        assert_eq!(read.requests.other("nvidia.com/gpu"), Some(2));
        assert_eq!(read.requests.other("cpu"), None);
        assert_eq!(read.limits.cpu_milli, Some(1_000));
        assert_eq!(read.limits.memory_bytes, None);
    }

    #[test]
    fn a_bad_amount_is_counted_and_takes_nothing_with_it() {
        let (read, bad) = read(
            r#"{"requests": {"cpu": "1 core", "memory": 64, "ephemeral-storage": {"is": "odd"},
                             "example.com/a": "-1", "example.com/b": null, "example.com/c": "3"},
                "limits": null}"#,
        );
        // A bare number is an amount, too; null is what is not set.
        let requests = Amounts {
            memory_bytes: Some(64),
            others: Box::new([("example.com/c".into(), 3)]),
            ..Amounts::default()
        };
        assert_eq!((read.requests, bad), (requests, 3));
        assert_eq!(read.limits, Amounts::default());
    }

    #[test]
    fn other_resources_are_bounded_in_number_and_name() {
        let named = |name: &str| format!("\"{name}\": \"1\"");
        let many: Vec<String> = (10..30)
            .map(|n| named(&format!("example.com/{n}")))
            .collect();
        let (some, bad) = read(&format!("{{\"requests\": {{{}}}}}", many.join(",")));
        assert_eq!((some.requests.others.len(), bad), (MOST_OTHERS, 4));
        let long = named(&"x".repeat(LONGEST_NAME + 1));
        let (none, bad) = read(&format!("{{\"requests\": {{{long}}}}}"));
        assert_eq!((none.requests.others.len(), bad), (0, 1));
    }
}
