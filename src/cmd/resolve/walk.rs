//! `guantong resolve --root`: resolves by itself from the root down, and tells the way.

use std::sync::Arc;

use guantong_client::printable;
use guantong_core::resolve::{
    Answer, Cache, CacheSettings, Entry, Hop, HopResult, HopServer, Outcome, Question,
    ResolveError, RootRefresh, Roots, Settings, Trace, TraceWanted,
};
use guantong_proto::message::ResponseCode;
use guantong_proto::{Handle, NameError, Value};
use guantong_server::config::Root;
use guantong_server::recurse::{Clock, Courier, RootsError, Setup, load_roots, parse_roots};

use super::{Args, Refusal, Source, print_values, record_json};
use crate::cmd::block_on;
use crate::failed::{Exit, Failed, Report};
use crate::output::style::FAINT;
use crate::output::{Output, note};

/// Memory for the records of one resolution.
const CACHE_OCTETS: u64 = 4 * 1024 * 1024;
/// UDP sockets of one resolution.
const SOCKETS: u16 = 4;

/// Resolves the handle of `args` from `root` and prints it.
pub(super) fn run(args: &Args, root: &str) -> Result<(), Failed> {
    let question = question(args).map_err(|error| super::not_a_handle(&error))?;
    let policy = super::policy(args)?;
    let courier = courier(root, CacheSettings::default())?;
    let answer = block_on(courier.resolve(question, TraceWanted::Yes))?;
    if let (Some(policy), Outcome::Record(entry)) = (policy, &answer.outcome) {
        let shown: Vec<Value> = selected(args, entry);
        super::verify(args, &Source::Network(courier.clone()), &shown, &policy)?;
    }
    courier.stop();
    let trace = answer.trace.clone().unwrap_or_default();
    if args.trace {
        note_trace(&trace);
    }
    print(args, &answer, &trace)
}

fn question(args: &Args) -> Result<Question, NameError> {
    let handle = Handle::parse(&args.handle)?;
    let types: Vec<&str> = args.types.iter().map(String::as_str).collect();
    Ok(Question {
        indexes: args.indexes.clone(),
        authoritative: args.auth,
        certified: args.cert,
        ..Question::new(handle).with_types(&types)
    })
}

/// A resolver of this process alone, without anything on disk.
pub(crate) fn courier(root: &str, cache: CacheSettings) -> Result<Arc<Courier>, Failed> {
    courier_of(roots(root)?, cache)
}

/// What a person names as the root.
pub(crate) fn roots(root: &str) -> Result<Roots, Failed> {
    let roots = parse_roots(root).and_then(|root| load_roots(&root));
    roots.map_err(|error| unusable(&error))
}

/// Where the settings of a node say that resolution begins.
pub(crate) fn roots_of(root: &Root) -> Result<Roots, Failed> {
    load_roots(root).map_err(|error| unusable(&error))
}

fn unusable(error: &RootsError) -> Failed {
    Report::new(Exit::Usage, "the root cannot be used")
        .causes_of(error)
        .hint("--root takes root_info, bootstrap_handles, siteinfo.json or .bin, or a server")
        .fail()
}

/// A resolver of this process alone that begins at `roots`.
pub(crate) fn courier_of(roots: Roots, mut cache: CacheSettings) -> Result<Arc<Courier>, Failed> {
    cache.octets = CACHE_OCTETS;
    let setup = Setup {
        settings: Settings {
            sockets: SOCKETS,
            root_refresh: RootRefresh::Never,
            ..Settings::default()
        },
        roots,
        cache: Arc::new(Cache::new(cache)),
        clock: Clock::start(),
        root_info: None,
        cache_file: None,
        verify: None,
    };
    Courier::start(setup).map_err(|error| {
        Report::new(Exit::Network, "cannot use the network")
            .cause(error)
            .hint("are there too many open files?")
            .fail()
    })
}

