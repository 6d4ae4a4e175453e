//! HS_PUBKEY and private keys (clauses 4.5.3 and 9.4; RFC 3651, 3.2.5).
//!
//! These are the *forms* of keys: numbers and texts, not yet checked by any algorithm. Signatures
//! are made and verified in [`crate::crypto`], the file form of private keys is
//! [`crate::crypto::keyfile`].
//!
//! Numbers are written with a leading zero octet where the top bit is set, as two's complement
//! demands; both that form and the plain one are read.

use std::borrow::Cow;
use std::fmt;

use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;

use crate::error::{DecodeError, Reason};
use crate::wire::{Reader, Writer};

/// What PEM text begins with.
const PEM_START: &[u8] = b"-----BEGIN ";

/// Zero octets that Handle.Net writes behind the modulus of an RSA key; read with and without.
const RSA_TAIL: [u8; 4] = [0; 4];

//----------- Number ---------------------------------------------------------

/// An unsigned number of any size, as big-endian octets without leading zeros.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Number(Box<[u8]>);

impl Number {
    /// The number of these big-endian octets; leading zeros do not matter.
    pub fn new(octets: &[u8]) -> Self {
        let start = octets
            .iter()
            .position(|&octet| octet != 0)
            .unwrap_or(octets.len());
        Self(octets[start..].into())
    }

    /// Big-endian octets without leading zeros; none for zero.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Length in bits.
    pub fn bits(&self) -> usize {
        let top = self.0.first().map_or(0, |octet| octet.leading_zeros());
        self.0.len() * 8 - usize::try_from(top).unwrap_or(0)
    }

    /// Minimal two's-complement octets: with a leading zero octet if the top bit is set.
    pub fn to_signed(&self) -> Vec<u8> {
        let needs_sign = self.0.first().is_none_or(|octet| octet & 0x80 != 0);
        let sign: &[u8] = if needs_sign { &[0] } else { &[] };
        [sign, &self.0].concat()
    }

    fn read(r: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        r.bytes(field).map(Self::new)
    }

    fn write(&self, w: &mut Writer<'_>) {
        w.bytes(&self.to_signed());
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Number({} bits)", self.bits())
    }
}

//----------- PublicKey ------------------------------------------------------

/// A public key as values and site records hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublicKey {
    /// `RSA_PUB_KEY`.
    Rsa(RsaPublicKey),
    /// `DSA_PUB_KEY`.
    Dsa(DsaPublicKey),
    /// `DH_PUB_KEY`, in session set-up only.
    Dh(DhPublicKey),
    /// `SM2_PUB_KEY`: the X.509 SubjectPublicKeyInfo in DER.
    Sm2(Vec<u8>),
    /// `SM2_PUB_KEY` in its other form: PEM text of the same structure.
    Sm2Pem(String),
    /// `SM9_PUB_KEY`: the identity string.
    Sm9(String),
    /// The value data *is* PEM text, without any wrapper.
    Pem(String),
    /// A key type that is not known here; all octets of the key.
    Other(Vec<u8>),
}

/// Numbers of an RSA public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaPublicKey {
    /// Public exponent e.
    pub exponent: Number,
    /// Modulus n.
    pub modulus: Number,
}

/// Numbers of a DSA public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DsaPublicKey {
    /// Order of the subgroup.
    pub q: Number,
    /// Modulus.
    pub p: Number,
    /// Generator.
    pub g: Number,
    /// The key itself.
    pub y: Number,
}

/// Numbers of a Diffie-Hellman public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DhPublicKey {
    /// The key itself.
    pub y: Number,
    /// Modulus.
    pub p: Number,
    /// Generator.
    pub g: Number,
}

