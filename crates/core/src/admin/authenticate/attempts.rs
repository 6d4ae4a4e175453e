//! Wrong answers, counted, so that nobody can try keys at leisure.
//!
//! Each source has an account, and so has each identity whose secret key is tried: secrets may be
//! short, signatures cannot be guessed. The account of an identity is generous, because strangers
//! can fill it.

use std::collections::HashMap;

/// Most accounts kept at a time. When there are more, the one that is nearest to empty goes.
pub const ATTEMPTS_SUBJECTS_MAX: usize = 4_096;
/// Wrong answers that a source may give at once.
const SOURCE_BURST: u64 = 20;
/// Time after which one of them is forgotten.
const SOURCE_LEAK_MS: u64 = 3_000;
/// Wrong secrets that may be tried for an identity at once, by all sources together.
const IDENTITY_BURST: u64 = 100;
/// Time after which one of them is forgotten.
const IDENTITY_LEAK_MS: u64 = 1_000;
/// Wrong passwords that a source may try for a user at once: people mistype, and choose badly.
const PASSWORD_BURST: u64 = 10;
/// Time after which one of them is forgotten.
const PASSWORD_LEAK_MS: u64 = 60_000;
/// What a source without a credential may leave with us at once: a form and its papers.
const GUEST_BURST: u64 = 20;
/// Time after which one of it is forgotten.
const GUEST_LEAK_MS: u64 = 300_000;
/// The same of all sources together.
const GUESTS_BURST: u64 = 200;
/// Time after which one of it is forgotten.
const GUESTS_LEAK_MS: u64 = 30_000;

//----------- Subject --------------------------------------------------------

/// Whose wrong answers are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A peer, by a number that the shell gives its address.
    Source(u64),
    /// An identity whose secret key is tried, by its folded handle.
    Identity(Box<[u8]>),
    /// A user, by his folded handle, whose password a peer tries.
    Password(Box<[u8]>, u64),
    /// A peer without a credential that leaves something with us; not an answer, and counted alike.
    Guest(u64),
    /// All of these together.
    Guests,
}

impl Subject {
    fn leak_ms(&self) -> u64 {
        match self {
            Self::Source(_) => SOURCE_LEAK_MS,
            Self::Identity(_) => IDENTITY_LEAK_MS,
            Self::Password(..) => PASSWORD_LEAK_MS,
            Self::Guest(_) => GUEST_LEAK_MS,
            Self::Guests => GUESTS_LEAK_MS,
        }
    }

    fn burst(&self) -> u64 {
        match self {
            Self::Source(_) => SOURCE_BURST,
            Self::Identity(_) => IDENTITY_BURST,
            Self::Password(..) => PASSWORD_BURST,
            Self::Guest(_) => GUEST_BURST,
            Self::Guests => GUESTS_BURST,
        }
    }
}

//----------- Attempts -------------------------------------------------------

/// The accounts. Of each one number is kept: when all of its wrong answers will be forgotten.
#[derive(Debug, Default)]
pub struct Attempts {
    forgotten_ms: HashMap<Subject, u64>,
}

impl Attempts {
    /// Whether no more answers of this subject are looked at for the time being.
    pub fn is_blocked(&self, subject: &Subject, now_ms: u64) -> bool {
        let full_ms = subject.burst() * subject.leak_ms();
        let forgotten_ms = self.forgotten_ms.get(subject);
        forgotten_ms.is_some_and(|at_ms| *at_ms > now_ms + full_ms - subject.leak_ms())
    }

    /// Counts a wrong answer.
    pub fn failed(&mut self, subject: Subject, now_ms: u64) {
        let leak_ms = subject.leak_ms();
        let most_ms = now_ms + subject.burst() * leak_ms;
        if let Some(at_ms) = self.forgotten_ms.get_mut(&subject) {
            *at_ms = ((*at_ms).max(now_ms) + leak_ms).min(most_ms);
            return;
        }
        if self.forgotten_ms.len() >= ATTEMPTS_SUBJECTS_MAX {
            self.forgotten_ms.retain(|_, at_ms| *at_ms > now_ms);
        }
        if self.forgotten_ms.len() >= ATTEMPTS_SUBJECTS_MAX {
            let emptiest = self.forgotten_ms.iter().min_by_key(|(_, at_ms)| **at_ms);
            if let Some(emptiest) = emptiest.map(|(subject, _)| subject.clone()) {
                self.forgotten_ms.remove(&emptiest);
            }
        }
        self.forgotten_ms.insert(subject, now_ms + leak_ms);
    }

    /// Number of accounts.
    pub fn len(&self) -> usize {
        self.forgotten_ms.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.forgotten_ms.is_empty()
    }
}
