//! Sessions of the HTTP interface (8.5): a nonce that waits for its answer, then an identity.
//!
//! The id of a session is its only credential once it is proven, so it is drawn from 128 random
//! bits, travels over HTTPS only, and is good until it was not used for half an hour.

use std::collections::HashMap;
use std::fmt;

use guantong_proto::limits::NONCE_LEN;

use super::authenticate::Proven;

/// Most sessions that are kept.
pub const WEB_SESSIONS_MAX: usize = 4_096;
/// Most sessions of one source.
pub const WEB_SESSIONS_SOURCE_MAX: usize = 256;
/// Time after which a session that was not used has ended.
pub const WEB_SESSION_IDLE_MS: u64 = 1_800_000;

/// The id of a session.
pub type WebId = [u8; 16];

//----------- WebSession -----------------------------------------------------

/// One session.
#[derive(Clone, PartialEq, Eq)]
pub struct WebSession {
    /// What the client signs with a nonce of its own.
    pub nonce: [u8; NONCE_LEN],
    /// Who was proven in it.
    pub proven: Option<Proven>,
    source: u64,
    used_ms: u64,
}

impl fmt::Debug for WebSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSession")
            .field("proven", &self.proven)
            .finish_non_exhaustive()
    }
}

//----------- WebSessions ----------------------------------------------------

/// The sessions of the HTTP interface.
#[derive(Debug, Default)]
pub struct WebSessions {
    open: HashMap<WebId, WebSession>,
}

impl WebSessions {
    /// Number of sessions, those included that have ended by themselves and were not missed yet.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Begins a session under a random id. When there are too many, of all or of this source, those
    /// go that have ended, then the one that was not used for longest, without a proof if there is
    /// one.
    pub fn begin(&mut self, id: WebId, nonce: [u8; NONCE_LEN], source: u64, now_ms: u64) {
        let of_source = self
            .open
            .values()
            .filter(|session| session.source == source)
            .count();
        if self.open.len() >= WEB_SESSIONS_MAX || of_source >= WEB_SESSIONS_SOURCE_MAX {
            self.open.retain(|_, session| !is_over(session, now_ms));
        }
        let of_source = self
            .open
            .values()
            .filter(|session| session.source == source)
            .count();
        if of_source >= WEB_SESSIONS_SOURCE_MAX {
            self.drop_one(|session| session.source == source);
        } else if self.open.len() >= WEB_SESSIONS_MAX {
            self.drop_one(|_| true);
        }
        let session = WebSession {
            nonce,
            proven: None,
            source,
            used_ms: now_ms,
        };
        self.open.insert(id, session);
    }

    fn drop_one(&mut self, is_meant: impl Fn(&WebSession) -> bool) {
        let meant = self.open.iter().filter(|(_, session)| is_meant(session));
        let first = meant.min_by_key(|(_, session)| (session.proven.is_some(), session.used_ms));
        if let Some(id) = first.map(|(id, _)| *id) {
            self.open.remove(&id);
        }
    }

    /// The session of that id, which is used now.
    pub fn find(&mut self, id: &WebId, now_ms: u64) -> Option<&mut WebSession> {
        if self
            .open
            .get(id)
            .is_some_and(|session| is_over(session, now_ms))
        {
            self.open.remove(id);
        }
        let session = self.open.get_mut(id)?;
        session.used_ms = now_ms;
        Some(session)
    }

    /// Ends a session.
    pub fn end(&mut self, id: &WebId) {
        self.open.remove(id);
    }
}

fn is_over(session: &WebSession, now_ms: u64) -> bool {
    now_ms.saturating_sub(session.used_ms) > WEB_SESSION_IDLE_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> WebId {
        u128::try_from(n).unwrap().to_be_bytes()
    }

    fn proven() -> Option<Proven> {
        Some(Proven::of("300:a/user".parse().unwrap()))
    }

    #[test]
    fn session_lasts_as_long_as_it_is_used() {
        let mut sessions = WebSessions::default();
        sessions.begin(id(1), [1; 16], 1, 1_000);
        assert!(sessions.find(&id(1), 1_500_000).is_some());
        assert!(sessions.find(&id(1), 3_000_000).is_some());
        assert!(
            sessions
                .find(&id(1), 3_000_000 + WEB_SESSION_IDLE_MS + 1)
                .is_none()
        );
        assert!(sessions.is_empty());
        sessions.begin(id(2), [1; 16], 1, 1_000);
        sessions.end(&id(2));
        assert!(sessions.find(&id(2), 1_001).is_none());
    }

    #[test]
    fn flood_of_sessions_is_bounded_and_spares_those_with_a_proof() {
        let mut sessions = WebSessions::default();
        sessions.begin(id(1), [1; 16], 0, 1_000);
        sessions.find(&id(1), 1_000).unwrap().proven = proven();
        for n in 2..6_000 {
            let source = u64::try_from(n).unwrap();
            sessions.begin(id(n), [1; 16], source, 1_000 + source);
        }
        assert_eq!(sessions.len(), WEB_SESSIONS_MAX);
        assert!(sessions.find(&id(1), 9_000).is_some());
        assert!(sessions.find(&id(2), 9_000).is_none());
    }

    #[test]
    fn flood_of_one_source_costs_others_nothing() {
        let mut sessions = WebSessions::default();
        sessions.begin(id(1), [1; 16], 1, 1_000);
        for n in 2..1_000 {
            sessions.begin(id(n), [1; 16], 2, 2_000);
        }
        assert_eq!(sessions.len(), WEB_SESSIONS_SOURCE_MAX + 1);
        assert!(sessions.find(&id(1), 2_000).is_some());
    }
}
