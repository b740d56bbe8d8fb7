//! One scrape by itself, with what was met on the way: for people who check a configuration.

use std::net::SocketAddr;
use std::time::Duration;

use cairn_runtime::tls::Voucher;

use super::{Body, Client, Error, Exchange};
use crate::config::{Kubelet, KubeletTrust};
use crate::sources::Failure;

/// What one scrape met, as far as it came.
#[derive(Debug)]
pub struct Once<T> {
    /// The address of the connection; `None` when there was none.
    pub reached: Option<SocketAddr>,
    /// Why the kubelet's certificate is trusted; `None` without a connection.
    pub voucher: Option<Voucher>,
    /// The values, or why there are none. The reason names the source no more than the chain of
    /// errors does.
    pub result: Result<T, Failure>,
}

/// Scrapes an endpoint once over a connection of its own, within `deadline`.
pub async fn once<T: Body>(kubelet: &Kubelet, deadline: Duration) -> Once<T> {
    let mut met = Once {
        reached: None,
        voucher: None,
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
    let bearer = client.bearer()?;
    let (address, stream) = client.dial(deadline).await?;
    met.reached = Some(address);
    if let KubeletTrust::Verified(trust) | KubeletTrust::Insecure(trust) = &kubelet.trust {
        let chain = stream.get_ref().1.peer_certificates();
        met.voucher = trust.voucher(chain.unwrap_or_default());
    }
    let mut exchange = Exchange::open(stream).await?;
    let body = exchange
        .get(kubelet, T::ENDPOINT, bearer.as_ref(), deadline)
        .await?;
    T::parse(&body, None)
}
