//! Reads everything and says what is wrong: `store check`.
//!
//! Three passes over one view: records, change log, and the small tables and indexes. Memory does
//! not grow with the number of records: each record is looked up in the log by its version, and the
//! log is proved complete by its numbers and by its balance of creations and deletions.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use guantong_proto::type_matches;

use crate::engine::{Slice, Space, View};
use crate::entry::{self, Action, Chain, Entry};
use crate::error::{OpenError, StoreError};
use crate::format::{
    Header, INDEX_KEY_HEAD, PrefixKey, State, decode_homed, decode_u64, index_value_start,
    prefix_of, record_key_of,
};
use crate::index::{self, IndexDef, IndexState};
use crate::limits::FINDINGS_MAX;
use crate::open;
use crate::progress::{Meter, Report};
use crate::record::{self, StoredRecord};
use crate::store::Store;

/// What to do about damage that only a backup can mend.
const RESTORE: &str = "restore a backup";
/// What to do about a record that a new write would mend.
const REWRITE: &str = "write the record anew, or restore a backup";
/// What to do about an index.
const REINDEX: &str = "switch the index off and on again";
/// What to do about numbers that are kept beside the records.
const EXPORT: &str = "reading and writing records is not affected; export the records and import them into a new store";

//----------- Checked --------------------------------------------------------

/// What a check has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// What is wrong; empty is good.
    pub findings: Vec<Finding>,
    /// Findings beyond [`FINDINGS_MAX`], which are only counted.
    pub more_findings: u64,
    /// Records read.
    pub records: u64,
    /// Entries of the change log read.
    pub changes: u64,
    /// Index entries read.
    pub index_entries: u64,
    /// The link of the last change, which depends on every change before it: noted elsewhere, it
    /// shows later whether somebody has rewritten the log up to here.
    pub link: [u8; 32],
    /// The check was stopped on request before it had seen everything.
    pub stopped: bool,
}

impl Checked {
    /// Whether everything was read and nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && !self.stopped
    }

    fn find(&mut self, what: String, advice: &'static str) {
        match self.findings.len() < FINDINGS_MAX {
            true => self.findings.push(Finding { what, advice }),
            false => self.more_findings += 1,
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong, and where.
    pub what: String,
    /// What to do about it.
    pub advice: &'static str,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.advice)
    }
}

//----------- Check ----------------------------------------------------------

/// Checks the store in `dir`, which nobody may have open. Changes nothing that it finds; fails only
/// if the store cannot be opened at all.
pub fn check(dir: &Path, memory_bytes: u64, report: Report<'_>) -> Result<Checked, OpenError> {
    let found = open::find(dir, memory_bytes)?;
    let mut checked = Checked::default();
    if let Err(error) = open::read_head(dir, &found) {
        checked.find(error.to_string(), RESTORE);
    }
    let view = found.engine.view();
    let examination = Examination::new(&view, found.header, found.state, &found.indexes, report);
    Ok(examination.run(checked))
}

impl Store {
    /// Checks the open store as it is at this moment. What is on disk is read, except for blocks
    /// that are cached; [`check`] reads everything.
    pub fn check(&self, report: Report<'_>) -> Result<Checked, StoreError> {
        // Indexes first: an index that becomes ready in between is taken as still being built.
        let indexes = self.shared().indexes();
        let view = self.shared().engine.view();
        let octets = view.get(Space::Meta, State::KEY)?.unwrap_or_default();
        let state = State::decode(&octets).map_err(|source| StoreError::Form {
            what: "the store state".to_owned(),
            source,
        })?;
        let header = self.shared().header;
        let examination = Examination::new(&view, header, state, &indexes, report);
        Ok(examination.run(Checked::default()))
    }
}

//----------- Examination ----------------------------------------------------

struct Examination<'a> {
    view: &'a View,
    header: Header,
    state: State,
    indexes: &'a [IndexDef],
    meter: Meter<'a>,
    checked: Checked,
    /// Records by folded prefix, as counted.
    counted: BTreeMap<Box<[u8]>, u64>,
}

