//! Answers while the node is changed: by imports, and by administrators.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use super::Bench;
use super::feed::{Imported, import, shuffled};
use super::life::ASIDE_RECORDS;
use super::paced::Paced;
use crate::corpus::{self, PREFIX};
use crate::dialect::Numbers;
use crate::load::Tally;
use crate::server::{Node, Turns, floor_beside};
use crate::write::Administrator;

/// Records of an import into the running node, at most.
const IMPORT_RECORDS: u32 = 200_000;
/// Administrators who create at a time.
const CLIENTS: usize = 16;

/// Who is asked beside the node's work: the node itself, or a server that does nothing but answer,
/// which waits for nobody but the system. Either before all other programs, as the node does by
/// itself where it may, or as all of them have their turns.
const ASKED: [(&str, Asked, Turns); 4] = [
    ("", Asked::Node, Turns::First),
    (", udp_first = false", Asked::Node, Turns::Short),
    (", floor before all", Asked::Floor, Turns::First),
    (", floor", Asked::Floor, Turns::Short),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Node,
    Floor,
}

impl Bench<'_> {
    /// Imports into the node that answers, and has administrators create.
    pub(super) fn busy(&mut self) -> Result<()> {
        self.expect_records()?;
        let dialect = Numbers::of_corpus();
        for (who, kind, turns) in ASKED {
            let is_first = kind == Asked::Node && turns == Turns::First;
            self.setup.set("udp_first", &is_first.to_string())?;
            let node = self.setup.serve("guantong", &dialect)?;
            let floor = match kind {
                Asked::Node => None,
                Asked::Floor => Some(floor_beside(&self.args.folder, ASIDE_RECORDS, turns)?),
            };
            let asked = floor.as_ref().unwrap_or(&node.server).address;
            let client = self.aside(&dialect, asked)?;
            let mut tell = |bench: &mut Self, what: &str, idle: &Tally, during: &Tally| {
                let what = format!("{what}{who}");
                match is_first {
                    true => bench.beside(&what, idle, during),
                    // Told only: what is wanted of the node is wanted of it as it is by default.
                    false => {
                        bench.tell_beside(&what, idle, during);
                    }
                }
            };
            self.import_beside(&client, &mut tell)?;
            let idle = client.run(self.time)?;
            let (rate, during) = self.create_while(&node, || client.run(self.time))?;
            let what = format!("authenticated creates, {CLIENTS} clients");
            self.table.row(&what, rate, "/s", "");
            tell(self, "creates", &idle, &during);
        }
        Ok(())
    }

    /// Imports into the node while the client asks, and has `tell` say how that went.
    fn import_beside(
        &mut self,
        client: &Paced<'_>,
        tell: &mut impl FnMut(&mut Self, &str, &Tally, &Tally),
    ) -> Result<()> {
        let count = IMPORT_RECORDS.min(self.args.records.max(ASIDE_RECORDS));
        let orders: [(&str, Box<dyn Iterator<Item = u32> + Send>); 2] = [
            ("in order", Box::new(0..count)),
            ("in random order", Box::new(shuffled(count))),
        ];
        for (order, numbers) in orders {
            let idle = client.run(self.time)?;
            let is_done = AtomicBool::new(false);
            let run = unused();
            // Beforehand: only the import itself is to take processor time from the node.
            let line = |n| corpus::json_line_named(&format!("{PREFIX}/{run}-{n:08}"), n);
            let lines: Vec<String> = numbers.map(line).collect();
            let (taken, during) = std::thread::scope(|scope| -> Result<_> {
                let importer = scope.spawn(|| {
                    let taken =
                        import(&mut self.setup.command(&["import", "-"]), lines.into_iter());
                    is_done.store(true, Relaxed);
                    taken
                });
                let during = client.run_until(|| is_done.load(Relaxed));
                let Ok(taken) = importer.join() else {
                    bail!("the thread that imports has panicked");
                };
                Ok((taken?, during?))
            })?;
            let Imported { time, .. } = taken;
            let rest = format!("{count} in {:.1} s", time.as_secs_f64());
            let what = format!("import {order} into the node that answers");
            self.table
                .row(&what, f64::from(count) / time.as_secs_f64(), "/s", rest);
            tell(self, &format!("an import {order}"), &idle, &during);
        }
        Ok(())
    }

    /// Has administrators create records while `act` goes on; how many a second.
    fn create_while<T>(&self, node: &Node, act: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
        let administrator = Administrator::new(node.server.address, &self.setup.admin_key())?;
        let (next, stop, run) = (AtomicU64::new(0), AtomicBool::new(false), unused());
        let fresh = || format!("{PREFIX}/{run}-{:08}", next.fetch_add(1, Relaxed));
        std::thread::scope(|scope| {
            let create = || -> Result<()> {
                let mut session = administrator.begin()?;
                while !stop.load(Relaxed) {
                    session.create(&fresh())?;
                }
                Ok(())
            };
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(create)).collect();
            // Sessions are set up and proven first.
            std::thread::sleep(self.time);
            let (before, begun) = (next.load(Relaxed), std::time::Instant::now());
            let acted = act();
            let rate = (next.load(Relaxed) - before) as f64 / begun.elapsed().as_secs_f64();
            stop.store(true, Relaxed);
            for client in clients {
                match client.join() {
                    Ok(ended) => ended?,
                    Err(_) => bail!("an administrator's thread has panicked"),
                }
            }
            Ok((rate, acted?))
        })
    }
}

/// The beginning of names that no earlier run has used: these stay in the folder.
fn unused() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    format!("B{:013}", since.map_or(0, |since| since.as_millis()))
}
