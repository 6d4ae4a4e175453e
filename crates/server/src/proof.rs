//! The records that a verification wants: from this node's own store if it answers for them, else
//! from the network if it has a resolver.

use guantong_core::admin::StoredRecord;
use guantong_core::authority::{self, Outcome, Query};
use guantong_core::resolve::{self, Question, TraceWanted};
use guantong_core::trust::Found;
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Values};

use crate::node::{Node, view};

impl Node {
    /// All that everybody may read of a record, judged by nobody.
    pub(crate) async fn record_to_judge(&self, handle: &Handle) -> Found {
        let query = Query::public(handle.as_str());
        let ours = authority::resolve(&self.site(), query, |key| self.store.get(key), view);
        match ours.inspect_err(|error| self.on_store_error(error)) {
            Ok(Some(Outcome::Record(values))) => {
                found(handle, &Writer::to_vec(|w| Values::encode(&values, w)))
            }
            Ok(Some(Outcome::NotFound | Outcome::ValuesNotFound | Outcome::Withdrawn(_))) => {
                Found::Absent
            }
            // Somebody else answers for it.
            Ok(_) => self.record_of_others(handle).await,
            Err(error) => Found::Failed(error.to_string()),
        }
    }

    async fn record_of_others(&self, handle: &Handle) -> Found {
        let Some(courier) = self.courier() else {
            let text = "it is not here, and this node resolves no names of others";
            return Found::Failed(text.to_owned());
        };
        let question = Question::new(handle.clone());
        let answer = courier.resolve_unjudged(question, TraceWanted::No).await;
        match &answer.outcome {
            resolve::Outcome::Record(entry) => found(handle, entry.wire()),
            resolve::Outcome::NotFound | resolve::Outcome::ValuesNotFound => Found::Absent,
            resolve::Outcome::Failed(error) => Found::Failed(error.to_string()),
            other => Found::Failed(format!("{other:?}")),
        }
    }
}

fn found(handle: &Handle, wire: &[u8]) -> Found {
    match StoredRecord::new(handle.clone(), 0, wire) {
        Ok(record) => Found::Record(record),
        Err(error) => Found::Failed(error.to_string()),
    }
}
