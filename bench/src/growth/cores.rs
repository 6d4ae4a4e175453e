//! The number of cores of the node, with a UDP thread and a worker thread for each.

use anyhow::Result;

use super::{Bench, Part};
use crate::cast::{TwoCores, row};
use crate::dialect::{Exactness, Handles};
use crate::machine;
use crate::round::{Measurement, NODE, Shape, ratio_within_rounds};
use crate::server::{Node, NodeSetup};

const GROUP: &str = "cores, udp";

/// Where clients and node are.
#[derive(Debug)]
struct Places {
    /// A client on each.
    clients: Vec<usize>,
    /// The node may have the first so many.
    servers: Vec<usize>,
    /// Whether none is in both.
    are_apart: bool,
}

impl Places {
    /// Half of the cores for the clients, half for the node. Where there are fewer than four, both
    /// share two, as in `bench all`, and what comes of it is no measure of cores.
    fn new(client: usize, server: usize, cores: usize) -> Self {
        let two = TwoCores::new(client, server);
        let mut this = Self {
            clients: two.clients.to_vec(),
            // One core is the same whether there is a second or not.
            servers: match two.are_apart {
                true => two.servers.to_vec(),
                false => vec![server, client],
            },
            are_apart: two.are_apart,
        };
        if two.are_apart {
            let is_free = |core: &usize| !two.clients.contains(core) && !two.servers.contains(core);
            let rest: Vec<usize> = (0..cores).filter(is_free).collect();
            for pair in rest.chunks_exact(2) {
                this.clients.push(pair[0]);
                this.servers.push(pair[1]);
            }
        }
        this
    }
}

impl Bench<'_> {
    /// Asks nodes with more and more cores over UDP, by as many clients as the most have.
    pub(super) fn cores(&mut self) -> Result<()> {
        let (client, server) = (self.args.client_core, self.args.server_core);
        let places = Places::new(client, server, machine::cores());
        let records = self.args.records;
        let handles = Handles::new(records, Exactness::Octets);
        let counts = 1..=places.servers.len();
        let nodes: Vec<Node> = counts
            .clone()
            .map(|count| self.node_of_cores(&places.servers[..count], &handles))
            .collect::<Result<_>>()?;
        let mut rows = Vec::new();
        for (count, node) in counts.clone().zip(&nodes) {
            let shape = Shape::Fleet(&places.clients, None);
            let row = row(GROUP, &count.to_string(), &node.server, &handles, shape);
            rows.push(self.filled(row, records));
        }
        let measured = self.measure(rows, records)?;
        for (count, node) in counts.zip(&nodes) {
            let of = count.to_string();
            self.memory(Part::Cores, &of, &node.server)?;
            // Where they share cores, the rate is that of clients and node.
            let times = times_one(&measured, &of).filter(|_| places.are_apart);
            let rest = times.map(|times| format!("{times:.2} of one core"));
            self.table
                .add(&measured, GROUP, &of, rest.unwrap_or_default());
        }
        Ok(())
    }

    fn node_of_cores(&self, cores: &[usize], handles: &Handles) -> Result<Node> {
        let setting = self.setting(&format!("cores-{}", cores.len()), self.args.records)?;
        let setup = NodeSetup::authoritative(&setting, &self.args.node, "node")?.on_cores(cores)?;
        setup.import(self.args.records)?;
        setup.serve(NODE, handles)
    }
}

/// How much more so many cores do than one.
fn times_one(all: &[Measurement], of: &str) -> Option<f64> {
    ratio_within_rounds(all, (GROUP, of), (GROUP, "1"), |one| one.rate)
}
