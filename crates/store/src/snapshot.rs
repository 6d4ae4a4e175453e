//! Everything as it was after one change: the source of replication.

use std::ops::Bound;

use guantong_proto::CaseRule;

use crate::engine::{Space, View};
use crate::entry::{self, Entry};
use crate::error::StoreError;
use crate::format::{Scope, State, decode_u64, end_of, removed_key};
use crate::limits::CHANGES_PAGE_LEN_MAX;
use crate::record::StoredRecord;
use crate::store::{Scan, Store, decode_record};

/// The records and the change log after one change, whatever is written meanwhile.
///
/// It holds back the engine's cleaning up: drop it in good time.
pub struct Snapshot {
    view: View,
    last_change: u64,
    case_rule: CaseRule,
}

impl Store {
    /// The store as it is at this moment.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let view = self.shared().engine.view();
        let octets = view.get(Space::Meta, State::KEY)?.unwrap_or_default();
        let state = State::decode(&octets).map_err(|source| StoreError::Form {
            what: "the store state".to_owned(),
            source,
        })?;
        Ok(Snapshot {
            view,
            last_change: state.last_change,
            case_rule: self.case_rule(),
        })
    }
}

impl Snapshot {
    /// The change that the snapshot ends with; 0 if there was none.
    pub fn last_change(&self) -> u64 {
        self.last_change
    }

    /// Which letters of a handle fold.
    pub fn case_rule(&self) -> CaseRule {
        self.case_rule
    }

    /// The record stored under a folded handle.
    pub fn get(&self, key: &[u8]) -> Result<Option<StoredRecord>, StoreError> {
        match self.view.get(Space::Records, key)? {
            Some(octets) => decode_record(key, &octets).map(Some),
            None => Ok(None),
        }
    }

    /// The change of that number.
    pub fn change(&self, number: u64) -> Result<Option<Entry>, StoreError> {
        change(&self.view, number)
    }

    /// The changes that follow change number `after`, at most `limit` and
    /// [`CHANGES_PAGE_LEN_MAX`].
    pub fn changes(&self, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        page_of_changes(&self.view, after, limit)
    }

    /// The records in a scope, in the order of their keys, from behind the key `after`.
    pub fn scan(&self, scope: &Scope, after: Option<&[u8]>) -> Scan {
        scan(&self.view, scope, after)
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("last_change", &self.last_change)
            .finish_non_exhaustive()
    }
}

/// The change of that number in a view.
pub(crate) fn change(view: &View, number: u64) -> Result<Option<Entry>, StoreError> {
    let octets = view.get(Space::Changes, &number.to_be_bytes())?;
    let entry = octets.map(|octets| entry::decode(number, &octets));
    entry.transpose().map_err(damaged)
}

/// The deletion after which there is no record under a key of a view.
pub(crate) fn removal(view: &View, key: &[u8]) -> Result<Option<u64>, StoreError> {
    let octets = view.get(Space::Meta, &removed_key(key))?;
    let number = octets.map(|octets| decode_u64(&octets)).transpose();
    number.map_err(|source| StoreError::Form {
        what: format!("the deletion of `{}`", String::from_utf8_lossy(key)),
        source,
    })
}

/// One page of the change log of a view.
pub(crate) fn page_of_changes(
    view: &View,
    after: u64,
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    let from = after.to_be_bytes();
    view.range(Space::Changes, Bound::Excluded(&from), None)
        .take(limit.min(CHANGES_PAGE_LEN_MAX))
        .map(|pair| {
            let (key, value) = pair?;
            let entry = decode_u64(&key).and_then(|number| entry::decode(number, &value));
            entry.map_err(damaged)
        })
        .collect()
}

/// The records of a view in a scope, from behind a key.
pub(crate) fn scan(view: &View, scope: &Scope, after: Option<&[u8]>) -> Scan {
    let start = scope.key_start();
    let end = end_of(&start);
    let from = match after {
        Some(after) if after >= start.as_slice() => Bound::Excluded(after),
        _ => Bound::Included(start.as_slice()),
    };
    Scan(view.range(Space::Records, from, end.as_deref()))
}

fn damaged(source: crate::error::FormError) -> StoreError {
    StoreError::Form {
        what: "an entry of the change log".to_owned(),
        source,
    }
}
