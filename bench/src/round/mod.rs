//! Measuring many servers in turns: every round asks each of them once, so that what the machine
//! does meanwhile hits all of them alike. What counts is the median over the rounds, and of two
//! servers the median of their ratios within a round.

mod report;
mod target;

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::dialect::Dialect;
use crate::load::{Draw, Fleet, Load, Stream, StreamShape, Udp};
use crate::machine::{Taken, others_share};
use crate::server::Server;

pub use report::report;
pub use target::{AXUM, FLOOR, Facts, NODE, TWO_CORES, TWO_NODES, UDP, UDP_MANY, UDP_TWO, targets};

/// The share of all cores that others may take; above, a measurement is made again.
const OTHERS_MAX: f64 = 0.05;
/// How often it is made again at most. What is disturbed even then counts, and the table shows it.
const AGAIN_MAX: usize = 3;
/// A cache is not filled for longer.
const FILL_MAX: Duration = Duration::from_secs(120);
/// How often it is looked at whether it is full.
const FILL_STEP: Duration = Duration::from_millis(500);

//----------- Row ------------------------------------------------------------

/// How a server is asked.
#[derive(Clone, Copy, Debug)]
pub enum Shape<'a> {
    /// Datagrams, so many in flight.
    Datagrams(usize),
    /// Connections.
    Streams(StreamShape),
    /// Datagrams from a client on each of these cores, every other one to the server besides, if
    /// there is one.
    Fleet(&'a [usize], Option<&'a Server>),
}

/// One line of the table: a server, asked in one way.
pub struct Row<'a> {
    /// What is measured, such as `udp`; rows of one group are compared.
    pub group: &'static str,
    /// Who is measured.
    pub server: String,
    /// Where it is asked.
    pub address: SocketAddr,
    /// Its process, if it is ours.
    pub pid: Option<u32>,
    /// In which protocol.
    pub dialect: &'a dyn Dialect,
    /// In which manner.
    pub shape: Shape<'a>,
    /// Which records, where not those that all rows are asked for.
    pub draw: Option<Draw>,
    /// Before the first round, for caches and compilers.
    pub first: WarmUp,
}

/// What comes before a measurement and does not count: so long, and so many answers.
#[derive(Clone, Copy, Debug)]
pub struct WarmUp {
    /// At least.
    pub time: Duration,
    /// At least; but see [`FILL_MAX`].
    pub answers: u64,
}

impl WarmUp {
    /// So long, no matter how many answers.
    pub const fn lasting(time: Duration) -> Self {
        Self { time, answers: 0 }
    }
}

/// How long it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How often each is measured.
    pub rounds: usize,
    /// Before every measurement.
    pub warm_up: Duration,
    /// What is counted.
    pub time: Duration,
}

impl Plan {
    /// A short look, which proves nothing.
    pub const QUICK: Self = Self {
        rounds: 1,
        warm_up: Duration::ZERO,
        time: Duration::from_millis(330),
    };

    /// At least one round, in which each is counted for so many seconds.
    pub fn new(rounds: usize, secs: f64) -> Self {
        Self {
            rounds: rounds.max(1),
            warm_up: Duration::from_millis(300),
            time: Duration::from_secs_f64(secs),
        }
    }
}

//----------- Measurement ----------------------------------------------------

/// What one row gave in one round.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// What was measured.
    pub group: &'static str,
    /// Who.
    pub server: String,
    /// From 0.
    pub round: usize,
    /// Right answers per second.
    pub rate: f64,
    /// Latencies that half, 99 and 99.9 of a hundred answers stayed within, in microseconds.
    pub p50_us: f64,
    /// See above.
    pub p99_us: f64,
    /// See above.
    pub p999_us: f64,
    /// Everything that was not a right answer.
    pub errors: u64,
    /// Processor time of the server for each answer, in microseconds; of a server that is not ours
    /// nothing is known.
    pub user_us: Option<f64>,
    /// The same, in the system.
    pub system_us: Option<f64>,
    /// The share of all cores that neither client nor server took.
    pub others: f64,
}

#[cfg(test)]
impl Measurement {
    /// One without errors, in the first round.
    pub(crate) fn sample(group: &'static str, server: &str, rate: f64) -> Self {
        Self {
            group,
            server: server.to_owned(),
            round: 0,
            rate,
            p50_us: 1.0,
            p99_us: 2.0,
            p999_us: 3.0,
            errors: 0,
            user_us: Some(0.5),
            system_us: Some(1.0),
            others: 0.0,
        }
    }
}

