//! Keys in the forms in which they are kept and exchanged, and from one form into another.
//!
//! ```text
//! private   PKCS#8 (RFC 5958), clear or encrypted, as PEM or DER; PKCS#1 and SEC1 as older tools
//!           write them; JSON Web Key (RFC 7517); Handle.Net's private-key files (4.5.3); for SM2
//!           the bare number in hexadecimal digits
//! public    SubjectPublicKeyInfo as PEM or DER; JSON Web Key; the data of HS_PUBKEY values (4.5.3,
//!           9.4); for SM2 the bare point; certificates, of which the key is taken
//! ```
//!
//! Inside, a private key is PKCS#8 in DER, and a public key is what a record holds. All structures
//! are read and written by the libraries of their standards; here it is only told which one it is.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guantong_proto::crypto::keyfile::{IV_LEN, KeyFile, SALT_LEN, seal, seal_clear};
use guantong_proto::crypto::{SigningKey, VerifyingKey};
use guantong_proto::data::key::{Number, PrivateKey, PublicKey, RsaCrtKey};
use guantong_proto::json::{key_from_json, key_to_jwk};
use pkcs8::der::asn1::{BitStringRef, OctetStringRef};
use pkcs8::der::pem::LineEnding;
use pkcs8::der::{Decode, Encode};
use pkcs8::spki::SubjectPublicKeyInfo;
use pkcs8::{
    AlgorithmIdentifierRef, EncodePrivateKey, EncodePublicKey, EncryptedPrivateKeyInfoRef,
    ObjectIdentifier, PrivateKeyInfoRef, SecretDocument,
};
use ring::rand::{SecureRandom, SystemRandom};
use rsa::pkcs1::DecodeRsaPrivateKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::SectionKind;
use sec1::EcPrivateKey;
use serde_json::Value as Json;
#[cfg(feature = "sm")]
use serde_json::json;

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SM2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.156.10197.1.301");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// Octets of a private number, a coordinate, and an Ed25519 key.
const NUMBER_LEN: usize = 32;

/// Gives the passphrase of an encrypted key, or says why there is none. Called once at most.
pub type Passphrase<'a> = &'a mut dyn FnMut() -> Result<Vec<u8>, String>;

//----------- Form -----------------------------------------------------------

/// A form that a key can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// PKCS#8 as PEM; with a passphrase encrypted.
    Pem,
    /// PKCS#8 in DER; with a passphrase encrypted.
    Pkcs8,
    /// PKCS#1 as PEM, for RSA only.
    Pkcs1,
    /// A private JSON Web Key.
    Jwk,
    /// Handle.Net's private-key file, for RSA only; with a passphrase encrypted.
    Handle,
    /// The private number of SM2 in hexadecimal digits.
    Hex,
    /// SubjectPublicKeyInfo as PEM.
    PublicPem,
    /// SubjectPublicKeyInfo in DER.
    PublicDer,
    /// A public JSON Web Key.
    PublicJwk,
    /// The data of an HS_PUBKEY value.
    PublicHandle,
    /// The data of an HS_PUBKEY value with SM2 PEM text in it, as id-pointer-sdk writes it.
    PublicHandlePem,
    /// The uncompressed point of SM2 in hexadecimal digits.
    PublicHex,
}

impl Form {
    /// All forms with the names that they have on the command line.
    pub const ALL: [(Self, &'static str); 12] = [
        (Self::Pem, "pem"),
        (Self::Pkcs8, "pkcs8"),
        (Self::Pkcs1, "pkcs1"),
        (Self::Jwk, "jwk"),
        (Self::Handle, "handle"),
        (Self::Hex, "hex"),
        (Self::PublicPem, "public-pem"),
        (Self::PublicDer, "spki"),
        (Self::PublicJwk, "public-jwk"),
        (Self::PublicHandle, "handle-public"),
        (Self::PublicHandlePem, "handle-public-pem"),
        (Self::PublicHex, "public-hex"),
    ];

    /// Whether it holds the private key.
    pub fn is_private(self) -> bool {
        use Form::{Handle, Hex, Jwk, Pem, Pkcs1, Pkcs8};
        matches!(self, Pem | Pkcs8 | Pkcs1 | Jwk | Handle | Hex)
    }

    /// Whether it can be encrypted with a passphrase.
    pub fn takes_passphrase(self) -> bool {
        matches!(self, Self::Pem | Self::Pkcs8 | Self::Handle)
    }

    /// Whether it is text that a terminal can show.
    pub fn is_text(self) -> bool {
        use Form::{Handle, Pkcs8, PublicDer, PublicHandle, PublicHandlePem};
        !matches!(
            self,
            Pkcs8 | Handle | PublicDer | PublicHandle | PublicHandlePem
        )
    }
}

/// A kind of key that can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RSA of so many bits, 2048 to 4096.
    Rsa(usize),
    /// ECDSA on P-256.
    P256,
    /// Ed25519.
    Ed25519,
    /// SM2 (GB/T 32918).
    #[cfg(feature = "sm")]
    Sm2,
}

