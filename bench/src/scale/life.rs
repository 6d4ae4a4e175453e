//! What is done to a store as a whole: listing, backup, start, check.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use guantong_store::{Options, Scope, Store};

use super::Bench;
use super::paced::Paced;
use super::table::Wanted;
use crate::corpus::PREFIX;
use crate::dialect::Numbers;
use crate::load::Tally;
use crate::machine;
use crate::round::median;
use crate::server::run;

/// Names on a page.
const PAGE_LEN: usize = 1_000;
/// How often the node is started, for the median.
const STARTS: usize = 5;
/// Octets of a backup and of the store that is restored from it, for each record, at most; the log
/// is in them too.
const BACKUP_RECORD_OCTETS: u64 = 300;
/// Up to so many records a start may take so long, and longer with more.
const FEW_RECORDS: u32 = 100_000;
const START_FEW_SECS: f64 = 0.1;
const START_SECS: f64 = 1.0;
/// Memory after the start, in MiB, and the most records up to which it is wanted.
const RESIDENT_MIB: f64 = 60.0;
const RESIDENT_RECORDS: u32 = 10_000_000;
/// Questions in a second, and for how many different records, while something else goes on.
pub(super) const ASIDE_RATE: f64 = 5_000.0;
pub(super) const ASIDE_RECORDS: u32 = 10_000;
/// How much longer an answer may take meanwhile.
pub(super) const ASIDE_WANTED: f64 = 2.0;

