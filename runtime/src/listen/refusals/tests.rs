use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

const DATE: &str = "Sun, 22 Nov 2026 07:31:53 GMT";

fn bare(status: u16) -> Vec<u8> {
    let line = status_line(StatusCode::from_u16(status).unwrap());
    let bare = std::str::from_utf8(BARE).unwrap();
    format!("{line}{bare}{DATE}\r\n\r\n").into_bytes()
}

/// Hears a byte, as hyper always does before it refuses.
async fn heard(space: usize) -> (Explained<DuplexStream>, DuplexStream) {
    let (mut client, server) = duplex(space);
    let mut server = Explained::new(server, 32_768);
    client.write_all(b"x").await.unwrap();
    server.read_exact(&mut [0]).await.unwrap();
    (server, client)
}

/// What a client reads of these writes, one after the other, over a pipe of so many bytes.
async fn sent(space: usize, writes: &[&[u8]]) -> String {
    let (mut server, mut client) = heard(space).await;
    let (text, ()) = tokio::join!(
        async {
            let mut text = String::new();
            client.read_to_string(&mut text).await.unwrap();
            drop(client);
            text
        },
        async {
            for write in writes {
                server.write_all(write).await.unwrap();
                server.flush().await.unwrap();
            }
            server.shutdown().await.unwrap();
            drop(server);
        }
    );
    text
}

#[tokio::test]
async fn each_refusal_becomes_a_whole_answer_however_little_is_taken_at_once() {
    for (status, part) in [
        (400, "not a request of HTTP/1.1"),
        (414, "over 65534 bytes: ask for less"),
        (431, "over 32768 bytes together"),
    ] {
        for space in [1, 7, 64, 4096] {
            let text = sent(space, &[&bare(status)]).await;
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let length = format!("\r\ncontent-length: {}\r\n", body.len());
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert!(head.contains(&length), "{head}");
            assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
            assert!(head.ends_with(&format!("\r\ndate: {DATE}")), "{head}");
            assert!(body.contains(part) && body.ends_with('\n'), "{body}");
        }
    }
}

#[tokio::test]
async fn vectored_writes_are_the_same() {
    let refusal = bare(414);
    let (mut server, mut client) = heard(4096).await;
    let pieces = [IoSlice::new(&[]), IoSlice::new(&refusal)];
    let count = server.write_vectored(&pieces).await.unwrap();
    assert_eq!(count, refusal.len());
    let mut text = vec![0; 4096];
    let count = client.read(&mut text).await.unwrap();
    assert!(text[..count].ends_with(b"fewer pods in one list\n"));
    // In two pieces it is not what hyper writes.
    let (mut server, mut client) = heard(4096).await;
    let (one, two) = refusal.split_at(20);
    let pieces = [IoSlice::new(one), IoSlice::new(two)];
    let mut written = server.write_vectored(&pieces).await.unwrap();
    written += server.write(&refusal[written..]).await.unwrap();
    assert_eq!(written, refusal.len());
    let mut text = vec![0; refusal.len()];
    client.read_exact(&mut text).await.unwrap();
    assert_eq!(text, refusal);
}

#[tokio::test]
async fn whatever_else_is_written_passes() {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let refusal = bare(400);
    let with_body = [&refusal[..], b"x"].concat();
    let longer_date = text(&refusal).replace("GMT", "GMT+1");
    let ok = text(&refusal).replace("400 Bad Request", "200 OK");
    let swapped = text(&refusal).replace(
        "connection: close\r\ncontent-length: 0",
        "content-length: 0\r\nconnection: close",
    );
    for other in [
        with_body.as_slice(),
        longer_date.as_bytes(),
        ok.as_bytes(),
        swapped.as_bytes(),
        &bare(404),
        &refusal[..refusal.len() - 1],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"x",
    ] {
        assert_eq!(sent(64, &[other]).await, text(other));
    }
}

#[tokio::test]
async fn in_the_middle_of_an_answer_it_is_a_part_of_it() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
    let refusal = bare(431);
    let text = sent(64, &[head, &refusal]).await;
    let expected = [&head[..], &refusal].concat();
    assert_eq!(text.into_bytes(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_may_finish_what_it_says_within_limits() {
    // One that stops: its end is the end.
    let (mut server, mut client) = heard(64).await;
    let (_, ()) = tokio::join!(server.write_all(b"y"), async {
        client.read_exact(&mut [0]).await.unwrap();
        client.write_all(b"x").await.unwrap();
        client.shutdown().await.unwrap();
    });
    let refusal = bare(400);
    let mut text = Vec::new();
    server.read_exact(&mut [0]).await.unwrap();
    let (read, written) = tokio::join!(client.read_to_end(&mut text), async {
        server.write_all(&refusal).await?;
        server.shutdown().await
    });
    assert!(read.is_ok() && written.is_ok() && text.ends_with(b"\n"));
    // One that never stops talking, and one that never says a word.
    for talks in [true, false] {
        let (mut server, client) = heard(4096).await;
        server.write_all(&refusal).await.unwrap();
        let (mut from, mut to) = tokio::io::split(client);
        let began = tokio::time::Instant::now();
        let talk = async {
            while talks && to.write_all(&[b'x'; 1024]).await.is_ok() {}
            if !talks {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            result = server.shutdown() => result.unwrap(),
            () = talk => unreachable!(),
        }
        assert!(began.elapsed() <= LINGER + Duration::from_millis(1));
        assert_eq!(began.elapsed() >= LINGER, !talks);
        let mut text = Vec::new();
        from.read_to_end(&mut text).await.unwrap();
        assert!(text.ends_with(b"\n"));
    }
}

#[test]
fn a_bare_answer_of_a_service_has_its_length_first() {
    let mut answer = Response::builder()
        .status(414)
        .header("connection", "close")
        .header("x-own", "1")
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .unwrap();
    assert!(mark(&mut answer));
    let names: Vec<&str> = answer.headers().keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["content-length", "connection", "x-own"]);
}
