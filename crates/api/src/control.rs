//! The control protocol: what an operator's command line says to the node on the same machine.
//!
//! A connection to the node's control socket carries JSON lines both ways. The client sends
//! [`Question`]s; the node answers each with any number of [`Answer`]s that are on the way
//! ([`Body::Progress`], [`Body::Records`]) and one that ends it ([`Body::Done`] or
//! [`Body::Refused`]), all with the number of the question, in the order of the questions. A
//! client may send the next question before the last one is answered.
//!
//! Records travel in the Handle JSON form, `{"handle":…,"values":[…]}`. They are kept as text
//! here, so that this crate knows nothing of records.
//!
//! ```text
//! -> {"version":1,"id":1,"ask":{"get":{"handle":"88.118.5/SN1"}}}
//! <-
//! {"version":1,"id":1,"body":{"done":{"record":{"version":7,"record":{"handle":…,"values":…}}}}}
//! ```

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The version of the protocol that these types describe.
pub const VERSION: u32 = 1;
/// Longest line of either side, in octets: a record of the largest size with every octet escaped
/// fits, and so does a batch of an import.
pub const LINE_LEN_MAX: usize = 16 * 1024 * 1024;

/// A JSON document that is passed on as it is.
pub type Json = Box<RawValue>;

//----------- Question -------------------------------------------------------

/// One line from the client.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The version of the protocol that the client speaks.
    pub version: u32,
    /// The client's number for the question; comes back with every answer to it.
    pub id: u64,
    /// What is asked.
    pub ask: Ask,
}

/// What can be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Ask {
    /// How the node is. Answered by [`Reply::Status`].
    Status,
    /// The record of a handle. Answered by [`Reply::Record`].
    Get {
        /// The handle.
        handle: String,
    },
    /// Change a record. Answered by [`Reply::Changed`].
    Change {
        /// The change.
        change: RecordChange,
        /// What must be there for the change to happen.
        condition: Condition,
        /// Whether to do it or only to say what would happen.
        mode: Mode,
    },
    /// Handles in order. Answered by [`Reply::Page`].
    List {
        /// Only those of this prefix.
        prefix: Option<String>,
        /// Where the last page ended.
        after: Option<String>,
        /// Most handles wanted.
        limit: u32,
    },
    /// Handles with a value of a type and data. Answered by [`Reply::Page`].
    Find {
        /// The type; an index must be switched on for it.
        #[serde(rename = "type")]
        kind: String,
        /// The data in the Handle JSON form: text, or `{"format":…,"value":…}`.
        data: Json,
        /// Where the last page ended.
        after: Option<String>,
        /// Most handles wanted.
        limit: u32,
    },
    /// The prefixes that the node homes. Answered by [`Reply::Prefixes`].
    Prefixes,
    /// Accept responsibility for a prefix. Answered by [`Reply::Done`].
    Home {
        /// The prefix, with or without `0.NA/`.
        prefix: String,
    },
    /// Give up responsibility for a prefix; its records stay. Answered by [`Reply::Done`].
    Unhome {
        /// The prefix, with or without `0.NA/`.
        prefix: String,
    },
    /// Write into a prefix record which sites serve the prefix. Answered by [`Reply::Changed`].
    Delegate {
        /// The prefix, with or without `0.NA/`.
        prefix: String,
        /// The sites in the Handle JSON form, in place of those that the record has now.
        sites: Vec<Json>,
        /// Handles whose sites serve the prefix, in place of those that the record has now.
        services: Vec<String>,
        /// Whether they serve the prefixes derived from it as well.
        #[serde(default)]
        derived: bool,
        /// The key that administers the prefix; `None` leaves administrators as they are.
        admin: Option<Identity>,
        /// Whether to do it or only to say what would happen.
        mode: Mode,
    },
    /// The indexes for reverse look-up. Answered by [`Reply::Indexes`].
    Indexes,
    /// Switch on reverse look-up for a type. Answered by [`Reply::Done`].
    EnableIndex {
        /// The type, or a family of types with a trailing dot.
        #[serde(rename = "type")]
        kind: String,
    },
    /// Switch off reverse look-up for a type. Answered by [`Reply::Done`].
    DisableIndex {
        /// The type, or a family of types with a trailing dot.
        #[serde(rename = "type")]
        kind: String,
    },
    /// Entries of the change log. Answered by [`Reply::Changes`].
    Changes {
        /// Number of the last entry that is known.
        after: u64,
        /// Most entries wanted.
        limit: u32,
    },
    /// The changes of one record, newest first. Answered by [`Reply::Past`].
    History {
        /// The handle.
        handle: String,
        /// Number of the change to begin at, as the last answer said; `None` for the newest.
        from: Option<u64>,
        /// Most changes wanted.
        limit: u32,
    },
    /// Make changes not have happened, all of them or none. Answered by [`Reply::Undone`].
    Undo {
        /// Number of the first change.
        first: u64,
        /// Number of the last.
        last: u64,
        /// Whether to do it or only to say what would happen.
        mode: Mode,
    },
    /// Take the turn to import, and keep it until the connection ends: imports happen one after
    /// another. Answered by [`Reply::Done`] when everything of earlier imports is in the store,
    /// also of those whose client has gone.
    BeginImport,
    /// Write many records. Answered by [`Reply::Imported`] when they are durable.
    Import {
        /// What to do with a record that is there already.
        on_conflict: OnConflict,
        /// Whether to do it or only to say what would happen.
        mode: Mode,
        /// The records.
        records: Vec<Json>,
    },
    /// All records in order, as of one moment. Answered by [`Body::Records`], then
    /// [`Reply::Exported`].
    Export {
        /// Only those of this prefix.
        prefix: Option<String>,
        /// Only those behind this handle in the order.
        after: Option<String>,
    },
    /// What the node is to its data, and how it fares as a mirror. Answered by [`Reply::Mirror`].
    Mirror,
    /// Make this node the primary. Answered by [`Reply::Promoted`], after as long as a lease.
    Promote {
        /// Although the old primary may still take changes, or has some that are not here.
        force: bool,
    },
    /// A consistent copy of the store. Answered by [`Body::Progress`], then [`Reply::BackedUp`].
    Backup {
        /// An absolute path on the node's machine, empty or not there yet.
        dir: String,
    },
    /// Read everything and say what is wrong. Answered by [`Body::Progress`], then
    /// [`Reply::Checked`].
    Check,
}

