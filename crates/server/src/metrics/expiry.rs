//! When the first signature or certificate of each kind ends.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// Stands for an end that is not known, or that never comes.
const UNKNOWN: i64 = i64::MAX;

/// What ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiring {
    /// The signatures of records in the store.
    Records,
    /// The certificates in records in the store.
    Certificates,
    /// The certificates of the key that signs records.
    Signer,
    /// The root keys that are believed.
    Root,
}

impl Expiring {
    const ALL: [(Self, &str); 4] = [
        (Self::Records, "records"),
        (Self::Certificates, "certificates"),
        (Self::Signer, "signer"),
        (Self::Root, "root"),
    ];
}

/// The earliest end of each, in seconds since 1970.
#[derive(Debug)]
pub struct Expiry([AtomicI64; 4]);

impl Default for Expiry {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicI64::new(UNKNOWN)))
    }
}

impl Expiry {
    /// Notes what was found; `None`: there is no end, or nobody knows it.
    pub fn set(&self, of: Expiring, end: Option<i64>) {
        self.0[of as usize].store(end.unwrap_or(UNKNOWN), Relaxed);
    }

    /// What is known, with the word for labels.
    pub(super) fn known(&self) -> impl Iterator<Item = (&'static str, i64)> {
        let all = Expiring::ALL.into_iter();
        let all = all.map(|(of, word)| (word, self.0[of as usize].load(Relaxed)));
        all.filter(|(_, end)| *end != UNKNOWN)
    }
}
