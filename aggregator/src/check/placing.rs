//! Why a node has no agent, or one that is not ready. Pure.

use super::objects::{Expression, Node, Pod, PodSpec, Taint, Term, Toleration};

/// The longest message of somebody else that is passed on, characters.
const MOST_CHARS: usize = 200;

/// Why no agent belongs on a node, by the template of the `DaemonSet`; `None` when one does.
pub(super) fn kept_off(node: &Node, template: &PodSpec) -> Option<String> {
    let labels = &node.metadata.labels;
    for (key, wanted) in &template.node_selector {
        let has = labels.get(key).map_or("no such label", String::as_str);
        if has != wanted {
            return Some(format!("its {key} is {has}, and agents are for {wanted}"));
        }
    }
    let terms = &template.affinity.node_affinity.required.node_selector_terms;
    let mut against = terms.iter().map(|term| unfit(node, term));
    // One term that fits is enough.
    if !terms.is_empty() && against.by_ref().all(|why| why.is_some()) {
        return terms.first().and_then(|term| unfit(node, term));
    }
    let taints = &node.spec.taints;
    let mut hard = taints
        .iter()
        .filter(|t| matches!(t.effect.as_str(), "NoSchedule" | "NoExecute"));
    let untolerated = hard.find(|taint| !template.tolerations.iter().any(|t| tolerates(t, taint)));
    untolerated.map(|Taint { key, value, effect }| {
        format!("its taint {key}={value}:{effect} is not tolerated")
    })
}

/// Why a term does not fit a node.
fn unfit(node: &Node, term: &Term) -> Option<String> {
    let labels = &node.metadata.labels;
    let expressions = term.match_expressions.iter();
    let of_labels = expressions.map(|one| (one, labels.get(&one.key).map(String::as_str)));
    let fields = term.match_fields.iter();
    let of_fields = fields.map(|one| (one, Some(node.metadata.name.as_str())));
    let mut all = of_labels.chain(of_fields);
    let against = all.find(|(one, has)| !fits(one, *has));
    against.map(|(one, has)| {
        let has = has.unwrap_or("no such label");
        let (key, operator, values) = (&one.key, &one.operator, one.values.join(", "));
        format!("its {key} is {has}, and agents want {operator} {values}")
            .trim_end()
            .to_owned()
    })
}

fn fits(
    Expression {
        operator, values, ..
    }: &Expression,
    has: Option<&str>,
) -> bool {
    let is_one = has.is_some_and(|has| values.iter().any(|value| value == has));
    match operator.as_str() {
        "In" => is_one,
        "NotIn" => !is_one,
        "Exists" => has.is_some(),
        "DoesNotExist" => has.is_none(),
        // Of numbers; nothing of deploy/ has them.
        _ => true,
    }
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let Toleration {
        key,
        operator,
        value,
        effect,
    } = toleration;
    let of_key = if key.is_empty() {
        operator == "Exists"
    } else {
        *key == taint.key && (operator == "Exists" || *value == taint.value)
    };
    of_key && (effect.is_empty() || *effect == taint.effect)
}

/// The node that a pod is on, or is meant for: the controller names it in the pod's affinity.
pub(super) fn node_of(pod: &Pod) -> Option<&str> {
    if !pod.spec.node_name.is_empty() {
        return Some(&pod.spec.node_name);
    }
    let terms = &pod.spec.affinity.node_affinity.required.node_selector_terms;
    let fields = terms.iter().flat_map(|term| &term.match_fields);
    let mut names = fields.filter(|one| one.key == "metadata.name");
    names.next()?.values.first().map(String::as_str)
}

