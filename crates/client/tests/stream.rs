//! Questions through connections: kept, pipelined, closed at the wrong moment, dripping, lying.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail by panic"
)]

mod peer;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use guantong_client::limits::{ANSWER_OCTETS_MAX, MESSAGES_MAX, PIPELINE_MAX, UDP_REQUEST_LEN_MAX};
use guantong_client::{Connection, Error, Fault, Outcome, Query, Trace, Transport};
use guantong_proto::frame::split;
use guantong_proto::limits::MESSAGE_LEN_MAX;
use guantong_proto::message::{Body, Handles, Message, OpFlags, Response, ResponseCode};
use guantong_proto::wire::{Reader, Writer};
use peer::{HANDLE, Script, asked, fault, impatient, outcome, patient};

/// Time that no test needs.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn two_questions_share_one_connection() {
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let address = peer::tcp(move |mut stream, _| {
        count.fetch_add(1, Ordering::Relaxed);
        async move {
            while let Some(request) = stream.request().await {
                stream.send(&Script::default().answer(&request)).await;
            }
        }
    })
    .await;
    let client = patient(&format!("tcp://{address}"));
    client.resolve(HANDLE).await.unwrap();
    client.resolve(HANDLE).await.unwrap();
    assert_eq!(accepted.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn answers_in_another_order_find_their_questions() {
    let address = peer::tcp(|mut stream, _| async move {
        let first = stream.request().await.unwrap();
        let second = stream.request().await.unwrap();
        for request in [second, first] {
            let script = Script {
                handle: asked(&request),
                ..Script::default()
            };
            stream.send(&script.answer(&request)).await;
        }
    })
    .await;
    let connection = Connection::open(address, LONG).await.unwrap();
    let ask = async |name: &str| {
        let query = Query::parse(name).unwrap();
        connection
            .resolve(&query, LONG)
            .await
            .unwrap()
            .handle()
            .to_string()
    };
    let (a, b) = tokio::join!(ask("1/a"), ask("1/b"));
    assert_eq!((a.as_str(), b.as_str()), ("1/a", "1/b"));
}

#[tokio::test]
async fn no_more_than_the_limit_are_in_flight() {
    let address = peer::tcp(|mut stream, _| async move {
        // Answers come only when as many requests as may be in flight have arrived; if one more
        // were sent, the second round would be one short and never answered.
        for _ in 0..2 {
            let mut requests = Vec::new();
            while requests.len() < PIPELINE_MAX {
                requests.push(stream.request().await.unwrap());
            }
            for request in requests {
                stream.send(&Script::default().answer(&request)).await;
            }
        }
    })
    .await;
    let connection = Connection::open(address, LONG).await.unwrap();
    let questions: Vec<_> = (0..2 * PIPELINE_MAX)
        .map(|_| {
            let connection = connection.clone();
            let query = Query::parse(HANDLE).unwrap();
            tokio::spawn(async move { connection.resolve(&query, LONG).await })
        })
        .collect();
    for question in questions {
        question.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn server_that_closes_after_each_answer_is_asked_again() {
    let address = peer::tcp(|mut stream, _| async move {
        let request = stream.request().await.unwrap();
        stream.send(&Script::default().answer(&request)).await;
    })
    .await;
    let client = patient(&format!("tcp://{address}"));
    for _ in 0..3 {
        client.resolve(HANDLE).await.unwrap();
    }
    let questions: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.resolve(HANDLE).await })
        })
        .collect();
    for question in questions {
        question.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn late_answer_is_not_taken_for_a_foreign_one() {
    let address = peer::tcp(|mut stream, _| async move {
        let first = stream.request().await.unwrap();
        let second = stream.request().await.unwrap();
        for request in [first, second] {
            stream.send(&Script::default().answer(&request)).await;
        }
        stream.request().await;
    })
    .await;
    let connection = Connection::open(address, LONG).await.unwrap();
    let query = Query::parse(HANDLE).unwrap();
    let gave_up = connection.resolve(&query, Duration::from_millis(50)).await;
    assert_eq!(outcome(gave_up.unwrap_err()), Outcome::NoAnswer(None));
    connection.resolve(&query, LONG).await.unwrap();
    assert!(connection.is_open());
}

#[tokio::test]
async fn connection_without_an_answer_is_not_used_again() {
    let address = peer::tcp(|mut stream, number| async move {
        while let Some(request) = stream.request().await {
            if number > 0 {
                stream.send(&Script::default().answer(&request)).await;
            }
        }
    })
    .await;
    let server = format!("tcp://{address}");
    let client = impatient(&server)
        .stream_timeout(Duration::from_secs(2))
        .build();
    let gave_up = client.resolve(HANDLE).await;
    assert_eq!(outcome(gave_up.unwrap_err()), Outcome::NoAnswer(None));
    client.resolve(HANDLE).await.unwrap();
}

#[tokio::test]
async fn length_of_two_gibibytes_is_refused_at_once() {
    let address = peer::tcp(|mut stream, _| async move {
        let request = stream.request().await.unwrap();
        let mut answer = Script::default().answer(&request);
        answer[16..20].copy_from_slice(&i32::MAX.to_be_bytes());
        stream.send(&answer).await;
        stream.request().await;
    })
    .await;
    let error = patient(&format!("tcp://{address}"))
        .resolve(HANDLE)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("message length at octet 16: is 2147483647"),
        "{text}"
    );
    assert!(matches!(error, Error::Misbehaved { .. }));
}

