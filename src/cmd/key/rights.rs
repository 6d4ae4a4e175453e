//! `guantong key whoami`: what an identity may do here, and by which right.

use std::collections::HashMap;

use guantong_api::control::{Ask, Prefix, Reply};
use guantong_core::admin::{Grant, Identity, grants};
use guantong_proto::data::AdminPermissions;
use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, HandleRef, Values};
use guantong_server::config::Config;
use guantong_server::control::Control;

use super::super::{NodeArgs, ask};
use crate::failed::{Exit, Failed, Report};
use crate::output::{Output, note};

pub(super) const EXAMPLES: &str = "\
Examples:
  guantong key whoami 300:0.NA/88.118.5
  guantong key whoami 300:88.118.5/alice --prefix 88.118.5
  guantong key whoami 300:88.118.5/alice --record 88.118.5/SN1 --json

Rights on records are in their HS_ADMIN values, those to create records in the prefix record.
Rights on the node are in the section `administration` of its settings. Exit code 1: no right.";

/// Records of groups that are looked at; far more than anybody nests.
const GROUPS_MAX: usize = 256;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The identity: index and handle of its key
    #[arg(value_name = "INDEX:HANDLE")]
    identity: Identity,

    /// Only this prefix; by default all that the node answers for
    #[arg(long, value_name = "P")]
    prefix: Option<String>,

    /// The rights on this record
    #[arg(long, value_name = "HANDLE", conflicts_with = "prefix")]
    record: Option<String>,

    /// Print them as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    node: NodeArgs,
}

/// A right and where it comes from.
struct Right {
    on: String,
    may: Vec<&'static str>,
    why: String,
}

pub(super) fn run(args: &Args) -> Result<(), Failed> {
    let config = args.node.load()?;
    let mut control = ask::open(&args.node)?;
    let mut rights = Vec::new();
    let rule = match ask::status(&mut *control)?.case_sensitive {
        true => CaseRule::Sensitive,
        false => CaseRule::Insensitive,
    };
    for handle in subjects(args, &mut *control)? {
        rights.extend(rights_on(&mut *control, &args.identity, &handle, rule)?);
    }
    let named = args.prefix.is_some() || args.record.is_some();
    if !named {
        rights.extend(rights_by_settings(&config, &args.identity, rule));
    }
    print(&rights, args)?;
    match rights.is_empty() {
        false => Ok(()),
        true => Err(Failed::reported(Exit::Refused)),
    }
}

/// The records whose administrators count.
fn subjects(args: &Args, control: &mut dyn Control) -> Result<Vec<Handle>, Failed> {
    let usage = |error| Report::new(Exit::Usage, error).fail();
    if let Some(record) = &args.record {
        return Ok(vec![Handle::parse(record).map_err(usage)?]);
    }
    if let Some(prefix) = &args.prefix {
        return Ok(vec![Handle::of_prefix(prefix).map_err(usage)?]);
    }
    let Reply::Prefixes(prefixes) = ask::ask(control, Ask::Prefixes)? else {
        return Err(ask::strange());
    };
    let handle = |homed: &Prefix| Handle::of_prefix(&homed.prefix).map_err(usage);
    prefixes.iter().map(handle).collect()
}

/// The rights that a record of this node gives; a record that is elsewhere is told, not guessed.
fn rights_on(
    control: &mut dyn Control,
    identity: &Identity,
    handle: &Handle,
    rule: CaseRule,
) -> Result<Vec<Right>, Failed> {
    let mut known: HashMap<String, Option<Vec<u8>>> = HashMap::new();
    let Some(record) = wire_of(control, handle)? else {
        note(format_args!(
            "note: the record {handle} is not on this node, so it is not known whom it names"
        ));
        return Ok(Vec::new());
    };
    loop {
        let values = Values::from_wire(&record).unwrap_or(Values::EMPTY);
        let lookup = |group: HandleRef<'_>| match known.get(group.as_str()) {
            Some(Some(wire)) => Ok(Values::from_wire(wire).ok()),
            Some(None) => Ok(None),
            None => Err(group.to_owned()),
        };
        match grants(identity, values, rule, lookup) {
            Ok(grants) => return Ok(grants.iter().map(|grant| right(handle, grant)).collect()),
            Err(_) if known.len() >= GROUPS_MAX => {
                let what = format!("more than {GROUPS_MAX} groups hang on the record {handle}");
                return Err(Report::new(Exit::Refused, what).fail());
            }
            Err(group) => {
                let wire = wire_of(control, &group)?;
                if wire.is_none() {
                    note(format_args!("note: the group {group} is not on this node"));
                }
                known.insert(group.as_str().to_owned(), wire);
            }
        }
    }
}

fn wire_of(control: &mut dyn Control, handle: &Handle) -> Result<Option<Vec<u8>>, Failed> {
    let values = ask::record(control, handle)?;
    Ok(values.map(|values| Writer::to_vec(|w| Values::encode(&values, w))))
}

fn right(handle: &Handle, grant: &Grant) -> Right {
    let groups = grant.through.iter();
    let groups: String = groups
        .map(|group| format!(", which names the group {}:{}", group.index, group.handle))
        .collect();
    Right {
        on: handle.to_string(),
        may: grant.permissions.names().collect(),
        why: format!("HS_ADMIN value {} of {handle}{groups}", grant.index),
    }
}

fn rights_by_settings(config: &Config, identity: &Identity, rule: CaseRule) -> Vec<Right> {
    let rules = &config.administration.rules;
    let mut rights = Vec::new();
    let mut add = |may: Vec<&'static str>, why: &str| {
        rights.push(Right {
            on: "this node".to_owned(),
            may,
            why: format!("setting {why}"),
        });
    };
    if rules.server(identity, rule).is_ok() {
        let why = "administration.server_admins";
        add(vec!["home and unhome prefixes", "list what is homed"], why);
    }
    if rules.may_everything(identity, rule) {
        add(
            AdminPermissions::ALL.names().collect(),
            "administration.server_admin_full_access",
        );
    }
    if rules.replication(identity, rule).is_ok() {
        let why = "administration.replication_admins";
        add(vec!["follow as a mirror, with every record"], why);
    }
    if rules.anonymous_admin_full_access {
        let why = "administration.anonymous_admin_full_access: anybody may do everything";
        add(AdminPermissions::ALL.names().collect(), why);
    }
    rights
}

fn print(rights: &[Right], args: &Args) -> Result<(), Failed> {
    let mut output = Output::new();
    let identity = &args.identity;
    if args.json {
        let rights: Vec<_> = rights
            .iter()
            .map(|right| serde_json::json!({"on": right.on, "may": right.may, "why": right.why}))
            .collect();
        let answer = serde_json::json!({"identity": identity.to_string(), "rights": rights});
        output.line(answer)?;
        return output.finish();
    }
    if rights.is_empty() {
        output.line(format_args!("{identity} has no right here"))?;
    }
    for right in rights {
        output.line(format_args!(
            "{}: {identity} may {}",
            right.on,
            right.may.join(", ")
        ))?;
        output.line(format_args!("  by {}", right.why))?;
    }
    output.finish()
}
