//! Which change log, and whether two logs agree about a change.

use std::fmt;

use guantong_proto::crypto::Hash;
use guantong_proto::wire::{Reader, Writer};
use guantong_proto::{DecodeError, HandleRef};

/// Octets of a log's identity and of a mark.
const LEN: usize = 16;

//----------- LogId ----------------------------------------------------------

/// The change log of one store, by the store's identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub [u8; LEN]);

impl LogId {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read(r, "identity of a log").map(Self)
    }

    pub(super) fn write(self, w: &mut Writer<'_>) {
        w.raw(&self.0);
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogId({self})")
    }
}

//----------- Mark -----------------------------------------------------------

/// A digest of one change, by which two nodes find out whether they speak of the same one.
///
/// A store that was restored from a backup counts on from an earlier change under its old identity.
/// Its numbers then name other changes than those that mirrors have seen; their marks differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mark([u8; LEN]);

impl Mark {
    /// The mark of the change with this number, action, time and handle.
    pub fn of(number: u64, action: u8, at_ms: u64, handle: &str) -> Self {
        let digest = Hash::Sha256.digest(&[
            &number.to_be_bytes(),
            &[action],
            &at_ms.to_be_bytes(),
            handle.as_bytes(),
        ]);
        let mut mark = [0; LEN];
        mark.copy_from_slice(&digest[..LEN]);
        Self(mark)
    }

    /// The mark of a change of `handle`.
    pub fn of_change(number: u64, action: u8, at_ms: u64, handle: HandleRef<'_>) -> Self {
        Self::of(number, action, at_ms, handle.as_str())
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read(r, "mark of a change").map(Self)
    }

    pub(super) fn write(self, w: &mut Writer<'_>) {
        w.raw(&self.0);
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mark({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

fn read(r: &mut Reader<'_>, field: &'static str) -> Result<[u8; LEN], DecodeError> {
    let mut octets = [0; LEN];
    octets.copy_from_slice(r.take(field, LEN)?);
    Ok(octets)
}
