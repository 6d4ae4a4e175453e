//! Keys that vectors refer to, by name or by what they signed.

use guantong_proto::crypto::jws::Jws;
use guantong_proto::crypto::session::{Cipher, SessionKey};
use guantong_proto::data::{PublicKey, Site};
use guantong_proto::message::{Body, Message, Request, Response};
use serde_json::Value as Json;

use crate::case::{Case, Vector, Vectors, unhex};

/// Every public key that any vector states, with the name of the vector.
pub(crate) fn all_keys(known: &Vectors) -> Vec<(String, PublicKey)> {
    let mut keys = Vec::new();
    for vector in known.iter() {
        let mut add = |key: PublicKey| keys.push((vector.name.clone(), key));
        if vector.name.contains("pubkey") {
            PublicKey::decode(&vector.octets)
                .into_iter()
                .for_each(&mut add);
        }
        if let Some(spki) = vector.fields.get("spki").and_then(|json| json.as_str()) {
            unhex(spki)
                .map(PublicKey::Sm2)
                .into_iter()
                .for_each(&mut add);
        }
        let claims = Jws::parse(&vector.octets).and_then(|jws| jws.claims());
        claims
            .and_then(|claims| claims.key())
            .into_iter()
            .for_each(&mut add);
        if let Some(site) = site_of(vector) {
            site.servers
                .iter()
                .filter_map(|server| server.key().ok())
                .for_each(&mut add);
        }
    }
    keys
}

/// The site record in the reply of a server.
fn site_of(vector: &Vector) -> Option<Site> {
    let message = Message::decode(&vector.octets).ok()?;
    match Response::of(&message).ok()?.body {
        Body::SiteInfo(octets) if message.header.code.0 == 1 => Site::decode(octets).ok(),
        _ => None,
    }
}

/// The keys of the running server that the `live-*` vectors were taken from.
pub(crate) fn server_keys(known: &Vectors) -> Vec<PublicKey> {
    let live = known
        .iter()
        .filter(|vector| vector.name.starts_with("live-"));
    let sites = live.filter_map(site_of);
    sites
        .flat_map(|site| site.servers)
        .filter_map(|server| server.key().ok())
        .collect()
}

/// The key that the field `keyVector` names, or that the vector itself states.
pub(crate) fn named_key(case: &Case<'_>) -> Option<PublicKey> {
    let spki = case.hex("spki").map(PublicKey::Sm2);
    let name = case.text("keyVector");
    let Some(vector) = name.map(|name| (name, case.known.get(name))) else {
        return spki;
    };
    match vector {
        (_, Some(vector)) => PublicKey::decode(&vector.octets).ok().or(spki),
        (name, None) => {
            case.fault(format!("the key vector {name} is in none of the files"));
            None
        }
    }
}

/// The sessions whose keys are stated: id and key of each.
pub(crate) fn live_sessions(known: &Vectors) -> Vec<(i32, SessionKey)> {
    let read = |vector: &Vector| {
        let id = vector.fields.get("sessionId")?.as_i64()?;
        let code = vector
            .fields
            .get("algorithm")
            .and_then(Json::as_i64)
            .unwrap_or(3);
        let cipher = Cipher::from_code(i32::try_from(code).ok()?).ok()?;
        let key = SessionKey::new(cipher, &vector.octets).ok()?;
        Some((i32::try_from(id).ok()?, key))
    };
    let stated = known.iter().filter(|vector| vector.name.ends_with("-key"));
    stated.filter_map(read).collect()
}

/// The key of one session.
pub(crate) fn live_session(known: &Vectors, id: i32) -> Option<SessionKey> {
    let sessions = live_sessions(known).into_iter();
    sessions
        .filter(|(found, _)| *found == id)
        .map(|(_, key)| key)
        .next()
}

/// Every identity that logs in or answers a challenge in any vector.
pub(crate) fn users(known: &Vectors) -> Vec<String> {
    let mut users: Vec<String> = Vec::new();
    for vector in known.iter() {
        let Ok(message) = Message::decode(&vector.octets) else {
            continue;
        };
        let request = Request::of(&message);
        if let Ok(Request::Login { user, .. } | Request::ChallengeAnswer { user, .. }) = request {
            users.push(String::from_utf8_lossy(user).into_owned());
        }
    }
    users.sort();
    users.dedup();
    users
}
