//! How many lengths answers have. A node sends those of one length to one address together.

use anyhow::Result;

use super::Bench;
use crate::cast::row;
use crate::corpus;
use crate::dialect::Handles;
use crate::round::{NODE, Row, Shape};
use crate::server::{Node, NodeSetup};

/// How many there are; as many records have each.
const COUNTS: [u32; 4] = [1, 4, 16, 64];
/// Records, all of them in memory.
const RECORDS: u32 = 100_000;
/// Questions in flight, as in `bench all`.
const WINDOW: usize = 64;
const GROUP: &str = "lengths, udp";

impl Bench<'_> {
    /// Asks nodes whose answers have more and more lengths, over UDP and from one address.
    pub(super) fn lengths(&mut self) -> Result<()> {
        let dialects = COUNTS.map(|count| Handles::of_lengths(RECORDS, count));
        let started = COUNTS.iter().zip(&dialects);
        let nodes: Vec<Node> = started
            .map(|(&count, dialect)| self.node_of_lengths(count, dialect))
            .collect::<Result<_>>()?;
        let each = || COUNTS.iter().map(u32::to_string).zip(&nodes).zip(&dialects);
        let rows = each().map(|((of, node), dialect)| {
            let row = row(GROUP, &of, &node.server, dialect, Shape::Datagrams(WINDOW));
            self.filled(row, RECORDS)
        });
        let rows: Vec<Row<'_>> = rows.collect();
        let measured = self.measure(rows, RECORDS)?;
        for count in COUNTS {
            self.table.add(&measured, GROUP, &count.to_string(), "");
        }
        Ok(())
    }

    fn node_of_lengths(&self, count: u32, dialect: &Handles) -> Result<Node> {
        let setting = self.setting(&format!("lengths-{count}"), RECORDS)?;
        let setup = NodeSetup::authoritative(&setting, &self.args.node, "node")?;
        setup.import_made(RECORDS, |n| corpus::json_line_of_lengths(n, count))?;
        setup.serve(NODE, dialect)
    }
}
