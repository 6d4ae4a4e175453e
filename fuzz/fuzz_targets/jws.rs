//! Signed records and certificates.

#![no_main]

use guantong_proto::crypto::jws::Jws;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let Ok(jws) = Jws::parse(octets) else { return };
    assert_eq!(
        Jws::parse(jws.to_json().as_bytes()).expect("its own form"),
        jws
    );
    if let Ok(claims) = jws.claims()
        && let Ok(key) = claims.key()
    {
        let _ = jws.verify(&key);
    }
});
