//! How messages of `cairn.v1` are put on a stream: as tonic does it, with smaller buffers; and how it is
//! told that bytes of a stream are none of them.
//!
//! Every stream begins with one buffer for what comes and one for what goes, and thousands of agents
//! have a stream each, on which some KiB come at a tick and a few bytes go. They grow with what
//! they have to hold.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::ProstCodec;

/// What a buffer begins with, and what it grows by.
const BUFFER_BYTES: usize = 1024;

/// Messages that are ready are sent together up to so many bytes: tonic's own value.
const TOGETHER_BYTES: usize = 32 * 1024;

/// Encodes messages of one type and decodes those of another.
#[derive(Clone, Debug)]
pub struct SmallBuffers<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for SmallBuffers<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for SmallBuffers<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = <ProstCodec<T, U> as Codec>::Encoder;
    type Decoder = <ProstCodec<T, U> as Codec>::Decoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(settings())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(settings())
    }
}

fn settings() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, TOGETHER_BYTES)
}

/// What begins the words of tonic and prost about bytes that are no message, or a larger one than may be.
const UNREADABLE: [&str; 4] = [
    "failed to decode Protobuf message",
    "Error, decoded message length too large",
    "protocol error: received message with",
    "Unexpected EOF decoding stream",
];

/// What is wrong with bytes that were read of a stream and are no message of it: cut, garbled, or longer
/// than the limit. `None` for any other end of a stream.
///
/// To whoever reads answers tonic gives what it could not read as it gives what the peer said, and keeps no
/// mark of which it was; it is known by its words. A peer that says the same words is taken for one that
/// sent such bytes, which does it no good.
#[must_use]
pub fn unreadable(status: &Status) -> Option<&str> {
    let said = status.message();
    let is_known = UNREADABLE.iter().any(|words| said.starts_with(words));
    // What has a source is the connection's end.
    (is_known && std::error::Error::source(status).is_none()).then_some(said)
}
