//! The certificate that both TLS listeners show.

use std::sync::Arc;

use cairn_runtime::shutdown::Token;
use cairn_runtime::tls::{self, Identity, ServerTls};

use crate::config::{Config, SelfManaged, Serving};

/// What is shown, and who brings it.
pub(super) struct Served {
    pub(super) grpc: Arc<ServerTls>,
    pub(super) https: Arc<ServerTls>,
    /// Where it goes when it is made here.
    pub(super) own: Option<(SelfManaged, Arc<Identity>)>,
}

const GRPC: [&str; 1] = ["h2"];
const HTTPS: [&str; 2] = ["h2", "http/1.1"];

impl Served {
    /// Reads the files, where they are files.
    ///
    /// # Errors
    ///
    /// The file that does not work.
    pub(super) fn load(config: &Config) -> Result<Self, tls::Error> {
        match &config.serving {
            Serving::Files { cert, key } => Ok(Self {
                grpc: ServerTls::load(cert, key, &GRPC)?,
                https: ServerTls::load(cert, key, &HTTPS)?,
                own: None,
            }),
            Serving::SelfManaged(managed) => {
                let identity = Identity::empty();
                Ok(Self {
                    grpc: ServerTls::of(&identity, &GRPC)?,
                    https: ServerTls::of(&identity, &HTTPS)?,
                    own: Some((managed.clone(), identity)),
                })
            }
        }
    }
}

/// Waits until there is a certificate to show; false when the process goes before.
pub(super) async fn is_there(tls: &ServerTls, token: &Token) -> bool {
    // Both are cancel safe.
    tokio::select! {
        biased;
        () = token.cancelled() => false,
        () = tls.there() => true,
    }
}
