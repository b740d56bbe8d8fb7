//! The wiring of the gRPC listener: agents, and other aggregators.

use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::listen::{self, Bound};
use cairn_runtime::tasks::Supervisor;
use cairn_runtime::tls::ServerTls;
use hyper_util::service::TowerToHyperService;

use super::{DRAIN, Shared, serving};
use crate::ingest::Ingest;
use crate::replay::Replay;
use crate::rpc;

/// Starts it; it takes connections once there is a certificate to show.
pub(super) fn start(
    supervisor: &mut Supervisor,
    bound: Bound,
    shared: &Shared,
    (ingest, replay): (Ingest, Replay),
    tls: Arc<ServerTls>,
) {
    let config = listen::Config {
        name: "grpc",
        // A fleet of 5,000 that reconnects before its old connections are noticed.
        max_connections: 10_240,
        // Agents behind one address: several nodes behind a NAT.
        max_per_peer: 1_024,
        // Each is about a millisecond of CPU; more at once only makes all of them late.
        max_handshakes: 64,
        handshake_deadline: Duration::from_secs(5),
        header_deadline: Duration::from_secs(10),
        // A token may have to wait for its review.
        answer_deadline: Duration::from_secs(30),
        idle_deadline: Duration::from_secs(60),
        write_deadline: Duration::from_secs(30),
        max_header_bytes: 32 * 1024,
        tls: Some(Arc::clone(&tls)),
        metrics: Arc::clone(&shared.listens),
    };
    let routes = tonic::service::Routes::new(ingest.service())
        .add_service(replay.service())
        .prepare();
    let router = routes.into_axum_router().merge(rpc::elsewhere());
    let service = TowerToHyperService::new(router);
    let token = shared.token.clone();
    supervisor.spawn("grpc", async move {
        if !serving::is_there(&tls, &token).await {
            return Ok(());
        }
        // Streams end with the token; the listener then has nothing left to wait for.
        let (_, cut) = tokio::join!(
            listen::serve(bound, config, service, token.clone(), DRAIN),
            async {
                token.cancelled().await;
                tokio::join!(ingest.drained(DRAIN), replay.drained(DRAIN))
            }
        );
        if cut != (0, 0) {
            let (agents, peers) = cut;
            tracing::warn!(agents, peers, "streams were cut off");
        }
        Ok(())
    });
}
