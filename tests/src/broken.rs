//! Frames that are none any more, of a good one.

use cairn_proto::limits::MAX_FRAME_BYTES;
use prost::Message;

/// The frame with one bit flipped, so that it is no message of this type: the last such bit, as the first is always
/// in the tag of its kind. `None` when each of them leaves one.
#[must_use]
pub fn flipped<M: Message + Default>(frame: &[u8]) -> Option<Vec<u8>> {
    let mut all = (0..frame.len() * 8).map(|bit| {
        let mut flipped = frame.to_vec();
        if let Some(byte) = flipped.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        flipped
    });
    all.rfind(|flipped| M::decode(&**flipped).is_err())
}

/// The frame with a field that no version knows, larger than a frame may be.
#[must_use]
pub fn oversized(frame: &[u8]) -> Vec<u8> {
    let mut large = frame.to_vec();
    prost::encoding::bytes::encode(100, &vec![0_u8; MAX_FRAME_BYTES], &mut large);
    large
}
