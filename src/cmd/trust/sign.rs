//! `guantong trust sign`, `certify`, `revoke`: what is written for others to verify.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use guantong_api::control::{Ask, Changed, Condition, Page, Reply};
use guantong_core::admin::Identity;
use guantong_core::trust::sign::{SIGNATURE_INDEX, Signer, Term, resign};
use guantong_proto::crypto::jws::{Jws, Permission, parse_identity};
use guantong_proto::data::PublicKey;
use guantong_proto::json::ValueForm;
use guantong_proto::{CaseRule, Handle, Value, is_of_type};
use guantong_server::control::Control;
use guantong_server::key::form::KeyPair;
use ring::rand::SystemRandom;

use crate::cmd::key::file::{self, PassphraseArgs};
use crate::cmd::record::{sentence, shown_diff};
use crate::cmd::{NodeArgs, ask};
use crate::failed::{Exit, Failed, Report};
use crate::output::{Output, note};
use crate::progress::Meter;

pub(super) const SIGN_EXAMPLES: &str = "\
Examples:
  guantong trust sign 88.118.5/SN1 --key admin_key.pem --as 300:0.NA/88.118.5
  guantong trust sign --prefix 88.118.5 --key admin_key.pem --as 300:0.NA/88.118.5
  guantong trust sign --prefix 88.118.5 --key new.pem --as 301:0.NA/88.118.5 \\
      --replace 300:0.NA/88.118.5

Signs what everybody can read of a record. Records whose signature is good for another
--renew-days are left as they are, so the command may run daily. --replace takes the signatures of
an old key away; without it both stay.";

pub(super) const CERTIFY_EXAMPLES: &str = "\
Examples:
  guantong trust certify 301:0.0/0.0 --key root.pem --as 301:0.0/0.0 --may everything
  guantong trust certify 300:0.NA/88.118 --key root.pem --as 301:0.0/0.0 \\
      --may derivedPrefixes:0.NA/88.118 --may handlesUnderThisPrefix:0.NA/88.118
  guantong trust certify 300:0.NA/88.118.5 --subject-key enterprise.pub \\
      --key parent.pem --as 300:0.NA/88.118 --may thisHandle:0.NA/88.118.5 --print

Permissions: everything, thisHandle:H, handlesUnderThisPrefix:0.NA/P, derivedPrefixes:0.NA/P.
The certificate goes into the record of the subject, if that is on this node; --print prints it for
whoever has that record. The first example makes a root: a key that certifies itself.";

pub(super) const REVOKE_EXAMPLES: &str = "\
Examples:
  guantong trust revoke 300:0.NA/88.118.5 --dry-run
  guantong trust revoke 300:0.NA/88.118.5

From then on nothing that the key has signed is believed, and it proves nobody's identity.";

/// Seconds of a day.
const DAY_SECS: i64 = 86_400;
/// Handles asked for at a time.
const PAGE_LEN: u32 = 1_000;

/// Who signs.
#[derive(Debug, clap::Args)]
struct SignerArgs {
    /// File with the private key that signs: RSA, Ed25519 or SM2
    #[arg(long, value_name = "FILE")]
    key: PathBuf,

    /// Whose key it is: index and handle of the value that holds its public half
    #[arg(long = "as", value_name = "INDEX:HANDLE")]
    identity: Identity,

    /// Days for which it is good
    #[arg(long, value_name = "N", default_value_t = 365,
          value_parser = clap::value_parser!(i64).range(1..=36_500))]
    days: i64,

    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl SignerArgs {
    fn term(&self) -> Term {
        Term::of(now_secs(), self.days * DAY_SECS)
    }

    fn pair(&self) -> Result<KeyPair, Failed> {
        file::load_private(&self.key, &self.passphrase)
    }
}

fn now_secs() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

//----------- sign -----------------------------------------------------------

#[derive(Debug, clap::Args)]
pub(super) struct SignArgs {
    /// The records to sign
    #[arg(value_name = "HANDLE", required_unless_present = "prefix")]
    handles: Vec<String>,

    /// All records of a prefix that this node has
    #[arg(long, value_name = "P", conflicts_with = "handles")]
    prefix: Option<String>,

    #[command(flatten)]
    signer: SignerArgs,

