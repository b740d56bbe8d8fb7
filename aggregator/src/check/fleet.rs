//! Whether every node has an agent, and which versions run.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::api_service::Owner;
use super::ask::{Asker, Missed};
use super::finding::Finding;
use super::objects::{DaemonSet, Node, Pod};
use super::{AGENTS, placing};

const CHECK: &str = "agents";
const TAKE_OVER: &str = "take over";

/// Nodes that are told each; of the others there is the number.
const NAMED: usize = 10;

/// Nodes without agents that are looked at for pods. One that has any is enough.
const LOOKED_AT: usize = 64;

/// Label of everything that is Cairn's, as it stands in a URL.
const OF_CAIRN: &str = "labelSelector=app.kubernetes.io/name%3Dcairn";

/// What is known of the agents.
#[derive(Clone, Debug)]
pub(super) struct Fleet {
    /// What there is to say of them.
    pub(super) findings: Vec<Finding>,
    /// Nodes with running pods and without an agent; `None` where that was not found out.
    pub(super) uncovered: Option<Vec<String>>,
}

/// A node without an agent that works.
struct Lacking<'a> {
    name: &'a str,
    why: String,
    /// No agent ever comes there.
    is_kept_off: bool,
}

/// Reads and judges it.
pub(super) async fn look(asker: &Asker, namespace: &str) -> Fleet {
    let daemon_set = format!("/apis/apps/v1/namespaces/{namespace}/daemonsets/{AGENTS}");
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let rights = [
        format!("get daemonsets.apps in {namespace}"),
        format!("list pods in {namespace}"),
    ];
    let [of_set, of_pods] = &rights;
    let (set, nodes, pods) = tokio::join!(
        asker.get::<DaemonSet>(&daemon_set, of_set),
        asker.list::<Node>("/api/v1/nodes", "", "list nodes"),
        asker.list::<Pod>(&pods, OF_CAIRN, of_pods),
    );
    let mut findings = vec![daemon_set_finding(&set)];
    let (nodes, pods) = match (nodes, pods) {
        (Ok(nodes), Ok(pods)) => (nodes, pods),
        (nodes, pods) => {
            for (what, missed) in [("nodes", nodes.err()), ("pods", pods.err())] {
                let told = missed.map(|missed| missed.told("list"));
                findings
                    .extend(told.map(|(found, todo)| Finding::warn((CHECK, what), found, todo)));
            }
            return Fleet {
                findings,
                uncovered: None,
            };
        }
    };
    let template = Template::of(set);
    let lacking = lacking(&template, &nodes, &pods);
    let busy = busy(asker, &lacking).await;
    findings.extend(told(namespace, &lacking, busy.as_ref().ok()));
    findings.extend(versions(&pods));
    let uncovered = match busy {
        Ok(busy) => Some(busy.into_iter().collect()),
        Err(missed) => {
            let (found, todo) = missed.told("list");
            findings.push(Finding::warn((CHECK, "nodes without agents"), found, todo));
            None
        }
    };
    Fleet {
        findings,
        uncovered,
    }
}

/// What is known of the pods that the `DaemonSet` makes.
enum Template {
    Known(Box<DaemonSet>),
    Absent,
    /// It may not be read, or was not.
    Unread,
}

impl Template {
    fn of(set: Result<DaemonSet, Missed>) -> Self {
        match set {
            Ok(set) => Self::Known(Box::new(set)),
            Err(Missed::Absent) => Self::Absent,
            Err(_) => Self::Unread,
        }
    }

    /// Why a node has no agent's pod, and whether it is kept off.
    fn why_none(&self, node: &Node) -> (String, bool) {
        match self {
            Self::Known(set) => match placing::kept_off(node, &set.spec.template.spec) {
                Some(why) => (why, true),
                None => ("the DaemonSet has made no pod for it".to_owned(), false),
            },
            Self::Absent => ("there is no DaemonSet".to_owned(), false),
            Self::Unread => {
                let why = "it has no pod, and the DaemonSet that tells why could not be read";
                (why.to_owned(), false)
            }
        }
    }
}

