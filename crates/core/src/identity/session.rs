//! Who is logged in. A token is the only credential of its session, so it is drawn from 256 random
//! bits, and what is kept of it is its digest.

use std::collections::HashMap;

use guantong_proto::crypto::Hash;
use guantong_proto::{CaseRule, Key};

use crate::admin::authenticate::Proven;

/// Most sessions that are kept.
pub const SESSIONS_MAX: usize = 16_384;
/// Most sessions of one identity. Programs log in for every request and never log out, so the one
/// that was not used for longest goes.
pub const SESSIONS_IDENTITY_MAX: usize = 1_024;
/// Time after which a session has ended however often it was used: 30 days.
pub const SESSION_LIFETIME_MS: u64 = 30 * 86_400_000;
/// Random octets of a token.
pub const TOKEN_LEN: usize = 32;

//----------- TokenId --------------------------------------------------------

/// The digest of a token. Whoever sees it cannot use it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenId(Vec<u8>);

impl TokenId {
    /// That of a token as it was given out.
    pub fn of(token: &str) -> Self {
        Self(Hash::Sha256.digest(&[token.as_bytes()]))
    }
}

//----------- Session --------------------------------------------------------

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who has logged in, and by which key.
    pub proven: Proven,
    begun_ms: u64,
    used_ms: u64,
}

impl Session {
    fn is_over(&self, idle_ms: u64, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.used_ms) > idle_ms
            || now_ms.saturating_sub(self.begun_ms) > SESSION_LIFETIME_MS
    }
}

//----------- Sessions -------------------------------------------------------

/// The sessions of all who are logged in.
#[derive(Debug, Default)]
pub struct Sessions {
    open: HashMap<TokenId, Session>,
    /// The sessions of each identity, in the order of their coming.
    of_identity: HashMap<Key, Vec<TokenId>>,
}

impl Sessions {
    /// Number of sessions, those included that have ended by themselves and were not missed yet.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Begins a session. Where there are too many, of this identity or of all, the one goes that
    /// was not used for longest.
    pub fn begin(&mut self, id: TokenId, proven: Proven, rule: CaseRule, now_ms: u64) {
        let key = proven.identity.handle.key(rule);
        let own = self.of_identity.get(&key).map_or(0, Vec::len);
        let least_used = if own >= SESSIONS_IDENTITY_MAX {
            let own = self.of_identity.get(&key).into_iter().flatten();
            own.min_by_key(|id| self.open.get(*id).map(|session| session.used_ms))
        } else if self.open.len() >= SESSIONS_MAX {
            let all = self.open.iter();
            all.min_by_key(|(_, session)| session.used_ms)
                .map(|(id, _)| id)
        } else {
            None
        };
        if let Some(id) = least_used.cloned() {
            self.end(&id, rule);
        }
        self.of_identity.entry(key).or_default().push(id.clone());
        let session = Session {
            proven,
            begun_ms: now_ms,
            used_ms: now_ms,
        };
        self.open.insert(id, session);
    }

    /// Who is logged in under that token, which is used now. A session that was not used for
    /// `idle_ms` has ended.
    pub fn find(
        &mut self,
        id: &TokenId,
        rule: CaseRule,
        idle_ms: u64,
        now_ms: u64,
    ) -> Option<Proven> {
        let session = self.open.get_mut(id)?;
        if session.is_over(idle_ms, now_ms) {
            self.end(id, rule);
            return None;
        }
        session.used_ms = now_ms;
        Some(session.proven.clone())
    }

    /// Ends a session.
    pub fn end(&mut self, id: &TokenId, rule: CaseRule) {
        let Some(session) = self.open.remove(id) else {
            return;
        };
        let key = session.proven.identity.handle.key(rule);
        if let Some(own) = self.of_identity.get_mut(&key) {
            own.retain(|other| other != id);
            if own.is_empty() {
                self.of_identity.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: CaseRule = CaseRule::Insensitive;
    const IDLE_MS: u64 = 86_400_000;

    fn id(n: usize) -> TokenId {
        TokenId::of(&format!("token {n}"))
    }

    fn proven(name: &str) -> Proven {
        Proven::of(name.parse().unwrap())
    }

    #[test]
    fn session_lasts_as_long_as_it_is_used_and_not_for_ever() {
        let mut sessions = Sessions::default();
        sessions.begin(id(1), proven("300:1/App_a"), RULE, 1_000);
        let mut now_ms = 1_000;
        while now_ms < SESSION_LIFETIME_MS {
            assert!(sessions.find(&id(1), RULE, IDLE_MS, now_ms).is_some());
            now_ms += IDLE_MS;
        }
        assert!(
            sessions
                .find(&id(1), RULE, IDLE_MS, now_ms + 2_000)
                .is_none()
        );
        assert!(sessions.is_empty() && sessions.of_identity.is_empty());
    }

    #[test]
    fn session_that_is_not_used_ends() {
        let mut sessions = Sessions::default();
        sessions.begin(id(1), proven("300:1/App_a"), RULE, 1_000);
        assert!(
            sessions
                .find(&id(1), RULE, IDLE_MS, 1_001 + IDLE_MS)
                .is_none()
        );
        sessions.begin(id(2), proven("300:1/App_a"), RULE, 1_000);
        sessions.end(&id(2), RULE);
        assert!(sessions.find(&id(2), RULE, IDLE_MS, 1_000).is_none());
    }

    #[test]
    fn logins_of_one_identity_are_bounded_and_cost_others_nothing() {
        let mut sessions = Sessions::default();
        sessions.begin(id(0), proven("300:1/App_b"), RULE, 0);
        for n in 1..SESSIONS_IDENTITY_MAX + 100 {
            let now_ms = u64::try_from(n).unwrap();
            sessions.begin(id(n), proven("300:1/App_a"), RULE, now_ms);
            // The first one is in use all the time.
            assert!(sessions.find(&id(1), RULE, IDLE_MS, now_ms).is_some());
        }
        assert_eq!(sessions.len(), SESSIONS_IDENTITY_MAX + 1);
        assert!(sessions.find(&id(2), RULE, IDLE_MS, 9_999).is_none());
        assert!(sessions.find(&id(0), RULE, IDLE_MS, 9_999).is_some());
    }

    #[test]
    fn sessions_of_all_are_bounded() {
        let mut sessions = Sessions::default();
        for n in 0..SESSIONS_MAX + 10 {
            let now_ms = u64::try_from(n).unwrap();
            sessions.begin(id(n), proven(&format!("300:1/App_{n}")), RULE, now_ms);
        }
        assert_eq!(sessions.len(), SESSIONS_MAX);
        assert_eq!(sessions.of_identity.len(), SESSIONS_MAX);
    }

    #[test]
    fn token_is_not_in_its_id() {
        assert!(!format!("{:?}", TokenId::of("open sesame")).contains("sesame"));
    }
}