    /// Index for a new signature; the next free one if it is taken
    #[arg(long, value_name = "INDEX", default_value_t = SIGNATURE_INDEX)]
    index: i32,

    /// Sign anew what is good for fewer days than this
    #[arg(long, value_name = "N", default_value_t = 60)]
    renew_days: i64,

    /// Take away the signatures of this key
    #[arg(long, value_name = "INDEX:HANDLE")]
    replace: Option<Identity>,

    /// Show what would change, change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    node: NodeArgs,
}

pub(super) fn sign(args: &SignArgs) -> Result<(), Failed> {
    let pair = args.signer.pair()?;
    let mut control = ask::open(&args.node)?;
    let control = &mut *control;
    warn_if_unpublished(control, &args.signer.identity, &pair.signing().public_key())?;
    let (mut signed, mut kept) = (0_u64, 0_u64);
    let mut meter = args.prefix.is_some().then(|| Meter::new("records", 0));
    each(control, args, |control, handle, total| {
        match sign_one(control, handle, &pair, args)? {
            true => signed += 1,
            false => kept += 1,
        }
        if let Some(meter) = &mut meter {
            let done = signed + kept;
            meter.set(done, total, done);
        }
        Ok(())
    })?;
    if let Some(meter) = meter {
        meter.finish(signed + kept);
    }
    let would = if args.dry_run { "would be " } else { "" };
    let mut output = Output::new();
    output.line(format_args!(
        "{would}signed: {signed}, left as they are: {kept}"
    ))?;
    output.finish()
}

