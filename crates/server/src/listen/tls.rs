//! The certificate of HTTPS: loading, making one where there is none.
//!
//! Without a certificate in the configuration the node makes one for itself at the first start and
//! keeps it. Its subject is `anonymous` and its key is that of the site record, as clients of the
//! Handle protocol expect: they compare the keys, not the name with a list.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime,
};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    DigitallySignedStruct, DistinguishedName, Error as TlsFault, ServerConfig, ServerConnection,
    SignatureScheme,
};
use x509_parser::oid_registry::{
    OID_USERID, OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME, Oid,
};

use crate::config::Config;
use crate::key::{ServerKey, write_private};

/// File of the certificate that the node makes for itself.
const OWN_CERTIFICATE: &str = "certificate.pem";
/// File of its key, where the site's own key is in a form that only Handle.Net software reads.
const OWN_KEY: &str = "certificate_key.pem";
/// Subject of the certificate that the node makes for itself.
const SUBJECT: &str = "anonymous";
/// How long it is valid. Nobody checks it, so that renewing it would only be a chore.
const VALIDITY_DAYS: u64 = 3_650;

/// A certificate ready for use.
#[derive(Debug)]
pub struct Tls {
    /// What the listener needs.
    pub config: Arc<ServerConfig>,
    /// When the certificate expires, in seconds since 1970, if it could be read.
    pub expires_secs: Option<i64>,
}

/// Loads the certificate, or makes one if the configuration names none.
pub fn load_or_make(config: &Config, now_secs: u64) -> Result<Tls, TlsError> {
    if config.http.certificate.is_none() {
        // Our own certificate says nothing but the key. One that is missing, damaged or of an
        // earlier key is made again.
        if let Ok(tls) = load(config) {
            return Ok(tls);
        }
        let (certificate, key) = own_files(config);
        make(&certificate, &key, key != config.site.key, now_secs)?;
    }
    load(config)
}

/// TLS by which the holder of the node's key shows itself, whatever certificate HTTPS has.
pub(crate) fn of_key(key: &ServerKey, now_secs: u64) -> Result<Arc<ServerConfig>, String> {
    let secret = PrivatePkcs8KeyDer::from(key.pkcs8().to_vec());
    let pair = rcgen::KeyPair::try_from(&secret).map_err(|error| error.to_string())?;
    let certificate = self_signed(&pair, now_secs).map_err(|error| error.to_string())?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], secret.into())
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(config))
}

/// Loads the certificate without making one, and says what it is.
pub fn inspect(config: &Config) -> Result<String, TlsError> {
    let (certificate, key) = files(config);
    if config.http.certificate.is_none() && !(certificate.exists() && key.exists()) {
        return Ok("none is set; the first start makes one and signs it itself".to_owned());
    }
    let tls = load(config)?;
    let whose = match config.http.certificate {
        Some(_) => "",
        None => " (self-signed)",
    };
    let expires = tls
        .expires_secs
        .map_or(String::new(), |secs| format!(", expires {}", date(secs)));
    Ok(format!("{}{whose}{expires}", certificate.display()))
}

fn own_files(config: &Config) -> (PathBuf, PathBuf) {
    let folder = &config.folder;
    let site_key_is_pem = PrivateKeyDer::from_pem_file(&config.site.key).is_ok();
    let key = match site_key_is_pem {
        true => config.site.key.clone(),
        false => folder.join(OWN_KEY),
    };
    (folder.join(OWN_CERTIFICATE), key)
}

fn files(config: &Config) -> (PathBuf, PathBuf) {
    let set = config.http.certificate.clone();
    set.unwrap_or_else(|| own_files(config))
}

fn load(config: &Config) -> Result<Tls, TlsError> {
    let (certificate, key) = files(config);
    let fail = |path: &Path, why: String| TlsError {
        path: path.to_owned(),
        why,
    };
    let chain = CertificateDer::pem_file_iter(&certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fail(&certificate, error.to_string()))?;
    let Some(first) = chain.first() else {
        return Err(fail(
            &certificate,
            "it has no certificate in PEM".to_owned(),
        ));
    };
    let expires_secs = expiry(first);
    let secret =
        PrivateKeyDer::from_pem_file(&key).map_err(|error| fail(&key, error.to_string()))?;
    let builder = match config.http.client_certificates {
        true => ServerConfig::builder().with_client_cert_verifier(AnyCertificate::new()),
        false => ServerConfig::builder().with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, secret)
        .map_err(|error| fail(&certificate, format!("{error} (key {})", key.display())))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Tls {
        config: Arc::new(config),
        expires_secs,
    })
}

