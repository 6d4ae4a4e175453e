//! `guantong demo`: a whole network with real figures on this machine, to try everything on.

mod outage;
mod tour;

use std::path::{Path, PathBuf};

use guantong_server::demo::plan::DISTILLERY;
use guantong_server::demo::{DemoError, Network, Ports, ROOT_INFO, trace};
use guantong_server::running::Running;
use indicatif::ProgressBar;

use super::block_on;
use crate::failed::{Exit, Failed, Report};
use crate::output::style::{FAINT, STRONG};
use crate::output::{Output, note};

const EXAMPLES: &str = "\
Examples:
  guantong demo
  guantong demo --once
  guantong demo --data ./demo --port 0";

/// A handle of another enterprise.
const OTHER: &str = "88.118.6/nev-production";
/// A handle to try, with figures of five dates.
const SAMPLE: &str = "88.118.5/5g-base-stations";

/// Run a whole network with real figures on this machine, to try everything on.
///
/// A root, five top-level nodes with two more for disaster recovery, two second-level nodes, five
/// enterprise nodes and a recursive node, each with a store and sockets of its own, on loopback
/// only. The records are figures from press conferences in Chinese and English, a few links, and
/// the fourteen stages of a bottle that two of the enterprises trace.
/// Stop it with Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Keep the nodes in this folder and use them again; otherwise they are removed at the end
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Take the tour: resolve hop by hop and through the recursive node, stop two top-level nodes
    /// under load, follow a bottle to where it comes from, print what is answered, and end
    #[arg(long)]
    once: bool,

    /// Port of the native protocol of the node with the figures, which resolves all other names
    /// too; 0 takes any free ports, also for HTTP and metrics
    #[arg(long, value_name = "PORT", default_value_t = Ports::DEFAULT.native)]
    port: u16,
}

/// Makes, fills and runs the network.
pub(crate) fn run(args: &Args) -> Result<(), Failed> {
    let temporary = match args.data {
        Some(_) => None,
        None => Some(tempfile::tempdir().map_err(|error| {
            Report::new(Exit::Usage, "cannot make a temporary folder")
                .cause(error)
                .hint("name a folder with --data DIR")
                .fail()
        })?),
    };
    let given = args.data.as_deref();
    let folder = given.or(temporary.as_ref().map(tempfile::TempDir::path));
    let folder = folder.unwrap_or(Path::new("."));
    let wanted = match args.port {
        0 => Ports::FREE,
        native => Ports {
            native,
            ..Ports::DEFAULT
        },
    };
    let ports = wanted.or_free();
    note(format_args!(
        "{FAINT}starting a network of nodes in {} …{FAINT:#}",
        folder.display()
    ));
    let mut network = start(folder, ports).map_err(|error| failed(&error, folder))?;
    for (taken, name, port) in [
        (
            ports.native != wanted.native,
            "native protocol",
            wanted.native,
        ),
        (ports.http != wanted.http, "HTTP", wanted.http),
        (
            ports.console != wanted.console,
            "the console",
            wanted.console,
        ),
    ] {
        if taken {
            note(format_args!(
                "port {port} is in use, so {name} has another port"
            ));
        }
    }
    let ended = match args.once {
        true => tour::run(&mut network, folder),
        false => serve(&network, temporary.is_none(), folder),
    };
    network.stop();
    if let Some(folder) = temporary
        && let Err(error) = folder.close()
    {
        note(format_args!(
            "the temporary folder could not be removed: {error}"
        ));
    }
    ended
}

/// Starts all nodes; on a terminal a line says what is being done.
fn start(folder: &Path, ports: Ports) -> Result<Network, DemoError> {
    let spinner = ProgressBar::new_spinner();
    let network = Network::start(folder, ports, &mut |what| {
        spinner.set_message(what.to_owned());
        spinner.tick();
    });
    spinner.finish_and_clear();
    network
}

/// Says what to try, and waits until somebody stops the program.
fn serve(network: &Network, is_kept: bool, folder: &Path) -> Result<(), Failed> {
    let mut out = Output::new();
    for line in greeting(network, folder).map_err(|error| failed(&error, folder))? {
        out.line(line)?;
    }
    if is_kept {
        out.line(format_args!(
            "{FAINT}The nodes stay in {}.{FAINT:#}",
            folder.display()
        ))?;
    }
    out.line(format_args!("{FAINT}Stop with Ctrl-C.{FAINT:#}"))?;
    out.finish()?;
    block_on(asked_to_stop())
}