impl PublicKey {
    /// Decodes the data of a value, or the key field of a message or site record.
    pub fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        if octets.starts_with(PEM_START) {
            return utf8("PEM text", octets, 0).map(Self::Pem);
        }
        let mut r = Reader::new(octets);
        let name = r.bytes("key type")?;
        let flags = r.u16("key flags")?;
        // No flag was ever defined: a key that has one means something that we do not know.
        let name = if flags == 0 { name } else { b"" };
        let key = match name {
            b"RSA_PUB_KEY" => {
                let exponent = Number::read(&mut r, "exponent")?;
                let modulus = Number::read(&mut r, "modulus")?;
                if r.left() == RSA_TAIL.len() && r.clone().rest() == RSA_TAIL {
                    r.rest();
                }
                Self::Rsa(RsaPublicKey { exponent, modulus })
            }
            b"DSA_PUB_KEY" => Self::Dsa(DsaPublicKey {
                q: Number::read(&mut r, "q")?,
                p: Number::read(&mut r, "p")?,
                g: Number::read(&mut r, "g")?,
                y: Number::read(&mut r, "y")?,
            }),
            b"DH_PUB_KEY" => Self::Dh(DhPublicKey {
                y: Number::read(&mut r, "y")?,
                p: Number::read(&mut r, "p")?,
                g: Number::read(&mut r, "g")?,
            }),
            b"SM2_PUB_KEY" => {
                let at = r.position();
                match r.bytes("SM2 key")? {
                    pem if pem.starts_with(PEM_START) => Self::Sm2Pem(utf8("SM2 key", pem, at)?),
                    der => Self::Sm2(der.to_vec()),
                }
            }
            b"SM9_PUB_KEY" => Self::Sm9(r.text("SM9 identity")?.to_owned()),
            _ => return Ok(Self::Other(octets.to_vec())),
        };
        r.finish("public key")?;
        Ok(key)
    }

    /// Encodes the key.
    pub fn encode(&self) -> Vec<u8> {
        let wrap = |w: &mut Writer<'_>, name: &str| {
            w.bytes(name.as_bytes());
            w.u16(0);
        };
        Writer::to_vec(|w| match self {
            Self::Rsa(key) => {
                wrap(w, "RSA_PUB_KEY");
                key.exponent.write(w);
                key.modulus.write(w);
                w.raw(&RSA_TAIL);
            }
            Self::Dsa(key) => {
                wrap(w, "DSA_PUB_KEY");
                [&key.q, &key.p, &key.g, &key.y]
                    .iter()
                    .for_each(|number| number.write(w));
            }
            Self::Dh(key) => {
                wrap(w, "DH_PUB_KEY");
                [&key.y, &key.p, &key.g]
                    .iter()
                    .for_each(|number| number.write(w));
            }
            Self::Sm2(spki) => {
                wrap(w, "SM2_PUB_KEY");
                w.bytes(spki);
            }
            Self::Sm2Pem(pem) => {
                wrap(w, "SM2_PUB_KEY");
                w.bytes(pem.as_bytes());
            }
            Self::Sm9(identity) => {
                wrap(w, "SM9_PUB_KEY");
                w.bytes(identity.as_bytes());
            }
            Self::Pem(pem) => w.raw(pem.as_bytes()),
            Self::Other(octets) => w.raw(octets),
        })
    }

    /// The name of the key type on the wire; `None` for PEM text and unknown forms.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::Rsa(_) => Some("RSA_PUB_KEY"),
            Self::Dsa(_) => Some("DSA_PUB_KEY"),
            Self::Dh(_) => Some("DH_PUB_KEY"),
            Self::Sm2(_) | Self::Sm2Pem(_) => Some("SM2_PUB_KEY"),
            Self::Sm9(_) => Some("SM9_PUB_KEY"),
            Self::Pem(_) | Self::Other(_) => None,
        }
    }

    /// The SubjectPublicKeyInfo in DER of the forms that hold one.
    pub fn spki(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Sm2(spki) => Some(spki.into()),
            Self::Sm2Pem(pem) | Self::Pem(pem) => {
                let spki = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).ok()?;
                Some(spki.to_vec().into())
            }
            _ => None,
        }
    }
}

//----------- PrivateKey -----------------------------------------------------

/// A private key as files and tools hold it; there is no flags word.
///
/// `Debug` shows sizes only.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrivateKey {
    /// `RSA_PRIVCRT_KEY`.
    RsaCrt(RsaCrtKey),
    /// `RSA_PRIV_KEY`: modulus and private exponent only.
    Rsa {
        /// Modulus.
        n: Number,
        /// Private exponent.
        d: Number,
    },
    /// `DSA_PRIV_KEY`.
    Dsa {
        /// The key itself.
        x: Number,
        /// Modulus.
        p: Number,
        /// Order of the subgroup.
        q: Number,
        /// Generator.
        g: Number,
    },
}

