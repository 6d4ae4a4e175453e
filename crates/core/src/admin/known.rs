//! The records that an errand has been shown so far, and which it wants next.

use std::sync::Arc;

use foldhash::HashMap;
use guantong_proto::{DecodeError, Handle, HandleRef, Key, Values};

use crate::authority::{Responsibility, Site};

/// Most records that one errand may want: key, prefix record, the record itself, and groups.
pub const FETCHES_MAX: usize = 64;
/// Most octets of records that one errand may hold.
pub const KNOWN_OCTETS_MAX: usize = 4 * 1024 * 1024;
/// Most records that a change takes over from the one before it: key, prefix record, and some
/// groups. More would leave less room below [`FETCHES_MAX`].
pub const SHARED_MAX: usize = 16;
/// Most octets of records that a change takes over from the one before it.
pub const SHARED_OCTETS_MAX: usize = 1024 * 1024;

//----------- Wanted ---------------------------------------------------------

/// A record that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub handle: Handle,
    /// Where it is to be looked for.
    pub place: Place,
}

/// Where a record is to be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In our own store.
    Here,
    /// In the network: other servers answer for it.
    Elsewhere,
}

/// Where the record of `handle` is to be looked for, one place after the other.
///
/// The prefix record of a prefix that is homed here belongs to the parent; a copy of it here is
/// believed, since the operator has put it there (6.7).
pub fn places(site: &Site, handle: HandleRef<'_>) -> &'static [Place] {
    match site.responsibility(handle) {
        Ok(Responsibility::Homed) => &[Place::Here],
        Ok(Responsibility::OwnPrefix) => &[Place::Here, Place::Elsewhere],
        Err(_) => &[Place::Elsewhere],
    }
}

//----------- Confirm --------------------------------------------------------

/// An answer by a secret key that only another server knows: it is to be asked whether the answer
/// is right (6.3, 6.5).
#[derive(Clone, PartialEq, Eq)]
pub struct Confirm {
    /// The record with the key.
    pub user: Handle,
    /// Index of the key.
    pub index: i32,
    /// What was asked: a nonce of ours,
    pub nonce: Vec<u8>,
    /// and what it is bound to.
    pub digest: Vec<u8>,
    /// The answer.
    pub signed: Vec<u8>,
}

impl std::fmt::Debug for Confirm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Whoever has nonce and answer can try secrets at leisure.
        write!(f, "Confirm({}:{})", self.index, self.user)
    }
}

//----------- StoredRecord ---------------------------------------------------

/// A record as an errand holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// The handle in its stored spelling.
    pub handle: Handle,
    /// The version of the record in our store; 0 for a record from elsewhere.
    pub version: u64,
    values: Arc<[u8]>,
}

impl StoredRecord {
    /// A record with values in wire form.
    pub fn new(handle: Handle, version: u64, values: &[u8]) -> Result<Self, DecodeError> {
        Values::from_wire(values)?;
        Ok(Self {
            handle,
            version,
            values: values.into(),
        })
    }

    /// The values.
    pub fn values(&self) -> Values<'_> {
        Values::from_wire(&self.values).unwrap_or(Values::EMPTY)
    }
}

//----------- Known ----------------------------------------------------------

/// What an errand has been shown.
#[derive(Debug, Default)]
pub(super) struct Known {
    found: HashMap<(Key, Place), Found>,
    octets: usize,
}

#[derive(Clone, Debug)]
enum Found {
    Record(StoredRecord),
    Absent,
    Failed(String),
}

impl Found {
    fn octets(&self) -> usize {
        match self {
            Self::Record(record) => record.values.len(),
            Self::Absent | Self::Failed(_) => 0,
        }
    }
}

impl Known {
    /// The record of `handle`, `None` if there is none, or what is missing to know that.
    pub(super) fn record(
        &self,
        site: &Site,
        handle: HandleRef<'_>,
    ) -> Result<Option<&StoredRecord>, Missing> {
        for place in places(site, handle) {
            if let Some(found) = self.at(site, handle, *place)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The record of `handle` in our own store, `None` if there is none.
    pub(super) fn here(
        &self,
        site: &Site,
        handle: HandleRef<'_>,
    ) -> Result<Option<&StoredRecord>, Missing> {
        self.at(site, handle, Place::Here)
    }

    /// Octets of the records that are held.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// How many records were looked for.
    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    /// Forgets the record of `handle` in our own store.
    pub(super) fn forget_one(&mut self, site: &Site, handle: HandleRef<'_>) {
        let name = (handle.key(site.case_rule()), Place::Here);
        self.octets -= self.found.remove(&name).map_or(0, |found| found.octets());
    }

    /// Forgets what was found: something has changed meanwhile.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    fn at(
        &self,
        site: &Site,
        handle: HandleRef<'_>,
        place: Place,
    ) -> Result<Option<&StoredRecord>, Missing> {
        match self.found.get(&(handle.key(site.case_rule()), place)) {
            Some(Found::Record(record)) => Ok(Some(record)),
            Some(Found::Absent) => Ok(None),
            Some(Found::Failed(reason)) => Err(Missing::Unreachable {
                handle: handle.to_owned(),
                reason: reason.clone(),
            }),
            None if self.found.len() >= FETCHES_MAX => Err(Missing::TooMany),
            None if self.octets > KNOWN_OCTETS_MAX => Err(Missing::TooLarge),
            None => Err(Missing::Record(Wanted {
                handle: handle.to_owned(),
                place,
            })),
        }
    }

    /// Takes what was found under a name that was wanted.
    pub(super) fn learn(&mut self, site: &Site, wanted: &Wanted, record: Option<StoredRecord>) {
        self.octets += record.as_ref().map_or(0, |record| record.values.len());
        let found = record.map_or(Found::Absent, Found::Record);
        self.note(site, wanted, found);
    }

    /// Takes the news that a record could not be had.
    pub(super) fn fail(&mut self, site: &Site, wanted: &Wanted, reason: String) {
        self.note(site, wanted, Found::Failed(reason));
    }

    fn note(&mut self, site: &Site, wanted: &Wanted, found: Found) {
        let key = wanted.handle.key(site.case_rule());
        self.found.insert((key, wanted.place), found);
    }
}

//----------- Missing --------------------------------------------------------

/// Why a record is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Missing {
    /// It has not been looked for yet.
    #[error("the record of {} is needed", .0.handle)]
    Record(Wanted),
    /// Another server has not been asked yet.
    #[error("the server of {} is to be asked about an answer", .0.user)]
    Confirmation(Confirm),
    /// It could not be had.
    #[error("the record of {handle} could not be read: {reason}")]
    Unreachable {
        /// Its name.
        handle: Handle,
        /// What went wrong.
        reason: String,
    },
    /// The request needs more records than one request may.
    #[error(
        "more than {FETCHES_MAX} records are needed to know who may do this: flatten the groups"
    )]
    TooMany,
    /// The records that the request needs are larger than one request may hold.
    #[error(
        "the records that say who may do this have more than {KNOWN_OCTETS_MAX} octets together"
    )]
    TooLarge,
}
