//! `bench enterprise`: one enterprise node as it is used. Templates, things that are registered by
//! them through jobs of import, a program with grants; then what the node takes at rest and under
//! mixed work.
//!
//! Fairness to other software is not the question here: it is how much memory, disk and processor
//! one needs. The folder is kept, so that work can be measured again without another import.

mod account;
mod native;
mod thing;
mod work;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::machine::{self, Taken};
use crate::scale::{imported, note_imported};
use crate::server::{Node, NodeSetup};
use crate::web::{Web, encode};
use native::Native;
use thing::{GROUP, Thing, template, template_handle};
use work::Work;

/// How often a job is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Most templates: their numbers have two digits in handles.
const TEMPLATES_MAX: u32 = 99;
/// How long after its start a node is left alone before it counts as at rest.
const SETTLE: Duration = Duration::from_secs(3);
/// Numbers of things that are registered under work lie above those of the import, in each run
/// behind those of the run before.
const FRESH_FROM: u32 = 5_000_000;
const FRESH_EACH_RUN: u32 = 10_000;

#[derive(clap::Args)]
pub struct EnterpriseArgs {
    /// The node's program
    #[arg(long, default_value = "../target/release/guantong")]
    node: PathBuf,
    /// Folder for the data. It is kept, and what is in it already is used again
    #[arg(long)]
    folder: PathBuf,
    /// Things
    #[arg(long, default_value_t = 1_000_000)]
    records: u32,
    /// Templates that they are registered by
    #[arg(long, default_value_t = 20)]
    templates: u32,
    /// Seconds at rest, and under work
    #[arg(long, default_value_t = 30.0)]
    time: f64,
    /// Requests in a second under work
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
}

/// Measures an enterprise node.
pub fn enterprise(args: &EnterpriseArgs) -> Result<()> {
    ensure!(
        (1..=TEMPLATES_MAX).contains(&args.templates),
        "there may be 1 to {TEMPLATES_MAX} templates"
    );
    ensure!(
        args.records >= args.templates && args.records / args.templates < FRESH_FROM,
        "there must be a thing for each template, and fewer than {FRESH_FROM}"
    );
    fs::create_dir_all(&args.folder).with_context(|| args.folder.display().to_string())?;
    println!(
        "{}; load average {:.1}\n{} things, {} templates",
        machine::describe(),
        machine::load_average(),
        args.records,
        args.templates
    );
    let folder = args.folder.join("node");
    let setup = NodeSetup::kept_as(&folder, &args.node, "enterprise")?;
    setup.set("doip", "true")?;
    let bench = Bench {
        args,
        setup,
        folder,
        time: Duration::from_secs_f64(args.time),
    };
    match imported(&args.folder)? {
        None => bench.fill()?,
        Some(found) => ensure!(
            found == args.records,
            "the folder holds {found} things and not {}: choose another one",
            args.records
        ),
    }
    bench.measure()
}

struct Bench<'a> {
    args: &'a EnterpriseArgs,
    setup: NodeSetup,
    folder: PathBuf,
    time: Duration,
}

fn row(what: &str, figure: String) {
    println!("{what:<40} {figure}");
}

fn mib(octets: u64) -> f64 {
    octets as f64 / f64::from(1 << 20)
}

