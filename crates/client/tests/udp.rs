//! Questions by UDP to peers who answer soundly, wrongly, in pieces or not at all.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail by panic"
)]

mod peer;

use std::time::Duration;

use guantong_client::limits::{DATAGRAM_LEN_MAX, ERROR_TEXT_CHARS_MAX};
use guantong_client::{Error, Fault, Outcome, Query, Trace};
use guantong_proto::data::PublicKey;
use guantong_proto::frame::split;
use guantong_proto::message::{Body, Message, ResponseCode};
use peer::{HANDLE, Script, fault, impatient, outcome, patient};
use tokio::net::UdpSocket;

fn datagrams(packet: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    split(packet, |datagram| all.push(datagram.to_vec()));
    all
}

/// The fault for which the answers of `script` are ignored.
async fn ignored(script: Script) -> Fault {
    let address = peer::udp(move |request, _| vec![script.answer(request)]).await;
    let client = impatient(&format!("udp://{address}")).build();
    fault(client.resolve(HANDLE).await.unwrap_err())
}

#[tokio::test]
async fn values_of_a_record_arrive() {
    let address = peer::udp(|request, _| vec![Script::default().answer(request)]).await;
    let answer = patient(&format!("udp://{address}"))
        .resolve(HANDLE)
        .await
        .unwrap();
    assert_eq!(answer.text("url"), Some("https://example.org/"));
    assert_eq!(answer.header().site_serial, 7);
    assert_eq!(answer.peer(), address);
    assert!(!answer.is_signed() && !answer.is_authoritative());
    answer.verify(&PublicKey::Other(Vec::new())).unwrap_err();
}

#[tokio::test]
async fn datagrams_that_are_no_answer_are_ignored_until_the_answer_comes() {
    let address = peer::udp(|request, _| {
        let sound = Script::default().answer(request);
        let foreign = Script {
            id_offset: 1,
            ..Script::default()
        };
        let forged = Script {
            digest_flip: 1,
            ..Script::default()
        };
        let mut huge = sound.clone();
        huge[16..20].copy_from_slice(&i32::MAX.to_be_bytes());
        let mut negative = sound.clone();
        negative[16] = 0xff;
        vec![
            Vec::new(),
            b"x".to_vec(),
            request.to_vec(),
            sound[..40].to_vec(),
            huge,
            negative,
            foreign.answer(request),
            forged.answer(request),
            sound,
        ]
    })
    .await;
    let client = patient(&format!("udp://{address}"));
    let mut trace = Trace::default();
    let query = Query::parse(HANDLE).unwrap();
    client.query_traced(&query, &mut trace).await.unwrap();
    assert_eq!(trace.attempts[0].ignored, 8);
    assert_eq!(trace.attempts[0].tries, 1);
}

#[tokio::test]
async fn each_kind_of_wrong_answer_has_its_reason() {
    let base = Script::default;
    let foreign = ignored(Script {
        id_offset: 1,
        ..base()
    })
    .await;
    assert!(matches!(foreign, Fault::ForeignId(_)), "{foreign}");
    let other = ignored(Script {
        handle: "88.118.5/b".into(),
        ..base()
    })
    .await;
    assert_eq!(other, Fault::OtherHandle("88.118.5/b".into()));
    assert_eq!(
        ignored(Script {
            digest: false,
            ..base()
        })
        .await,
        Fault::NoDigest
    );
    assert_eq!(
        ignored(Script {
            digest_flip: 9,
            ..base()
        })
        .await,
        Fault::WrongDigest
    );
    assert_eq!(
        ignored(Script {
            expiration: 5,
            ..base()
        })
        .await,
        Fault::Expired(5)
    );
    let request = ignored(Script::refusal(ResponseCode::RESERVED)).await;
    assert_eq!(request, Fault::NotAnAnswer);
}

#[tokio::test]
async fn spelling_of_the_handle_may_differ_in_case() {
    let script = Script {
        handle: "88.118.5/A".into(),
        ..Script::default()
    };
    let address = peer::udp(move |request, _| vec![script.answer(request)]).await;
    let answer = patient(&format!("udp://{address}"))
        .resolve(HANDLE)
        .await
        .unwrap();
    assert_eq!(answer.handle().as_str(), HANDLE);
}

#[tokio::test]
async fn answer_from_another_address_does_not_reach_us() {
    let address = peer::udp(|_, _| Vec::new()).await;
    let spy = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let proxy = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let target = proxy.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (len, client) = proxy.recv_from(&mut buffer).await.unwrap();
            let answer = Script::default().answer(&buffer[..len]);
            spy.send_to(&answer, client).await.unwrap();
            proxy.send_to(b"", address).await.unwrap();
        }
    });
    let client = impatient(&format!("udp://{target}")).build();
    let found = outcome(client.resolve(HANDLE).await.unwrap_err());
    assert_eq!(found, Outcome::NoAnswer(None));
}

#[tokio::test]
async fn request_is_sent_again_until_it_is_answered() {
    let address = peer::udp(|request, number| match number {
        0 | 1 => Vec::new(),
        _ => vec![Script::default().answer(request)],
    })
    .await;
    let [short, long] = [10, 60_000].map(Duration::from_millis);
    let client = impatient(&format!("udp://{address}"));
    let client = client.udp_waits([short, short, long]).build();
    let mut trace = Trace::default();
    let query = Query::parse(HANDLE).unwrap();
    client.query_traced(&query, &mut trace).await.unwrap();
    assert_eq!(trace.attempts[0].tries, 3);
}

