//! The gRPC service that programs ask: `cairn.v1.Query`.
//!
//! * `ask`: what a request means, or why it means nothing;
//! * `say`: how an answer is written;
//! * `lists`: entities, newest values, the highest ones;
//! * `range`: one field over a range of ticks;
//! * `workloads`: what pods belong to, with sums;
//! * `watch`: sums as they are published and corrected.
//!
//! What is computed is [`query`](crate::query)'s, and how it is bounded is [`api`](crate::api)'s: the
//! same turns, seats and steps as over HTTP.

mod ask;
mod lists;
mod range;
mod say;
mod watch;
mod workloads;

use std::pin::Pin;

use axum::Router;
use cairn_proto::v1;
use cairn_proto::v1::query_server::{Query as Service, QueryServer};
use futures_util::stream::Stream;
use tonic::server::NamedService as _;
use tonic::{Request, Response, Status};

use crate::api::{Api, Cut};

/// The most bytes of a request: names of one entity and of a few fields.
const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// Answers, one after the other.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Where readers are served instead.
const ELSEWHERE: &str = "readers are not known on this listener yet, so it serves agents alone: call \
                         cairn.v1.Query without TLS on the loopback address of --http-listen \
                         (kubectl port-forward)";

/// The service on one listener.
#[derive(Clone, Debug)]
struct Query {
    // None where nobody may read.
    api: Option<Api>,
}

impl Query {
    /// Decides who may read. Every call asks it first: what a reader's identity will open is decided
    /// here and nowhere else. On the plain listener [`Gate`](crate::api::Gate) has been passed.
    fn admit<T>(&self, _: &Request<T>) -> Result<&Api, Status> {
        let api = self.api.as_ref();
        api.ok_or_else(|| Status::permission_denied(ELSEWHERE))
    }
}

/// The routes of the plain listener, to go behind its gate.
pub(crate) fn router(api: Api) -> Router {
    routes(Some(api))
}

/// For a listener where readers are not known: says where they are served.
pub(crate) fn elsewhere() -> Router {
    routes(None)
}

fn routes(api: Option<Api>) -> Router {
    let path = format!("/{}/{{*call}}", QueryServer::<Query>::NAME);
    let service = QueryServer::new(Query { api }).max_decoding_message_size(MAX_REQUEST_BYTES);
    Router::new().route_service(&path, service)
}

/// Why an answer ends, in the words of gRPC.
fn status(cut: Cut) -> Status {
    match cut {
        Cut::Busy | Cut::Full | Cut::Short => Status::resource_exhausted(cut.to_string()),
        Cut::Late => Status::deadline_exceeded(cut.to_string()),
        Cut::Going => Status::unavailable(cut.to_string()),
        Cut::Failed => Status::internal(cut.to_string()),
    }
}

#[tonic::async_trait]
impl Service for Query {
    type ListEntitiesStream = Answers<v1::ListEntitiesResponse>;
    type LatestStream = Answers<v1::LatestResponse>;
    type RangeStream = Answers<v1::RangeResponse>;
    type WatchStream = Answers<v1::WatchResponse>;
    type ListWorkloadsStream = Answers<v1::ListWorkloadsResponse>;

    async fn list_entities(
        &self,
        request: Request<v1::ListEntitiesRequest>,
    ) -> Result<Response<Self::ListEntitiesStream>, Status> {
        let api = self.admit(&request)?;
        lists::entities(api, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn latest(
        &self,
        request: Request<v1::LatestRequest>,
    ) -> Result<Response<Self::LatestStream>, Status> {
        let api = self.admit(&request)?;
        lists::latest(api, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn range(
        &self,
        request: Request<v1::RangeRequest>,
    ) -> Result<Response<Self::RangeStream>, Status> {
        let api = self.admit(&request)?;
        range::range(api, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn top(
        &self,
        request: Request<v1::TopRequest>,
    ) -> Result<Response<v1::TopResponse>, Status> {
        let api = self.admit(&request)?;
        lists::top(api, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let api = self.admit(&request)?;
        watch::watch(api, request.into_inner()).map(Response::new)
    }
    async fn list_workloads(
        &self,
        request: Request<v1::ListWorkloadsRequest>,
    ) -> Result<Response<Self::ListWorkloadsStream>, Status> {
        let api = self.admit(&request)?;
        workloads::list(api, request.into_inner())
            .await
            .map(Response::new)
    }
}