impl<'a> Examination<'a> {
    fn new(
        view: &'a View,
        header: Header,
        state: State,
        indexes: &'a [IndexDef],
        report: Report<'a>,
    ) -> Self {
        Self {
            view,
            header,
            state,
            indexes,
            meter: Meter::new(report, state.records + state.last_change),
            checked: Checked::default(),
            counted: BTreeMap::new(),
        }
    }

    fn run(mut self, checked: Checked) -> Checked {
        self.checked = checked;
        for pass in [
            Self::check_records,
            Self::check_changes,
            Self::check_indexes,
            Self::check_meta,
        ] {
            if pass(&mut self).is_break() {
                self.checked.stopped = true;
                break;
            }
        }
        self.checked
    }

    /// Gives each readable pair of a key space to `look`; damage to the key space is a finding.
    fn each(
        &mut self,
        space: Space,
        mut look: impl FnMut(&mut Self, &Slice, &Slice),
    ) -> ControlFlow<()> {
        self.meter.stage(space.name())?;
        let mut last: Option<Slice> = None;
        for pair in self.view.starting_with(space, b"") {
            let (key, value) = match pair {
                Ok(pair) => pair,
                Err(cause) => {
                    let place = match &last {
                        Some(key) => format!("behind `{}`", printable(space, key)),
                        None => "at its beginning".to_owned(),
                    };
                    let what = format!("{} cannot be read {place}: {cause}", space.name());
                    self.checked.find(what, RESTORE);
                    return ControlFlow::Continue(());
                }
            };
            look(self, &key, &value);
            last = Some(key);
            self.meter.step()?;
        }
        ControlFlow::Continue(())
    }

    //--- Records

    fn check_records(&mut self) -> ControlFlow<()> {
        self.each(Space::Records, Self::check_record)?;
        let (found, state) = (self.checked.records, self.state.records);
        if found != state {
            let what = format!("there are {found} records, the store has counted {state}");
            self.checked.find(what, EXPORT);
        }
        ControlFlow::Continue(())
    }

    fn check_record(&mut self, key: &Slice, value: &Slice) {
        self.checked.records += 1;
        *self.counted.entry(prefix_of(key).into()).or_default() += 1;
        let name = printable(Space::Records, key);
        let record = match StoredRecord::decode(value) {
            Ok(record) => record,
            Err(error) => {
                let what = format!("the record under `{name}` does not decode: {error}");
                return self.checked.find(what, REWRITE);
            }
        };
        let (key_agrees, flags_agree) = record::agrees(&record, key, self.header.case_rule);
        if !key_agrees {
            let what = format!(
                "under `{name}` there is the record of `{}`",
                record.handle()
            );
            self.checked.find(what, REWRITE);
        }
        if !flags_agree {
            let what = format!("the flags of record `{name}` contradict its permissions");
            self.checked.find(what, REWRITE);
        }
        if let Some(what) = self.contradicts_log(key, &record) {
            self.checked
                .find(format!("record `{name}` {what}"), REWRITE);
        }
        for head in self.missing_index_entries(key, &record) {
            let what = format!("record `{name}` is missing in index number {head}");
            self.checked.find(what, REINDEX);
        }
    }

    /// How a record contradicts the change that its version names.
    fn contradicts_log(&self, key: &[u8], record: &StoredRecord) -> Option<String> {
        let version = record.version();
        if version == 0 || version > self.state.last_change {
            return Some(format!(
                "has version {version}, the last change is {}",
                self.state.last_change
            ));
        }
        // Damage to the log is found when the log is read.
        let octets = self.view.get(Space::Changes, &version.to_be_bytes()).ok()?;
        let Some(octets) = octets else {
            return Some(format!(
                "was written by change {version}, which is not in the log"
            ));
        };
        let entry = entry::decode(version, &octets).ok()?;
        let wrote = matches!(entry.action, Action::Create | Action::Update);
        let same = entry.handle.key(self.header.case_rule).as_bytes() == key;
        match wrote && same {
            true => None,
            false => Some(format!(
                "has version {version}, but that change is about something else"
            )),
        }
    }

