//! An aggregator that shows what it gets and says what it is told to, over a pipe.

use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use cairn_proto::codec::PLAIN;
use cairn_proto::v1::agent_frame::Kind;
use cairn_proto::v1::aggregator_frame::Kind as Answer;
use cairn_proto::v1::ingest_server::{Ingest, IngestServer};
use cairn_proto::v1::{AgentFrame, AggregatorFrame, Hello, Welcome};
use cairn_runtime::tasks::Children;
use hyper::rt::Executor as _;
use hyper::server::conn::http2;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::uplink::connect::Link;

type Answers = mpsc::Receiver<Result<AggregatorFrame, Status>>;

/// The aggregator's end of one stream.
#[derive(Debug)]
pub(super) struct Fake {
    pub(super) authorization: oneshot::Receiver<Option<String>>,
    frames: mpsc::Receiver<AgentFrame>,
    answers: mpsc::Sender<Result<AggregatorFrame, Status>>,
}

impl Fake {
    /// Makes an aggregator and a connection to it.
    pub(super) async fn connect() -> (Self, Link) {
        let (seen, frames) = mpsc::channel(256);
        let (answers, queue) = mpsc::channel(64);
        let (tell, authorization) = oneshot::channel();
        let served = Served {
            seen,
            once: Mutex::new(Some((queue, tell))),
        };
        let service = TowerToHyperService::new(IngestServer::new(served));
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let children = Children::new();
        let serving =
            http2::Builder::new(children.clone()).serve_connection(TokioIo::new(theirs), service);
        children.execute(async move { drop(serving.await) });
        let origin = http::Uri::from_static("https://aggregator:9443");
        let link = Link::over(ours, origin).await.unwrap();
        (
            Self {
                authorization,
                frames,
                answers,
            },
            link,
        )
    }

    pub(super) async fn next(&mut self) -> Kind {
        let frame = tokio::time::timeout(Duration::from_secs(60), self.frames.recv()).await;
        let frame = frame.expect("a frame in time").expect("a frame");
        assert!(frame.unix_ms > 0);
        frame.kind.expect("a known frame")
    }

    /// Takes frames until one is wanted; definitions and source states are passed over.
    pub(super) async fn next_but_defines(&mut self) -> Kind {
        loop {
            match self.next().await {
                Kind::Define(_) | Kind::SourceStatus(_) => {}
                kind => return kind,
            }
        }
    }

    /// The next frame, whenever it comes; `None` at the end of the stream.
    pub(super) async fn whenever(&mut self) -> Option<Kind> {
        self.frames.recv().await?.kind
    }

    /// True when no frame comes for a while.
    pub(super) async fn is_silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(200), self.frames.recv())
            .await
            .is_err()
    }

    pub(super) async fn answer(&self, kind: Option<Answer>) {
        self.answers
            .send(Ok(AggregatorFrame { kind }))
            .await
            .unwrap();
    }

    pub(super) async fn refuse(&self, status: Status) {
        self.answers.send(Err(status)).await.unwrap();
    }

    /// Takes Hello and welcomes the agent.
    pub(super) async fn welcome(&mut self) -> Hello {
        self.welcome_of(welcome(PLAIN)).await
    }

    /// Takes Hello and welcomes the agent in these words.
    pub(super) async fn welcome_of(&mut self, welcome: Welcome) -> Hello {
        let Kind::Hello(hello) = self.next().await else {
            panic!("Hello comes first")
        };
        self.answer(Some(Answer::Welcome(welcome))).await;
        hello
    }
}

pub(super) fn welcome(row_codec: u32) -> Welcome {
    welcome_to(row_codec, &[PLAIN])
}

/// The Welcome of an aggregator that reads these codecs.
pub(super) fn welcome_to(row_codec: u32, chunk_codecs: &[u32]) -> Welcome {
    Welcome {
        aggregator_instance: "a\u{1b}[2J".to_owned(),
        row_codec,
        chunk_codecs: chunk_codecs.to_vec(),
        catalogue: 1,
        unix_ms: 1,
        resolves: true,
    }
}

#[derive(Debug)]
struct Served {
    seen: mpsc::Sender<AgentFrame>,
    once: Mutex<Option<(Answers, oneshot::Sender<Option<String>>)>>,
}

#[tonic::async_trait]
impl Ingest for Served {
    type ReportStream = Pin<Box<dyn Stream<Item = Result<AggregatorFrame, Status>> + Send>>;

    async fn report(
        &self,
        request: Request<Streaming<AgentFrame>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let (answers, tell) = self.once.lock().unwrap().take().expect("one stream only");
        let authorization = request.metadata().get("authorization");
        let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
        tell.send(authorization).unwrap();
        let seen = self.seen.clone();
        let mut frames = request.into_inner();
        let reading = async move {
            while let Ok(Some(frame)) = frames.message().await {
                if seen.send(frame).await.is_err() {
                    return;
                }
            }
        };
        // The stream that is answered reads the one that is asked, so both have one owner.
        let answered = tokio_stream::StreamExt::merge(
            ReceiverStream::new(answers),
            Silent {
                reading: Box::pin(reading),
            },
        );
        Ok(Response::new(Box::pin(answered)))
    }
}

/// A stream without items that drives a future.
struct Silent {
    reading: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Stream for Silent {
    type Item = Result<AggregatorFrame, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.reading.as_mut().poll(cx).map(|()| None)
    }
}
