//! Frames as bytes: played services and agents say what no encoder would make, and see what came as it came.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{self, Poll};

use bytes::{Buf as _, BufMut as _, Bytes};
use cairn_runtime::tasks::Group;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};

/// Where a service says its frames.
pub(crate) type Says = mpsc::Sender<Result<Bytes, Status>>;

/// Frames of a service that wait for the connection.
const FRAMES: usize = 16;

/// Bytes in, bytes out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AsItIs;

impl Codec for AsItIs {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for AsItIs {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for AsItIs {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// What a service of one method does, whose frames go both ways as they are.
pub(crate) trait Talk: Clone + Send + Sync + 'static {
    /// What the service is called.
    const NAME: &'static str;

    /// Streams that are open.
    fn streams(&self) -> &Group;

    /// Reads one stream and answers it, until it ends.
    fn talk(self, heard: Streaming<Bytes>, says: Says) -> impl Future<Output = ()> + Send;
}

/// Its service.
#[derive(Clone, Debug)]
pub(crate) struct Talking<T>(pub(crate) T);

impl<T: Talk> NamedService for Talking<T> {
    const NAME: &'static str = T::NAME;
}

type Answering<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl<T: Talk> tower_service::Service<http::Request<Body>> for Talking<T> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answering<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(Grpc::new(AsItIs).streaming(service, request).await) })
    }
}

impl<T: Talk> StreamingService<Bytes> for Talking<T> {
    type Response = Bytes;
    type ResponseStream = ReceiverStream<Result<Bytes, Status>>;
    type Future = Answering<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let Self(service) = self.clone();
        Box::pin(async move {
            let (says, stream) = mpsc::channel(FRAMES);
            let talking = service.clone().talk(request.into_inner(), says);
            let started = service.streams().try_spawn(talking);
            started.map_err(|full| Status::resource_exhausted(full.to_string()))?;
            Ok(Response::new(ReceiverStream::new(stream)))
        })
    }
}
