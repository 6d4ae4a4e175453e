//! `guantong resolve`: asks a node for a record and prints it for people or as JSON; with `--root`
//! it resolves by itself.

pub(super) mod walk;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use guantong_client::{
    Answer, Attempt, Client, Error, Outcome, Query, Server, Trace, Transport, Trust, printable,
};
use guantong_core::trust::Policy;
use guantong_proto::data::{STATE_TYPE, State, StateData};
use guantong_proto::json::{RecordForm, ValueForm};
use guantong_proto::message::{OpFlags, ResponseCode};
use guantong_proto::{Handle, NameError, Value};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::trust::check::{self, Demand, RootArgs, Source};
use super::{NodeArgs, block_on, local};
use crate::failed::{Exit, Failed, Report};
use crate::output::style::{FAINT, WARN};
use crate::output::{Output, note};
use crate::render;

const EXAMPLES: &str = "\
Examples:
  guantong resolve 88.118.5/5g-base-stations
  guantong resolve 88.118.5/5g-base-stations --type NAME.ZH --index 1000 --json
  guantong resolve 0.NA/88.118.5 --at node.example --auth --trace
  guantong resolve 88.118.5/5g-base-stations --at tcp://127.0.0.1:2641
  guantong resolve 88.118.5/5g-base-stations --root 203.0.113.1 --trace

Addresses:
  node.example, 127.0.0.1:2641, [::1]:2641   by UDP, then TCP, then HTTP
  udp://… tcp://… http://… https://…         by this transport only
  The port is 2641 for UDP and TCP and 8000 for HTTP and HTTPS if none is given.

Exit codes:
  0  the record was found
  1  it does not exist, has no such values, or the server refused
  2  wrong usage
  3  no sound answer: the network or the server failed";

/// Resolve a handle: ask a node for its values.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The handle, such as 88.118.5/SN20260001
    handle: String,

    /// The node to ask, as host, host:port or with a scheme that picks a transport; by default the
    /// node of --config if there is one, else 127.0.0.1:2641
    #[arg(long, value_name = "ADDR", env = "GUANTONG_AT")]
    at: Option<Server>,

    /// Ask no node, but resolve from the root down, beginning at a file (root_info,
    /// bootstrap_handles, siteinfo.json, siteinfo.bin) or a root server as host or host:port
    #[arg(long, value_name = "FILE|ADDR")]
    root: Option<String>,

    #[command(flatten)]
    node: NodeArgs,

    /// Only values of this type; a dot at the end means its subtypes too. May be repeated
    #[arg(long = "type", value_name = "T")]
    types: Vec<String>,

    /// Only the value with this index. May be repeated; adds to --type
    #[arg(long = "index", value_name = "N")]
    indexes: Vec<i32>,

    /// Ask for an authoritative answer, past all caches
    #[arg(long)]
    auth: bool,

    /// Ask for a signed answer and check the signature with the key that the server publishes
    #[arg(long)]
    cert: bool,

    /// Verify that the record is what its owner has signed, up to a root key; with `=if-signed`,
    /// let records without a signature pass
    #[arg(long, value_name = "WHEN", value_enum, num_args = 0..=1, require_equals = true,
          default_missing_value = "always")]
    verify: Option<Demand>,

    #[command(flatten)]
    believed: RootArgs,

    /// Say on standard error what was tried, and what the answers' headers say; with --root, the
    /// whole way
    #[arg(long)]
    trace: bool,

    /// Print the record as JSON in one line
    #[arg(long)]
    json: bool,

    /// Over HTTPS, accept only the server with this certificate (PEM or DER)
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
}

/// Asks and prints.
pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    if let Some(root) = &args.root {
        return walk::run(args, root);
    }
    // A missing root key is found out before anybody is asked.
    let policy = policy(args)?;
    let query = query(args).map_err(|error| not_a_handle(&error))?;
    let client = Client::builder(server(args)?).trust(trust(args)?).build();
    let mut trace = Trace::default();
    let result = block_on(async {
        let asked = client.query_traced(&query, &mut trace).await;
        let answer = match asked {
            Err(error) => return Err(with_state(&client, error).await),
            Ok(answer) => answer,
        };
        let proof = if args.cert {
            Some(proof(&client, &answer).await)
        } else {
            None
        };
        Ok((answer, proof))
    })?;
    if args.trace {
        trace.attempts.iter().for_each(note_attempt);
    }
    match result {
        Ok((answer, proof)) => {
            if let Some(policy) = policy {
                verify(args, &Source::Node(client), answer.values(), &policy)?;
            }
            print(args, &answer, proof)
        }
        Err(error) if args.json => {
            print_refusal(&args.handle, &error).unwrap_or_else(|| Err(failed(&error)))
        }
        Err(error) => Err(failed(&error)),
    }
}

