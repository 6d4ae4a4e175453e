//! The certificate of HTTPS: loading, making one where there is none.
//!
//! Without a certificate in the configuration the node makes one for itself at the first start and
//! keeps it. Its subject is `anonymous` and its key is that of the site record, as clients of the
//! Handle protocol expect: they compare the keys, not the name with a list. Browsers and others do
//! look for the name (RFC 6125, 6.4): it names whatever the node is told to be reached at. It is
//! made again, with the same key, when these names change and before it ends.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::ring::digest::{SHA256, digest};
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
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{
    OID_USERID, OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME, Oid,
};

use crate::config::Config;
use crate::key::{ServerKey, write_private};
use crate::node::Node;

/// File of the certificate that the node makes for itself.
const OWN_CERTIFICATE: &str = "certificate.pem";
/// File of its key, where the site's own key is in a form that only Handle.Net software reads.
const OWN_KEY: &str = "certificate_key.pem";
/// Subject of the certificate that the node makes for itself.
const SUBJECT: &str = "anonymous";
/// How long it is valid: as long as systems take of a certificate that somebody has chosen to
/// trust.
const VALIDITY_DAYS: u64 = 825;
/// How long before its end it is made again.
const RENEWAL_DAYS: i64 = 30;
/// Names and addresses by which a machine reaches itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A certificate ready for use.
#[derive(Debug)]
pub struct Tls {
    /// What the listener needs.
    pub config: Arc<ServerConfig>,
    /// When the certificate expires, in seconds since 1970, if it could be read.
    pub expires_secs: Option<i64>,
    /// The names and addresses that it is for.
    pub names: BTreeSet<String>,
}

/// Loads the certificate, or makes one if the configuration names none.
pub fn load_or_make(config: &Config, now_secs: u64) -> Result<Tls, TlsError> {
    if config.http.certificate.is_none() {
        // One that is missing, damaged, of an earlier key or of other names is made again, and one
        // that is about to end.
        let names = names(config);
        let lasts_until = i64::try_from(now_secs).unwrap_or(i64::MAX) + RENEWAL_DAYS * 86_400;
        if let Ok(tls) = load(config)
            && tls.expires_secs.is_some_and(|end| end > lasts_until)
            && tls.names == names
        {
            return Ok(tls);
        }
        let (certificate, key) = own_files(config);
        let has_key = PrivateKeyDer::from_pem_file(&key).is_ok();
        let new_key = key != config.site.key && !has_key;
        make(&certificate, &key, new_key, &names, now_secs)?;
    }
    load(config)
}

/// The names and addresses that clients reach the node by, as far as it is told.
fn names(config: &Config) -> BTreeSet<String> {
    let site = &config.site;
    // A certificate has names in ASCII (RFC 5280, 7.2): others must be set in their coded form.
    let is_name = |name: &&String| name.is_ascii() && !name.contains(char::is_whitespace);
    let domain = site.domain.iter().filter(is_name);
    let domain = domain.map(|name| name.to_ascii_lowercase());
    let listened = config.listen.http.iter().map(std::net::SocketAddr::ip);
    let addresses = listened.chain([site.address]);
    let addresses = addresses.filter(|address| !address.is_unspecified());
    let addresses = addresses.map(|address| address.to_string());
    let own = LOOPBACK.map(str::to_owned);
    own.into_iter().chain(domain).chain(addresses).collect()
}

/// Makes the node's own certificate again if it is about to end. The node need not be stopped.
pub(crate) fn renew(node: &Node) -> Result<(), TlsError> {
    let (config, Some(tls)) = (node.config(), node.tls.get()) else {
        return Ok(());
    };
    if config.http.certificate.is_some() {
        return Ok(());
    }
    let certificate = load_or_make(&config, node.now_ms() / 1_000)?;
    let expires = certificate.expires_secs.unwrap_or(0);
    node.metrics.certificate_expires(expires);
    tls.store(certificate.config);
    Ok(())
}

/// TLS by which the holder of the node's key shows itself, whatever certificate HTTPS has.
pub(crate) fn of_key(key: &ServerKey, now_secs: u64) -> Result<Arc<ServerConfig>, String> {
    let secret = PrivatePkcs8KeyDer::from(key.pkcs8().to_vec());
    let pair = rcgen::KeyPair::try_from(&secret).map_err(|error| error.to_string())?;
    let certificate = self_signed(&pair, Vec::new(), now_secs);
    let certificate = certificate.map_err(|error| error.to_string())?;
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
    let (expires_secs, names) = read(first);
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
        names,
    })
}

/// Makes a certificate for the key in the file `key`; with `new_key` for a new one, put there.
fn make(
    certificate: &Path,
    key: &Path,
    new_key: bool,
    names: &BTreeSet<String>,
    now_secs: u64,
) -> Result<(), TlsError> {
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
    let names = names.iter().cloned().collect();
    let chain =
        self_signed(&pair, names, now_secs).map_err(|e| fail(certificate, e.to_string()))?;
    if new_key {
        // Halves of an earlier attempt are of no use.
        let _ = std::fs::remove_file(key);
        let secret = pair.serialize_pem();
        write_private(key, secret.as_bytes()).map_err(|error| fail(key, error.to_string()))?;
    }
    // One that is there stays until the new one is whole.
    let partial = certificate.with_extension("partial");
    let _ = std::fs::remove_file(&partial);
    write_private(&partial, chain.pem().as_bytes())
        .and_then(|()| std::fs::rename(&partial, certificate))
        .map_err(|error| fail(certificate, error.to_string()))
}