//----------- KeyPair --------------------------------------------------------

/// A private key and its public half.
pub struct KeyPair {
    pkcs8: SecretDocument,
    signing: SigningKey,
}

/// What a file holds.
#[derive(Debug)]
pub enum Key {
    /// A private key.
    Private(Box<KeyPair>),
    /// A public key.
    Public(PublicKey),
}

impl Key {
    /// The public key, or the public half.
    pub fn public(&self) -> PublicKey {
        match self {
            Self::Private(pair) => pair.signing.public_key(),
            Self::Public(key) => key.clone(),
        }
    }
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KeyPair").field(&self.signing).finish()
    }
}

impl KeyPair {
    /// Makes a new key.
    pub fn generate(kind: Kind) -> Result<Self, FormError> {
        let failed = |why: String| FormError::Generate { why };
        match kind {
            Kind::Rsa(bits) => {
                let key = super::generate(bits).map_err(failed)?;
                let document = key
                    .to_pkcs8_der()
                    .map_err(|error| failed(error.to_string()))?;
                Self::new(document.as_bytes())
            }
            Kind::P256 => {
                let algorithm = &ring::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
                let random = SystemRandom::new();
                let made = ring::signature::EcdsaKeyPair::generate_pkcs8(algorithm, &random);
                let made = made.map_err(|_| failed("no random octets".to_owned()))?;
                Self::new(made.as_ref())
            }
            Kind::Ed25519 => Self::of_seed(&random::<NUMBER_LEN>()?),
            #[cfg(feature = "sm")]
            Kind::Sm2 => loop {
                // A number above the order of the curve is as rare as they come; take another.
                if let Ok(pair) = Self::of_sm2_number(&random::<NUMBER_LEN>()?) {
                    return Ok(pair);
                }
            },
        }
    }

    /// A key in PKCS#8, DER.
    pub fn new(der: &[u8]) -> Result<Self, FormError> {
        let signing = SigningKey::from_pkcs8(der, &SystemRandom::new());
        Ok(Self {
            signing: signing.map_err(|error| FormError::unusable(&error))?,
            pkcs8: SecretDocument::try_from(der).map_err(|error| FormError::unusable(&error))?,
        })
    }

    /// The key that signs.
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// PKCS#8 in DER.
    pub fn pkcs8(&self) -> &[u8] {
        self.pkcs8.as_bytes()
    }

