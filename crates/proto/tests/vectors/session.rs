//! Vectors of sessions: keys, ciphers, clear text of what was encrypted.

use guantong_proto::crypto::session::{Cipher, SessionKey, dh_shared_secret};
use guantong_proto::crypto::sm2;
use guantong_proto::data::PublicKey;
use guantong_proto::data::key::Number;
use guantong_proto::message::{
    Body, Envelope, Header, KeyExchange, Message, Packet, Request, Response, Version,
};
use guantong_proto::wire::Writer;

use crate::case::{Case, unhex};
use crate::keys;
use crate::packet::judge_message;

//----------- Sessions -------------------------------------------------------

/// The key in `key`, else the range of octets that the description states, else 0x10, 0x11, ….
fn stated_key(case: &Case<'_>) -> Vec<u8> {
    let key = case.hex("key").or_else(|| case.hex("sessionKey"));
    key.unwrap_or_else(|| {
        let (from, to) = range(&case.vector.description).unwrap_or((0x10, 0x2f));
        (from..=to).collect()
    })
}

/// The first `0x10..0x2f` in a text.
fn range(text: &str) -> Option<(u8, u8)> {
    let (before, after) = text.split_once("..")?;
    let from = before.rsplit("0x").next()?;
    let to = after.strip_prefix("0x")?.get(..2)?;
    Some((
        u8::from_str_radix(from, 16).ok()?,
        u8::from_str_radix(to, 16).ok()?,
    ))
}

pub(crate) fn session_cipher(case: &Case<'_>) -> Option<()> {
    let name = case.name();
    let cipher = match () {
        () if name.contains("3des") || name.contains("desede") => Cipher::TripleDes,
        () if name.contains("des") => Cipher::Des,
        () if name.contains("sm4") => Cipher::Sm4,
        () => Cipher::Aes,
    };
    let key = case.ok("session key", SessionKey::new(cipher, &stated_key(case)))?;
    // With an initialisation vector in front, or as before version 2.4 without.
    let stated = case.hex("clear");
    let versions = [Version::OURS, Version::new(2, 3)].into_iter();
    let mut opened = versions.filter_map(|version| {
        let clear = key.decrypt(version, case.octets()).ok()?;
        let fits = stated.as_ref().is_none_or(|stated| *stated == clear);
        fits.then_some((version, clear))
    });
    let (version, clear) = case.ok("decryption", opened.next().ok_or("not the clear text"))?;
    case.same_text("roundTrip", &clear);
    let mut iv = [0; 16];
    let len = cipher.block_len().min(case.octets().len());
    iv[..len].copy_from_slice(&case.octets()[..len]);
    let again = case.ok("encryption", key.encrypt(version, &clear, &iv))?;
    case.same_octets("encrypted again", &again, case.octets());
    Some(())
}

/// i32 cipher, then the key that the exchange led to.
pub(crate) fn derived_key(case: &Case<'_>) -> Option<()> {
    let key = case.ok("session key", SessionKey::decode(case.octets()))?;
    case.same_int("algorithmCode", key.cipher().code());
    if let Some(secret) = case.hex("rawSharedSecret") {
        let derived = SessionKey::derive(key.cipher(), &Number::new(&secret));
        case.same("derived key", derived.as_ref(), Ok(&key));
    }
    Some(())
}

/// The key of the live session: follows from the exchange beside it.
pub(crate) fn session_key(case: &Case<'_>) -> Option<()> {
    let id = i32::try_from(case.int("sessionId")?).ok()?;
    let key = keys::live_session(case.known, id)?;
    case.same_octets("key of the session", key.as_bytes(), case.octets());
    case.same_int("algorithm", key.cipher().code());
    let stem = case.name().trim_end_matches("key");
    let reply = case.known.get(&format!("{stem}setup-response"));
    let (Some(reply), Some(x)) = (reply, case.hex("clientX")) else {
        return Some(());
    };
    let message = case.ok("reply", Message::decode(&reply.octets))?;
    case.same("session id", message.envelope.session_id, id);
    let Ok(Body::Session { data, .. }) = Response::of(&message).map(|r| r.body) else {
        return None;
    };
    let Ok(PublicKey::Dh(theirs)) = PublicKey::decode(data.get(4..)?) else {
        return None;
    };
    let secret = case.ok("shared secret", dh_shared_secret(&theirs, &Number::new(&x)))?;
    let derived = case.ok("derived key", SessionKey::derive(key.cipher(), &secret))?;
    case.same_octets("derived key", derived.as_bytes(), case.octets());
    Some(())
}