/// Numbers of an RSA private key with its primes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaCrtKey {
    /// Modulus.
    pub n: Number,
    /// Public exponent.
    pub e: Number,
    /// Private exponent.
    pub d: Number,
    /// First prime.
    pub p: Number,
    /// Second prime.
    pub q: Number,
    /// d mod p-1.
    pub dp: Number,
    /// d mod q-1.
    pub dq: Number,
    /// Inverse of q modulo p.
    pub qinv: Number,
}

impl PrivateKey {
    /// Decodes the clear octets of a private key.
    pub fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(octets);
        let key = match r.bytes("key type")? {
            b"RSA_PRIVCRT_KEY" => Self::RsaCrt(RsaCrtKey {
                n: Number::read(&mut r, "n")?,
                e: Number::read(&mut r, "e")?,
                d: Number::read(&mut r, "d")?,
                p: Number::read(&mut r, "p")?,
                q: Number::read(&mut r, "q")?,
                dp: Number::read(&mut r, "d mod p-1")?,
                dq: Number::read(&mut r, "d mod q-1")?,
                qinv: Number::read(&mut r, "inverse of q")?,
            }),
            b"RSA_PRIV_KEY" => Self::Rsa {
                n: Number::read(&mut r, "n")?,
                d: Number::read(&mut r, "d")?,
            },
            b"DSA_PRIV_KEY" => Self::Dsa {
                x: Number::read(&mut r, "x")?,
                p: Number::read(&mut r, "p")?,
                q: Number::read(&mut r, "q")?,
                g: Number::read(&mut r, "g")?,
            },
            _ => {
                let expected =
                    "is unknown: RSA_PRIVCRT_KEY, RSA_PRIV_KEY or DSA_PRIV_KEY is expected";
                return Err(DecodeError::new("key type", 0, Reason::Invalid(expected)));
            }
        };
        r.finish("private key")?;
        Ok(key)
    }

    /// Encodes the clear octets of the key.
    pub fn encode(&self) -> Vec<u8> {
        let (name, numbers): (&str, &[&Number]) = match self {
            Self::RsaCrt(key) => (
                "RSA_PRIVCRT_KEY",
                &[
                    &key.n, &key.e, &key.d, &key.p, &key.q, &key.dp, &key.dq, &key.qinv,
                ],
            ),
            Self::Rsa { n, d } => ("RSA_PRIV_KEY", &[n, d]),
            Self::Dsa { x, p, q, g } => ("DSA_PRIV_KEY", &[x, p, q, g]),
        };
        Writer::to_vec(|w| {
            w.bytes(name.as_bytes());
            for number in numbers {
                number.write(w);
            }
        })
    }

    /// The public key that belongs to it, where it can be read off.
    pub fn public_key(&self) -> Option<PublicKey> {
        let Self::RsaCrt(key) = self else { return None };
        let (exponent, modulus) = (key.e.clone(), key.n.clone());
        Some(PublicKey::Rsa(RsaPublicKey { exponent, modulus }))
    }
}

