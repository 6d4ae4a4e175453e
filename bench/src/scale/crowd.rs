//! Many connections: most of them idle, others busy.

use std::net::TcpStream;

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::table::Wanted;
use crate::dialect::Numbers;
use crate::load::{Draw, Law, Load, Stream, StreamShape, Tally};
use crate::machine;

/// Files that are open besides connections.
const OTHER_FILES: usize = 1_000;
/// Records that the busy connections ask for.
const RECORDS: u32 = 10_000;
/// How much of the rate without idle connections is wanted beside them.
const RATIO_WANTED: f64 = 0.9;

impl Bench<'_> {
    /// Holds idle connections, and asks over others.
    pub(super) fn connections(&mut self) -> Result<()> {
        self.expect_records()?;
        let (idle, busy) = (self.args.idle, self.args.busy.max(1));
        let files = usize::try_from(machine::allow_many_files()?)?;
        ensure!(
            files >= idle + busy + OTHER_FILES,
            "{files} files may be open, which is too few: raise the limit with ulimit -n"
        );
        let most = (idle + busy + OTHER_FILES).to_string();
        for setting in ["connections", "connections_per_address"] {
            self.setup.set(setting, &most)?;
        }
        self.setup.set("requests_per_second_per_address", "0")?;
        // Longer than the run: what is measured are connections that stay.
        self.setup.set("idle_timeout", "\"10m\"")?;
        let dialect = Numbers::of_corpus();
        let node = self.setup.serve("guantong", &dialect)?;
        let address = node.server.address;
        let draw = Draw::new(Law::Uniform, RECORDS.min(self.args.records))?;
        let ask = || -> Result<Tally> {
            let shape = StreamShape {
                connections: busy,
                depth: 1,
            };
            let mut client = Stream::new(&dialect, draw.clone(), address, shape)?;
            client.run(self.time)?;
            let mut tally = client.run(self.time)?;
            client.settle(&mut tally)?;
            Ok(tally)
        };
        let alone = ask()?;
        let before = machine::resident(node.server.pid());
        let open: Result<Vec<TcpStream>, _> =
            (0..idle).map(|_| TcpStream::connect(address)).collect();
        let open = open.context("an idle connection cannot be made")?;
        // An answer comes after everything that was accepted before it.
        let beside = ask()?;
        let after = machine::resident(node.server.pid());
        let dropped = open.iter().filter(|stream| !is_open(stream)).count();
        let each = after.saturating_sub(before) as f64 / idle.max(1) as f64;
        let rest = format!("{idle} of them, {dropped} dropped");
        self.table
            .row("memory of an idle connection", each, "octets", rest);
        for (what, tally) in [("alone", &alone), ("beside idle ones", &beside)] {
            let rest = format!(
                "p50 {:.0} us, p99 {:.0} us; {} lost or wrong",
                tally.latency_us(0.5),
                tally.latency_us(0.99),
                tally.errors()
            );
            let what = format!("answers over {busy} busy connections {what}");
            self.table.row(&what, tally.rate(), "/s", rest);
        }
        let ratio = beside.rate() / alone.rate();
        let wanted = Wanted::AtLeast(RATIO_WANTED);
        self.table
            .judge("busy connections beside idle ones / alone", ratio, wanted);
        let lost = (dropped as u64 + alone.errors() + beside.errors()) as f64;
        self.table
            .judge("connections and answers lost", lost, Wanted::AtMost(0.0));
        Ok(())
    }
}

/// Whether the other side has not closed a connection on which nothing was asked.
fn is_open(stream: &TcpStream) -> bool {
    let is_waiting = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
    stream.set_nonblocking(true).is_ok() && stream.peek(&mut [0]).is_err_and(is_waiting)
}
