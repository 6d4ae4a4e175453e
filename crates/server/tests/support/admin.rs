//! An administrator with a secret key, and requests that it proves.

use guantong_proto::crypto::challenge::answer_with_secret;
use guantong_proto::data::{Admin, AdminPermissions, SecretKey};
use guantong_proto::message::{
    Body, Envelope, Message, OpCode, OpFlags, RequestBuilder, Response, ResponseCode, Version,
};
use guantong_proto::wire::Writer;
use guantong_proto::{Permissions, Value};
use guantong_server::Running;

use super::{Place, Tcp, decode, put_values, value};

pub(crate) const USER: &str = "88.118.5/admin";
pub(crate) const SECRET: &str = "correct horse battery staple";

/// A secret key that administrators may read.
pub(crate) fn secret_value(index: i32) -> Value {
    Value {
        permissions: Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE),
        ..value(index, "HS_SECKEY", SECRET)
    }
}

pub(crate) fn node(place: &mut Place) -> Running {
    let admin = format!("300:{USER}").parse().unwrap();
    place.config.administration.rules.replication_admins = vec![admin];
    let node = place.start();
    put_values(&node, USER, &[secret_value(300), secret_value(301)]);
    node
}

pub(crate) fn builder(session_id: i32, request_id: i32) -> RequestBuilder {
    let mut envelope = Envelope::new(Version::OURS, request_id);
    envelope.session_id = session_id;
    RequestBuilder {
        envelope,
        flags: OpFlags::DEFAULT,
        expiration: u32::MAX / 2,
    }
}

/// A request for everything, as a mirror asks.
pub(crate) fn dump(request_id: i32) -> Vec<u8> {
    let body = Writer::to_vec(|w| {
        w.u8(2);
        w.i32(1);
        w.i32(0);
    });
    builder(0, request_id).packet(OpCode::DUMP_HANDLES, &body)
}

/// The answer to a challenge by secret key.
pub(crate) fn answer(challenge: &[u8], index: i32, secret: &str, request_id: i32) -> Vec<u8> {
    answer_with(challenge, index, secret.as_bytes(), request_id)
}

/// The same, with any octets as secret.
pub(crate) fn answer_with(challenge: &[u8], index: i32, secret: &[u8], request_id: i32) -> Vec<u8> {
    let message = Message::decode(challenge).unwrap();
    let response = Response::of(&message).unwrap();
    let Body::Challenge { nonce } = response.body else {
        unreachable!("{response:?}")
    };
    let (secret, digest) = (SecretKey::new(secret), response.digest.unwrap());
    let signed = answer_with_secret(Version::OURS, &secret, nonce, digest.octets, &[3; 16]);
    let body = Writer::to_vec(|w| {
        w.bytes(b"HS_SECKEY");
        w.bytes(USER.as_bytes());
        w.i32(index);
        w.bytes(&signed);
    });
    let session_id = message.envelope.session_id;
    builder(session_id, request_id).packet(OpCode::CHALLENGE_ANSWER, &body)
}

/// The administrator of the prefix may do everything, by its prefix record.
pub(crate) fn administered(place: &mut Place) -> Running {
    let admin: guantong_core::admin::Identity = format!("300:{USER}").parse().unwrap();
    place.config.administration.rules.server_admins = vec![admin.clone()];
    let node = node(place);
    put_values(&node, "0.NA/88.118.5", &[admin_value()]);
    node
}

pub(crate) fn admin_value() -> Value {
    value(
        100,
        "HS_ADMIN",
        Admin::new(AdminPermissions::ALL, USER, 300).encode(),
    )
}

/// Carries out a request with a proof; the last reply.
pub(crate) fn prove(tcp: &mut Tcp, request: &[u8]) -> Vec<u8> {
    tcp.send(request);
    let challenge = tcp.receive();
    let code = Message::decode(&challenge).unwrap().header.code;
    assert_eq!(
        code,
        ResponseCode::AUTHENTICATION_NEEDED,
        "{:?}",
        decode(&challenge)
    );
    tcp.send(&answer(&challenge, 300, SECRET, 7));
    tcp.receive()
}

pub(crate) fn code_of(reply: &[u8]) -> i32 {
    Message::decode(reply).unwrap().header.code.0
}

/// A request to write values.
pub(crate) fn write_request(op: OpCode, name: &str, values: &[Value]) -> Vec<u8> {
    builder(0, 5).write(op, name, values)
}

/// The names of a list that begins with `reply`, by its messages.
pub(crate) fn pages_of(mut reply: Vec<u8>, tcp: &mut Tcp) -> Vec<Vec<Vec<u8>>> {
    let mut pages = Vec::new();
    loop {
        let message = Message::decode(&reply).unwrap();
        let Body::Handles(handles) = Response::of(&message).unwrap().body else {
            unreachable!("{:?}", decode(&reply))
        };
        pages.push(handles.iter().map(<[u8]>::to_vec).collect());
        if !message.header.flags.has(OpFlags::CONTINUOUS) {
            return pages;
        }
        reply = tcp.receive();
    }
}

/// How many there are in each message.
pub(crate) fn lens(pages: &[Vec<Vec<u8>>]) -> Vec<usize> {
    pages.iter().map(Vec::len).collect()
}