    /// Numbers of the indexes that lack an entry for the record.
    fn missing_index_entries(&self, key: &[u8], record: &StoredRecord) -> Vec<u32> {
        let covers = |def: &&IndexDef| match def.state {
            IndexState::Ready => true,
            IndexState::Building => key <= def.cursor.as_slice(),
            IndexState::Dropping => false,
        };
        let mut missing = Vec::new();
        for def in self.indexes.iter().filter(covers) {
            let heads = index::entries(std::slice::from_ref(def), record.values());
            let is_missing = |head: &[u8; INDEX_KEY_HEAD]| {
                let entry = [head, key].concat();
                matches!(self.view.get(Space::Index, &entry), Ok(None))
            };
            if heads.iter().any(is_missing) {
                missing.push(def.number);
            }
        }
        missing
    }

    //--- Change log

    fn check_changes(&mut self) -> ControlFlow<()> {
        let mut log = Log::new();
        self.each(Space::Changes, |this, key, value| {
            this.check_change(&mut log, key, value);
        })?;
        let State {
            last_change: last,
            records,
            removed,
            link,
            ..
        } = self.state;
        self.checked.link = log.chain.link();
        if self.checked.link != link && !log.is_broken {
            let what = "the chain over the change log does not end where the store says".to_owned();
            self.checked.find(what, RESTORE);
        }
        if log.expected != last.saturating_add(1) {
            let what = format!(
                "the change log ends at {}, the store at {last}",
                log.expected.saturating_sub(1)
            );
            self.checked.find(what, RESTORE);
        } else if !log.is_undecodable && log.balance != self.checked.records.cast_signed() {
            let what = format!(
                "the change log accounts for {} records, there are {}",
                log.balance, self.checked.records
            );
            self.checked.find(what, RESTORE);
        }
        let known = records.saturating_add(removed);
        if !log.is_undecodable && log.names != known {
            let what = format!(
                "the change log has created {} names, the store knows {known}, with those that \
                 were deleted",
                log.names
            );
            self.checked.find(what, EXPORT);
        }
        ControlFlow::Continue(())
    }

    fn check_change(&mut self, log: &mut Log, key: &Slice, value: &Slice) {
        self.checked.changes += 1;
        let Ok(number) = decode_u64(key) else {
            let what = "the change log has a key that is no number".to_owned();
            return self.checked.find(what, RESTORE);
        };
        if number != log.expected {
            let (first, last) = (log.expected, number.saturating_sub(1));
            let what = format!("changes {first} to {last} are missing");
            self.checked.find(what, RESTORE);
        }
        log.expected = number.saturating_add(1);
        if !log.chain.follow(number, value) && !log.is_broken {
            log.is_broken = true;
            let what = format!(
                "the chain over the change log breaks at change {number}: it is not what was \
                 written, or an earlier one is not"
            );
            self.checked.find(what, RESTORE);
        }
        match entry::decode(number, value) {
            Ok(entry) => {
                log.count(&entry);
                if let Some(what) = self.contradicts_last_life(&entry) {
                    self.checked.find(what, RESTORE);
                }
            }
            Err(error) => {
                log.is_undecodable = true;
                let what = format!("change {number} does not decode: {error}");
                self.checked.find(what, RESTORE);
            }
        }
    }

    /// How a creation contradicts the deletion that it names as the end of the last life.
    fn contradicts_last_life(&self, entry: &Entry) -> Option<String> {
        let deletion = entry.last_life?;
        let key = entry.handle.key(self.header.case_rule);
        let number = entry.number;
        match self.is_deletion(deletion, key.as_bytes())? {
            true => None,
            false => Some(format!(
                "change {number} created {} after change {deletion}, which did not delete it",
                entry.handle
            )),
        }
    }

    /// Whether a change deleted the record under a key; `None` if it is damaged, which is found
    /// when the log is read.
    fn is_deletion(&self, number: u64, key: &[u8]) -> Option<bool> {
        let octets = self.view.get(Space::Changes, &number.to_be_bytes()).ok()?;
        let Some(octets) = octets else {
            return Some(false);
        };
        let entry = entry::decode(number, &octets).ok()?;
        let is_same = entry.handle.key(self.header.case_rule).as_bytes() == key;
        Some(is_same && entry.action == Action::Delete)
    }