/// The error, with what is said of a record that is withdrawn. A node that resolves for others
/// passes on their code and not their words, so it is asked for the state.
async fn with_state(client: &Client, error: Error) -> Error {
    let handle = match error {
        Error::NotFound { handle, text } if text.is_empty() => handle,
        other => return other,
    };
    let query = Query::new(handle.clone()).with_type(STATE_TYPE);
    let answer = client.query(&query).await.ok();
    let data = answer.and_then(|answer| StateData::decode(&answer.values().first()?.data).ok());
    let withdrawn = data.filter(|data| data.state() == State::Withdrawn);
    let text = withdrawn.map_or_else(String::new, |data| data.to_string());
    Error::NotFound { handle, text }
}

fn not_a_handle(error: &NameError) -> Failed {
    Report::new(Exit::Usage, "that is not a handle")
        .cause(error)
        .hint("a handle is a prefix, a slash and a suffix: 88.118.5/SN20260001")
        .fail()
}

/// The node to ask.
fn server(args: &Args) -> Result<Server, Failed> {
    if let Some(server) = &args.at {
        return Ok(server.clone());
    }
    Ok(match args.node.load_if_any()? {
        Some(config) => Server::new(local::endpoints(&config)),
        None => Server::native(Ipv4Addr::LOCALHOST.into()),
    })
}

fn query(args: &Args) -> Result<Query, NameError> {
    let mut query = Query::parse(&args.handle)?;
    for kind in &args.types {
        query = query.with_type(kind);
    }
    for index in &args.indexes {
        query = query.with_index(*index);
    }
    if args.auth {
        query = query.authoritative();
    }
    if args.cert {
        query = query.certified();
    }
    Ok(query)
}

fn trust(args: &Args) -> Result<Trust, Failed> {
    let Some(path) = &args.certificate else {
        // Nodes have certificates of their own making. Without one to compare with, HTTPS is as
        // good as the other transports, none of which proves who answers; `print` says so.
        return Ok(Trust::Anybody);
    };
    let unreadable = |error: &dyn std::fmt::Display| {
        let what = format_args!("cannot read the certificate {}", path.display());
        Report::new(Exit::Usage, what).cause(error).fail()
    };
    let octets = std::fs::read(path).map_err(|error| unreadable(&error))?;
    if !octets.starts_with(b"-----") {
        return Ok(Trust::Certificate(octets));
    }
    let certificate = CertificateDer::from_pem_slice(&octets).map_err(|e| unreadable(&e))?;
    Ok(Trust::Certificate(certificate.to_vec()))
}

//----------- The record's own signature -------------------------------------

/// The root keys that are believed, if the record is to be verified.
fn policy(args: &Args) -> Result<Option<Policy>, Failed> {
    match args.verify {
        Some(_) => args.believed.policy(&args.node).map(Some),
        None => Ok(None),
    }
}

/// Verifies the record, and that the values shown are values of it.
fn verify(args: &Args, source: &Source, shown: &[Value], policy: &Policy) -> Result<(), Failed> {
    let handle = Handle::parse(&args.handle).map_err(|error| not_a_handle(&error))?;
    let (judged, values) = check::verify_record(source, &handle, policy)?;
    let is_in_it = |value: &Value| {
        values
            .iter()
            .any(|other| other.index == value.index && other.is_same_but_for_time(value))
    };
    if !shown.iter().all(is_in_it) {
        return Err(
            Report::new(Exit::Network, "the record changed between two questions")
                .hint("ask again")
                .fail(),
        );
    }
    check::note_verdict(&judged);
    check::outcome(&judged, args.verify.unwrap_or(Demand::Always))
}

//----------- The signature --------------------------------------------------

/// How far a certified answer is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// Signed with a key that the server's own site record holds.
    Signed,
    /// Signed, and not with such a key.
    Mismatch,
    /// Not signed, or the site record cannot be had.
    None,
}

