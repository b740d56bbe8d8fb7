//! The fleet's nodes and pods as an API server has them.

use anyhow::Result;
use cairn_proto::model::{EntityDef, EntityKind};
use serde_json::json;

use crate::apiserver::Control;
use crate::fleet::Options;
use crate::mix::Mix;

/// Puts all of them; gives how many pods they are.
pub(super) fn put(control: &Control, fleet: &Options) -> Result<usize> {
    let (naming, mix) = (fleet.naming(), Mix::new(fleet.mix.clone())?);
    let mut templates: Vec<Vec<EntityDef>> = Vec::new();
    let mut pods = 0;
    for index in 0..fleet.mix.nodes {
        if naming.template(index) == templates.len() {
            let mut node = mix.node(index)?;
            node.next_row()?;
            templates.push(node.defs());
        }
        let name = naming.node(index);
        control.put(
            "nodes",
            json!({
                "metadata": {"name": name, "uid": format!("uid-of-{name}"),
                             "labels": {"kubernetes.io/os": "linux"}},
                "status": {"conditions": [{"type": "Ready", "status": "True"}]},
            }),
        );
        let defs = templates
            .get(naming.template(index))
            .map_or(&[][..], |of| of);
        for def in defs.iter().filter(|def| def.kind == EntityKind::Pod) {
            let own = naming.define(index, def);
            let inner = defs
                .iter()
                .filter(|one| one.kind == EntityKind::Container && one.parent == Some(def.id));
            let names: Vec<&str> = inner.map(|one| one.name.as_str()).collect();
            let specs: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
            let statuses: Vec<_> = names
                .iter()
                .map(|name| json!({"name": name, "state": {"running": {}}}))
                .collect();
            control.put("pods", json!({
                "metadata": {
                    "namespace": own.namespace, "name": own.name, "uid": own.uid,
                    "labels": {
                        "app.kubernetes.io/name": "shop", "app.kubernetes.io/component": "backend",
                        "pod-template-hash": "6cb655c9bf", "tier": "web",
                    },
                },
                "spec": {"nodeName": name, "containers": specs},
                "status": {"phase": "Running", "containerStatuses": statuses},
            }));
            pods += 1;
        }
    }
    Ok(pods)
}