/// The values that are asked for.
fn selected(args: &Args, entry: &Entry) -> Vec<Value> {
    let types = args.types.iter();
    let types: Vec<Box<[u8]>> = types.map(|kind| kind.as_bytes().into()).collect();
    let values = entry.select(&args.indexes, &types);
    values.filter_map(|value| value.to_value().ok()).collect()
}

//----------- The answer -----------------------------------------------------

fn print(args: &Args, answer: &Answer, trace: &Trace) -> Result<(), Failed> {
    let entry = match &answer.outcome {
        Outcome::Record(entry) => entry,
        Outcome::NotFound => {
            return refuse(args, ResponseCode::HANDLE_NOT_FOUND, withdrawal(trace));
        }
        Outcome::ValuesNotFound => return refuse(args, ResponseCode::VALUES_NOT_FOUND, None),
        Outcome::Failed(error) => return fail(args, error),
        _ => return refuse(args, ResponseCode::ERROR, None),
    };
    let values = selected(args, entry);
    let mut out = Output::new();
    if args.json {
        out.line(record_json(&args.handle, &values))?;
        return out.finish();
    }
    let count = match values.len() {
        1 => "1 value".to_owned(),
        n => format!("{n} values"),
    };
    let summary = format!(
        "{}: {count}{} ({})",
        printable(&args.handle),
        trace.hops.iter().rev().find_map(from).unwrap_or_default(),
        way(trace)
    );
    print_values(out, &summary, &values)
}

/// What the server that has the name said of it, if the record is withdrawn.
pub(crate) fn withdrawal(trace: &Trace) -> Option<&str> {
    match &trace.hops.last()?.result {
        HopResult::Code(ResponseCode::HANDLE_NOT_FOUND, text) => {
            Some(&**text).filter(|text| text.starts_with("withdrawn"))
        }
        _ => None,
    }
}

/// The server that had the record.
fn from(hop: &Hop) -> Option<String> {
    let server = hop.server.as_ref()?;
    Some(format!(" from {}", place(server)))
}

fn way(trace: &Trace) -> String {
    let asked = trace.hops.iter().filter(|hop| hop.server.is_some()).count();
    let servers = if asked == 1 { "question" } else { "questions" };
    format!("{asked} {servers} in {} ms", trace.elapsed_ms)
}

fn refuse(args: &Args, code: ResponseCode, text: Option<&str>) -> Result<(), Failed> {
    if args.json {
        let form = Refusal {
            response_code: code.0,
            handle: &args.handle,
            message: text,
            values: (code == ResponseCode::VALUES_NOT_FOUND).then(Vec::new),
            ..Refusal::default()
        };
        return form.print();
    }
    let what = match code {
        ResponseCode::HANDLE_NOT_FOUND if text.is_some() => "there is no such record any more",
        ResponseCode::HANDLE_NOT_FOUND => "there is no such record",
        ResponseCode::VALUES_NOT_FOUND => "the record has no such values",
        _ => "the record was refused",
    };
    let report = Report::new(
        Exit::Refused,
        format_args!("{}: {what}", printable(&args.handle)),
    );
    let report = match text {
        Some(text) => report.cause(printable(text)),
        None => report,
    };
    Err(report.hint("--trace shows who said so").fail())
}

fn fail(args: &Args, error: &ResolveError) -> Result<(), Failed> {
    let text = error.to_string();
    if let ResolveError::Refused { code, .. } = error {
        return refuse(args, *code, Some(&text));
    }
    let what = format_args!("{} was not resolved", printable(&args.handle));
    let report = Report::new(Exit::Network, what).cause(printable(&text));
    Err(match args.trace {
        true => report,
        false => report.hint("--trace shows the way that was tried"),
    }
    .fail())
}

//----------- The trace ------------------------------------------------------

fn note_trace(trace: &Trace) {
    for line in trace_lines(trace) {
        note(format_args!("{FAINT}; {line}{FAINT:#}"));
    }
}

