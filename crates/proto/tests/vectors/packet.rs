//! Vectors that are packets: envelope, header, body and credential are compared with what the
//! fields state, and encoded again.

use guantong_proto::HandleRef;
use guantong_proto::crypto::challenge::{self, KeyAnswer};
use guantong_proto::crypto::credential::{self, Credential};
use guantong_proto::crypto::hash::request_digest;
use guantong_proto::crypto::session::{Cipher, SessionKey, dh_public_key, dh_shared_secret};
use guantong_proto::data::key::Number;
use guantong_proto::data::{PublicKey, SecretKey, Site};
use guantong_proto::frame::{Framer, Joined, Reassembly, split};
use guantong_proto::message::{
    Body, Envelope, KeyExchange, Message, Packet, Request, Response, ResponseLayout, TxnPosition,
};
use guantong_proto::wire::{Reader, Writer};
use serde_json::{Map, Value as Json, json};

use crate::case::{Case, number};
use crate::{form, keys};

const ENVELOPE_LEN: usize = 20;

pub(crate) fn judge(case: &Case<'_>) {
    let octets = case.octets();
    let Some(envelope) = case.ok("envelope", Envelope::decode(&mut Reader::new(octets))) else {
        return;
    };
    let encoded = Writer::to_vec(|w| envelope.encode(w));
    case.same_octets("envelope encoded again", &encoded, &octets[..ENVELOPE_LEN]);
    let mut stated = envelope_fields(&envelope);
    case.same_int("flags", octets[2]);

    let announced = usize::try_from(envelope.message_len).unwrap_or(usize::MAX);
    if octets.len() == ENVELOPE_LEN || octets.len() < announced.saturating_add(ENVELOPE_LEN) {
        datagram(case, &envelope);
    } else if envelope.encrypted {
        encrypted(case);
    } else if envelope.message_len().is_err() {
        case.holds(
            "a length out of bounds is refused",
            Message::decode(octets).is_err(),
        );
    } else if let Some(message) = case.ok("message", Message::decode(octets)) {
        stated.extend(header_fields(&message));
        let mut encoded = Vec::new();
        message.encode(&mut encoded);
        case.same_octets("message encoded again", &encoded, octets);
        framed(case, octets);
        judge_message(case, &message);
    }
    packet_fields(case, &stated);
    error_text(case, &envelope);
    request_of_reply(case);
}

//----------- Stated packet fields -------------------------------------------

fn envelope_fields(envelope: &Envelope) -> Map<String, Json> {
    let fields = json!({
        "version": envelope.version.to_string(),
        "suggestedVersion": envelope.suggested.to_string(),
        "compressed": envelope.compressed,
        "encrypted": envelope.encrypted,
        "truncated": envelope.truncated,
        "sessionId": envelope.session_id,
        "requestId": envelope.request_id,
        "sequence": envelope.sequence,
        "messageLength": envelope.message_len,
    });
    fields.as_object().cloned().unwrap_or_default()
}

fn header_fields(message: &Message<'_>) -> Map<String, Json> {
    let header = message.header;
    let fields = json!({
        "opCode": header.op.0,
        "responseCode": header.code.0,
        "opFlags": header.flags.0,
        "flagNames": header.flags.names(),
        "siteInfoSerial": header.site_serial,
        "recursionCount": header.recursion_count,
        "expiration": header.expiration,
        "bodyLength": header.body_len,
        "credentialLength": message.credential.map(<[u8]>::len),
    });
    fields.as_object().cloned().unwrap_or_default()
}

/// Every field that is stated is compared; integers in any notation, modulo 2³².
fn packet_fields(case: &Case<'_>, found: &Map<String, Json>) {
    let Some(Json::Object(stated)) = case.field("packet") else {
        return;
    };
    for (name, expected) in stated {
        let what = format!("packet.{name}");
        match found.get(name) {
            Some(found) => match (number(found), number(expected)) {
                (Some(a), Some(b)) if (a ^ b) & 0xffff_ffff == 0 => case.same(&what, a, a),
                _ => case.same(&what, found, expected),
            },
            // What was refused as a whole has no header to compare.
            None if !found.contains_key("opCode") => {}
            None => case.fault(format!("{what}: was not decoded")),
        }
    }
}

//----------- Messages -------------------------------------------------------

/// The octets come out of a stream as they are, in one piece or octet by octet.
fn framed(case: &Case<'_>, octets: &[u8]) {
    let mut framer = Framer::new();
    for octet in octets {
        if let Ok(Some(_)) = framer.next_packet() {
            case.fault("a packet was found before its end");
        }
        framer.push(&[*octet]);
    }
    let packet = framer
        .next_packet()
        .map(|packet| packet.map(<[u8]>::to_vec));
    case.same(
        "packet from a stream",
        packet.ok().flatten().as_deref(),
        Some(octets),
    );
}

