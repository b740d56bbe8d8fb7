//! Whose cgroup it is, by the labels that the kubelet puts on it and by its place in the tree.

use std::collections::{HashMap, HashSet};

use super::Teller;
use super::family::What;
use super::labels::Labels;
use crate::sources::exposition::Refused;
use crate::sources::interfaces;
use crate::sources::place::{free, place, pod_uid};

/// The name that dockershim gave to sandboxes; containerd and CRI-O give none.
const SANDBOX: &str = "POD";

/// What the kubelet's parent of all pods is called, among other things.
const KUBEPODS: &str = "kubepods";

/// Whose cgroup it is.
#[derive(Debug)]
pub(super) enum Of {
    /// The root.
    Node,
    /// A pod's own: by namespace and name.
    Pod(Box<str>, Box<str>),
    /// The pause container of a pod.
    Sandbox(Box<str>, Box<str>),
    /// A container of a pod.
    Container(Box<str>, Box<str>, Box<str>),
    /// A pod's own, which is named by its containers.
    Nameless,
    /// A container outside of pods, by the name that its runtime gives it.
    Free(Box<str>),
    /// What else is outside of pods, by its path.
    Raw(Box<str>),
}

/// Whose cgroup it is, and which pod's.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) of: Of,
    /// The UID of the pod, when its path tells it, or its labels do.
    pub(super) uid: Option<Box<str>>,
    /// Its labels alone put it into the pod, and not its place.
    is_claimed: bool,
}

/// Whose container a runtime's id is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The UID of its pod.
    pub uid: Box<str>,
    /// The pod's namespace.
    pub namespace: Box<str>,
    /// The pod's name.
    pub pod: Box<str>,
    /// The container's name; `None` of the sandbox.
    pub container: Option<Box<str>>,
}

impl Owner {
    /// The runtime's id in its path, and whose it is; `None` of what is no container, and where a path
    /// has no ids.
    pub(super) fn identity(&self, path: &str) -> Option<(Box<str>, Identity)> {
        let (namespace, pod, container) = match &self.of {
            Of::Node | Of::Pod(..) | Of::Nameless | Of::Free(_) | Of::Raw(_) => return None,
            Of::Sandbox(namespace, pod) => (namespace, pod, None),
            Of::Container(namespace, pod, container) => (namespace, pod, Some(container)),
        };
        let (_, id) = place(path)?;
        let identity = Identity {
            uid: self.uid.clone()?,
            namespace: namespace.clone(),
            pod: pod.clone(),
            container: container.cloned(),
        };
        Some((id?.into(), identity))
    }

    /// Of what belongs to no pod.
    fn alone(of: Of) -> Self {
        Self {
            of,
            uid: None,
            is_claimed: false,
        }
    }

    /// The UID of the pod that labels alone put it into; `None` of what its place tells.
    pub(super) fn claim(&self) -> Option<&str> {
        self.uid.as_deref().filter(|_| self.is_claimed)
    }

    /// A pod's own cgroup gets the pod's name, if there is one.
    pub(super) fn take_name(&mut self, names: &PodNames) {
        let uid = self
            .uid
            .as_ref()
            .filter(|_| matches!(self.of, Of::Nameless));
        if let Some((namespace, name)) = uid.and_then(|uid| names.get(uid)) {
            self.of = Of::Pod(namespace.clone(), name.clone());
        }
    }
}

/// The UIDs that labels alone claim for cgroups elsewhere while the pod has cgroups in its place. Anybody
/// who may start a container outside of pods can give it the labels of a pod's, and a later start.
pub(super) fn contested<'a>(owners: impl Iterator<Item = &'a Owner> + Clone) -> HashSet<Box<str>> {
    let claimed: HashSet<&str> = owners.clone().filter_map(Owner::claim).collect();
    if claimed.is_empty() {
        return HashSet::new();
    }
    let placed = owners.filter(|owner| !owner.is_claimed);
    let uids = placed.filter_map(|owner| owner.uid.clone());
    uids.filter(|uid| claimed.contains(&**uid)).collect()
}

/// Namespaces and names of pods by UID.
pub(super) type PodNames = HashMap<Box<str>, (Box<str>, Box<str>)>;

