//! How a server proves itself over HTTPS.
//!
//! Handle servers have certificates that they made themselves; no authority vouches for them. What
//! vouches for them is the site record, which holds each server's public key. So a client pins: it
//! accepts the certificate with that key, or the one certificate that it was given, and no other.
//! Names and dates in a pinned certificate are not looked at: they add nothing to the key.

use guantong_proto::data::PublicKey;

#[cfg(feature = "https")]
mod verify;

#[cfg(feature = "https")]
pub(crate) use verify::connect;

/// Begins TLS on `stream` with a server that `trust` accepts, for HTTP of another meaning than
/// messages of the Handle protocol.
#[cfg(feature = "https")]
pub async fn secure(
    stream: tokio::net::TcpStream,
    name: &str,
    trust: &Trust,
) -> Result<
    impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    crate::attempt::Outcome,
> {
    connect(stream, name, trust).await
}

/// Whom to believe over HTTPS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// Nobody: HTTPS is not used.
    #[default]
    Nobody,
    /// The server with exactly this certificate, in DER.
    Certificate(Vec<u8>),
    /// The server whose certificate has this key, which its site record holds
    /// ([`Server::key`](guantong_proto::data::site::Server::key)). A DSA key fits no certificate
    /// that TLS still knows.
    Key(PublicKey),
    /// Anybody. The connection is encrypted, but not against whoever sits in the middle; it is then
    /// as good as UDP, TCP and plain HTTP. A certified answer, checked with
    /// [`Answer::verify`](crate::Answer::verify), can still be believed.
    Anybody,
}