    fn info(&self) -> Result<PrivateKeyInfoRef<'_>, FormError> {
        PrivateKeyInfoRef::from_der(self.pkcs8()).map_err(|error| FormError::unusable(&error))
    }

    fn of_seed(seed: &[u8]) -> Result<Self, FormError> {
        let inner = OctetStringRef::new(seed).and_then(|seed| seed.to_der());
        let inner = inner.map_err(|error| FormError::unusable(&error))?;
        let algorithm = AlgorithmIdentifierRef {
            oid: ED25519,
            parameters: None,
        };
        Self::wrap(algorithm, &inner)
    }

    /// A private number of an elliptic curve with its point.
    fn of_curve(curve: ObjectIdentifier, d: &[u8], point: &[u8]) -> Result<Self, FormError> {
        let inner = EcPrivateKey {
            private_key: d,
            parameters: None,
            public_key: Some(point),
        };
        let inner = inner
            .to_der()
            .map_err(|error| FormError::unusable(&error))?;
        let algorithm = AlgorithmIdentifierRef {
            oid: EC,
            parameters: Some((&curve).into()),
        };
        Self::wrap(algorithm, &inner)
    }

    #[cfg(feature = "sm")]
    fn of_sm2_number(d: &[u8]) -> Result<Self, FormError> {
        use sm2::pkcs8::EncodePrivateKey as _;
        let secret = sm2::SecretKey::from_slice(d).map_err(|error| FormError::unusable(&error))?;
        let document = secret
            .to_pkcs8_der()
            .map_err(|error| FormError::unusable(&error))?;
        Self::new(document.as_bytes())
    }

    fn wrap(algorithm: AlgorithmIdentifierRef<'_>, inner: &[u8]) -> Result<Self, FormError> {
        let key = OctetStringRef::new(inner).map_err(|error| FormError::unusable(&error))?;
        let info = PrivateKeyInfoRef::new(algorithm, key);
        let document = SecretDocument::encode_msg(&info);
        Self::new(
            document
                .map_err(|error| FormError::unusable(&error))?
                .as_bytes(),
        )
    }

    fn of_rsa(key: &rsa::RsaPrivateKey) -> Result<Self, FormError> {
        let document = key
            .to_pkcs8_der()
            .map_err(|error| FormError::unusable(&error))?;
        Self::new(document.as_bytes())
    }

    //--- Writing

    /// The key in a form. `passphrase` encrypts it where the form has a place for that.
    pub fn write(&self, form: Form, passphrase: Option<&[u8]>) -> Result<Vec<u8>, FormError> {
        if passphrase.is_some() && !form.takes_passphrase() {
            return Err(FormError::NoPassphrase);
        }
        match form {
            Form::Pem => {
                let (label, document) = match passphrase {
                    None => ("PRIVATE KEY", self.pkcs8.clone()),
                    Some(passphrase) => ("ENCRYPTED PRIVATE KEY", self.encrypted(passphrase)?),
                };
                let text = document.to_pem(label, LineEnding::LF);
                let text = text.map_err(|error| FormError::unusable(&error))?;
                Ok(text.as_bytes().to_vec())
            }
            Form::Pkcs8 => match passphrase {
                None => Ok(self.pkcs8().to_vec()),
                Some(passphrase) => Ok(self.encrypted(passphrase)?.as_bytes().to_vec()),
            },
            Form::Pkcs1 => {
                self.rsa()?;
                pem("RSA PRIVATE KEY", self.info()?.private_key.as_bytes())
            }
            Form::Jwk => json_text(&self.to_jwk()?),
            Form::Handle => self.to_handle(passphrase),
            Form::Hex => match self.signing.kind() {
                "SM2" => Ok(hex_text(self.curve_number()?.as_slice())),
                kind => Err(FormError::NoForm {
                    kind,
                    form: "bare number",
                }),
            },
            public => write_public(&self.signing.public_key(), public),
        }
    }

    fn encrypted(&self, passphrase: &[u8]) -> Result<SecretDocument, FormError> {
        let encrypted = self.info()?.encrypt(passphrase);
        encrypted.map_err(|error| FormError::unusable(&error))
    }

    /// The numbers, if it is an RSA key.
    fn rsa(&self) -> Result<RsaCrtKey, FormError> {
        let info = self.info()?;
        let none = FormError::NoForm {
            kind: self.signing.kind(),
            form: "form of RSA keys",
        };
        let key = rsa::pkcs1::RsaPrivateKey::from_der(info.private_key.as_bytes());
        let key = match (self.signing.kind(), key) {
            ("RSA", Ok(key)) => key,
            _ => return Err(none),
        };
        let number = |number: rsa::pkcs1::UintRef<'_>| Number::new(number.as_bytes());
        Ok(RsaCrtKey {
            n: number(key.modulus),
            e: number(key.public_exponent),
            d: number(key.private_exponent),
            p: number(key.prime1),
            q: number(key.prime2),
            dp: number(key.exponent1),
            dq: number(key.exponent2),
            qinv: number(key.coefficient),
        })
    }

    /// The private number of a key on an elliptic curve.
    fn curve_number(&self) -> Result<Vec<u8>, FormError> {
        let info = self.info()?;
        let key = EcPrivateKey::from_der(info.private_key.as_bytes());
        let key = key.map_err(|error| FormError::unusable(&error))?;
        Ok(key.private_key.to_vec())
    }

    fn to_handle(&self, passphrase: Option<&[u8]>) -> Result<Vec<u8>, FormError> {
        let clear = PrivateKey::RsaCrt(self.rsa()?).encode();
        let Some(passphrase) = passphrase else {
            return Ok(seal_clear(&clear));
        };
        let (salt, iv) = (random::<SALT_LEN>()?, random::<IV_LEN>()?);
        seal(&clear, passphrase, &salt, &iv).map_err(|error| FormError::unusable(&error))
    }

    fn to_jwk(&self) -> Result<Json, FormError> {
        let public = public_jwk(&self.signing.public_key())?;
        let text = |octets: &[u8]| Json::from(URL_SAFE_NO_PAD.encode(octets));
        let private: Vec<(&str, Json)> = match self.signing.kind() {
            "RSA" => {
                let key = self.rsa()?;
                let numbers = [
                    ("d", &key.d),
                    ("p", &key.p),
                    ("q", &key.q),
                    ("dp", &key.dp),
                    ("dq", &key.dq),
                    ("qi", &key.qinv),
                ];
                numbers
                    .map(|(name, number)| (name, text(number.as_bytes())))
                    .into()
            }
            "Ed25519" => {
                let info = self.info()?;
                let seed = <&OctetStringRef>::from_der(info.private_key.as_bytes());
                let seed = seed.map_err(|error| FormError::unusable(&error))?;
                vec![("d", text(seed.as_bytes()))]
            }
            "P-256" => vec![("d", text(&self.curve_number()?))],
            kind => {
                return Err(FormError::NoForm {
                    kind,
                    form: "private JSON Web Key",
                });
            }
        };
        let mut jwk = public;
        for (name, value) in private {
            jwk[name] = value;
        }
        Ok(jwk)
    }
}

