//! Reading an answer out of everything the peer sent.

use super::Error;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header lines in the order sent, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, with any chunking taken off.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text; bytes that are no UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Takes an answer apart; its header says whether it is whole.
pub(super) fn read_answer(raw: &[u8]) -> Result<Answer, Error> {
    let malformed = |problem| Error::Malformed {
        problem,
        read_bytes: raw.len(),
    };
    let end = raw
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .ok_or_else(|| malformed("no end of the header"))?;
    let (head, rest) = raw.split_at(end);
    let head = std::str::from_utf8(head).map_err(|_| malformed("the header is not UTF-8"))?;
    let body = rest.get(4..).unwrap_or_default();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|line| line.split(' ').next()?.parse().ok())
        .ok_or_else(|| malformed("no status line"))?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer {
        status,
        headers,
        body: Vec::new(),
    };
    answer.body = if answer.header("transfer-encoding") == Some("chunked") {
        unchunk(body)?
    } else if let Some(length) = answer.header("content-length") {
        let length: usize = length
            .parse()
            .map_err(|_| malformed("content-length is no number"))?;
        let read_bytes = body.len();
        body.get(..length)
            .ok_or(Error::Truncated { read_bytes })?
            .to_vec()
    } else {
        body.to_vec()
    };
    Ok(answer)
}

/// Whether the answer has come to the end that its header gives it; one without such an end lasts
/// until the connection is closed.
pub(super) fn is_whole(raw: &[u8]) -> bool {
    let Some(end) = raw.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let head = raw.get(..end).unwrap_or_default().to_ascii_lowercase();
    let head = String::from_utf8_lossy(&head);
    let field = |name: &str| {
        let mut lines = head.split("\r\n").skip(1);
        lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
    };
    // "No content" has no body, and no header that says so.
    if head.starts_with("http/1.1 204 ") {
        return true;
    }
    if field("transfer-encoding") == Some("chunked") {
        return raw.ends_with(b"0\r\n\r\n") && read_answer(raw).is_ok();
    }
    let length = field("content-length").and_then(|text| text.parse().ok());
    length.is_some_and(|length: usize| raw.len() >= end.saturating_add(4).saturating_add(length))
}

fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    loop {
        let cut = Error::Truncated {
            read_bytes: body.len(),
        };
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else {
            return Err(cut);
        };
        let (line, after) = rest.split_at(end);
        let size = std::str::from_utf8(line)
            .ok()
            .and_then(|line| usize::from_str_radix(line.split(';').next()?.trim(), 16).ok())
            .ok_or(Error::Malformed {
                problem: "a chunk's size is no number",
                read_bytes: body.len(),
            })?;
        if size == 0 {
            return Ok(body);
        }
        let chunk = after.get(2..).and_then(|after| after.get(..size));
        let next = after.get(2..).and_then(|after| after.get(size + 2..));
        let (Some(chunk), Some(next)) = (chunk, next) else {
            return Err(cut);
        };
        body.extend(chunk);
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, is_whole, read_answer};

    #[test]
    fn the_header_says_where_an_answer_ends() {
        let parts: [(&[u8], &[u8]); 4] = [
            (b"HTTP/1.1 204 No Content\r\nX-A: b\r\n", b"\r\n"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na", b"b"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", b"\r\n"),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n0\r\n\r\n",
                b"x\r\n0\r\n\r\n",
            ),
        ];
        for (part, rest) in parts {
            assert!(!is_whole(part), "{}", part.escape_ascii());
            assert!(is_whole(&[part, rest].concat()), "{}", part.escape_ascii());
        }
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\n\r\nabc"));
    }

    #[test]
    fn bodies_are_read_by_length_by_chunks_and_to_the_end() {
        let answer = read_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "ab"));
        let chunked = b"HTTP/1.1 404 Not Found\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n";
        let answer = read_answer(chunked).unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (404, "abc"));
        assert_eq!(answer.header("x-a"), Some("b"));
        let answer = read_answer(b"HTTP/1.1 200 OK\r\n\r\nabc").unwrap();
        assert_eq!(answer.text(), "abc");
    }

    #[test]
    fn half_an_answer_is_an_error() {
        let cut = read_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
        assert!(matches!(cut, Err(Error::Truncated { read_bytes: 2 })));
        let cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n5\r\nc";
        assert!(matches!(
            read_answer(cut),
            Err(Error::Truncated { read_bytes: 2 })
        ));
        assert!(matches!(
            read_answer(b"SSH-2.0\r\n\r\n"),
            Err(Error::Malformed { .. })
        ));
    }
}
