//! The number of connections, on each of which one question follows the other.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Bench, Part};
use crate::all::FILL;
use crate::cast::{row, streams};
use crate::dialect::{Dialect, Exactness, Handles, Json};
use crate::load::{Draw, Law, Stream, StreamShape, Udp};
use crate::machine;
use crate::round::{NODE, Row, WarmUp, warm};
use crate::server::{NodeSetup, Server};

/// How many there are.
const COUNTS: [usize; 6] = [1, 16, 64, 256, 1_024, 4_096];
/// Fewer take too little memory beside what comes and goes: a page for each would not be seen.
const COUNT_OF_MEMORY_MIN: usize = 256;
/// Files that are open besides connections.
const OTHER_FILES: usize = 1_000;
/// How long connections are busy before the memory is looked at: each has had several answers.
const BUSY: Duration = Duration::from_millis(500);
/// Questions in flight while the cache is filled.
const WINDOW: usize = 64;
const TCP: &str = "connections, tcp";
const HTTP: &str = "connections, http";

impl Bench<'_> {
    /// Asks a node over more and more connections, over TCP and HTTP.
    pub(super) fn connections(&mut self) -> Result<()> {
        let most = COUNTS[COUNTS.len() - 1] + OTHER_FILES;
        let files = machine::allow_many_files()?;
        ensure!(
            files >= most as u64,
            "{files} files may be open, which is too few: raise the limit with ulimit -n"
        );
        let records = self.args.records;
        let setting = self.setting("connections", records)?;
        let setup = NodeSetup::authoritative(&setting, &self.args.node, "node")?;
        for limit in ["connections", "connections_per_address"] {
            setup.set(limit, &most.to_string())?;
        }
        setup.import(records)?;
        let handles = Handles::new(records, Exactness::Octets);
        let json = Json::new(records);
        let node = setup.serve(NODE, &handles)?;
        let mut rows = Vec::new();
        for (group, dialect, address) in [
            (TCP, &handles as &dyn Dialect, setup.native),
            (HTTP, &json, setup.http),
        ] {
            for count in COUNTS {
                let (of, shape) = (count.to_string(), streams(count, 1));
                rows.push(Row {
                    address,
                    ..row(group, &of, &node.server, dialect, shape)
                });
            }
        }
        // Whoever comes first fills the cache for all.
        let first = rows.remove(0);
        rows.insert(0, self.filled(first, records));
        let measured = self.measure(rows, records)?;
        node.server.expect_on_its_cores()?;
        drop(node);
        for (group, dialect, is_http) in
            [(TCP, &handles as &dyn Dialect, false), (HTTP, &json, true)]
        {
            // A new node each: what earlier connections took and gave back would be in it.
            let node = setup.serve(NODE, &handles)?;
            let address = if is_http {
                node.http
            } else {
                node.server.address
            };
            let octets = self.memory_of_connections(&node.server, &handles, dialect, address)?;
            for (count, octets) in COUNTS.into_iter().zip(octets) {
                let rest = octets.map_or(String::new(), |octets| {
                    format!("{octets:.0} octets of memory for each")
                });
                self.table.add(&measured, group, &count.to_string(), rest);
            }
        }
        Ok(())
    }

    /// What each connection takes of the node's memory while all are busy, for each number of them;
    /// without what the system takes for it.
    fn memory_of_connections(
        &mut self,
        server: &Server,
        handles: &Handles,
        dialect: &dyn Dialect,
        address: SocketAddr,
    ) -> Result<Vec<Option<f64>>> {
        let records = self.args.records;
        let draw = Draw::new(Law::Uniform, records)?;
        let mut found = Vec::new();
        let mut before = 0;
        for count in COUNTS {
            let client_core = self.args.client_core;
            let of = format!("{count} to {address}");
            // The client keeps its connections until the memory has been looked at.
            let resident = machine::while_pinned(client_core, || {
                if before == 0 {
                    let mut filler = Udp::new(handles, draw.clone(), server.address, WINDOW)?;
                    let all = WarmUp {
                        time: BUSY,
                        answers: FILL * u64::from(records),
                    };
                    warm(&mut filler, all)?;
                }
                let shape = StreamShape {
                    connections: count,
                    depth: 1,
                };
                let mut client = Stream::new(dialect, draw.clone(), address, shape)?;
                warm(&mut client, WarmUp::lasting(BUSY))?;
                self.memory(Part::Connections, &of, server)
            })?;
            if before == 0 {
                before = resident;
            }
            let each = (resident as f64 - before as f64) / count as f64;
            found.push((count >= COUNT_OF_MEMORY_MIN).then_some(each));
        }
        Ok(found)
    }
}