pub(crate) fn judge_message(case: &Case<'_>, message: &Message<'_>) {
    let is_request = message.header.code.0 == 0;
    let is_answer = is_request && message.header.op.0 == 200;
    if let Some(Some(credential)) = case.ok("credential", Credential::of(message)) {
        judge_credential(case, message, &credential, is_answer);
    }
    if is_request {
        if let Some(request) = case.ok("request", Request::of(message)) {
            let version = message.envelope.version;
            let body = Writer::to_vec(|w| request.encode(version, w));
            // Octets behind a known body are ignored, as the protocol demands.
            let known = message.body.get(..body.len()).unwrap_or(message.body);
            case.same_octets("request encoded again", &body, known);
            judge_request(case, &request);
        }
    } else if let Some(response) = case.ok("response", Response::of(message)) {
        let layout = ResponseLayout {
            op: message.header.op,
            code: message.header.code,
            flags: message.header.flags,
            version: message.envelope.version,
        };
        let body = Writer::to_vec(|w| response.encode(layout, w));
        let known = message.body.get(..body.len()).unwrap_or(message.body);
        case.same_octets("response encoded again", &body, known);
        judge_digest(case, &response);
        judge_response(case, &response);
    }
}

fn judge_credential(
    case: &Case<'_>,
    message: &Message<'_>,
    credential: &Credential<'_>,
    is_answer: bool,
) {
    let octets = message.credential.unwrap_or_default();
    case.same_octets("credential encoded again", &credential.encode(), octets);
    case.same_hex("credential", octets);
    let covered = credential::covered(message, credential.counter);
    if credential.is_mac() {
        if message.envelope.version.at_least(2, 7) {
            case.same_hex("macInput", &covered);
        }
        // Some packets were recorded to see what a server does with a wrong code.
        let is_meant_to_fail = [
            "wrong", "bad", "invalid", "broken", "replay", "repeat", "forged",
        ]
        .iter()
        .any(|word| case.name().contains(word) || case.vector.description.contains(word));
        let live = keys::live_session(case.known, message.envelope.session_id)
            .filter(|_| !is_meant_to_fail)
            .map(|key| key.as_bytes().to_vec());
        if let Some(key) = case.hex("sessionKey").or(live) {
            case.ok("MAC", credential.verify_mac(message, &key));
            let again = credential::authenticate(message, credential.counter, &key);
            case.same_octets("MAC made again", &again, octets);
            let mut other = key.clone();
            other[0] ^= 1;
            case.holds(
                "another key is refused",
                credential.verify_mac(message, &other).is_err(),
            );
        }
        return;
    }
    case.holds("type of the credential", credential.is_signature());
    if !is_answer {
        case.same_hex("signedBytes", &covered);
        let verifies = case.flag("verifies");
        if let Some(key) = keys::named_key(case) {
            let found = credential.verify_signature(message, &key).is_ok();
            case.same("verifies", found, verifies.unwrap_or(true));
        }
    }
    if case.name().starts_with("live-") {
        let servers = keys::server_keys(case.known);
        let found = servers
            .iter()
            .any(|key| credential.verify_signature(message, key).is_ok());
        case.holds("signature of the live server", found || servers.is_empty());
    }
}

/// Digest in front of a response: of the request that is stated, or of the vector beside it.
fn judge_digest(case: &Case<'_>, response: &Response<'_>) {
    let request = case.hex("requestHex");
    let request = request
        .as_deref()
        .and_then(|octets| case.ok("request", Message::decode(octets)));
    let Some(digest) = response.digest else {
        if case.field("digest").is_some() {
            case.fault("digest: the response has none");
        }
        return;
    };
    case.same_hex("digest", digest.octets);
    case.same_hex("requestDigest", digest.octets);
    case.same_int("hashId", digest.hash.code());
    if let Some(request) = request {
        case.same_hex("digestInput", &request.header_and_body());
        let computed = request_digest(digest.hash, &request);
        case.same_octets("digest of the request", digest.octets, &computed);
    }
    let Some(stem) = case.name().strip_suffix("-response") else {
        return;
    };
    let first = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let beside = [format!("{stem}-request"), format!("{first}1-request")];
    let requests: Vec<_> = beside
        .iter()
        .filter_map(|name| case.known.get(name))
        .collect();
    let computed: Vec<_> = requests
        .iter()
        .filter_map(|vector| Message::decode(&vector.octets).ok())
        .map(|request| request_digest(digest.hash, &request))
        .collect();
    // Without the request itself only its first form may be known, which proves nothing.
    if case.known.get(&beside[0]).is_some() && !computed.is_empty() {
        let fits = computed.iter().any(|computed| computed == digest.octets);
        case.holds("digest of the request beside it", fits);
    }
}

