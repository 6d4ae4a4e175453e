//! Embedded store of records: wire form in, wire form out, durable, with an ordered change log.
//!
//! ```text
//!             reads                                     writes
//!   get ──► hot records ──┐              submit ──► queue ──► one writer ──► ticket
//!   list, scan, find ─────┤                                      │ one transaction, one sync
//!                         ▼                                      ▼
//!             engine: records · changes · index · meta      HEAD (last acknowledged change)
//! ```
//!
//! A [`Store`] is opened once and shared. Writes are [`Batch`]es of [`Change`]s, atomic, with
//! expectations about what is there; the [`Ticket`] of a batch tells when it is on the medium.
//! Every change gets a number and an [`Entry`] in the change log, in the same transaction. Reads
//! never wait for writes; what spans records is read from a snapshot.
//!
//! ```
//! use guantong_proto::wire::Writer;
//! use guantong_proto::{CaseRule, Handle, Value, Values};
//! use guantong_store::{Batch, Change, CreateOptions, Expect, Options, Origin, Store, Trail};
//!
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! let create = CreateOptions { case_rule: CaseRule::Insensitive, id: [7; 16] };
//! let store = Store::create(dir, &create, &Options::default())?;
//!
//! let handle = Handle::parse("88.118.5/SN20260001")?;
//! let values = [Value::new(1, "URL", "https://example.org/")];
//! let ticket = store.submit(Batch {
//!     changes: vec![Change::Put {
//!         handle: handle.clone(),
//!         values: Writer::to_vec(|w| Values::encode(&values, w)),
//!         expect: Expect::Absent,
//!     }],
//!     at_ms: 1_780_000_000_000,
//!     origin: Origin::Operator,
//!     trail: Trail::default(),
//! });
//! assert_eq!(ticket.wait()?.last, 1);
//!
//! let record = store.record(handle.borrow())?.expect("it was just written");
//! assert_eq!(record.values().to_vec()?, values);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it does not do: it knows no network, no permissions beyond one flag that saves work, no
//! clock and no randomness. Times and identities come in as parameters. The format on disk, what is
//! durable when, and the reasons are in `docs/internals/storage.md`.

mod backup;
mod batch;
mod check;
mod confirm;
mod engine;
mod entry;
mod error;
mod format;
mod group;
mod head;
mod hot;
mod index;
mod journal;
pub mod limits;
mod note;
mod open;
mod options;
mod page;
mod precheck;
mod prepare;
mod progress;
mod queue;
mod record;
mod shared;
mod snapshot;
mod store;
mod tail;
mod ticket;
mod trail;
mod watch;
mod writer;

pub use backup::{Manifest, read_manifest, restore};
pub use batch::{Batch, Change, Committed, Expect, Origin, Submission};
pub use check::{Checked, Finding, check};
pub use entry::{Action, Before, Entry};
pub use error::{
    BackupError, Cause, FormError, Found, OpenError, StoreError, TokenError, Unfit, WriteError,
};
pub use format::{PrefixKey, Scope};
pub use guantong_table::Place;
pub use hot::Look;
pub use index::{IndexInfo, IndexState};
pub use note::Note;
pub use options::{CreateOptions, OnLoss, Options};
pub use page::{Page, PageToken};
pub use progress::{Progress, Report};
pub use record::StoredRecord;
pub use snapshot::Snapshot;
pub use store::{Scan, Stats, Store};
pub use ticket::{Outcome, Recipient, Ticket};
pub use trail::{Right, Source, Trail, Used, Way};
pub use watch::Admission;
