//! The desk: everything that an operator can ask of a store, in one place.
//!
//! The control socket of a running node and a command that opens the store itself both ask here,
//! so both give the same answers. What a change makes of a record is decided by
//! [`guantong_core::admin`]; the desk fetches, submits and puts the result into words.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use guantong_api::control::{
    Ask, Backup, Body, Changed, Condition, Identity, Imported, Index, Json, MirrorStatus, Mode,
    OnConflict, Outcome, Prefix, Promotion, RecordChange, Refusal, Reply, Status,
};
use guantong_core::admin::{self, Administrator, Delegation, Timestamps};
use guantong_proto::data::AdminPermissions;
use guantong_proto::json;
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Value, Values};
use guantong_store::{
    Batch, Change, Expect, IndexState, Origin, Right, Scope, Source, Store, StoredRecord, Trail,
    WriteError,
};

use super::import::{Import, secs};
use super::record::to_json;
use super::refusal;
use super::words::{
    change_entry, check_condition, done, gone, in_words, of_plan, page_reply, parse_change,
    parse_handle, parse_items, parse_scope, parse_token, report, stored,
};

use crate::files::copy::{self, Shelf};
use crate::mirror::Promote;
use crate::trust::RecordSigner;

/// How often a change is planned again because somebody else changed the record meanwhile.
const ATTEMPTS_MAX: usize = 16;
/// Octets of records that one line of an export carries, about.
const EXPORT_LINE_OCTETS: usize = 256 * 1024;
/// Octets of replaced values that one answer about the change log carries, about.
const CHANGES_OCTETS: usize = 4 * 1024 * 1024;

/// Takes an answer that is on the way; `Err` means that nobody listens any more.
pub type Say<'a> = &'a mut dyn FnMut(Body) -> Result<(), Gone>;

/// Nobody listens any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

//----------- Desk -----------------------------------------------------------

/// Answers an operator's questions about a store. A copy answers about the same store.
#[derive(Clone)]
pub struct Desk {
    store: Store,
    now_ms: fn() -> u64,
    on_homing: Arc<dyn Fn() + Send + Sync>,
    mirrors: Option<Arc<dyn Mirrors>>,
    signer: Option<Arc<RecordSigner>>,
    /// Files that registrations name.
    files: Option<Shelf>,
    /// From where the questions come.
    from: Source,
}

/// What a running node can say and do about its mirrors.
pub trait Mirrors: Send + Sync {
    /// What the node is, and how it fares as a mirror.
    fn status(&self) -> Result<MirrorStatus, Refusal>;

    /// Makes it the primary.
    fn promote(&self, promote: Promote) -> Result<Promotion, Refusal>;
}