//----------- Bodies ---------------------------------------------------------

fn judge_request(case: &Case<'_>, request: &Request<'_>) {
    match request {
        Request::Resolve(resolve) => {
            case.same_text("handle", resolve.handle);
            if let Some(token) = resolve.user_token {
                case.same_text("token", token);
            }
        }
        Request::Named { handle } => case.same_text("handle", handle),
        Request::Write { handle, values } => {
            case.same_text("handle", handle);
            case.same_len("values", values.len());
            form::check_values(case, *values);
        }
        Request::Remove { handle, indexes } => {
            case.same_text("handle", handle);
            if let Some(expected) = case.list("indexes") {
                let found: Vec<_> = indexes.iter().map(Json::from).collect();
                case.same("indexes", &found, expected);
            }
        }
        Request::ChallengeAnswer {
            auth_type,
            user,
            user_index,
            signed,
        } => {
            case.same_text("authType", auth_type);
            case.same_text("userIdHandle", user);
            case.same_int("userIdIndex", *user_index);
            judge_answer(case, auth_type, &String::from_utf8_lossy(user), signed);
        }
        Request::VerifyAnswer {
            user,
            user_index,
            nonce,
            digest,
            signed,
        } => {
            case.same_text("userIdHandle", user);
            case.same_int("userIdIndex", *user_index);
            case.same_hex("nonce", nonce);
            case.same_hex("requestDigest", digest);
            if let Some(secret) = case.octets_or_text("secret") {
                let secret = SecretKey::new(&secret);
                let outcome = challenge::verify_secret_answer(&secret, nonce, digest, signed);
                case.ok("answer", outcome);
            }
            case.same_hex("signedResponse", signed);
        }
        Request::SessionSetup(_) | Request::RetrieveTxn { .. } => {
            judge_machine_request(case, request);
        }
        Request::Login { user, user_index } => {
            case.same_text("userIdHandle", user);
            case.same_int("userIdIndex", *user_index);
        }
        _ => {}
    }
}

/// Requests of machines: sessions and replication.
fn judge_machine_request(case: &Case<'_>, request: &Request<'_>) {
    match request {
        Request::SessionSetup(setup) => {
            case.same_int("mode", setup.exchange.mode());
            case.same_int("timeout", setup.timeout);
            if let KeyExchange::DiffieHellman(key) | KeyExchange::ClientKey(key) = setup.exchange {
                exchanged_key(case, key, "clientX");
            }
        }
        Request::RetrieveTxn {
            position:
                TxnPosition::Single {
                    last_txn,
                    last_query_ms,
                },
            ..
        } => {
            case.same_int("lastTxnId", *last_txn);
            case.same_int("lastQueryDate", *last_query_ms);
        }
        Request::RetrieveTxn {
            position: TxnPosition::State(state),
            ..
        } => {
            case.ok("replication state", serde_json::from_slice::<Json>(state));
            case.same_text("state", state);
        }
        _ => {}
    }
}

/// A key in session set-up; the private number that is stated must belong to it.
fn exchanged_key(case: &Case<'_>, octets: &[u8], private: &str) {
    let Some(key) = case.ok("exchanged key", PublicKey::decode(octets)) else {
        return;
    };
    case.same_octets("exchanged key encoded again", &key.encode(), octets);
    if let (PublicKey::Dh(key), Some(x)) = (&key, case.hex(private)) {
        let computed = dh_public_key(&key.p, &key.g, &Number::new(&x));
        case.same(
            private,
            computed.map(|computed| computed.y),
            Ok(key.y.clone()),
        );
    }
}

