//! Settings of a store.

use guantong_proto::CaseRule;

use crate::limits::{MEMORY_BYTES_DEFAULT, MEMORY_BYTES_MIN, MEMTABLES_OCTETS_MAX};

//----------- CreateOptions --------------------------------------------------

/// What is fixed when a store is made.
#[derive(Clone, Copy, Debug)]
pub struct CreateOptions {
    /// Which letters of a handle fold.
    pub case_rule: CaseRule,
    /// Identity of the store: random, drawn by the caller. Page tokens and backups carry it.
    pub id: [u8; 16],
}

//----------- Options --------------------------------------------------------

/// What can be set each time that a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Memory for caches and memtables together, in octets; raised to
    /// [`MEMORY_BYTES_MIN`] if lower.
    pub memory_bytes: u64,
    /// What to do if acknowledged changes are missing.
    pub on_loss: OnLoss,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory_bytes: MEMORY_BYTES_DEFAULT,
            on_loss: OnLoss::Refuse,
        }
    }
}

/// What to do if acknowledged changes are missing when a store is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLoss {
    /// Fail with [`OpenError::LostChanges`](crate::OpenError::LostChanges) or
    /// [`OpenError::Rewritten`](crate::OpenError::Rewritten).
    #[default]
    Refuse,
    /// Open with what is there. An operator's decision: the changes are gone.
    Accept,
}

//----------- Memory ---------------------------------------------------------

/// How the memory setting is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Octets of hot records.
    pub(crate) hot: u64,
    /// Octets of the engine's block cache.
    pub(crate) block_cache: u64,
    /// Octets at which the memtable of each key space is sealed: records, changes, index, meta.
    pub(crate) memtables: [u64; 4],
}

impl Memory {
    /// Divides `bytes`: a quarter for hot records, three eighths for memtables up to their bound,
    /// the rest for blocks. Of each memtable one is being filled and two may wait, so each gets a
    /// third of its share.
    pub(crate) fn divide(bytes: u64) -> Self {
        let bytes = bytes.max(MEMORY_BYTES_MIN);
        let hot = bytes / 4;
        let memtables = (bytes * 3 / 8 / 3).min(MEMTABLES_OCTETS_MAX);
        let share = |percent: u64| memtables * percent / 100;
        Self {
            hot,
            block_cache: bytes - hot - 3 * memtables,
            // A record is about four times its change entry, so both are full at about the
            // same time and journals become free together.
            memtables: [share(64), share(22), share(10), share(4)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_never_exceed_the_setting() {
        for bytes in [0, MEMORY_BYTES_MIN, 100_000_001, 8 << 30] {
            let memory = Memory::divide(bytes);
            let memtables: u64 = memory.memtables.iter().sum();
            let total = memory.hot + memory.block_cache + 3 * memtables;
            assert!(total <= bytes.max(MEMORY_BYTES_MIN), "{bytes}: {total}");
            assert!(total >= bytes * 9 / 10, "{bytes}: {total}");
            assert!(memory.memtables.iter().all(|&octets| octets > 64 * 1024));
            assert!(memtables <= MEMTABLES_OCTETS_MAX);
        }
    }
}