/// Checks the signature of `answer` with the keys that its server publishes.
///
/// This shows that nobody changed the answer on its way. That the keys themselves are the right
/// ones follows from the prefix record, which a resolver would have started from.
async fn proof(client: &Client, answer: &Answer) -> Proof {
    if !answer.is_signed() {
        return Proof::None;
    }
    let Ok(site) = client.site_info().await else {
        return Proof::None;
    };
    let mut keys = site.servers.iter().filter_map(|server| server.key().ok());
    match keys.any(|key| answer.verify(&key).is_ok()) {
        true => Proof::Signed,
        false => Proof::Mismatch,
    }
}

//----------- The answer -----------------------------------------------------

fn print(args: &Args, answer: &Answer, proof: Option<Proof>) -> Result<(), Failed> {
    if proof == Some(Proof::Mismatch) {
        return Err(
            Report::new(Exit::Network, "the signature of the answer is wrong")
                .cause("it fits none of the keys in the server's site record")
                .hint("somebody may have changed the answer on its way; do not use it")
                .fail(),
        );
    }
    if proof == Some(Proof::None) {
        note(format_args!(
            "{WARN}note:{WARN:#} the answer is not proven by a signature"
        ));
    }
    let mut out = Output::new();
    if args.json {
        out.line(record_json(answer.handle().as_str(), answer.values()))?;
        return out.finish();
    }
    print_values(out, &summary(answer, proof), answer.values())?;
    if answer.transport() == Transport::Https && args.certificate.is_none() {
        note(format_args!(
            "{WARN}note:{WARN:#} who answered is not proven: give --certificate FILE to accept \
             one server only"
        ));
    }
    Ok(())
}

/// Prints a line about the answer, and its values.
fn print_values(mut out: Output, summary: &str, values: &[Value]) -> Result<(), Failed> {
    out.line(format_args!("{FAINT}; {summary}{FAINT:#}"))?;
    for line in render::table(values, render::terminal_columns()) {
        out.line(line)?;
    }
    out.finish()
}

/// The Handle JSON form of a record that was found, as the HTTP interface gives it.
pub(crate) fn record_json(handle: &str, values: &[Value]) -> String {
    let form = RecordForm {
        response_code: Some(ResponseCode::SUCCESS.0),
        handle: Some(handle),
        values: values.iter().map(ValueForm::from).collect(),
    };
    // Only a map with keys that are not text could fail to become JSON, and there is none.
    serde_json::to_string(&form).unwrap_or_default()
}

fn summary(answer: &Answer, proof: Option<Proof>) -> String {
    let header = answer.header();
    let count = match answer.values().len() {
        1 => "1 value".to_owned(),
        n => format!("{n} values"),
    };
    let mut facts = vec![format!("version {}", answer.version())];
    if answer.is_authoritative() {
        facts.push("primary site".to_owned());
    }
    facts.push(format!("serial {}", header.site_serial));
    if answer.is_signed() {
        let proven = if proof == Some(Proof::Signed) {
            ", which fits its key"
        } else {
            ""
        };
        facts.push(format!("signed{proven}"));
    }
    format!(
        "{}: {count} from {} by {} ({})",
        printable(answer.handle().as_str()),
        answer.peer(),
        answer.transport(),
        facts.join(", ")
    )
}

//----------- Failures -------------------------------------------------------

/// An answer that says no, in the Handle JSON form.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Refusal<'a> {
    response_code: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referral_handle: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<ValueForm<'a>>>,
    handle: &'a str,
}

impl Refusal<'_> {
    fn print(&self) -> Result<(), Failed> {
        let mut out = Output::new();
        let text = serde_json::to_string(self).unwrap_or_default();
        out.line(text).and_then(|()| out.finish())?;
        Err(Failed::reported(Exit::Refused))
    }
}

/// Prints an answer that says no as JSON; `None` if there was no answer.
fn print_refusal(asked: &str, error: &Error) -> Option<Result<(), Failed>> {
    let code = error.code()?;
    let mut form = Refusal {
        response_code: code.0,
        handle: asked,
        ..Refusal::default()
    };
    match error {
        Error::NoSuchValues { .. } => form.values = Some(Vec::new()),
        Error::Referred { target, values, .. } => {
            form.referral_handle = Some(target);
            form.values = Some(values.iter().map(ValueForm::from).collect());
        }
        Error::NotFound { text, .. } | Error::Refused { text, .. } if !text.is_empty() => {
            form.message = Some(text);
        }
        _ => {}
    }
    Some(form.print())
}

