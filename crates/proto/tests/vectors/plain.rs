//! Vectors that are not packets: the family in the name says what the octets are.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use guantong_proto::crypto::hash::{Algorithm, Hash};
use guantong_proto::crypto::jws::Jws;
use guantong_proto::crypto::keyfile::KeyFile;
use guantong_proto::crypto::{SigningKey, VerifyingKey, challenge, sm2};
use guantong_proto::data::key::Number;
use guantong_proto::data::site::HashOption;
use guantong_proto::data::{
    Admin, Data, List, Namespace, PrivateKey, PublicKey, SecretKey, Site, Target,
};
use guantong_proto::file::{
    Bootstrap, decode_local_info, decode_root_info, encode_local_info, encode_root_info,
};
use guantong_proto::json::{self, Record, SiteForm, ValueForm};
use guantong_proto::message::Message;
use guantong_proto::stream::{Content, Protection, StreamDecoder, StreamKind};
use guantong_proto::wire::{Reader, Writer};
use guantong_proto::{Handle, Value, ValueRef, Values};
use serde_json::Value as Json;

use crate::case::{Case, unhex};
use crate::packet::judge_message;
use crate::{form, keys, session};

/// A reader of one family. It returns `None` if the octets have another form.
type Reading = fn(&Case<'_>) -> Option<()>;

/// What the words of a name say about the octets; the first that fits counts. Where a family has
/// several forms, the first that can be read counts.
const FAMILIES: &[(&str, &[Reading])] = &[
    ("prim-", &[primitive]),
    ("json-site", &[json_site]),
    ("json-", &[json_record, json_value, json_site, json_key]),
    ("value-digest", &[digest_input]),
    ("value-", &[value]),
    ("-value-", &[value]),
    ("admin-", &[admin]),
    ("vlist", &[list]),
    ("wrapped-session-key", &[session::wrapped_key]),
    ("session-setup-message", &[session::bare_message]),
    ("session-key", &[session::session_key, session::derived_key]),
    ("seckey", &[secret]),
    ("privkey-file", &[key_file]),
    ("privkey", &[private_key]),
    ("key-pkcs8", &[pkcs8]),
    ("pubkey", &[public_key]),
    ("sm2-answer", &[sm2_answer]),
    ("-site", &[site, json_site]),
    ("siteinfo", &[site, json_site]),
    ("jws-", &[jws]),
    ("-cert", &[jws]),
    ("-signature", &[jws]),
    ("file-root", &[root_info]),
    ("file-local", &[local_info]),
    ("bootstrap", &[bootstrap]),
    ("hash-option", &[hash_option]),
    ("dh-derived", &[session::derived_key]),
    ("-decrypted", &[session::decrypted]),
    ("-stream", &[stream]),
    ("session-", &[session::session_cipher]),
    ("-sm4", &[session::session_cipher]),
    ("http-", &[http, text, beyond]),
    ("-token", &[token]),
    ("hs-serv", &[target]),
    ("hs-alias", &[target]),
    ("hs-namespace", &[namespace]),
];

/// Tried in this order where the name says nothing.
const FORMS: &[Reading] = &[
    value,
    admin,
    public_key,
    private_key,
    list,
    site,
    root_info,
    local_info,
    jws,
    json_record,
    json_value,
    json_site,
    http,
    session::bare_message,
    stream,
    key_file,
    text,
];

pub(crate) fn judge(case: &Case<'_>) {
    let named = FAMILIES.iter().find(|(word, _)| case.name().contains(word));
    if let Some((word, readings)) = named {
        if !readings.iter().any(|reading| reading(case).is_some()) {
            case.fault(format!("the octets are not what `{word}` says"));
        }
        return;
    }
    if !FORMS.iter().any(|reading| reading(case).is_some()) {
        case.fault("no rule knows the family, and the octets have no known form");
    }
}

//----------- Encodings ------------------------------------------------------

/// A string, an array of integers, an array of strings, a reference, or an integer.
fn primitive(case: &Case<'_>) -> Option<()> {
    let octets = case.octets();
    let mut encoded = Vec::new();
    let mut w = Writer::new(&mut encoded);
    let mut r = Reader::new(octets);
    let name = case.name();
    let mut count = None;
    if name.contains("int-array") {
        let elements = r.i32_array("array").ok()?;
        w.i32_array(&elements);
        count = Some(elements.len());
        if let Some(expected) = case.list("values") {
            case.same(
                "values",
                &elements.into_iter().map(Json::from).collect(),
                expected,
            );
        }
    } else if name.contains("array") {
        let elements = r.bytes_array("array").ok()?;
        w.bytes_array(&elements);
        count = Some(elements.len());
    } else if name.contains("reference") {
        let handle = r.bytes("handle").ok()?;
        w.bytes(handle);
        case.same_text("handle", handle);
        let index = r.i32("index").ok()?;
        w.i32(index);
        case.same_int("index", index);
    } else if !names_integer(name)
        && r.clone()
            .bytes("string")
            .is_ok_and(|bytes| bytes.len() + 4 == octets.len())
    {
        let bytes = r.bytes("string").ok()?;
        w.bytes(bytes);
        count = Some(bytes.len());
        case.same_text("text", bytes);
    } else if let 1 | 2 | 4 | 8 = octets.len() {
        let number = octets
            .iter()
            .fold(0i64, |n, octet| n << 8 | i64::from(*octet));
        let bits = 64 - 8 * i32::try_from(octets.len()).ok()?;
        let signed = number << bits >> bits;
        let expected = case.int("value").unwrap_or(signed);
        case.holds("value", expected == number || expected == signed);
        w.raw(r.rest());
    } else {
        return None;
    }
    if let Some(expected) = case.int("count") {
        case.same(
            "count",
            count.and_then(|count| i64::try_from(count).ok()),
            Some(expected),
        );
    }
    case.ok("end", r.finish("primitive"));
    case.same_octets("encoded again", &encoded, octets);
    Some(())
}

/// Whether a name speaks of one integer: `int`, `int4`, `long`, `u8`, ….
fn names_integer(name: &str) -> bool {
    name.split('-').any(|word| {
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
        matches!(
            word,
            "int" | "integer" | "long" | "short" | "i" | "u" | "uint"
        )
    })
}

fn value(case: &Case<'_>) -> Option<()> {
    // A value that is stated together with the packets of one SDK may be its data alone.
    let Ok(value) = Value::decode(case.octets()) else {
        let data = case
            .text("data")
            .filter(|data| data.as_bytes() == case.octets())?;
        let kind = case.text("type")?;
        case.same_octets(
            "data",
            &Data::decode(kind, data.as_bytes()).encode(),
            case.octets(),
        );
        return Some(());
    };
    let mut r = Reader::new(case.octets());
    form::check_value(case, &ValueRef::decode(&mut r).ok()?);
    form::value_fields(case, &value);
    Some(())
}

fn admin(case: &Case<'_>) -> Option<()> {
    let admin = Admin::decode(case.octets()).ok()?;
    case.same_octets("encoded again", &admin.encode(), case.octets());
    case.same_int("permissions", admin.permissions.0);
    case.same_text("adminId", &admin.identity.handle);
    case.same_int("adminIdIndex", admin.identity.index);
    case.same_bool("legacyByteLength", admin.legacy_length);
    if let Some(bit) = case
        .name()
        .split("bit-")
        .nth(1)
        .and_then(|bit| bit.parse::<u32>().ok())
    {
        case.same("bit in the name", admin.permissions.0, 1 << bit);
    }
    Some(())
}

fn list(case: &Case<'_>) -> Option<()> {
    let list = List::decode(case.octets()).ok()?;
    case.same_octets("encoded again", &list.encode(), case.octets());
    case.same_len("count", list.0.len());
    Some(())
}

fn site(case: &Case<'_>) -> Option<()> {
    let site = Site::decode(case.octets()).ok()?;
    case.same_octets("encoded again", &site.encode(), case.octets());
    let text = serde_json::to_vec(&SiteForm::new(&site)).ok()?;
    case.same(
        "site from its JSON form",
        json::parse_site(&text).ok().as_ref(),
        Some(&site),
    );
    form::site_fields(case, &site);
    Some(())
}

fn secret(case: &Case<'_>) -> Option<()> {
    let secret = SecretKey::new(case.octets());
    case.same_text("ascii", secret.as_bytes());
    case.same(
        "hashed form",
        secret.is_hashed(),
        case.name().contains("hashed"),
    );
    // The description states the password in quotes.
    if let Some(password) = case.vector.description.split('\'').nth(1)
        && secret.is_hashed()
    {
        case.holds(
            "hash of the password",
            SecretKey::hashed(password.as_bytes()) == secret,
        );
    }
    Some(())
}

//----------- Keys -----------------------------------------------------------

fn public_key(case: &Case<'_>) -> Option<()> {
    // The same key may stand in a whole value.
    if Value::decode(case.octets()).is_ok() {
        return value(case);
    }
    let key = PublicKey::decode(case.octets()).ok()?;
    if matches!(key, PublicKey::Other(_)) {
        return None;
    }
    case.same_octets("encoded again", &key.encode(), case.octets());
    form::public_key_fields(case, &key);
    case.same_text("data", case.octets());
    if let Some(text) = case.text("ascii") {
        let latin: String = case
            .octets()
            .iter()
            .map(|octet| char::from(*octet))
            .collect();
        case.holds("ascii", latin.ends_with(text));
    }
    case.remark("decodesToJavaClass");
    case.remark("type");
    if !matches!(key, PublicKey::Dh(_) | PublicKey::Sm9(_)) {
        case.ok("key that verifies", VerifyingKey::new(&key));
    }
    if let Some(jwk) = json::key_to_json(&key) {
        case.same(
            "key from its JSON form",
            json::key_from_json(&jwk).ok().as_ref(),
            Some(&key),
        );
    }
    if let Some(der) = case.hex("testPrivateKeyPkcs8") {
        match &key {
            PublicKey::Rsa(_) => sign_and_verify(case, &key, &der),
            PublicKey::Dsa(key) => {
                let part = |number: &Number| {
                    der.windows(number.as_bytes().len())
                        .any(|part| part == number.as_bytes())
                };
                case.holds("numbers in the private key", part(&key.p) && part(&key.q));
            }
            _ => {}
        }
    }
    Some(())
}

fn sign_and_verify(case: &Case<'_>, public: &PublicKey, der: &[u8]) {
    let rng = ring::rand::SystemRandom::new();
    let Some(key) = case.ok("private key", SigningKey::from_pkcs8(der, &rng)) else {
        return;
    };
    case.same("public part", &key.public_key(), public);
    let (nonce, digest) = ([1; 16], [2; 32]);
    let signed = challenge::answer_with_key(&key, &nonce, &digest, &rng);
    if let Some(signed) = case.ok("signing", signed) {
        let verify = |digest| challenge::verify_key_answer(public, "u", &nonce, digest, &signed);
        case.ok("our own answer", verify(&digest));
        case.holds("another digest is refused", verify(&[3; 32]).is_err());
    }
}

fn private_key(case: &Case<'_>) -> Option<()> {
    let key = PrivateKey::decode(case.octets()).ok()?;
    case.same_octets("encoded again", &key.encode(), case.octets());
    form::private_key_fields(case, &key);
    if let (PrivateKey::RsaCrt(_), Some(public)) = (&key, key.public_key())
        && let Some(signing) = case.ok("key that signs", SigningKey::new(&key))
    {
        case.same("public part", signing.public_key(), public);
    }
    Some(())
}

fn pkcs8(case: &Case<'_>) -> Option<()> {
    let contains = |part: &[u8]| {
        case.octets()
            .windows(part.len())
            .any(|window| window == part)
    };
    if let Some(d) = case.hex("d") {
        case.holds("d", contains(&d));
    }
    if let Some(spki) = case.hex("spki") {
        case.ok("key that verifies", VerifyingKey::from_spki(&spki));
        case.holds(
            "public point",
            spki.len() > 65 && contains(&spki[spki.len() - 64..]),
        );
        if let Some(pem) = case.text("publicPem") {
            let key = PublicKey::decode(pem.as_bytes());
            let found = key
                .ok()
                .and_then(|key| key.spki().map(|spki| spki.into_owned()));
            case.same("publicPem", found, Some(spki));
        }
    }
    if let Some(pem) = case.text("privatePem") {
        let body: String = pem
            .lines()
            .filter(|line| !line.starts_with("---"))
            .collect();
        let der = STANDARD.decode(body).unwrap_or_default();
        case.same_octets("privatePem", &der, case.octets());
    }
    Some(())
}

fn key_file(case: &Case<'_>) -> Option<()> {
    let file = KeyFile::decode(case.octets()).ok()?;
    case.same_octets("encoded again", &file.encode(), case.octets());
    let passphrase = case.text("passphrase").unwrap_or_default().as_bytes();
    case.holds("protection", file.is_protected() != passphrase.is_empty());
    let clear = case.ok("opening", file.open(passphrase))?;
    case.same_hex("decryptsTo", &clear);
    case.same_text("clear", &clear);
    if file.is_protected() {
        let other = file.open(b"another passphrase");
        case.holds(
            "another passphrase is refused",
            other.as_ref() != Ok(&clear),
        );
    }
    Some(())
}

//----------- Signatures -----------------------------------------------------

/// The signed response of an SM2 challenge answer. Who signed is found among all known users.
fn sm2_answer(case: &Case<'_>) -> Option<()> {
    let answer = challenge::KeyAnswer::decode(case.octets()).ok()?;
    case.same_octets("encoded again", &answer.encode(), case.octets());
    case.same_text("hashAlgorithm", answer.algorithm);
    case.same_hex("signatureDer", answer.signature);
    let (nonce, digest) = (case.hex("nonce")?, case.hex("requestDigest")?);
    let message = [&nonce[..], &digest].concat();
    let sm3 = Hash::Sm3.digest(&[&message]);
    case.same_hex("sm3OfNonceAndDigest", &sm3);
    case.same_hex("sha256OfNonceAndDigest", &Hash::Sha256.digest(&[&message]));
    let key = PublicKey::Sm2(case.hex("spki")?);
    let users = keys::users(case.known);
    let verify =
        |user: &str| challenge::verify_key_answer(&key, user, &nonce, &digest, case.octets());
    case.holds(
        "answer of a known user",
        users.iter().any(|user| verify(user).is_ok()),
    );
    let Some(VerifyingKey::Sm2(point)) = case.ok("key", VerifyingKey::new(&key)) else {
        return Some(());
    };
    let Some(Json::Object(matrix)) = case.field("verificationMatrix") else {
        return Some(());
    };
    for (combination, expected) in matrix {
        let part = |name: &str| {
            combination
                .split(", ")
                .find_map(|part| part.strip_prefix(name))
        };
        let message = match part("message=") {
            Some("SM3(nonce||digest)") => sm3.clone(),
            Some("SHA256(nonce||digest)") => Hash::Sha256.digest(&[&message]),
            _ => message.clone(),
        };
        let hash = match part("digest=")
            .map(str::as_bytes)
            .and_then(Algorithm::parse)
        {
            Some(Algorithm::Hash(hash)) => hash,
            _ => continue,
        };
        let ids = match part("id=") {
            Some("default") => vec![sm2::DEFAULT_ID.to_owned()],
            _ => users.clone(),
        };
        let verify =
            |id: &String| sm2::verify(&point, id, hash, &message, answer.signature).is_ok();
        case.same(
            combination,
            ids.iter().any(verify),
            expected.as_bool() == Some(true),
        );
    }
    Some(())
}

/// A signed record or a certificate.
fn jws(case: &Case<'_>) -> Option<()> {
    let jws = Jws::parse(case.octets()).ok()?;
    let text = String::from_utf8_lossy(case.octets());
    let again = if text.starts_with('{') {
        jws.to_json()
    } else {
        jws.to_compact()
    };
    case.same("encoded again", again.as_str(), text.trim());
    case.same_text("json", case.octets());
    case.same_text("compact", case.octets());
    if let Some(header) = case.text("header") {
        let json: Json = serde_json::from_str(header).unwrap_or_default();
        case.same("header", jws.algorithms().next(), json["alg"].as_str());
    }
    let payload: Option<Json> = serde_json::from_slice(&jws.payload).ok();
    match case.field("payload") {
        Some(Json::String(expected)) => {
            case.same(
                "payload",
                String::from_utf8_lossy(&jws.payload).as_ref(),
                expected,
            );
        }
        Some(expected) => case.same("payload", payload.as_ref(), Some(expected)),
        None => {}
    }
    let claims = case.ok("claims", jws.claims())?;
    let certified = claims
        .public_key
        .is_some()
        .then(|| case.ok("certified key", claims.key()));
    case.remark("digestInputs");
    case.remark("issuerKey");
    // The digest of one value, whose octets are stated.
    if let (Some(input), Some(digests)) = (case.hex("value1DigestInput"), &claims.digests) {
        let digest = STANDARD.encode(Hash::Sha256.digest(&[&input]));
        let signed = digests.digests.iter().find(|digest| digest.index == 1);
        case.same(
            "digest of value 1",
            signed.map(|d| d.digest.as_str()),
            Some(digest.as_str()),
        );
    }
    let flag = |name| case.field(name).and_then(Json::as_bool);
    if let Some(expected) = flag("validates").or_else(|| flag("verifies")) {
        let named = keys::named_key(case).map(|key| vec![(String::new(), key)]);
        let mut candidates = named.unwrap_or_else(|| keys::all_keys(case.known));
        candidates.extend(certified.flatten().map(|key| (String::new(), key)));
        let found = candidates.iter().any(|(_, key)| jws.verify(key).is_ok());
        case.same("signature of a known key", found, expected);
        let mut broken = case.octets().to_vec();
        let middle = broken.len() / 2;
        broken[middle] = if broken[middle] == b'A' { b'B' } else { b'A' };
        let verifies = |jws: Jws| candidates.iter().any(|(_, key)| jws.verify(key).is_ok());
        case.holds(
            "a changed text is refused",
            !Jws::parse(&broken).is_ok_and(verifies),
        );
    }
    Some(())
}

/// What a digest inside a signature is computed over.
fn digest_input(case: &Case<'_>) -> Option<()> {
    let digest = STANDARD.encode(Hash::Sha256.digest(&[case.octets()]));
    case.same_text("sha256Base64", &digest);
    case.same_text("signedDigest", &digest);
    // With index and timestamp in front it is a value.
    let value = [&[0; 8], case.octets()].concat();
    if let Some(value) = case.ok("value", ValueRef::decode(&mut Reader::new(&value))) {
        let digests = guantong_proto::crypto::jws::Digests::of([value]);
        case.same(
            "digest of the value",
            digests.covers(&value),
            Ok(Some(true)),
        );
        case.same(
            "digest",
            digests.digests[0].digest.as_str(),
            digest.as_str(),
        );
    }
    Some(())
}

//----------- Selection, streams ---------------------------------------------

fn hash_option(case: &Case<'_>) -> Option<()> {
    let &[number] = case.octets() else {
        return None;
    };
    let option = HashOption::from_wire(number);
    case.same_int("hashOption", number);
    let Some(Json::Object(handles)) = case.field("handles") else {
        return Some(());
    };
    for (name, stated) in handles {
        let Some(handle) = case.ok(name, Handle::parse(name)) else {
            continue;
        };
        let handle = handle.borrow();
        let part = option.hashed_part(handle);
        case.same(name, Some(part.as_str()), stated["hashedPart"].as_str());
        let md5 = stated["md5"].as_str().and_then(unhex).unwrap_or_default();
        case.same_octets(name, &Hash::Md5.digest(&[part.as_bytes()]), &md5);
        let Some(positions) = stated["serverIndexByCount"].as_object() else {
            continue;
        };
        for (count, position) in positions {
            let found = option.server_position(handle, count.parse().ok()?);
            let expected = position.as_u64().and_then(|n| usize::try_from(n).ok());
            case.same(&format!("{name} among {count}"), found, expected);
        }
    }
    Some(())
}

/// Octets behind the reply to a replication request.
fn stream(case: &Case<'_>) -> Option<()> {
    let octets = case.octets();
    let kind = match case.name().contains("dump") {
        true => StreamKind::Dump,
        false => StreamKind::Transactions,
    };
    let servers = keys::server_keys(case.known);
    let servers: Vec<_> = servers
        .iter()
        .filter_map(|key| VerifyingKey::new(key).ok())
        .collect();
    let mut decoder = StreamDecoder::new(kind);
    let (mut at, mut hash, mut encoded) = (0, None, Vec::new());
    while let Some((block, len)) = decoder.next(&octets[at..]).ok()? {
        at += len;
        let mut w = Writer::new(&mut encoded);
        block.content.encode(&mut w);
        if let Content::Head { digest, protection } = &block.content {
            hash = digest.and_then(Algorithm::parse);
            case.holds(
                "digest name",
                hash.is_some() == (*protection == Protection::Signed),
            );
        }
        if let (Some(signature), Some(Algorithm::Hash(hash))) = (block.signature, hash) {
            w.bytes(signature);
            let verifies = |key: &VerifyingKey| key.verify(hash, block.octets, signature).is_ok();
            case.holds(
                "signature of a block",
                servers.is_empty() || servers.iter().any(verifies),
            );
        }
        if let Content::Record { values, .. } = &block.content {
            values
                .iter()
                .for_each(|value| form::check_value(case, &value));
        }
    }
    if at == 0 {
        return None;
    }
    case.holds("the stream ends", decoder.is_done());
    case.same_octets("encoded again", &encoded, octets);
    Some(())
}

//----------- Other forms ----------------------------------------------------

/// The same JSON comes out, and in the same order of fields unless the vector has white space.
fn written_again(case: &Case<'_>, form: &impl serde::Serialize) {
    let text = String::from_utf8_lossy(case.octets());
    let again = serde_json::to_string(form).unwrap_or_default();
    let tree = |text: &str| serde_json::from_str::<Json>(text).ok();
    case.same("written again", tree(&again), tree(&text));
    if again.len() == text.len() {
        case.same("order of fields", again.as_str(), text.as_ref());
    }
}

fn json_record(case: &Case<'_>) -> Option<()> {
    let json: Json = serde_json::from_slice(case.octets()).ok()?;
    json.get("values")?;
    let record = Record::from_json(&json).ok()?;
    written_again(case, &record);
    case.same_text("json", case.octets());
    let wire = Writer::to_vec(|w| Values::encode(&record.values, w));
    form::check_values(case, case.ok("values", Values::from_wire(&wire))?);
    Some(())
}

fn json_site(case: &Case<'_>) -> Option<()> {
    let site = json::parse_site(case.octets()).ok()?;
    written_again(case, &SiteForm::new(&site));
    case.same_text("json", case.octets());
    // The description names the binary form of the same site.
    let named = case
        .vector
        .description
        .split(' ')
        .find_map(|word| case.known.get(word));
    if let Some(binary) = named {
        case.same_octets("binary form", &site.encode(), &binary.octets);
    }
    Some(())
}

fn root_info(case: &Case<'_>) -> Option<()> {
    let values = decode_root_info(case.octets()).ok()?;
    case.same_octets("encoded again", &encode_root_info(&values), case.octets());
    case.same_len("values", values.len());
    let wire = Writer::to_vec(|w| Values::encode(&values, w));
    form::check_values(case, case.ok("values", Values::from_wire(&wire))?);
    Some(())
}

fn local_info(case: &Case<'_>) -> Option<()> {
    let sites = decode_local_info(case.octets()).ok()?;
    case.same_octets("encoded again", &encode_local_info(&sites), case.octets());
    case.same_len("sites", sites.len());
    Some(())
}

fn bootstrap(case: &Case<'_>) -> Option<()> {
    let file = Bootstrap::parse(case.octets()).ok()?;
    let again = Bootstrap::parse(file.to_json().as_bytes());
    case.same("file written and read", again.as_ref(), Ok(&file));
    Some(())
}

/// A request of HTTP with a native message in its body.
fn http(case: &Case<'_>) -> Option<()> {
    let octets = case.octets();
    let end = octets.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&octets[..end]).ok()?;
    let body = &octets[end..];
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    };
    if header("Content-Type") != Some("application/x-hdl-message") {
        // What is not tunnelled belongs to the HTTP interface, not to the protocol.
        return Some(());
    }
    case.same(
        "length",
        header("Content-Length"),
        Some(body.len().to_string().as_str()),
    );
    let message = case.ok("message", Message::decode(body))?;
    let mut encoded = Vec::new();
    message.encode(&mut encoded);
    case.same_octets("message encoded again", &encoded, body);
    judge_message(case, &message);
    Some(())
}