/// The names of pods, as their containers have them, when there is a cgroup that wants one.
pub(super) fn names_of_pods<'a>(owners: impl Iterator<Item = &'a Owner> + Clone) -> PodNames {
    let is_nameless = |owner: &Owner| matches!(owner.of, Of::Nameless);
    if !owners.clone().any(is_nameless) {
        return PodNames::new();
    }
    let named = owners.filter_map(|owner| {
        let (Of::Sandbox(namespace, name) | Of::Container(namespace, name, _)) = &owner.of else {
            return None;
        };
        Some((owner.uid.clone()?, (namespace.clone(), name.clone())))
    });
    named.collect()
}

impl Of {
    /// Whose it is, and the UID of its pod where the path has one; `None` for what belongs to no pod
    /// and is not the root.
    ///
    /// Labels go by the last part of a path: whatever a container calls a victim below its own
    /// cgroup has the victim's labels. So the place counts, and labels alone only where pods are not
    /// below the kubelet's parents at all.
    pub(super) fn told_by(labels: &Labels<'_>, teller: Teller) -> Result<Option<Owner>, Refused> {
        if labels.id.is_empty() {
            return Err(Refused::Odd);
        }
        if labels.id == "/" {
            return Ok(Some(Owner::alone(Of::Node)));
        }
        let (namespace, pod) = (labels.namespace.as_ref(), labels.pod.as_ref());
        if namespace.is_empty() || pod.is_empty() {
            return Ok(Self::without_pod(labels, teller));
        }
        let place = place(&labels.id);
        // A cAdvisor of its own gives a victim's labels, the UID too, to whatever is called like the
        // victim's container.
        let is_borrowed = || teller != Teller::Kubelet && free(&labels.id, &labels.name).is_none();
        if place.is_none() && (labels.id.contains(KUBEPODS) || is_borrowed()) {
            return Ok(None);
        }
        let is_pod = match &place {
            Some((_, container)) => container.is_none(),
            None => labels.name.is_empty() && labels.container.is_empty(),
        };
        let (namespace, pod) = (namespace.into(), pod.into());
        let of = match labels.container.as_ref() {
            "" if is_pod => Of::Pod(namespace, pod),
            // A name of a container on a pod's own cgroup is nothing that a kubelet says.
            _ if is_pod => return Ok(None),
            "" | SANDBOX => Of::Sandbox(namespace, pod),
            container => Of::Container(namespace, pod, container.into()),
        };
        let is_claimed = place.is_none();
        let uid = match place {
            Some((uid, _)) => Some(uid.into()),
            None => pod_uid(&labels.uid).map(Into::into),
        };
        Ok(Some(Owner {
            of,
            uid,
            is_claimed,
        }))
    }

    /// The same of what no label puts into a pod.
    fn without_pod(labels: &Labels<'_>, teller: Teller) -> Option<Owner> {
        let own = match teller {
            Teller::Kubelet => None,
            Teller::Beside | Teller::Alone => place(&labels.id).filter(|(_, id)| id.is_none()),
        };
        if let Some((uid, _)) = own {
            return Some(Owner {
                uid: Some(uid.into()),
                ..Owner::alone(Of::Nameless)
            });
        }
        if teller != Teller::Alone {
            return None;
        }
        let name = free(&labels.id, &labels.name)?.into();
        let of = match labels.name.is_empty() {
            true => Of::Raw(name),
            false => Of::Free(name),
        };
        Some(Owner::alone(of))
    }

    /// Whether such a value is kept of it, of a device or an interface of this name.
    pub(super) fn takes(&self, what: What, part: &str) -> bool {
        match (self, what) {
            // Of devices whose numbers it has no names for cAdvisor says the value and nothing more,
            // and which of several it means is not to be known.
            (_, What::Device) if part.is_empty() => false,
            // Its disks are the machine's: /proc tells them, and cAdvisor lists each mount too.
            (Of::Node, What::Device) => false,
            (Of::Node, What::Interface) => interfaces::is_own(part),
            (Of::Sandbox(..), what) => what == What::Interface,
            _ => true,
        }
    }
}
