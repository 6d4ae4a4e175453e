//! Records, values, sites and keys in JSON.

#![no_main]

use guantong_proto::json::{
    Record, SiteForm, key_from_json, key_to_json, parse_site, parse_values,
};

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    if let Ok(record) = Record::parse(octets) {
        let text = serde_json::to_vec(&record).expect("every record has a JSON form");
        assert_eq!(Record::parse(&text).expect("its own form"), record);
    }
    let _ = parse_values(octets);
    if let Ok(site) = parse_site(octets) {
        let text = serde_json::to_vec(&SiteForm::new(&site)).expect("every site has a JSON form");
        assert_eq!(parse_site(&text).expect("its own form"), site);
    }
    if let Ok(json) = serde_json::from_slice(octets)
        && let Ok(key) = key_from_json(&json)
        && let Some(again) = key_to_json(&key)
    {
        assert_eq!(key_from_json(&again).expect("its own form"), key);
    }
});