impl Desk {
    /// A desk for `store`. `now_ms` tells the milliseconds since 1970; `on_homing` is called after
    /// a prefix was homed or unhomed.
    pub fn new(
        store: Store,
        now_ms: fn() -> u64,
        on_homing: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            store,
            now_ms,
            on_homing: Arc::new(on_homing),
            mirrors: None,
            signer: None,
            files: None,
            from: Source::Here,
        }
    }

    /// The same desk, for questions that come from there.
    #[must_use]
    pub fn asked_from(self, from: Source) -> Self {
        Self { from, ..self }
    }

    /// What the change log is to say of changes: an operator needs no other right.
    pub(super) fn trail(&self) -> Trail {
        Trail {
            from: self.from.clone(),
            right: Right::Own,
        }
    }

    /// The same desk, which signs the records that it writes.
    #[must_use]
    pub fn with_signer(self, signer: Option<Arc<RecordSigner>>) -> Self {
        Self { signer, ..self }
    }

    /// The same desk, which backs up these files, too.
    #[must_use]
    pub fn with_files(self, files: Shelf) -> Self {
        let files = Some(files);
        Self { files, ..self }
    }

    /// The values of a record, in wire form, as they are to be stored.
    pub(super) fn signed(&self, handle: &Handle, values: Vec<u8>) -> Vec<u8> {
        match &self.signer {
            Some(signer) => signer.sign(handle, values, secs(self.now_ms())),
            None => values,
        }
    }

    /// The same desk, for a node that runs.
    #[must_use]
    pub fn with_mirrors(self, mirrors: impl Mirrors + 'static) -> Self {
        let mirrors: Option<Arc<dyn Mirrors>> = Some(Arc::new(mirrors));
        Self { mirrors, ..self }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        (self.now_ms)()
    }

    /// An import of batches, several of which may be under way.
    pub fn import(&self, on_conflict: OnConflict, mode: Mode) -> Import<'_> {
        Import::new(self, on_conflict, mode)
    }

    /// Answers one question. What is on the way is told to `say`.
    pub fn perform(&self, ask: Ask, say: Say<'_>) -> Result<Reply, Refusal> {
        match ask {
            Ask::Status => self.status(),
            Ask::Get { handle } => self.get(&handle),
            Ask::Change {
                change,
                condition,
                mode,
            } => self.change(&change, condition, mode),
            Ask::List {
                prefix,
                after,
                limit,
            } => self.list(prefix.as_deref(), after.as_deref(), limit),
            Ask::Find {
                kind,
                data,
                after,
                limit,
            } => self.find(&kind, &data, after.as_deref(), limit),
            Ask::Prefixes => self.prefixes(),
            Ask::Home { prefix } => self.home(&prefix, |prefix| Change::Home { prefix }),
            Ask::Unhome { prefix } => self.home(&prefix, |prefix| Change::Unhome { prefix }),
            delegate @ Ask::Delegate { .. } => self.delegate(delegate),
            Ask::Indexes => Ok(self.indexes()),
            Ask::EnableIndex { kind } => done(self.store.index_enable(&kind)),
            Ask::DisableIndex { kind } => done(self.store.index_disable(&kind)),
            Ask::Changes { after, limit } => self.changes(after, limit),
            Ask::History {
                handle,
                from,
                limit,
            } => self.history(&handle, from, limit),
            Ask::Undo { first, last, mode } => self.undo(first, last, mode),
            // Whoever asks the desk directly has the store for itself.
            Ask::BeginImport => Ok(Reply::Done),
            Ask::Import {
                on_conflict,
                mode,
                records,
            } => {
                let mut import = self.import(on_conflict, mode);
                import.submit(parse_items(&records))?;
                let imported = import.outcomes().unwrap_or_else(|| Ok(Imported::default()));
                imported.map(Reply::Imported)
            }
            Ask::Export { prefix, after } => self.export(prefix.as_deref(), after.as_deref(), say),
            Ask::Mirror => self.mirrors()?.status().map(Reply::Mirror),
            Ask::Promote { force } => self.promote(force),
            Ask::Backup { dir } => self.backup(&dir, say),
            Ask::Check => self.check(say),
            _ => Err(refusal::invalid(
                "this node does not know the question: use the command line of the same version",
            )),
        }
    }

    //--- Looking

    fn status(&self) -> Result<Reply, Refusal> {
        let stats = self.store.stats().map_err(|e| refusal::of_read(&e))?;
        Ok(Reply::Status(Status {
            software: env!("CARGO_PKG_VERSION").to_owned(),
            records: stats.records,
            last_change: stats.last_change,
            case_sensitive: self.store.case_rule() == guantong_proto::CaseRule::Sensitive,
            disk_octets: stats.disk_octets,
        }))
    }

    fn get(&self, handle: &str) -> Result<Reply, Refusal> {
        let record = self.read(&parse_handle(handle)?)?;
        Ok(Reply::Record(record.map(|record| stored(&record))))
    }

    pub(super) fn read(&self, handle: &Handle) -> Result<Option<StoredRecord>, Refusal> {
        let record = self.store.record(handle.borrow());
        record.map_err(|e| refusal::of_read(&e))
    }

    fn list(
        &self,
        prefix: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Reply, Refusal> {
        let scope = parse_scope(prefix)?;
        let token = parse_token(after)?;
        let page = self.store.list(&scope, token.as_ref(), limit as usize);
        let total = self.store.count(&scope).map_err(|e| refusal::of_read(&e))?;
        page_reply(page, Some(total))
    }

    fn find(
        &self,
        kind: &str,
        data: &Json,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Reply, Refusal> {
        // The data of a value has its form from the value around it.
        let value = format!(r#"{{"index":1,"type":"","data":{}}}"#, data.get());
        let value = json::parse_values(value.as_bytes()).map_err(refusal::invalid)?;
        let data = value.first().map_or(&[][..], |value| &value.data);
        let token = parse_token(after)?;
        page_reply(
            self.store.find(kind, data, token.as_ref(), limit as usize),
            None,
        )
    }

    fn promote(&self, force: bool) -> Result<Reply, Refusal> {
        let promote = match force {
            true => Promote::ByForce,
            false => Promote::Safely,
        };
        self.mirrors()?.promote(promote).map(Reply::Promoted)
    }

    fn mirrors(&self) -> Result<&dyn Mirrors, Refusal> {
        self.mirrors.as_deref().ok_or_else(|| {
            refusal::invalid("the node does not run, and only a running node can tell: start it")
        })
    }

    fn prefixes(&self) -> Result<Reply, Refusal> {
        let lag = match &self.mirrors {
            Some(mirrors) => mirrors.status()?.lag,
            None => None,
        };
        let mut prefixes = Vec::new();
        for handle in self.store.homed() {
            let prefix = handle.borrow().suffix().to_owned();
            let scope = Scope::of_prefix(&prefix).map_err(refusal::invalid)?;
            let records = self.store.count(&scope).map_err(|e| refusal::of_read(&e))?;
            prefixes.push(Prefix {
                prefix,
                records,
                lag,
            });
        }
        Ok(Reply::Prefixes(prefixes))
    }

    fn indexes(&self) -> Reply {
        let indexes = self.store.indexes().into_iter().map(|index| Index {
            kind: index.kind,
            state: match index.state {
                IndexState::Ready => "ready",
                IndexState::Building => "building",
                IndexState::Dropping => "dropping",
            }
            .to_owned(),
        });
        Reply::Indexes(indexes.collect())
    }

    fn changes(&self, after: u64, limit: u32) -> Result<Reply, Refusal> {
        let entries = self.store.changes(after, limit as usize);
        let entries = entries.map_err(|e| refusal::of_read(&e))?;
        let mut octets = 0;
        let within = entries.into_iter().take_while(|entry| {
            // The first one goes through however large it is, so that the caller gets on.
            let fits = octets == 0 || octets < CHANGES_OCTETS;
            octets += entry.size();
            fits
        });
        Ok(Reply::Changes(
            within.map(|entry| change_entry(&entry)).collect(),
        ))
    }

    //--- Changing

    fn change(
        &self,
        change: &RecordChange,
        condition: Condition,
        mode: Mode,
    ) -> Result<Reply, Refusal> {
        let (handle, change) = parse_change(change, secs(self.now_ms()))?;
        self.rewrite(&handle, condition, mode, &|_| change.clone())
    }

    /// Changes a record by what `change` makes of its values.
    fn rewrite(
        &self,
        handle: &Handle,
        condition: Condition,
        mode: Mode,
        change: &dyn Fn(Option<&[Value]>) -> admin::Change,
    ) -> Result<Reply, Refusal> {
        let timestamps = Timestamps::Set(secs(self.now_ms()));
        let mut attempts = 0;
        loop {
            let stored = self.read(handle)?;
            check_condition(handle, condition, stored.as_ref())?;
            let old = stored.as_ref().map(|record| record.values().to_vec());
            let old = old.transpose().map_err(refusal::invalid)?;
            let new = admin::plan(old.as_deref(), &change(old.as_deref()), timestamps);
            let new = new.map_err(|conflict| of_plan(handle, &conflict))?;
            let new = new.map(|values| Writer::to_vec(|w| Values::encode(&values, w)));
            let new = new.map(|values| self.signed(handle, values));
            match self.write(handle, stored.as_ref(), new, mode) {
                Err(WriteError::Conflict { .. }) if attempts < ATTEMPTS_MAX => attempts += 1,
                Err(error) => return Err(refusal::of_write(&error)),
                Ok(changed) => return Ok(Reply::Changed(changed)),
            }
        }
    }

    /// Writes `new`, values in wire form, in place of what was read; `None` deletes.
    fn write(
        &self,
        handle: &Handle,
        stored: Option<&StoredRecord>,
        new: Option<Vec<u8>>,
        mode: Mode,
    ) -> Result<Changed, WriteError> {
        let outcome = match (stored, &new) {
            (Some(stored), Some(new)) if new == stored.values_wire() => Outcome::Unchanged,
            (Some(_), Some(_)) => Outcome::Replaced,
            (None, Some(_)) => Outcome::Created,
            (Some(_), None) => Outcome::Deleted,
            (None, None) => Outcome::Unchanged,
        };
        let before = stored.map(|record| to_json(record.handle().as_str(), record.values()));
        let after = new.as_deref().and_then(|new| Values::from_wire(new).ok());
        let after = after.map(|values| to_json(handle.as_str(), values));
        let mut version = None;
        if mode == Mode::Apply && outcome != Outcome::Unchanged {
            let expect = match stored {
                Some(record) => Expect::Version(record.version()),
                None => Expect::Absent,
            };
            let handle = handle.clone();
            let change = match new {
                Some(values) => Change::Put {
                    handle,
                    values,
                    expect,
                },
                None => Change::Delete { handle, expect },
            };
            version = Some(self.commit(change)?);
        }
        Ok(Changed {
            outcome,
            before,
            after,
            version,
        })
    }

    /// Says that what is homed has changed.
    pub(super) fn tell_homing(&self) {
        (self.on_homing)();
    }

    fn commit(&self, change: Change) -> Result<u64, WriteError> {
        let batch = Batch {
            changes: vec![change],
            at_ms: self.now_ms(),
            origin: Origin::Operator,
            trail: self.trail(),
        };
        Ok(self.store.submit(batch).wait()?.last)
    }

    fn home(&self, prefix: &str, change: fn(Handle) -> Change) -> Result<Reply, Refusal> {
        let prefix = Handle::of_prefix(prefix).map_err(refusal::invalid)?;
        self.commit(change(prefix))
            .map_err(|e| refusal::of_write(&e))?;
        self.tell_homing();
        Ok(Reply::Done)
    }

    /// Writes into a prefix record who serves the prefix.
    fn delegate(&self, ask: Ask) -> Result<Reply, Refusal> {
        let Ask::Delegate {
            prefix,
            sites,
            services,
            derived,
            admin,
            mode,
        } = ask
        else {
            return Err(refusal::invalid("this is no delegation"));
        };
        let prefix = Handle::of_prefix(&prefix).map_err(refusal::invalid)?;
        let delegation = Delegation {
            derived,
            ..parse_delegation(&sites, &services, admin.as_ref())?
        };
        self.rewrite(&prefix, Condition::None, mode, &|old| {
            admin::Change::Put(delegation.apply(old.unwrap_or_default()))
        })
    }

    //--- Long jobs

    fn export(
        &self,
        prefix: Option<&str>,
        after: Option<&str>,
        say: Say<'_>,
    ) -> Result<Reply, Refusal> {
        let scope = parse_scope(prefix)?;
        let after = after.map(parse_handle).transpose()?;
        let after = after.map(|handle| handle.key(self.store.case_rule()));
        let (mut records, mut line, mut octets) = (0, Vec::new(), 0);
        for record in self.store.scan(&scope, after.as_ref().map(AsRef::as_ref)) {
            let (_, record) = record.map_err(|e| refusal::of_read(&e))?;
            let text = to_json(record.handle().as_str(), record.values());
            octets += text.get().len();
            line.push(text);
            records += 1;
            if octets >= EXPORT_LINE_OCTETS {
                octets = 0;
                say(Body::Records(std::mem::take(&mut line))).map_err(gone)?;
            }
        }
        if !line.is_empty() {
            say(Body::Records(line)).map_err(gone)?;
        }
        Ok(Reply::Exported { records })
    }

    fn backup(&self, dir: &str, say: Say<'_>) -> Result<Reply, Refusal> {
        let to = Path::new(dir);
        if !to.is_absolute() {
            let message = format!("{dir}: a backup needs an absolute path");
            return Err(refusal::invalid(message));
        }
        let manifest = self.store.backup(to, &mut |progress| report(progress, say));
        let manifest = manifest.map_err(|e| refusal::of_backup(&e))?;
        let files = copy::back_up(self.files.as_ref(), to);
        let files = files.map_err(|error| refusal::of_copy(&error))?;
        Ok(Reply::BackedUp(Backup {
            dir: dir.to_owned(),
            records: manifest.records,
            changes: manifest.changes,
            last_change: manifest.last_change,
            octets: manifest.data_octets,
            files: files.uploads,
            file_octets: files.octets,
        }))
    }

    fn check(&self, say: Say<'_>) -> Result<Reply, Refusal> {
        let checked = self.store.check(&mut |progress| report(progress, say));
        let checked = checked.map_err(|e| refusal::of_read(&e))?;
        Ok(Reply::Checked(in_words(checked)))
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

//----------- Delegation -----------------------------------------------------

fn parse_delegation(
    sites: &[Json],
    services: &[String],
    admin: Option<&Identity>,
) -> Result<Delegation, Refusal> {
    if sites.is_empty() && services.is_empty() {
        let message = "a prefix is delegated to a site or a service at least, none was given";
        return Err(refusal::invalid(message));
    }
    let sites = sites.iter().enumerate().map(|(at, site)| {
        let site = json::parse_site(site.get().as_bytes());
        site.map_err(|e| refusal::invalid(format!("site {}: {e}", at + 1)))
    });
    let administrator = admin.map(|admin| {
        Ok(Administrator {
            handle: parse_handle(&admin.handle)?,
            index: admin.index,
            permissions: AdminPermissions::ALL,
        })
    });
    Ok(Delegation {
        sites: sites.collect::<Result<_, Refusal>>()?,
        services: services
            .iter()
            .map(|s| parse_handle(s))
            .collect::<Result<_, Refusal>>()?,
        derived: false,
        administrators: administrator.transpose()?.into_iter().collect(),
    })
}
