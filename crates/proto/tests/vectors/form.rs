//! Statements about decoded things, shared by packets and bare octets.

use guantong_proto::data::site::{Interface, Protocol, Site};
use guantong_proto::data::{Data, PrivateKey, PublicKey};
use guantong_proto::json::{ValueForm, value_from_json};
use guantong_proto::wire::Writer;
use guantong_proto::{Permissions, Ttl, Value, ValueRef, Values};
use serde_json::Value as Json;

use crate::case::Case;

/// What holds for every list of values: owned, wire and JSON form agree.
pub(crate) fn check_values(case: &Case<'_>, values: Values<'_>) {
    for value in values.iter() {
        check_value(case, &value);
    }
    if let Some(owned) = case.ok("values", values.to_vec()) {
        let encoded = Writer::to_vec(|w| Values::encode(&owned, w));
        case.same_octets("values encoded again", &encoded, values.wire());
    }
}

pub(crate) fn check_value(case: &Case<'_>, value: &ValueRef<'_>) {
    let what = format!("value {}", value.index);
    let Some(owned) = case.ok(&what, value.to_value()) else {
        return;
    };
    let encoded = Writer::to_vec(|w| owned.encode(w));
    case.same_octets(&format!("{what} encoded again"), &encoded, value.wire());
    let data = Data::decode(value.kind, value.data);
    if matches!(data, Data::Opaque(_)) {
        let strict = Data::decode_strict(value.kind, value.data);
        case.ok(&format!("{what}, data of its type"), strict);
    }
    case.same_octets(
        &format!("{what}, data encoded again"),
        &data.encode(),
        value.data,
    );
    let is_plain = owned.permissions.0 <= 0x0f && !matches!(owned.ttl, Ttl::Other { .. });
    if let Some(json) = case.ok(&what, serde_json::to_value(ValueForm::from(&owned)))
        && let Some(read) = case.ok(&what, value_from_json(&json))
        && is_plain
    {
        case.same(&format!("{what} from its JSON form"), read, owned);
    }
}

/// Fields that speak of one value.
pub(crate) fn value_fields(case: &Case<'_>, value: &Value) {
    case.same_int("index", value.index);
    case.same_int("timestamp", value.timestamp);
    let (ttl_type, ttl) = match value.ttl {
        Ttl::Relative(ttl) => (0, ttl),
        Ttl::Absolute(at) => (1, at),
        Ttl::Other { kind, ttl } => (i64::from(kind), ttl),
    };
    case.same_int("ttlType", ttl_type);
    case.same_int("ttl", ttl);
    let Permissions(permissions) = value.permissions;
    case.same_int("permissions", permissions);
    case.same_int("permissionOctet", permissions);
    if let Some(expected) = case.int("permissionOctet") {
        case.same(
            "octet 13",
            case.octets().get(13).copied().map(i64::from),
            Some(expected),
        );
    }
    case.same_text("type", &value.kind);
    if let Some(data) = case.text("data") {
        let as_hex = crate::case::unhex(data).is_some_and(|octets| octets == value.data);
        case.holds("data", as_hex || value.data == data.as_bytes());
    }
    case.same_len("references", value.references.len());
    if let Some(list) = case.list("references") {
        let found = value
            .references
            .iter()
            .map(|r| format!("{}#{}", r.handle, r.index));
        let expected = list
            .iter()
            .map(|json| json.as_str().unwrap_or_default().to_owned());
        case.same("references", found.collect::<Vec<_>>(), expected.collect());
    }
}

/// Fields that speak of a site record.
pub(crate) fn site_fields(case: &Case<'_>, site: &Site) {
    case.same_int("serial", site.serial);
    case.same_int("flags", site.flags);
    case.same_bool("primary", site.is_primary());
    case.same_bool("multiPrimary", site.is_multi_primary());
    case.same_int("hashOption", site.hash_option.to_wire());
    let version = format!("{}.{}", site.protocol.0, site.protocol.1);
    case.same_text("protocolVersion", version);
    case.same_len("servers", site.servers.len());
    case.same_len("attributes", site.attributes.len());
    if let Some(Json::Object(attributes)) = case.vector.fields.get("attributes") {
        case.remark("attributes");
        for (name, value) in attributes {
            case.same(name, site.attribute(name, None), value.as_str());
        }
    }
    if let Some(address) = case.text("address") {
        let found = site.servers.first().map(|server| server.address);
        case.same("address", found, address.parse().ok());
    }
    if let Some(expected) = case.list("interfaces") {
        let name = |p: Protocol| p.name().map_or_else(|| p.0.to_string(), str::to_owned);
        let text = |i: &Interface| format!("type{} {} {}", i.kind.0, name(i.protocol), i.port);
        let found = site
            .servers
            .iter()
            .flat_map(|server| &server.interfaces)
            .map(text);
        let expected = expected
            .iter()
            .map(|json| json.as_str().unwrap_or_default().to_owned());
        case.same("interfaces", found.collect::<Vec<_>>(), expected.collect());
    }
    for server in &site.servers {
        if !server.public_key.is_empty()
            && let Some(key) = case.ok("key of a server", server.key())
        {
            case.same_octets(
                "key of a server encoded again",
                &key.encode(),
                &server.public_key,
            );
        }
    }
}

/// Fields that speak of a public key.
pub(crate) fn public_key_fields(case: &Case<'_>, key: &PublicKey) {
    if let Some(name) = key.name() {
        case.same_text("keyType", name);
    }
    match key {
        PublicKey::Rsa(key) => {
            case.same_number("exponent", &key.exponent);
            case.same_number("modulus", &key.modulus);
        }
        PublicKey::Dsa(key) => {
            case.same_number("q", &key.q);
            case.same_number("p", &key.p);
            case.same_number("g", &key.g);
            case.same_number("y", &key.y);
        }
        PublicKey::Dh(key) => {
            case.same_number("y", &key.y);
            case.same_number("p", &key.p);
            case.same_number("g", &key.g);
            case.same_len("pBits", key.p.bits());
        }
        _ => {}
    }
    if let Some(spki) = case.hex("spki") {
        case.same_octets("spki", &key.spki().unwrap_or_default(), &spki);
    }
}

/// Fields that speak of a private key.
pub(crate) fn private_key_fields(case: &Case<'_>, key: &PrivateKey) {
    let numbers: Vec<(&str, _)> = match key {
        PrivateKey::RsaCrt(key) => {
            case.same_text("keyType", "RSA_PRIVCRT_KEY");
            vec![
                ("n", &key.n),
                ("e", &key.e),
                ("d", &key.d),
                ("p", &key.p),
                ("q", &key.q),
            ]
        }
        PrivateKey::Rsa { n, d } => {
            case.same_text("keyType", "RSA_PRIV_KEY");
            vec![("n", n), ("d", d)]
        }
        PrivateKey::Dsa { x, p, q, g } => {
            case.same_text("keyType", "DSA_PRIV_KEY");
            vec![("x", x), ("p", p), ("q", q), ("g", g)]
        }
        _ => vec![],
    };
    for (field, number) in numbers {
        case.same_number(field, number);
    }
}
