//! The old node, asked over HTTP: logging in, one question at a time, patience, limits.

use std::sync::Mutex;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{Request, Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guantong_client::{Endpoint, Transport, Trust, printable, secure};
use guantong_proto::Handle;
use guantong_proto::crypto::{Hash, SigningKey};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use ring::rand::SystemRandom;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::key::form::KeyPair;

/// Longest answer that is read, in octets: a page of identifiers, or a template of all fields.
pub(super) const ANSWER_LEN_MAX: usize = 8 * 1024 * 1024;
/// How long one request may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// Waits before a request that failed is sent again: a node that restarts is back by then.
const WAITS: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(10),
];
/// Most characters of the peer's words that are repeated.
const WORDS_MAX: usize = 300;
/// What the interface begins with.
const AREA: &str = "/api/v1/";
/// Codes that say that it worked.
const GOOD: [i64; 2] = [1, 10_000];
/// Codes of a token that is not good, or not any more.
const TOKEN_CODES: [i64; 4] = [101, 102, 401, 501];

/// Why the old node gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// It was not reached, or said nothing that is an answer.
    #[error("the old node gives no sound answer to {path}: {why}")]
    Silent {
        /// What was asked.
        path: String,
        /// What happened.
        why: String,
    },
    /// It refused.
    #[error("the old node refuses: {message} (code {code})")]
    Refused {
        /// Its code.
        code: i64,
        /// Its words.
        message: String,
    },
}

/// The old node, and who asks it.
pub struct Old {
    endpoint: Endpoint,
    trust: Trust,
    app: Handle,
    key: KeyPair,
    token: Mutex<Option<String>>,
}

impl Old {
    /// The node at an address of `http` or `https`, asked by an application with its key.
    pub fn new(endpoint: Endpoint, trust: Trust, app: Handle, key: KeyPair) -> Self {
        Self {
            endpoint,
            trust,
            app,
            key,
            token: Mutex::new(None),
        }
    }

    /// The application that asks.
    pub fn app(&self) -> &Handle {
        &self.app
    }

    /// Proves to the old node who asks: signs a nonce.
    pub async fn log_in(&self) -> Result<(), PeerError> {
        let app = self.app.as_str();
        let path = "doip/public/challenge";
        let nonce = self.ask(path, &[("handle", app)], None, None).await?;
        let silent = |why: &str| PeerError::Silent {
            path: path.to_owned(),
            why: why.to_owned(),
        };
        let nonce = nonce.as_str().ok_or_else(|| silent("no nonce"))?;
        let key = self.key.signing();
        let signature = key
            .sign(hash_of(key), nonce.as_bytes(), &SystemRandom::new())
            .map_err(|error| silent(&error.to_string()))?;
        let body = json!({"handle": app, "signature": STANDARD.encode(signature)});
        let path = "doip/public/verify-response";
        let said = self.ask(path, &[], Some(&body), None).await?;
        let token = said["token"].as_str().ok_or_else(|| silent("no token"))?;
        if let Ok(mut held) = self.token.lock() {
            *held = Some(token.to_owned());
        }
        Ok(())
    }

