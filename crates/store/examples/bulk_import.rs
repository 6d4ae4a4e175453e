//! Measures bulk import: rate, disk, memory, reopening, and reads afterwards.
//!
//! ```text
//! cargo run --release -p guantong-store --example bulk_import -- DIR [RECORDS] [MEMORY_MIB] [sorted|random] [BATCH]
//! ```
//!
//! `DIR` must be empty or not exist; it is left behind for a look. The figures in
//! `docs/internals/storage.md` come from here.

#![allow(clippy::print_stdout, reason = "a measuring tool prints")]

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

use guantong_proto::wire::Writer;
use guantong_proto::{CaseRule, Handle, Value, Values};
use guantong_store::{Batch, Change, CreateOptions, Expect, Options, Origin, Scope, Store, Trail};

/// Batches that wait for their tickets, so that the writer never has to wait for us.
const IN_FLIGHT: usize = 4;
/// Point reads of each kind.
const READS: u64 = 200_000;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().collect();
    let arg = |at: usize, default: &str| args.get(at).map_or(default, String::as_str).to_owned();
    let Some(dir) = args.get(1) else {
        return Err(
            "say where: bulk_import DIR [RECORDS] [MEMORY_MIB] [sorted|random] [BATCH]".into(),
        );
    };
    let records: u64 = arg(2, "1000000").parse()?;
    let memory_bytes = arg(3, "256").parse::<u64>()? << 20;
    let random = arg(4, "sorted") == "random";
    let batch: u64 = arg(5, "1000").parse()?;
    let options = Options {
        memory_bytes,
        ..Options::default()
    };
    let dir = Path::new(dir);
    import(dir, &options, records, batch, random)?;
    reopen(dir, &options, records, random)
}

fn import(
    dir: &Path,
    options: &Options,
    records: u64,
    batch: u64,
    random: bool,
) -> Result<(), Failure> {
    let create = CreateOptions {
        case_rule: CaseRule::Insensitive,
        id: [1; 16],
    };
    let store = Store::create(dir, &create, options)?;
    let start = Instant::now();
    let mut lap = start;
    let mut tickets = VecDeque::new();
    let mut octets = 0;
    let mut n = 0;
    while n < records {
        let end = (n + batch).min(records);
        let changes: Vec<Change> = (n..end).map(|n| change(n, random)).collect();
        octets += changes.iter().map(octets_of).sum::<usize>();
        tickets.push_back(store.submit(Batch {
            changes,
            at_ms: 1_780_000_000_000,
            origin: Origin::Import,
            trail: Trail::default(),
        }));
        if tickets.len() > IN_FLIGHT
            && let Some(ticket) = tickets.pop_front()
        {
            ticket.wait()?;
        }
        n = end;
        if lap.elapsed() > Duration::from_secs(5) {
            lap = Instant::now();
            let rate = n as f64 / start.elapsed().as_secs_f64();
            let (now, peak) = resident_mib();
            println!("{n:>10} records, {rate:>8.0}/s on average, {now} MiB resident, peak {peak}");
        }
    }
    for ticket in tickets {
        ticket.wait()?;
    }
    let took = start.elapsed();
    println!(
        "imported {records} records of {} octets in {:.1} s: {:.0} records/s, {} in a batch",
        octets as u64 / records.max(1),
        took.as_secs_f64(),
        records as f64 / took.as_secs_f64(),
        batch,
    );
    for (thread, secs) in cpu_secs() {
        let each = secs * 1e6 / records as f64;
        println!("processor time of {thread}: {secs:.1} s, {each:.2} us per record");
    }
    println!("{:?}", store.stats()?);
    println!("peak resident memory: {} MiB", resident_mib().1);
    let start = Instant::now();
    drop(store);
    println!("closed in {:.3} s", start.elapsed().as_secs_f64());
    let disk = disk_octets(dir)?;
    println!(
        "on disk after closing: {disk} octets, {} per record",
        disk / records.max(1)
    );
    Ok(())
}

fn octets_of(change: &Change) -> usize {
    match change {
        Change::Put { handle, values, .. } => handle.as_str().len() + values.len(),
        _ => 0,
    }
}

