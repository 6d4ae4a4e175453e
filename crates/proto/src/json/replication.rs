//! The JSON form of how far the queues of several primaries have been followed (6.8).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{DecodeError, Reason};

/// Most octets of a state; a queue takes about a hundred.
const STATE_LEN_MAX: usize = 1024 * 1024;

/// How far one queue has been followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicationQueue {
    /// Server number and site of the primary that the queue belongs to.
    pub name: String,
    /// Number of the last transaction.
    pub last_txn: i64,
    /// Its date, in milliseconds since 1970.
    pub last_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct StateForm {
    #[serde(rename = "replicationServerStates", default)]
    queues: BTreeMap<String, QueueForm>,
}

#[derive(Serialize, Deserialize)]
struct QueueForm {
    #[serde(rename = "lastTxnId")]
    last_txn: i64,
    #[serde(rename = "lastTimestamp")]
    last_ms: i64,
}

/// Reads a state.
pub fn parse_replication_state(octets: &[u8]) -> Result<Vec<ReplicationQueue>, DecodeError> {
    let invalid = |reason| DecodeError::new("replication state", 0, reason);
    if octets.len() > STATE_LEN_MAX {
        return Err(invalid(Reason::TooLarge {
            found: octets.len(),
            limit: STATE_LEN_MAX,
        }));
    }
    let form: StateForm = serde_json::from_slice(octets)
        .map_err(|_| invalid(Reason::Invalid("is not a state of replication in JSON")))?;
    let queues = form
        .queues
        .into_iter()
        .map(|(name, queue)| ReplicationQueue {
            name,
            last_txn: queue.last_txn,
            last_ms: queue.last_ms,
        });
    Ok(queues.collect())
}

/// Writes a state.
pub fn format_replication_state(queues: impl Iterator<Item = ReplicationQueue>) -> Vec<u8> {
    let form = StateForm {
        queues: queues
            .map(|queue| {
                let form = QueueForm {
                    last_txn: queue.last_txn,
                    last_ms: queue.last_ms,
                };
                (queue.name, form)
            })
            .collect(),
    };
    serde_json::to_vec(&form).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_survives_a_round_trip() {
        let queues = vec![ReplicationQueue {
            name: "1:300:0.NA/20.500.12345".into(),
            last_txn: 5,
            last_ms: 1_700_000_000_000,
        }];
        let octets = format_replication_state(queues.clone().into_iter());
        assert_eq!(parse_replication_state(&octets).unwrap(), queues);
        assert!(octets.starts_with(br#"{"replicationServerStates":{"1:300:"#));
    }

    #[test]
    fn what_is_no_state_is_refused() {
        for octets in [&b""[..], b"7", b"{\"replicationServerStates\":7}"] {
            assert!(parse_replication_state(octets).is_err());
        }
        assert!(
            parse_replication_state(b"{\"ownName\":\"x\"}")
                .unwrap()
                .is_empty()
        );
    }
}
