//! Plain questions by the dozen: their look-ups wait for memory together.
//!
//! A record that is not in a cache of the processor costs two or three waits for memory, which is
//! more than all the rest of an answer. So the questions of a batch are read first, then the table
//! is asked for all their places, and only then are they answered, one after the other:
//!
//! ```text
//!   packets ──► read all ──► touch all ──► find, answer; find, answer; …
//!                  │ not plain, not in memory: left to Node::answer_at
//! ```

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use guantong_core::authority::{Plain, Site};
use guantong_store::{Place, StoredRecord};

use crate::metrics::Transport;
use crate::node::{Node, view};

/// Packets that are looked at together.
pub(crate) const AHEAD: usize = 64;

/// A question with its record.
pub(crate) struct Ready<'a> {
    plain: &'a Plain<'a>,
    record: &'a StoredRecord,
    now_secs: u32,
}

impl Ready<'_> {
    /// Appends the whole reply. If it says that it could not, nothing was appended, and the packet
    /// goes the long way.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> bool {
        self.plain.answer(view(self.record), self.now_secs, out)
    }
}

/// A question whose record is still to be found.
struct Planned<'a> {
    plain: Plain<'a>,
    key: Range<usize>,
    place: Place,
}

impl Node {
    /// Calls `each` with the number of every packet that is a plain question whose record is in
    /// memory, in order; it says whether an answer was made and should be counted. Writes to the
    /// store wait meanwhile, so `each` should not take long. `keys` is working space.
    ///
    /// A panic would be a mistake of ours; it ends the round, and is reported as the error.
    pub(crate) fn answer_ahead(
        &self,
        site: &Site,
        now_secs: u32,
        via: Transport,
        packets: [Option<&[u8]>; AHEAD],
        keys: &mut Vec<u8>,
        mut each: impl FnMut(usize, Ready<'_>) -> bool,
    ) -> Result<(), Panicked> {
        let asked = packets.iter().flatten().count();
        let begun = self.metrics.is_sample_of(u32::try_from(asked).unwrap_or(0));
        let begun = begun.then(Instant::now);
        keys.clear();
        let mut count = 0;
        let round = catch_unwind(AssertUnwindSafe(|| {
            let look = self.store.look();
            let planned = packets.map(|packet| {
                let start = keys.len();
                let plain = Plain::read(site, packet?, keys)?;
                Some(Planned {
                    plain,
                    place: look.place(&keys[start..]),
                    key: start..keys.len(),
                })
            });
            look.touch(planned.iter().flatten().map(|planned| planned.place));
            for (n, planned) in planned.iter().enumerate() {
                if let Some(Planned { plain, key, place }) = planned
                    && let Some(record) = look.find(*place, &keys[key.clone()])
                    && each(
                        n,
                        Ready {
                            plain,
                            record,
                            now_secs,
                        },
                    )
                {
                    count += 1;
                }
            }
        }));
        self.metrics.records(via, count);
        if let Some(begun) = begun
            && let Ok(count) = u32::try_from(count)
            && count > 0
        {
            self.metrics.took(via, begun.elapsed() / count);
        }
        round.map_err(|_| Panicked)
    }
}

/// A packet made the node panic.
#[derive(Debug)]
pub(crate) struct Panicked;
