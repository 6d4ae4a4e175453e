//! Credentials, challenge answers and encrypted messages.

#![no_main]

use guantong_proto::crypto::Credential;
use guantong_proto::crypto::challenge::{KeyAnswer, verify_secret_answer};
use guantong_proto::crypto::session::{Cipher, SessionKey};
use guantong_proto::data::SecretKey;
use guantong_proto::message::{Message, Version};

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    if let Ok(credential) = Credential::decode(octets) {
        let encoded = credential.encode();
        assert_eq!(
            Credential::decode(&encoded).expect("its own octets"),
            credential
        );
    }
    if let Ok(message) = Message::decode(octets)
        && let Ok(Some(credential)) = Credential::of(&message)
    {
        let _ = credential.verify_mac(&message, b"a session key of some length");
    }
    let _ = KeyAnswer::decode(octets);
    // Derived keys cost milliseconds each; their form is in the unit tests.
    if octets.first() != Some(&0x22) {
        let _ = verify_secret_answer(&SecretKey::new(b"secret"), b"nonce", b"digest", octets);
    }
    for cipher in [Cipher::Des, Cipher::TripleDes, Cipher::Aes, Cipher::Sm4] {
        let key = SessionKey::new(cipher, &[7; 32]).expect("32 octets are enough");
        for version in [Version::new(2, 3), Version::OURS] {
            let _ = key.decrypt(version, octets);
        }
    }
});
