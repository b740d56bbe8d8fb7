//! Frames of HTTP/2 by hand (RFC 9113), for what no client library would send.

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// One frame. Of the stream's number 31 bits count.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut bytes = length.get(1..).unwrap_or_default().to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// What a client sends first; with `no_window` it takes nothing of any answer.
pub(super) fn opening(no_window: bool) -> Vec<u8> {
    // SETTINGS_INITIAL_WINDOW_SIZE, 0.
    let settings: &[u8] = if no_window { &[0, 4, 0, 0, 0, 0] } else { &[] };
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, settings));
    bytes
}

/// The fields of a request for `/`, or for a call of the gRPC service.
pub(super) fn head(is_call: bool) -> Vec<u8> {
    // Of the static table: GET or POST, http, and the name of the authority.
    let mut block = vec![if is_call { 0x83 } else { 0x82 }, 0x86, 0x41, 9];
    block.extend(b"localhost");
    if is_call {
        block.extend(literal(":path", "/cairn.v1.Query/Latest"));
        block.extend(literal("content-type", "application/grpc"));
        block.extend(literal("te", "trailers"));
    } else {
        block.push(0x84);
    }
    block
}

/// A field that is not put into the table; both texts under 127 bytes.
pub(super) fn literal(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len().min(126)).unwrap_or(126);
    let mut bytes = vec![0, length(name)];
    bytes.extend(name.bytes().take(126));
    bytes.push(length(value));
    bytes.extend(value.bytes().take(126));
    bytes
}
