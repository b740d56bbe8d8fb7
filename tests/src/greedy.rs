//! An aggregator by hand: welcomes every agent, says what a test wants over and over, as fast as it is
//! read, and counts what it gets.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use cairn_proto::v1::agent_frame::Kind;
use cairn_proto::v1::aggregator_frame::Kind as Answer;
use cairn_proto::v1::ingest_server::{Ingest, IngestServer};
use cairn_proto::{catalogue, codec, limits, v1};
use cairn_runtime::tasks::Group;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use crate::served::Served;
use crate::system::{Options, System, at};

/// What it says, once it was told the agent's run: asked for one frame after the other, by number.
/// `None` is a frame of a kind that nobody knows.
type Script = dyn Fn(&v1::Hello, u64) -> Option<Answer> + Send + Sync;

/// Streams of agents at a time.
const STREAMS: usize = 16;

/// A running one. Dropping it ends it.
#[derive(Debug)]
pub struct Greedy {
    /// Where it listens.
    pub addr: SocketAddr,
    counts: Arc<Counts>,
    // Whether it says more than Welcome.
    begun: watch::Sender<bool>,
    _served: Served,
}

/// What came from agents.
#[derive(Debug, Default)]
struct Counts {
    streams: AtomicU64,
    rows: AtomicU64,
    chunks: AtomicU64,
    gaps: AtomicU64,
    said: AtomicU64,
}

/// What came from agents so far, and how much was said to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Got {
    /// Streams that were welcomed.
    pub streams: u64,
    /// Rows.
    pub rows: u64,
    /// Blocks of the past.
    pub chunks: u64,
    /// Answers that something will not come.
    pub gaps: u64,
    /// Frames handed to the connections.
    pub said: u64,
}

impl Greedy {
    /// Starts one with the certificate `server.pem` of a directory. It welcomes whoever comes, and says
    /// no more until it begins.
    ///
    /// # Errors
    ///
    /// When it cannot listen.
    pub fn start<F>(dir: &Path, script: F) -> Result<Self>
    where
        F: Fn(&v1::Hello, u64) -> Option<Answer> + Send + Sync + 'static,
    {
        let counts = Arc::<Counts>::default();
        let begun = watch::Sender::new(false);
        let service = Service {
            script: Arc::new(script),
            counts: Arc::clone(&counts),
            begun: begun.subscribe(),
            streams: Group::new("greedy aggregator", 2 * STREAMS),
        };
        let server = IngestServer::new(service)
            .max_decoding_message_size(limits::MAX_FRAME_BYTES)
            .max_encoding_message_size(limits::MAX_FRAME_BYTES);
        let served = Served::start(dir, Routes::new(server))?;
        Ok(Self {
            addr: served.addr,
            counts,
            begun,
            _served: served,
        })
    }

    /// Lets it say what it wants, from now on.
    pub fn begin(&self) {
        self.begun.send_replace(true);
    }

    /// What came so far.
    #[must_use]
    pub fn got(&self) -> Got {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Got {
            streams: of(&self.counts.streams),
            rows: of(&self.counts.rows),
            chunks: of(&self.counts.chunks),
            gaps: of(&self.counts.gaps),
            said: of(&self.counts.said),
        }
    }
}

/// Everything of a run that there is or could be.
#[must_use]
pub fn everything(run: Option<v1::Run>) -> Option<Answer> {
    Some(Answer::Want(v1::Want {
        run,
        first_block: 0,
        last_block: u64::MAX / limits::BLOCK_ROWS - 1,
    }))
}

/// Starts a system of one node whose agent streams to its own aggregator and to a greedy one, and lets
/// it make so many rows. The greedy one says nothing before [`Greedy::begin`].
///
/// # Errors
///
/// As [`Greedy::start`] and [`System::tick`].
pub fn beside<F>(rows: u64, script: F) -> Result<(System, Greedy)>
where
    F: Fn(&v1::Hello, u64) -> Option<Answer> + Send + Sync + 'static,
{
    let mut system = System::start(Options::one_node())?;
    let greedy = Greedy::start(system.dir(), script)?;
    let address = format!("https://localhost:{}", greedy.addr.port());
    if let Some(node) = system.nodes.first_mut() {
        node.agent = None;
    }
    system.options.extra_agent_args = vec!["--aggregator".to_owned(), address];
    system.start_agent(0)?;
    for k in 0..rows {
        system.tick(at(k))?;
    }
    Ok((system, greedy))
}

#[derive(Clone)]
struct Service {
    script: Arc<Script>,
    counts: Arc<Counts>,
    begun: watch::Receiver<bool>,
    streams: Group,
}

impl Service {
    async fn listen(self, mut frames: Streaming<v1::AgentFrame>) {
        while let Ok(Some(frame)) = frames.message().await {
            let count = match frame.kind {
                Some(Kind::Row(_)) => &self.counts.rows,
                Some(Kind::Chunk(_)) => &self.counts.chunks,
                Some(Kind::Gap(_)) => &self.counts.gaps,
                _ => continue,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn speak(
        mut self,
        hello: v1::Hello,
        answers: mpsc::Sender<Result<v1::AggregatorFrame, Status>>,
    ) {
        let welcome = Answer::Welcome(v1::Welcome {
            aggregator_instance: "greedy".to_owned(),
            row_codec: codec::DENSE,
            chunk_codecs: codec::SUPPORTED.to_vec(),
            catalogue: catalogue::VERSION,
            unix_ms: hello.unix_ms,
            resolves: true,
        });
        self.counts.streams.fetch_add(1, Ordering::Relaxed);
        let say = async |kind: Option<Answer>| {
            let said = answers.send(Ok(v1::AggregatorFrame { kind })).await.is_ok();
            if said {
                self.counts.said.fetch_add(1, Ordering::Relaxed);
            }
            said
        };
        if !say(Some(welcome)).await {
            return;
        }
        tokio::select! {
            biased;
            () = answers.closed() => return,
            begun = self.begun.wait_for(|begun| *begun) => if begun.is_err() { return },
        }
        for number in 0.. {
            if !say((self.script)(&hello, number)).await {
                return;
            }
        }
    }
}

#[tonic::async_trait]
impl Ingest for Service {
    type ReportStream = ReceiverStream<Result<v1::AggregatorFrame, Status>>;

    async fn report(
        &self,
        request: Request<Streaming<v1::AgentFrame>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let mut frames = request.into_inner();
        let (answers, stream) = mpsc::channel(4);
        let service = self.clone();
        let served = self.streams.try_spawn(async move {
            let first = frames.message().await;
            let Ok(Some(v1::AgentFrame {
                kind: Some(Kind::Hello(hello)),
                ..
            })) = first
            else {
                return;
            };
            tokio::join!(
                service.clone().listen(frames),
                service.speak(hello, answers)
            );
        });
        served.map_err(|full| Status::resource_exhausted(full.to_string()))?;
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}
