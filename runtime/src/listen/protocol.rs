//! How HTTP is spoken, and what one connection may hold.
//!
//! Most is bounded per connection, and the number of connections by the listener, so the product is
//! what strangers can make the process hold at the worst. Of an HTTP/2 connection that is, what is
//! sent ahead: [`CONNECTION_WINDOW_BYTES`], 128 KiB, hence 625 MiB for 5,000 agents that all send
//! ahead while nothing is read. In rest it is nothing: a row is some KiB, is read at once, and only
//! unread bytes count. What waits for a slow reader: [`SEND_BUFFER_BYTES`] for each of
//! [`MAX_STREAMS`], 6.25 MiB, which only a peer has that asks that many questions, lets the answers
//! wait, and even so for no longer than the write deadline. Request headers: the configured size for
//! each stream, 3.1 MiB with the usual 32 KiB. The kernel's own socket buffers come on top of it.

use std::time::Duration;

use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto::Builder;

use super::Config;
use crate::tasks::Children;

/// Concurrent HTTP/2 streams of a connection. The page and a client library open a few dozen; fewer
/// than 100 is what the protocol's text advises against.
const MAX_STREAMS: u32 = 100;

/// What a peer may send ahead, in bytes, on one stream and on all together. A stream's window goes
/// out once per round trip: 64 KiB are 6.4 MB/s to an agent 10 ms away, far above its few KiB a tick.
/// More would let a fleet that sends ahead fill the memory (512 KiB: 2.4 GiB for 5,000 agents).
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 128 * 1024;

/// What is held for a slow reader, in bytes a stream. Less costs wake-ups on a long answer, more is
/// only memory.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// A peer that vanished without a word is noticed after the sum of both.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_DEADLINE: Duration = Duration::from_secs(10);

/// hyper refuses to have less room than this for an HTTP/1 header.
const LEAST_HEADER_BYTES: u32 = 8 * 1024;

/// Makes what serves one connection, in whichever protocol the client speaks.
pub(super) fn builder(children: Children, config: &Config) -> Builder<Children> {
    let header_bytes = config.max_header_bytes.max(LEAST_HEADER_BYTES);
    let mut builder = Builder::new(children);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_deadline)
        .max_buf_size(header_bytes as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_DEADLINE)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(header_bytes)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES);
    builder
}
