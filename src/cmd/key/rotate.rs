//! `guantong key rotate`: a new key beside the old one, with the same rights; later the old one
//! goes.

use std::path::PathBuf;

use guantong_api::control::{Ask, Changed, Condition, Prefix, Reply};
use guantong_core::admin::Identity;
use guantong_proto::data::{Admin, List, PublicKey};
use guantong_proto::{CaseRule, Handle, Reference, Value, is_of_type};
use guantong_server::control::Control;

use super::super::record::{sentence, shown_diff};
use super::super::{NodeArgs, ask};
use super::file::{self, PassphraseArgs};
use super::make::fingerprint;
use crate::failed::{Exit, Failed, Report};
use crate::output::{Output, note};

pub(super) const EXAMPLES: &str = "\
Examples:
  guantong key new --out new.pem
  guantong key rotate 300:0.NA/88.118.5 --new new.pem --dry-run
  guantong key rotate 300:0.NA/88.118.5 --new new.pem
  guantong key test new.pem --id 301:0.NA/88.118.5
  guantong key rotate 300:0.NA/88.118.5 --finish

First the new key gets the rights of the old one, and both are good. When everything that signs
has the new key, --finish takes the old key away, and its rights. Rights are looked for in the
prefix records of this node, in the record of the key, and in those named with --record.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The old key: index and handle of the value that holds it
    #[arg(value_name = "INDEX:HANDLE")]
    old: Identity,

    /// File with the new key, private or public, in any form
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "finish",
        conflicts_with = "finish"
    )]
    new: Option<PathBuf>,

    /// Index for the new key; by default the next free one
    #[arg(long, value_name = "INDEX", requires = "new")]
    index: Option<i32>,

    /// Take the old key and its rights away
    #[arg(long)]
    finish: bool,

    /// Another record that names the old key. May be repeated
    #[arg(long = "record", value_name = "HANDLE")]
    records: Vec<String>,

    /// Show what would change, change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    passphrase: PassphraseArgs,

    #[command(flatten)]
    node: NodeArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failed> {
    let mut control = ask::open(&args.node)?;
    let control = &mut *control;
    let keys = ask::record(control, &args.old.handle)?.ok_or_else(|| {
        let what = format!("there is no record {} on this node", args.old.handle);
        Report::new(Exit::Refused, what).fail()
    })?;
    let step = match &args.new {
        Some(path) => {
            let key = file::load(path, &args.passphrase)?.public();
            Step::Add(free_index(&keys, args, &key)?, key)
        }
        None => Step::Remove,
    };
    check_old(&keys, &args.old, &step)?;
    let mut changed = 0;
    for handle in subjects(control, args)? {
        let Some((version, old)) = ask::stored(control, &handle)? else {
            continue;
        };
        let is_own = same(&handle, &args.old.handle);
        let values = step.apply(&old, &args.old, is_own);
        if values == old {
            continue;
        }
        changed += 1;
        let (condition, mode) = (Condition::Version(version), ask::mode(args.dry_run));
        let done = ask::put(control, &handle, &values, condition, mode)?;
        tell(&handle, &done, args.dry_run)?;
    }
    if changed == 0 {
        note("nothing is to be changed");
    }
    tell_settings(args, &step)
}

//----------- Step -----------------------------------------------------------

/// What is done to each record.
enum Step {
    /// This key comes beside the old one, under this index.
    Add(i32, PublicKey),
    /// The old key goes.
    Remove,
}

impl Step {
    /// The values of a record afterwards. `is_own`: it is the one that holds the key.
    fn apply(&self, values: &[Value], old: &Identity, is_own: bool) -> Vec<Value> {
        match self {
            Self::Add(index, key) => add(values, old, *index, key, is_own),
            Self::Remove => remove(values, old, is_own),
        }
    }
}

fn add(values: &[Value], old: &Identity, index: i32, key: &PublicKey, own: bool) -> Vec<Value> {
    let new = Reference {
        handle: old.handle.as_str().to_owned(),
        index,
    };
    let mut after = values.to_vec();
    if own && !values.iter().any(|value| value.index == index) {
        let model = values.iter().find(|value| value.index == old.index);
        let mut value = Value::new(index, "HS_PUBKEY", key.encode());
        if let Some(model) = model {
            (value.ttl, value.permissions) = (model.ttl, model.permissions);
        }
        after.push(value);
    }
    for value in values {
        if let Some(admin) = admin_of(value).filter(|admin| names(&admin.identity, old)) {
            let has = |v: &Value| admin_of(v).is_some_and(|a| a.identity == new);
            if after.iter().any(has) {
                continue;
            }
            let again = Admin::new(admin.permissions, new.handle.clone(), index);
            let free = next_free(&after, value.index);
            after.push(Value {
                index: free,
                data: again.encode(),
                ..value.clone()
            });
        }
    }
    for value in &mut after {
        if let Some(mut list) = list_of(value)
            && list.0.iter().any(|member| names(member, old))
            && !list.0.contains(&new)
        {
            list.0.push(new.clone());
            value.data = list.encode();
        }
    }
    after
}

fn remove(values: &[Value], old: &Identity, own: bool) -> Vec<Value> {
    let goes = |value: &Value| {
        let is_key = own && value.index == old.index && is_key(value);
        is_key || admin_of(value).is_some_and(|admin| names(&admin.identity, old))
    };
    let mut after: Vec<Value> = values
        .iter()
        .filter(|value| !goes(value))
        .cloned()
        .collect();
    for value in &mut after {
        if let Some(mut list) = list_of(value)
            && list.0.iter().any(|member| names(member, old))
        {
            list.0.retain(|member| !names(member, old));
            value.data = list.encode();
        }
    }
    after
}

