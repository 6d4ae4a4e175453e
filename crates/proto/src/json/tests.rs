use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::data::key::{DsaPublicKey, Number};
use crate::data::{Admin, AdminPermissions, PublicKey};
use crate::wire::Writer;

fn text_of(value: &Value) -> String {
    serde_json::to_string(&ValueForm::from(value)).unwrap()
}

fn data_of(json: &serde_json::Value) -> Result<Vec<u8>, String> {
    let json = json!({"index": 1, "type": "X", "data": json});
    value_from_json(&json)
        .map(|value| value.data)
        .map_err(|error| error.to_string())
}

#[test]
fn defaults_are_left_out() {
    let value = Value::new(1, "URL", "https://example.org/");
    let expected = r#"{"index":1,"type":"URL","data":{"format":"string","value":"https://example.org/"},"ttl":86400}"#;
    assert_eq!(text_of(&value), expected);
    assert_eq!(
        value_from_json(&serde_json::from_str(expected).unwrap()).unwrap(),
        value
    );
}

#[test]
fn plain_text_stands_for_the_data() {
    assert_eq!(data_of(&json!("a\u{0}b")).unwrap(), b"a\0b");
}

#[test]
fn octets_that_do_not_look_like_text_are_written_as_base64() {
    for (octets, format) in [
        (&b"a\tb\r\n"[..], "string"),
        ("中文".as_bytes(), "string"),
        (b"", "string"),
        (b"a\0b", "base64"),
        (b"\xff", "base64"),
        (b"\x7f", "base64"),
    ] {
        let text = text_of(&Value::new(1, "X", octets));
        assert!(
            text.contains(&format!("{{\"format\":\"{format}\"")),
            "{octets:?}: {text}"
        );
    }
}

