//! One scrape by itself, with what was met on the way: for people who check a configuration.

use std::net::SocketAddr;
use std::time::Duration;

use cairn_runtime::tls::Voucher;

use super::dial::Line;
use super::{Body, Client, Error, Exchange};
use crate::config::{Kubelet, KubeletTrust};
use crate::sources::Failure;
use crate::sources::cadvisor::Ids;

/// What one scrape met, as far as it came.
#[derive(Debug)]
pub struct Once<T> {
    /// The address of the connection; `None` when there was none.
    pub reached: Option<SocketAddr>,
    /// Why the kubelet's certificate is trusted; `None` without a connection.
    pub voucher: Option<Voucher>,
    /// Whether a token was sent, or might have been.
    pub with_token: bool,
    /// True when it was read without TLS.
    pub is_plain: bool,
    /// The values, or why there are none. The reason names the source no more than the chain of
    /// errors does.
    pub result: Result<T, Failure>,
}

/// Scrapes an endpoint once over a connection of its own, within `deadline`.
pub async fn once<T: Body>(kubelet: &Kubelet, deadline: Duration) -> Once<T> {
    let mut met = Once {
        reached: None,
        voucher: None,
        with_token: matches!(kubelet.trust, KubeletTrust::Verified(_))
            && kubelet.token_file.is_some(),
        is_plain: false,
        result: Err(Error::Deadline { deadline }.failure(T::ENDPOINT)),
    };
    let read = tokio::time::timeout(deadline, read::<T>(kubelet, deadline, &mut met)).await;
    if let Ok(read) = read {
        met.result = read.map_err(|error| error.failure(T::ENDPOINT));
    }
    met
}

async fn read<T: Body>(
    kubelet: &Kubelet,
    deadline: Duration,
    met: &mut Once<T>,
) -> Result<T, Error> {
    let mut client = Client::new(kubelet.clone());
    let reached = client.dial(deadline).await?;
    met.reached = Some(reached.address);
    if let Line::Tls { stream, .. } = &reached.line {
        let chain = stream.get_ref().1.peer_certificates();
        met.voucher = kubelet.trust.trust().voucher(chain.unwrap_or_default());
    }
    let mut exchange = Exchange::open(reached.line).await?;
    met.is_plain = exchange.is_plain;
    met.with_token = exchange.takes_token && kubelet.token_file.is_some();
    let bearer = client.bearer(&exchange)?;
    let body = exchange
        .get(kubelet, T::ENDPOINT, bearer.as_ref(), deadline)
        .await?;
    T::parse(&body, None, Ids::kept(kubelet.keeps_ids))
}
