//! Whole packets: envelope, header, bodies of requests and responses.

#![no_main]

use guantong_proto::json::ValueForm;
use guantong_proto::message::{Body, Message, Request, Response};
use guantong_proto::wire::Writer;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let Ok(message) = Message::decode(octets) else {
        return;
    };
    let mut encoded = Vec::new();
    message.encode(&mut encoded);
    assert_eq!(encoded, octets[..encoded.len()]);
    if let Ok(request) = Request::of(&message) {
        let version = message.envelope.version;
        let body = Writer::to_vec(|w| request.encode(version, w));
        assert_eq!(body, message.body[..body.len()]);
    }
    if let Ok(Response {
        body: Body::Record { values, .. },
        ..
    }) = Response::of(&message)
    {
        for form in ValueForm::list(values) {
            serde_json::to_string(&form).expect("every value has a JSON form");
        }
    }
});
