//! Every bound of templates and registrations, in one place, with its reason.

use guantong_proto::limits::{MESSAGE_LEN_MAX, VALUES_MAX};

/// Index of the first field; those below belong to the node and to the protocol.
pub const FIELD_INDEX_FIRST: i32 = 2_000;
/// Highest index of a field.
pub const FIELD_INDEX_LAST: i32 = 9_999;
/// Most fields of a template, disabled ones included. A registration has at most two values for
/// each, and a few more, which one message carries.
pub const FIELDS_MAX: usize = 256;
/// Most characters of the name of a field, and of its label.
pub const NAME_CHARS_MAX: usize = 50;
/// Most characters of the description of a field.
pub const FIELD_DESCRIPTION_CHARS_MAX: usize = 200;
/// Most characters of a note on a field.
pub const NOTE_CHARS_MAX: usize = 200;
/// Most notes on a field in words of others. Existing products have five such words.
pub const NOTES_MAX: usize = 8;
/// Most characters of the title of a template.
pub const TITLE_CHARS_MAX: usize = 100;
/// Most characters of the code of a template, which is a part of its handle.
pub const CODE_CHARS_MAX: usize = 100;
/// Most characters of the version by which second-level nodes name a template.
pub const VERSION_CHARS_MAX: usize = 128;
/// Most characters of the description of a template.
pub const DESCRIPTION_CHARS_MAX: usize = 1_000;
/// Most characters of the standard that a template names.
pub const STANDARD_CHARS_MAX: usize = 200;
/// Most characters of a category.
pub const CATEGORY_CHARS_MAX: usize = 64;
/// Most categories of a prefix: as many as surely fit into one record.
pub const CATEGORIES_MAX: usize = 500;
/// Most levels of categories. The national classification of industries has four.
pub const CATEGORY_LEVELS_MAX: usize = 8;
/// Most characters of the name of a category.
pub const CATEGORY_NAME_CHARS_MAX: usize = 50;
/// Most characters of a text.
pub const TEXT_CHARS_MAX: u32 = 4_000;
/// Most characters of a pattern that texts must match.
pub const PATTERN_CHARS_MAX: usize = 200;
/// Most octets that a compiled pattern takes: a few letters can ask for gigabytes.
pub const PATTERN_OCTETS_MAX: usize = 256 * 1024;
/// Most decimal digits of a number: as many as every reader of JSON keeps (RFC 8259, clause 6).
pub const DIGITS_MAX: u32 = 15;
/// Most files, or references, that one field holds.
pub const COUNT_MAX: u16 = 50;
/// Most characters of a reference.
pub const REFERENCE_CHARS_MAX: usize = 255;
/// Most characters of the place of a file.
pub const FILE_CHARS_MAX: usize = 1_024;
/// Most file suffixes that a field lists.
pub const SUFFIXES_MAX: usize = 32;
/// Most characters of a file suffix.
pub const SUFFIX_CHARS_MAX: usize = 10;
/// Most octets of a JSON Schema that a template is made from.
pub const SCHEMA_OCTETS_MAX: usize = 256 * 1024;
/// Most levels of arrays and objects in such a schema. A flat form needs five.
pub const SCHEMA_DEPTH_MAX: usize = 16;
/// Most characters of a minting rule.
pub const RULE_CHARS_MAX: usize = 200;
/// Most digits of a counter in a minted suffix; 64 bits have 19.
pub const COUNTER_DIGITS_MAX: u8 = 18;
/// Most numbers of a counter that are reserved by one write: as many as a few seconds of
/// registering need, and the most that one stop of the node leaves out.
pub const COUNTER_BLOCK_MAX: u64 = 1_000;

// A field of one value has a search value beside it, one with several references a value for each.
const _: () = assert!(2 * FIELDS_MAX + 64 < VALUES_MAX);
const _: () = assert!((FIELD_INDEX_LAST - FIELD_INDEX_FIRST) as usize >= FIELDS_MAX);
// A category is a value with its code, that of its parent, a name of up to four octets for each
// character, and what is around them.
const _: () = assert!(
    CATEGORIES_MAX * (2 * CATEGORY_CHARS_MAX + 4 * CATEGORY_NAME_CHARS_MAX + 150) < MESSAGE_LEN_MAX
);
