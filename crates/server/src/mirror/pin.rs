//! TLS for streams: the node's key as certificate, and the primary's key as the only one believed.

use std::path::Path;
use std::sync::Arc;

use guantong_proto::crypto::VerifyingKey;
use guantong_proto::data::PublicKey;
use guantong_proto::json::parse_site;
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

/// Largest file with a public key.
const FILE_LEN_MAX: u64 = 64 * 1024;

/// A client that believes the holder of `key` and nobody else.
pub(super) fn client(key: VerifyingKey) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let pin = Pin {
        key,
        provider: provider.clone(),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pin))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Reads a public key: PEM, the data of an HS_PUBKEY value, or a site in JSON.
pub(crate) fn read_key(path: &Path) -> Result<PublicKey, String> {
    let fail = |why: String| format!("{}: {why}", path.display());
    let len = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?;
    if len.len() > FILE_LEN_MAX {
        return Err(fail("is too long for a key".to_owned()));
    }
    let octets = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    if octets.starts_with(b"-----BEGIN") {
        let text = String::from_utf8(octets).map_err(|error| fail(error.to_string()))?;
        return Ok(PublicKey::Pem(text));
    }
    if octets.trim_ascii_start().starts_with(b"{") {
        let site = parse_site(&octets).map_err(|error| fail(error.to_string()))?;
        let server = site.servers.first();
        let server = server.ok_or_else(|| fail("the site has no server".to_owned()))?;
        return server.key().map_err(|error| fail(error.to_string()));
    }
    PublicKey::decode(&octets).map_err(|error| fail(error.to_string()))
}

//----------- Pin ------------------------------------------------------------

/// Accepts the certificate with one key. That the peer owns it is proven by the handshake.
#[derive(Debug)]
struct Pin {
    key: VerifyingKey,
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
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let found = VerifyingKey::from_spki(&certificate.subject_public_key_info());
        match found {
            Ok(found) if found == self.key => Ok(ServerCertVerified::assertion()),
            _ => {
                let text = "the primary has another key than the one known of it";
                Err(TlsError::General(text.to_owned()))
            }
        }
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