/// A change of one record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum RecordChange {
    /// Write the record whole, in place of what was there.
    Put {
        /// The record.
        record: Json,
    },
    /// Add values under indexes that are free.
    Add {
        /// The handle of an existing record.
        handle: String,
        /// A list of values.
        values: Json,
    },
    /// Replace values by their indexes.
    Modify {
        /// The handle of an existing record.
        handle: String,
        /// A list of values.
        values: Json,
    },
    /// Remove values by their indexes.
    Remove {
        /// The handle of an existing record.
        handle: String,
        /// The indexes.
        indexes: Vec<i32>,
    },
    /// Delete the record; its name may be given again.
    Delete {
        /// The handle of an existing record.
        handle: String,
    },
    /// Keep the record from the public; without a record, take the name.
    Reserve {
        /// The handle.
        handle: String,
        /// Why, in one line; may be empty.
        reason: String,
    },
    /// Show the record to the public.
    Publish {
        /// The handle of an existing record.
        handle: String,
    },
    /// Keep the record from the public for good, and its name from being given again.
    Withdraw {
        /// The handle of an existing record.
        handle: String,
        /// Why, in one line; may be empty.
        reason: String,
        /// The handle that is to be used instead.
        successor: Option<String>,
    },
}

/// What must be there for a change to happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Nothing in particular.
    #[default]
    None,
    /// No record.
    Absent,
    /// A record of this version.
    Version(u64),
}

/// Whether to do something or only to say what would happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Do it.
    #[default]
    Apply,
    /// Say what would happen.
    DryRun,
}

/// What an import does with a record that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnConflict {
    /// Replace it.
    #[default]
    Replace,
    /// Leave it as it is.
    Skip,
    /// Refuse the new one.
    Fail,
}

/// A key: a value of some record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The handle.
    pub handle: String,
    /// The index of the value; 0 means any.
    pub index: i32,
}

//----------- Answer ---------------------------------------------------------

/// One line from the node.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The version of the protocol that the node speaks.
    pub version: u32,
    /// The number of the question; 0 if it could not be read.
    pub id: u64,
    /// The answer.
    pub body: Body,
}

/// What an answer says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// How far a long job is.
    Progress(Progress),
    /// Some of the records asked for.
    Records(Vec<Json>),
    /// The end: it was done.
    Done(Reply),
    /// The end: it was not done.
    Refused(Refusal),
}

/// How far a long job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done now, in words.
    pub stage: String,
    /// Units done.
    pub done: u64,
    /// Units in all; 0 if that is not known.
    pub total: u64,
}

