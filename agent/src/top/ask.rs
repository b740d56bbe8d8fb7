//! The command's side: asks the agent that runs.

use std::path::Path;
use std::time::Duration;

use cairn_runtime::exit::Failure;
use cairn_runtime::{local, logging};
use http::StatusCode;

use super::PATH;
use super::document::{Document, VERSION};

/// A document takes milliseconds; longer is an agent that hangs.
const DEADLINE: Duration = Duration::from_secs(5);

/// Eight thousand entities with all they have are 4 MB.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A refusal is a line.
const MAX_REFUSAL: usize = 200;

/// Asks for the document.
///
/// # Errors
///
/// Nobody answers, or with something else; the text says what to try.
pub(super) async fn ask(socket: &Path) -> Result<Document, Failure> {
    let shown = socket.display();
    let answer = local::ask(socket, PATH, MAX_BYTES, DEADLINE).await;
    let answer = answer.map_err(|error| {
        Failure::Other(format!(
            "{}; in a cluster run `kubectl exec -n cairn ds/cairn-agent -- cairn-agent top`, elsewhere \
             run it as the agent's user or as root, with the agent's --socket",
            logging::chain(&error)
        ))
    })?;
    if answer.status != StatusCode::OK {
        let text = String::from_utf8_lossy(&answer.body);
        let text: String = text.trim().chars().take(MAX_REFUSAL).collect();
        let status = answer.status.as_u16();
        return Err(Failure::Other(format!(
            "the agent at the socket {shown} answered {status}: {text}"
        )));
    }
    let other = |what: String| {
        Failure::Other(format!(
            "the agent at the socket {shown} is of another version ({what}): use its own `cairn-agent top`"
        ))
    };
    let document: Document =
        serde_json::from_slice(&answer.body).map_err(|error| other(error.to_string()))?;
    if document.version != VERSION {
        return Err(other(format!("document {}", document.version)));
    }
    Ok(document)
}
