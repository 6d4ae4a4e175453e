//! The number of records.

use anyhow::Result;

use super::{Bench, Part};
use crate::cast::row;
use crate::dialect::{Exactness, Handles};
use crate::load::{Draw, Law};
use crate::round::{NODE, Row, Shape};
use crate::server::{Node, NodeSetup};

/// How many there are.
const COUNTS: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Questions in flight, as in `bench all`.
const WINDOW: usize = 64;
const GROUP: &str = "records, udp";

impl Bench<'_> {
    /// Asks nodes with more and more records over UDP; all records are in memory.
    pub(super) fn records(&mut self) -> Result<()> {
        let mut counts = COUNTS.to_vec();
        counts.extend(self.args.many);
        counts.sort_unstable();
        counts.dedup();
        let handles = |&count: &u32| Handles::new(count, Exactness::Octets);
        let dialects: Vec<Handles> = counts.iter().map(handles).collect();
        let started = counts.iter().zip(&dialects);
        let nodes: Vec<Node> = started
            .map(|(&count, dialect)| self.node_of_records(count, dialect))
            .collect::<Result<_>>()?;
        let mut rows = Vec::new();
        for ((&count, dialect), node) in counts.iter().zip(&dialects).zip(&nodes) {
            let shape = Shape::Datagrams(WINDOW);
            let row = row(GROUP, &count.to_string(), &node.server, dialect, shape);
            rows.push(Row {
                draw: Some(Draw::new(Law::Uniform, count)?),
                ..self.filled(row, count)
            });
        }
        let measured = self.measure(rows, counts[0])?;
        let mut first = None;
        for (&count, node) in counts.iter().zip(&nodes) {
            let of = count.to_string();
            let octets = self.memory(Part::Records, &of, &node.server)?;
            // Against the fewest, so that what the program takes by itself is not in it.
            let (fewest, least) = *first.get_or_insert((count, octets));
            let mut rest = format!("{:.0} MB", octets as f64 / 1e6);
            if count > fewest {
                let each = (octets as f64 - least as f64) / f64::from(count - fewest);
                rest += &format!(", {each:.0} octets for each record more");
            }
            self.table.add(&measured, GROUP, &of, rest);
        }
        Ok(())
    }

    fn node_of_records(&self, count: u32, dialect: &Handles) -> Result<Node> {
        let setting = self.setting(&format!("records-{count}"), count)?;
        let setup = NodeSetup::authoritative(&setting, &self.args.node, "node")?;
        setup.import(count)?;
        setup.serve(NODE, dialect)
    }
}
