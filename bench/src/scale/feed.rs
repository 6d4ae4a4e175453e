//! Imports: records that are made while they are imported, so that no file holds them.

use std::fs;
use std::io::{BufWriter, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::table::Wanted;
use super::{Bench, RECORD_OCTETS, imported, note_imported};
use crate::corpus;
use crate::machine;
use crate::server::NodeSetup;

/// How often the memory of an import is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Octets of lines that are handed over at a time.
const PIPE_LEN: usize = 256 * 1024;
/// Records that are to be imported in a second.
const IMPORT_WANTED: f64 = 150_000.0;

/// What an import took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Imported {
    pub(super) time: Duration,
    /// Processor time of the command, all threads.
    pub(super) processor: Duration,
    /// The most memory that the command had resident.
    pub(super) peak_octets: u64,
}

/// Runs an import whose standard input is what `lines` gives.
pub(super) fn import(
    command: &mut Command,
    lines: impl Iterator<Item = String> + Send,
) -> Result<Imported> {
    let (begun, before) = (Instant::now(), children_time()?);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("the import cannot be started")?;
    let Some(pipe) = child.stdin.take() else {
        bail!("the import has no standard input");
    };
    let mut peak_octets = 0;
    let status = std::thread::scope(|scope| {
        let feeder = scope.spawn(move || -> Result<()> {
            let mut out = BufWriter::with_capacity(PIPE_LEN, pipe);
            for line in lines {
                writeln!(out, "{line}")?;
            }
            Ok(out.flush()?)
        });
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            peak_octets = peak_octets.max(machine::resident_peak(child.id()));
            std::thread::sleep(LOOK);
        };
        match feeder.join() {
            Ok(fed) => fed
                .context("the import takes no more lines")
                .map(|()| status),
            Err(_) => bail!("the thread that makes the records has panicked"),
        }
    })?;
    ensure!(status.success(), "the import ended with {status}");
    Ok(Imported {
        time: begun.elapsed(),
        processor: children_time()?.saturating_sub(before),
        peak_octets,
    })
}

/// Processor time of all programs that were started and have ended.
fn children_time() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(u64::try_from(micros)?))
}

/// All numbers below `count` in an order that looks random and is the same in every run.
pub(super) fn shuffled(count: u32) -> impl Iterator<Item = u32> {
    let bits = u32::BITS - count.saturating_sub(1).leading_zeros();
    let bits = bits.max(2);
    let mask = u64::MAX >> (u64::BITS - bits);
    // Each step can be undone, so no two numbers become the same; those above are left out.
    let mix = move |mut n: u64| {
        for odd in [0x9e37_79b1, 0x85eb_ca6b, 0xc2b2_ae35_u64] {
            n = n.wrapping_mul(odd) & mask;
            n ^= n >> (bits / 2);
        }
        n
    };
    (0..=mask)
        .map(mix)
        .filter(move |&n| n < u64::from(count))
        .map(|n| n as u32)
}

impl Bench<'_> {
    /// Imports the records, unless they are there.
    pub(super) fn import(&mut self) -> Result<()> {
        let (folder, records) = (&self.args.folder, self.args.records);
        if let Some(found) = imported(folder)? {
            ensure!(
                found == records,
                "the folder holds {found} records and not {records}: choose another one"
            );
            self.table
                .skip("import, in order of names", "they are there");
            return Ok(());
        }
        self.expect_room(u64::from(records) * RECORD_OCTETS)?;
        let lines = (0..records).map(corpus::json_line);
        let taken = import(&mut self.setup.command(&["import", "-"]), lines)?;
        note_imported(folder, records)?;
        let setup = self.setup.clone();
        let rate = self.report("import, in order of names", &setup, records, taken);
        let wanted = Wanted::AtLeast(IMPORT_WANTED);
        self.table
            .judge("import, in order of names, records/s", rate, wanted);
        Ok(())
    }

    /// Imports records in random order.
    pub(super) fn shuffled(&mut self) -> Result<()> {
        let records = self.args.shuffled;
        self.expect_room(u64::from(records) * 3 * RECORD_OCTETS)?;
        let mut rates = Vec::new();
        for (what, words) in [
            ("import, random order", &["import", "-"][..]),
            ("import, random order, --sort", &["import", "-", "--sort"]),
        ] {
            let folder = self.args.folder.join("shuffled");
            let setup = NodeSetup::kept(&folder, &self.args.node)?;
            let lines = shuffled(records).map(corpus::json_line);
            let taken = import(&mut setup.command(words), lines)?;
            rates.push(self.report(what, &setup, records, taken));
            fs::remove_dir_all(&folder)?;
        }
        let wanted = Wanted::AtLeast(1.0);
        self.table.judge(
            "random order: sorted first / as it comes",
            rates[1] / rates[0],
            wanted,
        );
        Ok(())
    }

    /// Prints what an import took; returns its rate.
    fn report(&mut self, what: &str, setup: &NodeSetup, records: u32, taken: Imported) -> f64 {
        let rate = f64::from(records) / taken.time.as_secs_f64();
        let cores = taken.processor.as_secs_f64() / taken.time.as_secs_f64();
        let octets = machine::disk_octets(&setup.store()) as f64 / f64::from(records);
        let peak = taken.peak_octets >> 20;
        let rest = format!(
            "{records} in {:.1} s; {cores:.2} cores busy, {peak} MiB at most, \
             {octets:.0} octets of disk each",
            taken.time.as_secs_f64()
        );
        self.table.row(what, rate, "/s", rest);
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::shuffled;

    #[test]
    fn shuffled_numbers_are_all_there_once_and_not_in_order() {
        for count in [1, 2, 3, 1_000, 4_096, 4_097] {
            let mut all: Vec<u32> = shuffled(count).collect();
            let climbs = all.windows(2).filter(|pair| pair[0] < pair[1]).count();
            assert!(
                count < 100 || climbs < 6 * count as usize / 10,
                "{count}: {climbs}"
            );
            all.sort_unstable();
            assert!(all.into_iter().eq(0..count), "{count}");
        }
    }
}
