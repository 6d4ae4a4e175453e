//! `bench instructions`: how many instructions an answer takes, counted by callgrind. They do not
//! depend on what else the machine does, so a step back shows where clocks show nothing.
//!
//! This program runs itself below valgrind twice for each path, with few and with many answers; the
//! difference belongs to the answers alone. The system's part of an answer is not in it.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use guantong_core::admin::Challenge;
use guantong_core::authority::{self, Answered, Homed, Moment, RecordView, Recursion, Site};
use guantong_proto::data::site::{Server, Site as SiteRecord};
use guantong_proto::json::{RecordForm, ValueForm};
use guantong_proto::{CaseRule, Handle, HandleRef, Values};
use guantong_store::{
    Batch, Change, CreateOptions, Expect, Options, Origin, Store, StoredRecord, Trail,
};

use crate::corpus::{self, PREFIX};
use crate::dialect::{Dialect, Exactness, Handles, Verdict};

/// Records that are answered in turns; few enough to be made quickly below valgrind.
const RECORDS: u32 = 500;
/// Answers of the two runs.
const FEW: u32 = 1_000;
const MANY: u32 = 11_000;
/// How much more than the figure in the repository is a step back.
const TOLERANCE: f64 = 0.10;
/// The function that callgrind looks into.
const COUNTED: &str = "answer_so_often";
/// A moment in the life of the records.
const NOW_SECS: u32 = 1_780_000_000;

#[derive(clap::Args)]
pub struct InstructionArgs {
    /// File with the figures to compare with
    #[arg(long, default_value = "figures/instructions.json")]
    figures: PathBuf,
    /// Write what is counted into that file
    #[arg(long)]
    write: bool,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AnswerPath {
    /// A packet in, the whole reply out, the record from the cache of the store
    Native,
    /// The record from the cache of the store as JSON text
    Json,
}

/// Counts, prints, compares. Fails if a path takes more than it should.
pub fn instructions(args: &InstructionArgs) -> Result<()> {
    ensure!(
        crate::server::is_installed("valgrind"),
        "valgrind is not installed: apt-get install valgrind"
    );
    let known: BTreeMap<String, f64> = match std::fs::read(&args.figures) {
        Ok(text) => serde_json::from_slice(&text).context("the figures cannot be read")?,
        Err(_) => BTreeMap::new(),
    };
    let mut found = BTreeMap::new();
    let mut worse = Vec::new();
    for path in AnswerPath::value_variants() {
        let name = format!("{path:?}").to_lowercase();
        let few = count(&name, FEW)?;
        let each = (count(&name, MANY)? - few) / f64::from(MANY - FEW);
        let beside = match known.get(&name) {
            Some(before) => {
                if each > before * (1.0 + TOLERANCE) {
                    worse.push(name.clone());
                }
                let change = (each / before - 1.0) * 100.0;
                format!("{change:+.1} % beside {before:.0}")
            }
            None => "nothing to compare with".to_owned(),
        };
        println!("{name:<8} {each:>8.0} instructions for each answer, {beside}");
        found.insert(name, each.round());
    }
    if args.write {
        let text = serde_json::to_string_pretty(&found)? + "\n";
        std::fs::write(&args.figures, text)?;
        return Ok(());
    }
    ensure!(
        worse.is_empty(),
        "more than {:.0} % above the figures: {}. Find out why; if it is meant, use --write",
        TOLERANCE * 100.0,
        worse.join(", ")
    );
    Ok(())
}

/// Instructions of a whole run with so many answers.
fn count(path: &str, answers: u32) -> Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        // Only inside of the one function, and so of its thread: the store has threads of its own.
        .arg(format!("--toggle-collect=*{COUNTED}*"))
        .arg(std::env::current_exe()?)
        .args(["answers", path, &answers.to_string()])
        .output()
        .context("valgrind cannot be started")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "the run below valgrind failed: {said}"
    );
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let Some((_, number)) = collected else {
        bail!("valgrind does not say what it has counted: {said}");
    };
    Ok(number.trim().parse()?)
}

//----------- answers --------------------------------------------------------

#[derive(clap::Args)]
pub struct AnswerArgs {
    /// Which way
    #[arg(value_enum)]
    path: AnswerPath,
    /// How often
    count: u32,
}