fn judge_answer(case: &Case<'_>, auth_type: &[u8], user: &str, signed: &[u8]) {
    case.same_hex("signedResponse", signed);
    let (nonce, digest) = (case.hex("nonce"), case.hex("requestDigest"));
    if auth_type == challenge::SECRET_KEY {
        let (Some(nonce), Some(digest)) = (nonce, digest) else {
            return;
        };
        let Some(secret) = case.octets_or_text("secret") else {
            return;
        };
        let secret = SecretKey::new(&secret);
        case.ok(
            "answer",
            challenge::verify_secret_answer(&secret, &nonce, &digest, signed),
        );
        let mut other = digest.clone();
        other[0] ^= 1;
        let refused = challenge::verify_secret_answer(&secret, &nonce, &other, signed).is_err();
        case.holds("another digest is refused", refused);
        let salt = signed
            .get(5..21)
            .and_then(|salt| salt.try_into().ok())
            .unwrap_or([0; 16]);
        let version = Packet::decode(case.octets()).map(|packet| packet.envelope.version);
        if let Some(version) = case.ok("version", version) {
            let again = challenge::answer_with_secret(version, &secret, &nonce, &digest, &salt);
            case.same_octets("answer made again", &again, signed);
        }
        return;
    }
    let Some(answer) = case.ok("signed response", KeyAnswer::decode(signed)) else {
        return;
    };
    case.same_octets("signed response encoded again", &answer.encode(), signed);
    case.same_text("hashAlgorithm", answer.algorithm);
    case.same_hex("signature", answer.signature);
    case.remark("signatureAlgorithm");
    let key = keys::named_key(case);
    let verifies = case
        .field("verifies")
        .and_then(Json::as_bool)
        .unwrap_or(true);
    // The signed octets are nonce and digest; sixteen of them are the nonce.
    let message = case.hex("signedBytes").filter(|octets| octets.len() > 16);
    if let (Some(key), Some(message)) = (key, message) {
        let (nonce, digest) = message.split_at(16);
        let outcome = challenge::verify_key_answer(&key, user, nonce, digest, signed);
        case.same("verifies", outcome.is_ok(), verifies);
        let other = challenge::verify_key_answer(&key, user, digest, nonce, signed);
        case.holds("another challenge is refused", other.is_err());
    }
}

fn judge_response(case: &Case<'_>, response: &Response<'_>) {
    match &response.body {
        Body::Record { handle, values } => {
            case.same_text("handle", handle);
            case.same_len("values", values.len());
            form::check_values(case, *values);
        }
        Body::Referral { handle, values } => {
            case.same_text("referralHandle", handle);
            case.same_text("handle", handle);
            if let Some(values) = values {
                case.same_len("values", values.len());
                form::check_values(case, *values);
            }
        }
        Body::Challenge { nonce } => case.same_hex("nonce", nonce),
        Body::SiteInfo(octets) => {
            if let Some(site) = case.ok("site record", Site::decode(octets)) {
                case.same_octets("site record encoded again", &site.encode(), octets);
                form::site_fields(case, &site);
            }
        }
        Body::Created(handle) => case.same_text("handle", handle.unwrap_or_default()),
        Body::Handles(handles) => {
            for handle in handles.iter() {
                case.ok("handle in the list", HandleRef::from_wire(handle));
            }
            case.same_len("count", handles.iter().count());
            if let Some(expected) = case.list("handles") {
                let text = |handle| Json::from(String::from_utf8_lossy(handle));
                let found: Vec<_> = handles.iter().map(text).collect();
                case.same("handles", &found, expected);
            }
        }
        Body::Verified(octet) => case.same_bool("valid", octet & 1 == 1),
        Body::Session { mode, data, .. } => {
            case.same_int("mode", *mode);
            session_reply(case, *mode, data);
        }
        _ => {}
    }
}

/// The server's part of a key exchange: with Diffie-Hellman a cipher code and a key.
fn session_reply(case: &Case<'_>, mode: i16, data: &[u8]) {
    if mode != 4 {
        return;
    }
    // Before version 2.4 there is no cipher code.
    let (cipher, key) = match data.split_first_chunk::<4>() {
        Some((code, key)) if PublicKey::decode(data).is_err() => (
            case.ok("cipher", Cipher::from_code(i32::from_be_bytes(*code))),
            key,
        ),
        _ => (None, data),
    };
    exchanged_key(case, key, "serverX");
    let beside = case
        .name()
        .replace("response", "request")
        .replace("resp-", "req-");
    let x = case
        .known
        .get(&beside)
        .and_then(|vector| vector.fields.get("clientX")?.as_str());
    let x = x.and_then(crate::case::unhex);
    if let (Some(cipher), Some(x), Ok(PublicKey::Dh(key))) = (cipher, x, PublicKey::decode(key))
        && let Some(secret) = case.ok("shared secret", dh_shared_secret(&key, &Number::new(&x)))
    {
        case.ok("session key", SessionKey::derive(cipher, &secret));
    }
}

//----------- Cut and encrypted packets --------------------------------------