impl Bench<'_> {
    fn key(&self) -> PathBuf {
        self.args.folder.join("program_key.pem")
    }

    /// Makes templates, identities and things.
    fn fill(&self) -> Result<()> {
        let node = self.setup.serve("guantong", &Native::Prefix)?;
        let token = account::administrator(node.http, &self.folder)?;
        let mut web = Web::connect(node.http, Some(&token))?;
        account::make_program(&mut web, &self.key())?;
        for number in 0..self.args.templates {
            make_template(&mut web, number)?;
        }
        self.import(&node, &mut web)?;
        note_imported(&self.args.folder, self.args.records)
    }

    /// Sends a job for each template, and waits until all have come to their end.
    fn import(&self, node: &Node, web: &mut Web) -> Result<()> {
        let (pid, begun) = (node.server.pid(), Instant::now());
        let before = Taken::by_family(pid);
        let mut jobs = Vec::new();
        let mut octets = 0;
        for number in 0..self.args.templates {
            let body = self.rows(number)?;
            octets += body.len();
            let template = encode(&template_handle(number));
            let path = format!("/api/v2/jobs/import?template={template}&mode=create");
            let answer = web.send("POST", &path, "application/jsonl", body.as_bytes())?;
            let answer = answer.success(&path)?;
            let id = answer["id"].as_str().context("a job without a number")?;
            jobs.push(id.to_owned());
        }
        for id in &jobs {
            self.wait(web, id)?;
        }
        let (time, taken) = (
            begun.elapsed().as_secs_f64(),
            Taken::by_family(pid).since(before),
        );
        let records = f64::from(self.args.records);
        row(
            "import by jobs",
            format!(
                "{:.0} rows/s; {time:.1} s for {:.0} MB; processor {:.1} s + {:.1} s of the \
                 system, {:.0} us for each",
                records / time,
                octets as f64 / 1e6,
                taken.user,
                taken.system,
                (taken.user + taken.system) * 1e6 / records
            ),
        );
        let [now, peak] = [machine::resident(pid), machine::resident_peak(pid)].map(mib);
        row(
            "memory behind the import",
            format!("{now:.0} MiB, {peak:.0} MiB at most"),
        );
        Ok(())
    }

    fn rows(&self, template: u32) -> Result<String> {
        let Self { args, .. } = self;
        let mut body = String::new();
        for number in 0..(args.records - template).div_ceil(args.templates) {
            writeln!(body, "{}", Thing { template, number }.row())?;
        }
        Ok(body)
    }

    fn wait(&self, web: &mut Web, id: &str) -> Result<()> {
        let path = format!("/api/v2/jobs/{id}");
        loop {
            let job = web.get(&path)?.success(&path)?;
            match job["state"].as_str() {
                Some("waiting" | "running") => std::thread::sleep(LOOK),
                Some("done") if job["refused"] == json!(0) => return Ok(()),
                _ => {
                    let errors = web.get(&format!("{path}/errors?format=csv"));
                    anyhow::bail!("an import went wrong: {job}\n{errors:?}");
                }
            }
        }
    }

    /// Starts the node anew, and measures it at rest and under work.
    fn measure(&self) -> Result<()> {
        let (args, things) = (
            self.args,
            Native::Things {
                templates: self.args.templates,
            },
        );
        self.size();
        let node = self.setup.serve("guantong", &things)?;
        let pid = node.server.pid();
        let start = node.server.start_up.as_secs_f64();
        row("start to the first answer", format!("{start:.3} s"));
        std::thread::sleep(SETTLE);
        self.report("at rest", pid, || {
            std::thread::sleep(self.time);
            Ok(())
        })?;
        let work = Work {
            native: self.setup.native,
            http: node.http,
            administrator: &account::administrator(node.http, &self.folder)?,
            program: &account::program(node.http, &self.key())?,
            records: args.records,
            templates: args.templates,
            next: AtomicU32::new(self.fresh()?),
        };
        let mut tallies = Vec::new();
        self.report(&format!("{} requests/s", args.rate), pid, || {
            tallies = work.run(args.rate, self.time)?;
            Ok(())
        })?;
        println!(
            "\n{:<40} {:>8} {:>9} {:>9} {:>7}",
            "", "right", "p50 ms", "p99 ms", "errors"
        );
        let mut errors = 0;
        for (kind, tally) in &tallies {
            errors += tally.errors();
            println!(
                "{:<40} {:>8} {:>9.2} {:>9.2} {:>7}",
                kind.name(),
                tally.answers,
                tally.latency_us(0.5) / 1e3,
                tally.latency_us(0.99) / 1e3,
                tally.errors()
            );
        }
        ensure!(errors == 0, "{errors} requests went wrong");
        Ok(())
    }

    fn size(&self) {
        let store = machine::disk_octets(&self.setup.store());
        let all = machine::disk_octets(&self.folder);
        let each = store as f64 / f64::from(self.args.records);
        row(
            "disk",
            format!(
                "{:.0} MiB, {each:.0} octets for each thing; the whole node {:.0} MiB",
                mib(store),
                mib(all)
            ),
        );
    }

    /// What the node takes while something is done.
    fn report(&self, what: &str, pid: u32, act: impl FnOnce() -> Result<()>) -> Result<()> {
        let (before, begun, all) = (Taken::by_family(pid), Instant::now(), Taken::by_all());
        act()?;
        let (taken, time) = (Taken::by_family(pid).since(before), begun.elapsed());
        let ours = taken.user + taken.system;
        let others = machine::others_share(all, ours, time) * 100.0;
        let core = ours / time.as_secs_f64() * 100.0;
        let [now, peak] = [machine::resident(pid), machine::resident_peak(pid)].map(mib);
        row(
            what,
            format!(
                "{now:.0} MiB, {peak:.0} MiB at most; {core:.2} % of a core ({ours:.2} s in \
                 {:.0} s); others took {others:.0} % of the machine",
                time.as_secs_f64()
            ),
        );
        Ok(())
    }

    /// The first number of things that are registered in this run.
    fn fresh(&self) -> Result<u32> {
        let path = self.args.folder.join("runs");
        let runs = fs::read_to_string(&path).unwrap_or_default();
        let runs: u32 = runs.trim().parse().unwrap_or(0);
        fs::write(&path, (runs + 1).to_string())?;
        Ok(FRESH_FROM + runs * FRESH_EACH_RUN)
    }
}

/// Makes a template, publishes it, and lets the group read one of its fields.
fn make_template(web: &mut Web, number: u32) -> Result<()> {
    let handle = template_handle(number);
    let made = web.post("/api/v2/templates", &template(number))?;
    made.success(&handle)?;
    let path = format!("/api/v2/templates/{handle}");
    let published = web.post(&path, &json!({"action": "publish"}))?;
    published.success(&handle)?;
    let group = format!("200:{}/Group_{GROUP}", crate::corpus::PREFIX);
    let grant = json!({"fields": [{"field": "mass", "readers": {"add": [group]}}]});
    let granted = web.patch(&format!("/api/v2/grants/{handle}"), &grant)?;
    granted.success(&handle).map(drop)
}
