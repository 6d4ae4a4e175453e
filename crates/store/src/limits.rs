//! Every bound of the store, in one place, with its reason.

/// Most changes of one batch. A batch is atomic and is kept in memory whole.
pub const BATCH_CHANGES_MAX: usize = 16_384;
/// Most octets of names, values and trails of one batch.
pub const BATCH_OCTETS_MAX: usize = 32 * 1024 * 1024;
/// Most HS_ADMIN values that a right in the change log names: a record is written over by one, or
/// by one to delete it and another to create it.
pub const RIGHT_VALUES_MAX: usize = 2;
/// Most groups that a right in the change log names for each value; people nest two or three.
pub const RIGHT_GROUPS_MAX: usize = 8;
/// Most octets of the address of a primary in the change log: the longest name of a host and a port
/// fit.
pub const PRIMARY_LEN_MAX: usize = 272;
/// Most octets that the change log keeps of where a change came from and of its right: as much as
/// the longest handles make of the limits above. Mostly there are a few dozen.
pub const TRAIL_LEN_MAX: usize = {
    let name = 2 + guantong_proto::limits::HANDLE_LEN_MAX;
    let value = name + 4 + 2 + 1 + RIGHT_GROUPS_MAX * (name + 4) + 2;
    3 + PRIMARY_LEN_MAX + 2 + RIGHT_VALUES_MAX * value
};
/// Most octets of the values of one record. Four times what fits into one protocol message, so that
/// a record can be larger than what one answer carries, and small enough to be read whole.
pub const RECORD_VALUES_OCTETS_MAX: usize = 1024 * 1024;
/// Changes at which the writer closes a group: more would delay the first caller for nothing.
pub const GROUP_CHANGES_MAX: usize = 16_384;
/// Octets at which the writer closes a group.
pub const GROUP_OCTETS_MAX: usize = 8 * 1024 * 1024;
/// Changes that may wait in the queue.
pub const QUEUE_CHANGES_MAX: usize = 65_536;
/// Octets that may wait in the queue.
pub const QUEUE_OCTETS_MAX: usize = 32 * 1024 * 1024;
/// Most handles of one page.
pub const PAGE_LEN_MAX: usize = 10_000;
/// Most change entries of one page.
pub const CHANGES_PAGE_LEN_MAX: usize = 10_000;
/// Most indexes at a time; each makes every write dearer.
pub const INDEXES_MAX: usize = 64;
/// Longest type an index can be switched on for, in octets.
pub const INDEX_KIND_LEN_MAX: usize = 255;
/// Records that one step of building an index looks at.
pub const INDEX_STEP_RECORDS: usize = 1_000;
/// Octets of records after which such a step ends early.
pub const INDEX_STEP_OCTETS: usize = 2 * 1024 * 1024;
/// Smallest memory setting: below it the engine cannot work sensibly.
pub const MEMORY_BYTES_MIN: u64 = 32 * 1024 * 1024;
/// Memory setting if none is given.
pub const MEMORY_BYTES_DEFAULT: u64 = 256 * 1024 * 1024;
/// Most octets of the memtables that are being filled, together: what is in them has to be replayed
/// from the journals after a crash, and a start should take less than a second.
pub const MEMTABLES_OCTETS_MAX: u64 = 64 * 1024 * 1024;
/// Prefixes of which the writer remembers counter and end; beyond it starts afresh.
pub const COUNTERS_CACHED_MAX: usize = 65_536;
/// Octets of one block of a backup.
pub const BACKUP_BLOCK_OCTETS: usize = 1024 * 1024;
/// Longest name of a note: one word.
pub const NOTE_NAME_LEN_MAX: usize = 64;
/// Most octets of a note. It is rewritten with every batch that bears it.
pub const NOTE_OCTETS_MAX: usize = 1024 * 1024;
/// Batches that may wait until a mirror has confirmed them; more would only wait longer.
pub const UNCONFIRMED_MAX: usize = 65_536;
/// Findings that a check collects; damage rarely comes in single pieces.
pub const FINDINGS_MAX: usize = 1_000;

// A full batch must fit into an empty queue.
const _: () = assert!(BATCH_CHANGES_MAX <= QUEUE_CHANGES_MAX);
const _: () = assert!(BATCH_OCTETS_MAX <= QUEUE_OCTETS_MAX);
// Counts of a right are kept in one octet.
const _: () = assert!(RIGHT_VALUES_MAX < 256 && RIGHT_GROUPS_MAX < 256);
const _: () = assert!(BACKUP_BLOCK_OCTETS <= 16 * 1024 * 1024);