/// A public key in a form.
pub fn write_public(key: &PublicKey, form: Form) -> Result<Vec<u8>, FormError> {
    match form {
        Form::PublicPem => pem("PUBLIC KEY", &spki(key)?),
        Form::PublicDer => spki(key),
        Form::PublicJwk => json_text(&public_jwk(key)?),
        Form::PublicHandle => Ok(key.encode()),
        Form::PublicHandlePem => match verifying(key)? {
            #[cfg(feature = "sm")]
            VerifyingKey::Sm2(_) => {
                let text = pem("PUBLIC KEY", &spki(key)?)?;
                let text = String::from_utf8_lossy(&text).replace('\n', "\r\n");
                Ok(PublicKey::Sm2Pem(text).encode())
            }
            other => Err(FormError::NoForm {
                kind: kind_of(&other),
                form: "form of SM2 keys",
            }),
        },
        Form::PublicHex => match verifying(key)? {
            #[cfg(feature = "sm")]
            VerifyingKey::Sm2(point) => Ok(hex_text(&point)),
            other => Err(FormError::NoForm {
                kind: kind_of(&other),
                form: "bare point",
            }),
        },
        _ => Err(FormError::NoPrivate),
    }
}

/// Kind and size of a public key, for people.
pub fn describe(key: &PublicKey) -> String {
    match verifying(key) {
        Ok(VerifyingKey::Rsa(key)) => format!("RSA, {} bits", key.modulus.bits()),
        Ok(VerifyingKey::Dsa(key)) => format!("DSA, {} bits", key.p.bits()),
        Ok(key) => kind_of(&key).to_owned(),
        Err(_) => key.name().unwrap_or("key of an unknown kind").to_owned(),
    }
}

/// The SubjectPublicKeyInfo of a key, in DER.
pub fn spki(key: &PublicKey) -> Result<Vec<u8>, FormError> {
    if let Some(spki) = key.spki() {
        return Ok(spki.into_owned());
    }
    let PublicKey::Rsa(key) = key else {
        return Err(FormError::NoForm {
            kind: key.name().unwrap_or("unknown"),
            form: "SubjectPublicKeyInfo",
        });
    };
    let number = |number: &Number| rsa::BoxedUint::from_be_slice_vartime(number.as_bytes());
    let key = rsa::RsaPublicKey::new(number(&key.modulus), number(&key.exponent));
    let key = key.map_err(|error| FormError::unusable(&error))?;
    let document = key.to_public_key_der();
    Ok(document
        .map_err(|error| FormError::unusable(&error))?
        .into_vec())
}

fn verifying(key: &PublicKey) -> Result<VerifyingKey, FormError> {
    VerifyingKey::new(key).map_err(|error| FormError::unusable(&error))
}

fn kind_of(key: &VerifyingKey) -> &'static str {
    match key {
        VerifyingKey::Rsa(_) => "RSA",
        VerifyingKey::Dsa(_) => "DSA",
        VerifyingKey::P256(_) => "P-256",
        VerifyingKey::Ed25519(_) => "Ed25519",
        #[cfg(feature = "sm")]
        VerifyingKey::Sm2(_) => "SM2",
        _ => "unknown",
    }
}