fn is_key(value: &Value) -> bool {
    is_of_type(value.kind.as_bytes(), b"HS_PUBKEY")
}

fn admin_of(value: &Value) -> Option<Admin> {
    let is_admin = is_of_type(value.kind.as_bytes(), b"HS_ADMIN");
    is_admin.then(|| Admin::decode(&value.data).ok()).flatten()
}

fn list_of(value: &Value) -> Option<List> {
    let is_list = is_of_type(value.kind.as_bytes(), b"HS_VLIST");
    is_list.then(|| List::decode(&value.data).ok()).flatten()
}

/// Whether a reference means the old key and no other.
fn names(reference: &Reference, old: &Identity) -> bool {
    let handle = Handle::parse(&reference.handle);
    reference.index == old.index && handle.is_ok_and(|handle| same(&handle, &old.handle))
}

fn same(one: &Handle, other: &Handle) -> bool {
    one.key(CaseRule::Insensitive) == other.key(CaseRule::Insensitive)
}

fn next_free(values: &[Value], above: i32) -> i32 {
    let taken = |index: &i32| values.iter().any(|value| value.index == *index);
    (above.saturating_add(1)..)
        .find(|index| !taken(index))
        .unwrap_or(above)
}

//----------- Checks ---------------------------------------------------------

fn free_index(values: &[Value], args: &Args, key: &PublicKey) -> Result<i32, Failed> {
    let print = fingerprint(key);
    let is_it = |value: &&Value| {
        is_key(value)
            && PublicKey::decode(&value.data).is_ok_and(|found| fingerprint(&found) == print)
    };
    if let Some(there) = values.iter().find(is_it) {
        if there.index == args.old.index {
            let what = "the new key is the old one";
            return Err(Report::new(Exit::Usage, what).fail());
        }
        // Begun before: its rights may be missing.
        return Ok(there.index);
    }
    let wanted = args
        .index
        .unwrap_or_else(|| next_free(values, args.old.index));
    match values.iter().any(|value| value.index == wanted) {
        false => Ok(wanted),
        true => {
            let what = format!("value {wanted} of {} is taken", args.old.handle);
            Err(Report::new(Exit::Usage, what)
                .hint("choose another --index")
                .fail())
        }
    }
}

fn check_old(values: &[Value], old: &Identity, step: &Step) -> Result<(), Failed> {
    let others = values
        .iter()
        .filter(|value| is_key(value) && value.index != old.index);
    let is_there = values
        .iter()
        .any(|value| value.index == old.index && is_key(value));
    match (step, is_there) {
        (Step::Add(..), false) => {
            let what = format!("value {} of {} is no public key", old.index, old.handle);
            Err(Report::new(Exit::Refused, what)
                .hint(format!(
                    "`guantong key show {}` shows what there is",
                    old.handle
                ))
                .fail())
        }
        (Step::Remove, _) if others.count() == 0 => {
            let what = format!("{} would have no key any more", old.handle);
            Err(Report::new(Exit::Refused, what)
                .hint("put a new one beside it first: `guantong key rotate ... --new FILE`")
                .fail())
        }
        _ => Ok(()),
    }
}

//----------- Records --------------------------------------------------------

/// The records that may name the key; the one that holds it comes first when it is added to, so
/// that no right ever names a key that is not there, and last when it is taken away.
fn subjects(control: &mut dyn Control, args: &Args) -> Result<Vec<Handle>, Failed> {
    let usage = |error| Report::new(Exit::Usage, error).fail();
    let Reply::Prefixes(prefixes) = ask::ask(control, Ask::Prefixes)? else {
        return Err(ask::strange());
    };
    let homed = |homed: &Prefix| Handle::of_prefix(&homed.prefix).map_err(usage);
    let mut subjects: Vec<Handle> = prefixes.iter().map(homed).collect::<Result<_, _>>()?;
    for record in &args.records {
        subjects.push(Handle::parse(record).map_err(usage)?);
    }
    subjects.retain(|handle| !same(handle, &args.old.handle));
    let at = if args.finish { subjects.len() } else { 0 };
    subjects.insert(at, args.old.handle.clone());
    Ok(subjects)
}

fn tell(handle: &Handle, changed: &Changed, dry_run: bool) -> Result<(), Failed> {
    let mut output = Output::new();
    for line in shown_diff(changed)? {
        output.line(line)?;
    }
    output.line(sentence(handle, changed, dry_run))?;
    output.finish()
}

/// Settings are the operator's: it is said which name the old key.
fn tell_settings(args: &Args, step: &Step) -> Result<(), Failed> {
    let config = args.node.load()?;
    let rules = &config.administration.rules;
    let rule = CaseRule::Insensitive;
    for (setting, list) in [
        ("administration.server_admins", &rules.server_admins),
        (
            "administration.replication_admins",
            &rules.replication_admins,
        ),
    ] {
        let named = |admin: &&Identity| admin.index != 0 && admin.is(&args.old, rule);
        if list.iter().any(|admin| named(&admin)) {
            let what = match step {
                Step::Add(index, _) => format!("add \"{index}:{}\" beside it", args.old.handle),
                Step::Remove => "take it away".to_owned(),
            };
            let file = args.node.file();
            note(format_args!(
                "note: {setting} in {} names {}: {what}",
                file.display(),
                args.old
            ));
        }
    }
    Ok(())
}