    //--- Indexes

    fn check_indexes(&mut self) -> ControlFlow<()> {
        self.each(Space::Index, |this, key, _| {
            this.checked.index_entries += 1;
            if let Some(what) = this.stray_index_entry(key) {
                this.checked.find(what, REINDEX);
            }
        })
    }

    /// Why an index entry should not be there.
    fn stray_index_entry(&self, entry: &[u8]) -> Option<String> {
        let Ok(key) = record_key_of(entry) else {
            return Some("an index entry is too short".to_owned());
        };
        let def = self
            .indexes
            .iter()
            .find(|def| entry.starts_with(&def.number.to_be_bytes()));
        let name = printable(Space::Records, key);
        let Some(def) = def else {
            return Some(format!("an index that does not exist has `{name}`"));
        };
        if def.state == IndexState::Dropping {
            return None;
        }
        // Damage to the record is found when the records are read.
        let octets = self.view.get(Space::Records, key).ok()?;
        let record = match octets.as_deref().map(StoredRecord::decode) {
            None => {
                let kind = &def.kind;
                return Some(format!(
                    "the index for `{kind}` has `{name}`, which is gone"
                ));
            }
            Some(Err(_)) => return None,
            Some(Ok(record)) => record,
        };
        let holds = record.values().iter().any(|value| {
            type_matches(def.kind.as_bytes(), value.kind)
                && entry.starts_with(&index_value_start(def.number, value.data))
        });
        match holds {
            true => None,
            false => Some(format!(
                "the index for `{}` has `{name}`, which has no such value",
                def.kind
            )),
        }
    }

    //--- Meta

    fn check_meta(&mut self) -> ControlFlow<()> {
        let mut counted = std::mem::take(&mut self.counted);
        let mut removed = 0;
        self.each(Space::Meta, |this, key, value| {
            let (kind, rest) = key.split_first().unwrap_or((&0, &[]));
            let decoded = match kind {
                b'f' if rest.is_empty() => Header::decode(value).map(drop),
                b's' if rest.is_empty() => State::decode(value).map(drop),
                b'h' => decode_homed(value).map(drop),
                b'd' => decode_u64(value).map(|deletion| {
                    removed += 1;
                    this.check_removed(rest, deletion);
                }),
                // What a note says is known to whoever wrote it.
                b'n' if !rest.is_empty() => Ok(()),
                b'i' => IndexDef::decode(value).map(drop),
                b'c' => decode_u64(value).map(|count| {
                    let prefix = PrefixKey(rest.into());
                    let found = counted.remove(&prefix.0).unwrap_or(0);
                    this.compare_counter(&prefix, count, found);
                }),
                _ => {
                    let what = format!("the meta key `{}` is unknown", key.escape_ascii());
                    return this.checked.find(what, RESTORE);
                }
            };
            if let Err(error) = decoded {
                let what = format!("meta entry `{}`: {error}", key.escape_ascii());
                this.checked.find(what, RESTORE);
            }
        })?;
        for (prefix, found) in counted {
            self.compare_counter(&PrefixKey(prefix), 0, found);
        }
        let counted = self.state.removed;
        if removed != counted {
            let what =
                format!("{removed} deleted names are known, the store has counted {counted}");
            self.checked.find(what, EXPORT);
        }
        ControlFlow::Continue(())
    }

    /// Whether a name that is known as deleted was deleted by that change, and has no record.
    fn check_removed(&mut self, key: &[u8], deletion: u64) {
        let name = printable(Space::Records, key);
        if self.is_deletion(deletion, key) == Some(false) {
            let what =
                format!("`{name}` is said to be deleted by change {deletion}, which did not");
            self.checked.find(what, EXPORT);
        }
        if let Ok(Some(_)) = self.view.get(Space::Records, key) {
            let what = format!("`{name}` is said to be deleted, and has a record");
            self.checked.find(what, EXPORT);
        }
    }