fn daemon_set_finding(set: &Result<DaemonSet, Missed>) -> Finding {
    let of = (CHECK, "daemonset cairn-agent");
    match set {
        Ok(DaemonSet { status, .. }) => {
            let (desired, ready) = (status.desired_number_scheduled, status.number_ready);
            let found = format!("{desired} desired, {ready} ready");
            if ready < desired {
                let missing = desired - ready;
                let todo = "see the nodes below";
                Finding::fail(of, format!("{found}, {missing} missing"), todo)
            } else {
                Finding::ok(of, found)
            }
        }
        Err(Missed::Absent) => Finding::fail(of, "there is none", "apply deploy/base"),
        Err(missed) => {
            let (found, todo) = missed.told("DaemonSet");
            Finding::warn(of, found, todo)
        }
    }
}

fn is_of(pod: &Pod, component: &str) -> bool {
    let label = pod.metadata.labels.get("app.kubernetes.io/component");
    label.is_some_and(|label| label == component)
}

/// The nodes without an agent that works, by name.
fn lacking<'a>(template: &Template, nodes: &'a [Node], pods: &[Pod]) -> Vec<Lacking<'a>> {
    let agents = pods.iter().filter(|pod| is_of(pod, "agent"));
    let agents = agents.filter_map(|pod| Some((placing::node_of(pod)?.to_owned(), pod)));
    let mut by_node: BTreeMap<String, Vec<&Pod>> = BTreeMap::new();
    for (node, pod) in agents {
        by_node.entry(node).or_default().push(pod);
    }
    let lacking = nodes.iter().filter_map(|node| {
        let name = node.metadata.name.as_str();
        let (why, is_kept_off) = match by_node.get(name) {
            // While an agent is replaced there may be two.
            Some(pods) => {
                let states: Vec<Option<String>> = pods.iter().map(|p| placing::unwell(p)).collect();
                (
                    states
                        .into_iter()
                        .collect::<Option<Vec<_>>>()?
                        .into_iter()
                        .next()?,
                    false,
                )
            }
            None => template.why_none(node),
        };
        Some(Lacking {
            name,
            why,
            is_kept_off,
        })
    });
    lacking.collect()
}

