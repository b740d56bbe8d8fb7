//! Names that a container gives to cgroups of its own.

use super::*;

const VICTIM: &str = "0e4a2568-ffb2-4ae7-80e6-4e24fc8ec2d5";
const ID: &str = "64a6e01fb4464807e269423a61527480e1abaefa321a37d0eeed5a0944229d1b";

/// Scenario: a container makes cgroups below its own, named as a victim's container and as its pod,
/// with the values and the start of its choice; the kubelet labels them by those names.
/// Guarantees: nothing of the victim changes, and nothing else appears.
#[test]
fn a_cgroup_with_the_name_of_a_victim_changes_nothing() {
    let named = format!("container=\"app\",name=\"{ID}\"");
    let own = "container=\"\",name=\"\"";
    let of_victim = |path: &str, labels: &str, value: u64, start: u64| {
        let line = |family, value: &str| line(family, path, labels, value);
        line("threads", &format!("{value} 100")) + &line("start_time_seconds", &start.to_string())
    };
    let roots = [
        (
            format!("/kubepods/burstable/pod{VICTIM}"),
            format!("/kubepods/burstable/pod{UID}/aa"),
            format!("/{ID}"),
        ),
        (
            format!(
                "/kubepods.slice/kubepods-pod{}.slice",
                VICTIM.replace('-', "_")
            ),
            format!("{SYSTEMD}/cri-containerd-aa.scope"),
            format!("/cri-containerd-{ID}.scope"),
        ),
    ];
    for (pod_path, inside, leaf) in roots {
        let victim = of_victim(&pod_path, own, 5, 1)
            + &of_victim(&format!("{pod_path}{leaf}"), &named, 4, 1);
        let expected = parsed(&victim);
        assert_eq!(
            value(
                &expected.pod("shop", "web", VICTIM).unwrap().containers["app"],
                table::THREADS
            ),
            Some(4)
        );
        for made in [
            leaf.clone(),
            pod_path.clone(),
            format!("{pod_path}{leaf}"),
            format!("/pod{VICTIM}"),
        ] {
            let path = format!("{inside}{made}");
            let labels = if path.ends_with(&leaf) { &named } else { own };
            let hostile = of_victim(&path, labels, 99, 2);
            for text in [victim.clone() + &hostile, hostile.clone() + &victim] {
                assert_eq!(parsed(&text), expected, "{path}");
            }
            let alone = parsed(&hostile);
            assert!(alone.pods.is_empty(), "{path}: {alone:?}");
        }
    }
}
