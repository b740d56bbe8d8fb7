mod places;
mod put;
mod unfit;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::shutdown::Token;

const DEADLINE: Duration = Duration::from_secs(10);

const HINT: Hint = Hint {
    name_flag: "--kubelet-server-name",
    ca_flag: "--kubelet-ca",
    pin_flag: Some("--kubelet-cert"),
};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Authority {
        issuer: Issuer::new(params, key),
        pem,
    }
}

impl Authority {
    /// Signs a leaf for the names; returns the certificate and its key as PEM.
    fn leaf(&self, names: &[&str], expired: bool) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        if expired {
            params.not_before = date_time_ymd(2000, 1, 1);
            params.not_after = date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        (
            params.signed_by(&key, &self.issuer).unwrap().pem(),
            key.serialize_pem(),
        )
    }
}

/// Files of one test.
struct Files {
    dir: TempDir,
}

impl Files {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn write_pair(&self, (cert, key): &(String, String)) {
        self.write("tls.crt", cert);
        self.write("tls.key", key);
    }

    fn serve(&self, pair: &(String, String)) -> Arc<ServerTls> {
        self.write_pair(pair);
        ServerTls::load(&self.path("tls.crt"), &self.path("tls.key"), &["h2"]).unwrap()
    }

    fn trust_ca(&self, authority: &Authority) -> Arc<Trust> {
        let ca = vec![self.write("ca.crt", &authority.pem)];
        Trust::load(TrustFiles {
            ca,
            ..TrustFiles::default()
        })
        .unwrap()
    }

    fn trust_pin(&self, pem: &str) -> Arc<Trust> {
        self.write("kubelet.crt", pem);
        let pins = vec![self.path("kube*.crt")];
        Trust::load(TrustFiles {
            ca: vec![self.path("absent.crt")],
            pins,
            optional: false,
        })
        .unwrap()
    }
}

/// An echo server; each connection first gets one byte: how many certificates the client proved.
async fn echo(server: &ServerTls) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(server.config());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let proved = stream.get_ref().1.peer_certificates().map_or(0, <[_]>::len);
                stream
                    .write_all(&[u8::try_from(proved).unwrap()])
                    .await
                    .unwrap();
                let mut byte = [0];
                while stream.read_exact(&mut byte).await.is_ok() {
                    stream.write_all(&byte).await.unwrap();
                }
            });
        }
    });
    (address, tasks)
}

fn connector(trust: Arc<Trust>, name: &str) -> Connector {
    Connector::new_with_hint(trust, server_name(name).unwrap(), &["h2"], HINT)
}

/// Connects and returns the leaf that the server presented, with the connection.
async fn connect(
    trust: Arc<Trust>,
    name: &str,
    address: SocketAddr,
) -> Result<(CertificateDer<'static>, ClientStream), ConnectError> {
    let stream = connector(trust, name).connect(address, DEADLINE).await?;
    let leaf = stream
        .get_ref()
        .1
        .peer_certificates()
        .unwrap()
        .first()
        .unwrap()
        .clone();
    Ok((leaf, stream))
}

#[tokio::test]
async fn a_server_of_a_trusted_ca_under_its_name_is_accepted() {
    let (files, ca) = (Files::new(), authority("cluster"));
    let (address, _tasks) = echo(&files.serve(&ca.leaf(&["node1"], false))).await;
    let (_, mut stream) = connect(files.trust_ca(&ca), "node1", address)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(stream.read_u8().await.unwrap(), 0);
}

