//! What whoever asks believes beforehand.

use guantong_proto::crypto::VerifyingKey;
use guantong_proto::data::PublicKey;
use guantong_proto::{Reference, Value, is_of_type};

/// How far the clock of a signer may differ from ours, in seconds.
pub const CLOCK_SKEW_SECS: i64 = 60;

/// Which roots are believed, and who must have signed.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    roots: Vec<VerifyingKey>,
    signers: Vec<Reference>,
}

impl Policy {
    /// Believes certificates that end at one of these keys. Keys that cannot verify are left out.
    pub fn new(roots: &[PublicKey]) -> Self {
        let roots = roots.iter().filter_map(|key| VerifyingKey::new(key).ok());
        Self {
            roots: roots.collect(),
            signers: Vec::new(),
        }
    }

    /// Believes the keys that a record `0.0/0.0` publishes, as it came from a trusted file.
    pub fn of_root_record(values: &[Value]) -> Self {
        let keys = values
            .iter()
            .filter(|value| is_of_type(value.kind.as_ref(), b"HS_PUBKEY"));
        let keys: Vec<_> = keys
            .filter_map(|value| PublicKey::decode(&value.data).ok())
            .collect();
        Self::new(&keys)
    }

    /// The same, but one of `signers` must stand in the chain of a signature, at its beginning or
    /// above. None: whoever the certificates permit.
    #[must_use]
    pub fn with_signers(self, signers: Vec<Reference>) -> Self {
        Self { signers, ..self }
    }

    /// Whether no root is believed, so that nothing can be verified.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    pub(super) fn is_root(&self, key: &VerifyingKey) -> bool {
        self.roots.contains(key)
    }

    pub(super) fn signers(&self) -> &[Reference] {
        &self.signers
    }
}