#[tokio::test]
async fn one_octet_now_and_then_wins_no_time() {
    let address = peer::tcp(|mut stream, _| async move {
        let request = stream.request().await.unwrap();
        for octet in Script::large(100_000).answer(&request) {
            if !stream.send(&[octet]).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let client = impatient(&format!("tcp://{address}")).build();
    let found = outcome(client.resolve(HANDLE).await.unwrap_err());
    assert_eq!(found, Outcome::NoAnswer(None));
}

#[tokio::test]
async fn connection_closed_instead_of_an_answer_is_reported_as_such() {
    let address = peer::tcp(|mut stream, _| async move {
        stream.request().await.unwrap();
        // Unsent octets are thrown away and the peer is told by a reset.
        stream.stream.set_zero_linger().unwrap();
    })
    .await;
    let error = patient(&format!("tcp://{address}"))
        .resolve(HANDLE)
        .await
        .unwrap_err();
    assert_eq!(outcome(error), Outcome::Closed);
    let address = peer::tcp(|mut stream, _| async move {
        let request = stream.request().await.unwrap();
        let answer = Script::default().answer(&request);
        stream.send(&answer[..answer.len() - 1]).await;
    })
    .await;
    let error = patient(&format!("tcp://{address}"))
        .resolve(HANDLE)
        .await
        .unwrap_err();
    assert_eq!(outcome(error), Outcome::Incomplete);
}

#[tokio::test]
async fn answers_that_nobody_asked_for_end_the_connection() {
    let address = peer::tcp(|mut stream, _| async move {
        let request = stream.request().await.unwrap();
        let foreign = Script {
            id_offset: 3,
            ..Script::default()
        };
        stream.send(&foreign.answer(&request)).await;
        stream.request().await;
    })
    .await;
    let error = patient(&format!("tcp://{address}"))
        .resolve(HANDLE)
        .await
        .unwrap_err();
    assert!(matches!(fault(error), Fault::ForeignId(_)));
}

#[tokio::test]
async fn missing_digest_is_tolerated_on_a_stream_but_a_wrong_one_is_not() {
    let ask = async |script: Script| {
        let address = peer::tcp(move |mut stream, _| {
            let script = script.clone();
            async move {
                let request = stream.request().await.unwrap();
                stream.send(&script.answer(&request)).await;
            }
        })
        .await;
        patient(&format!("tcp://{address}")).resolve(HANDLE).await
    };
    ask(Script {
        digest: false,
        ..Script::default()
    })
    .await
    .unwrap();
    let error = ask(Script {
        digest_flip: 1,
        ..Script::default()
    })
    .await
    .unwrap_err();
    assert_eq!(fault(error), Fault::WrongDigest);
}

#[tokio::test]
async fn reply_to_what_the_server_could_not_read_is_a_refusal() {
    let address = peer::tcp(|mut stream, _| async move {
        let request = stream.request().await.unwrap();
        let refusal = Script::refusal(ResponseCode::PROTOCOL_ERROR);
        let mut answer = Script {
            digest: false,
            ..refusal
        }
        .answer(&request);
        answer[8..12].copy_from_slice(&[0xff; 4]);
        answer[20..24].copy_from_slice(&[0; 4]);
        stream.send(&answer).await;
    })
    .await;
    let error = patient(&format!("tcp://{address}"))
        .resolve(HANDLE)
        .await
        .unwrap_err();
    let expected = ResponseCode::PROTOCOL_ERROR;
    assert!(matches!(error, Error::Refused { code, .. } if code == expected));
}

#[tokio::test]
async fn continued_answer_is_collected_and_bounded() {
    let list = async |messages: usize| {
        let address = peer::tcp(move |mut stream, _| async move {
            let request = stream.request().await.unwrap();
            let request = Message::decode(&request).unwrap();
            let wire = Writer::to_vec(|w| w.bytes_array(&["1/a", "1/b"]));
            for left in (0..messages).rev() {
                let flags = match left {
                    0 => OpFlags::DEFAULT,
                    _ => OpFlags::DEFAULT.with(OpFlags::CONTINUOUS),
                };
                let script = Script {
                    flags,
                    ..Script::default()
                };
                let handles = Handles::decode(&mut Reader::new(&wire)).unwrap();
                let answer = script.answer_with(&request, Body::Handles(handles));
                if !stream.send(&answer).await {
                    return;
                }
            }
            stream.request().await;
        })
        .await;
        patient(&address.to_string()).list_handles("1").await
    };
    assert_eq!(list(3).await.unwrap().len(), 6);
    assert_eq!(list(MESSAGES_MAX).await.unwrap().len(), 2 * MESSAGES_MAX);
    let error = list(MESSAGES_MAX + 1).await.unwrap_err();
    assert_eq!(
        fault(error),
        Fault::Endless {
            limit: MESSAGES_MAX
        }
    );
}

/// Few messages, each as large as one may be.
#[tokio::test]
async fn octets_of_a_continued_answer_are_bounded() {
    let name = format!("1/{}", "x".repeat(2_046));
    let wire = Writer::to_vec(|w| w.bytes_array(&vec![name.as_str(); 127]));
    let address = peer::tcp(move |mut stream, _| {
        let wire = wire.clone();
        async move {
            let request = stream.request().await.unwrap();
            let request = Message::decode(&request).unwrap();
            let script = Script {
                flags: OpFlags::DEFAULT.with(OpFlags::CONTINUOUS),
                ..Script::default()
            };
            let handles = Handles::decode(&mut Reader::new(&wire)).unwrap();
            let answer = script.answer_with(&request, Body::Handles(handles));
            assert!(answer.len() <= MESSAGE_LEN_MAX && ANSWER_OCTETS_MAX / answer.len() < 300);
            while stream.send(&answer).await {}
        }
    })
    .await;
    let list = patient(&address.to_string()).list_handles("1").await;
    let limit = ANSWER_OCTETS_MAX;
    assert_eq!(fault(list.unwrap_err()), Fault::Endless { limit });
}

#[tokio::test]
async fn tcp_takes_over_where_udp_gives_no_whole_answer() {
    let (socket, listener) = peer::same_port().await;
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (len, client) = socket.recv_from(&mut buffer).await.unwrap();
            let answer = Script::large(2_000).answer(&buffer[..len]);
            let mut first = Vec::new();
            split(&answer, |datagram| {
                if first.is_empty() {
                    first = datagram.to_vec();
                }
            });
            socket.send_to(&first, client).await.unwrap();
        }
    });
    peer::accept(listener, |mut stream, _| async move {
        while let Some(request) = stream.request().await {
            let answer = Script::large(2_000).answer(&request);
            Response::of(&Message::decode(&answer).unwrap()).unwrap();
            stream.send(&answer).await;
        }
    });
    let client = impatient(&address.to_string()).stream_timeout(LONG).build();
    let mut trace = Trace::default();
    let query = Query::parse(HANDLE).unwrap();
    let answer = client.query_traced(&query, &mut trace).await.unwrap();
    assert_eq!(answer.transport(), Transport::Tcp);
    assert_eq!(answer.values()[0].data.len(), 2_000);
    let outcomes: Vec<_> = trace
        .attempts
        .iter()
        .map(|a| (a.transport, &a.outcome))
        .collect();
    assert_eq!(outcomes[0], (Transport::Udp, &Outcome::Incomplete));
    assert!(matches!(
        outcomes[1],
        (Transport::Tcp, Outcome::Answered(_))
    ));
}

