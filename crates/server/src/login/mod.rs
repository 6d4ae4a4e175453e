//! Logins (登录) of programs and people: what gives them a token, and what a token is worth.
//!
//! ```text
//!   login_challenge(identity)         ──► nonce ──► the client signs it
//!   login_answer(identity, signature) ──► token
//!   login_password(credentials)       ──► token, in `password`
//!   login_of(token)                   ──► who it is, for `Presented::Session`
//! ```
//!
//! A token is as good as the key that began its session: whoever takes one gives what
//! [`Node::login_of`] says to an errand, which looks at the key again.

mod password;
mod setup;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guantong_core::admin::authenticate::{Failed, Proven, Subject, verify_text};
use guantong_core::admin::authorize::authorize_where;
use guantong_core::admin::{FETCHES_MAX, Identity, StoredRecord};
use guantong_core::identity::{LoginFault, NonceText, Nonces, Role, Sessions, TOKEN_LEN, TokenId};
use guantong_proto::data::Admin;
use guantong_proto::{CaseRule, Handle, HandleRef};
use tokio::sync::Semaphore;

pub(crate) use self::password::{Credentials, Owner};
use self::password::{HASHING_MAX, HASHING_WAITING_MAX, UsedCodes};
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
#[derive(Debug)]
pub(crate) struct Logins {
    nonces: Mutex<Nonces>,
    sessions: Mutex<Sessions>,
    codes: Mutex<UsedCodes>,
    waiting: Semaphore,
    hashing: Semaphore,
    /// How often something was hashed.
    #[cfg(test)]
    pub(crate) hashed: std::sync::atomic::AtomicU32,
}

impl Default for Logins {
    fn default() -> Self {
        Self {
            nonces: Mutex::default(),
            sessions: Mutex::default(),
            codes: Mutex::default(),
            waiting: Semaphore::new(HASHING_MAX + HASHING_WAITING_MAX),
            hashing: Semaphore::new(HASHING_MAX),
            #[cfg(test)]
            hashed: std::sync::atomic::AtomicU32::new(0),
        }
    }
}

/// The credential of a session, as it is sent.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoginSession {
    pub(crate) identity: Identity,
    /// His roles under the prefix of his own handle, to be shown: what he may do is decided by
    /// errands.
    pub(crate) roles: Vec<Role>,
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

    /// Who is logged in under this token, if the key or password by which he proved it is still in
    /// his record.
    pub(crate) async fn login_checked(&self, token: &str) -> Option<Identity> {
        let proven = self.login_of(token)?;
        let record = self.record_of(&proven.identity.handle).await.ok()?;
        let holds = proven.holds(record.as_ref().map(StoredRecord::values));
        if !holds {
            self.login_end(token);
        }
        holds.then_some(proven.identity)
    }

    /// The same with his roles.
    pub(crate) async fn login_session(&self, token: &str) -> Option<LoginSession> {
        let identity = self.login_checked(token).await?;
        Some(self.login_session_of(identity).await)
    }

    /// The session of somebody who has proven who he is.
    pub(crate) async fn login_session_of(&self, identity: Identity) -> LoginSession {
        let prefix = identity.handle.borrow().prefix_handle();
        let roles = self.roles_of(&identity, &prefix).await;
        LoginSession { identity, roles }
    }

    /// The roles of an identity that are in force under a prefix.
    pub(crate) async fn roles_of(&self, identity: &Identity, prefix: &Handle) -> Vec<Role> {
        let Ok(Some(record)) = self.record_of(prefix).await else {
            return Vec::new();
        };
        let mut known = HashMap::from([(prefix.clone(), Some(record))]);
        loop {
            match roles(identity, prefix, &known, self.site().case_rule()) {
                Ok(roles) => return roles,
                Err(group) if known.len() < FETCHES_MAX => {
                    let record = self.record_of(&group).await.unwrap_or_default();
                    known.insert(group, record);
                }
                Err(_) => return Vec::new(),
            }
        }
    }

    /// Ends the session of this token.
    pub(crate) fn login_end(&self, token: &str) {
        let (id, rule) = (TokenId::of(token), self.site().case_rule());
        locked(&self.logins.sessions).end(&id, rule);
    }
}

/// The roles that the records known so far give, or the group that is missing to tell.
fn roles(
    identity: &Identity,
    prefix: &Handle,
    known: &HashMap<Handle, Option<StoredRecord>>,
    rule: CaseRule,
) -> Result<Vec<Role>, Handle> {
    let Some(Some(record)) = known.get(prefix) else {
        return Ok(Vec::new());
    };
    let lookup = |group: HandleRef<'_>| match known.get(&group.to_owned()) {
        Some(record) => Ok(record.as_ref().map(StoredRecord::values)),
        None => Err(group.to_owned()),
    };
    let mut roles = Vec::new();
    for role in Role::ALL {
        let counts = |admin: &Admin| Role::named(admin, prefix.borrow()) == Some(role);
        let grant = authorize_where(identity, record.values(), rule, counts, lookup)?;
        roles.extend(grant.map(|_| role));
    }
    Ok(roles)
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
    /// User, password or code. The same text whatever it is, and whether there is such a user.
    #[error("user, password or code is wrong, or the user may not log in")]
    Wrong,
    /// The password is right, and the user has a second factor.
    #[error("the code of the second factor is needed, too")]
    CodeNeeded,
    /// The password is right, and the code may have been used before the node was started.
    #[error(
        "the node was started a moment ago, and may have seen this code before: come again with \
         one of a minute later"
    )]
    TooSoon,
    /// The password is right, and not the user's own, or not fit to be one.
    #[error("this password was given by somebody else, or is too short: set one of your own first")]
    MustChange,
    /// What was given cannot be a password, or a secret.
    #[error(transparent)]
    Unfit(#[from] LoginFault),
    /// The code of the set-up is wrong, or used, or there is an administrator already.
    #[error(
        "the set-up code is not the one in the node's folder, or was used, or there is an \
         administrator already; `guantong identity add-user` makes another one"
    )]
    NoSetUp,
    /// The first administrator cannot have this name.
    #[error("the first administrator is a user of a prefix of this node, such as P/User_wang")]
    NoUser,
    /// The store did not take it.
    #[error("this could not be written: {0}")]
    NotWritten(String),
    /// Too many passwords are being checked.
    #[error("too many are logging in: try again")]
    Busy,
}

#[cfg(test)]
mod tests;
