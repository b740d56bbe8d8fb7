//! A host that is connected to over TLS.

use std::sync::Arc;

use cairn_runtime::tls::{ServerName, Trust};

/// One host name, to be verified by it; it may lead to several addresses.
#[derive(Clone, Debug)]
pub struct HttpsHost {
    /// Host name or address, to be resolved.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The name that its certificate must have.
    pub server_name: ServerName<'static>,
    /// What its certificate is verified against.
    pub trust: Arc<Trust>,
}

impl HttpsHost {
    /// Host and port as they stand in a URL.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }
}

/// Takes `https://HOST:PORT` apart; an IPv6 address stands in brackets and comes back without.
pub(super) fn https_host(text: &str) -> Option<(String, u16)> {
    let uri: http::Uri = text.parse().ok()?;
    let is_bare = uri.path_and_query().is_none_or(|path| path == "/");
    let authority = uri.authority()?;
    if uri.scheme_str() != Some("https") || !is_bare || authority.as_str().contains('@') {
        return None;
    }
    let port = authority.port_u16().filter(|port| *port != 0)?;
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_https_url_with_a_port_and_nothing_else() {
        let read = |text| https_host(text).map(|(host, port)| format!("{host} {port}"));
        let name = "cairn-aggregator-ingest.cairn.svc";
        let url = format!("https://{name}:9443");
        assert_eq!(https_host(&url), Some((name.to_owned(), 9443)));
        assert_eq!(read("https://[::1]:9443/"), Some("::1 9443".to_owned()));
        for bad in [
            "http://peer:9443",
            "https://peer",
            "https://peer:0",
            "https://user@peer:9443",
            "https://peer:9443/path",
            "peer:9443",
            "",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
