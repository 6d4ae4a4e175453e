//! Configuration files: root_info, local_info, bootstrap_handles, siteinfo.bin.

#![no_main]

use guantong_proto::data::Site;
use guantong_proto::file::{
    Bootstrap, decode_local_info, decode_root_info, encode_local_info, encode_root_info,
};

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    if let Ok(values) = decode_root_info(octets) {
        assert_eq!(encode_root_info(&values), octets);
    }
    if let Ok(sites) = decode_local_info(octets) {
        let again = decode_local_info(&encode_local_info(&sites));
        assert_eq!(again.expect("its own octets"), sites);
    }
    if let Ok(bootstrap) = Bootstrap::parse(octets) {
        let again = Bootstrap::parse(bootstrap.to_json().as_bytes());
        assert_eq!(again.expect("its own text"), bootstrap);
    }
    if let Ok(site) = Site::decode(octets) {
        assert_eq!(Site::decode(&site.encode()).expect("its own octets"), site);
    }
});
