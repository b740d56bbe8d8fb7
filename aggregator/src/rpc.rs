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
use cairn_runtime::listen::Peer;
use futures_util::stream::Stream;
use tonic::metadata::MetadataValue;
use tonic::server::NamedService as _;
use tonic::{Code, Request, Response, Status};

use crate::api::{
    Api, Asks, Cut, Denied, IS_PENDING, Needs, OF_VISIBLE, Of, Over, PART, PENDING, Secure,
};

/// The most bytes of a request: names of one entity and of a few fields.
const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// Answers, one after the other.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Where readers are served instead.
const ELSEWHERE: &str = "this listener serves agents alone: call cairn.v1.Query at --https-listen with a token or a \
                         client certificate (docs/access.md), or without TLS on the loopback address of \
                         --http-listen (kubectl port-forward)";

/// The service on one listener.
#[derive(Clone, Debug)]
struct Query {
    door: Door,
}

/// Who may read on a listener.
#[derive(Clone, Debug)]
enum Door {
    /// Whoever has passed [`Gate`](crate::api::Gate).
    Open(Box<Api>),
    /// Readers, what they may see.
    Readers(Box<Secure>),
    /// Nobody.
    Elsewhere,
}

impl Query {
    /// Decides who may read what. Every call asks it first: what a reader's identity opens is decided here
    /// and nowhere else. Says also whether that may be less than is asked for.
    async fn admit<T>(
        &self,
        request: &mut Request<T>,
        selector: Option<v1::Selector>,
    ) -> Result<(Api, Of), Status> {
        // What cannot be understood is told to those who say who they are, and is of nothing.
        let choice = ask::choice(selector);
        let needs = choice.map_or_else(|_| Needs::default(), |choice| Needs::of(&choice));
        self.admit_to(request, needs).await
    }

    /// The same of a call that names in another way what it is about.
    async fn admit_to<T>(
        &self,
        request: &mut Request<T>,
        needs: Needs,
    ) -> Result<(Api, Of), Status> {
        let secure = match &self.door {
            Door::Open(api) => return Ok((Api::clone(api), Of::default())),
            Door::Readers(secure) => secure,
            Door::Elsewhere => return Err(Status::permission_denied(ELSEWHERE)),
        };
        let mut headers = std::mem::take(request.metadata_mut()).into_headers();
        let peer = request.extensions().get::<Peer>();
        let admitted = secure.admit(&mut headers, peer, needs).await;
        admitted.map_err(|denied| refused(&denied))
    }
}

/// The routes of the plain listener, to go behind its gate.
pub(crate) fn router(api: Api) -> Router {
    routes(Door::Open(Box::new(api)))
}

/// The routes of the HTTPS listener.
pub(crate) fn readers(secure: Secure) -> Router {
    routes(Door::Readers(Box::new(secure)))
}

/// For a listener where readers are not known: says where they are served.
pub(crate) fn elsewhere() -> Router {
    routes(Door::Elsewhere)
}

fn routes(door: Door) -> Router {
    let path = format!("/{}/{{*call}}", QueryServer::<Query>::NAME);
    let service = QueryServer::new(Query { door }).max_decoding_message_size(MAX_REQUEST_BYTES);
    Router::new().route_service(&path, service)
}

/// Why somebody is not let in, in the words of gRPC.
fn refused(denied: &Denied) -> Status {
    let code = match denied {
        Denied::Anonymous | Denied::Unauthorized => Code::Unauthenticated,
        Denied::Forbidden(_) | Denied::TooMany => Code::PermissionDenied,
        Denied::Undecided => Code::Unavailable,
        Denied::Unheard | Denied::Busy | Denied::Asking | Denied::Crowded => {
            Code::ResourceExhausted
        }
    };
    Status::new(code, denied.to_string())
}

/// Why an answer ends, in the words of gRPC.
fn status(cut: Cut) -> Status {
    let code = match cut {
        Cut::Busy | Cut::Full | Cut::Crowded | Cut::OfOne(_) | Cut::Short => {
            Code::ResourceExhausted
        }
        Cut::Late => Code::DeadlineExceeded,
        Cut::Going | Cut::Over(Over::Undecided) => Code::Unavailable,
        Cut::Over(Over::Expired | Over::Unverified) => Code::Unauthenticated,
        Cut::Over(Over::Refused) => Code::PermissionDenied,
        Cut::Over(Over::Changed) => Code::Aborted,
        Cut::Failed => Code::Internal,
    };
    Status::new(code, cut.to_string())
}

/// An answer, marked when it is of what its reader may see.
fn marked<T>(answer: T, of: Of) -> Response<T> {
    let mut response = Response::new(answer);
    let metadata = response.metadata_mut();
    if of.is_part {
        metadata.insert(PART, MetadataValue::from_static(OF_VISIBLE));
    }
    if of.pending > 0 {
        metadata.insert(PENDING, MetadataValue::from_static(IS_PENDING));
    }
    response
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
        mut request: Request<v1::ListEntitiesRequest>,
    ) -> Result<Response<Self::ListEntitiesStream>, Status> {
        let selector = request.get_ref().selector.clone();
        let (api, of) = self.admit(&mut request, selector).await?;
        let answer = lists::entities(&api, request.into_inner()).await?;
        Ok(marked(answer, of))
    }

    async fn latest(
        &self,
        mut request: Request<v1::LatestRequest>,
    ) -> Result<Response<Self::LatestStream>, Status> {
        let selector = request.get_ref().selector.clone();
        let (api, of) = self.admit(&mut request, selector).await?;
        let answer = lists::latest(&api, request.into_inner()).await?;
        Ok(marked(answer, of))
    }

    async fn range(
        &self,
        mut request: Request<v1::RangeRequest>,
    ) -> Result<Response<Self::RangeStream>, Status> {
        let selector = request.get_ref().selector.clone();
        let (api, of) = self.admit(&mut request, selector).await?;
        let answer = range::range(&api, request.into_inner()).await?;
        Ok(marked(answer, of))
    }

    async fn top(
        &self,
        mut request: Request<v1::TopRequest>,
    ) -> Result<Response<v1::TopResponse>, Status> {
        let selector = request.get_ref().selector.clone();
        let (api, of) = self.admit(&mut request, selector).await?;
        let answer = lists::top(&api, request.into_inner()).await?;
        Ok(marked(answer, of))
    }

    async fn watch(
        &self,
        mut request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let selector = request.get_ref().selector.clone();
        let (api, of) = self.admit(&mut request, selector).await?;
        let answer = watch::watch(&api, request.into_inner())?;
        Ok(marked(answer, of))
    }

    async fn list_workloads(
        &self,
        mut request: Request<v1::ListWorkloadsRequest>,
    ) -> Result<Response<Self::ListWorkloadsStream>, Status> {
        let needs = Needs::pods(Asks::of(&request.get_ref().namespace));
        let (api, of) = self.admit_to(&mut request, needs).await?;
        let answer = workloads::list(&api, request.into_inner()).await?;
        Ok(marked(answer, of))
    }
}
