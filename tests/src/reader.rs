//! A program that asks `cairn.v1.Query`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cairn_proto::v1;
use cairn_proto::v1::query_client::QueryClient;
use cairn_proto::v1::range_response::Part;
use cairn_runtime::tasks::AbortOnDrop;
use tokio::time::timeout;
use tonic::{Response, Status, Streaming};

use crate::channel::Channel;

/// How long anything may take.
const SOON: Duration = Duration::from_secs(10);

/// One connection.
#[derive(Debug)]
pub struct Reader {
    client: QueryClient<Channel>,
    _connection: AbortOnDrop,
}

/// One series of a range: by tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Raw values; none of a range of rates.
    pub values: BTreeMap<u64, u64>,
    /// Rates per second; none of a range of values.
    pub rates: BTreeMap<u64, f64>,
}

impl Reader {
    /// Connects without TLS.
    ///
    /// # Errors
    ///
    /// When the connection cannot be made.
    pub async fn plain(addr: SocketAddr) -> Result<Self> {
        let (channel, connection) = Channel::plain(addr).await?;
        let origin: http::Uri = format!("http://{addr}").parse()?;
        Ok(Self {
            client: QueryClient::with_origin(channel, origin),
            _connection: connection,
        })
    }

    /// Connects over TLS.
    ///
    /// # Errors
    ///
    /// When the connection cannot be made.
    pub async fn tls(addr: SocketAddr, ca: &Path) -> Result<Self> {
        let (channel, connection) = Channel::tls(addr, ca).await?;
        let origin: http::Uri = format!("https://{addr}").parse()?;
        Ok(Self {
            client: QueryClient::with_origin(channel, origin),
            _connection: connection,
        })
    }

    /// Connects over TLS, as who has this token.
    ///
    /// # Errors
    ///
    /// When the connection cannot be made.
    pub async fn known(addr: SocketAddr, ca: &Path, token: &str) -> Result<Self> {
        let (channel, connection) = Channel::tls(addr, ca).await?;
        let origin: http::Uri = format!("https://{addr}").parse()?;
        Ok(Self {
            client: QueryClient::with_origin(channel.bearer(token)?, origin),
            _connection: connection,
        })
    }

    /// A range, read to its end: each series with the name of its entity.
    ///
    /// # Errors
    ///
    /// The status that it was refused with, or what is not as the service promises.
    pub async fn range(&mut self, request: v1::RangeRequest) -> Result<Vec<(v1::Entity, Line)>> {
        let parts = all(timeout(SOON, self.client.range(request)).await?).await?;
        let mut parts = parts.into_iter().map(|response| response.part);
        let Some(Some(Part::Ticks(ticks))) = parts.next() else {
            anyhow::bail!("a range begins with its ticks");
        };
        let mut lines = Vec::new();
        for part in parts {
            let Some(Part::Batch(batch)) = part else {
                anyhow::bail!("after the ticks come batches: {part:?}");
            };
            for series in batch.series {
                let line = line(&ticks, &series)?;
                lines.push((series.entity.context("a series without a name")?, line));
            }
        }
        Ok(lines)
    }

    /// What there is, read to its end.
    ///
    /// # Errors
    ///
    /// The status that it was refused with.
    pub async fn entities(&mut self, request: v1::ListEntitiesRequest) -> Result<Vec<v1::Entity>> {
        let answers = all(timeout(SOON, self.client.list_entities(request)).await?).await?;
        Ok(answers
            .into_iter()
            .flat_map(|answer| answer.entities)
            .collect())
    }

    /// Workloads, read to their end.
    ///
    /// # Errors
    ///
    /// The status that it was refused with.
    pub async fn workloads(
        &mut self,
        request: v1::ListWorkloadsRequest,
    ) -> Result<Vec<v1::Workload>> {
        let answers = all(timeout(SOON, self.client.list_workloads(request)).await?).await?;
        Ok(answers
            .into_iter()
            .flat_map(|answer| answer.workloads)
            .collect())
    }

    /// The newest values, read to their end.
    ///
    /// # Errors
    ///
    /// The status that it was refused with.
    pub async fn latest(&mut self, request: v1::LatestRequest) -> Result<Vec<v1::LatestValues>> {
        let answers = all(timeout(SOON, self.client.latest(request)).await?).await?;
        Ok(answers
            .into_iter()
            .flat_map(|answer| answer.entities)
            .collect())
    }

    /// The highest values.
    ///
    /// # Errors
    ///
    /// The status that it was refused with.
    pub async fn top(&mut self, request: v1::TopRequest) -> Result<v1::TopResponse> {
        Ok(timeout(SOON, self.client.top(request)).await??.into_inner())
    }

    /// Sums as they come; dropping it ends the watch.
    ///
    /// # Errors
    ///
    /// The status that it was refused with.
    pub async fn watch(
        &mut self,
        request: v1::WatchRequest,
    ) -> Result<Streaming<v1::WatchResponse>> {
        let response = timeout(SOON, self.client.watch(request)).await?;
        Ok(response?.into_inner())
    }

    /// The beginning of a range, of which nothing more is read than its first answer.
    ///
    /// # Errors
    ///
    /// The status that it was refused with.
    pub async fn begin_range(
        &mut self,
        request: v1::RangeRequest,
    ) -> Result<Streaming<v1::RangeResponse>> {
        let response = timeout(SOON, self.client.range(request)).await?;
        let mut stream = response?.into_inner();
        timeout(SOON, stream.message()).await??;
        Ok(stream)
    }
}

async fn all<T>(response: Result<Response<Streaming<T>>, Status>) -> Result<Vec<T>> {
    let mut stream = response?.into_inner();
    let mut answers = Vec::new();
    while let Some(answer) = timeout(SOON, stream.message()).await?? {
        answers.push(answer);
    }
    Ok(answers)
}

/// Puts a series on its ticks.
fn line(ticks: &v1::Ticks, series: &v1::Series) -> Result<Line> {
    let mut there = Vec::new();
    let mut is_there = series.runs.is_empty();
    for length in &series.runs {
        there.extend(std::iter::repeat_n(is_there, usize::try_from(*length)?));
        is_there = !is_there;
    }
    let count = usize::try_from(ticks.count)?;
    ensure!(there.len() <= count, "more ticks than there are");
    there.resize(count, is_there);
    let places = (0_u64..).zip(there).filter(|(_, there)| *there);
    let ticks: Vec<u64> = places
        .map(|(nth, _)| ticks.first_ms + nth * ticks.interval_ms)
        .collect();
    let mut line = Line::default();
    if series.deltas.is_empty() {
        ensure!(ticks.len() == series.rates.len(), "{series:?}");
        line.rates = ticks
            .into_iter()
            .zip(series.rates.iter().copied())
            .collect();
        return Ok(line);
    }
    ensure!(ticks.len() == series.deltas.len(), "{series:?}");
    let mut value = 0_u64;
    for (tick_ms, delta) in ticks.into_iter().zip(&series.deltas) {
        value = value.wrapping_add(delta.cast_unsigned());
        line.values.insert(tick_ms, value);
    }
    Ok(line)
}