/// Who runs where, and what to try.
fn greeting(network: &Network, folder: &Path) -> Result<Vec<String>, DemoError> {
    let (front, recursive) = (network.front()?, network.recursive()?);
    let (native, http) = (native_of(front), http_of(front));
    let at = match native.ends_with(":2641") {
        true => String::new(),
        false => format!(" --at {native}"),
    };
    let mut lines = vec![
        format!(
            "{STRONG}Guantong 贯通{STRONG:#}: a network of {} nodes, {} records",
            network.members().len(),
            network.records()?
        ),
        String::new(),
    ];
    let prefixes = network.members().iter().filter_map(|one| one.place.prefix);
    let width = prefixes.map(str::len).max().unwrap_or_default();
    lines.extend(network.members().iter().filter_map(|member| {
        let native = native_of(member.running()?);
        let prefix = member.place.prefix.unwrap_or_default();
        Some(format!(
            "  {native:<16} {prefix:<width$} {}",
            member.place.title
        ))
    }));
    let root = folder.join(ROOT_INFO);
    lines.extend([
        String::new(),
        format!("{STRONG}Try{STRONG:#}"),
        format!("  {} resolve {SAMPLE}{at}", program()),
        format!(
            "  {} resolve {OTHER} --at {}",
            program(),
            native_of(recursive)
        ),
        format!(
            "  {} resolve {SAMPLE} --trace --root {}",
            program(),
            root.display()
        ),
        // Some shells take a bare question mark for a pattern.
        format!("  curl 'http://{http}/api/handles/{SAMPLE}?pretty'"),
        format!("  {} resolve {}{at}", program(), trace::BOTTLE),
        format!("  a browser at http://{http}/{SAMPLE}"),
    ]);
    lines.extend(consoles(network, folder)?);
    lines.push(String::new());
    Ok(lines)
}

/// Where the pages for people are, and how to sign in to them.
fn consoles(network: &Network, folder: &Path) -> Result<Vec<String>, DemoError> {
    let mut lines = Vec::new();
    if let Some(console) = network.front()?.addresses().console {
        lines.push(format!(
            "  the console at http://{console}/ (metrics at /metrics)"
        ));
    }
    let distillery = network.member(DISTILLERY)?.running();
    if let Some(console) = distillery.and_then(|running| running.addresses().console) {
        let bottle = trace::BOTTLE;
        let key = folder.join(DISTILLERY).join(trace::APPLICATION_KEY);
        lines.extend([
            format!(
                "  the {} stages of a bottle at \
                 http://{console}/record?handle={bottle}&steps=8#links",
                trace::STAGES_COUNT
            ),
            format!(
                "  to see there what the public does not, sign in as 300:{}",
                trace::APPLICATION
            ),
            format!("  with the key {}", key.display()),
        ]);
    }
    Ok(lines)
}

/// What to type for this program: its name if the shell finds it, else where it is.
fn program() -> String {
    const NAME: &str = env!("CARGO_PKG_NAME");
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join(NAME).is_file()) {
        return NAME.to_owned();
    }
    let here = std::env::current_dir().unwrap_or_default();
    match std::env::current_exe() {
        Ok(program) => match program.strip_prefix(&here) {
            Ok(below) => format!("./{}", below.display()),
            Err(_) => program.display().to_string(),
        },
        Err(_) => NAME.to_owned(),
    }
}

fn native_of(running: &Running) -> String {
    let address = running.addresses().udp.first();
    address.map(ToString::to_string).unwrap_or_default()
}

fn http_of(running: &Running) -> String {
    let address = running.addresses().http.first();
    address.map(ToString::to_string).unwrap_or_default()
}

/// Waits for Ctrl-C or the signal that ends services.
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupt = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        },
        Err(_) => {
            let _ = interrupt.await;
        }
    }
}

fn failed(error: &DemoError, folder: &Path) -> Failed {
    let exit = match error {
        DemoError::Start(_)
        | DemoError::Init(_)
        | DemoError::Config(_)
        | DemoError::NotEmpty(_)
        | DemoError::File { .. } => Exit::Usage,
        _ => Exit::Refused,
    };
    let mut report = Report::new(exit, "the demonstration cannot start").causes_of(error);
    if let DemoError::Start(start) = error
        && start.is_in_use()
    {
        report = report.hint(format_args!("another node runs in {}", folder.display()));
    }
    report.fail()
}