/// The result of a question that was answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reply {
    /// It was done; there is nothing to say.
    Done,
    /// How the node is.
    Status(Status),
    /// A record; `None` if there is none.
    Record(Option<Stored>),
    /// What a change did, or would do.
    Changed(Changed),
    /// Some handles.
    Page(Page),
    /// Prefixes, without `0.NA/`, each with its number of records.
    Prefixes(Vec<Prefix>),
    /// Indexes.
    Indexes(Vec<Index>),
    /// Entries of the change log.
    Changes(Vec<ChangeEntry>),
    /// Changes of one record.
    Past(Past),
    /// What undoing has done to each record and prefix.
    Undone(Vec<Undone>),
    /// What became of a batch of records.
    Imported(Imported),
    /// How many records were sent.
    Exported {
        /// The number.
        records: u64,
    },
    /// What the node is to its data.
    Mirror(MirrorStatus),
    /// The node is the primary now.
    Promoted(Promotion),
    /// A backup was made.
    BackedUp(Backup),
    /// What a check found.
    Checked(Checked),
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the software.
    pub software: String,
    /// The number of records.
    pub records: u64,
    /// The number of the last change.
    pub last_change: u64,
    /// Whether suffixes that differ in case are different names.
    pub case_sensitive: bool,
    /// Octets on the disk.
    pub disk_octets: u64,
}

/// A record that is stored.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stored {
    /// The number of the change that wrote it.
    pub version: u64,
    /// The record.
    pub record: Json,
}

/// What a change did, or would do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Changed {
    /// What it did.
    pub outcome: Outcome,
    /// The record as it was; `None` if there was none.
    pub before: Option<Json>,
    /// The record as it is now, or would be; `None` if there is none.
    pub after: Option<Json>,
    /// The number of the change; `None` if nothing was written.
    pub version: Option<u64>,
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// There was none, now there is.
    Created,
    /// It took the place of another.
    Replaced,
    /// It was there already, value by value.
    Unchanged,
    /// Another was there and was left as it is.
    Skipped,
    /// It was deleted.
    Deleted,
    /// It was not written.
    Refused(String),
}

/// What became of a batch of records. What was to be written is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// What became of each record, in their order.
    pub outcomes: Vec<Outcome>,
    /// The number of the last change of the batch; `None` if nothing was written.
    pub last_change: Option<u64>,
}

/// Some handles, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The handles.
    pub handles: Vec<String>,
    /// What to ask for the next page with; `None` at the end.
    pub next: Option<String>,
    /// How many there are in all, where that is known.
    pub total: Option<u64>,
}

/// A prefix that is homed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefix {
    /// The prefix, without `0.NA/`.
    pub prefix: String,
    /// How many records have it.
    pub records: u64,
    /// How far this node is behind its primary, if it is a mirror.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<Lag>,
}

/// How far a mirror is behind its primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// Changes that the primary is known to have and that are not here.
    pub changes: u64,
    /// Seconds since everything that it was known to have was here; `None` if that never was.
    pub seconds: Option<u64>,
}

/// What a node is to its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorStatus {
    /// `primary`, `mirror` or `fenced`.
    pub role: String,
    /// How often the primary has been changed by promotion, counted from 1.
    pub epoch: u64,
    /// Whom it follows.
    pub primary: Option<String>,
    /// Whether everything was here once.
    pub is_complete: bool,
    /// The last change of the primary that is here, if it is a mirror.
    pub last: Option<u64>,
    /// How far it is behind, if it is a mirror.
    pub lag: Option<Lag>,
    /// How many mirrors it serves.
    pub mirrors: u64,
    /// Whether it takes changes now.
    pub takes_changes: bool,
    /// Why not.
    pub why_not: Option<String>,
    /// A primary before this one that has not acknowledged yet that it is not any more.
    pub unaware: Option<String>,
}

/// A node has become the primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// The new epoch.
    pub epoch: u64,
    /// How it came about, for people.
    pub how: String,
}

/// An index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// The type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it stands: `ready`, `building` or `dropping`.
    pub state: String,
}

/// An entry of the change log.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangeEntry {
    /// Its number; numbers have no gaps.
    pub number: u64,
    /// When it was asked for, in milliseconds since 1970.
    pub at_ms: u64,
    /// `create`, `update`, `delete`, `home` or `unhome`.
    pub action: String,
    /// The handle it is about.
    pub handle: String,
    /// Who asked for it: `node`, `operator`, `import`, `replication`, or the key of an
    /// administrator as `index:handle`.
    pub origin: String,
    /// From where it came.
    pub from: Source,
    /// By which right it was made.
    pub right: Right,
    /// The record that was replaced or deleted.
    pub before: Option<Stored>,
}

