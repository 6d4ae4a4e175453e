//! Which record is asked for next.

use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Result, bail};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand_distr::{Distribution, Uniform, Zipf};

/// Draws that are made beforehand at least; afterwards they begin again.
const DRAWS_MIN: usize = 1 << 20;
/// And at most, for memory's sake: 64 MiB.
const DRAWS_MAX: usize = 1 << 24;
/// The same numbers in every run.
const SEED: u64 = 26;
/// How uneven names are asked for, in the middle of what was observed in resolvers.
const ZIPF_EXPONENT: f64 = 1.0;

/// How records are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// Each as likely as any other: the worst for caches.
    Uniform,
    /// The record in place `k` of popularity with a likelihood of 1/k.
    Zipf,
}

impl FromStr for Law {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "uniform" => Self::Uniform,
            "zipf" => Self::Zipf,
            _ => bail!("`{text}` is neither `uniform` nor `zipf`"),
        })
    }
}

/// An endless sequence of record numbers, drawn beforehand, so that drawing costs the client
/// nothing.
#[derive(Clone, Debug)]
pub struct Draw {
    numbers: Arc<[u32]>,
    at: usize,
}

impl Draw {
    /// Numbers below `count`, which is at least 1.
    pub fn new(law: Law, count: u32) -> Result<Self> {
        let mut random = SmallRng::seed_from_u64(SEED);
        let len = (4 * count as usize).clamp(DRAWS_MIN, DRAWS_MAX);
        let numbers = match law {
            Law::Uniform => {
                let law = Uniform::new(0, count)?;
                law.sample_iter(&mut random).take(len).collect()
            }
            Law::Zipf => {
                let law = Zipf::new(f64::from(count), ZIPF_EXPONENT)?;
                // Neighbours in popularity are no neighbours in name.
                let spread = |place: f64| (place as u64 - 1) * 2_654_435_761 % u64::from(count);
                let draw = law.sample_iter(&mut random).take(len);
                draw.map(|place| spread(place) as u32).collect()
            }
        };
        Ok(Self { numbers, at: 0 })
    }

    /// Leaves some out, so that several clients do not ask for the same ones in step.
    pub fn skip(&mut self, count: usize) {
        self.at = (self.at + count) % self.numbers.len();
    }

    /// The next record.
    pub fn next(&mut self) -> u32 {
        let number = self.numbers[self.at];
        self.at = (self.at + 1) % self.numbers.len();
        number
    }
}

#[cfg(test)]
mod tests {
    use super::{Draw, Law};

    #[test]
    fn uniform_draws_reach_every_record_and_zipf_prefers_one() {
        let mut uniform = Draw::new(Law::Uniform, 100).unwrap();
        let mut zipf = Draw::new(Law::Zipf, 100).unwrap();
        let mut counts = [[0; 100]; 2];
        for _ in 0..100_000 {
            counts[0][uniform.next() as usize] += 1;
            counts[1][zipf.next() as usize] += 1;
        }
        assert!(counts[0].iter().all(|&count| (800..1_200).contains(&count)));
        assert!(counts[1][0] > 15_000, "{}", counts[1][0]);
    }
}
