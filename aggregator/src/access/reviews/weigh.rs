//! What is kept of readers, in bytes.

use super::super::answers::Weigh;
use super::super::{Attributes, Decision, Resource, Unproven, User};
use crate::cluster::access::Access;
use crate::cluster::token::Hash;

/// What each text takes beside its bytes.
const TEXT_BYTES: usize = size_of::<String>();

fn text(text: &str) -> usize {
    TEXT_BYTES + text.len()
}

impl Weigh for Hash {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl Weigh for User {
    fn bytes(&self) -> usize {
        let groups: usize = self.groups.iter().map(|group| text(group)).sum();
        let extra = self.extra.iter().map(|(key, values)| {
            let values: usize = values.iter().map(|value| text(value)).sum();
            text(key) + TEXT_BYTES + values
        });
        text(&self.name) + text(&self.uid) + groups + extra.sum::<usize>()
    }
}

impl Weigh for Result<User, Unproven> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, Weigh::bytes)
    }
}

impl Weigh for Access {
    fn bytes(&self) -> usize {
        let what = match &self.what {
            Attributes::Path { path, .. } => text(path),
            Attributes::Resource(Resource {
                verb: _,
                group,
                version,
                resource,
                subresource,
                namespace,
                name,
            }) => [group, version, resource, subresource, namespace, name]
                .into_iter()
                .map(|part| text(part))
                .sum(),
        };
        self.user.bytes() + what
    }
}

impl Weigh for Decision {
    fn bytes(&self) -> usize {
        match self {
            Decision::Denied(why) | Decision::Unanswered(why) => text(why),
            Decision::Allowed | Decision::Busy => 0,
        }
    }
}