    fn compare_counter(&mut self, prefix: &PrefixKey, counter: u64, found: u64) {
        if counter != found {
            let prefix = String::from_utf8_lossy(&prefix.0);
            let what = format!("prefix `{prefix}` has {found} records, its counter says {counter}");
            self.checked.find(what, EXPORT);
        }
    }
}

//----------- Log ------------------------------------------------------------

/// What the entries of the change log add up to.
struct Log {
    /// Number of the next entry.
    expected: u64,
    chain: Chain,
    /// Whether a link did not follow; what comes behind it does not follow either.
    is_broken: bool,
    is_undecodable: bool,
    /// Creations less deletions.
    balance: i64,
    /// Names that had a record for the first time.
    names: u64,
}

impl Log {
    fn new() -> Self {
        Self {
            expected: 1,
            chain: Chain::new(),
            is_broken: false,
            is_undecodable: false,
            balance: 0,
            names: 0,
        }
    }

    fn count(&mut self, entry: &Entry) {
        match entry.action {
            Action::Create => {
                self.balance += 1;
                self.names += u64::from(entry.last_life.is_none());
            }
            Action::Delete => self.balance -= 1,
            Action::Update | Action::Home | Action::Unhome => {}
        }
    }
}

fn printable(space: Space, key: &[u8]) -> String {
    match space {
        Space::Changes => decode_u64(key).map_or_else(|_| "?".to_owned(), |n| n.to_string()),
        Space::Index => printable(Space::Records, key.get(INDEX_KEY_HEAD..).unwrap_or(&[])),
        Space::Records | Space::Meta => String::from_utf8_lossy(key).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use guantong_proto::{CaseRule, Handle};

    use super::*;
    use crate::format::removed_key;
    use crate::{Batch, Change, CreateOptions, Expect, OnLoss, Options, Origin, Trail};

    fn go_on(_: crate::Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// A store with six changes, whose files may be written to behind its back.
    fn store(dir: &Path) -> Store {
        let create = CreateOptions {
            case_rule: CaseRule::Insensitive,
            id: [7; 16],
        };
        let store = Store::create(dir, &create, &Options::default()).unwrap();
        let handle = |name| Handle::parse(name).unwrap();
        let put = |name| Change::Put {
            handle: handle(name),
            values: vec![0; 4],
            expect: Expect::Anything,
        };
        let delete = |name| Change::Delete {
            handle: handle(name),
            expect: Expect::Anything,
        };
        let prefix = handle("0.NA/1");
        let changes = vec![
            put("1/a"),
            put("1/b"),
            delete("1/a"),
            put("1/a"),
            Change::Home { prefix },
            delete("1/b"),
        ];
        let batch = Batch {
            changes,
            at_ms: 1,
            origin: Origin::Import,
            trail: Trail::default(),
        };
        store.submit(batch).wait().unwrap();
        store
    }

    fn put(store: &Store, space: Space, key: &[u8], value: &[u8]) {
        let mut transaction = store.shared().engine.transaction(1);
        transaction.put(space, key, value);
        transaction.commit().unwrap();
    }

    fn found(store: &Store) -> Vec<String> {
        let checked = store.check(&mut go_on).unwrap();
        checked.findings.into_iter().map(|f| f.what).collect()
    }

    /// Not damage, which the engine's checksums find, but somebody with the right tools.
    #[test]
    fn each_bit_of_each_entry_that_was_rewritten_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        assert_eq!(found(&store), [""; 0]);
        for number in 1..=6_u64 {
            let key = number.to_be_bytes();
            let view = store.shared().engine.view();
            let entry = view.get(Space::Changes, &key).unwrap().unwrap();
            for at in 0..entry.len() {
                let mut altered = entry.to_vec();
                altered[at] ^= 1 << (at % 8);
                put(&store, Space::Changes, &key, &altered);
                let found = found(&store);
                let named = format!("breaks at change {number}:");
                assert!(found.iter().any(|what| what.contains(&named)), "{found:?}");
            }
            put(&store, Space::Changes, &key, &entry);
        }
        assert_eq!(found(&store), [""; 0]);
    }

    #[test]
    fn log_that_was_rewritten_to_its_end_is_noticed_when_the_store_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let view = store.shared().engine.view();
        let entry_of = |number: u64| view.get(Space::Changes, &number.to_be_bytes());
        let octets = view.get(Space::Meta, State::KEY).unwrap().unwrap();
        let mut state = State::decode(&octets).unwrap();
        // The time of change 3 is another, and every link behind it is made anew.
        let mut link = entry::link_in(&entry_of(2).unwrap().unwrap()).unwrap();
        for number in 3..=6 {
            let mut entry = entry_of(number).unwrap().unwrap().to_vec();
            entry.truncate(entry.len() - 32);
            entry[10] ^= u8::from(number == 3);
            link = entry::seal(&link, number, &mut entry);
            put(&store, Space::Changes, &number.to_be_bytes(), &entry);
        }
        state.link = link;
        put(&store, Space::Meta, State::KEY, &state.encode());
        // Nothing in the store contradicts it.
        assert_eq!(found(&store), [""; 0]);
        drop((view, store));
        let head = std::fs::read(dir.path().join("HEAD")).unwrap();
        let opened = Store::open(dir.path(), &Options::default());
        let error = opened.unwrap_err();
        assert!(
            matches!(error, OpenError::Rewritten { change: 6, .. }),
            "{error}"
        );
        let checked = check(dir.path(), 0, &mut go_on).unwrap();
        assert!(checked.findings[0].what.contains("was rewritten"));
        let accept = Options {
            on_loss: OnLoss::Accept,
            ..Options::default()
        };
        drop(Store::open(dir.path(), &accept).unwrap());
        assert_ne!(head, std::fs::read(dir.path().join("HEAD")).unwrap());
        Store::open(dir.path(), &Options::default()).unwrap();
    }

    #[test]
    fn acknowledged_change_that_is_gone_is_noticed_when_the_store_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        drop(store(dir.path()));
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        let mut transaction = store.shared().engine.transaction(1);
        transaction.delete(Space::Changes, 6_u64.to_be_bytes());
        transaction.commit().unwrap();
        drop(store);
        let error = Store::open(dir.path(), &Options::default()).unwrap_err();
        assert!(
            matches!(error, OpenError::LostChanges { first: 6, .. }),
            "{error}"
        );
    }

    #[test]
    fn names_that_are_wrongly_said_to_be_deleted_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let removed = |name: &[u8], number: u64| {
            put(
                &store,
                Space::Meta,
                &removed_key(name),
                &number.to_be_bytes(),
            );
        };
        removed(b"1/B", 3);
        let which = found(&store);
        assert!(
            which[0].contains("`1/B` is said to be deleted by change 3"),
            "{which:?}"
        );
        removed(b"1/B", 6);
        removed(b"1/A", 3);
        let which = found(&store);
        assert!(
            which[0].contains("`1/A` is said to be deleted, and has a record"),
            "{which:?}"
        );
        assert!(which[1].contains("2 deleted names are known"), "{which:?}");
    }

    #[test]
    fn backup_of_a_log_that_was_rewritten_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir.path().join("store"));
        let key = 2_u64.to_be_bytes();
        let view = store.shared().engine.view();
        let mut entry = view.get(Space::Changes, &key).unwrap().unwrap().to_vec();
        entry[10] ^= 1;
        put(&store, Space::Changes, &key, &entry);
        let error = store.backup(&dir.path().join("backup"), &mut go_on);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("breaks at change 2"), "{error}");
    }

    #[test]
    fn findings_beyond_the_limit_are_counted_only() {
        let mut checked = Checked::default();
        for n in 0..FINDINGS_MAX + 5 {
            checked.find(n.to_string(), REWRITE);
        }
        assert_eq!(checked.findings.len(), FINDINGS_MAX);
        assert_eq!(checked.more_findings, 5);
        assert!(!checked.is_clean());
    }
}