#[tokio::test]
async fn silence_ends_after_the_last_wait() {
    let address = peer::udp(|_, _| Vec::new()).await;
    let client = impatient(&format!("udp://{address}"));
    let client = client.udp_waits([Duration::from_millis(10); 3]).build();
    let error = client.resolve(HANDLE).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&format!("udp {address}: no answer after 3 tries")),
        "{text}"
    );
    assert!(matches!(error, Error::Unreachable { .. }));
}

#[tokio::test]
async fn endless_garbage_does_not_prolong_the_waits() {
    let address = peer::udp(|_, _| vec![b"garbage".to_vec(); 50_000]).await;
    let client = impatient(&format!("udp://{address}")).build();
    let error = fault(client.resolve(HANDLE).await.unwrap_err());
    assert!(matches!(error, Fault::Malformed(_)));
}

#[tokio::test]
async fn split_answer_is_joined_in_any_order_with_or_without_the_bit() {
    for with_bit in [true, false] {
        let address = peer::udp(move |request, _| {
            let mut all = datagrams(&Script::large(5_000).answer(request));
            all.reverse();
            if !with_bit {
                all.iter_mut().for_each(|datagram| datagram[2] &= !0x20);
            }
            all
        })
        .await;
        let answer = patient(&format!("udp://{address}"))
            .resolve(HANDLE)
            .await
            .unwrap();
        assert_eq!(answer.values()[0].data.len(), 5_000);
    }
}

#[tokio::test]
async fn split_answer_with_a_hole_is_given_up_after_the_first_wait() {
    let address = peer::udp(|request, _| {
        let mut all = datagrams(&Script::large(5_000).answer(request));
        all.remove(3);
        all
    })
    .await;
    let client = impatient(&format!("udp://{address}")).build();
    let mut trace = Trace::default();
    let query = Query::parse(HANDLE).unwrap();
    client.query_traced(&query, &mut trace).await.unwrap_err();
    assert_eq!(trace.attempts[0].outcome, Outcome::Incomplete);
    assert_eq!(trace.attempts[0].tries, 1);
}

#[tokio::test]
async fn datagram_of_a_generous_server_is_taken_up_to_the_limit() {
    let ask = async |len: usize| {
        let address = peer::udp(move |request, _| {
            let around = Script::large(0).answer(request).len();
            vec![Script::large(len - around).answer(request)]
        })
        .await;
        let client = impatient(&format!("udp://{address}")).build();
        client.resolve(HANDLE).await
    };
    assert!(ask(DATAGRAM_LEN_MAX).await.is_ok());
    let error = ask(DATAGRAM_LEN_MAX + 1).await.unwrap_err();
    assert!(matches!(outcome(error), Outcome::NoAnswer(_)));
}

#[tokio::test]
async fn text_of_a_server_is_kept_up_to_the_limit() {
    let address = peer::udp(|request, _| {
        let script = Script::refusal(ResponseCode::SERVER_NOT_RESPONSIBLE);
        let text = "错".repeat(ERROR_TEXT_CHARS_MAX + 1);
        let (text, rest) = (text.as_bytes(), &b""[..]);
        let request = Message::decode(request).unwrap();
        let answer = script.answer_with(&request, Body::Error { text, rest });
        datagrams(&answer)
    })
    .await;
    let error = patient(&format!("udp://{address}"))
        .resolve(HANDLE)
        .await
        .unwrap_err();
    let said = error.to_string().matches('错').count();
    assert_eq!(said, ERROR_TEXT_CHARS_MAX);
}

#[tokio::test]
async fn what_the_server_says_becomes_the_error() {
    let ask = async |script: Script| {
        let address = peer::udp(move |request, _| vec![script.answer(request)]).await;
        patient(&format!("udp://{address}"))
            .resolve(HANDLE)
            .await
            .unwrap_err()
    };
    let not_found = ask(Script::refusal(ResponseCode::HANDLE_NOT_FOUND)).await;
    assert!(matches!(not_found, Error::NotFound { .. }));
    let no_values = ask(Script::refusal(ResponseCode::VALUES_NOT_FOUND)).await;
    assert!(matches!(no_values, Error::NoSuchValues { .. }));
    let refused = ask(Script::refusal(ResponseCode::SERVER_NOT_RESPONSIBLE)).await;
    assert_eq!(
        refused.to_string(),
        "the server refused with code 301 (server not responsible for handle): \
         because\\u{1b}[2J"
    );
    let referred = ask(Script {
        handle: "0.NA/88".into(),
        ..Script::refusal(ResponseCode::PREFIX_REFERRAL)
    });
    assert!(matches!(referred.await, Error::Referred { target, .. } if target == "0.NA/88"));
}

#[tokio::test]
async fn general_error_ends_the_attempt_at_once_and_needs_no_digest() {
    for digest in [true, false] {
        let refusal = Script::refusal(ResponseCode::ERROR);
        let script = Script { digest, ..refusal };
        let address = peer::udp(move |request, _| vec![script.answer(request)]).await;
        let mut trace = Trace::default();
        let query = Query::parse(HANDLE).unwrap();
        let client = patient(&format!("udp://{address}"));
        let error = client.query_traced(&query, &mut trace).await.unwrap_err();
        assert!(matches!(
            error,
            Error::Refused {
                code: ResponseCode::ERROR,
                ..
            }
        ));
        assert!(matches!(
            trace.attempts[0].outcome,
            Outcome::Declined { .. }
        ));
    }
}