/// Answers so often and does nothing else; what is counted.
pub fn answers(args: &AnswerArgs) -> Result<()> {
    let name = format!("guantong-answers-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let result = answers_in(args, &folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn answers_in(args: &AnswerArgs, folder: &Path) -> Result<()> {
    let store = make_store(folder)?;
    // Brings every record into the cache.
    for n in 0..RECORDS {
        fetch(&store, n)?;
    }
    answer_so_often(&store, args)
}

#[inline(never)]
fn answer_so_often(store: &Store, args: &AnswerArgs) -> Result<()> {
    match args.path {
        AnswerPath::Native => answer_packets(store, args.count),
        AnswerPath::Json => write_texts(store, args.count),
    }
}

fn make_store(folder: &Path) -> Result<Store> {
    let create = CreateOptions {
        case_rule: CaseRule::Insensitive,
        id: [1; 16],
    };
    let store = Store::create(folder, &create, &Options::default())?;
    let mut changes = vec![Change::Home {
        prefix: Handle::of_prefix(PREFIX)?,
    }];
    for n in 0..RECORDS {
        changes.push(Change::Put {
            handle: Handle::parse(&corpus::handle(n))?,
            values: corpus::wire(n),
            expect: Expect::Absent,
        });
    }
    let batch = Batch {
        changes,
        at_ms: 1,
        origin: Origin::Import,
        trail: Trail::default(),
    };
    store.submit(batch).wait()?;
    Ok(store)
}

fn fetch(store: &Store, n: u32) -> Result<StoredRecord> {
    let name = corpus::handle(n);
    let key = HandleRef::parse(&name)?.key(CaseRule::Insensitive);
    let record = store.get(key.as_bytes())?;
    record.context("a record that was written is gone")
}

/// A site of one server that homes the prefix of the records.
fn site() -> Result<Site> {
    let server = Server {
        id: 1,
        address: [127, 0, 0, 1].into(),
        public_key: Vec::new(),
        interfaces: Vec::new(),
    };
    let record = SiteRecord {
        servers: vec![server],
        ..SiteRecord::default()
    };
    let homed = Homed::new(&[Handle::of_prefix(PREFIX)?]);
    Ok(Site::new(record.encode(), 1, CaseRule::Insensitive, homed)?)
}

fn view(record: &StoredRecord) -> RecordView<'_> {
    RecordView {
        handle: record.handle().as_str(),
        values: record.values_wire(),
        all_public: record.all_public(),
    }
}

fn answer_packets(store: &Store, count: u32) -> Result<()> {
    let site = site()?;
    let dialect = Handles::new(RECORDS, Exactness::Octets);
    let (mut key, mut packet, mut out) = (Vec::new(), Vec::new(), Vec::new());
    let mut challenge =
        |_: authority::Demand<'_>| -> Challenge { unreachable!("every value is public") };
    for n in 0..count {
        let record = n % RECORDS;
        packet.clear();
        out.clear();
        dialect.ask(record, n, &mut packet);
        let mut moment = Moment {
            now_secs: NOW_SECS,
            challenge: &mut challenge,
            recursion: Recursion::Denied,
        };
        let fetch = |key: &[u8]| store.get(key);
        let answered =
            authority::answer(&site, &packet, &mut moment, &mut key, &mut out, fetch, view)?;
        ensure!(
            matches!(answered, Answered::Done),
            "record {record} is not answered"
        );
        black_box(&out);
    }
    let last = (count - 1) % RECORDS;
    let verdict = dialect.judge(last, count - 1, &out);
    ensure!(
        verdict == Verdict::Right(out.len()),
        "the answer is not the right one"
    );
    Ok(())
}

fn write_texts(store: &Store, count: u32) -> Result<()> {
    let mut out = Vec::new();
    for n in 0..count {
        let record = fetch(store, n % RECORDS)?;
        let form = RecordForm {
            response_code: Some(1),
            handle: Some(record.handle().as_str()),
            values: ValueForm::list(Values::from_wire(record.values_wire())?),
        };
        out.clear();
        serde_json::to_writer(&mut out, &form)?;
        black_box(&out);
    }
    Ok(())
}