/// Makes a certificate for the key in the file `key`; with `new_key` for a new one, put there.
fn make(certificate: &Path, key: &Path, new_key: bool, now_secs: u64) -> Result<(), TlsError> {
    let fail = |path: &Path, why: String| TlsError {
        path: path.to_owned(),
        why,
    };
    let pair = match new_key {
        true => rcgen::KeyPair::generate(),
        false => std::fs::read_to_string(key)
            .map_err(|error| fail(key, error.to_string()))
            .map(|text| rcgen::KeyPair::from_pem(&text))?,
    };
    let pair = pair.map_err(|error| fail(key, error.to_string()))?;
    let chain = self_signed(&pair, now_secs).map_err(|e| fail(certificate, e.to_string()))?;
    if new_key {
        // Halves of an earlier attempt are of no use.
        let _ = std::fs::remove_file(key);
        let secret = pair.serialize_pem();
        write_private(key, secret.as_bytes()).map_err(|error| fail(key, error.to_string()))?;
    }
    let _ = std::fs::remove_file(certificate);
    write_private(certificate, chain.pem().as_bytes())
        .map_err(|error| fail(certificate, error.to_string()))
}

/// A certificate that its own key signs.
fn self_signed(pair: &rcgen::KeyPair, now_secs: u64) -> Result<rcgen::Certificate, rcgen::Error> {
    let mut params = rcgen::CertificateParams::new(Vec::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, SUBJECT);
    let now = std::time::UNIX_EPOCH + Duration::from_secs(now_secs);
    // Clocks differ; a certificate of the future would be refused.
    params.not_before = (now - Duration::from_secs(86_400)).into();
    params.not_after = (now + Duration::from_secs(VALIDITY_DAYS * 86_400)).into();
    params.self_signed(pair)
}

/// When a certificate expires, in seconds since 1970.
fn expiry(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

fn date(secs: i64) -> String {
    let time = time::OffsetDateTime::from_unix_timestamp(secs);
    time.map_or_else(|_| secs.to_string(), |time| time.date().to_string())
}

//----------- ClientCertificate ----------------------------------------------

/// The certificate of a client; in the extensions of its requests. The handshake has proven that
/// the client owns its key, and nothing else of it is believed.
#[derive(Clone, Debug)]
pub(crate) struct ClientCertificate(Arc<CertificateDer<'static>>);

impl ClientCertificate {
    /// The certificate that the client of a connection has shown, if it has.
    pub(crate) fn of(connection: &ServerConnection) -> Option<Self> {
        let certificate = connection.peer_certificates()?.first()?;
        Some(Self(Arc::new(certificate.clone().into_owned())))
    }

    /// For tests: any certificate.
    #[cfg(test)]
    pub(crate) fn new(certificate: CertificateDer<'static>) -> Self {
        Self(Arc::new(certificate))
    }

    /// Whose key it says it is, `index:handle` in the subject (UID, else CN, else O), and the key
    /// as SubjectPublicKeyInfo (8.5).
    pub(crate) fn read(&self) -> Result<(String, Vec<u8>), String> {
        let parsed = x509_parser::parse_x509_certificate(&self.0);
        let (_, certificate) =
            parsed.map_err(|error| format!("the client certificate cannot be read: {error}"))?;
        let subject = certificate.subject();
        let first = |oid: &Oid<'_>| {
            let attribute = subject.iter_by_oid(oid).next()?;
            attribute.as_str().ok().map(str::to_owned)
        };
        let named = [OID_USERID, OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME]
            .iter()
            .find_map(first);
        let named = named.ok_or("the subject of the client certificate names no `index:handle`")?;
        Ok((named, certificate.public_key().raw.to_vec()))
    }
}

/// Asks clients for a certificate and takes any: what counts is the key, which is looked up in the
/// record that the subject names.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl AnyCertificate {
    fn new() -> Arc<Self> {
        Arc::new(Self(Arc::new(ring::default_provider())))
    }
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, TlsFault> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsFault> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsFault> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

//----------- TlsError -------------------------------------------------------

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the certificate or key {} cannot be used: {why}", path.display())]
pub struct TlsError {
    path: PathBuf,
    why: String,
}