/// The way of a resolution, hop by hop.
pub(crate) fn trace_lines(trace: &Trace) -> Vec<String> {
    let mut lines = Vec::new();
    for (n, hop) in (1..).zip(&trace.hops) {
        for (m, line) in hop_lines(hop).into_iter().enumerate() {
            lines.push(match m {
                0 => format!("{n:>2}  {line}"),
                _ => format!("    {line}"),
            });
        }
    }
    if trace.left_out > 0 {
        lines.push(format!("{} more hops are left out", trace.left_out));
    }
    lines.push(way(trace));
    lines
}

/// One hop: what was asked and why, of whom, and what came of it.
pub(crate) fn hop_lines(hop: &Hop) -> Vec<String> {
    let types: Vec<_> = hop
        .types
        .iter()
        .map(|kind| String::from_utf8_lossy(kind))
        .collect();
    let types = match types.is_empty() {
        true => String::new(),
        false => format!(" ({})", types.join(" ")),
    };
    let asked = format!("{}{types}", hop.handle);
    let mut lines = vec![format!("{}  because: {}", printable(&asked), hop.why)];
    if let Some(server) = &hop.server {
        lines.push(format!("asked {}", whom(server)));
    }
    lines.push(outcome(hop));
    lines.push(times(hop));
    if let Some(why) = &hop.dropped_because {
        lines.push(format!(
            "{} replies were dropped, the last because {}",
            hop.dropped,
            printable(&why.to_string())
        ));
    }
    lines
}

fn place(server: &HopServer) -> String {
    let protocol = server.protocol.name().unwrap_or("?").to_ascii_lowercase();
    format!("{protocol}://{}", server.address)
}

fn whom(server: &HopServer) -> String {
    let site = match &server.site {
        Some(name) => format!("site \"{}\"", printable(name)),
        None => "site".to_owned(),
    };
    let kind = if server.primary { "primary" } else { "mirror" };
    let among = match server.servers {
        1 => String::new(),
        n => format!(", server {} of {n}", server.id),
    };
    let serial = server.site_serial;
    format!("{}: {kind} {site}, serial {serial}{among}", place(server))
}

fn outcome(hop: &Hop) -> String {
    let (code, text) = match &hop.result {
        HopResult::Code(code, text) => (code, text),
        HopResult::Silent => return "no answer".to_owned(),
        HopResult::Incomplete => return "part of an answer".to_owned(),
        HopResult::Stream(fault) => return printable(&fault.to_string()),
        HopResult::Unsound(why) => return format!("unsound: {}", printable(&why.to_string())),
        HopResult::Abandoned => return "not waited for any longer".to_owned(),
        other => return format!("{other:?}"),
    };
    let mut facts = vec![format!("code {code}")];
    if !text.is_empty() {
        facts.push(format!("\"{}\"", printable(text)));
    }
    if hop.values > 0 {
        facts.push(format!("{} values", hop.values));
    }
    if let Some(ttl) = hop.ttl_secs {
        facts.push(format!("valid {ttl} s"));
    }
    if let Some(serial) = hop.serial {
        facts.push(format!("serial {serial}"));
    }
    for (holds, fact) in [
        (hop.authoritative, "from a primary site"),
        (hop.verified, "signature checked"),
    ] {
        if holds {
            facts.push(fact.to_owned());
        }
    }
    if hop.behind_secs > 0 {
        facts.push(format!("its clock is {} s behind ours", hop.behind_secs));
    }
    facts.join(", ")
}

fn times(hop: &Hop) -> String {
    let mut text = format!("{} ms, begun at {} ms", hop.elapsed_ms, hop.started_ms);
    if hop.retries > 0 {
        text.push_str(&format!(", sent {} times", hop.retries + 1));
    }
    if hop.reply_len > 0 {
        text.push_str(&format!(", {} octets", hop.reply_len));
    }
    text
}
