//! Asks an aggregator whether it would take this node's stream, without opening one.
//!
//! A `Hello` that offers no row codec is a question: an aggregator judges it by all that it judges a
//! stream by and refuses it for the codec last, so one that is refused for that alone would be taken. The
//! stream of an agent that runs goes on.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use cairn_proto::model::Run;
use cairn_proto::v1::{self, AgentFrame, agent_frame, aggregator_frame};
use cairn_proto::{catalogue, codec};
use cairn_runtime::lookup;
use cairn_runtime::tls::Voucher;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status};

use super::bearer::Bearer;
use super::connect::{self, Link};
use super::{End, EndKind, host};
use crate::config::Aggregator;

/// Time from the connection to the answer: as long as an agent waits for `Welcome`.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Probe<'a> {
    /// The node that would be reported.
    pub node: &'a str,
    /// Distance of its ticks, ms.
    pub interval_ms: u64,
    /// File of the bearer token; `None` sends none.
    pub token_file: Option<&'a Path>,
    /// This machine's time, Unix ms.
    pub unix_ms: u64,
}

/// What one address came to.
#[derive(Debug)]
pub struct Probed {
    /// True when a connection was made, and verified.
    pub reached: bool,
    /// Why the aggregator's certificate is trusted; `None` without a connection.
    pub voucher: Option<Voucher>,
    /// Whether it would take the stream.
    pub result: Result<(), End>,
}

impl Probe<'_> {
    /// The addresses of an aggregator's host that would be streamed to.
    ///
    /// # Errors
    ///
    /// The name has none, with what to check.
    pub async fn addresses(target: &Aggregator) -> Result<Vec<SocketAddr>, End> {
        let failed = |why: String| End::new(EndKind::Resolve, format!("{}: {why}", target.host));
        let found = lookup::once(host::name(target)).await.map_err(failed)?;
        if found.is_empty() {
            let why = "the name has no address: check --aggregator and the name service";
            return Err(failed(why.to_owned()));
        }
        Ok(found)
    }

    /// Asks one address. Takes at most fifteen seconds.
    pub async fn ask(self, target: &Aggregator, address: SocketAddr) -> Probed {
        let mut probed = Probed {
            reached: false,
            voucher: None,
            result: Ok(()),
        };
        let connector = connect::connector(target);
        let stream = match Link::dial(&connector, address).await {
            Ok(stream) => stream,
            Err(end) => {
                probed.result = Err(end);
                return probed;
            }
        };
        probed.reached = true;
        let chain = stream.get_ref().1.peer_certificates();
        probed.voucher = target.trust.voucher(chain.unwrap_or_default());
        let asked = async { self.hello(Link::speak(target, stream).await?).await };
        probed.result = timeout(ANSWER_DEADLINE, asked).await.unwrap_or_else(|_| {
            let reason = format!(
                "aggregator {address} did not answer Hello within {ANSWER_DEADLINE:?}: check its \
                 load and its log"
            );
            Err(End::new(EndKind::Timeout, reason))
        });
        probed
    }

    async fn hello(self, mut link: Link) -> Result<(), End> {
        let bearer = Bearer::read(self.token_file)?;
        let run = Run {
            epoch_ms: self.unix_ms,
            boot_id: [0; 16],
            clock_stepped: false,
        };
        let hello = v1::Hello {
            node: self.node.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            // See the module's text.
            row_codecs: Vec::new(),
            chunk_codecs: codec::SUPPORTED.to_vec(),
            catalogue: catalogue::VERSION,
            interval_ms: self.interval_ms,
            unix_ms: self.unix_ms,
            run: Some((&run).into()),
            ..v1::Hello::default()
        };
        // Kept until the answer: without it the stream would be over.
        let (frames, queue) = mpsc::channel(1);
        let first = AgentFrame {
            unix_ms: self.unix_ms,
            kind: Some(agent_frame::Kind::Hello(hello)),
        };
        // The queue is empty and its other end is in this function.
        drop(frames.try_send(first));
        let mut request = Request::new(ReceiverStream::new(queue));
        if let Some(bearer) = &bearer {
            bearer.show(&mut request)?;
        }
        let mut incoming = match link.client.report(request).await {
            Ok(answered) => answered.into_inner(),
            Err(status) => return judge(&status),
        };
        match incoming.message().await {
            Err(status) => judge(&status),
            Ok(Some(frame)) => match frame.kind {
                Some(aggregator_frame::Kind::Drain(drain)) => Err(End::drained(drain)),
                _ => Ok(()),
            },
            Ok(None) => {
                let reason = "aggregator ended the stream without a word: check --aggregator";
                Err(End::new(EndKind::Protocol, reason))
            }
        }
    }
}

/// What a refusal says: that there is no codec in common comes last, after all that is asked.
fn judge(status: &Status) -> Result<(), End> {
    match status.code() {
        Code::FailedPrecondition => Ok(()),
        _ => Err(End::of_status(status)),
    }
}
