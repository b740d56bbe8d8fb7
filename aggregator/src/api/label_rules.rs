//! How the labels of nodes and pods are exported: joined into one, some left out, some apart.

use std::collections::BTreeMap;

/// Labels of an exported thing, sorted by name.
pub(super) type Labels = BTreeMap<String, String>;

/// The label that holds all others.
const JOINED: &str = "labels";

/// What `--label-separator`, `--ignore-label` and `--store-label` say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRules {
    /// Stands between two labels that are joined.
    pub separator: String,
    /// Names of labels that are not joined.
    pub ignored: Vec<String>,
    /// Names of labels that are exported apart too, and as what.
    pub stored: Vec<(String, String)>,
}

impl Default for LabelRules {
    fn default() -> Self {
        Self {
            separator: ",".to_owned(),
            ignored: Vec::new(),
            stored: Vec::new(),
        }
    }
}

impl LabelRules {
    /// The exported form of these labels: `labels` with `name:value` pairs, sorted and joined, and
    /// each stored one. A label may be both stored and ignored.
    pub(super) fn exported<T: AsRef<str>>(&self, labels: &[(T, T)]) -> Labels {
        let labels = labels.iter();
        let labels = labels.map(|(name, value)| (name.as_ref(), value.as_ref()));
        let is_ignored = |name: &str| self.ignored.iter().any(|ignored| ignored == name);
        let joined = labels.clone().filter(|(name, _)| !is_ignored(name));
        let mut joined: Vec<String> = joined
            .map(|(name, value)| format!("{name}:{value}"))
            .collect();
        joined.sort_unstable();
        let mut exported = Labels::new();
        for (name, value) in labels {
            let stored = self.stored.iter().filter(|(stored, _)| stored == name);
            exported.extend(stored.map(|(_, to)| (to.clone(), value.to_owned())));
        }
        exported.insert(JOINED.to_owned(), joined.join(&self.separator));
        exported
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        owned.collect()
    }

    fn exported(rules: &LabelRules, labels: &[(&str, &str)]) -> Vec<(String, String)> {
        rules.exported(&owned(labels)).into_iter().collect()
    }

    #[test]
    fn labels_are_joined_in_order() {
        let rules = LabelRules::default();
        let found = exported(&rules, &[("tier", "backend"), ("app", "burner")]);
        assert_eq!(found, owned(&[("labels", "app:burner,tier:backend")]));
        assert_eq!(exported(&rules, &[]), owned(&[("labels", "")]));
        assert_eq!(exported(&rules, &[("a", "")]), owned(&[("labels", "a:")]));
        // Sorted as pairs, not as names.
        let found = exported(&rules, &[("a", "1"), ("a-b", "2"), ("a/b", "3")]);
        assert_eq!(found, owned(&[("labels", "a-b:2,a/b:3,a:1")]));
    }

    #[test]
    fn labels_are_separated_left_out_and_stored_as_told() {
        let rules = LabelRules {
            separator: " | ".to_owned(),
            ignored: vec!["hash".to_owned(), "zone".to_owned()],
            stored: owned(&[("zone", "zone"), ("app", "application"), ("none", "x")]),
        };
        let labels = [("app", "web"), ("hash", "1"), ("tier", "a"), ("zone", "z1")];
        let expected = [
            ("application", "web"),
            ("labels", "app:web | tier:a"),
            ("zone", "z1"),
        ];
        assert_eq!(exported(&rules, &labels), owned(&expected));
    }

    #[test]
    fn a_stored_label_never_takes_the_place_of_the_joined_ones() {
        let rules = LabelRules {
            stored: owned(&[("app", "labels")]),
            ..LabelRules::default()
        };
        assert_eq!(
            exported(&rules, &[("app", "web")]),
            owned(&[("labels", "app:web")])
        );
    }
}