/// Measures all rows in turns. Each measurement goes to `log` at once, as a line of JSON.
pub fn measure(
    rows: &[Row<'_>],
    draw: &Draw,
    plan: Plan,
    log: &mut dyn Write,
) -> Result<Vec<Measurement>> {
    let mut all = Vec::new();
    for round in 0..plan.rounds {
        eprintln!("round {} of {}", round + 1, plan.rounds);
        for row in rows {
            let what = format!("{} of {}", row.group, row.server);
            let warm_up = match round {
                0 => row.first,
                _ => WarmUp::lasting(plan.warm_up),
            };
            let draw = row.draw.as_ref().unwrap_or(draw);
            let mut client = row.client(draw.clone()).context(what.clone())?;
            warm(client.as_mut(), warm_up).context(what.clone())?;
            let mut one = measure_row(row, client.as_mut(), plan, round).context(what.clone())?;
            for _ in 0..AGAIN_MAX {
                if one.others <= OTHERS_MAX {
                    break;
                }
                eprintln!("others took {:.0} %: again, {what}", one.others * 100.0);
                let mut client = row.client(draw.clone()).context(what.clone())?;
                warm(client.as_mut(), WarmUp::lasting(plan.warm_up)).context(what.clone())?;
                let again = measure_row(row, client.as_mut(), plan, round);
                // Chosen by how quiet it was, never by what came out.
                let again = again.context(what.clone())?;
                if again.others < one.others {
                    one = again;
                }
            }
            serde_json::to_writer(&mut *log, &one)?;
            writeln!(log)?;
            all.push(one);
        }
    }
    Ok(all)
}

/// Asks without counting, and leaves nothing in flight: an answer that waited while the clocks of
/// the server were read would count as a slow one.
pub fn warm(client: &mut dyn Load, warm_up: WarmUp) -> Result<()> {
    let begun = Instant::now();
    let mut tally = client.run(warm_up.time)?;
    let mut answers = tally.answers;
    while answers < warm_up.answers {
        if begun.elapsed() > FILL_MAX {
            eprintln!("its cache is not full after {} s", FILL_MAX.as_secs());
            break;
        }
        answers += client.run(FILL_STEP)?.answers;
    }
    client.settle(&mut tally)
}

fn measure_row(
    row: &Row<'_>,
    client: &mut dyn Load,
    plan: Plan,
    round: usize,
) -> Result<Measurement> {
    let client_before = Taken::by_family(std::process::id());
    let (server_before, all_before) = (row.taken(), Taken::by_all());
    let mut tally = client.run(plan.time)?;
    let server = row.taken().since(server_before);
    // The servers that we started are our family, so that their time is among ours.
    let ours = Taken::by_family(std::process::id()).since(client_before);
    let others = others_share(all_before, ours.user + ours.system, tally.time);
    client.settle(&mut tally)?;
    let each = |seconds: f64| seconds * 1e6 / (tally.answers.max(1)) as f64;
    Ok(Measurement {
        group: row.group,
        server: row.server.clone(),
        round,
        rate: tally.rate(),
        p50_us: tally.latency_us(0.5),
        p99_us: tally.latency_us(0.99),
        p999_us: tally.latency_us(0.999),
        errors: tally.errors(),
        user_us: row.pid.map(|_| each(server.user)),
        system_us: row.pid.map(|_| each(server.system)),
        others,
    })
}

impl<'a> Row<'a> {
    fn client(&self, draw: Draw) -> Result<Box<dyn Load + 'a>> {
        let (dialect, address) = (self.dialect, self.address);
        Ok(match self.shape {
            Shape::Datagrams(window) => Box::new(Udp::new(dialect, draw, address, window)?),
            Shape::Streams(shape) => Box::new(Stream::new(dialect, draw, address, shape)?),
            Shape::Fleet(cores, besides) => {
                let besides = besides.map(|server| server.address);
                let addresses = [address].into_iter().chain(besides).collect();
                Box::new(Fleet::new(dialect, draw, addresses, cores.to_vec()))
            }
        })
    }

    fn taken(&self) -> Taken {
        let besides = match self.shape {
            Shape::Fleet(_, Some(server)) => Some(server.pid()),
            _ => None,
        };
        let taken = self.pid.into_iter().chain(besides).map(Taken::by_family);
        taken.fold(Taken::default(), Taken::and)
    }
}

//----------- Median ---------------------------------------------------------

/// The middle one; 0 of none.
pub fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => 0.0,
        len if len.is_multiple_of(2) => f64::midpoint(numbers[len / 2 - 1], numbers[len / 2]),
        len => numbers[len / 2],
    }
}

/// The median of the ratios of two rows within each round; `None` if one was not measured. A
/// measurement with errors is thrown away.
pub fn ratio_within_rounds(
    all: &[Measurement],
    row: (&str, &str),
    to: (&str, &str),
    figure: impl Fn(&Measurement) -> f64,
) -> Option<f64> {
    let is_right = |one: &&Measurement| one.errors == 0;
    let ours = of_row(all, row.0, row.1).filter(is_right);
    let pairs = ours.filter_map(|one| {
        let mut others = of_row(all, to.0, to.1).filter(is_right);
        let other = others.find(|other| other.round == one.round)?;
        Some(figure(one) / figure(other))
    });
    let pairs: Vec<f64> = pairs.filter(|ratio| ratio.is_finite()).collect();
    (!pairs.is_empty()).then(|| median(pairs))
}

/// The measurements of one row, by round.
pub fn of_row<'m>(
    all: &'m [Measurement],
    group: &'m str,
    server: &'m str,
) -> impl Iterator<Item = &'m Measurement> {
    all.iter()
        .filter(move |one| one.group == group && one.server == server)
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn median_is_the_middle_one() {
        assert_eq!(median([]), 0.0);
        assert_eq!(median([3.0, 9.0, 1.0]), 3.0);
        assert_eq!(median([4.0, 1.0, 2.0, 100.0]), 3.0);
    }
}
