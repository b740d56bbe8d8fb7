use std::os::unix::fs::PermissionsExt as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::*;

const SOON: Duration = Duration::from_secs(30);

async fn echo(request: Request<Incoming>) -> Reply {
    plain(StatusCode::OK, format!("{}\n", request.uri().path()))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_owner_alone_is_answered_and_the_file_goes_with_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("own/agent.sock");
    let bound = bind(&path).await.unwrap();
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let token = Token::new();
    let mut task = JoinSet::new();
    task.spawn(serve(bound, echo, token.clone()));
    for _ in 0..MAX_CONNECTIONS + 1 {
        let answer = ask(&path, "/top", 1024, SOON).await.unwrap();
        assert_eq!(
            (answer.status, &*answer.body),
            (StatusCode::OK, &b"/top\n"[..])
        );
    }
    let error = ask(&path, "/top", 3, SOON).await.unwrap_err();
    assert!(matches!(error, AskError::Body { .. }), "{error}");
    token.cancel();
    assert_eq!(task.join_next().await.unwrap().unwrap(), Ok(()));
    assert!(!path.exists());
    let error = ask(&path, "/top", 1024, SOON).await.unwrap_err();
    let named = error.to_string();
    assert!(named.contains("nobody answers at the socket /"), "{named}");
}

#[tokio::test]
async fn what_was_left_behind_is_replaced_and_what_is_in_use_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let bound = bind(&path).await.unwrap();
    let error = bind(&path).await.unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    assert!(path.exists());
    drop(bound);
    let error = bind(&dir.path().join("no/such/agent.sock"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no/such/agent.sock"), "{error}");
    // A file that is no socket stays.
    fs::write(&path, "kept").unwrap();
    assert!(matches!(
        bind(&path).await.unwrap_err(),
        Error::InUse { .. }
    ));
    assert_eq!(fs::read(&path).unwrap(), b"kept");
}

#[tokio::test]
async fn a_client_that_says_nothing_keeps_nobody_from_their_answer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.sock");
    let (bound, token) = (bind(&path).await.unwrap(), Token::new());
    let mut task = JoinSet::new();
    task.spawn(serve(bound, echo, token.clone()));
    let mut silent = Vec::new();
    for _ in 0..MAX_CONNECTIONS - 1 {
        silent.push(UnixStream::connect(&path).await.unwrap());
    }
    let answer = ask(&path, "/top", 1024, SOON).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    // What is no request ends its own connection.
    let mut last = silent.pop().unwrap();
    last.write_all(b"\r\nno request\r\n\r\n").await.unwrap();
    let mut text = String::new();
    last.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    token.cancel();
    assert_eq!(task.join_next().await.unwrap().unwrap(), Ok(()));
}

#[test]
fn root_and_the_own_user_may_ask() {
    assert!(may_ask(0, 65_532) && may_ask(65_532, 65_532));
    assert!(!may_ask(1_000, 65_532) && !may_ask(1_000, 0));
}
