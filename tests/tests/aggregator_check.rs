//! `cairn-aggregator check` against a simulated API server, with a real aggregator and agent: what it finds, word
//! for word, and its exit codes.

#[path = "aggregator_check/bed.rs"]
mod bed;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::pki::{Pki, Validity};
use testkit::proc::{Finished, Proc};

use bed::{API_SERVICE, Bed, PROXY, WITHIN, agent_pod, busy_pod, node};

/// The lines of a report with one space between words, and names in the place of what differs from run to run.
fn lines(finished: &Finished, names: &[(&str, &str)]) -> Vec<String> {
    let mut text = finished.stdout.clone();
    for (told, name) in names {
        text = text.replace(told, name);
    }
    let is_date = |word: &str| {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        (word.len(), digits) == (10, 8)
    };
    let plain = |word: &str| {
        let bare = word.trim_end_matches([',', ';']);
        if is_date(bare) {
            return word.replace(bare, "DATE");
        }
        match word.strip_prefix('(') {
            Some(days) if days.parse::<u64>().is_ok() => "(N".to_owned(),
            _ => word.to_owned(),
        }
    };
    let line = |line: &str| {
        let mut words: Vec<String> = line.split_whitespace().map(plain).collect();
        // How much is held depends on how busy the machine is.
        if line.ends_with(" held") {
            "N".clone_into(&mut words[4]);
        }
        if let Some(at) = words.iter().position(|word| word == "after") {
            words.truncate(at);
        }
        words.join(" ")
    };
    text.lines()
        .map(line)
        .filter(|line| !line.is_empty())
        .collect()
}

#[track_caller]
fn says(bed: &Bed, finished: &Finished, code: i32, addr: &str, expected: &[&str]) {
    let server = bed.server.addr.to_string();
    let told = lines(finished, &[(&server, "SERVER"), (addr, "ADDR")]);
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    assert_eq!(told, expected, "{}\n{}", finished.stdout, finished.stderr);
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (Some(code), ""),
        "{finished:?}"
    );
}

const HEAD: &str = "namespace cairn at SERVER as kubernetes-admin";
const TITLES: &str = "CHECK STATE WHAT FOUND";
const OURS: &str =
    "api service ok v1beta1.metrics.k8s.io Cairn's: leads to cairn/cairn-aggregator, Available";
const BUNDLE: &str = "ca bundle ok v1beta1.metrics.k8s.io 1 CA, until DATE (N days)";
const REPLICA: &str = "replica ok aggregator-0 ADDR verifies by caBundle as cairn-aggregator.cairn.svc, until DATE (N days)";
const UNASKED: &str = "window - aggregator-0 ADDR what it has: no --reader-token-file is given";
const PROXY_OK: &str = "front proxy ok extension-apiserver-authentication known by its CA and the name front-proxy-client";
const RIGHTS: &str =
    "rights ok system:serviceaccount:cairn:cairn-aggregator has all 18 that it needs";
const AGENTS: &str = "agents ok daemonset cairn-agent 1 desired, 1 ready";
const VERSIONS: &str = "versions ok images agents 0.1.0 (1), aggregators 0.1.0 (1)";
const COVERED: &str = "take over ok metrics.k8s.io every node that runs pods has an agent";
const TOKEN: &str = "window aggregator-0 ADDR: kubectl create token ACCOUNT --audience cairn > FILE, of an account \
                     that may list nodes.metrics.k8s.io";

