//! Each kind of key through each form that it has, and what is no key at all.

use guantong_proto::crypto::VerifyingKey;
use guantong_proto::data::PublicKey;

use super::form::{Form, FormError, Key, KeyPair, Kind, read, write_public};

fn none() -> Result<Vec<u8>, String> {
    Err("nobody is there to ask".to_owned())
}

/// One key of each kind.
fn pairs() -> Vec<KeyPair> {
    let kinds = [
        Kind::Rsa(2_048),
        Kind::P256,
        Kind::Ed25519,
        #[cfg(feature = "sm")]
        Kind::Sm2,
    ];
    kinds.map(|kind| KeyPair::generate(kind).unwrap()).into()
}

fn verifying(key: &PublicKey) -> VerifyingKey {
    VerifyingKey::new(key).unwrap()
}

/// Which forms there are, by kind of key.
fn has(kind: &str, form: Form) -> bool {
    match form {
        Form::Pkcs1 | Form::Handle => kind == "RSA",
        Form::Jwk => kind != "SM2",
        Form::Hex | Form::PublicHex | Form::PublicHandlePem => kind == "SM2",
        _ => true,
    }
}

#[test]
fn key_is_the_same_after_a_way_through_any_form_that_its_kind_has() {
    for pair in pairs() {
        let kind = pair.signing().kind();
        let public = verifying(&pair.signing().public_key());
        for (form, name) in Form::ALL {
            let what = format!("{kind} as {name}");
            let written = pair.write(form, None);
            if !has(kind, form) {
                assert!(matches!(written, Err(FormError::NoForm { .. })), "{what}");
                continue;
            }
            let found = read(&written.unwrap(), &mut none).unwrap();
            assert_eq!(verifying(&found.public()), public, "{what}");
            match (form.is_private(), found) {
                (true, Key::Private(back)) => {
                    let again = back.write(form, None).unwrap();
                    assert_eq!(again, pair.write(form, None).unwrap(), "{what}");
                }
                (false, Key::Public(back)) => {
                    assert_eq!(back, pair.signing().public_key(), "{what}");
                    assert!(matches!(
                        write_public(&back, Form::Pem),
                        Err(FormError::NoPrivate)
                    ));
                }
                (_, found) => unreachable!("{what}: {found:?}"),
            }
        }
    }
}

#[test]
fn encrypted_key_opens_with_its_passphrase_only() {
    for pair in [
        KeyPair::generate(Kind::Rsa(2_048)).unwrap(),
        KeyPair::generate(Kind::Ed25519).unwrap(),
    ] {
        for (form, name) in Form::ALL {
            let sealed = pair.write(form, Some(b"passphrase"));
            if !form.takes_passphrase() {
                assert!(matches!(sealed, Err(FormError::NoPassphrase)), "{name}");
                continue;
            }
            if !has(pair.signing().kind(), form) {
                continue;
            }
            let sealed = sealed.unwrap();
            let mut right = || Ok(b"passphrase".to_vec());
            let found = read(&sealed, &mut right).unwrap();
            assert_eq!(found.public(), pair.signing().public_key(), "{name}");
            let mut wrong = || Ok(b"passphrases".to_vec());
            let error = read(&sealed, &mut wrong).unwrap_err();
            assert!(
                matches!(error, FormError::WrongPassphrase),
                "{name}: {error}"
            );
            let error = read(&sealed, &mut none).unwrap_err().to_string();
            assert!(error.contains("nobody is there to ask"), "{name}: {error}");
        }
    }
}

/// Made with `openssl ecparam -name prime256v1 -genkey`, for this test.
const OPENSSL_EC: &str = "\
-----BEGIN EC PARAMETERS-----
BggqhkjOPQMBBw==
-----END EC PARAMETERS-----
-----BEGIN EC PRIVATE KEY-----
";

#[test]
fn older_forms_of_openssl_are_read() {
    let pair = KeyPair::generate(Kind::P256).unwrap();
    let info = pkcs8::PrivateKeyInfoRef::try_from(pair.pkcs8()).unwrap();
    let inner = sec1::EcPrivateKey::try_from(info.private_key.as_bytes()).unwrap();
    let p256 = pkcs8::ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
    let old = sec1::EcPrivateKey {
        parameters: Some(sec1::EcParameters::NamedCurve(p256)),
        ..inner
    };
    let der = pkcs8::der::Encode::to_der(&old).unwrap();
    let ending = pkcs8::LineEnding::LF;
    let pem = pkcs8::der::pem::encode_string("EC PRIVATE KEY", ending, &der).unwrap();
    let (_, body) = pem.split_once('\n').unwrap();
    for octets in [format!("{OPENSSL_EC}{body}").into_bytes(), der] {
        let found = read(&octets, &mut none).unwrap();
        assert_eq!(found.public(), pair.signing().public_key());
    }
}

#[test]
fn key_of_a_certificate_is_its_public_key() {
    let signed = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let key = KeyPair::new(&signed.signing_key.serialize_der()).unwrap();
    for octets in [signed.cert.pem().into_bytes(), signed.cert.der().to_vec()] {
        let found = read(&octets, &mut none).unwrap();
        assert_eq!(
            verifying(&found.public()),
            verifying(&key.signing().public_key())
        );
    }
}

#[test]
fn what_is_no_key_is_refused_with_what_it_seems_to_be() {
    for (octets, says) in [
        (&b""[..], "no key in a form that is known"),
        (b"hello", "no key in a form that is known"),
        (b"\x30\x03\x02\x01\x01", "no key in a form that is known"),
        (b"\0\0\0\x09", "no key in a form that is known"),
        (
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----",
            "OPENSSH",
        ),
        (
            b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n",
            "openssl pkcs8 -topk8",
        ),
        (
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            "cannot be used",
        ),
        (
            b"{\"kty\":\"oct\",\"k\":\"AAAA\",\"d\":\"AA\"}",
            "of a kind that is not known",
        ),
        (b"{\"kty\":\"RSA\",\"d\":1}", "field `n`"),
        (b"{", "cannot be used"),
    ] {
        let error = read(octets, &mut none).unwrap_err().to_string();
        assert!(
            error.contains(says),
            "{}: {error}",
            String::from_utf8_lossy(octets)
        );
    }
}

#[test]
fn form_that_is_cut_off_anywhere_is_refused_and_nothing_panics() {
    let pair = KeyPair::generate(Kind::Ed25519).unwrap();
    for (form, name) in Form::ALL {
        let Ok(whole) = pair.write(form, None) else {
            continue;
        };
        let is_text = form.is_text() || whole.starts_with(b"-----BEGIN ");
        for len in 0..whole.len() {
            let read = read(&whole[..len], &mut none);
            // Line ends and padding may be missing.
            let is_nearly_whole = is_text && len + 3 > whole.len();
            assert!(read.is_err() || is_nearly_whole, "{name} of {len} octets");
        }
    }
}
