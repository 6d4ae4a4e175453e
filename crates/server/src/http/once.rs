//! Idempotency keys: a change that is sent again is answered again, and not made again.
//!
//! A client that has lost the answer sends the same request with the same `Idempotency-Key`. The
//! change is carried out to its end even if the client goes away meanwhile. Only answers of changes
//! that were made are kept: what was refused has changed nothing, and may be tried again. They are
//! kept in memory, so they are gone with the node; conditions on the version are not.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use guantong_core::admin::Identity;
use guantong_proto::message::ResponseCode;
use ring::digest;

use super::answer::Failure;
use super::api;
use super::asked::Asked;
use super::change::{carry_out_for, who_is_it};
use super::identity::{self, By};
use crate::errand::locked;
use crate::node::Node;

/// The header with the key that the client has chosen.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key, in octets; a UUID has 36.
const KEY_LEN_MAX: usize = 255;
/// How long an answer is kept.
const KEPT_MS: u64 = 24 * 60 * 60 * 1000;
/// Most answers that are kept; beyond it the oldest is forgotten.
const ANSWERS_MAX: usize = 65_536;
/// Most octets of bodies that are kept.
const OCTETS_MAX: usize = 64 * 1024 * 1024;
/// Longest answer to a change; one of a whole batch has some hundred KiB.
const ANSWER_OCTETS_MAX: usize = 4 * 1024 * 1024;

type Digest = [u8; 32];

//----------- Answers --------------------------------------------------------

/// The answers that are kept.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    known: HashMap<Digest, Known>,
    /// Kept answers, oldest first. One that has been forgotten may still be listed.
    order: VecDeque<(Digest, u64)>,
    octets: usize,
}

#[derive(Debug)]
struct Known {
    /// Of the request; another one with the same key is a mistake.
    request: Digest,
    answer: Option<Kept>,
}

#[derive(Clone, Debug)]
struct Kept {
    by: By,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    until_ms: u64,
}

/// What is known of a key.
#[derive(Debug)]
enum Found {
    /// Nothing; it is under way now.
    New,
    /// It is under way already.
    UnderWay,
    /// It was used for another request.
    Other,
    /// The answer.
    Answer(Kept),
}

impl Answers {
    fn begin(&mut self, key: Digest, request: Digest, now_ms: u64) -> Found {
        self.forget_until(now_ms);
        match self.known.get(&key) {
            None => {
                let known = Known {
                    request,
                    answer: None,
                };
                self.known.insert(key, known);
                Found::New
            }
            Some(known) if known.request != request => Found::Other,
            Some(Known { answer: None, .. }) => Found::UnderWay,
            Some(Known {
                answer: Some(kept), ..
            }) => Found::Answer(kept.clone()),
        }
    }

    fn keep(&mut self, key: Digest, kept: Kept) {
        let Some(known) = self.known.get_mut(&key) else {
            return;
        };
        self.octets += kept.body.len();
        self.order.push_back((key, kept.until_ms));
        known.answer = Some(kept);
        while self.order.len() > ANSWERS_MAX || self.octets > OCTETS_MAX {
            self.forget_oldest();
        }
    }

    fn forget_until(&mut self, now_ms: u64) {
        while self
            .order
            .front()
            .is_some_and(|(_, until)| *until <= now_ms)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((key, _)) = self.order.pop_front() {
            self.forget(&key);
        }
    }

    fn forget(&mut self, key: &Digest) {
        let known = self.known.remove(key);
        let kept = known.and_then(|known| known.answer);
        self.octets -= kept.map_or(0, |kept| kept.body.len());
    }
}

/// A request that is under way. Dropped without an answer, it is as if it had not come.
struct UnderWay {
    node: Arc<Node>,
    key: Digest,
    is_kept: bool,
}

impl UnderWay {
    fn keep(mut self, kept: Kept) {
        self.is_kept = true;
        locked(&self.node.errands.answers).keep(self.key, kept);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.is_kept {
            locked(&self.node.errands.answers).forget(&self.key);
        }
    }
}

//----------- Answering ------------------------------------------------------

/// Answers a change that has a key, for the first time or again.
pub(super) async fn answer(
    node: &Arc<Node>,
    asked: &Asked,
    path: &str,
) -> Result<Response, Failure> {
    let refuse = |status: u16, message: &str| {
        Failure::new(ResponseCode::PROTOCOL_ERROR, message).with_status(status)
    };
    let key = asked.header(KEY).unwrap_or_default().trim();
    if key.is_empty() || key.len() > KEY_LEN_MAX {
        let message = "`Idempotency-Key` must have 1 to 255 visible characters, such as a UUID";
        return Err(refuse(400, message));
    }
    let key = sha256(&[key.as_bytes()]);
    let request = request_digest(asked);
    let found = locked(&node.errands.answers).begin(key, request, node.uptime_ms());
    match found {
        Found::New => first(node, asked, path, key).await,
        Found::Answer(kept) => again(node, asked, kept).await,
        Found::UnderWay => Err(refuse(409, "the first request with this key is under way")),
        Found::Other => Err(refuse(
            422,
            "this key was used for another request: take a new one for each change",
        )),
    }
}