fn utf8(field: &'static str, octets: &[u8], at: usize) -> Result<String, DecodeError> {
    let text = std::str::from_utf8(octets);
    text.map(str::to_owned)
        .map_err(|_| DecodeError::new(field, at, Reason::NotUtf8))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(octets: &[u8]) -> Number {
        Number::new(octets)
    }

    #[test]
    fn number_with_and_without_sign_octet_is_the_same() {
        assert_eq!(number(&[0, 0x80, 1]), number(&[0x80, 1]));
        assert_eq!(number(&[0x80, 1]).to_signed(), [0, 0x80, 1]);
        assert_eq!(number(&[0x7f]).to_signed(), [0x7f]);
        assert_eq!(number(&[]).to_signed(), [0]);
        assert_eq!(number(&[0x01, 0]).bits(), 9);
        assert_eq!(number(&[]).bits(), 0);
    }

    #[test]
    fn key_without_sign_octet_is_written_with_one() {
        let plain = Writer::to_vec(|w| {
            w.bytes(b"RSA_PUB_KEY");
            w.u16(0);
            w.bytes(&[1, 0, 1]);
            w.bytes(&[0x80, 0]);
        });
        let key = PublicKey::decode(&plain).unwrap();
        assert_eq!(key.encode().len(), plain.len() + 1 + RSA_TAIL.len());
        assert_eq!(PublicKey::decode(&key.encode()).unwrap(), key);
        for tail in [&[0][..], &[0, 0, 0, 1], &[0; 5]] {
            assert!(
                PublicKey::decode(&[&plain, tail].concat()).is_err(),
                "{tail:?}"
            );
        }
    }

    #[test]
    fn unknown_key_type_and_unknown_flags_stay_opaque() {
        for (name, flags) in [("ED448_PUB_KEY", 0), ("RSA_PUB_KEY", 1)] {
            let octets = Writer::to_vec(|w| {
                w.bytes(name.as_bytes());
                w.u16(flags);
                w.raw(&[1, 2, 3]);
            });
            let key = PublicKey::decode(&octets).unwrap();
            assert!(matches!(key, PublicKey::Other(_)), "{name}");
            assert_eq!(key.encode(), octets);
        }
    }

    #[test]
    fn pem_with_long_lines_gives_the_same_key_as_der() {
        let pem = "-----BEGIN PUBLIC KEY-----\r\n\
            MFkwEwYHKoZIzj0CAQYIKoEcz1UBgi0DQgAEFPB3GYX/vxpGa9YbhXpRSlyCM23lzvHoj5gj1PrJ\r\n\
            quI0wr/4dKo5p2SASUh3S12FZhITuCCJxEuZGvD6qBuoog==\r\n-----END PUBLIC KEY-----\r\n";
        let bare = PublicKey::decode(pem.as_bytes()).unwrap();
        assert_eq!(bare, PublicKey::Pem(pem.into()));
        let spki = bare.spki().unwrap().into_owned();
        assert_eq!(spki.len(), 91);
        let wrapped = PublicKey::Sm2Pem(pem.into());
        assert_eq!(wrapped.spki().unwrap(), spki);
        assert_eq!(PublicKey::decode(&wrapped.encode()).unwrap(), wrapped);
        assert_eq!(PublicKey::Sm2(spki.clone()).spki().unwrap(), spki);
    }

    #[test]
    fn private_key_of_unknown_type_is_refused_by_name() {
        let octets = Writer::to_vec(|w| w.bytes(b"EC_PRIV_KEY"));
        let error = PrivateKey::decode(&octets).unwrap_err();
        assert!(error.to_string().contains("RSA_PRIVCRT_KEY"), "{error}");
    }

    #[test]
    fn debug_form_of_a_private_key_shows_sizes_only() {
        let key = PrivateKey::Rsa {
            n: number(&[0x7b; 4]),
            d: number(&[0x2a; 3]),
        };
        assert_eq!(
            format!("{key:?}"),
            "Rsa { n: Number(31 bits), d: Number(22 bits) }"
        );
    }

    fn any_number() -> impl Strategy<Value = Number> {
        proptest::collection::vec(any::<u8>(), 0..12).prop_map(|octets| Number::new(&octets))
    }

    proptest! {
        #[test]
        fn every_public_key_survives_a_round_trip(
            numbers in proptest::array::uniform4(any_number()), text in "\\PC{0,12}", kind in 0..6,
        ) {
            let [q, p, g, y] = numbers;
            let key = match kind {
                0 => PublicKey::Rsa(RsaPublicKey { exponent: q, modulus: p }),
                1 => PublicKey::Dsa(DsaPublicKey { q, p, g, y }),
                2 => PublicKey::Dh(DhPublicKey { y, p, g }),
                3 => PublicKey::Sm2(y.to_signed()),
                4 => PublicKey::Sm9(text),
                _ => PublicKey::Pem(format!("-----BEGIN {text}")),
            };
            prop_assert_eq!(PublicKey::decode(&key.encode()).unwrap(), key);
        }

        #[test]
        fn every_private_key_survives_a_round_trip(
            numbers in proptest::array::uniform8(any_number()), kind in 0..3,
        ) {
            let [n, e, d, p, q, dp, dq, qinv] = numbers;
            let key = match kind {
                0 => PrivateKey::RsaCrt(RsaCrtKey { n, e, d, p, q, dp, dq, qinv }),
                1 => PrivateKey::Rsa { n, d },
                _ => PrivateKey::Dsa { x: d, p, q, g: e },
            };
            prop_assert_eq!(PrivateKey::decode(&key.encode()).unwrap(), key);
        }
    }
}
