//! The name under which a request came: can it be a stranger's?
//!
//! Some answers are for the addresses of the operator's own networks: lists, figures. A browser on
//! such a machine has such an address, and runs the scripts of any site. The rules of browsers keep
//! those from reading our answers, unless the site lets its own name lead to us (DNS rebinding):
//! then the browser takes us for that site. But it says the name, and nobody gives us a name that
//! he owns except to do this.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header};

/// Names that the whole world agrees to give to nobody.
const PRIVATE: [&str; 2] = ["localhost", "internal"];

/// Stands for a host that is no text: a name, and nobody's.
const UNREADABLE: &str = ".";

/// The host of a request, with its port; as HTTP/2 says it, else as HTTP/1 does.
pub fn host_of<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let of_header = || {
        let host = headers.get(header::HOST)?;
        Some(host.to_str().unwrap_or(UNREADABLE))
    };
    let authority = uri.authority().map(axum::http::uri::Authority::as_str);
    authority.or_else(of_header)
}

/// Whether whoever sent the request called us by a name that no stranger can own: an address, a
/// name of one word, a private one (`PRIVATE`), or our own `domain`. Browsers always say a name.
pub fn is_trustworthy(host: Option<&str>, domain: Option<&str>) -> bool {
    let Some(host) = host else { return true };
    let is_port = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
    let without_port = host.rsplit_once(':').filter(|(_, port)| is_port(port));
    let name = without_port.map_or(host, |(name, _)| name);
    let bare = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_private = |name: &str| {
        let last = name.rsplit('.').next().unwrap_or_default();
        PRIVATE
            .iter()
            .any(|private| last.eq_ignore_ascii_case(private))
    };
    bare.unwrap_or(name).parse::<IpAddr>().is_ok()
        || !name.contains('.')
        || is_private(name)
        || domain.is_some_and(|domain| name.eq_ignore_ascii_case(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_strangers_cannot_own_are_trusted() {
        let trusts = |host| is_trustworthy(Some(host), Some("id.example.org"));
        for host in [
            "127.0.0.1",
            "127.0.0.1:8000",
            "[::1]:8000",
            "[::1]",
            "localhost:8000",
            "LOCALHOST",
            "a.localhost:1",
            "node7:8080",
            "node7.internal",
            "id.example.org",
            "ID.Example.ORG:8000",
        ] {
            assert!(trusts(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "id.example.org.evil.example",
            "[::1].evil.example",
            "evil.",
        ] {
            assert!(!trusts(host), "{host}");
        }
        assert!(is_trustworthy(None, None));
        assert!(!is_trustworthy(Some("id.example.org"), None));
    }
}
