//! Datagrams from several threads with several sockets each, for a server with several threads: the
//! system spreads sources over these, so one socket would keep one of them busy.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Draw, Load, PATIENCE, Tally, Udp};
use crate::dialect::Dialect;
use crate::machine;

/// Sockets of each thread: enough that none of two threads of a server is left without work.
const SOCKETS: usize = 16;
/// Questions in flight on each of them.
const WINDOW: usize = 12;

/// A client thread on each of some cores.
pub struct Fleet<'a> {
    dialect: &'a dyn Dialect,
    draw: Draw,
    addresses: Vec<SocketAddr>,
    cores: Vec<usize>,
}

impl<'a> Fleet<'a> {
    /// Clients on `cores`, whose sockets are spread over the addresses and live as long as a run.
    pub fn new(
        dialect: &'a dyn Dialect,
        draw: Draw,
        addresses: Vec<SocketAddr>,
        cores: Vec<usize>,
    ) -> Self {
        Self {
            dialect,
            draw,
            addresses,
            cores,
        }
    }

    fn sail(&self, core: usize, time: Duration) -> Result<Tally> {
        machine::pin(core)?;
        let addresses = self.addresses.iter().cycle();
        let clients: Result<Vec<Udp<'_>>> = (0..SOCKETS)
            .zip(addresses)
            .map(|(number, &address)| {
                let mut draw = self.draw.clone();
                draw.skip((core * SOCKETS + number) * 104_729);
                Udp::new(self.dialect, draw, address, WINDOW)
            })
            .collect();
        let (mut clients, mut tally) = (clients?, Tally::new());
        let begun = Instant::now();
        let mut swept = begun;
        while begun.elapsed() < time {
            let mut has_arrived = false;
            for client in &mut clients {
                has_arrived |= client.turn(&mut tally)?;
            }
            if !has_arrived {
                // The server may be waiting for this very core.
                std::thread::yield_now();
            }
            if swept.elapsed() > PATIENCE {
                swept = Instant::now();
                for client in &mut clients {
                    client.give_up(swept, &mut tally);
                }
            }
        }
        tally.time = begun.elapsed();
        for client in &mut clients {
            client.settle(&mut tally)?;
        }
        Ok(tally)
    }
}

impl Load for Fleet<'_> {
    fn run(&mut self, time: Duration) -> Result<Tally> {
        let this = &*self;
        std::thread::scope(|scope| {
            let sail = |&core: &usize| scope.spawn(move || this.sail(core, time));
            let threads: Vec<_> = self.cores.iter().map(sail).collect();
            let mut sum = Tally::new();
            for thread in threads {
                match thread.join() {
                    Ok(tally) => sum.merge(&tally?),
                    Err(_) => bail!("a client has panicked"),
                }
            }
            Ok(sum)
        })
    }

    fn settle(&mut self, _: &mut Tally) -> Result<()> {
        // Every run ends with that.
        Ok(())
    }
}