fn public_jwk(key: &PublicKey) -> Result<Json, FormError> {
    key_to_jwk(key).ok_or(FormError::NoForm {
        kind: key.name().unwrap_or("unknown"),
        form: "JSON Web Key",
    })
}

fn json_text(json: &Json) -> Result<Vec<u8>, FormError> {
    let text = serde_json::to_string_pretty(json).map_err(|error| FormError::unusable(&error))?;
    Ok((text + "\n").into_bytes())
}

fn pem(label: &'static str, der: &[u8]) -> Result<Vec<u8>, FormError> {
    let text = pkcs8::der::pem::encode_string(label, LineEnding::LF, der);
    text.map(String::into_bytes)
        .map_err(|error| FormError::Unusable {
            why: error.to_string(),
        })
}

fn hex_text(octets: &[u8]) -> Vec<u8> {
    let digits: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    (digits + "\n").into_bytes()
}

fn random<const N: usize>() -> Result<[u8; N], FormError> {
    let mut octets = [0; N];
    let filled = SystemRandom::new().fill(&mut octets);
    filled.map_err(|_| FormError::Generate {
        why: "the system gives no random octets".to_owned(),
    })?;
    Ok(octets)
}

//----------- Reading --------------------------------------------------------

/// Reads a key in whatever form it is. `passphrase` is asked for if the key is encrypted.
pub fn read(octets: &[u8], passphrase: Passphrase<'_>) -> Result<Key, FormError> {
    let text = std::str::from_utf8(octets).map(str::trim);
    if let Ok(text) = text {
        if text.contains("-----BEGIN ") {
            return read_pem(text, passphrase);
        }
        if text.starts_with('{') {
            return read_jwk(text);
        }
        if let Some(octets) = unhex(text) {
            return read_bare(&octets);
        }
    }
    match octets {
        [0x30, ..] => read_der(octets, passphrase),
        [0, 0, 0, 0..=4, ..] => read_handle(octets, passphrase),
        [0, 0, 0, ..] => match PublicKey::decode(octets) {
            Ok(PublicKey::Other(_)) | Err(_) => Err(FormError::Unknown),
            Ok(key) => public(key),
        },
        _ => Err(FormError::Unknown),
    }
}

fn read_pem(text: &str, passphrase: Passphrase<'_>) -> Result<Key, FormError> {
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(FormError::OldPem);
    }
    if let Some(at) = text.find("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        let (_, document) =
            SecretDocument::from_pem(&text[at..]).map_err(|error| FormError::unusable(&error))?;
        return read_encrypted(document.as_bytes(), passphrase);
    }
    let mut rest = text.as_bytes();
    while let Ok(Some((kind, der))) = rustls_pki_types::pem::from_buf(&mut rest) {
        match kind {
            SectionKind::PrivateKey => return pair(KeyPair::new(&der)?),
            SectionKind::RsaPrivateKey => return read_pkcs1(&der),
            SectionKind::EcPrivateKey => return read_sec1(&der),
            SectionKind::PublicKey => return public_of_spki(&der),
            SectionKind::Certificate => return read_certificate(&CertificateDer::from(der)),
            _ => {}
        }
    }
    let label = text
        .split("-----BEGIN ")
        .nth(1)
        .and_then(|rest| rest.split("-----").next());
    Err(FormError::UnknownPem {
        label: label.unwrap_or_default().to_owned(),
    })
}

fn read_encrypted(der: &[u8], passphrase: Passphrase<'_>) -> Result<Key, FormError> {
    let info = EncryptedPrivateKeyInfoRef::try_from(der);
    let info = info.map_err(|error| FormError::unusable(&error))?;
    let passphrase = passphrase().map_err(|why| FormError::Passphrase { why })?;
    let clear = info
        .decrypt(passphrase)
        .map_err(|_| FormError::WrongPassphrase)?;
    pair(KeyPair::new(clear.as_bytes())?)
}

fn read_pkcs1(der: &[u8]) -> Result<Key, FormError> {
    let key = rsa::RsaPrivateKey::from_pkcs1_der(der).map_err(|e| FormError::unusable(&e))?;
    pair(KeyPair::of_rsa(&key)?)
}

