//! The TLS handshake with a pinned certificate or key.

use std::sync::Arc;

use guantong_proto::crypto::VerifyingKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, SignatureScheme,
};

use super::Trust;
use crate::attempt::Outcome;
use crate::error::Fault;

/// Begins TLS on `stream` with a server that `trust` accepts.
pub(crate) async fn connect(
    stream: TcpStream,
    name: &str,
    trust: &Trust,
) -> Result<TlsStream<TcpStream>, Outcome> {
    if *trust == Trust::Nobody {
        let text = "no key or certificate is known by which to know the server";
        return Err(Outcome::Unusable(text.to_owned()));
    }
    let provider = Arc::new(ring::default_provider());
    let pin = Pin {
        trust: trust.clone(),
        provider: Arc::clone(&provider),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Outcome::Unusable(format!("TLS cannot be set up: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pin))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| Outcome::Unusable(format!("`{name}` cannot be a name in TLS")))?;
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.map_err(|error| {
        let fault = error.get_ref().is_some_and(|inner| inner.is::<TlsError>());
        match fault {
            true => Outcome::Misbehaved(Fault::Tls(error.to_string())),
            false => Outcome::Io(error.to_string()),
        }
    })
}

//----------- Pin ------------------------------------------------------------

/// Accepts the certificate or key that it was given. That the peer owns the key is proven by the
/// signature in the handshake, which is checked in any case.
#[derive(Debug)]
struct Pin {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let expected = match &self.trust {
            Trust::Nobody => false,
            Trust::Anybody => true,
            Trust::Certificate(certificate) => end_entity.as_ref() == certificate,
            Trust::Key(key) => {
                let certificate = ParsedCertificate::try_from(end_entity)?;
                let found = VerifyingKey::from_spki(&certificate.subject_public_key_info());
                // A key that cannot be read is not the one expected, whichever side it is on.
                matches!((VerifyingKey::new(key), found), (Ok(key), Ok(found)) if key == found)
            }
        };
        if expected {
            return Ok(ServerCertVerified::assertion());
        }
        let text = "the server has another key or certificate than the one expected";
        Err(TlsError::General(text.to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