fn reopen(dir: &Path, options: &Options, records: u64, random: bool) -> Result<(), Failure> {
    let start = Instant::now();
    let store = Store::open(dir, options)?;
    println!("reopened in {:.3} s", start.elapsed().as_secs_f64());
    println!("{} records", store.count(&Scope::All)?);
    let keys: Vec<_> = (0..READS)
        .map(|n| name(scramble(n) % records, random).key(store.case_rule()))
        .collect();
    for (what, round) in [("from disk or page cache", 0), ("once more", 1)] {
        let start = Instant::now();
        for key in &keys {
            if store.get(key.as_bytes())?.is_none() {
                return Err(format!("round {round}: {key} is missing").into());
            }
        }
        let rate = READS as f64 / start.elapsed().as_secs_f64();
        println!("random point reads {what}: {rate:.0}/s");
    }
    let key = keys[0].as_bytes();
    let start = Instant::now();
    for _ in 0..READS {
        if store.get(key)?.is_none() {
            return Err("the hot record is missing".into());
        }
    }
    let each = start.elapsed().as_nanos() as u64 / READS;
    println!("one hot record: {each} ns each");
    let start = Instant::now();
    let scanned = store.scan(&Scope::All, None).take(1_000_000).count();
    let rate = scanned as f64 / start.elapsed().as_secs_f64();
    println!("scan: {rate:.0} records/s");
    println!("{:?}", store.stats()?);
    println!("resident now: {} MiB", resident_mib().0);
    Ok(())
}

fn name(n: u64, random: bool) -> Handle {
    let name = match random {
        true => format!("88.118.5/SN{:016x}", scramble(n)),
        false => format!("88.118.5/SN2026{n:012}"),
    };
    Handle::parse(&name).expect("it is short and not empty")
}

fn change(n: u64, random: bool) -> Change {
    let noise = scramble(n);
    let mut values = vec![
        Value::new(
            1,
            "URL",
            format!("https://parts.example.cn/item/{noise:016x}"),
        ),
        Value::new(2, "NAME", format!("轴承 Bearing 6204-{}", noise % 997)),
        Value::new(
            3,
            "BATCH",
            format!("B{:08}, heat {:04x}", noise % 99_999_999, noise >> 48),
        ),
    ];
    if !noise.is_multiple_of(3) {
        let made = Value::new(
            4,
            "MADE",
            format!("2026-0{}-1{}", noise % 9 + 1, noise % 10),
        );
        values.push(made);
    }
    if noise.is_multiple_of(3) {
        let maker = format!(
            "{{\"maker\":\"Factory {}\",\"line\":{}}}",
            noise % 31,
            noise % 7
        );
        values.push(Value::new(5, "MAKER", maker));
        values.push(Value::new(6, "STATUS", "shipped"));
    }
    Change::Put {
        handle: name(n, random),
        values: Writer::to_vec(|w| Values::encode(&values, w)),
        expect: Expect::Absent,
    }
}

/// A permutation of the numbers that looks random (SplitMix64's finaliser).
fn scramble(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Resident memory now and at its peak, in MiB; zeros where the system does not tell.
fn resident_mib() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let mib = |name| field(name).unwrap_or(0) / 1024;
    (mib("VmRSS:"), mib("VmHWM:"))
}

/// Processor time by name of thread, which does not depend on what else the machine does; empty
/// where the system does not tell.
fn cpu_secs() -> BTreeMap<String, f64> {
    /// Unit of the fields, the same on all Linux systems.
    const TICKS_PER_SEC: f64 = 100.0;
    let mut secs = BTreeMap::new();
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    for thread in threads.flatten() {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The name stands in brackets and may hold spaces.
        let Some((head, tail)) = stat.rsplit_once(')') else {
            continue;
        };
        let name = head.split_once('(').map_or("", |(_, name)| name);
        let fields: Vec<&str> = tail.split_whitespace().collect();
        let field = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        let ticks = field(11).unwrap_or(0.0) + field(12).unwrap_or(0.0);
        *secs.entry(name.to_owned()).or_insert(0.0) += ticks / TICKS_PER_SEC;
    }
    secs
}

fn disk_octets(dir: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        sum += match entry.file_type()?.is_dir() {
            true => disk_octets(&entry.path())?,
            // Journals are made larger than what is written to them; blocks say what is used.
            false => std::os::unix::fs::MetadataExt::blocks(&entry.metadata()?) * 512,
        };
    }
    Ok(sum)
}
