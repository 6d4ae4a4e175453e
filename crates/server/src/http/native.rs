//! Native messages in HTTP (8.6): a packet in, a packet out, whatever the path says.

use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use guantong_proto::limits::EXPIRATION_DEFAULT_SECS;
use guantong_proto::message::{
    Envelope, Header, OpCode, OpFlags, ResponseCode, Version, begin, finish,
};
use guantong_proto::wire::Writer;

use super::asked::Asked;
use super::identity;
use crate::errand::Rest;
use crate::node::{Node, Via};

/// The media type of native messages.
const MEDIA_TYPE: &str = "application/x-hdl-message";

/// Most octets of a list in one HTTP body; the body is made before its length can be told.
const LIST_LEN_MAX: usize = 8 * 1024 * 1024;

/// Whether a content type is that of native messages.
pub(super) fn is_native_type(content_type: Option<&str>) -> bool {
    let media_type = content_type.and_then(|text| text.split(';').next());
    media_type.is_some_and(|text| text.trim().eq_ignore_ascii_case(MEDIA_TYPE))
}

/// Whether the request carries a native message. The content type alone decides: clients that
/// forget `Accept` exist, and nobody posts this type for another reason.
pub(super) fn is_native(asked: &Asked) -> bool {
    asked.method == Method::POST && is_native_type(asked.header(CONTENT_TYPE))
}

/// The reply in the same form, with its length: some clients cannot read chunks. Errors are native
/// messages too.
pub(super) async fn answer(node: &Node, asked: &Asked) -> Response {
    let via = Via {
        transport: asked.peer.transport(),
        peer: asked.peer.address,
        by_console: false,
    };
    let mut reply = Vec::new();
    match identity::check_native(node, asked) {
        Ok(()) => match node.answer_in_time(&asked.body, via, &mut reply).await {
            Rest::None | Rest::Proven => {}
            Rest::List(listing) => node.write_list(&listing, LIST_LEN_MAX, &mut reply),
            Rest::Stream(stream) => node.refuse_stream(&stream, &mut reply),
        },
        Err(failure) => refuse(node, failure.code(), failure.message(), &mut reply),
    }
    if reply.is_empty() {
        let text = "the body is too short for an envelope, or is itself a reply";
        refuse(node, ResponseCode::PROTOCOL_ERROR, text, &mut reply);
    }
    let headers = [
        (CONTENT_TYPE, MEDIA_TYPE.to_owned()),
        (CONTENT_LENGTH, reply.len().to_string()),
    ];
    (StatusCode::OK, headers, reply).into_response()
}

/// The request id of a reply to octets that name none (1.6).
const NO_REQUEST: i32 = -1;
/// The version that everybody reads.
const OLDEST: Version = Version::new(2, 3);

/// Refuses octets that elsewhere are not answered at all. Over HTTP somebody waits for an answer,
/// and a client of the protocol can read no other form of it.
fn refuse(node: &Node, code: ResponseCode, text: &str, reply: &mut Vec<u8>) {
    let header = Header {
        code,
        site_serial: node.site().serial(),
        ..Header::request(
            OpCode::RESERVED,
            OpFlags::DEFAULT,
            node.now_secs().saturating_add(EXPIRATION_DEFAULT_SECS),
        )
    };
    let start = begin(reply, &Envelope::new(OLDEST, NO_REQUEST), &header);
    Writer::new(reply).bytes(text.as_bytes());
    finish(reply, start, Some(&[]));
}
