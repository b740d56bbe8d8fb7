//! Names of the nodes, and of what the rows of a template are about on each of them.
//!
//! Rows are shared and name nothing; definitions are each node's own. Pods get the node's number
//! into their names and UIDs, and the namespaces that the generator would have given them, so that a
//! namespace has a thousand pods on many nodes.

use std::sync::Arc;

use cairn_proto::model::{EntityDef, EntityKind};
use ring::digest::{SHA256, digest};

use crate::mix;

/// How the nodes of a fleet are named.
#[derive(Clone, Debug)]
pub struct Naming {
    seed: u64,
    templates: usize,
    pods: usize,
    namespaces: usize,
    /// The agents' tokens, where others than the fleet made them.
    tokens: Arc<[String]>,
}

impl Naming {
    /// The names of a fleet with so many templates.
    #[must_use]
    pub fn new(options: &mix::Options, templates: usize) -> Self {
        Self {
            seed: options.seed,
            templates: templates.max(1),
            pods: options.pods(),
            namespaces: options.namespace_count(),
            tokens: Arc::default(),
        }
    }

    /// The same names, with tokens that others made, by agent. An agent beyond them has the fleet's own.
    #[must_use]
    pub fn with_tokens(mut self, tokens: Vec<String>) -> Self {
        self.tokens = tokens.into();
        self
    }

    /// The name of the `index`th node, from 0.
    #[must_use]
    pub fn node(&self, index: usize) -> String {
        format!("node{}", index + 1)
    }

    /// The template whose rows it sends.
    #[must_use]
    pub fn template(&self, index: usize) -> usize {
        index % self.templates
    }

    /// The token that its agent shows.
    #[must_use]
    pub fn token(&self, index: usize) -> String {
        let made = self.tokens.get(index).cloned();
        made.unwrap_or_else(|| self.own(index))
    }

    /// A text that is the node's alone.
    fn own(&self, index: usize) -> String {
        format!("fleet-{}-of-{}", self.seed, self.node(index))
    }

    /// The boot id of the node.
    #[must_use]
    pub fn boot_id(&self, index: usize) -> [u8; 16] {
        let hash = digest(&SHA256, self.own(index).as_bytes());
        let mut id = [0; 16];
        for (byte, of) in id.iter_mut().zip(hash.as_ref()) {
            *byte = *of;
        }
        id
    }

    /// What a definition of the template is on this node.
    #[must_use]
    pub fn define(&self, index: usize, def: &EntityDef) -> EntityDef {
        let mut own = def.clone();
        match own.kind {
            EntityKind::Node => own.name = self.node(index),
            EntityKind::Pod => {
                own.name = on_node(&def.name, index);
                own.namespace = self.namespace(index, &def.namespace);
                own.uid = format!("{}{index:012x}", def.uid.get(..24).unwrap_or_default());
            }
            _ => {
                for (key, value) in &mut own.labels {
                    match key.as_str() {
                        "pvc_name" => *value = on_node(value, index),
                        "pvc_namespace" => *value = self.namespace(index, value),
                        _ => {}
                    }
                }
            }
        }
        own
    }

    /// The namespace in which the node's pod is instead of the template's: the generator deals pods
    /// out in the order of their numbers. Recorded names stay as they are.
    fn namespace(&self, index: usize, of: &str) -> String {
        let number = of.strip_prefix("ns-").and_then(|n| n.parse::<usize>().ok());
        let Some(number) = number else {
            return of.to_owned();
        };
        let ahead = (index - self.template(index)) * self.pods;
        format!("ns-{}", (number + ahead) % self.namespaces)
    }
}

fn on_node(name: &str, index: usize) -> String {
    format!("{name}-n{index}")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::Naming;
    use crate::mix::{Kind, Mix, Options};
    use cairn_proto::model::EntityKind;
    use cairn_proto::v1::Define;
    use cairn_proto::wire;

    #[test]
    fn every_pod_is_one_of_its_own_and_a_namespace_has_a_thousand() {
        let options = Options {
            nodes: 200,
            pods_per_node: Some(30),
            ..Options::of(Kind::C)
        };
        let naming = Naming::new(&options, 8);
        let first = options.first_namespace_pods();
        let mix = Mix::new(options).unwrap();
        let templates = (0..8).map(|index| {
            let mut node = mix.node(index).unwrap();
            node.next_row().unwrap();
            node.defs()
        });
        let templates: Vec<_> = templates.collect();
        let (mut uids, mut names) = (BTreeSet::new(), BTreeSet::new());
        let mut namespaces: BTreeMap<String, usize> = BTreeMap::new();
        for index in 0..200 {
            for def in &templates[naming.template(index)] {
                let own = naming.define(index, def);
                // What an aggregator would refuse is no definition.
                assert_eq!(wire::define(Define::from(&own)).as_ref(), Ok(&own));
                if own.kind == EntityKind::Pod {
                    *namespaces.entry(own.namespace.clone()).or_default() += 1;
                    assert!(uids.insert(own.uid));
                    assert!(names.insert((own.namespace, own.name)));
                }
            }
        }
        assert_eq!(namespaces.len(), 6);
        assert!(namespaces.values().all(|n| *n == 1_000), "{namespaces:?}");
        assert_eq!(namespaces["ns-0"], first);
    }
}
