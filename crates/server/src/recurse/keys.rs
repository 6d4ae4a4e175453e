//! Keys of administrators that other servers hold, for those who have to check a signature.
//!
//! What is found here is believed, so only certified answers count: signed all the way down from a
//! root whose key is known (7). A root of which only addresses are known has no such way.

use std::sync::Arc;

use guantong_core::admin::StoredRecord;
use guantong_core::resolve::{Outcome, Question, TraceWanted};
use guantong_proto::Handle;

use super::courier::Courier;
use crate::errand::{FoundRecord, KeySource};

/// Records of others never change under the hands of a request, so they need no version.
const VERSION: u64 = 0;

/// Finds keys by resolving.
pub(super) struct Keys(pub(super) Arc<Courier>);

impl KeySource for Keys {
    fn record(&self, handle: Handle) -> FoundRecord {
        let courier = self.0.clone();
        Box::pin(async move {
            let question = Question {
                certified: true,
                ..Question::new(handle.clone())
            };
            let answer = courier.resolve(question, TraceWanted::No).await;
            match &answer.outcome {
                Outcome::Record(entry) => StoredRecord::new(handle, VERSION, entry.wire())
                    .map(Some)
                    .map_err(|error| error.to_string()),
                Outcome::NotFound | Outcome::ValuesNotFound => Ok(None),
                Outcome::Failed(error) => Err(error.to_string()),
                other => Err(format!("{other:?}")),
            }
        })
    }
}