    /// What the old node tells the application. Logs in again once if the token has expired.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Json, PeerError> {
        let token = self.token.lock().ok().and_then(|held| held.clone());
        match self.ask(path, query, None, token.as_deref()).await {
            Err(PeerError::Refused { code, .. }) if TOKEN_CODES.contains(&code) => {
                self.log_in().await?;
                let token = self.token.lock().ok().and_then(|held| held.clone());
                self.ask(path, query, None, token.as_deref()).await
            }
            answer => answer,
        }
    }

    /// What the old node tells everybody.
    pub async fn get_public(&self, path: &str, query: &[(&str, &str)]) -> Result<Json, PeerError> {
        self.ask(path, query, None, None).await
    }

    async fn ask(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Json>,
        token: Option<&str>,
    ) -> Result<Json, PeerError> {
        let mut waits = WAITS.iter();
        loop {
            let asked = self.ask_once(path, query, body, token);
            let why = match timeout(ANSWER_TIME_MAX, asked).await {
                Ok(Ok((StatusCode::OK, octets))) => return data(path, &octets),
                Ok(Ok((status, octets))) if !is_passing(status) => {
                    // Some refuse in words and by a status.
                    let refused = data(path, &octets);
                    return match refused {
                        Err(refused @ PeerError::Refused { .. }) => Err(refused),
                        _ => Err(PeerError::Silent {
                            path: path.to_owned(),
                            why: format!("status {status}"),
                        }),
                    };
                }
                Ok(Ok((status, _))) => format!("status {status}"),
                Ok(Err(why)) => why,
                Err(_) => format!("nothing came in {} s", ANSWER_TIME_MAX.as_secs()),
            };
            match waits.next() {
                Some(wait) => sleep(*wait).await,
                None => {
                    let path = path.to_owned();
                    return Err(PeerError::Silent { path, why });
                }
            }
        }
    }

    async fn ask_once(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Json>,
        token: Option<&str>,
    ) -> Result<(StatusCode, Bytes), String> {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        pairs.extend_pairs(query);
        let target = format!("{}{AREA}{path}?{}", self.endpoint.path, pairs.finish());
        let request = match body {
            None => Request::get(target),
            Some(_) => Request::post(target).header(CONTENT_TYPE, "application/json"),
        };
        let request = request.header(HOST, self.endpoint.authority());
        let request = match token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        };
        let body = body.map(Json::to_string).unwrap_or_default();
        let request = request
            .body(Body::from(body))
            .map_err(|error| error.to_string())?;
        let address = (self.endpoint.host.as_str(), self.endpoint.port);
        let stream = TcpStream::connect(address).await;
        let stream = stream.map_err(|error| error.to_string())?;
        if self.endpoint.transport == Transport::Https {
            let name = self.endpoint.name.as_deref().unwrap_or(&self.endpoint.host);
            let stream = secure(stream, name, &self.trust).await;
            return exchange(stream.map_err(|outcome| outcome.to_string())?, request).await;
        }
        exchange(stream, request).await
    }
}

/// What a key of this kind signs nonces with.
fn hash_of(key: &SigningKey) -> Hash {
    match key.kind() {
        #[cfg(feature = "sm")]
        "SM2" => Hash::Sm3,
        _ => Hash::Sha256,
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Body>,
) -> Result<(StatusCode, Bytes), String> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|error| error.to_string())?;
    let driver = tokio::spawn(connection);
    let said = async {
        let response = sender.send_request(request).await;
        body_of(response.map_err(|error| error.to_string())?).await
    };
    let said = said.await;
    driver.abort();
    said
}

async fn body_of(response: Response<Incoming>) -> Result<(StatusCode, Bytes), String> {
    let (head, body) = response.into_parts();
    let body = to_bytes(Body::new(body), ANSWER_LEN_MAX).await;
    let body = body.map_err(|error| format!("the body cannot be read: {error}"))?;
    Ok((head.status, body))
}

/// Whether it may be another one soon.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// What is in an envelope, if it says that it worked.
fn data(path: &str, octets: &[u8]) -> Result<Json, PeerError> {
    let silent = |why: String| PeerError::Silent {
        path: path.to_owned(),
        why,
    };
    let mut envelope: Json =
        serde_json::from_slice(octets).map_err(|error| silent(format!("no JSON: {error}")))?;
    let code = crate::http::v1::moved::number(&envelope, "code");
    // Some tables call it so.
    let code = code.or_else(|| crate::http::v1::moved::number(&envelope, "status"));
    let code = code.ok_or_else(|| silent("an envelope without `code`".to_owned()))?;
    if GOOD.contains(&code) {
        return Ok(envelope["data"].take());
    }
    let message = envelope["message"].as_str().unwrap_or("without a word");
    let message = message.chars().take(WORDS_MAX).collect::<String>();
    Err(PeerError::Refused {
        code,
        message: printable(&message).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_are_opened_and_garbage_is_told() {
        let of = |text: &str| data("a", text.as_bytes());
        assert_eq!(of(r#"{"code":1,"data":"7"}"#), Ok(json!("7")));
        assert_eq!(of(r#"{"code":"10000"}"#), Ok(Json::Null));
        assert_eq!(of(r#"{"status":1,"data":[]}"#), Ok(json!([])));
        let refused = of(r#"{"code":403,"message":"no\u001b[31m"}"#).unwrap_err();
        assert!(matches!(&refused, PeerError::Refused { code: 403, message }
                if !message.contains('\u{1b}')));
        let long = json!({"code": 500, "message": "x".repeat(10_000)}).to_string();
        assert!(of(&long).unwrap_err().to_string().len() < 2 * WORDS_MAX);
        for bad in [
            "",
            "<html>",
            "[]",
            "7",
            "null",
            r#"{"code":[]}"#,
            r#"{"data":1}"#,
        ] {
            assert!(matches!(of(bad), Err(PeerError::Silent { .. })), "{bad}");
        }
        let deep = "[".repeat(100_000);
        assert!(matches!(of(&deep), Err(PeerError::Silent { .. })));
    }
}