/// Carries the change out, in a task that goes on if the client goes away.
async fn first(
    node: &Arc<Node>,
    asked: &Asked,
    path: &str,
    key: Digest,
) -> Result<Response, Failure> {
    let under_way = UnderWay {
        node: node.clone(),
        key,
        is_kept: false,
    };
    let (node, asked, path) = (node.clone(), asked.clone(), path.to_owned());
    let task = tokio::spawn(async move {
        let response = api::answer_now(&node, &asked, &path).await?;
        let by = response.extensions().get::<By>().cloned();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, ANSWER_OCTETS_MAX)
            .await
            .map_err(|_| cut_off())?;
        if let (Some(by), true) = (by, head.status.is_success()) {
            let kept = Kept {
                by,
                status: head.status,
                headers: head.headers.clone(),
                body: body.clone(),
                until_ms: node.uptime_ms().saturating_add(KEPT_MS),
            };
            under_way.keep(kept);
        }
        Ok(Response::from_parts(head, Body::from(body)))
    });
    task.await.unwrap_or_else(|_| Err(cut_off()))
}

fn cut_off() -> Failure {
    Failure::new(ResponseCode::ERROR, "the request was cut off")
}

/// Gives the answer again, to nobody but him who got it.
async fn again(node: &Node, asked: &Asked, kept: Kept) -> Result<Response, Failure> {
    if let Some(identity) = &kept.by.0 {
        let offered = identity::offered(node, asked)?;
        let carried = carry_out_for(node, asked, &who_is_it(node), offered).await;
        let proven = carried.proven.map(|proven| proven.identity);
        if !is_same(node, proven.as_ref(), identity) {
            let message = "prove that you are who has made the change with this key";
            return Err(Failure::new(ResponseCode::AUTHENTICATION_FAILED, message).of_proof());
        }
    }
    let mut response = Response::new(Body::from(kept.body));
    *response.status_mut() = kept.status;
    *response.headers_mut() = kept.headers;
    let headers = response.headers_mut();
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

fn is_same(node: &Node, proven: Option<&Identity>, by: &Identity) -> bool {
    let rule = node.site().case_rule();
    let is_same = |a: &Identity| a.index == by.index && a.handle.key(rule) == by.handle.key(rule);
    proven.is_some_and(is_same)
}

/// What makes a request the same: everything that says what is to be done.
fn request_digest(asked: &Asked) -> Digest {
    let condition = [
        asked.header(axum::http::header::IF_MATCH),
        asked.header(axum::http::header::IF_NONE_MATCH),
    ];
    let condition = format!("{condition:?}");
    let params = format!("{:?}", asked.params);
    sha256(&[
        asked.method.as_str().as_bytes(),
        asked.path().as_bytes(),
        params.as_bytes(),
        condition.as_bytes(),
        &asked.body,
    ])
}

/// A digest of parts that cannot run into each other.
fn sha256(parts: &[&[u8]]) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut out = Digest::default();
    out.copy_from_slice(context.finish().as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(len: usize, until_ms: u64) -> Kept {
        Kept {
            by: By(None),
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: vec![0; len].into(),
            until_ms,
        }
    }

    fn digest(number: usize) -> Digest {
        sha256(&[&number.to_be_bytes()])
    }

    #[test]
    fn key_is_new_then_under_way_then_answered_until_its_time_is_over() {
        let mut answers = Answers::default();
        let (key, request) = (digest(1), digest(2));
        assert!(matches!(answers.begin(key, request, 0), Found::New));
        assert!(matches!(answers.begin(key, request, 0), Found::UnderWay));
        answers.keep(key, kept(7, 10));
        assert!(matches!(answers.begin(key, request, 9), Found::Answer(_)));
        assert!(matches!(answers.begin(key, digest(3), 9), Found::Other));
        assert!(matches!(answers.begin(key, digest(3), 10), Found::New));
        assert_eq!(answers.octets, 0);
    }

    #[test]
    fn number_and_octets_of_kept_answers_are_bounded() {
        let mut answers = Answers::default();
        for number in 0..ANSWERS_MAX + 5 {
            answers.begin(digest(number), digest(0), 0);
            answers.keep(digest(number), kept(1, 10));
        }
        assert_eq!(
            (answers.known.len(), answers.octets),
            (ANSWERS_MAX, ANSWERS_MAX)
        );
        assert!(matches!(answers.begin(digest(4), digest(0), 0), Found::New));
        answers.forget(&digest(4));
        for number in 0..40 {
            let key = digest(ANSWERS_MAX + 5 + number);
            answers.begin(key, digest(0), 0);
            answers.keep(key, kept(ANSWER_OCTETS_MAX, 10));
        }
        assert!(answers.octets <= OCTETS_MAX);
        assert_eq!(answers.known.len(), answers.order.len());
    }
}