/// Why the agent of a pod does not work; `None` when it is ready.
pub(super) fn unwell(pod: &Pod) -> Option<String> {
    let status = &pod.status;
    let mut containers = status.container_statuses.iter();
    let is_ready = status.phase == "Running" && containers.clone().all(|one| one.ready);
    if is_ready && !status.container_statuses.is_empty() {
        return None;
    }
    let waits = containers.find_map(|one| Some((one.state.waiting.as_ref()?, &one.last_state)));
    if let Some((waiting, last)) = waits {
        let ended = last.terminated.as_ref().map(|ended| {
            let said = cut(&ended.message);
            format!(
                "; it ended with exit code {}{}",
                ended.exit_code,
                after(&said)
            )
        });
        let said = cut(&waiting.message);
        let (reason, ended) = (&waiting.reason, ended.unwrap_or_default());
        return Some(format!("{reason}{}{ended}", after(&said)));
    }
    let unscheduled = status
        .conditions
        .iter()
        .find(|c| c.kind == "PodScheduled" && c.status == "False");
    if let Some(condition) = unscheduled {
        return Some(format!("not scheduled{}", after(&cut(&condition.message))));
    }
    Some(match status.phase.as_str() {
        "Running" => "it runs, and is not ready".to_owned(),
        phase => format!("{phase} {}{}", status.reason, after(&cut(&status.message)))
            .replace(" :", ":")
            .trim_end()
            .to_owned(),
    })
}

fn after(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}

/// The last line of a message, which is what a program said when it ended.
fn cut(message: &str) -> String {
    let last = message.trim().lines().next_back().unwrap_or_default();
    last.chars().take(MOST_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn template() -> PodSpec {
        from_value(json!({
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]}]}]}}},
        }))
        .unwrap()
    }

    fn node(labels: &Value, taints: &Value) -> Node {
        from_value(json!({"metadata": {"name": "n", "labels": labels}, "spec": {"taints": taints}}))
            .unwrap()
    }

    #[test]
    fn a_node_is_kept_off_by_selector_affinity_or_taint() {
        let why = |labels: Value, taints: Value, template: &PodSpec| {
            kept_off(&node(&labels, &taints), template)
        };
        let linux = json!({"kubernetes.io/os": "linux"});
        assert_eq!(why(linux.clone(), json!([]), &template()), None);
        let windows = why(
            json!({"kubernetes.io/os": "windows"}),
            json!([]),
            &template(),
        )
        .unwrap();
        assert_eq!(
            windows,
            "its kubernetes.io/os is windows, and agents are for linux"
        );
        let virtual_one = json!({"kubernetes.io/os": "linux", "type": "virtual-kubelet"});
        let text = why(virtual_one, json!([]), &template()).unwrap();
        assert_eq!(
            text,
            "its type is virtual-kubelet, and agents want NotIn virtual-kubelet"
        );
        let taints = json!([{"key": "gpu", "value": "a", "effect": "NoSchedule"},
                            {"key": "soft", "effect": "PreferNoSchedule"}]);
        let text = why(linux.clone(), taints.clone(), &template()).unwrap();
        assert_eq!(text, "its taint gpu=a:NoSchedule is not tolerated");
        let mut tolerant = template();
        tolerant.tolerations = from_value(json!([{"operator": "Exists"}])).unwrap();
        assert_eq!(why(linux, taints, &tolerant), None);
    }

    #[test]
    fn an_agent_that_does_not_work_says_why() {
        let why = |status: Value| unwell(&from_value(json!({"status": status})).unwrap());
        let ready = json!({"phase": "Running", "containerStatuses": [{"ready": true}]});
        assert_eq!(why(ready), None);
        let crashing = json!({"phase": "Running", "containerStatuses": [{"ready": false,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
            "lastState": {"terminated": {"exitCode": 64, "message": "x\nerror: no kubelet"}}}]});
        assert_eq!(
            why(crashing).unwrap(),
            "CrashLoopBackOff: back-off 5m0s; it ended with exit code 64: error: no kubelet"
        );
        let unscheduled = json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/3 nodes: Insufficient memory"}]});
        assert_eq!(
            why(unscheduled).unwrap(),
            "not scheduled: 0/3 nodes: Insufficient memory"
        );
        let failed = json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"});
        assert_eq!(why(failed).unwrap(), "Failed Evicted: low on memory");
        assert_eq!(why(json!({"phase": "Pending"})).unwrap(), "Pending");
    }
}
