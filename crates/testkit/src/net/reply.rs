//! What the listeners of the server do to replies before they leave: over UDP a long one becomes a
//! short error, upon which the resolver asks by stream.

use guantong_proto::limits::ENVELOPE_LEN;
use guantong_proto::message::{Envelope, Header, OpFlags, ResponseCode, begin, finish};
use guantong_proto::wire::{Reader, Writer};

/// Octets of a reply, without its envelope, that the server sends by UDP.
const UDP_REPLY_LEN_MAX: usize = 1_400;

/// Replaces a reply that is too long for UDP.
pub(super) fn limit(reply: &mut Vec<u8>) {
    if reply.len() > ENVELOPE_LEN + UDP_REPLY_LEN_MAX {
        let text = "too long for UDP; ask over TCP";
        replace_by_error(reply, ResponseCode::ERROR, text);
    }
}

/// Turns a reply into an error without a digest.
fn replace_by_error(packet: &mut Vec<u8>, code: ResponseCode, text: &str) {
    let mut r = Reader::new(packet);
    let (Ok(envelope), Ok(header)) = (Envelope::decode(&mut r), Header::decode(&mut r)) else {
        return packet.clear();
    };
    let header = Header {
        code,
        flags: header.flags.without(OpFlags::RETURN_DIGEST),
        ..header
    };
    packet.clear();
    begin(packet, &envelope, &header);
    Writer::new(packet).bytes(text.as_bytes());
    finish(packet, 0, Some(&[]));
}