#[tokio::test]
async fn a_wrong_name_is_refused_with_both_names_and_the_flag() {
    let (files, ca) = (Files::new(), authority("cluster"));
    let pair = ca.leaf(&["node1", "192.0.2.7"], false);
    let (address, _tasks) = echo(&files.serve(&pair)).await;
    for expected in ["node2", "192.0.2.8"] {
        let error = connect(files.trust_ca(&ca), expected, address)
            .await
            .unwrap_err();
        assert!(matches!(&error, ConnectError::Names { found, .. } if found.len() == 2));
        assert_eq!(error.kind(), ConnectKind::Certificate);
        let text = error.to_string();
        let said =
            format!("is for node1, 192.0.2.7, not for {expected}: set --kubelet-server-name");
        assert!(text.contains(&said), "{text}");
    }
    connect(files.trust_ca(&ca), "192.0.2.7", address)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_unknown_issuer_is_refused_with_the_names_and_the_flag() {
    let (files, ca) = (Files::new(), authority("cluster"));
    let (address, _tasks) = echo(&files.serve(&ca.leaf(&["node1"], false))).await;
    // The same subject with another key: what a cluster made anew looks like.
    for other in [authority("other"), authority("cluster")] {
        let error = connect(files.trust_ca(&other), "node1", address)
            .await
            .unwrap_err();
        assert!(
            matches!(error, ConnectError::UnknownIssuer { .. }),
            "{error:?}"
        );
        let text = error.to_string();
        assert!(
            text.contains("for node1") && text.contains("--kubelet-ca"),
            "{text}"
        );
        assert!(
            text.contains("or --kubelet-cert to the certificate"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_expired_certificate_is_refused_unless_it_is_pinned() {
    let (files, ca) = (Files::new(), authority("cluster"));
    let pair = ca.leaf(&["node1"], true);
    let (address, _tasks) = echo(&files.serve(&pair)).await;
    let error = connect(files.trust_ca(&ca), "node1", address)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ConnectError::Expired {
                not_yet_valid: false,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("has expired"), "{error}");
    // The pin needs no name either.
    let trust = files.trust_pin(&pair.0);
    connect(Arc::clone(&trust), "another", address)
        .await
        .unwrap();
    assert!(
        trust
            .warned_expired
            .load(std::sync::atomic::Ordering::Relaxed)
    );
}

#[tokio::test]
async fn a_ca_in_a_pin_file_counts_as_ca_and_a_foreign_leaf_is_refused() {
    let (files, ca) = (Files::new(), authority("node1-ca@1"));
    let old = ca.leaf(&["node1"], false);
    let (address, _tasks) = echo(&files.serve(&ca.leaf(&["node1"], false))).await;
    let trust = files.trust_pin(&format!("{}{}", old.0, ca.pem));
    connect(Arc::clone(&trust), "node1", address).await.unwrap();
    let error = connect(trust, "node2", address).await.unwrap_err();
    assert!(matches!(error, ConnectError::Names { .. }), "{error:?}");
    let error = connect(files.trust_pin(&old.0), "node1", address)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ConnectError::UnknownIssuer { .. }),
        "{error:?}"
    );
}

#[test]
fn what_vouches_for_a_server_is_told_with_its_file_and_its_last_day() {
    let (files, ca, other) = (Files::new(), authority("ca"), authority("other"));
    let chain = |pem: &str| material::certificates(Path::new("x"), pem.as_bytes()).unwrap();
    let (good, old) = (ca.leaf(&["node1"], false), ca.leaf(&["node1"], true));
    let (good, old) = (chain(&good.0), (chain(&old.0), old.0));
    let by_ca = files.trust_ca(&ca).voucher(&good).unwrap();
    assert_eq!((by_ca.by, by_ca.expired), (By::Ca, false));
    assert_eq!(by_ca.file, Some(files.path("ca.crt")));
    assert_eq!(files.trust_ca(&ca).voucher(&old.0), None);
    let pin = files.trust_pin(&old.1).voucher(&old.0).unwrap();
    assert_eq!((pin.by, pin.expired), (By::Pin, true));
    assert_eq!(pin.file, Some(files.path("kubelet.crt")));
    // 2001-01-01T00:00:00Z.
    assert_eq!(pin.expires_unix_s, Some(978_307_200));
    let in_pins = files.trust_pin(&ca.pem).voucher(&good).unwrap();
    assert_eq!((in_pins.by, in_pins.file), (By::Ca, pin.file));
    let nothing = Trust::insecure().voucher(&good).unwrap();
    assert_eq!((nothing.by, nothing.file), (By::Nothing, None));
    assert_eq!(files.trust_ca(&other).voucher(&good), None);
    assert_eq!(files.trust_ca(&ca).voucher(&[]), None);
}

#[tokio::test]
async fn an_insecure_trust_takes_any_server() {
    let (files, ca) = (Files::new(), authority("cluster"));
    let (address, _tasks) = echo(&files.serve(&ca.leaf(&["node1"], true))).await;
    connect(Trust::insecure(), "whatever", address)
        .await
        .unwrap();
}

#[derive(Debug)]
struct Presents(Arc<CertifiedKey>);

impl ResolvesClientCert for Presents {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Connects with a client certificate and a key that may not be its own; returns the first byte.
async fn present(address: SocketAddr, cert: &str, key: &str) -> io::Result<u8> {
    let provider = provider();
    let path = Path::new("client");
    let chain = material::certificates(path, cert.as_bytes()).unwrap();
    let key = material::private_key(path, key.as_bytes()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let algorithms = provider.signature_verification_algorithms;
    let verifier = verifier::Verifier {
        trust: Trust::insecure(),
        algorithms,
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(Presents(Arc::new(CertifiedKey::new(chain, key)))));
    let stream = TcpStream::connect(address).await?;
    let name = server_name("node1").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    stream.read_u8().await
}

#[tokio::test]
async fn a_client_certificate_passes_with_its_own_key_only() {
    let (files, ca) = (Files::new(), authority("cluster"));
    let (address, _tasks) = echo(&files.serve(&ca.leaf(&["aggregator"], false))).await;
    let (client, other) = (ca.leaf(&["node1"], false), ca.leaf(&["node2"], false));
    assert_eq!(present(address, &client.0, &client.1).await.unwrap(), 1);
    present(address, &client.0, &other.1).await.unwrap_err();
}

#[tokio::test]
async fn a_new_certificate_serves_new_connections_and_keeps_the_old_ones() {
    let (files, ca) = (Files::new(), authority("cluster"));
    let server = files.serve(&ca.leaf(&["node1"], false));
    let (address, _tasks) = echo(&server).await;
    let trust = files.trust_ca(&ca);
    let (before, mut living) = connect(Arc::clone(&trust), "node1", address).await.unwrap();
    assert_eq!(server.reload().unwrap(), Reload::Same);

    // Half a rotation and a broken file leave the old certificate in use.
    let new = ca.leaf(&["node1"], false);
    files.write("tls.crt", &new.0);
    assert!(matches!(server.reload(), Err(Error::Mismatch { .. })));
    files.write("tls.key", "-----BEGIN PRIVATE KEY-----\nnot base64");
    assert!(matches!(server.reload(), Err(Error::Pem { .. })));
    let (still, _) = connect(Arc::clone(&trust), "node1", address).await.unwrap();
    assert_eq!(before, still);

    files.write_pair(&new);
    let token = Token::new();
    let mut tasks = JoinSet::new();
    let items = vec![Arc::clone(&server).into(), Arc::clone(&trust).into()];
    tasks.spawn(reload_loop(items, Duration::from_millis(5), token.clone()));
    tokio::time::timeout(DEADLINE, async {
        while connect(Arc::clone(&trust), "node1", address)
            .await
            .unwrap()
            .0
            == before
        {}
    })
    .await
    .unwrap();
    token.cancel();
    assert_eq!(tasks.join_next().await.unwrap().unwrap(), Ok(()));

    assert_eq!(living.read_u8().await.unwrap(), 0);
    living.write_all(&[42]).await.unwrap();
    assert_eq!(living.read_u8().await.unwrap(), 42);
}

#[tokio::test]
async fn a_new_ca_is_trusted_from_the_next_connection_on() {
    let (files, ca, new) = (Files::new(), authority("cluster"), authority("cluster"));
    let (address, _tasks) = echo(&files.serve(&new.leaf(&["node1"], false))).await;
    let trust = files.trust_ca(&ca);
    connect(Arc::clone(&trust), "node1", address)
        .await
        .unwrap_err();
    files.write("ca.crt", "");
    assert!(matches!(trust.reload(), Err(Error::NoCertificate { .. })));
    files.write("ca.crt", &format!("{}{}", ca.pem, new.pem));
    assert_eq!(trust.reload().unwrap(), Reload::Changed);
    connect(trust, "node1", address).await.unwrap();
}

#[test]
fn wrong_files_are_named() {
    let (files, ca) = (Files::new(), authority("cluster"));
    let (cert, key) = ca.leaf(&["node1"], false);
    files.write("tls.crt", &cert);
    let load = |cert: &str, key: &str| {
        let error = ServerTls::load(&files.path(cert), &files.path(key), &[]).unwrap_err();
        crate::logging::chain(&error)
    };
    assert!(load("none.crt", "tls.key").contains("none.crt"));
    files.write("empty.crt", "");
    files.write("tls.key", &key);
    assert!(load("empty.crt", "tls.key").contains("empty.crt has no certificate"));
    assert!(load("tls.crt", "tls.crt").contains("tls.crt has no private key"));
    files.write("other.key", &ca.leaf(&["node1"], false).1);
    let text = load("tls.crt", "other.key");
    assert!(
        text.contains("other.key") && text.contains("tls.crt"),
        "{text}"
    );
    let none = TrustFiles {
        ca: vec![files.path("no.crt")],
        pins: vec![files.path("*.pin")],
        optional: false,
    };
    let text = Trust::load(none).unwrap_err().to_string();
    assert!(text.contains("no.crt") && text.contains("*.pin"), "{text}");
    assert!(
        server_name("not a name")
            .unwrap_err()
            .to_string()
            .contains("not a name")
    );
}

#[tokio::test]
async fn dialling_has_a_deadline_and_names_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connector = connector(Trust::insecure(), "node1");
    let silent = connector
        .connect(address, Duration::from_millis(50))
        .await
        .unwrap_err();
    assert_eq!(silent.kind(), ConnectKind::Timeout);
    drop(listener);
    let refused = connector.connect(address, DEADLINE).await.unwrap_err();
    assert_eq!(refused.kind(), ConnectKind::Connect);
    assert!(refused.to_string().contains(&address.to_string()));
}