#[tokio::test]
async fn every_attempt_is_listed_when_nobody_answers() {
    let (socket, listener) = peer::same_port().await;
    let address = socket.local_addr().unwrap();
    drop((socket, listener));
    let error = impatient(&address.to_string())
        .build()
        .resolve(HANDLE)
        .await
        .unwrap_err();
    let Error::Unreachable { attempts } = &error else {
        panic!("{error}")
    };
    let transports: Vec<_> = attempts.iter().map(|attempt| attempt.transport).collect();
    assert_eq!(transports, [Transport::Udp, Transport::Tcp]);
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

#[tokio::test]
async fn long_question_goes_by_tcp_at_once_and_one_beyond_the_limit_not_at_all() {
    let (socket, listener) = peer::same_port().await;
    let address = socket.local_addr().unwrap();
    peer::accept(listener, |mut stream, _| async move {
        while let Some(request) = stream.request().await {
            stream.send(&Script::default().answer(&request)).await;
        }
    });
    let client = patient(&address.to_string());
    let mut trace = Trace::default();
    let query = Query::parse(HANDLE).unwrap();
    let long = query.clone().with_type("x".repeat(UDP_REQUEST_LEN_MAX));
    client.query_traced(&long, &mut trace).await.unwrap();
    let transports: Vec<_> = trace.attempts.iter().map(|a| a.transport).collect();
    assert_eq!(transports, [Transport::Tcp]);
    let too_long = query.with_type("x".repeat(MESSAGE_LEN_MAX));
    let error = client.query(&too_long).await.unwrap_err();
    assert!(matches!(
        error,
        Error::TooLong {
            limit: MESSAGE_LEN_MAX,
            ..
        }
    ));
}
