//! Answers whose records are on the disk, beside the disk's own random reads; and hot answers while
//! cold ones are under way.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::disk::{Disk, evict, evict_until};
use super::paced::Paced;
use super::table::Wanted;
use crate::dialect::Numbers;
use crate::load::{Draw, Law, Load, Udp};
use crate::machine::{self, Reads, Taken};
use crate::round::median;
use crate::server::Node;

/// Cold questions in flight, more than the node reads at a time, so that it always has the next.
const WINDOW: usize = 128;
/// Records that are hot, and the hot questions in a second: few enough for any machine.
const HOT_RECORDS: u32 = 1_000;
const HOT_RATE: f64 = 5_000.0;
/// The part of the disk's random reads that answers are to reach, and the reads that each may take.
const RATIO_WANTED: f64 = 0.8;
const READS_WANTED: f64 = 1.1;

/// The part of all cores that is busy where the processor bounds what is measured.
const BUSY_MIN: f64 = 0.9;

/// What one round gave.
struct Round {
    disk: f64,
    answers: f64,
    p50_us: f64,
    p99_us: f64,
    calls: f64,
    octets: f64,
    /// Of the program that reads the disk, while it does.
    disk_work: Work,
    /// Of the node, while it answers.
    node_work: Work,
    /// Of the client, while the node answers.
    client_work: Work,
}

/// What processor a program took, and how busy it all was meanwhile.
struct Work {
    /// For each read or answer, in microseconds.
    user_us: f64,
    system_us: f64,
    /// Cores that were busy, interrupts and other programs included.
    cores: f64,
}

