//! Nonces that wait for a signature. The answer does not repeat the nonce, so all that wait for an
//! identity are tried; they are therefore few, and of the peer that answers.

use std::collections::VecDeque;
use std::fmt;

use guantong_proto::Key;

/// Most nonces that wait at a time.
pub const NONCES_MAX: usize = 4_096;
/// Most of one source, so that a flood pushes out its own before those of others.
pub const NONCES_SOURCE_MAX: usize = 512;
/// Most of one identity and source: so many logins of one program may be under way side by side,
/// and so many signatures may have to be checked for one answer.
pub const NONCES_IDENTITY_MAX: usize = 64;
/// Time in which a nonce must be signed.
pub const NONCE_LIFETIME_MS: u64 = 120_000;

//----------- NonceText ------------------------------------------------------

/// A nonce as it is signed: 128 random bits as 32 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct NonceText(String);

impl NonceText {
    /// The text of random octets.
    pub fn of(random: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(random)))
    }

    /// What the client signs, in UTF-8.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NonceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A nonce that waits is nobody's business.
        f.write_str("NonceText")
    }
}

//----------- Nonces ---------------------------------------------------------

/// The nonces that wait, oldest first: bounded in all, by source and by identity.
#[derive(Debug, Default)]
pub struct Nonces {
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    source: u64,
    identity: Key,
    nonce: NonceText,
    due_ms: u64,
}

impl Nonces {
    /// Number of nonces that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Keeps a nonce that was given to `source` for `identity`. Where there are too many, the
    /// oldest of the same identity and source goes, or of the same source, or of all.
    pub fn keep(&mut self, identity: Key, source: u64, nonce: NonceText, now_ms: u64) {
        while let Some(first) = self.waiting.front()
            && first.due_ms <= now_ms
        {
            self.waiting.pop_front();
        }
        let of_both = |waiting: &Waiting| waiting.source == source && waiting.identity == identity;
        let of_source = |waiting: &Waiting| waiting.source == source;
        self.make_room(NONCES_IDENTITY_MAX, of_both);
        self.make_room(NONCES_SOURCE_MAX, of_source);
        self.make_room(NONCES_MAX, |_| true);
        self.waiting.push_back(Waiting {
            source,
            identity,
            nonce,
            due_ms: now_ms.saturating_add(NONCE_LIFETIME_MS),
        });
    }

    fn make_room(&mut self, max: usize, is_meant: impl Fn(&Waiting) -> bool) {
        let count = self.waiting.iter().filter(|one| is_meant(one)).count();
        let oldest = self.waiting.iter().position(is_meant);
        if let (true, Some(at)) = (count >= max, oldest) {
            self.waiting.remove(at);
        }
    }

    /// The nonces that an answer of `source` for `identity` may have signed.
    pub fn of(&self, identity: &Key, source: u64, now_ms: u64) -> Vec<NonceText> {
        let meant = self.waiting.iter().filter(|waiting| {
            waiting.source == source && waiting.identity == *identity && waiting.due_ms > now_ms
        });
        meant.map(|waiting| waiting.nonce.clone()).collect()
    }

    /// Takes a nonce away that was signed. `false`: somebody else was faster, so this answer is
    /// one too many.
    pub fn take(&mut self, nonce: &NonceText) -> bool {
        let at = self
            .waiting
            .iter()
            .position(|waiting| waiting.nonce == *nonce);
        at.and_then(|at| self.waiting.remove(at)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use guantong_proto::{CaseRule, Handle};

    use super::*;

    fn key(name: &str) -> Key {
        Handle::parse(name).unwrap().key(CaseRule::Insensitive)
    }

    fn nonce(n: usize) -> NonceText {
        NonceText::of(u128::try_from(n).unwrap().to_be_bytes())
    }

    #[test]
    fn nonce_is_taken_once_and_for_a_short_time() {
        let mut nonces = Nonces::default();
        nonces.keep(key("1/App_a"), 7, nonce(1), 1_000);
        assert_eq!(nonces.of(&key("1/app_A"), 7, 1_001), [nonce(1)]);
        assert!(nonces.take(&nonce(1)) && !nonces.take(&nonce(1)));
        nonces.keep(key("1/App_a"), 7, nonce(2), 1_000);
        let late_ms = 1_000 + NONCE_LIFETIME_MS;
        assert!(nonces.of(&key("1/App_a"), 7, late_ms).is_empty());
        nonces.keep(key("1/App_b"), 7, nonce(3), late_ms);
        assert_eq!(nonces.len(), 1);
    }

    #[test]
    fn nonce_of_others_is_not_tried() {
        let mut nonces = Nonces::default();
        nonces.keep(key("1/App_a"), 7, nonce(1), 0);
        assert!(nonces.of(&key("1/App_a"), 8, 0).is_empty());
        assert!(nonces.of(&key("1/App_b"), 7, 0).is_empty());
    }

    #[test]
    fn flood_of_one_source_is_bounded_and_costs_others_nothing() {
        let mut nonces = Nonces::default();
        nonces.keep(key("1/App_a"), 1, nonce(0), 0);
        for n in 1..2_000 {
            nonces.keep(key(&format!("1/App_{n}")), 2, nonce(n), 1);
        }
        assert_eq!(nonces.len(), NONCES_SOURCE_MAX + 1);
        assert_eq!(nonces.of(&key("1/App_a"), 1, 1), [nonce(0)]);
        for n in 2_000..2_200 {
            nonces.keep(key("1/App_a"), 1, nonce(n), 1);
        }
        let tried = nonces.of(&key("1/App_a"), 1, 1);
        assert_eq!(tried.len(), NONCES_IDENTITY_MAX);
        assert_eq!(tried.last(), Some(&nonce(2_199)));
    }

    #[test]
    fn flood_of_all_is_bounded() {
        let mut nonces = Nonces::default();
        for n in 0..NONCES_MAX + 100 {
            let source = u64::try_from(n / 100).unwrap();
            nonces.keep(key("1/App_a"), source * 1_000 + 1, nonce(n), 1);
        }
        assert!(nonces.len() <= NONCES_MAX);
    }
}
