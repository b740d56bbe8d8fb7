//! The first start, and everything that follows in a year.

use cairn_runtime::tls::Chain;

use super::super::make::DAY_S;
use super::bed::{Bed, CONFIG_MAP, LEASE, SECRET};

#[tokio::test]
async fn three_replicas_that_start_at_once_agree_on_one_ca() {
    let mut bed = Bed::new(3);
    assert!(
        bed.replicas
            .iter()
            .all(|replica| !replica.readiness.is_ready())
    );
    let [a, b, c] = &mut bed.replicas[..] else {
        panic!("three")
    };
    tokio::join!(a.keeper.look(), b.keeper.look(), c.keeper.look());
    assert_eq!(bed.api.written(SECRET), 1);
    assert_eq!(bed.api.written(LEASE), 1);
    bed.look_all().await;
    let trusted = Chain::parse("bundle", bed.bundle().as_bytes()).unwrap();
    assert_eq!(trusted.count(), 1);
    let served = bed.replicas[0].identity.served();
    for (index, replica) in bed.replicas.iter().enumerate() {
        assert!(replica.readiness.is_ready(), "{}", replica.notes());
        assert_eq!(replica.identity.served(), served);
        bed.judge(index, &trusted).unwrap();
    }
    assert_eq!(
        (bed.api.written(SECRET), bed.api.written(CONFIG_MAP)),
        (1, 1)
    );
}

/// Guarantees: over fourteen months, with agents whose bundle is two minutes late and a replica that
/// reads the Secret every nine days alone, no handshake is refused, and both leaf and CA are others in the end.
#[tokio::test]
async fn no_handshake_is_refused_in_fourteen_months() {
    let mut bed = Bed::new(3);
    bed.look_all().await;
    let (first_leaf, first_ca) = (bed.replicas[0].identity.served(), bed.bundle());
    let end_s = bed.now_s() + 14 * 30 * DAY_S;
    let (mut seldom_s, mut most_cas, mut judged) = (bed.now_s(), 0, 0);
    let mut cas = Vec::new();
    while bed.now_s() < end_s {
        let step_s = if bed.is_fresh() { 30 } else { 6 * 3600 };
        bed.pass(step_s).await;
        bed.look(0).await;
        bed.look(1).await;
        if bed.now_s() - seldom_s >= 9 * DAY_S {
            seldom_s = bed.now_s();
            bed.look(2).await;
        }
        let Some(trusted) = bed.late_bundle() else {
            continue;
        };
        most_cas = most_cas.max(trusted.count());
        if cas.last() != Some(&trusted) {
            cas.push(trusted.clone());
        }
        for replica in 0..3 {
            let refused = bed.judge(replica, &trusted).err();
            assert!(
                refused.is_none(),
                "{replica} at {}: {refused:?}",
                bed.now_s()
            );
            judged += 1;
        }
    }
    assert!(judged > 4_000, "{judged}");
    assert_ne!(bed.replicas[0].identity.served(), first_leaf);
    // One, two with the next beside it, two with the old one beside it in the other order, one.
    assert_eq!((most_cas, cas.len()), (2, 4));
    assert!(!bed.bundle().contains(&first_ca), "the first CA has gone");
    let writes = bed.api.written(SECRET);
    // Some twenty leaves, and four changes of the CA: nothing is written for nothing.
    assert!((18..30).contains(&writes), "{writes}");
    assert_eq!(bed.replicas[0].notes(), "");
}

#[tokio::test]
async fn a_new_ca_does_not_sign_before_it_has_been_published_for_a_day() {
    let mut bed = Bed::new(1);
    bed.look(0).await;
    let first = Chain::parse("first", bed.bundle().as_bytes()).unwrap();
    // Agents cannot be told: the ConfigMap is gone.
    let config_map = bed.api.object(CONFIG_MAP);
    for _ in 0..240 {
        bed.pass(DAY_S).await;
        bed.look(0).await;
    }
    bed.api.remove(CONFIG_MAP);
    for _ in 0..20 {
        bed.pass(DAY_S).await;
        bed.look_without_bundle(0).await;
        bed.judge(0, &first).unwrap();
    }
    assert!(
        bed.replicas[0]
            .notes()
            .contains("ConfigMap cairn/cairn-ca was not read")
    );
    bed.api.set(CONFIG_MAP, config_map);
    bed.look(0).await;
    bed.pass(10).await;
    bed.look(0).await;
    bed.pass(DAY_S - 60).await;
    bed.look(0).await;
    bed.judge(0, &first).unwrap();
    bed.pass(120).await;
    bed.look(0).await;
    assert!(bed.judge(0, &first).is_err());
    let both = Chain::parse("both", bed.bundle().as_bytes()).unwrap();
    assert_eq!(both.count(), 2);
    bed.judge(0, &both).unwrap();
}

#[tokio::test]
async fn another_replica_writes_when_the_one_that_did_is_gone_for_a_minute() {
    let mut bed = Bed::new(2);
    bed.look_all().await;
    assert!(bed.api.object(LEASE)["spec"]["holderIdentity"] == "replica-0");
    for _ in 0..5 {
        bed.pass(10).await;
        bed.look(1).await;
    }
    assert!(bed.api.object(LEASE)["spec"]["holderIdentity"] == "replica-0");
    bed.pass(20).await;
    bed.look(1).await;
    assert!(bed.api.object(LEASE)["spec"]["holderIdentity"] == "replica-1");
    assert_eq!(bed.api.written(SECRET), 1);
}
