//! Bytes of an aggregator that are no frame: each way to be none ends the session for its own fault.

use std::convert::Infallible;

use bytes::Bytes;
use cairn_proto::limits::MAX_FRAME_BYTES;
use cairn_proto::stream::SmallBuffers;
use cairn_proto::v1::{AgentFrame, AggregatorFrame};
use http_body_util::StreamBody;
use hyper::body::Frame;
use prost::Message as _;
use tonic::codec::Codec as _;
use tonic::{Code, Streaming};

use super::*;

/// What becomes of these bytes, as a stream of answers.
async fn read(bytes: Vec<u8>) -> Result<Option<AggregatorFrame>, Status> {
    let frame = Ok::<_, Infallible>(Frame::data(Bytes::from(bytes)));
    let body = StreamBody::new(tokio_stream::once(frame));
    let decoder = SmallBuffers::<AgentFrame, AggregatorFrame>::default().decoder();
    let most = Some(MAX_FRAME_BYTES);
    let mut stream = Streaming::new_response(decoder, body, http::StatusCode::OK, None, most);
    stream.message().await
}

/// A message with the head that gRPC puts before each.
fn headed(flag: u8, length: usize, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).unwrap().to_be_bytes();
    [&[flag][..], &length, message].concat()
}

/// Checks that bytes are an end for a fault of the protocol, told in these words.
async fn is_fault(bytes: Vec<u8>, words: &str) {
    let what = format!("{bytes:?}");
    let status = read(bytes).await.expect_err(&what);
    let end = End::of_status(&status);
    assert_eq!(end.kind, EndKind::Protocol, "{what}: {end:?}");
    assert!(end.reason.contains("not one of this protocol"), "{end:?}");
    assert!(end.reason.contains(words), "{what}: {end:?}");
}

/// One frame of each kind.
fn frames() -> Vec<AggregatorFrame> {
    let container = v1::names::Container {
        runtime_id: "containerd://1".to_owned(),
        pod_uid: "uid".to_owned(),
        container: "web".to_owned(),
    };
    let pod = v1::names::Pod {
        uid: "uid".to_owned(),
        namespace: "shop".to_owned(),
        name: "web-1".to_owned(),
    };
    let names = v1::Names {
        containers: vec![container],
        pods: vec![pod],
    };
    let drain = v1::Drain {
        reconnect_after_ms: 60_000,
        reason: "shutdown".to_owned(),
    };
    let kinds = [
        Some(Answer::Welcome(fake::welcome(2))),
        want(&RUN, 1, 2),
        Some(Answer::Names(names)),
        ack(300),
        Some(Answer::Drain(drain)),
    ];
    kinds.map(|kind| AggregatorFrame { kind }).to_vec()
}

#[tokio::test]
async fn each_way_to_be_no_frame_is_told_as_it_is() {
    is_fault(headed(0, 3, &[0xff; 3]), "failed to decode").await;
    let long = MAX_FRAME_BYTES + 1;
    is_fault(headed(0, long, &[]), "the limit is: 4198400 bytes").await;
    is_fault(headed(1, 0, &[]), "compressed-flag").await;
    is_fault(headed(7, 0, &[]), "invalid compression flag: 7").await;
    is_fault(headed(0, 9, &[1, 2]), "Unexpected EOF").await;
    is_fault(vec![0, 0], "Unexpected EOF").await;
}

#[tokio::test]
async fn every_cut_frame_of_any_kind_is_a_fault() {
    for frame in frames() {
        let bytes = frame.encode_to_vec();
        // Without a byte it is a frame of no kind.
        for cut in 1..bytes.len() {
            is_fault(headed(0, cut, &bytes[..cut]), "failed to decode").await;
        }
        let whole = headed(0, bytes.len(), &bytes);
        // The head of a message alone is taken for the end of the stream.
        for cut in (1..whole.len()).filter(|cut| *cut != 5) {
            is_fault(whole[..cut].to_vec(), "Unexpected EOF").await;
        }
        assert_eq!(read(whole).await.unwrap(), Some(frame));
    }
}

#[tokio::test]
async fn every_frame_with_a_flipped_bit_is_a_frame_or_a_fault() {
    let (mut faults, mut read_all_the_same) = (0, 0);
    for frame in frames() {
        let bytes = frame.encode_to_vec();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let headed = headed(0, flipped.len(), &flipped);
            if let Ok(other) = AggregatorFrame::decode(&*flipped) {
                assert_eq!(read(headed).await.unwrap(), Some(other));
                read_all_the_same += 1;
            } else {
                is_fault(headed, "failed to decode").await;
                faults += 1;
            }
        }
    }
    assert!(faults > 100 && read_all_the_same > 100);
}

/// Guarantees: an aggregator's own words keep their meaning.
#[test]
fn what_an_aggregator_says_itself_is_no_fault_of_its_frames() {
    for (code, kind) in [
        (Code::Internal, EndKind::Closed),
        (Code::OutOfRange, EndKind::Refused),
        (Code::InvalidArgument, EndKind::Refused),
    ] {
        let end = End::of_status(&Status::new(code, "the frame could not be read"));
        assert_eq!(end.kind, kind, "{code:?}");
    }
}