fn read_sec1(der: &[u8]) -> Result<Key, FormError> {
    let key = EcPrivateKey::from_der(der).map_err(|error| FormError::unusable(&error))?;
    let curve = key
        .parameters
        .and_then(|parameters| parameters.named_curve());
    let (Some(curve), Some(point)) = (curve.filter(|c| [P256, SM2].contains(c)), key.public_key)
    else {
        return Err(FormError::Unusable {
            why: "it is not on P-256 or SM2, or lacks its public half".to_owned(),
        });
    };
    pair(KeyPair::of_curve(curve, key.private_key, point)?)
}

fn read_certificate(der: &CertificateDer<'_>) -> Result<Key, FormError> {
    let (_, certificate) =
        x509_parser::parse_x509_certificate(der).map_err(|error| FormError::unusable(&error))?;
    public_of_spki(certificate.public_key().raw)
}

fn read_der(octets: &[u8], passphrase: Passphrase<'_>) -> Result<Key, FormError> {
    if PrivateKeyInfoRef::from_der(octets).is_ok() {
        return pair(KeyPair::new(octets)?);
    }
    if EncryptedPrivateKeyInfoRef::from_der(octets).is_ok() {
        return read_encrypted(octets, passphrase);
    }
    type Spki<'a> = SubjectPublicKeyInfo<pkcs8::der::AnyRef<'a>, BitStringRef<'a>>;
    if Spki::from_der(octets).is_ok() {
        return public_of_spki(octets);
    }
    if rsa::RsaPrivateKey::from_pkcs1_der(octets).is_ok() {
        return read_pkcs1(octets);
    }
    if EcPrivateKey::from_der(octets).is_ok() {
        return read_sec1(octets);
    }
    read_certificate(&CertificateDer::from(octets)).map_err(|_| FormError::Unknown)
}

fn read_handle(octets: &[u8], passphrase: Passphrase<'_>) -> Result<Key, FormError> {
    let file = KeyFile::decode(octets).map_err(|error| FormError::unusable(&error))?;
    let passphrase = match file.is_protected() {
        true => passphrase().map_err(|why| FormError::Passphrase { why })?,
        false => Vec::new(),
    };
    let key = file
        .key(&passphrase)
        .map_err(|error| match file.is_protected() {
            true => FormError::WrongPassphrase,
            false => FormError::unusable(&error),
        })?;
    let der = super::to_pkcs8(&key).map_err(|why| FormError::Unusable { why })?;
    pair(KeyPair::new(&der)?)
}

fn read_jwk(text: &str) -> Result<Key, FormError> {
    let jwk: Json = serde_json::from_str(text).map_err(|error| FormError::unusable(&error))?;
    let of_type = |kind: &str| jwk["kty"] == kind;
    // The SDK calls the public half of SM2 `d`; everywhere else `d` is private.
    if jwk.get("d").is_none() || of_type("SM2") {
        let key = key_from_json(&jwk).map_err(|error| FormError::unusable(&error))?;
        return public(key);
    }
    let octets = |name: &'static str| {
        let text = jwk[name].as_str().map(|text| text.trim_end_matches('='));
        let octets = text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        octets.ok_or_else(|| FormError::Unusable {
            why: format!("its field `{name}` must be base64url"),
        })
    };
    if of_type("RSA") {
        let number = |name| octets(name).map(|n| rsa::BoxedUint::from_be_slice_vartime(&n));
        let (n, e, d) = (number("n")?, number("e")?, number("d")?);
        let primes = vec![number("p")?, number("q")?];
        let key = rsa::RsaPrivateKey::from_components(n, e, d, primes);
        return pair(KeyPair::of_rsa(&key.map_err(|e| FormError::unusable(&e))?)?);
    }
    let d = octets("d")?;
    match (jwk["kty"].as_str(), jwk["crv"].as_str()) {
        (Some("OKP"), Some("Ed25519")) if d.len() == NUMBER_LEN => pair(KeyPair::of_seed(&d)?),
        (Some("EC"), Some("P-256")) => {
            let (x, y) = (octets("x")?, octets("y")?);
            let point = [&[4][..], &x, &y].concat();
            pair(KeyPair::of_curve(P256, &d, &point)?)
        }
        _ => Err(FormError::Unusable {
            why: "it is a JSON Web Key of a kind that is not known: RSA, EC on P-256, OKP with \
                  Ed25519"
                .to_owned(),
        }),
    }
}

