//! Files that are looked for by default, and several pins and CAs at once.

use std::sync::atomic::Ordering;

use super::*;

fn by_default(files: &Files) -> Arc<Trust> {
    Trust::load(TrustFiles {
        ca: vec![files.path("ca.crt"), files.path("other-ca.crt")],
        pins: vec![files.path("kubelet.crt"), files.path("pins/*.crt")],
        optional: true,
    })
    .unwrap()
}

#[tokio::test]
async fn what_is_not_there_yet_is_found_when_it_comes_and_stays_when_it_goes() {
    let (files, ca) = (Files::new(), authority("node1-ca@1"));
    let pair = ca.leaf(&["node1"], false);
    let (address, _tasks) = echo(&files.serve(&pair)).await;
    let trust = by_default(&files);
    assert!(trust.is_empty() && !Trust::insecure().is_empty());
    let error = connect(Arc::clone(&trust), "node1", address)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ConnectKind::Certificate, "{error:?}");
    // Half a file, and one of another kind: passed over, as long as they are that.
    let half: String = pair.0.chars().take(pair.0.len() / 2).collect();
    files.write("kubelet.crt", &half);
    files.write("ca.crt", "not PEM");
    assert_eq!(trust.reload().unwrap(), Reload::Same);
    files.write("kubelet.crt", &pair.0);
    assert_eq!(trust.reload().unwrap(), Reload::Changed);
    assert!(!trust.is_empty());
    connect(Arc::clone(&trust), "node1", address).await.unwrap();
    // Between the old file and the new one.
    std::fs::remove_file(files.path("kubelet.crt")).unwrap();
    assert_eq!(trust.reload().unwrap(), Reload::Same);
    connect(trust, "node1", address).await.unwrap();
}

#[tokio::test]
async fn a_pin_that_breaks_beside_a_good_ca_keeps_what_it_had_and_is_told_once() {
    let (files, ca, foreign) = (Files::new(), authority("cluster"), authority("node1-ca@1"));
    let pair = foreign.leaf(&["node1"], false);
    let (address, _tasks) = echo(&files.serve(&pair)).await;
    let of_cluster = ca.leaf(&["node1"], false);
    let (other, _tasks) = echo(&files.serve(&of_cluster)).await;
    files.write("ca.crt", &ca.pem);
    files.write("kubelet.crt", &pair.0);
    let trust = by_default(&files);
    let taken = async || {
        for address in [address, other] {
            connect(Arc::clone(&trust), "node1", address).await.unwrap();
        }
    };
    taken().await;
    assert_eq!(trust.broken(), None, "what never was there is no news");
    let half: String = pair.0.chars().take(pair.0.len() / 2).collect();
    files.write("kubelet.crt", &half);
    for _ in 0..2 {
        assert_eq!(trust.reload().unwrap(), Reload::Same);
        let broken = trust.broken().unwrap();
        assert!(broken.contains("kubelet.crt"), "{broken}");
        taken().await;
    }
    std::fs::remove_file(files.path("kubelet.crt")).unwrap();
    assert_eq!(trust.reload().unwrap(), Reload::Same);
    assert!(trust.broken().unwrap().contains("kubelet.crt"));
    taken().await;
    // The other file is replaced meanwhile: what is new counts, and the pin stays.
    let version = trust.version();
    files.write("ca.crt", &format!("{}{}", ca.pem, authority("next").pem));
    assert_eq!(trust.reload().unwrap(), Reload::Changed);
    assert_ne!(trust.version(), version);
    taken().await;
    // A newer pin takes the place of the older.
    files.write("kubelet.crt", &foreign.leaf(&["node1"], false).0);
    assert_eq!(trust.reload().unwrap(), Reload::Changed);
    assert_eq!(trust.broken(), None);
    connect(Arc::clone(&trust), "node1", other).await.unwrap();
    let refused = connect(trust, "node1", address).await.unwrap_err();
    assert_eq!(refused.kind(), ConnectKind::Certificate, "{refused:?}");
}