#[test]
fn fault_names_its_place_and_what_was_expected() {
    let value = |data| json!({"index": 2, "type": "HS_ADMIN", "data": data});
    let record = json!({"handle": "a/b", "values": [
        {"index": 1, "type": "URL", "data": "x"},
        value(json!({
            "format": "admin",
            "value": {"handle": "0.NA/a", "index": 1, "permissions": "11"},
        })),
    ]});
    assert_eq!(
        Record::from_json(&record).unwrap_err().to_string(),
        "values[1].data.value.permissions: expected twelve characters 0 or 1 such as \
         \"011111110011\", \"*\" for all, true or false, a number, or a list of twelve flags, \
         found \"11\""
    );
    for (text, expected) in [
        (
            "{\"values\":3}",
            "values: expected a list of values, found 3",
        ),
        ("[1]", "[0]: expected a value"),
        (
            "{\"index\":\"1\"}",
            "index: expected a whole number of 32 bits, found \"1\"",
        ),
        (
            "{\"index\":2147483648}",
            "index: expected a whole number of 32 bits",
        ),
        (
            "{\"type\":\"URL\"}",
            "index: expected a number above 0, found nothing",
        ),
        (
            "{\"index\":",
            "not valid JSON at line 1, column 9: EOF while parsing a value",
        ),
        ("[]]", "not valid JSON at line 1, column 3"),
        ("7", "the text: expected a value"),
    ] {
        let error = parse_values(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
    let error = data_of(&json!({"format": "yaml", "value": "x"})).unwrap_err();
    assert!(
        error.starts_with("data.format: expected one of \"string\""),
        "{error}"
    );
}

#[test]
fn permissions_of_a_value_are_four_digits() {
    let permissions = |json: serde_json::Value| {
        let json = json!({"index": 1, "type": "X", "data": "", "permissions": json});
        value_from_json(&json).map(|value| value.permissions.0)
    };
    assert_eq!(permissions(json!("0011")), Ok(3));
    assert_eq!(permissions(json!("1111")), Ok(15));
    assert_eq!(permissions(serde_json::Value::Null), Ok(14));
    for bad in [json!(""), json!("11100"), json!("+111"), json!(14)] {
        assert!(permissions(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn permissions_of_an_administrator_are_read_in_every_form() {
    let admin = |permissions: serde_json::Value| {
        data_of(&json!({"format": "admin", "value":
            {"handle": "0.NA/a", "index": 300, "permissions": permissions}}))
        .map(|octets| Admin::decode(&octets).unwrap().permissions.0)
    };
    assert_eq!(admin(json!("010001110000")), Ok(0x470));
    assert_eq!(admin(json!("*")), Ok(0xfff));
    assert_eq!(admin(json!(true)), Ok(0xfff));
    assert_eq!(admin(json!(false)), Ok(0));
    assert_eq!(admin(json!(0x470)), Ok(0x470));
    assert_eq!(
        admin(json!([0, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0])),
        Ok(0x470)
    );
    let flags = [
        false, true, false, false, false, true, true, true, false, false, false, false,
    ];
    assert_eq!(admin(json!(flags)), Ok(0x470));
    for bad in [json!(""), json!([1]), json!(-1), json!(65_536), json!({})] {
        assert!(admin(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn legacy_length_of_an_administrator_survives() {
    let mut admin = Admin::new(AdminPermissions(0x470), "0.NA/11858", 200);
    admin.legacy_length = true;
    let value = Value::new(100, "HS_ADMIN", admin.encode());
    let text = text_of(&value);
    let expected = r#""value":{"handle":"0.NA/11858","index":200,"permissions":"010001110000","legacyByteLength":true}"#;
    assert!(text.contains(expected), "{text}");
    assert_eq!(
        value_from_json(&serde_json::from_str(&text).unwrap()).unwrap(),
        value
    );
}

#[test]
fn base64_and_hex_are_read_leniently_and_strictly_bounded() {
    assert_eq!(
        data_of(&json!({"format": "base64", "value": "8PE="})).unwrap(),
        [0xf0, 0xf1]
    );
    assert_eq!(
        data_of(&json!({"format": "base64", "value": "8PE"})).unwrap(),
        [0xf0, 0xf1]
    );
    assert_eq!(
        data_of(&json!({"format": "hex", "value": "F0f1"})).unwrap(),
        [0xf0, 0xf1]
    );
    for bad in ["f", "0g", "+1", "é"] {
        let error = data_of(&json!({"format": "hex", "value": bad})).unwrap_err();
        assert!(
            error.starts_with("data.value: expected an even number"),
            "{error}"
        );
    }
    assert!(data_of(&json!({"format": "base64", "value": "*"})).is_err());
}

#[test]
fn times_are_read_with_zone_and_refused_outside_of_32_bits() {
    let timestamp = |json: serde_json::Value| {
        let json = json!({"index": 1, "type": "X", "data": "", "timestamp": json});
        value_from_json(&json).map(|value| value.timestamp)
    };
    assert_eq!(timestamp(json!("2023-11-14T22:13:20Z")), Ok(1_700_000_000));
    assert_eq!(
        timestamp(json!("2023-11-15T06:13:20.5+08:00")),
        Ok(1_700_000_000)
    );
    assert_eq!(timestamp(json!(1_700_000_000)), Ok(1_700_000_000));
    for bad in [
        json!("yesterday"),
        json!("1969-12-31T23:59:59Z"),
        json!(4_294_967_296u64),
    ] {
        assert!(timestamp(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn key_whose_form_would_not_be_exact_is_written_as_base64() {
    let key = Writer::to_vec(|w| {
        w.bytes(b"RSA_PUB_KEY");
        w.u16(0);
        w.bytes(&[1, 0, 1]);
        w.bytes(&[0x80, 0]);
    });
    assert!(text_of(&Value::new(300, "HS_PUBKEY", key)).contains("\"format\":\"base64\""));
}

#[test]
fn keys_of_every_json_kind_are_read_and_written() {
    let number = |n: u8| Number::new(&[n, n]);
    let dsa = PublicKey::Dsa(DsaPublicKey {
        q: number(1),
        p: number(2),
        g: number(3),
        y: number(4),
    });
    let json = key_to_json(&dsa).unwrap();
    assert_eq!(
        json,
        json!({"kty": "DSA", "y": "BAQ", "p": "AgI", "q": "AQE", "g": "AwM"})
    );
    assert_eq!(key_from_json(&json).unwrap(), dsa);
    let sm2 = PublicKey::Sm2(vec![0x30, 0]);
    assert_eq!(key_from_json(&key_to_json(&sm2).unwrap()).unwrap(), sm2);
    let zero = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (json, len) in [
        (
            json!({"kty": "EC", "crv": "P-256", "x": zero, "y": zero}),
            91,
        ),
        (json!({"kty": "OKP", "crv": "Ed25519", "x": zero}), 44),
    ] {
        let key = key_from_json(&json).unwrap();
        assert_eq!(key.spki().unwrap().len(), len, "{json}");
        assert_eq!(PublicKey::decode(&key.encode()).unwrap(), key);
    }
    for bad in [
        json!({}),
        json!({"kty": "oct"}),
        json!({"kty": "EC", "crv": "P-384"}),
    ] {
        assert!(key_from_json(&bad).is_err(), "{bad}");
    }
}

#[test]
fn site_faults_name_their_place() {
    let site = json!({"servers": [{"serverId": 1, "address": "192.0.2.1", "interfaces": [
        {"query": true, "admin": true, "protocol": "TCP", "port": 2641},
        {"query": true, "protocol": "QUIC", "port": 2641},
    ]}]});
    let error = site_from_json(&site).unwrap_err().to_string();
    assert!(
        error.starts_with("servers[0].interfaces[1].protocol: expected one of"),
        "{error}"
    );
}

#[test]
fn serial_of_a_site_is_read_signed_and_unsigned() {
    for (number, serial) in [(-1, 65_535), (65_535, 65_535), (7, 7)] {
        let json = json!({"serialNumber": number, "servers": []});
        assert_eq!(site_from_json(&json).unwrap().serial, serial);
    }
    assert!(site_from_json(&json!({"serialNumber": 65_536, "servers": []})).is_err());
}

prop_compose! {
    fn any_value()(
        index: i32,
        timestamp: u32,
        ttl in prop_oneof![
            any::<i32>().prop_map(Ttl::Relative), any::<i32>().prop_map(Ttl::Absolute)
        ],
        permissions in 0u8..16,
        kind in "URL|HS_ADMIN|HS_SITE|HS_PUBKEY|HS_VLIST|\\PC{0,6}",
        data in proptest::collection::vec(any::<u8>(), 0..30),
        references in proptest::collection::vec(("\\PC{0,6}", any::<i32>()), 0..3),
    ) -> Value {
        let references = references.into_iter();
        Value {
            index,
            timestamp,
            ttl,
            permissions: Permissions(permissions),
            kind,
            data,
            references: references.map(|(handle, index)| Reference { handle, index }).collect(),
        }
    }
}

proptest! {
    #[test]
    fn every_record_survives_a_round_trip(
        handle in "\\PC{0,20}", values in proptest::collection::vec(any_value(), 0..4),
    ) {
        let record = Record { response_code: Some(1), handle: Some(handle), values };
        let text = serde_json::to_vec(&record).unwrap();
        prop_assert_eq!(Record::parse(&text).unwrap(), record.clone());
        let wire = Writer::to_vec(|w| Values::encode(&record.values, w));
        let form = RecordForm {
            response_code: record.response_code,
            handle: record.handle.as_deref(),
            values: ValueForm::list(Values::from_wire(&wire).unwrap()),
        };
        prop_assert_eq!(serde_json::to_vec(&form).unwrap(), text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[\\[\\]{}\":,a-z0-9 ]{0,60}") {
        let _ = Record::parse(text.as_bytes());
        let _ = parse_values(text.as_bytes());
        let _ = parse_site(text.as_bytes());
    }
}

#[test]
fn site_is_read_as_it_is_and_as_the_answer_that_holds_it() {
    let site =
        r#"{"serialNumber":7,"servers":[{"serverId":1,"address":"192.0.2.7","interfaces":[]}]}"#;
    let answer = format!(r#"{{"responseCode":1,"site":{site}}}"#);
    let plain = parse_site(site.as_bytes()).unwrap();
    assert_eq!(plain.serial, 7);
    assert_eq!(parse_site(answer.as_bytes()).unwrap(), plain);
    assert!(parse_site(br#"{"site":7}"#).is_err());
}