/// From where a change came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `here` (whoever had the store open: the node, or a command while it did not run), `control`
    /// (the control socket), `udp`, `tcp`, `http`, `https`, `console` (a page of the console), or
    /// `primary` (what is mirrored).
    pub way: String,
    /// The other end, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The number of the user at the other end of the control socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<u32>,
}

/// By which right a change was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Right {
    /// The one that its origin has by itself: the node, the operator of the machine, the primary.
    Own,
    /// A setting of the node.
    Setting {
        /// Its name.
        setting: String,
    },
    /// The values let anybody write them.
    OpenValues,
    /// HS_ADMIN values.
    Administrator {
        /// Mostly one; two where a record was written over that could be deleted and created again.
        values: Vec<AdminValue>,
    },
    /// One that has no words here.
    Unknown,
}

/// An HS_ADMIN value that gave a right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminValue {
    /// The record that had the value.
    pub record: String,
    /// Its index.
    pub index: i32,
    /// The permissions that the change needed, by their names.
    pub permissions: Vec<String>,
    /// The groups that led to the administrator, outermost first, as `index:handle`.
    pub through: Vec<String>,
    /// How many groups there were behind them.
    pub more_groups: u16,
}

/// Changes of one record, newest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct Past {
    /// The changes.
    pub changes: Vec<ChangeEntry>,
    /// Where to go on; `None` behind the first change of the record.
    pub next: Option<u64>,
}

/// What undoing has done to a record or prefix.
#[derive(Debug, Serialize, Deserialize)]
pub struct Undone {
    /// The handle.
    pub handle: String,
    /// What was done. Of a prefix: `created` if it is homed again, `deleted` if not any more.
    pub changed: Changed,
}

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// Where it is.
    pub dir: String,
    /// How many records it holds.
    pub records: u64,
    /// How many entries of the change log it holds.
    pub changes: u64,
    /// The number of the last change in it.
    pub last_change: u64,
    /// Its size in octets, without files.
    pub octets: u64,
    /// How many uploaded files it holds.
    #[serde(default)]
    pub files: u64,
    /// Their octets.
    #[serde(default)]
    pub file_octets: u64,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// How many records were read.
    pub records: u64,
    /// How many entries of the change log were read.
    pub changes: u64,
    /// How many index entries were read.
    pub index_entries: u64,
    /// The link of the last change in hexadecimal digits: depends on every change before it.
    pub link: String,
    /// What is wrong; empty if all is well.
    pub findings: Vec<Finding>,
    /// How many more findings there are.
    pub more_findings: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What is wrong, and where.
    pub what: String,
    /// What to do about it.
    pub advice: String,
}

//----------- Refusal --------------------------------------------------------

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of reason.
    pub reason: Reason,
    /// What, where, whose fault, next step.
    pub message: String,
}

/// The kinds of reasons, by who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// There is nothing of that name.
    NotFound,
    /// What is there is not what the request supposes.
    Conflict,
    /// The request makes no sense.
    Invalid,
    /// The request is of a version of the protocol that is not spoken here.
    Version,
    /// The caller may not ask this.
    Denied,
    /// Too many ask at the same time.
    Busy,
    /// The node's disk or store failed.
    Store,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_has_the_documented_form() {
        let line = r#"{"version":1,"id":1,"ask":{"get":{"handle":"88.118.5/SN1"}}}"#;
        let question: Question = serde_json::from_str(line).unwrap();
        assert!(matches!(&question.ask, Ask::Get { handle } if handle == "88.118.5/SN1"));
        assert_eq!(serde_json::to_string(&question).unwrap(), line);
    }

    #[test]
    fn records_pass_as_they_were_written() {
        let line = r#"{"version":1,"id":2,"ask":{"change":{"change":{"put":{"record":{ "handle":"1/a", "values":[] }}},"condition":{"version":7},"mode":"dry-run"}}}"#;
        let question: Question = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&question).unwrap(), line);
    }

    #[test]
    fn outcome_of_an_import_is_a_word_or_a_word_with_its_reason() {
        let outcomes = [Outcome::Created, Outcome::Refused("no".into())];
        let text = serde_json::to_string(&outcomes).unwrap();
        assert_eq!(text, r#"["created",{"refused":"no"}]"#);
    }

    #[test]
    fn question_with_an_unknown_field_is_refused() {
        let line = r#"{"version":1,"id":1,"ask":"status","color":"red"}"#;
        let error = serde_json::from_str::<Question>(line).unwrap_err();
        assert!(error.to_string().contains("unknown field `color`"));
    }
}