/// One value in its JSON form.
fn json_value(case: &Case<'_>) -> Option<()> {
    let value = json::value_from_json(&serde_json::from_slice(case.octets()).ok()?).ok()?;
    written_again(case, &ValueForm::from(&value));
    form::value_fields(case, &value);
    Some(())
}

/// A JSON Web Key.
fn json_key(case: &Case<'_>) -> Option<()> {
    let json: Json = serde_json::from_slice(case.octets()).ok()?;
    let key = json::key_from_json(&json).ok()?;
    form::public_key_fields(case, &key);
    if let Some(again) = json::key_to_json(&key) {
        case.same("written again", again, json);
    }
    Some(())
}

/// The name of another handle.
fn target(case: &Case<'_>) -> Option<()> {
    let target = Target::decode(case.octets()).ok()?;
    case.same_octets("encoded again", &target.encode(), case.octets());
    case.same_text("handle", target.encode());
    text(case)
}

fn namespace(case: &Case<'_>) -> Option<()> {
    Namespace::decode(case.octets()).ok()?;
    text(case)
}

/// Octets of the HTTP interface that are not part of this protocol.
fn beyond(_: &Case<'_>) -> Option<()> {
    Some(())
}

/// Plain text, the last thing that octets may be.
fn text(case: &Case<'_>) -> Option<()> {
    let text = std::str::from_utf8(case.octets()).ok()?;
    if text.contains(|c: char| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    for field in ["text", "ascii", "data", "value"] {
        case.same_text(field, text);
    }
    Some(())
}

/// A JSON Web Token, which is opaque to this protocol but has the form of a signature.
fn token(case: &Case<'_>) -> Option<()> {
    case.same_text("token", case.octets());
    let jws = case.ok("token", Jws::parse(case.octets()))?;
    case.same("encoded again", jws.to_compact().as_bytes(), case.octets());
    Some(())
}
