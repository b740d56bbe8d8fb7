//! A hand-driven agent: sends an aggregator exactly the frames that a test wants, right or wrong.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use cairn_proto::v1::agent_frame::Kind;
use cairn_proto::v1::aggregator_frame::Kind as Answer;
use cairn_proto::{catalogue, codec, v1};
use cairn_runtime::tasks::AbortOnDrop;
use cairn_runtime::tls::ClientIdentity;
use futures_util::StreamExt as _;
use http::uri::PathAndQuery;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::{Request, Status, Streaming};

use crate::as_it_is::AsItIs;
use crate::channel::Channel;

/// How long anything may take.
const SOON: Duration = Duration::from_secs(10);

/// Frames that wait for the connection.
const FRAMES: usize = 64;

/// An open stream.
#[derive(Debug)]
pub struct RawAgent {
    frames: mpsc::Sender<Vec<Bytes>>,
    answers: Streaming<Bytes>,
    now_ms: u64,
    _connection: AbortOnDrop,
}

impl RawAgent {
    /// Connects with a token and opens a stream; nothing is sent yet. Every frame carries `now_ms`
    /// as the agent's clock.
    ///
    /// # Errors
    ///
    /// When the connection cannot be made, or the stream is refused.
    pub async fn connect(addr: SocketAddr, ca: &Path, token: &str, now_ms: u64) -> Result<Self> {
        Self::with_queue(FRAMES, (addr, ca), token, now_ms).await
    }

    /// The same with a client certificate in the place of a token.
    ///
    /// # Errors
    ///
    /// As [`RawAgent::connect`].
    pub async fn certified(
        addr: SocketAddr,
        ca: &Path,
        client: &ClientIdentity,
        now_ms: u64,
    ) -> Result<Self> {
        let channel = Channel::showing(addr, ca, Some(client)).await?;
        Self::open(FRAMES, (addr, channel), None, now_ms).await
    }

    /// The same; so many frames wait for the connection at most.
    ///
    /// # Errors
    ///
    /// As [`RawAgent::connect`].
    pub async fn with_queue(
        frames: usize,
        (addr, ca): (SocketAddr, &Path),
        token: &str,
        now_ms: u64,
    ) -> Result<Self> {
        let channel = Channel::tls(addr, ca).await?;
        Self::open(frames, (addr, channel), Some(token), now_ms).await
    }

    async fn open(
        frames: usize,
        (addr, (channel, guard)): (SocketAddr, (Channel, AbortOnDrop)),
        token: Option<&str>,
        now_ms: u64,
    ) -> Result<Self> {
        let origin: http::Uri = format!("https://{addr}").parse()?;
        let mut client = Grpc::with_origin(channel, origin).max_encoding_message_size(usize::MAX);
        let (frames, queue) = mpsc::channel(frames);
        let queue = ReceiverStream::new(queue).flat_map(futures_util::stream::iter);
        let mut request = Request::new(queue);
        if let Some(token) = token {
            let bearer = format!("Bearer {token}").parse()?;
            request.metadata_mut().insert("authorization", bearer);
        }
        timeout(SOON, client.ready()).await??;
        let path = PathAndQuery::from_static("/cairn.v1.Ingest/Report");
        let opening = client.streaming(request, path, AsItIs);
        let response = timeout(SOON, opening).await??;
        Ok(Self {
            frames,
            answers: response.into_inner(),
            now_ms,
            _connection: guard,
        })
    }

