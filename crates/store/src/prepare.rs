//! What can be done to a batch before it reaches the writer: checking, folding, encoding.
//!
//! It happens on the caller's thread, so that the one writer has as little to do as possible.

use std::sync::Arc;

use guantong_proto::{CaseRule, Handle, Values};

use crate::batch::{Batch, Change, Expect, Origin};
use crate::engine::Slice;
use crate::error::{Unfit, WriteError};
use crate::limits::{BATCH_CHANGES_MAX, BATCH_OCTETS_MAX, RECORD_VALUES_OCTETS_MAX};
use crate::note::Note;
use crate::record;
use crate::trail::Right;

//----------- Prepared -------------------------------------------------------

/// A batch that is fit to be judged and written.
pub(crate) struct Prepared {
    pub(crate) changes: Vec<PreparedChange>,
    pub(crate) at_ms: u64,
    pub(crate) origin: Origin,
    /// Notes to be written with it.
    pub(crate) notes: Vec<Note>,
    /// Octets of names, values and trails.
    pub(crate) octets: usize,
}

/// A change with its record key.
pub(crate) struct PreparedChange {
    pub(crate) key: Slice,
    pub(crate) handle: Handle,
    pub(crate) kind: Kind,
    /// From where and by which right, as the entry of the change log has it.
    pub(crate) trail: Arc<[u8]>,
}

/// What a change does.
pub(crate) enum Kind {
    /// Write the record, which is encoded but for its version.
    Put {
        record: Vec<u8>,
        expect: Expect,
    },
    Delete {
        expect: Expect,
    },
    Home,
    Unhome,
}

/// Checks and encodes a batch. `rights` may say for each change what the trail says for all.
pub(crate) fn prepare(
    batch: Batch,
    rights: Vec<Right>,
    notes: Vec<Note>,
    rule: CaseRule,
) -> Result<Prepared, WriteError> {
    let Batch {
        changes,
        at_ms,
        origin,
        trail,
    } = batch;
    let common: Arc<[u8]> = trail.encode().into();
    // Changes that come together mostly happen by one right, which is encoded once.
    let (mut before, mut encoded) = (trail, common.clone());
    let mut rights = rights.into_iter();
    if changes.len() > BATCH_CHANGES_MAX {
        return Err(WriteError::TooLarge {
            found: changes.len(),
            limit: BATCH_CHANGES_MAX,
            unit: "changes",
        });
    }
    notes.iter().try_for_each(Note::check)?;
    let mut octets = notes.iter().map(|note| note.octets.len()).sum();
    let mut prepared = Vec::with_capacity(changes.len());
    for (position, change) in changes.into_iter().enumerate() {
        let trail = match rights.next() {
            None => common.clone(),
            Some(right) => {
                if right != before.right {
                    before.right = right;
                    encoded = before.encode().into();
                }
                encoded.clone()
            }
        };
        let change = prepare_change(position, change, trail, rule)?;
        octets += change.handle.as_str().len() + change.trail.len();
        if let Kind::Put { record, .. } = &change.kind {
            octets += record.len();
        }
        prepared.push(change);
    }
    if octets > BATCH_OCTETS_MAX {
        return Err(WriteError::TooLarge {
            found: octets,
            limit: BATCH_OCTETS_MAX,
            unit: "octets",
        });
    }
    Ok(Prepared {
        changes: prepared,
        at_ms,
        origin,
        notes,
        octets,
    })
}

fn prepare_change(
    position: usize,
    change: Change,
    trail: Arc<[u8]>,
    rule: CaseRule,
) -> Result<PreparedChange, WriteError> {
    let (handle, kind) = match change {
        Change::Put {
            handle,
            values,
            expect,
        } => match encode(&handle, &values) {
            Ok(record) => (handle, Kind::Put { record, expect }),
            Err(reason) => return Err(unfit(position, handle, reason)),
        },
        Change::Delete { handle, expect } => (handle, Kind::Delete { expect }),
        Change::Home { prefix } => (prefix, Kind::Home),
        Change::Unhome { prefix } => (prefix, Kind::Unhome),
    };
    let about_prefix = matches!(kind, Kind::Home | Kind::Unhome);
    if about_prefix && !handle.borrow().is_prefix_handle() {
        return Err(unfit(position, handle, Unfit::NotAPrefix));
    }
    Ok(PreparedChange {
        key: handle.key(rule).as_bytes().into(),
        handle,
        kind,
        trail,
    })
}

fn encode(handle: &Handle, values: &[u8]) -> Result<Vec<u8>, Unfit> {
    if values.len() > RECORD_VALUES_OCTETS_MAX {
        return Err(Unfit::TooLarge {
            found: values.len(),
            limit: RECORD_VALUES_OCTETS_MAX,
        });
    }
    let values = Values::from_wire(values)?;
    Ok(record::encode(handle.borrow(), values))
}

fn unfit(change: usize, handle: Handle, reason: Unfit) -> WriteError {
    WriteError::Unfit {
        change,
        handle,
        reason,
    }
}
