//! A connection that is kept for many requests, one after the other.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::answer::{Answer, is_whole, read_answer};
use super::{ANSWER_LIMIT_BYTES, DEADLINE, Error, Timed};
use crate::deadline::Deadline;

/// A plain server, asked over one connection as long as it keeps it.
#[derive(Debug)]
pub struct Session {
    addr: SocketAddr,
    kept: Option<TcpStream>,
}

/// Why a connection gave no answer, and whether it had begun one.
struct Broken {
    source: io::Error,
    is_begun: bool,
}

impl Session {
    /// A session that connects with its first request.
    #[must_use]
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, kept: None }
    }

    /// Asks for a path. A kept connection that the server has closed meanwhile is replaced once.
    ///
    /// # Errors
    ///
    /// As [`super::Target::get`].
    pub fn get(&mut self, path: &str) -> Result<Answer, Error> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.addr);
        self.exchange(head.as_bytes(), &[])
    }

    /// Posts a body of any kind to a path, with header lines of the caller's own. One that was sent
    /// over a kept connection which the server closed without an answer is sent again.
    ///
    /// # Errors
    ///
    /// As [`super::Target::post`].
    pub fn post(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Error> {
        self.exchange(
            post_head(self.addr, path, headers, body.len()).as_bytes(),
            body,
        )
    }

    fn exchange(&mut self, head: &[u8], body: &[u8]) -> Result<Answer, Error> {
        let addr = self.addr;
        if let Some(tcp) = self.kept.take() {
            match self.ask(tcp, head, body) {
                Err(broken) if !broken.is_begun => {}
                Err(Broken { source, .. }) => return Err(Error::Exchange { addr, source }),
                Ok(raw) => return read_answer(&raw),
            }
        }
        let tcp = TcpStream::connect_timeout(&addr, DEADLINE)
            .map_err(|source| Error::Connect { addr, source })?;
        tcp.set_nodelay(true)
            .map_err(|source| Error::Connect { addr, source })?;
        match self.ask(tcp, head, body) {
            Ok(raw) => read_answer(&raw),
            Err(Broken { source, .. }) => Err(Error::Exchange { addr, source }),
        }
    }

    /// One exchange; the connection is kept when the answer ended before it did.
    fn ask(&mut self, tcp: TcpStream, head: &[u8], body: &[u8]) -> Result<Vec<u8>, Broken> {
        let deadline = Deadline::after(DEADLINE);
        let mut timed = Timed { tcp, deadline };
        let mut raw = Vec::new();
        let mut exchange = || -> io::Result<bool> {
            timed.write_all(head)?;
            timed.write_all(body)?;
            let mut buffer = [0; 16 * 1024];
            while raw.len() < ANSWER_LIMIT_BYTES {
                match timed.read(&mut buffer)? {
                    0 if raw.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
                    0 => return Ok(false),
                    count => raw.extend(buffer.iter().take(count)),
                }
                if is_whole(&raw) {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        let ended = exchange();
        match ended {
            Ok(keep) => {
                self.kept = keep.then_some(timed.tcp);
                Ok(raw)
            }
            Err(source) => Err(Broken {
                source,
                is_begun: !raw.is_empty(),
            }),
        }
    }
}

/// The head of a request with a body of so many bytes.
#[must_use]
pub fn post_head(
    addr: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body_bytes: usize,
) -> String {
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: {addr}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {body_bytes}\r\n\r\n"));
    head
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::Session;

    /// Answers so many requests on each connection in turn, with the number of the connection and
    /// the path; then closes it.
    fn serve(listener: &TcpListener, requests: &[usize]) {
        for (connection, &count) in requests.iter().enumerate() {
            let (stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for request in 0..count {
                let first = lines.next().unwrap().unwrap();
                while !lines.next().unwrap().unwrap().is_empty() {}
                let path = first.split(' ').nth(1).unwrap();
                let body = format!("{connection} {path}");
                let length = body.len();
                let answer = if request % 2 == 0 {
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
                } else {
                    let head = "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n";
                    format!("{head}{length:x}\r\n{body}\r\n0\r\n\r\n")
                };
                let (one, other) = answer.as_bytes().split_at(30);
                (&stream).write_all(one).unwrap();
                (&stream).write_all(other).unwrap();
            }
        }
    }

    #[test]
    fn a_connection_is_kept_and_replaced_when_it_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut session = Session::new(listener.local_addr().unwrap());
        let server = thread::spawn(move || serve(&listener, &[3, 1]));
        let mut get = |path: &str| {
            let answer = session.get(path).unwrap();
            (answer.status, answer.text())
        };
        assert_eq!(get("/a"), (200, "0 /a".to_owned()));
        assert_eq!(get("/b"), (404, "0 /b".to_owned()));
        assert_eq!(get("/c"), (200, "0 /c".to_owned()));
        assert_eq!(get("/d"), (200, "1 /d".to_owned()));
        server.join().unwrap();
        assert!(session.get("/e").is_err(), "nobody listens any more");
    }

    #[test]
    fn a_body_is_posted_with_the_callers_header_lines() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut session = Session::new(listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut raw = vec![0; 1024];
            let mut length = 0;
            while !raw[..length].ends_with(b"\r\n\r\n\0\xff") {
                length += stream.read(&mut raw[length..]).unwrap();
            }
            let answer = b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n";
            stream.write_all(answer).unwrap();
            // Open until the client has left: a 204 ends with its header.
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
            String::from_utf8_lossy(&raw[..length]).into_owned()
        });
        let answer = session.post("/p", &[("Content-Type", "a/b")], b"\0\xff");
        assert_eq!(answer.unwrap().status, 204);
        drop(session);
        let request = server.join().unwrap();
        let (head, _) = request.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("POST /p HTTP/1.1\r\nHost: 127.0.0.1:"),
            "{head}"
        );
        let rest = "\r\nContent-Type: a/b\r\nContent-Length: 2";
        assert!(head.ends_with(rest), "{head}");
    }
}