#[test]
fn of_readings_at_once_the_later_is_the_later() {
    let (files, ca) = (Files::new(), authority("cluster"));
    files.write("ca.crt", &ca.pem);
    let trust = by_default(&files);
    for round in 0..50_u64 {
        // Replaced as a whole, as kubelets and projected volumes do it.
        let new = files.write("new", &authority(&format!("ca-{round}")).pem);
        std::fs::rename(new, files.path("ca.crt")).unwrap();
        let changed = std::thread::scope(|scope| {
            let readers = [0; 4].map(|_| scope.spawn(|| trust.reload().unwrap()));
            readers.map(|reader| reader.join().unwrap())
        });
        let changed = changed.into_iter().filter(|it| *it == Reload::Changed);
        assert_eq!(changed.count(), 1, "{round}: one of them puts it into use");
        assert_eq!(trust.version(), round + 1);
    }
}

#[tokio::test]
async fn every_pin_and_every_ca_is_tried_before_a_server_is_refused() {
    let (files, first, second) = (Files::new(), authority("first"), authority("second"));
    std::fs::create_dir(files.path("pins")).unwrap();
    files.write("ca.crt", &first.pem);
    files.write("other-ca.crt", &second.pem);
    let foreign = authority("foreign");
    let (pinned, unknown) = (
        foreign.leaf(&["elsewhere"], true),
        foreign.leaf(&["node1"], false),
    );
    files.write("kubelet.crt", &first.leaf(&["node9"], false).0);
    files.write("pins/a.crt", &second.leaf(&["node9"], false).0);
    files.write("pins/b.crt", &pinned.0);
    let trust = by_default(&files);
    let taken = [
        first.leaf(&["node1"], false),
        second.leaf(&["node1"], false),
        pinned,
    ];
    for pair in taken {
        let (address, _tasks) = echo(&files.serve(&pair)).await;
        connect(Arc::clone(&trust), "node1", address).await.unwrap();
    }
    let (address, _tasks) = echo(&files.serve(&unknown)).await;
    let error = connect(trust, "node1", address).await.unwrap_err();
    assert!(matches!(error, ConnectError::UnknownIssuer { .. }));
}

#[tokio::test]
async fn another_expired_pin_is_warned_of_again() {
    let (files, ca) = (Files::new(), authority("ca"));
    let [old, new] = [0, 1].map(|_| ca.leaf(&["node1"], true));
    let trust = files.trust_pin(&old.0);
    let warned = || trust.warned_expired.load(Ordering::Relaxed);
    let (address, _tasks) = echo(&files.serve(&old)).await;
    connect(Arc::clone(&trust), "node1", address).await.unwrap();
    assert!(warned());
    files.write("kubelet.crt", &new.0);
    assert_eq!(trust.reload().unwrap(), Reload::Changed);
    assert!(!warned());
}

/// Where the recordings of a real kubelet are.
fn recorded() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
    tests.join("fixtures/kubelet-1.36/node1-kubelet.crt")
}

#[test]
fn the_certificate_of_a_real_kubelet_is_a_pin_and_its_ca() {
    let files = |ca: &[PathBuf], pins: &[PathBuf]| TrustFiles {
        ca: ca.to_vec(),
        pins: pins.to_vec(),
        optional: false,
    };
    let bytes = std::fs::read(recorded()).unwrap();
    let chain = material::certificates(&recorded(), &bytes).unwrap();
    assert_eq!(chain.len(), 2);
    assert_eq!(certificate::names(&chain[0]), ["node1"], "and no address");
    let trust = Trust::load(files(&[], &[recorded()])).unwrap();
    // The second block is a CA, also when it stands in a file of pins.
    assert_eq!(trust.anchors().roots.len(), 1);
    let pinned = trust.voucher(&chain).unwrap();
    assert_eq!((pinned.by, pinned.file), (By::Pin, Some(recorded())));
    // 2027-11-22T06:18:26Z.
    assert_eq!(pinned.expires_unix_s, Some(1_826_864_306));
}
