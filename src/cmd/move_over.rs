//! `guantong move-over`: what an enterprise node of another product holds, into this node.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use guantong_api::control::Mode;
use guantong_client::{Client, Endpoint, Server, Transport, Trust, printable};
use guantong_proto::{CaseRule, Handle};
use guantong_server::control::Control;
use guantong_server::move_over::{
    MoveError, Old, PeerError, RECORDS_FILE, REPORT_FILE, RESULTS_FILE, Reading, Row, Step, Tally,
    read,
};
use guantong_server::transfer::{self, Happening, ImportJob, TransferError};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::import::Conflict;
use super::key::file::{self, PassphraseArgs};
use super::{NodeArgs, ask, block_on};
use crate::failed::{Exit, Failed, Report};
use crate::output::{Output, note};
use crate::progress::Meter;

/// Rows that are shown; the report has them all.
const SHOWN_MAX: usize = 20;

const EXAMPLES: &str = "\
Examples:
  guantong move-over http://idhub.example:3000 --app 88.118.5/App_erp --key erp.pem \\
      --work moved --dry-run
  guantong move-over http://idhub.example:3000 --app 88.118.5/App_erp --key erp.pem \\
      --work moved --native idhub.example:2641
  guantong move-over https://idhub.example --certificate idhub.pem --app 88.118.5/App_erp \\
      --key erp.pem --work moved --category battery --on-conflict replace

Reads categories, templates, identifiers and, with --native, applications and groups, as the
application --app sees them; then writes them into the node of --config. Indexes, names and
identifiers stay what they are.

The folder --work gets records.jsonl, report.jsonl (what is not moved, and what to look at) and
results.jsonl (what became of each record). What is in it is not read again: after an interruption,
give the same command; to read everything anew, name another folder.

Exit code 1 says that something was not moved.";

/// Move an enterprise node of another product over into this node.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The old node, as http://host:port or https://host:port: the address of its API
    #[arg(value_name = "URL")]
    old: Server,

    /// The application that reads: what it may not see is not moved
    #[arg(long, value_name = "HANDLE")]
    app: Handle,

    /// File of its private key, such as PKCS#8 PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,

    #[command(flatten)]
    passphrase: PassphraseArgs,

    /// Folder for what is read, and for what is told of it
    #[arg(long, value_name = "DIR")]
    work: PathBuf,

    /// Where the old node or its network resolves identifiers: applications and groups are read
    /// there
    #[arg(long, value_name = "ADDR")]
    native: Option<Server>,

    /// Only templates of this category. May be repeated
    #[arg(long, value_name = "CODE")]
    category: Vec<String>,

    /// An application or group that the old node does not list. May be repeated
    #[arg(long, value_name = "HANDLE")]
    identity: Vec<Handle>,

    /// Over HTTPS, accept only the old node with this certificate (PEM or DER)
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,

    /// Read everything and say what would happen; change nothing in the node
    #[arg(long)]
    dry_run: bool,

    /// What to do with a record that is there already and differs
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    on_conflict: Conflict,

    #[command(flatten)]
    node: NodeArgs,
}

pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    let old = old(args)?;
    let mut control = ask::open(&args.node)?;
    let rule = match ask::status(&mut *control)?.case_sensitive {
        true => CaseRule::Sensitive,
        false => CaseRule::Insensitive,
    };
    let tally = read_all(args, &old, rule)?;
    let written = write_all(args, &mut *control)?;
    if !args.dry_run {
        ask::warn_of_homeless_records(&mut *control)?;
    }
    summarize(args, tally, &written)
}

//----------- The old node ---------------------------------------------------

fn old(args: &Args) -> Result<Old, Failed> {
    let endpoint = endpoint(&args.old)?;
    let trust = match (&args.certificate, endpoint.transport) {
        (None, Transport::Https) => {
            let what = "nothing says which node to believe over https";
            let hint = "name its certificate with --certificate FILE";
            return Err(Report::new(Exit::Usage, what).hint(hint).fail());
        }
        (None, _) => Trust::Nobody,
        (Some(path), _) => {
            let unreadable = |error: &dyn std::fmt::Display| {
                let what = format_args!("cannot read the certificate {}", path.display());
                Report::new(Exit::Usage, what).cause(error).fail()
            };
            let octets = std::fs::read(path).map_err(|error| unreadable(&error))?;
            if octets.starts_with(b"-----") {
                let pem = CertificateDer::from_pem_slice(&octets);
                Trust::Certificate(pem.map_err(|error| unreadable(&error))?.to_vec())
            } else {
                Trust::Certificate(octets)
            }
        }
    };
    let key = file::load_private(&args.key, &args.passphrase)?;
    Ok(Old::new(endpoint, trust, args.app.clone(), key))
}

