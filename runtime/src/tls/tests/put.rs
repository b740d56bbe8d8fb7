//! Certificates and CAs that their owner puts, and what is told of them beforehand.

use super::*;

fn names(names: &[&str]) -> Vec<ServerName<'static>> {
    names
        .iter()
        .map(|name| server_name(name).unwrap())
        .collect()
}

#[tokio::test]
async fn what_is_put_serves_new_connections_and_keeps_the_old_ones() {
    let (ca, identity) = (authority("ca"), Identity::empty());
    let server = ServerTls::of(&identity, &["h2"]).unwrap();
    let (address, _tasks) = echo(&server).await;
    let trust = Trust::empty();
    trust.put("ca", ca.pem.as_bytes()).unwrap();
    assert!(connect(Arc::clone(&trust), "node1", address).await.is_err());
    assert!(!identity.is_there());
    let (first, second) = (ca.leaf(&["node1"], false), ca.leaf(&["node1"], false));
    let put = |(cert, key): &(String, String)| {
        identity.put(("the cert", "the key"), cert.as_bytes(), key.as_bytes())
    };
    assert_eq!(put(&first).unwrap(), Reload::Changed);
    assert_eq!(put(&first).unwrap(), Reload::Same);
    server.there().await;
    let (old, mut stream) = connect(Arc::clone(&trust), "node1", address).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), 0);
    // A key of another pair changes nothing.
    let mixed = (second.0.clone(), first.1.clone());
    let error = put(&mixed).unwrap_err().to_string();
    assert!(
        error.contains("the key in the key is not") && error.contains("the cert"),
        "{error}"
    );
    assert_eq!(put(&second).unwrap(), Reload::Changed);
    assert_eq!(server.reload().unwrap(), Reload::Same);
    let (new, _) = connect(trust, "node1", address).await.unwrap();
    assert_ne!(old, new);
    stream.write_u8(7).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), 7);
}

#[tokio::test]
async fn cas_that_are_put_count_from_the_next_connection_on() {
    let (files, old, new) = (Files::new(), authority("old"), authority("new"));
    let (address, _tasks) = echo(&files.serve(&new.leaf(&["node1"], false))).await;
    let trust = Trust::empty();
    assert!(trust.is_empty());
    assert_eq!(
        trust.put("cas", old.pem.as_bytes()).unwrap(),
        Reload::Changed
    );
    assert!(connect(Arc::clone(&trust), "node1", address).await.is_err());
    trust.there().await;
    let before = trust.version();
    let both = format!("{}{}", old.pem, new.pem);
    assert_eq!(trust.put("cas", both.as_bytes()).unwrap(), Reload::Changed);
    assert_eq!(trust.put("cas", both.as_bytes()).unwrap(), Reload::Same);
    assert_eq!(trust.version(), before + 1);
    // What is no certificate leaves what was there.
    assert!(
        trust
            .put("cas", b"garbage")
            .unwrap_err()
            .to_string()
            .contains("cas")
    );
    assert_eq!(trust.reload().unwrap(), Reload::Same);
    connect(trust, "node1", address).await.unwrap();
}

#[test]
fn a_chain_tells_its_dates_its_subject_and_whether_a_client_takes_it() {
    let (ca, other) = (authority("ca"), authority("ca"));
    let (cert, key) = ca.leaf(&["node1", "node1.svc"], true);
    let chain = Chain::parse("leaf", cert.as_bytes()).unwrap();
    let (trusted, stranger) = (
        Chain::parse("ca", ca.pem.as_bytes()).unwrap(),
        Chain::parse("ca", other.pem.as_bytes()).unwrap(),
    );
    // From 2000-01-01 to 2001-01-01.
    let validity = chain.validity().unwrap();
    assert_eq!(
        (validity.from_unix_s, validity.until_unix_s),
        (946_684_800, 978_307_200)
    );
    assert!(trusted.validity().is_some());
    assert_eq!(trusted.subject().unwrap().common_name, "ca");
    assert_eq!(chain.count(), 1);
    assert!(chain.is_for(&server_name("node1").unwrap()));
    assert!(!chain.is_for(&server_name("node2").unwrap()));
    let good = names(&["node1", "node1.svc"]);
    let other_names = names(&["node1", "node2"]);
    chain.verify(&trusted, &good, 950_000_000).unwrap();
    assert!(chain.verify(&trusted, &good, 978_307_201).is_err());
    assert!(chain.verify(&trusted, &good, 946_684_799).is_err());
    assert!(chain.verify(&trusted, &other_names, 950_000_000).is_err());
    assert!(chain.verify(&stranger, &good, 950_000_000).is_err());
    one_pair(("c", "k"), cert.as_bytes(), key.as_bytes()).unwrap();
    let (_, strange) = other.leaf(&["node1"], false);
    assert!(one_pair(("c", "k"), cert.as_bytes(), strange.as_bytes()).is_err());
    assert!(Chain::parse("leaf", b"").is_err());
}