impl Bench<'_> {
    /// Asks for records that are not in memory.
    pub(super) fn serve(&mut self) -> Result<()> {
        self.expect_records()?;
        let (dialect, store) = (Numbers::of_corpus(), self.setup.store());
        let node = self.setup.serve("guantong", &dialect)?;
        self.limit_memory(&node)?;
        let disk = Disk::open(&store)?;
        let stop = AtomicBool::new(self.args.memory_group.is_some());
        std::thread::scope(|scope| {
            let evictor = scope.spawn(|| evict_until(&store, &stop));
            let measured = self
                .cold_rounds(&node, &disk, &dialect)
                .and_then(|cold_p50_us| self.hot_beside_cold(&node, &dialect, cold_p50_us));
            stop.store(true, Relaxed);
            ensure!(
                evictor.join().is_ok(),
                "the thread that evicts has panicked"
            );
            measured
        })
    }

    /// Puts the node into the group whose memory is limited, if there is one.
    fn limit_memory(&mut self, node: &Node) -> Result<()> {
        let what = "memory while reading";
        let Some(group) = &self.args.memory_group else {
            self.table.skip(
                what,
                "no --memory-group; the store is evicted all the time instead",
            );
            return Ok(());
        };
        let members = group.join("cgroup.procs");
        fs::write(&members, node.server.pid().to_string())
            .with_context(|| members.display().to_string())?;
        // The second version of cgroups has the first file, the first version the second.
        let limits = ["memory.max", "memory.limit_in_bytes"].map(|name| group.join(name));
        let limit = limits.iter().find_map(|path| fs::read_to_string(path).ok());
        let limit: f64 = limit.unwrap_or_default().trim().parse().unwrap_or(f64::NAN);
        self.table.row(what, limit / f64::from(1 << 20), "MiB", "");
        // What is in memory already was counted against others. Now whoever reads it pays for it.
        evict(&self.setup.store());
        Ok(())
    }

    /// The disk and the node in turns; returns how long a cold answer takes, in microseconds.
    fn cold_rounds(&mut self, node: &Node, disk: &Disk, dialect: &Numbers) -> Result<f64> {
        let draw = Draw::new(Law::Uniform, self.args.records)?;
        let mut client = Udp::new(dialect, draw, node.server.address, WINDOW)?;
        client.run(self.time)?;
        let mut rounds = Vec::new();
        for _ in 0..self.args.rounds.max(1) {
            rounds.push(self.cold_round(node, disk, &mut client)?);
        }
        let middle = |of: &dyn Fn(&Round) -> f64| median(rounds.iter().map(of));
        let depth = self.args.depth;
        let reads = format!("disk: random reads of 4 KiB, {depth} at a time");
        let rest = bound(middle(&|r| r.disk_work.cores));
        self.table.row(&reads, middle(&|r| r.disk), "/s", rest);
        let rest = format!(
            "p50 {:.0} us, p99 {:.0} us; {}",
            middle(&|r| r.p50_us),
            middle(&|r| r.p99_us),
            bound(middle(&|r| r.node_work.cores))
        );
        let what = format!("node: cold answers, {WINDOW} in flight");
        self.table.row(&what, middle(&|r| r.answers), "/s", rest);
        let mut processor = |what: &str, work: &dyn Fn(&Round) -> &Work| {
            let user = middle(&|r| work(r).user_us);
            let system = middle(&|r| work(r).system_us);
            let rest = format!("{user:.1} in the program, {system:.1} in the system");
            self.table.row(what, user + system, "us", rest);
        };
        processor("disk: processor for each read", &|r| &r.disk_work);
        processor("node: processor for each cold answer", &|r| &r.node_work);
        processor("client: processor for each cold answer", &|r| {
            &r.client_work
        });
        let rest = format!("{:.0} octets of the disk", middle(&|r| r.octets));
        let calls = middle(&|r| r.calls);
        self.table
            .row("reads for each cold answer", calls, "", rest);
        let ratio = middle(&|r| r.answers / r.disk);
        let wanted = Wanted::AtLeast(RATIO_WANTED);
        self.table
            .judge("cold answers / reads of the disk", ratio, wanted);
        let wanted = Wanted::AtMost(READS_WANTED);
        self.table
            .judge("reads for each cold answer", calls, wanted);
        Ok(middle(&|r| r.p50_us))
    }

    fn cold_round(&self, node: &Node, disk: &Disk, client: &mut Udp<'_>) -> Result<Round> {
        let pid = node.server.pid();
        let reading = Watch::begin(pid);
        let rate = disk.rate(self.args.depth, self.time)?;
        // The node rests meanwhile, and whoever reads is this program.
        let (_, disk_work) = reading.end(rate * self.time.as_secs_f64());
        let (reads, answering) = (Reads::by(pid), Watch::begin(pid));
        let mut tally = client.run(self.time)?;
        let answers = tally.answers as f64;
        let (node_work, client_work) = answering.end(answers);
        let reads = Reads::by(pid).since(reads);
        client.settle(&mut tally)?;
        ensure!(
            tally.errors() == 0,
            "{} cold answers went wrong",
            tally.errors()
        );
        Ok(Round {
            disk: rate,
            answers: tally.rate(),
            p50_us: tally.latency_us(0.5),
            p99_us: tally.latency_us(0.99),
            calls: reads.calls as f64 / answers,
            octets: reads.disk_octets as f64 / answers,
            disk_work,
            node_work,
            client_work,
        })
    }

    /// Hot answers alone, and while others wait for the disk.
    fn hot_beside_cold(&mut self, node: &Node, dialect: &Numbers, cold_us: f64) -> Result<()> {
        let records = HOT_RECORDS.min(self.args.records);
        let hot = Paced::warmed(dialect, node.server.address, HOT_RATE, records)?;
        // Everything hot has been asked for often enough to stay.
        hot.run(Duration::from_secs(2))?;
        let alone = hot.run(self.time)?;
        let draw = Draw::new(Law::Uniform, self.args.records)?;
        let stop = AtomicBool::new(false);
        let beside = std::thread::scope(|scope| -> Result<_> {
            let cold = scope.spawn(|| -> Result<()> {
                // As many as the disk serves at its best, and not all that the processor can.
                let mut client = Udp::new(dialect, draw, node.server.address, self.args.depth)?;
                while !stop.load(Relaxed) {
                    client.run(Duration::from_millis(100))?;
                }
                Ok(())
            });
            let beside = hot.run(self.time);
            stop.store(true, Relaxed);
            let cold = cold.join();
            ensure!(
                matches!(cold, Ok(Ok(()))),
                "the client of cold records has failed"
            );
            beside
        })?;
        for (what, tally) in [("alone", &alone), ("beside cold ones", &beside)] {
            let rest = format!(
                "p99.9 {:.0} us; {} lost or wrong",
                tally.latency_us(0.999),
                tally.errors()
            );
            let what = format!("hot answers {what}, {HOT_RATE} a second: p99");
            self.table.row(&what, tally.latency_us(0.99), "us", rest);
        }
        let ratio = beside.latency_us(0.99) / cold_us;
        let wanted = Wanted::AtMost(1.0);
        self.table
            .judge("p99 of hot answers / p50 of cold ones", ratio, wanted);
        let pages = machine::resident(node.server.pid()) >> 20;
        let rest = format!("[store] memory {}", self.args.memory);
        self.table
            .row("memory of the node after it", pages as f64, "MiB", rest);
        Ok(())
    }
}

//----------- Watch ----------------------------------------------------------

/// The processor time of the node, of this program and of everybody, from one moment on.
struct Watch {
    pid: u32,
    node: Taken,
    family: Taken,
    all: f64,
    begun: Instant,
}

impl Watch {
    fn begin(pid: u32) -> Self {
        Self {
            pid,
            node: Taken::by_family(pid),
            family: Taken::by_family(std::process::id()),
            all: Taken::by_all(),
            begun: Instant::now(),
        }
    }

    /// What the node and this program took since, for each of `count` things.
    fn end(self, count: f64) -> (Work, Work) {
        let cores = (Taken::by_all() - self.all) / self.begun.elapsed().as_secs_f64();
        let node = Taken::by_family(self.pid).since(self.node);
        // The node was started by this program, so it is of its family.
        let own = Taken::by_family(std::process::id())
            .since(self.family)
            .since(node);
        let work = |taken: Taken| Work {
            user_us: taken.user * 1e6 / count,
            system_us: taken.system * 1e6 / count,
            cores,
        };
        (work(node), work(own))
    }
}

/// How many cores were busy, and whether they or the disk were what it waited for.
fn bound(cores: f64) -> String {
    let all = machine::cores();
    let bound = match cores >= BUSY_MIN * all as f64 {
        true => "the processor bounds it",
        false => "the processor does not bound it",
    };
    format!("{cores:.2} of {all} cores busy, by anybody: {bound}")
}
