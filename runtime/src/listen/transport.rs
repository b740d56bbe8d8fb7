//! What stands between a socket and HTTP, how HTTP is spoken, and what one connection may hold.
//!
//! Most is bounded per connection, and the number of connections by the listener, so the product is
//! what strangers can make the process hold at the worst. Of an HTTP/2 connection that is, what is
//! sent ahead: [`CONNECTION_WINDOW_BYTES`], 128 KiB, hence 625 MiB for 5,000 agents that all send
//! ahead while nothing is read. In rest it is nothing: a row is some KiB, is read at once, and only
//! unread bytes count. What waits for a slow reader: [`SEND_BUFFER_BYTES`] for each of
//! [`MAX_STREAMS`], 6.25 MiB, which only a peer has that asks that many questions, lets the answers
//! wait, and even so for no longer than the write deadline. Request headers: the configured size for
//! each stream, 3.1 MiB with the usual 32 KiB. The kernel's own socket buffers come on top of it.

#[cfg_attr(feature = "secure-listen", path = "transport/secure.rs")]
#[cfg_attr(not(feature = "secure-listen"), path = "transport/plain.rs")]
mod spoken;

use std::error::Error as StdError;
use std::sync::Arc;

pub(super) use self::spoken::{Stream, builder, open};
use super::Config;
use crate::tls::PeerCertificates;

/// A stream that HTTP is spoken over, and the certificates that the client showed.
type Opened = (Stream, Option<Arc<PeerCertificates>>);

/// hyper refuses to have less room than this for an HTTP/1 header.
const LEAST_HEADER_BYTES: u32 = 8 * 1024;

fn header_bytes(config: &Config) -> u32 {
    config.max_header_bytes.max(LEAST_HEADER_BYTES)
}

/// Tells whether a connection ended since its client broke the protocol or its bounds, and not since it
/// left.
pub(super) fn is_malformed(error: &(dyn StdError + 'static)) -> bool {
    let hyper = error.downcast_ref::<hyper::Error>();
    hyper.is_some_and(|error| error.is_parse() || spoken::is_malformed(error))
}