/// Scenario: Cairn serves metrics.k8s.io with a certificate of its own making, and an agent reports; somebody with
/// all rights checks from outside, showing the replica a reader's token.
/// Guarantees: everything is found well, as a table and as JSON, and the exit code is 0; without a token the replica
/// is verified and not asked.
#[test]
fn a_cluster_that_is_well_is_found_so() {
    let bed = Bed::start();
    let (aggregator, _agent) = bed.well();
    let addr = bed.replica(&aggregator);
    let token = bed.reader();
    let said = bed.admin(&["--reader-token-file", &token]);
    let expected = [
        HEAD,
        TITLES,
        OURS,
        BUNDLE,
        REPLICA,
        "reports ok aggregator-0 ADDR 1 of 1 agents report",
        "clocks ok aggregator-0 ADDR none is off by more than half an interval",
        "window ok aggregator-0 ADDR N s of 900 s held",
        "memory ok aggregator-0 ADDR below 75 % of its limit",
        PROXY_OK,
        RIGHTS,
        AGENTS,
        VERSIONS,
        COVERED,
        "12 of 12 ok,",
    ];
    says(&bed, &said, 0, &addr, &expected);

    let said = bed.admin(&["--output", "json"]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
    let value: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(
        (&value["version"], &value["ok"]),
        (&json!(1), &json!(true)),
        "{value}"
    );
    assert_eq!(value["ready_to_take_over"], true, "{value}");
    assert_eq!(
        (&value["user"], &value["namespace"]),
        (&json!("kubernetes-admin"), &json!("cairn"))
    );
    assert!(
        value["took_ms"].as_f64().is_some_and(|took| took > 0.0),
        "{value}"
    );
    let checks = value["checks"].as_array().unwrap();
    let words: Vec<(&str, &str)> = checks
        .iter()
        .map(|c| (c["check"].as_str().unwrap(), c["state"].as_str().unwrap()))
        .collect();
    let ok = |check| (check, "ok");
    let expected = [
        ok("api service"),
        ok("ca bundle"),
        ok("replica"),
        ("window", "unasked"),
        ok("front proxy"),
        ok("rights"),
        ok("agents"),
        ok("versions"),
        ok("take over"),
    ];
    assert_eq!(words, expected, "{value}");
    assert_eq!(checks[2]["about"], format!("aggregator-0 {addr}"));
    assert!(
        checks[0]["todo"].is_null() && checks[3]["todo"].is_string(),
        "{value}"
    );
}

/// Scenario: metrics.k8s.io is metrics-server's, and Cairn runs beside it.
/// Guarantees: whose it is is said; certificates are judged by what the agents have; it may be taken over; exit code 0.
#[test]
fn what_is_anothers_is_named_and_may_be_taken_over() {
    let bed = Bed::start();
    bed.api_service("kube-system", "metrics-server", true);
    let (aggregator, _agent) = bed.well();
    let addr = bed.replica(&aggregator);
    let said = bed.admin(&[]);
    let expected = [
        HEAD,
        TITLES,
        "api service ok v1beta1.metrics.k8s.io another's: leads to kube-system/metrics-server, Available",
        "ca bundle ok configmap cairn-ca 1 CA, until DATE (N days)",
        "replica ok aggregator-0 ADDR verifies by cairn-ca as cairn-aggregator.cairn.svc, until DATE (N days)",
        UNASKED,
        PROXY_OK,
        "rights ok system:serviceaccount:cairn:cairn-aggregator has all 16 that it needs",
        AGENTS,
        VERSIONS,
        "take over ok metrics.k8s.io ready: every node that runs pods has an agent",
        TOKEN,
        "1 of 9 not asked,",
    ];
    says(&bed, &said, 0, &addr, &expected);
}

/// Scenario: of five nodes one is Fargate's, one is Windows and empty, one has an agent that crashes, and one whose
/// agent finds no room.
/// Guarantees: each is named with its reason; Cairn is said not to be ready to take over while pods run there; exit
/// code 2.
#[test]
fn nodes_without_an_agent_are_named_with_the_reason() {
    let bed = Bed::start();
    bed.api_service("kube-system", "metrics-server", true);
    let control = bed.server.control();
    control.put(
        "nodes",
        node(
            "fargate-1",
            &[("eks.amazonaws.com/compute-type", "fargate")],
        ),
    );
    control.put("pods", busy_pod("fargate-1"));
    control.put(
        "nodes",
        node("windows-1", &[("kubernetes.io/os", "windows")]),
    );
    control.put("nodes", node("node2", &[]));
    control.put("pods", busy_pod("node2"));
    let crashing = json!({"phase": "Running", "containerStatuses": [{"ready": false,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}},
        "lastState": {"terminated": {"exitCode": 64, "message": "error: --node-name is missing\n"}}}]});
    control.put("pods", agent_pod("node2", &crashing));
    control.put("nodes", node("node3", &[]));
    let mut pending = agent_pod(
        "node3",
        &json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "message": "0/5 nodes are available: 1 Insufficient memory."}]}),
    );
    pending["spec"] = json!({"containers": [{"image": "cairn-agent:0.2.0"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node3"]}]}]}}}});
    control.put("pods", pending);
    bed.daemon_set(3, 1);
    let (aggregator, _agent) = bed.well();
    let addr = bed.replica(&aggregator);
    let said = bed.admin(&[]);
    let expected = [
        "agents FAILED daemonset cairn-agent 3 desired, 1 ready, 2 missing",
        "agents warn node fargate-1 no agent: its eks.amazonaws.com/compute-type is fargate, and agents want NotIn \
         fargate; pods run there",
        "agents FAILED node node2 no agent that works: CrashLoopBackOff: back-off 5m0s restarting failed container; \
         it ended with exit code 64: error: --node-name is missing",
        "agents FAILED node node3 no agent that works: not scheduled: 0/5 nodes are available: 1 Insufficient memory.",
        "agents ok node windows-1 no agent: its kubernetes.io/os is windows, and agents are for linux; no pod runs \
         there",
        "versions warn images not one version: agents 0.1.0 (2), agents 0.2.0 (1), aggregators 0.1.0 (1)",
        "take over warn metrics.k8s.io not ready: pods run on nodes without an agent: fargate-1, node2",
    ];
    let told = lines(&said, &[(&addr, "ADDR")]);
    let rows: Vec<&str> = told.iter().map(String::as_str).collect();
    let from = rows
        .iter()
        .position(|row| row.starts_with("agents "))
        .unwrap();
    assert_eq!(
        rows[from..from + expected.len()],
        expected,
        "{}",
        said.stdout
    );
    assert_eq!(said.code, Some(2), "{said:?}");
    for todo in [
        "agents node node2: kubectl -n cairn describe pod --field-selector spec.nodeName=node2",
        "take over metrics.k8s.io: leave metrics.k8s.io to whoever serves it until they have one",
    ] {
        assert!(rows.contains(&todo), "{}", said.stdout);
    }
    let said = bed.admin(&["--output", "json"]);
    let value: Value = serde_json::from_str(&said.stdout).unwrap();
    let verdicts = (&value["ok"], &value["ready_to_take_over"]);
    assert_eq!(verdicts, (&json!(false), &json!(false)), "{value}");
}

/// Scenario: the certificate of files has expired, and later is one of another CA, and later for another name.
/// Guarantees: each is told for what it is, no token is shown, and the exit code is 2.
#[test]
fn a_certificate_that_the_api_server_refuses_is_explained() {
    let bed = Bed::start();
    let pki = Pki::new(&bed.path("pki")).unwrap();
    let (ca, other) = (pki.ca("serving").unwrap(), pki.ca("other").unwrap());
    let host = ["cairn-aggregator.cairn.svc"];
    let expired = ca
        .leaf("expired")
        .dns(&host)
        .validity(Validity::Expired)
        .write()
        .unwrap();
    let stranger = other.leaf("stranger").dns(&host).write().unwrap();
    let misnamed = ca
        .leaf("misnamed")
        .dns(&["cairn-ingest.cairn.svc"])
        .write()
        .unwrap();
    let bundle = STANDARD.encode(std::fs::read(&ca.cert_pem).unwrap());
    bed.server
        .control()
        .change("apiservices", ("", API_SERVICE), |object| {
            object["spec"]["caBundle"] = json!(bundle);
            object["status"]["conditions"][0]["status"] = json!("False");
        });
    let reader = bed.reader();
    let renew = "replica aggregator-0 ADDR: see docs/certificates.md: it is renewed when ten days are left, by the \
                 replica that holds the Lease; what keeps it from that is in that replica's /readyz?verbose";
    for (leaf, found, todo) in [
        (&expired, "certificate expired on DATE", renew),
        (
            &stranger,
            "certificate is signed by no CA of caBundle, until DATE (N days)",
            "replica aggregator-0 ADDR: put the CA that signed it into caBundle: the aggregator does with \
             --tls-self-managed",
        ),
        (
            &misnamed,
            "certificate is not for cairn-aggregator.cairn.svc, until DATE (N days)",
            "replica aggregator-0 ADDR: make it for cairn-aggregator.cairn.svc (--tls-service), and restart the \
             aggregator",
        ),
    ] {
        let (cert, key) = (
            leaf.cert_pem.display().to_string(),
            leaf.key_pem.display().to_string(),
        );
        let aggregator = bed.aggregator(&["--tls-cert", &cert, "--tls-key", &key]);
        let addr = bed.replica(&aggregator);
        let said = bed.admin(&["--reader-token-file", &reader]);
        let row = format!("replica FAILED aggregator-0 ADDR {found}");
        let expected = [
            HEAD,
            TITLES,
            "api service FAILED v1beta1.metrics.k8s.io Cairn's: leads to cairn/cairn-aggregator, not Available: \
             FailedDiscoveryCheck: no route to host",
            BUNDLE,
            &row,
            "window - aggregator-0 ADDR no token is shown to a replica that does not verify",
            PROXY_OK,
            RIGHTS,
            AGENTS,
            VERSIONS,
            COVERED,
            "api service v1beta1.metrics.k8s.io: see the certificates and replicas below; of the rest the API \
             server's log tells",
            todo,
            "2 of 9 failed, 1 of 9 not asked,",
        ];
        says(&bed, &said, 2, &addr, &expected);
    }
}

/// Scenario: the rule that lets the aggregator watch pods is gone, and the check runs with its own token, as it does
/// in its pod.
/// Guarantees: the missing rule is named, and so is each right that the caller lacks, whose part is left out and the
/// rest looked at; exit code 2.
#[test]
fn a_missing_rule_is_named_and_what_may_not_be_read_is_left_out() {
    let bed = Bed::start();
    let mut rights = bed.rights.clone();
    for role in rights
        .iter_mut()
        .filter(|one| one["metadata"]["name"] == "cairn-aggregator")
    {
        for rule in role["rules"].as_array_mut().into_iter().flatten() {
            if rule["resources"] == json!(["pods"]) {
                rule["verbs"] = json!(["list"]);
            }
        }
    }
    bed.server.control().enforce(&rights);
    std::fs::copy(&bed.server.token_file, bed.path("own.token")).unwrap();
    let (aggregator, _agent) = bed.well();
    let addr = bed.replica(&aggregator);
    let said = bed.check("own.token", &[]);
    let expected = [
        "namespace cairn at SERVER as system:serviceaccount:cairn:cairn-aggregator",
        TITLES,
        OURS,
        BUNDLE,
        REPLICA,
        UNASKED,
        PROXY_OK,
        "rights FAILED watch pods system:serviceaccount:cairn:cairn-aggregator may not",
        "agents warn daemonset cairn-agent not allowed to get daemonsets.apps in cairn",
        VERSIONS,
        COVERED,
        TOKEN,
        "rights watch pods: apply deploy/ again; it has a ClusterRole with {apiGroups: [\"\"], resources: [pods], \
         verbs: [watch]} for this account",
        "agents daemonset cairn-agent: give whoever checks the right to get daemonsets.apps in cairn (docs/check.md \
         has all of them)",
        "1 of 9 failed, 1 of 9 to be looked at, 1 of 9 not asked,",
    ];
    says(&bed, &said, 2, &addr, &expected);
}

/// The roles that the manifests bind to the aggregator's account, such as `ClusterRole cairn-aggregator`.
fn roles_of_the_aggregator(objects: &[Value]) -> Vec<String> {
    let is_bound = |binding: &&Value| {
        let subjects = binding["subjects"].as_array().into_iter().flatten();
        let mut names = subjects.map(|subject| &subject["name"]);
        names.any(|name| *name == json!("cairn-aggregator"))
    };
    let named = |binding: &Value| {
        let role = &binding["roleRef"];
        Some(format!(
            "{} {}",
            role["kind"].as_str()?,
            role["name"].as_str()?
        ))
    };
    objects.iter().filter(is_bound).filter_map(named).collect()
}

/// Guarantees: the check asks about the rights that the manifests give the aggregator. None is asked about that is not
/// given, or it would be told as missing; and none is given that is not asked about.
#[test]
fn the_rights_that_are_checked_are_those_of_the_manifests() {
    let bed = Bed::start();
    let roles = roles_of_the_aggregator(&bed.rights);
    assert_eq!(roles.len(), 5, "{roles:?}");
    let said = bed.admin(&[]);
    let told = lines(&said, &[]);
    let rows: Vec<&String> = told
        .iter()
        .filter(|row| row.starts_with("rights "))
        .collect();
    assert_eq!(rows, [RIGHTS], "{}", said.stdout);
    let is_the_aggregators = |right: &String| {
        let role = right.split_once(": ").map(|(role, _)| role.to_owned());
        role.is_some_and(|role| roles.contains(&role))
    };
    let mut unasked = bed.server.control().unused_rights();
    unasked.retain(is_the_aggregators);
    assert!(unasked.is_empty(), "add to check/rights.rs: {unasked:?}");
}

/// Guarantees: a front proxy whose CA signs clients too, under any name, is said to be refused, with the flag of the
/// API server that mends it.
#[test]
fn a_front_proxy_that_is_refused_is_explained() {
    let bed = Bed::start();
    let ca = Pki::new(&bed.path("pki")).unwrap().ca("both").unwrap();
    let pem = std::fs::read_to_string(&ca.cert_pem).unwrap();
    let proxy = json!({"data": {"client-ca-file": pem, "requestheader-client-ca-file": pem,
                                "requestheader-allowed-names": "[]"}});
    bed.server.control().put_document(PROXY, proxy);
    let said = bed.admin(&[]);
    assert_eq!(said.code, Some(2), "{said:?}");
    let told = lines(&said, &[]);
    let row = "front proxy FAILED extension-apiserver-authentication its CA signs client certificates too, and any \
               name is allowed: Cairn takes no header from it, so kubectl top and autoscalers are refused";
    let todo = "front proxy extension-apiserver-authentication: start the API server with \
                --requestheader-allowed-names=front-proxy-client (the common name of its --proxy-client-cert-file), \
                or give its proxy a CA of its own";
    for line in [row, todo] {
        assert!(told.iter().any(|one| one == line), "{}", said.stdout);
    }
    // Nothing serves yet: that is told, too.
    let gone = "replica FAILED service cairn-aggregator there is no replica";
    assert!(told.iter().any(|one| one == gone), "{}", said.stdout);
}

/// Guarantees: what cannot be asked at all is one finding and exit code 2; wrong usage is one line and 64.
#[test]
fn without_an_api_server_there_is_one_finding_and_wrong_flags_are_64() {
    let bed = Bed::start();
    bed.server.control().lock_out("admin-token");
    let said = bed.admin(&[]);
    assert_eq!(said.code, Some(2), "{said:?}");
    let told = lines(&said, &[(&bed.server.addr.to_string(), "SERVER")]);
    let row = "kubernetes api FAILED SERVER the Kubernetes API answered 401 for \
               /apis/authentication.k8s.io/v1/selfsubjectreviews: Unauthorized: check --kubernetes-token-file";
    assert_eq!(told[2], row, "{}", said.stdout);
    assert_eq!(told.last().unwrap(), "1 of 1 failed,", "{}", said.stdout);
    for flags in [
        &["check", "--output", "xml"][..],
        &["check", "--kubernetes", "off"],
        &["chekc"],
    ] {
        let said = Proc::finish("cairn-aggregator", flags, &[], WITHIN).unwrap();
        assert_eq!(
            (said.code, said.stdout.as_str()),
            (Some(64), ""),
            "{flags:?}: {said:?}"
        );
        assert!(said.stderr.lines().count() == 1, "{said:?}");
    }
}