/// Calls `act` for each handle that is meant, with how many there are.
fn each(
    control: &mut dyn Control,
    args: &SignArgs,
    mut act: impl FnMut(&mut dyn Control, &Handle, u64) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let parse = |name: &str| Handle::parse(name).map_err(|e| Report::new(Exit::Usage, e).fail());
    let Some(prefix) = &args.prefix else {
        for name in &args.handles {
            act(control, &parse(name)?, args.handles.len() as u64)?;
        }
        return Ok(());
    };
    let mut after = None;
    loop {
        let asked = Ask::List {
            prefix: Some(prefix.clone()),
            after: after.take(),
            limit: PAGE_LEN,
        };
        let Reply::Page(Page {
            handles,
            next,
            total,
        }) = ask::ask(control, asked)?
        else {
            return Err(ask::strange());
        };
        for name in handles {
            act(control, &parse(&name)?, total.unwrap_or(0))?;
        }
        match next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

/// Signs a record if that is needed; whether it was.
fn sign_one(
    control: &mut dyn Control,
    handle: &Handle,
    pair: &KeyPair,
    args: &SignArgs,
) -> Result<bool, Failed> {
    let Some((version, old)) = ask::stored(control, handle)? else {
        let what = format!("there is no record {handle} on this node");
        return Err(Report::new(Exit::Refused, what).fail());
    };
    let mut values = old.clone();
    if let Some(replaced) = &args.replace {
        values.retain(|value| !is_signed_by(value, replaced));
    }
    let random = SystemRandom::new();
    let signer = Signer {
        key: pair.signing(),
        identity: &args.signer.identity,
        random: &random,
    };
    let renew_before = now_secs().saturating_add(args.renew_days.saturating_mul(DAY_SECS));
    let term = args.signer.term();
    let signed = resign(
        &signer,
        handle.borrow(),
        &values,
        args.index,
        term,
        renew_before,
    );
    let signed = signed.map_err(|error| {
        let what = format!("{handle} could not be signed");
        Report::new(Exit::Usage, what).cause(error).fail()
    })?;
    let after = signed.unwrap_or(values);
    if after == old {
        return Ok(false);
    }
    let condition = Condition::Version(version);
    let changed = ask::put(control, handle, &after, condition, ask::mode(args.dry_run))?;
    if args.prefix.is_none() {
        tell(handle, &changed, args.dry_run)?;
    }
    Ok(true)
}

fn is_signed_by(value: &Value, identity: &Identity) -> bool {
    is_of_type(value.kind.as_bytes(), b"HS_SIGNATURE")
        && Jws::parse(&value.data)
            .and_then(|jws| jws.claims())
            .is_ok_and(|claims| is(&claims.iss, identity))
}

/// Whether `index:handle` is the identity.
fn is(text: &str, identity: &Identity) -> bool {
    parse_identity(text).is_some_and(|named| {
        let handle = Handle::parse(&named.handle);
        let same = |handle: Handle| {
            handle.key(CaseRule::Insensitive) == identity.handle.key(CaseRule::Insensitive)
        };
        named.index == identity.index && handle.is_ok_and(same)
    })
}

/// Says so if nobody can find the key by which is signed.
fn warn_if_unpublished(
    control: &mut dyn Control,
    identity: &Identity,
    key: &PublicKey,
) -> Result<(), Failed> {
    let Some(values) = ask::record(control, &identity.handle)? else {
        note(format_args!(
            "note: the record {} is not on this node; it must publish the key and its certificate",
            identity.handle
        ));
        return Ok(());
    };
    let is_published = values.iter().any(|value| {
        let found = PublicKey::decode(&value.data);
        value.index == identity.index && found.is_ok_and(|found| found == *key)
    });
    let has_certificate = values
        .iter()
        .any(|value| is_certificate_of(value, identity));
    if !is_published {
        note(format_args!(
            "note: {identity} is not this key, so nobody will believe its signatures"
        ));
    } else if !has_certificate {
        note(format_args!(
            "note: {} has no certificate (HS_CERT) of {identity}: without one no chain leads to a \
             root",
            identity.handle
        ));
    }
    Ok(())
}

fn is_certificate_of(value: &Value, identity: &Identity) -> bool {
    is_of_type(value.kind.as_bytes(), b"HS_CERT")
        && Jws::parse(&value.data)
            .and_then(|jws| jws.claims())
            .is_ok_and(|claims| is(&claims.sub, identity))
}

//----------- certify --------------------------------------------------------

#[derive(Debug, clap::Args)]
pub(super) struct CertifyArgs {
    /// The key to certify: index and handle of the value that holds it
    #[arg(value_name = "INDEX:HANDLE")]
    subject: Identity,

    /// File with the public key of the subject; by default the one in its record, or, for a root,
    /// the key that signs
    #[arg(long, value_name = "FILE")]
    subject_key: Option<PathBuf>,

    /// What it may sign. May be repeated
    #[arg(long = "may", value_name = "PERMISSION", required = true, value_parser = permission)]
    permissions: Vec<Permission>,

    #[command(flatten)]
    signer: SignerArgs,

    /// Index for the certificate; the next free one if it is taken
    #[arg(long, value_name = "INDEX", default_value_t = SIGNATURE_INDEX)]
    index: i32,

    /// Print the value instead of writing it
    #[arg(long)]
    print: bool,

    /// Show what would change, change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    node: NodeArgs,
}

fn permission(text: &str) -> Result<Permission, String> {
    let (perm, handle) = match text.split_once(':') {
        Some((perm, handle)) => (perm, Some(handle.to_owned())),
        None => (text, None),
    };
    let known = match (perm, &handle) {
        ("everything", None) => true,
        ("thisHandle" | "handlesUnderThisPrefix" | "derivedPrefixes", Some(handle)) => {
            Handle::parse(handle).is_ok()
        }
        _ => false,
    };
    let permission = Permission {
        handle,
        perm: perm.to_owned(),
    };
    known.then_some(permission).ok_or_else(|| {
        "everything, thisHandle:HANDLE, handlesUnderThisPrefix:0.NA/P or derivedPrefixes:0.NA/P"
            .to_owned()
    })
}

pub(super) fn certify(args: &CertifyArgs) -> Result<(), Failed> {
    let pair = args.signer.pair()?;
    let mut control = ask::open(&args.node)?;
    let control = &mut *control;
    let stored = ask::stored(control, &args.subject.handle)?;
    let is_root = args.subject == args.signer.identity;
    let values = stored.as_ref().map_or(&[][..], |(_, values)| values);
    let published = values
        .iter()
        .find(|value| value.index == args.subject.index);
    let published = published.and_then(|value| PublicKey::decode(&value.data).ok());
    let key = match (&args.subject_key, is_root, published.clone()) {
        (Some(path), ..) => file::load(path, &args.signer.passphrase)?.public(),
        (None, true, _) => pair.signing().public_key(),
        (None, false, Some(key)) => key,
        (None, false, None) => {
            let what = format!("this node does not have the key {}", args.subject);
            let hint = "name a file with its public half: --subject-key";
            return Err(Report::new(Exit::Usage, what).hint(hint).fail());
        }
    };
    let random = SystemRandom::new();
    let signer = Signer {
        key: pair.signing(),
        identity: &args.signer.identity,
        random: &random,
    };
    let data = signer.certify(
        &args.subject,
        &key,
        args.permissions.clone(),
        args.signer.term(),
    );
    let data = data.map_err(|error| {
        Report::new(Exit::Usage, "the key could not be certified")
            .cause(error)
            .fail()
    })?;
    if args.print {
        let value = Value::new(args.index, "HS_CERT", data);
        let mut output = Output::new();
        output.line(serde_json::to_string(&[ValueForm::from(&value)]).unwrap_or_default())?;
        return output.finish();
    }
    let Some((version, mut values)) = stored.or_else(|| is_root.then(|| (0, Vec::new()))) else {
        let what = format!("the record {} is not on this node", args.subject.handle);
        let hint = "print the certificate with --print, for whoever has the record";
        return Err(Report::new(Exit::Refused, what).hint(hint).fail());
    };
    if published.is_none() && is_root {
        values.push(Value::new(args.subject.index, "HS_PUBKEY", key.encode()));
    }
    replace_certificate(&mut values, data, args);
    let condition = match version {
        0 => Condition::Absent,
        version => Condition::Version(version),
    };
    let changed = ask::put(
        control,
        &args.subject.handle,
        &values,
        condition,
        ask::mode(args.dry_run),
    )?;
    tell(&args.subject.handle, &changed, args.dry_run)
}

/// Puts a certificate in the place of older ones of the same key by the same issuer.
fn replace_certificate(values: &mut Vec<Value>, data: Vec<u8>, args: &CertifyArgs) {
    let is_older = |value: &Value| {
        let claims = || Jws::parse(&value.data)?.claims();
        is_certificate_of(value, &args.subject)
            && claims().is_ok_and(|claims| is(&claims.iss, &args.signer.identity))
    };
    values.retain(|value| !is_older(value));
    let taken = |index: &i32| values.iter().any(|value| value.index == *index);
    let index = (args.index..)
        .find(|index| !taken(index))
        .unwrap_or(args.index);
    values.push(Value::new(index, "HS_CERT", data));
}

//----------- revoke ---------------------------------------------------------

#[derive(Debug, clap::Args)]
pub(super) struct RevokeArgs {
    /// The key: index and handle of the value that holds it
    #[arg(value_name = "INDEX:HANDLE")]
    key: Identity,

    /// Show what would change, change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    node: NodeArgs,
}

pub(super) fn revoke(args: &RevokeArgs) -> Result<(), Failed> {
    let mut control = ask::open(&args.node)?;
    let handle = &args.key.handle;
    let Some((version, values)) = ask::stored(&mut *control, handle)? else {
        let what = format!("there is no record {handle} on this node");
        return Err(Report::new(Exit::Refused, what).fail());
    };
    let is_key = |value: &Value| {
        value.index == args.key.index && is_of_type(value.kind.as_bytes(), b"HS_PUBKEY")
    };
    let stays = |value: &&Value| !is_key(value) && !is_certificate_of(value, &args.key);
    let left: Vec<Value> = values.iter().filter(stays).cloned().collect();
    if left == values {
        let what = format!(
            "{handle} has neither the key {} nor a certificate of it",
            args.key
        );
        return Err(Report::new(Exit::Refused, what).fail());
    }
    let condition = Condition::Version(version);
    let changed = ask::put(
        &mut *control,
        handle,
        &left,
        condition,
        ask::mode(args.dry_run),
    )?;
    tell(handle, &changed, args.dry_run)?;
    note("records that it has signed must be signed anew: `guantong trust sign --prefix P ...`");
    Ok(())
}

//----------- Records --------------------------------------------------------

fn tell(handle: &Handle, changed: &Changed, dry_run: bool) -> Result<(), Failed> {
    let mut output = Output::new();
    if dry_run {
        for line in shown_diff(changed)? {
            output.line(line)?;
        }
    }
    output.line(sentence(handle, changed, dry_run))?;
    output.finish()
}
