//! One scrape by itself, with what was met on the way: for people who check a configuration.

use std::net::SocketAddr;
use std::time::Duration;

use cairn_runtime::tls::Voucher;

use super::dial::Line;
use super::exchange::Asked;
use super::{Body, Client, Error, Exchange};
use crate::config::{Target, TargetTrust};
use crate::sources::Failure;

/// What one scrape met, as far as it came.
#[derive(Debug)]
pub struct Once<T> {
    /// The address of the connection; `None` when there was none.
    pub reached: Option<SocketAddr>,
    /// Why the certificate is trusted; `None` without a connection.
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
pub async fn once<T: Body>(target: &Target, body: T, deadline: Duration) -> Once<T::Values> {
    let endpoint = body.endpoint();
    let mut met = Once {
        reached: None,
        voucher: None,
        with_token: matches!(target.trust, TargetTrust::Verified(_)) && target.token_file.is_some(),
        is_plain: false,
        result: Err(Error::Deadline { deadline }.failure(endpoint, target.who)),
    };
    let read = tokio::time::timeout(deadline, read((target, body), deadline, &mut met)).await;
    if let Ok(read) = read {
        met.result = read.map_err(|error| error.failure(endpoint, target.who));
    }
    met
}

async fn read<T: Body>(
    (target, body): (&Target, T),
    deadline: Duration,
    met: &mut Once<T::Values>,
) -> Result<T::Values, Error> {
    let mut client = Client::new(target.clone());
    let reached = client.dial(deadline).await?;
    met.reached = Some(reached.address);
    if let Line::Tls { stream, .. } = &reached.line {
        let chain = stream.get_ref().1.peer_certificates();
        met.voucher = target.trust.trust().voucher(chain.unwrap_or_default());
    }
    let mut exchange = Exchange::open(reached.line).await?;
    met.is_plain = exchange.is_plain;
    met.with_token = exchange.takes_token && target.token_file.is_some();
    let bearer = client.bearer(&exchange)?;
    let asked = Asked {
        target,
        endpoint: body.endpoint(),
        bearer: bearer.as_ref(),
        deadline,
    };
    let mut room = Vec::new();
    exchange.get(asked, &mut room).await?;
    body.parse(&room, None)
}
