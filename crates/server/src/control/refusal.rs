//! What operators are told when something was not done: the one place where errors become
//! refusals.

use std::fmt;

use guantong_api::control::{Reason, Refusal};
use guantong_store::{BackupError, StoreError, WriteError};

use crate::files::copy::CopyError;

/// The request makes no sense.
pub(super) fn invalid(message: impl fmt::Display) -> Refusal {
    refusal(Reason::Invalid, message)
}

/// There is nothing of that name.
pub(super) fn not_found(message: impl fmt::Display) -> Refusal {
    refusal(Reason::NotFound, message)
}

/// What is there is not what the request supposes.
pub(super) fn conflict(message: impl fmt::Display) -> Refusal {
    refusal(Reason::Conflict, message)
}

/// Reading the store failed, or was asked for what cannot be read.
pub(super) fn of_read(error: &StoreError) -> Refusal {
    let reason = match error {
        StoreError::Token(_) => Reason::Invalid,
        StoreError::NoIndex { .. } => Reason::NotFound,
        StoreError::IndexBuilding { .. } => Reason::Busy,
        _ => Reason::Store,
    };
    refusal(reason, error)
}

/// Writing failed or was refused.
pub(super) fn of_write(error: &WriteError) -> Refusal {
    let reason = match error {
        WriteError::Conflict { .. } => Reason::Conflict,
        WriteError::Unfit { .. } | WriteError::TooLarge { .. } => Reason::Invalid,
        WriteError::Busy => Reason::Busy,
        WriteError::NotAdmitted { .. } => Reason::Denied,
        _ => Reason::Store,
    };
    refusal(reason, error)
}

/// A backup failed.
pub(super) fn of_backup(error: &BackupError) -> Refusal {
    let reason = match error {
        BackupError::NotEmpty { .. } => Reason::Invalid,
        _ => Reason::Store,
    };
    refusal(reason, error)
}

/// Files could not be copied into a backup.
pub(super) fn of_copy(error: &CopyError) -> Refusal {
    refusal(Reason::Store, error)
}

/// A refusal.
pub(super) fn refusal(reason: Reason, message: impl fmt::Display) -> Refusal {
    Refusal {
        reason,
        message: message.to_string(),
    }
}
