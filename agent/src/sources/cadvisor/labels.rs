//! The labels of a line.

use std::borrow::Cow;

use cairn_proto::limits::MAX_NAME_BYTES;

use super::Teller;
use super::family::Family;
use crate::sources::exposition::{self, Sample};

/// The longest path of a cgroup that is kept, bytes: several times what any runtime makes.
const MAX_PATH_BYTES: usize = 1_024;

/// How a cAdvisor of its own begins the labels that the kubelet gave to the runtime.
const OF_KUBELET: &[u8] = b"container_label_io_kubernetes_";

/// The labels that are looked at.
#[derive(Debug, Default)]
pub(super) struct Labels<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) namespace: Cow<'a, str>,
    pub(super) pod: Cow<'a, str>,
    pub(super) uid: Cow<'a, str>,
    pub(super) container: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    // Of a device, an interface, a processor, or a kind of fault.
    pub(super) part: Cow<'a, str>,
    // Of faults.
    pub(super) scope: Cow<'a, str>,
}

impl<'a> Labels<'a> {
    pub(super) fn parse(
        bytes: &'a [u8],
        family: Family,
        teller: Teller,
    ) -> Option<(Self, Sample<'a>)> {
        let mut labels = Self::default();
        let part = family.part_label();
        let sample = exposition::parse(bytes, |label, value| {
            let slot = match label {
                b"id" => &mut labels.id,
                b"name" => &mut labels.name,
                label if part == Some(label) => &mut labels.part,
                label => match labels.owner(label, teller) {
                    Some(slot) => slot,
                    None => return Some(()),
                },
            };
            *slot = value.text()?;
            Some(())
        })?;
        Some((labels, sample))
    }

    /// The slot of a label that says whose a cgroup is. Each teller has its own: a kubelet never writes
    /// those of the runtime, and where they are written the short ones are anybody's.
    fn owner(&mut self, label: &[u8], teller: Teller) -> Option<&mut Cow<'a, str>> {
        if teller == Teller::Kubelet {
            return match label {
                b"namespace" => Some(&mut self.namespace),
                b"pod" => Some(&mut self.pod),
                b"container" => Some(&mut self.container),
                _ => None,
            };
        }
        match label.strip_prefix(OF_KUBELET) {
            Some(b"pod_namespace") => Some(&mut self.namespace),
            Some(b"pod_name") => Some(&mut self.pod),
            Some(b"pod_uid") => Some(&mut self.uid),
            Some(b"container_name") => Some(&mut self.container),
            None if label == b"scope" => Some(&mut self.scope),
            _ => None,
        }
    }

    /// Whether what it names can be the name of anything.
    pub(super) fn fits(&self) -> bool {
        let names = [
            &self.namespace,
            &self.pod,
            &self.container,
            &self.name,
            &self.part,
        ];
        self.id.len() <= MAX_PATH_BYTES && names.iter().all(|name| name.len() <= MAX_NAME_BYTES)
    }
}