/// A session key encrypted to the key of a user.
pub(crate) fn wrapped_key(case: &Case<'_>) -> Option<()> {
    case.same_int("length", i64::try_from(case.octets().len()).ok()?);
    let clear = if let Some(d) = case.hex("privateD") {
        case.ok(
            "decryption",
            sm2::decrypt(d.as_slice().try_into().ok()?, case.octets()),
        )?
    } else {
        let named = case.vector.description.split(&[' ', ')'][..]);
        let vector = named.filter_map(|word| case.known.get(word)).next()?;
        let der = vector
            .fields
            .get("testPrivateKeyPkcs8")?
            .as_str()
            .and_then(unhex)?;
        rsa_decrypt(&der, case.octets())?
    };
    case.same_hex("clear", &clear);
    case.same_hex("decrypted", &clear);
    case.ok("session key", SessionKey::decode(&clear));
    Some(())
}

/// Textbook RSA for the eyes of this test: the library itself never decrypts with RSA.
fn rsa_decrypt(pkcs8: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
    use crypto_bigint::{BoxedUint, Odd};
    use pkcs8::der::asn1::UintRef;
    use pkcs8::der::{Decode, Reader as _, SliceReader};
    let info = pkcs8::PrivateKeyInfoRef::try_from(pkcs8).ok()?;
    let mut reader = SliceReader::new(info.private_key.as_bytes()).ok()?;
    let numbers = reader.sequence(|r| {
        let _version = UintRef::decode(r)?;
        let (n, _e, d) = (
            UintRef::decode(r)?,
            UintRef::decode(r)?,
            UintRef::decode(r)?,
        );
        let numbers = (n.as_bytes().to_vec(), d.as_bytes().to_vec());
        r.drain(r.remaining_len())?;
        Ok::<_, pkcs8::der::Error>(numbers)
    });
    let (n, d) = numbers.ok()?;
    let bits = u32::try_from(n.len() * 8).ok()?;
    let number = |octets: &[u8]| BoxedUint::from_be_slice(octets, bits).ok();
    let parameters = BoxedMontyParams::new(Odd::new(number(&n)?).into_option()?);
    let power = BoxedMontyForm::new(number(ciphertext)?, &parameters).pow(&number(&d)?);
    let padded = power.retrieve().to_be_bytes();
    let rest = padded.strip_prefix(&[0, 2])?;
    let end = rest.iter().position(|octet| *octet == 0)?;
    Some(rest[end + 1..].to_vec())
}

/// Clear text of the encrypted message of the same name.
pub(crate) fn decrypted(case: &Case<'_>) -> Option<()> {
    let stem = case.name().strip_suffix("-decrypted")?;
    let beside = ["-response", "-request"].map(|end| case.known.get(&format!("{stem}{end}")));
    let packet = beside.into_iter().flatten().find_map(|vector| {
        Packet::decode(&vector.octets)
            .ok()
            .filter(|packet| packet.envelope.encrypted)
    });
    let mut envelope = Envelope::new(Version::OURS, 0);
    let key = packet.and_then(|p| keys::live_session(case.known, p.envelope.session_id));
    if let (Some(packet), Some(key)) = (packet, key) {
        let clear = case.ok(
            "decryption",
            key.decrypt(packet.envelope.version, packet.octets),
        )?;
        case.same_octets("clear text", &clear, case.octets());
        envelope = packet.envelope;
    }
    let message = case.ok("message", Message::parse(envelope, case.octets()))?;
    if packet.is_some() {
        judge_message(case, &message);
    }
    Some(())
}

/// A message without its envelope.
pub(crate) fn bare_message(case: &Case<'_>) -> Option<()> {
    let message = Message::parse(Envelope::new(Version::OURS, 0), case.octets()).ok()?;
    let header: Header = message.header;
    if header.code.0 != 0 || header.op.name().is_none() {
        return None;
    }
    case.same_int("opCode", header.op.0);
    let request = case.ok("request", Request::of(&message))?;
    let body = Writer::to_vec(|w| request.encode(message.envelope.version, w));
    case.same_octets("request encoded again", &body, message.body);
    if let Request::SessionSetup(setup) = &request {
        case.same_int("mode", setup.exchange.mode());
        if let KeyExchange::HandleKey { handle, .. } = setup.exchange {
            case.same_text("handle", handle);
        }
    }
    Some(())
}
