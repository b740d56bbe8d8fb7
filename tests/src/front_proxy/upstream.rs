//! How the front proxy asks the aggregator.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, header, request};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::pki::Leaf;

/// How long the aggregator may take to answer.
const DEADLINE: Duration = Duration::from_secs(20);

/// What of a client's headers the aggregator is told.
const HANDED: [HeaderName; 4] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::IF_NONE_MATCH,
    header::USER_AGENT,
];

/// The aggregator, as the front proxy knows it.
pub(crate) struct Upstream {
    addr: SocketAddr,
    host: ServerName<'static>,
    tls: TlsConnector,
}

impl Upstream {
    /// The one at this address, whose certificate must be for `host` and signed by one of the CAs (PEM). It is
    /// shown who the proxy is.
    pub(crate) fn new(addr: SocketAddr, host: &str, ca: &[u8], client: &Leaf) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca) {
            roots.add(certificate?)?;
        }
        let chain: Vec<_> =
            CertificateDer::pem_file_iter(&client.cert_pem)?.collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(&client.key_pem)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            addr,
            host: ServerName::try_from(host.to_owned())?,
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Asks what a client asked, for this user of these groups.
    pub(crate) async fn ask(
        &self,
        user: (&str, &[&str]),
        asked: &request::Parts,
    ) -> Result<Response<Full<Bytes>>> {
        let asking = self.exchange(user, asked);
        tokio::time::timeout(DEADLINE, asking)
            .await
            .context("no answer in time")?
    }

    async fn exchange(
        &self,
        (user, groups): (&str, &[&str]),
        asked: &request::Parts,
    ) -> Result<Response<Full<Bytes>>> {
        let stream = TcpStream::connect(self.addr).await?;
        let stream = self.tls.connect(self.host.clone(), stream).await;
        let stream = stream.context("the aggregator's certificate")?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let asking = async {
            let target = asked
                .uri
                .path_and_query()
                .map_or("/", |target| target.as_str());
            let mut request = Request::builder()
                .method(Method::clone(&asked.method))
                .uri(target)
                .header(header::HOST, "cairn-aggregator.cairn.svc:443")
                .header("x-remote-user", user);
            for group in groups {
                request = request.header("x-remote-group", *group);
            }
            for name in &HANDED {
                for value in asked.headers.get_all(name) {
                    request = request.header(name, value);
                }
            }
            let answer = sender
                .send_request(request.body(Empty::<Bytes>::new())?)
                .await?;
            let (mut parts, body) = answer.into_parts();
            let body = body.collect().await?.to_bytes();
            // The next connection has its own way to say how long it is.
            parts.headers.remove(header::TRANSFER_ENCODING);
            parts.headers.remove(header::CONNECTION);
            anyhow::Ok(Response::from_parts(parts, Full::from(body)))
        };
        // When the connection ends, whoever waits for something of it hears of it.
        let driving = async {
            drop(connection.await);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            answer = asking => answer,
            () = driving => anyhow::bail!("the aggregator hung up"),
        }
    }
}