    /// Sets the agent's clock: what every later frame carries, Unix ms.
    pub fn set_clock(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// Sends one frame; an end of the stream shows in what is received.
    pub async fn send(&self, kind: Kind) {
        self.send_bytes(self.encoded(kind)).await;
    }

    /// Sends frames as an agent sends what it has at once: together. HTTP/2 ends a connection with
    /// many small DATA frames that nobody has read yet, so a node's entities are not sent one by one.
    pub async fn send_all(&self, kinds: impl IntoIterator<Item = Kind>) {
        let frames = kinds.into_iter().map(|kind| self.encoded(kind).into());
        drop(timeout(SOON, self.frames.send(frames.collect())).await);
    }

    /// Sends these bytes as a frame.
    pub async fn send_bytes(&self, frame: Vec<u8>) {
        drop(timeout(SOON, self.frames.send(vec![frame.into()])).await);
    }

    /// The bytes that [`RawAgent::send`] would send.
    #[must_use]
    pub fn encoded(&self, kind: Kind) -> Vec<u8> {
        let frame = v1::AgentFrame {
            unix_ms: self.now_ms,
            kind: Some(kind),
        };
        frame.encode_to_vec()
    }

    /// Sends one frame as soon as there is room, however long that takes. Answers that come meanwhile
    /// are passed over.
    ///
    /// # Errors
    ///
    /// The status with which the stream has ended; a clean end is `OK`.
    pub async fn push(&mut self, kind: Kind) -> Result<(), Status> {
        let frame = Bytes::from(self.encoded(kind));
        loop {
            // Both are cancel safe: what was not taken is there the next time.
            tokio::select! {
                biased;
                answer = next(&mut self.answers) => if answer?.is_none() {
                    return Err(Status::ok("the stream ended"));
                },
                room = self.frames.reserve() => match room {
                    Ok(room) => {
                        room.send(vec![frame]);
                        return Ok(());
                    }
                    // The stream takes no more: why, comes with its end.
                    Err(_) => break,
                },
            }
        }
        loop {
            self.receive().await?;
        }
    }

    /// Sends `Hello` for a run that began at `epoch_ms` and waits for `Welcome`.
    ///
    /// # Errors
    ///
    /// The status with which it was refused.
    pub async fn hello(&mut self, node: &str, epoch_ms: u64) -> Result<v1::Welcome> {
        self.send(Kind::Hello(self.hello_frame(node, epoch_ms)))
            .await;
        match self.receive().await {
            Ok(Some(Answer::Welcome(welcome))) => Ok(welcome),
            other => bail!("no Welcome but {other:?}"),
        }
    }

    /// A `Hello` with nothing in its ring.
    #[must_use]
    pub fn hello_frame(&self, node: &str, epoch_ms: u64) -> v1::Hello {
        v1::Hello {
            node: node.to_owned(),
            version: "test".to_owned(),
            row_codecs: codec::SUPPORTED.to_vec(),
            chunk_codecs: codec::SUPPORTED.to_vec(),
            catalogue: catalogue::VERSION,
            interval_ms: 10_000,
            unix_ms: self.now_ms,
            run: Some(v1::Run {
                boot_id: vec![7; 16],
                epoch_ms,
                clock_stepped: false,
            }),
            oldest_block: 0,
            next_seq: 0,
            evicted_rows: 0,
            dropped_rows: 0,
            earlier_runs: Vec::new(),
        }
    }

    /// The next answer; `None` for a frame of an unknown kind.
    ///
    /// # Errors
    ///
    /// The status that ended the stream; a clean end is `OK`.
    pub async fn receive(&mut self) -> Result<Option<Answer>, Status> {
        match timeout(SOON, next(&mut self.answers)).await {
            Ok(Ok(Some(frame))) => Ok(frame.kind),
            Ok(Ok(None)) => Err(Status::ok("the stream ended")),
            Ok(Err(status)) => Err(status),
            Err(_) => Err(Status::deadline_exceeded("nothing came")),
        }
    }

    /// Waits for the end of the stream and returns its status.
    ///
    /// # Errors
    ///
    /// When it does not end.
    pub async fn end(mut self) -> Result<Status> {
        for _ in 0..100 {
            if let Err(status) = self.receive().await {
                return Ok(status);
            }
        }
        None.context("the stream goes on and on")
    }
}

/// The next frame of an aggregator; `None` at the end of the stream. Cancel safe.
async fn next(answers: &mut Streaming<Bytes>) -> Result<Option<v1::AggregatorFrame>, Status> {
    let Some(bytes) = answers.message().await? else {
        return Ok(None);
    };
    let decoded = v1::AggregatorFrame::decode(bytes);
    decoded
        .map(Some)
        .map_err(|error| Status::internal(error.to_string()))
}