/// The one way in which the API is reached.
fn endpoint(old: &Server) -> Result<Endpoint, Failed> {
    match old.endpoints() {
        [only] if matches!(only.transport, Transport::Http | Transport::Https) => Ok(only.clone()),
        _ => Err(
            Report::new(Exit::Usage, "the address of the old node is no URL")
                .hint("it begins with http:// or https://, such as http://idhub.example:3000")
                .fail(),
        ),
    }
}

//----------- Reading --------------------------------------------------------

fn read_all(args: &Args, old: &Old, rule: CaseRule) -> Result<Tally, Failed> {
    let native = args.native.clone().map(|at| Client::builder(at).build());
    let reading = Reading {
        old,
        native: native.as_ref(),
        rule,
        categories: &args.category,
        identities: &args.identity,
        folder: &args.work,
    };
    let mut meter = Meter::new("records read", 0);
    let mut shown = 0;
    let read = block_on(read(&reading, &mut |step| match step {
        Step::Told(row) => {
            shown += 1;
            if shown <= SHOWN_MAX {
                meter.say(said(row));
            }
        }
        Step::Read(tally) => {
            let count = tally.records as u64;
            meter.set(count, 0, count);
        }
        _ => {}
    }))?;
    let tally = read.map_err(|error| failed(&error))?;
    meter.finish(tally.records as u64);
    Ok(tally)
}

fn said(row: &Row) -> String {
    let (handle, why) = (printable(&row.handle), printable(&row.why));
    match row.is_moved() {
        true => format!("note: {handle}: {why}"),
        false => format!("not moved: {handle}: {why}"),
    }
}

fn failed(error: &MoveError) -> Failed {
    let exit = match error {
        MoveError::Peer(PeerError::Silent { .. }) => Exit::Network,
        MoveError::Peer(_) => Exit::Refused,
        _ => Exit::Usage,
    };
    Report::new(exit, "the old node is not read to its end")
        .causes_of(error)
        .hint("what was read so far is kept: mend the cause, then give the same command")
        .fail()
}

//----------- Writing --------------------------------------------------------

fn write_all(args: &Args, control: &mut dyn Control) -> Result<transfer::Tally, Failed> {
    let path = args.work.join(RECORDS_FILE);
    let input = File::open(&path).map_err(|error| {
        Report::new(Exit::Usage, format!("{} cannot be read", path.display()))
            .cause(error)
            .fail()
    })?;
    let octets = input.metadata().map_or(0, |found| found.len());
    let job = ImportJob {
        input: BufReader::new(input),
        on_conflict: args.on_conflict.into(),
        mode: match args.dry_run {
            true => Mode::DryRun,
            false => Mode::Apply,
        },
        stop_on_error: false,
        results: Some(args.work.join(RESULTS_FILE)),
        state: None,
        resume: false,
        sort_in: None,
    };
    let mut meter = Meter::new("records", octets);
    let mut refusals = 0;
    let written = transfer::import(control, job, &mut |happening| match happening {
        Happening::Refused { handle, reason, .. } => {
            refusals += 1;
            if refusals <= SHOWN_MAX {
                let handle = handle.unwrap_or_default();
                meter.say(format_args!("not moved: {handle}: {reason}"));
            }
        }
        Happening::Done { octets: at, tally } => meter.set(at, octets, tally.total()),
        _ => {}
    });
    let written = written.map_err(|error| match error {
        TransferError::Node(fault) => ask::failed(&fault),
        error => Report::new(Exit::Refused, "the records are not all written")
            .causes_of(&error)
            .fail(),
    })?;
    meter.finish(written.total());
    Ok(written)
}

fn summarize(args: &Args, tally: Tally, written: &transfer::Tally) -> Result<(), Failed> {
    let mut output = Output::new();
    output.line(format_args!(
        "read: {} records, {} of them before; {} not moved, {} notes: {}",
        tally.records,
        tally.known,
        tally.not_moved,
        tally.noted,
        args.work.join(REPORT_FILE).display()
    ))?;
    let would = match args.dry_run {
        true => "would be ",
        false => "",
    };
    output.line(format_args!(
        "{would}written: {} created, {} replaced, {} unchanged, {} skipped, {} refused: {}",
        written.created,
        written.replaced,
        written.unchanged,
        written.skipped,
        written.refused,
        args.work.join(RESULTS_FILE).display()
    ))?;
    output.finish()?;
    match tally.not_moved == 0 && written.refused == 0 {
        true => Ok(()),
        false => {
            note("something was not moved: the files say what and why");
            Err(Failed::reported(Exit::Refused))
        }
    }
}
