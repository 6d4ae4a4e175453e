//! Logins (登录) of programs and people: what gives them a token, and what a token is worth.
//!
//! ```text
//!   login_challenge(identity)         ──► nonce ──► the client signs it
//!   login_answer(identity, signature) ──► token
//!   login_of(token)                   ──► who it is, for `Presented::Session`
//! ```
//!
//! A token is as good as the key that began its session: whoever takes one gives what
//! [`Node::login_of`] says to an errand, which looks at the key again.

use std::fmt;
use std::net::IpAddr;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guantong_core::admin::authenticate::{Failed, Proven, Subject, verify_text};
use guantong_core::admin::{Identity, StoredRecord};
use guantong_core::identity::{NonceText, Nonces, Sessions, TOKEN_LEN, TokenId};

use crate::errand::locked;
use crate::limit::host_of;
use crate::listen::Peer;
use crate::node::Node;

/// Index of the public key of an identity.
pub(crate) const KEY_INDEX: i32 = 300;
/// The cookie in which the console keeps its token.
pub(crate) const COOKIE: &str = "guantong_session";

//----------- Logins ---------------------------------------------------------

/// What waits for a signature, and who is logged in.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    nonces: Mutex<Nonces>,
    sessions: Mutex<Sessions>,
}

/// The credential of a session, as it is sent.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever has it is the one who logged in.
        f.write_str("Token")
    }
}

//----------- Node -----------------------------------------------------------

impl Node {
    /// Whether passwords and tokens of this peer are taken: others on the way read plain HTTP.
    pub(crate) fn login_takes(&self, peer: &Peer) -> Result<(), LoginError> {
        let config = self.config();
        match peer.secure || config.login.allows_plain_http(peer.address.ip()) {
            true => Ok(()),
            false => Err(LoginError::Plain),
        }
    }

    /// A nonce to be signed by the key of `identity`. Whether there is such an identity is not
    /// looked at before the answer.
    pub(crate) fn login_challenge(&self, identity: &Identity, peer: IpAddr) -> String {
        let nonce = NonceText::of(self.random());
        let text = nonce.as_str().to_owned();
        let key = identity.handle.key(self.site().case_rule());
        let mut nonces = locked(&self.logins.nonces);
        nonces.keep(key, host_of(peer), nonce, self.uptime_ms());
        text
    }

    /// Begins a session for whoever has signed the octets of a nonce with the key of `identity`,
    /// which may be of any node of the network.
    pub(crate) async fn login_answer(
        &self,
        identity: &Identity,
        signature: &[u8],
        peer: IpAddr,
    ) -> Result<Token, LoginError> {
        let source = host_of(peer);
        let mut subjects = Vec::new();
        if !self.config().limits.trusts(peer) {
            subjects.push(Subject::Source(source));
        }
        if self.errands.is_blocked(&subjects, self.uptime_ms()) {
            return Err(Failed::TooManyAttempts.into());
        }
        let Identity { handle, index } = identity;
        let key = handle.key(self.site().case_rule());
        let nonces = locked(&self.logins.nonces).of(&key, source, self.uptime_ms());
        if nonces.is_empty() {
            return Err(Failed::NoChallenge.into());
        }
        let record = self.record_of(handle).await;
        let record = record.map_err(|reason| Failed::KeyUnreachable {
            user: handle.clone(),
            reason,
        })?;
        let texts: Vec<&str> = nonces.iter().map(NonceText::as_str).collect();
        let values = record.as_ref().map(StoredRecord::values);
        match verify_text(handle, *index, &texts, signature, values) {
            Ok((proven, at)) => {
                let is_first = locked(&self.logins.nonces).take(&nonces[at]);
                match is_first {
                    true => Ok(self.login_begin(proven)),
                    false => Err(Failed::NoChallenge.into()),
                }
            }
            Err(failed) => {
                self.errands.failed(subjects, self.uptime_ms());
                Err(failed.into())
            }
        }
    }

    /// Begins a session for somebody who has proven who he is.
    pub(crate) fn login_begin(&self, proven: Proven) -> Token {
        let token = Token(URL_SAFE_NO_PAD.encode(self.random::<TOKEN_LEN>()));
        let (id, rule) = (TokenId::of(&token.0), self.site().case_rule());
        let mut sessions = locked(&self.logins.sessions);
        sessions.begin(id, proven, rule, self.uptime_ms());
        token
    }

    /// Who is logged in under this token, for [`Presented::Session`]; `None` if nobody is any more.
    ///
    /// [`Presented::Session`]: guantong_core::admin::Presented::Session
    pub(crate) fn login_of(&self, token: &str) -> Option<Proven> {
        let idle_ms = self.config().login.idle_timeout.0;
        let (id, rule) = (TokenId::of(token), self.site().case_rule());
        let mut sessions = locked(&self.logins.sessions);
        sessions.find(&id, rule, idle_ms, self.uptime_ms())
    }

    /// Who is logged in under this token, if the key that he proved it by is still in his record.
    pub(crate) async fn login_checked(&self, token: &str) -> Option<Identity> {
        let proven = self.login_of(token)?;
        let record = self.record_of(&proven.identity.handle).await.ok()?;
        let holds = proven.holds(record.as_ref().map(StoredRecord::values));
        if !holds {
            self.login_end(token);
        }
        holds.then_some(proven.identity)
    }

    /// Ends the session of this token.
    pub(crate) fn login_end(&self, token: &str) {
        let (id, rule) = (TokenId::of(token), self.site().case_rule());
        locked(&self.logins.sessions).end(&id, rule);
    }
}

//----------- LoginError -----------------------------------------------------

/// Why somebody is not logged in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LoginError {
    /// Others on the way could read it.
    #[error(
        "tokens and passwords are taken over HTTPS, and over HTTP from the networks of \
         `login.plain_http_allow` only: others on the way read them too"
    )]
    Plain,
    /// He has not proven who he is.
    #[error(transparent)]
    Failed(#[from] Failed),
}

#[cfg(test)]
mod tests;
