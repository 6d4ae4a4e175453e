//! Public keys, private keys and private-key files.

#![no_main]

use guantong_proto::crypto::keyfile::KeyFile;
use guantong_proto::crypto::{Hash, SigningKey, VerifyingKey};
use guantong_proto::data::{PrivateKey, PublicKey};

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    if let Ok(key) = PublicKey::decode(octets) {
        assert_eq!(
            PublicKey::decode(&key.encode()).expect("its own octets"),
            key
        );
        if let Ok(key) = VerifyingKey::new(&key) {
            let _ = key.verify(Hash::Sha256, b"message", &[0x30, 6, 2, 1, 1, 2, 1, 1]);
        }
    }
    if let Ok(key) = PrivateKey::decode(octets) {
        assert_eq!(
            PrivateKey::decode(&key.encode()).expect("its own octets"),
            key
        );
        let _ = SigningKey::new(&key);
    }
    let _ = VerifyingKey::from_spki(octets);
    match KeyFile::decode(octets) {
        // A derived key costs thousands of hash rounds.
        Ok(KeyFile::Derived { rounds, .. }) if rounds > 10 => {}
        Ok(file) => {
            let _ = file.open(b"passphrase");
            assert_eq!(
                KeyFile::decode(&file.encode()).expect("its own octets"),
                file
            );
        }
        Err(_) => {}
    }
});