/// A certificate that its own key signs.
fn self_signed(
    pair: &rcgen::KeyPair,
    names: Vec<String>,
    now_secs: u64,
) -> Result<rcgen::Certificate, rcgen::Error> {
    let mut params = rcgen::CertificateParams::new(names)?;
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    // Of one issuer no two certificates may have one number (RFC 5280, 4.1.2.2), and all these have
    // one issuer.
    let octets = [pair.public_key_raw(), &now_secs.to_be_bytes()].concat();
    let mut number = digest(&SHA256, &octets).as_ref()[..16].to_vec();
    number[0] = number[0] & 0x3f | 0x40;
    params.serial_number = Some(rcgen::SerialNumber::from_slice(&number));
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

/// When a certificate expires, in seconds since 1970, and the names and addresses that it is for.
fn read(certificate: &CertificateDer<'_>) -> (Option<i64>, BTreeSet<String>) {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else {
        return (None, BTreeSet::new());
    };
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map_or(&[][..], |names| &names.value.general_names);
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => match octets.len() {
            4 => <[u8; 4]>::try_from(*octets)
                .ok()
                .map(|v4| IpAddr::from(v4).to_string()),
            _ => <[u8; 16]>::try_from(*octets)
                .ok()
                .map(|v6| IpAddr::from(v6).to_string()),
        },
        _ => None,
    };
    let names = names.iter().filter_map(text).collect();
    (Some(certificate.validity().not_after.timestamp()), names)
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

#[cfg(test)]
mod tests {
    use std::io;

    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;

    const NOW: u64 = 1_800_000_000;
    const DAY: u64 = 86_400;

    fn config(folder: &Path) -> Config {
        let config = Config::ephemeral(folder);
        crate::key::make(&config.site.key).unwrap();
        config
    }

    /// The octets of the node's own certificate.
    fn certificate(config: &Config) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(config.folder.join(OWN_CERTIFICATE)).unwrap()
    }

    /// Whether a client that trusts this certificate alone takes the node for `name`.
    fn is_taken_for(tls: &Tls, trusted: CertificateDer<'static>, name: &str) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(trusted).unwrap();
        let client = ClientConfig::builder().with_root_certificates(roots);
        let client = Arc::new(client.with_no_client_auth());
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = ClientConnection::new(client, name).unwrap();
        let mut server = ServerConnection::new(tls.config.clone()).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut octets = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut octets).unwrap();
            }
            let mut read = io::Cursor::new(octets);
            while server.read_tls(&mut read).unwrap() > 0 {
                if server.process_new_packets().is_err() {
                    return false;
                }
            }
            let mut octets = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut octets).unwrap();
            }
            let mut read = io::Cursor::new(octets);
            while client.read_tls(&mut read).unwrap() > 0 {
                if client.process_new_packets().is_err() {
                    return false;
                }
            }
        }
        true
    }

    #[test]
    fn own_certificate_is_for_whatever_the_node_is_reached_at_and_has_the_key_of_the_site() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        config.site.domain = Some("Node.Example".to_owned());
        config.site.address = [192, 0, 2, 7].into();
        config.listen.http = vec![
            "0.0.0.0:8000".parse().unwrap(),
            "[2001:db8::1]:8000".parse().unwrap(),
        ];
        let now = std::time::SystemTime::now();
        let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let tls = load_or_make(&config, now).unwrap();
        let trusted = certificate(&config);
        for name in [
            "node.example",
            "192.0.2.7",
            "2001:db8::1",
            "localhost",
            "127.0.0.1",
            "::1",
        ] {
            assert!(is_taken_for(&tls, trusted.clone(), name), "{name}");
        }
        for name in ["other.example", "0.0.0.0"] {
            assert!(!is_taken_for(&tls, trusted.clone(), name), "{name}");
        }
        let (_, parsed) = x509_parser::parse_x509_certificate(&trusted).unwrap();
        let key = ServerKey::load(&config.site.key).unwrap();
        let pair = PrivatePkcs8KeyDer::from(key.pkcs8().to_vec());
        let pair = rcgen::KeyPair::try_from(&pair).unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&pair);
        assert_eq!(parsed.public_key().raw, spki);
    }

    #[test]
    fn own_certificate_is_made_again_for_other_names_and_before_its_end_with_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        let first = load_or_make(&config, NOW).unwrap();
        let made = certificate(&config);
        let long_before = NOW + (VALIDITY_DAYS - 31) * DAY;
        load_or_make(&config, long_before).unwrap();
        assert_eq!(certificate(&config), made);
        let shortly_before = NOW + (VALIDITY_DAYS - 29) * DAY;
        let second = load_or_make(&config, shortly_before).unwrap();
        assert!(second.expires_secs > first.expires_secs);
        let renewed = certificate(&config);
        config.site.domain = Some("node.example".to_owned());
        let third = load_or_make(&config, shortly_before + 1).unwrap();
        assert!(third.names.contains("node.example"));
        let named = certificate(&config);
        let parts = [&made, &renewed, &named].map(|each| {
            let (_, each) = x509_parser::parse_x509_certificate(each).unwrap();
            (each.public_key().raw.to_vec(), each.raw_serial().to_vec())
        });
        assert!(
            parts
                .windows(2)
                .all(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1)
        );
    }

    #[test]
    fn name_that_no_certificate_can_have_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        config.site.domain = Some("节点.example".to_owned());
        let tls = load_or_make(&config, NOW).unwrap();
        let own: BTreeSet<String> = LOOPBACK.map(str::to_owned).into();
        assert_eq!(tls.names, own);
    }
}