/// Those of them on which pods run.
async fn busy(asker: &Asker, lacking: &[Lacking<'_>]) -> Result<BTreeSet<String>, Missed> {
    let asked = lacking.iter().take(LOOKED_AT).map(|node| async move {
        let query = format!(
            "fieldSelector=spec.nodeName%3D{},status.phase%3DRunning",
            node.name
        );
        let any = asker.any("/api/v1/pods", &query, "list pods").await?;
        Ok::<_, Missed>(any.then(|| node.name.to_owned()))
    });
    let found: Result<Vec<Option<String>>, Missed> = join_all(asked).await.into_iter().collect();
    let busy: BTreeSet<String> = found?.into_iter().flatten().collect();
    if busy.is_empty() && lacking.len() > LOOKED_AT {
        let count = lacking.len();
        return Err(Missed::Failed(format!(
            "{count} nodes have no agent, and no pod runs on the first {LOOKED_AT} of them: the others were \
             not looked at"
        )));
    }
    Ok(busy)
}

/// A finding for each of the first of them.
fn told(namespace: &str, lacking: &[Lacking<'_>], busy: Option<&BTreeSet<String>>) -> Vec<Finding> {
    let named = lacking.iter().take(NAMED).map(|node| {
        let of = (CHECK, format!("node {}", node.name));
        let is_busy = busy.is_some_and(|busy| busy.contains(node.name));
        let pods = match busy {
            None => "whether pods run there is not known",
            Some(_) if is_busy => "pods run there",
            Some(_) => "no pod runs there",
        };
        if node.is_kept_off {
            let found = format!("no agent: {}; {pods}", node.why);
            let todo = "nothing is known of the pods there, and none of a node like this can be: keep \
                        metrics-server for them, or change selector and tolerations of the DaemonSet";
            if is_busy || busy.is_none() {
                Finding::warn(of, found, todo)
            } else {
                Finding::ok(of, found)
            }
        } else {
            let todo = format!(
                "kubectl -n {namespace} describe pod --field-selector spec.nodeName={}",
                node.name
            );
            Finding::fail(of, format!("no agent that works: {}", node.why), todo)
        }
    });
    let mut findings: Vec<Finding> = named.collect();
    if let Some(more) = lacking.len().checked_sub(NAMED).filter(|more| *more > 0) {
        let rest = lacking.get(NAMED..).unwrap_or_default();
        let (found, todo) = (
            format!("{more} more without an agent that works"),
            "mend these first",
        );
        let of = (CHECK, "other nodes");
        findings.push(if rest.iter().all(|node| node.is_kept_off) {
            Finding::warn(of, found, todo)
        } else {
            Finding::fail(of, found, todo)
        });
    }
    findings
}

/// Which versions run, by the tags of their images.
fn versions(pods: &[Pod]) -> Vec<Finding> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (component, name) in [("aggregator", "aggregators"), ("agent", "agents")] {
        for pod in pods.iter().filter(|pod| is_of(pod, component)) {
            let image = pod.spec.containers.first().map_or("", |c| c.image.as_str());
            *counts.entry((name, tag(image))).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return Vec::new();
    }
    let each = counts
        .iter()
        .map(|((name, tag), count)| format!("{name} {tag} ({count})"));
    let found = each.collect::<Vec<_>>().join(", ");
    let tags: BTreeSet<&str> = counts.keys().map(|(_, tag)| *tag).collect();
    let of = ("versions", "images");
    vec![match tags.len() {
        1 => Finding::ok(of, found),
        _ => Finding::warn(
            of,
            format!("not one version: {found}"),
            "neighbouring versions work together; let the rollout end (kubectl rollout status), aggregator \
             first",
        ),
    }]
}

/// The tag of an image, or what of its digest tells it from others.
fn tag(image: &str) -> &str {
    let (image, digest) = image
        .split_once('@')
        .map_or((image, ""), |(image, digest)| (image, digest));
    let name = image.rsplit('/').next().unwrap_or_default();
    match (name.split_once(':'), digest.get(..19)) {
        (Some((_, tag)), _) => tag,
        (None, Some(digest)) => digest,
        (None, None) => "without a tag",
    }
}

/// Whether metrics.k8s.io may be Cairn's.
pub(super) fn take_over(owner: &Owner, uncovered: Option<&[String]>, failed: usize) -> Finding {
    let of = (TAKE_OVER, "metrics.k8s.io");
    let Some(uncovered) = uncovered else {
        let found = "not known: which nodes have agents was not found out";
        return Finding::warn(
            of,
            found,
            "give whoever checks the rights that are named above",
        );
    };
    let is_ours = *owner == Owner::Ours;
    if uncovered.is_empty() && !is_ours && (failed > 0 || *owner == Owner::Unknown) {
        let found = match failed {
            0 => "not known: whose metrics.k8s.io is could not be read".to_owned(),
            failed => format!("not ready: {failed} of the checks above failed"),
        };
        return Finding::warn(of, found, "see what is to be done for those first");
    }
    if uncovered.is_empty() {
        let found = if is_ours {
            "every node that runs pods has an agent"
        } else {
            "ready: every node that runs pods has an agent"
        };
        return Finding::ok(of, found);
    }
    let mut names: Vec<&str> = uncovered.iter().take(NAMED).map(String::as_str).collect();
    let more = uncovered.len().saturating_sub(NAMED);
    let more = format!("{more} more");
    if uncovered.len() > NAMED {
        names.push(&more);
    }
    let names = names.join(", ");
    if is_ours {
        let found = format!("Cairn serves it, and pods run on nodes without an agent: {names}");
        let todo = "kubectl top and autoscalers know nothing of these pods: mend the agents, or go back \
                    (deploy/README.md, Go back)";
        Finding::fail(of, found, todo)
    } else {
        let found = format!("not ready: pods run on nodes without an agent: {names}");
        Finding::warn(
            of,
            found,
            "leave metrics.k8s.io to whoever serves it until they have one",
        )
    }
}
