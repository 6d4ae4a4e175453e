//! Many homed prefixes: homing them, starting with them, answering for them beside one prefix.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::feed::import;
use super::table::Wanted;
use crate::corpus;
use crate::dialect::Numbers;
use crate::load::{Draw, Law, Load, Udp};
use crate::round::median;
use crate::server::{NodeSetup, run};

/// Questions in flight.
const WINDOW: usize = 64;
/// How often both are asked.
const ROUNDS: usize = 3;
/// How much of the rate with one prefix is wanted with many.
const RATIO_WANTED: f64 = 0.9;

/// The record of prefix `n`.
fn name(n: u32) -> String {
    format!("88.118.{}/SN2026{n:08}", 1_000 + n)
}

impl Bench<'_> {
    /// Homes prefixes and asks for a record of each.
    pub(super) fn homes(&mut self) -> Result<()> {
        let folder = self.args.folder.join("homes");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        let setup = NodeSetup::kept(&folder, &self.args.node)?;
        let count = self.args.prefixes.max(1);
        self.home(&setup, count)?;
        let under_many = (0..count).map(|n| corpus::json_line_named(&name(n), n));
        let lines = under_many.chain((0..count).map(corpus::json_line));
        import(&mut setup.command(&["import", "-"]), lines)?;
        let (many, one) = (Numbers::named(name), Numbers::of_corpus());
        let node = setup.serve("guantong", &many)?;
        let start = node.server.start_up.as_secs_f64();
        self.table.row("start to the first answer", start, "s", "");
        let draw = Draw::new(Law::Uniform, count)?;
        let mut rounds = Vec::new();
        for round in 0..=ROUNDS {
            let mut rates = [0.0; 2];
            for (rate, dialect) in rates.iter_mut().zip([&many, &one]) {
                let address = node.server.address;
                let mut client = Udp::new(dialect, draw.clone(), address, WINDOW)?;
                let mut tally = client.run(self.time / 2)?;
                client.settle(&mut tally)?;
                ensure!(tally.errors() == 0, "{} answers went wrong", tally.errors());
                *rate = tally.rate();
            }
            // The first round fills the caches.
            if round > 0 {
                rounds.push(rates);
            }
        }
        let [many, one] = [0, 1].map(|at| median(rounds.iter().map(|rates| rates[at])));
        let rest = format!("{one:.0}/s for as many records of one prefix");
        let what = format!("answers for records of {count} prefixes");
        self.table.row(&what, many, "/s", rest);
        let ratio = median(rounds.iter().map(|rates| rates[0] / rates[1]));
        let wanted = Wanted::AtLeast(RATIO_WANTED);
        self.table
            .judge("answers for many prefixes / for one", ratio, wanted);
        drop(node);
        Ok(std::fs::remove_dir_all(&folder)?)
    }

    /// Homes prefixes one after the other, as an operator does at a running node.
    fn home(&mut self, setup: &NodeSetup, count: u32) -> Result<()> {
        let lines = std::iter::once(corpus::json_line(0));
        import(&mut setup.command(&["import", "-"]), lines)?;
        let _node = setup.serve("guantong", &Numbers::of_corpus())?;
        let (begun, mut last) = (Instant::now(), Duration::ZERO);
        for n in 0..count {
            let begun = Instant::now();
            let prefix = format!("88.118.{}", 1_000 + n);
            run(setup.command(&["prefix", "home"]).arg(prefix))?;
            last = begun.elapsed();
        }
        let time = begun.elapsed().as_secs_f64();
        let rest = format!(
            "{time:.1} s, a command each; {:.1} ms the last",
            last.as_secs_f64() * 1e3
        );
        let what = format!("homing {count} prefixes at a running node");
        self.table.row(&what, f64::from(count) / time, "/s", rest);
        Ok(())
    }
}