/// Reports why there are no values, and what to do about it.
pub(crate) fn failed(error: &Error) -> Failed {
    let exit = match error {
        Error::InvalidName(_) | Error::TooLong { .. } => Exit::Usage,
        Error::NotFound { .. }
        | Error::NoSuchValues { .. }
        | Error::Referred { .. }
        | Error::Refused { .. } => Exit::Refused,
        _ => Exit::Network,
    };
    let text = error.to_string();
    let mut lines = text.lines();
    let mut report = Report::new(exit, lines.next().unwrap_or_default().trim_end_matches(':'));
    for line in lines {
        report = report.cause(line);
    }
    match hint(error) {
        Some(hint) => report.hint(hint),
        None => report,
    }
    .fail()
}

fn hint(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::NotFound { text, .. } if text.starts_with("withdrawn") => {
            "its name stays taken; --type GT_STATE shows the state"
        }
        Error::NotFound { .. } => "check the spelling; `guantong doctor HANDLE` looks further",
        Error::NoSuchValues { .. } => {
            "ask without --type and --index to see which values there are; some may be restricted"
        }
        Error::Referred { .. } => "ask the node that serves it: give its address with --at",
        Error::Refused { code, .. } => match *code {
            ResponseCode::SERVER_NOT_RESPONSIBLE => {
                "this node does not home the prefix: ask another node with --at, or home it \
                 with `guantong prefix home`"
            }
            ResponseCode::AUTHENTICATION_NEEDED | ResponseCode::INSUFFICIENT_PERMISSIONS => {
                "some of these values are not for everybody"
            }
            ResponseCode::SERVER_TOO_BUSY => "try again in a moment",
            _ => return None,
        },
        Error::Unreachable { .. } => {
            "is the node running there? `guantong doctor` checks the one on this machine; --at \
             names another"
        }
        Error::Misbehaved { .. } => "is that a node of the Handle System? --trace shows more",
        _ => return None,
    })
}

//----------- The trace ------------------------------------------------------

/// Tells what one attempt sent, received and led to.
pub(crate) fn note_attempt(attempt: &Attempt) {
    let Attempt {
        transport,
        authority,
        sent,
        tries,
        received,
        ignored,
        ..
    } = attempt;
    let address = match attempt.address {
        Some(address) if address.to_string() != *authority => format!(" ({address})"),
        _ => String::new(),
    };
    let mut lines = vec![format!(
        "{transport} {authority}{address}, {}",
        time(attempt.elapsed)
    )];
    let times = if *tries > 1 {
        format!(", {tries} times")
    } else {
        String::new()
    };
    let ignored = match ignored {
        0 => String::new(),
        n => format!(", {n} datagrams ignored"),
    };
    lines.push(format!(
        "  sent {sent} octets{times}; received {received}{ignored}"
    ));
    match &attempt.outcome {
        Outcome::Answered(answered) => {
            let header = &answered.header;
            let (code, flags) = (answered.code(), header.flags);
            lines.push(format!("  code {code}, flags {flags}"));
            let authority = match flags.has(OpFlags::AUTHORITATIVE) {
                true => "from a primary site",
                false => "from a mirror or cache",
            };
            let signed = if answered.signed { ", signed" } else { "" };
            lines.push(format!(
                "  version {}, site serial {}, expires {}, {authority}{signed}",
                answered.version,
                header.site_serial,
                moment(header.expiration)
            ));
        }
        Outcome::NoAnswer(Some(fault)) => {
            lines.push(format!(
                "  no answer; the last datagram was ignored because {fault}"
            ));
        }
        outcome => lines.push(format!("  {outcome}")),
    }
    for line in lines {
        note(format_args!("{FAINT}; {line}{FAINT:#}"));
    }
}

/// A moment given in seconds since 1970.
fn moment(seconds: u32) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(seconds.into()).ok();
    let text = moment.and_then(|moment| moment.format(&Rfc3339).ok());
    text.unwrap_or_else(|| seconds.to_string())
}

fn time(elapsed: Duration) -> String {
    match elapsed.as_micros() {
        micros @ 0..10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        micros => format!("{} ms", micros / 1_000),
    }
}