/// One datagram of several, or an envelope alone. If all datagrams are known they are joined.
fn datagram(case: &Case<'_>, envelope: &Envelope) {
    case.holds(
        "a part is not taken for the whole",
        Message::decode(case.octets()).is_err(),
    );
    if case.octets().len() == ENVELOPE_LEN {
        return;
    }
    let of_same_message = |octets: &[u8]| {
        let other = Envelope::decode(&mut Reader::new(octets)).ok()?;
        let is_part = octets.len() < ENVELOPE_LEN + usize::try_from(other.message_len).ok()?;
        let same = (other.request_id, other.message_len, other.truncated)
            == (
                envelope.request_id,
                envelope.message_len,
                envelope.truncated,
            );
        (same && is_part).then_some(other.sequence)
    };
    let mut parts: Vec<(i32, &[u8])> = case
        .known
        .iter()
        .filter(|vector| vector.fields.contains_key("packet"))
        .filter_map(|vector| Some((of_same_message(&vector.octets)?, &vector.octets[..])))
        .collect();
    parts.sort_unstable();
    parts.dedup_by_key(|(sequence, _)| *sequence);
    let mut reassembly = Reassembly::new();
    // Order does not matter, so the last comes first.
    for (_, part) in parts.iter().rev() {
        let Some(joined) = case.ok("datagram", reassembly.on_datagram((), part, 0)) else {
            return;
        };
        if let Joined::Whole(packet) = joined {
            let mut again = Vec::new();
            split(&packet, |datagram| again.push(datagram.to_vec()));
            let parts: Vec<_> = parts.iter().map(|(_, part)| part.to_vec()).collect();
            case.same("datagrams cut again", again, parts);
            if let Some(message) = case.ok("joined message", Message::decode(&packet)) {
                judge_message(case, &message);
            }
        }
    }
}

/// Opened with the key of the live session, if it belongs to that.
fn encrypted(case: &Case<'_>) {
    let Some(packet) = case.ok("packet", Packet::decode(case.octets())) else {
        return;
    };
    case.holds(
        "encrypted octets are not a message",
        Message::decode(case.octets()).is_err(),
    );
    let Some(key) = keys::live_session(case.known, packet.envelope.session_id) else {
        return;
    };
    let version = packet.envelope.version;
    let Some(clear) = case.ok("decryption", key.decrypt(version, packet.octets)) else {
        return;
    };
    case.same_hex("clear", &clear);
    let iv = packet.octets.first_chunk::<16>();
    if let Some(iv) = case.ok("vector", iv.ok_or("no initialisation vector")) {
        let again = key.encrypt(version, &clear, iv);
        case.same_octets("encrypted again", &again.unwrap_or_default(), packet.octets);
    }
    if let Some(message) = case.ok("message", Message::parse(packet.envelope, &clear)) {
        judge_message(case, &message);
    }
}

//----------- Texts and requests beside a reply ------------------------------

/// What a client of Java says about the packet: `Error(301): SERVER NOT …: text of the server`, or
/// an exception where that client had no key to open it with.
fn error_text(case: &Case<'_>, envelope: &Envelope) {
    let text = case
        .vector
        .fields
        .get("text")
        .and_then(Json::as_str)
        .unwrap_or_default();
    let Some((code, said)) = text
        .strip_prefix("Error(")
        .and_then(|rest| rest.split_once("): "))
    else {
        if text.contains("Exception") {
            case.remark("text");
            let refused = Message::decode(case.octets()).is_err();
            case.holds("what the text says", refused || envelope.encrypted);
        }
        return;
    };
    case.remark("text");
    let Some(message) = case.ok("message", Message::decode(case.octets())) else {
        return;
    };
    case.same(
        "code in the text",
        code.parse().ok(),
        Some(message.header.code.0),
    );
    match Response::of(&message).map(|response| response.body) {
        Ok(Body::Error { text: server, .. }) => {
            let server = String::from_utf8_lossy(server);
            case.holds("text of the server", said.ends_with(server.as_ref()));
        }
        _ => case.holds("the server says nothing", !said.contains(": ")),
    }
}

/// The request that led to a reply: well-formed exactly if the reply names its operation.
fn request_of_reply(case: &Case<'_>) {
    let Some(octets) = case.hex("request") else {
        return;
    };
    let Some(reply) = case.ok("reply", Message::decode(case.octets())) else {
        return;
    };
    match Message::decode(&octets) {
        Ok(_) if reply.header.op.0 == 0 => {}
        Ok(request) => case.same("operation", request.header.op, reply.header.op),
        Err(error) => {
            case.same(
                &format!("operation of a request refused: {error}"),
                reply.header.op.0,
                0,
            );
        }
    }
}
