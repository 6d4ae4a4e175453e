//! `guantong demo`: a node with real figures on this machine, to try everything on.

mod tour;

use std::path::{Path, PathBuf};

use guantong_server::demo::{self, Demo, DemoError, PREFIX, Ports};

use super::block_on;
use crate::failed::{Exit, Failed, Report};
use crate::output::style::{FAINT, STRONG};
use crate::output::{Output, note};

const EXAMPLES: &str = "\
Examples:
  guantong demo
  guantong demo --once
  guantong demo --data ./demo --port 0";

/// A handle to try, with figures of five dates.
const SAMPLE: &str = "88.118.5/5g-base-stations";

/// Run a node with real figures on this machine, to try everything on.
///
/// The node homes the prefix 88.118.5 and listens on loopback only. Its records are figures from
/// press conferences in Chinese and English, and a few links. Stop it with Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Keep the node in this folder and use it again; otherwise it is removed at the end
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Ask the node over UDP, TCP and HTTP, print its answers, and end
    #[arg(long)]
    once: bool,

    /// Port of the native protocol; 0 takes any free ports, also for HTTP and metrics
    #[arg(long, value_name = "PORT", default_value_t = Ports::DEFAULT.native)]
    port: u16,
}

/// Makes, fills and runs the node.
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
        "{FAINT}starting a node in {} …{FAINT:#}",
        folder.display()
    ));
    let demo = demo::run(folder, ports).map_err(|error| failed(&error, folder))?;
    for (taken, name, port) in [
        (
            ports.native != wanted.native,
            "native protocol",
            wanted.native,
        ),
        (ports.http != wanted.http, "HTTP", wanted.http),
        (ports.console != wanted.console, "metrics", wanted.console),
    ] {
        if taken {
            note(format_args!(
                "port {port} is in use, so {name} has another port"
            ));
        }
    }
    let ended = match args.once {
        true => tour::run(&demo),
        false => serve(&demo, temporary.is_none(), folder),
    };
    demo.running.stop();
    if let Some(folder) = temporary
        && let Err(error) = folder.close()
    {
        note(format_args!(
            "the temporary folder could not be removed: {error}"
        ));
    }
    ended
}

/// Says what to try, and waits until somebody stops the program.
fn serve(demo: &Demo, is_kept: bool, folder: &Path) -> Result<(), Failed> {
    let mut out = Output::new();
    for line in greeting(demo) {
        out.line(line)?;
    }
    if is_kept {
        out.line(format_args!(
            "{FAINT}The node stays in {}.{FAINT:#}",
            folder.display()
        ))?;
    }
    out.line(format_args!("{FAINT}Stop with Ctrl-C.{FAINT:#}"))?;
    out.finish()?;
    block_on(asked_to_stop())
}

/// What the node is, and three commands to try.
fn greeting(demo: &Demo) -> Vec<String> {
    let addresses = demo.running.addresses();
    let native = addresses
        .udp
        .first()
        .map(ToString::to_string)
        .unwrap_or_default();
    let http = addresses
        .http
        .first()
        .map(ToString::to_string)
        .unwrap_or_default();
    let at = match native.ends_with(":2641") {
        true => String::new(),
        false => format!(" --at {native}"),
    };
    let mut lines = vec![
        format!("{STRONG}Guantong 贯通{STRONG:#}: an identifier node for prefix {PREFIX}"),
        format!(
            "{} records, native protocol at {native} (UDP and TCP), HTTP and HTTPS at {http}",
            demo.records
        ),
    ];
    if let Some(console) = addresses.console {
        lines.push(format!("metrics at http://{console}/metrics"));
    }
    lines.extend([
        String::new(),
        format!("{STRONG}Try{STRONG:#}"),
        format!("  {} resolve {SAMPLE}{at}", program()),
        // Some shells take a bare question mark for a pattern.
        format!("  curl 'http://{http}/api/handles/{SAMPLE}?pretty'"),
        format!("  a browser at http://{http}/{SAMPLE}"),
        String::new(),
    ]);
    lines
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
        DemoError::Start(_) | DemoError::Init(_) | DemoError::Config(_) | DemoError::OtherNode => {
            Exit::Usage
        }
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
