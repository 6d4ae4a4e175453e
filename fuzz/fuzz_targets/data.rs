//! The data of values, under every predefined type.

#![no_main]

use guantong_proto::data::Data;

const KINDS: [&str; 11] = [
    "HS_ADMIN",
    "HS_VLIST",
    "HS_SITE",
    "HS_SITE.PREFIX",
    "HS_PUBKEY",
    "HS_SECKEY",
    "HS_SERV",
    "HS_ALIAS",
    "HS_NAMESPACE",
    "GT_STATE",
    "URL",
];

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    for kind in KINDS {
        let data = Data::decode(kind, octets);
        assert_eq!(Data::decode(kind, &data.encode()), data);
    }
});