impl Bench<'_> {
    /// Lists every name of the prefix.
    pub(super) fn list(&mut self) -> Result<()> {
        self.expect_records()?;
        let store = Store::open(&self.setup.store(), &Options::default())?;
        let scope = Scope::of_prefix(PREFIX)?;
        let (begun, mut slowest) = (Instant::now(), Duration::ZERO);
        let (mut names, mut pages, mut after) = (0_u64, 0_u64, None);
        loop {
            let asked = Instant::now();
            let page = store.list(&scope, after.as_ref(), PAGE_LEN)?;
            slowest = slowest.max(asked.elapsed());
            names += page.handles.len() as u64;
            pages += 1;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let time = begun.elapsed().as_secs_f64();
        let counted = store.count(&scope)?;
        ensure!(names == counted, "{names} names were listed of {counted}");
        let rest = format!(
            "{names} in {time:.1} s; {:.0} us a page, {} us the slowest",
            time * 1e6 / pages as f64,
            slowest.as_micros()
        );
        let what = format!("store: names in pages of {PAGE_LEN}");
        self.table.row(&what, names as f64 / time, "/s", rest);
        Ok(())
    }

    /// Backs up the node that answers.
    pub(super) fn backup(&mut self) -> Result<()> {
        self.expect_records()?;
        if let Err(why) = self.expect_room(u64::from(self.args.records) * BACKUP_RECORD_OCTETS) {
            self.table.skip("backup", why);
            return Ok(());
        }
        let target = self.empty_place("backup")?;
        let dialect = Numbers::of_corpus();
        let node = self.setup.serve("guantong", &dialect)?;
        let client = self.aside(&dialect, node.server.address)?;
        let idle = client.run(self.time)?;
        let is_done = AtomicBool::new(false);
        let (time, during) = std::thread::scope(|scope| -> Result<_> {
            let backup = scope.spawn(|| {
                let begun = Instant::now();
                let ran = run(self.setup.command(&["backup"]).arg(&target));
                is_done.store(true, Relaxed);
                ran.map(|()| begun.elapsed())
            });
            let during = client.run_until(|| is_done.load(Relaxed));
            let Ok(time) = backup.join() else {
                anyhow::bail!("the thread that backs up has panicked");
            };
            Ok((time?.as_secs_f64(), during?))
        })?;
        let octets = machine::disk_octets(&target) as f64;
        let rest = format!(
            "{time:.1} s for {:.0} MB, {:.0} MB/s",
            octets / 1e6,
            octets / 1e6 / time
        );
        let rate = f64::from(self.args.records) / time;
        self.table
            .row("backup of the node that answers", rate, "/s", rest);
        self.beside("a backup", &idle, &during);
        drop((client, node));
        self.restore(&target)?;
        fs::remove_dir_all(&target)?;
        Ok(())
    }

    /// A path in the folder where nothing is; what a run that was broken off has left is removed.
    fn empty_place(&self, name: &str) -> Result<PathBuf> {
        let path = self.args.folder.join(name);
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| path.display().to_string())?;
        }
        Ok(path)
    }

    /// Restores a backup into a store that is removed again.
    fn restore(&mut self, backup: &Path) -> Result<()> {
        let target = self.empty_place("restored")?;
        let mut command = Command::new(&self.args.node);
        command.args(["restore", "--no-files"]);
        let begun = Instant::now();
        run(command.arg(backup).arg(&target))?;
        let time = begun.elapsed().as_secs_f64();
        let octets = machine::disk_octets(&target) as f64;
        fs::remove_dir_all(&target)?;
        let rest = format!("{time:.1} s, {:.0} MB then", octets / 1e6);
        let rate = f64::from(self.args.records) / time;
        self.table.row("restore of that backup", rate, "/s", rest);
        Ok(())
    }

    /// Somebody who asks while something else goes on.
    pub(super) fn aside<'d>(
        &self,
        dialect: &'d Numbers,
        address: std::net::SocketAddr,
    ) -> Result<Paced<'d>> {
        let records = ASIDE_RECORDS.min(self.args.records);
        Paced::warmed(dialect, address, ASIDE_RATE, records)
    }

    /// Compares the answers during something with those while nothing else went on.
    pub(super) fn beside(&mut self, what: &str, idle: &Tally, during: &Tally) {
        let ratio = self.tell_beside(what, idle, during);
        let row = format!("p99 during {what} / when idle");
        self.table.judge(&row, ratio, Wanted::AtMost(ASIDE_WANTED));
    }

    /// The same without judging it; returns how many times as long the p99 is.
    pub(super) fn tell_beside(&mut self, what: &str, idle: &Tally, during: &Tally) -> f64 {
        let [before, then] = [idle, during].map(|tally| tally.latency_us(0.99));
        let rest = format!(
            "{:.1} times the {before:.0} us when idle; p99.9 {:.0} us; {} lost or wrong",
            then / before,
            during.latency_us(0.999),
            during.errors()
        );
        let row = format!("p99 of {ASIDE_RATE} answers a second during {what}");
        self.table.row(&row, then, "us", rest);
        then / before
    }

    /// Starts the node some times, and checks its store.
    pub(super) fn restart(&mut self) -> Result<()> {
        self.expect_records()?;
        let (dialect, records) = (Numbers::of_corpus(), self.args.records);
        let (mut starts, mut resident) = (Vec::new(), 0);
        for _ in 0..STARTS {
            let node = self.setup.serve("guantong", &dialect)?;
            starts.push(node.server.start_up.as_secs_f64());
            resident = machine::resident(node.server.pid());
        }
        let slowest = starts.iter().copied().fold(0.0, f64::max);
        let start = median(starts);
        let rest = format!("median of {STARTS}, {slowest:.3} s the slowest");
        self.table
            .row("start to the first answer", start, "s", rest);
        let wanted = match records <= FEW_RECORDS {
            true => START_FEW_SECS,
            false => START_SECS,
        };
        self.table.judge(
            "start to the first answer, s",
            start,
            Wanted::AtMost(wanted),
        );
        let resident = resident as f64 / f64::from(1 << 20);
        self.table
            .row("memory after the start", resident, "MiB", "");
        if records <= RESIDENT_RECORDS {
            let wanted = Wanted::AtMost(RESIDENT_MIB);
            self.table
                .judge("memory after the start, MiB", resident, wanted);
        }
        let begun = Instant::now();
        run(&mut self.setup.command(&["store", "check"]))?;
        let time = begun.elapsed().as_secs_f64();
        let rest = format!("{time:.1} s");
        self.table
            .row("store check", f64::from(records) / time, "/s", rest);
        Ok(())
    }
}