/// A bare number or point of SM2.
#[cfg(feature = "sm")]
fn read_bare(octets: &[u8]) -> Result<Key, FormError> {
    match octets {
        [4, point @ ..] if point.len() == 2 * NUMBER_LEN => {
            let jwk = json!({"kty": "SM2", "d": URL_SAFE_NO_PAD.encode(sm2_spki(octets)?)});
            public(key_from_json(&jwk).map_err(|error| FormError::unusable(&error))?)
        }
        number if number.len() == NUMBER_LEN => pair(KeyPair::of_sm2_number(number)?),
        _ => Err(FormError::Unknown),
    }
}

#[cfg(not(feature = "sm"))]
fn read_bare(_: &[u8]) -> Result<Key, FormError> {
    Err(FormError::Unusable {
        why: "it seems to be an SM2 key, and this program was built without SM2".to_owned(),
    })
}

#[cfg(feature = "sm")]
fn sm2_spki(point: &[u8]) -> Result<Vec<u8>, FormError> {
    let key = SubjectPublicKeyInfo {
        algorithm: AlgorithmIdentifierRef {
            oid: EC,
            parameters: Some((&SM2).into()),
        },
        subject_public_key: BitStringRef::from_bytes(point)
            .map_err(|error| FormError::unusable(&error))?,
    };
    key.to_der().map_err(|error| FormError::unusable(&error))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len() >= 2 * NUMBER_LEN && text.bytes().all(|c| c.is_ascii_hexdigit());
    let pairs = text.as_bytes().chunks(2);
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    is_hex.then(|| pairs.map(octet).collect()).flatten()
}

fn pair(pair: KeyPair) -> Result<Key, FormError> {
    Ok(Key::Private(Box::new(pair)))
}

fn public_of_spki(spki: &[u8]) -> Result<Key, FormError> {
    let text = pem("PUBLIC KEY", spki)?;
    public(PublicKey::Pem(String::from_utf8_lossy(&text).into_owned()))
}

/// The key as records hold keys of its kind; fails if it could not verify anything.
fn public(key: PublicKey) -> Result<Key, FormError> {
    Ok(Key::Public(match verifying(&key)? {
        VerifyingKey::Rsa(numbers) => PublicKey::Rsa(numbers),
        VerifyingKey::Dsa(numbers) => PublicKey::Dsa(numbers),
        #[cfg(feature = "sm")]
        VerifyingKey::Sm2(_) => PublicKey::Sm2(spki(&key)?),
        _ => key,
    }))
}

//----------- FormError ------------------------------------------------------

/// Why a key cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// It is no form that is known.
    #[error(
        "it is no key in a form that is known: PEM, PKCS#8, PKCS#1, SEC1, SubjectPublicKeyInfo, \
         JSON Web Key, Handle.Net's files, SM2 in hexadecimal digits"
    )]
    Unknown,
    /// PEM text about something else.
    #[error("it is a PEM `{label}`, which is no key that is known")]
    UnknownPem {
        /// What it says it is.
        label: String,
    },
    /// PEM text in the encryption of old OpenSSL.
    #[error(
        "it is encrypted as OpenSSL did before 1.0, with MD5: convert it with \
         `openssl pkcs8 -topk8 -in FILE`"
    )]
    OldPem,
    /// It is damaged, or of a kind that cannot be used.
    #[error("it cannot be used: {why}")]
    Unusable {
        /// What is wrong.
        why: String,
    },
    /// The passphrase could not be had.
    #[error("it is encrypted, and its passphrase could not be had: {why}")]
    Passphrase {
        /// Why.
        why: String,
    },
    /// The passphrase is not the one.
    #[error("the passphrase is wrong, or the file is damaged")]
    WrongPassphrase,
    /// The kind of key has no such form.
    #[error("a key of kind {kind} has no {form}")]
    NoForm {
        /// The kind.
        kind: &'static str,
        /// What was asked for.
        form: &'static str,
    },
    /// The form takes no passphrase.
    #[error("this form cannot be encrypted: choose pem, pkcs8 or handle")]
    NoPassphrase,
    /// A private form was asked for of a public key.
    #[error("the file holds a public key only, and the form asked for is one of private keys")]
    NoPrivate,
    /// No key could be made.
    #[error("the key could not be made: {why}")]
    Generate {
        /// Why.
        why: String,
    },
}

impl FormError {
    fn unusable(error: &dyn std::fmt::Display) -> Self {
        Self::Unusable {
            why: error.to_string(),
        }
    }
}
