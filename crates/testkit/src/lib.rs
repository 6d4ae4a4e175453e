//! Test tools: crash images, replay, generators.

mod random;

pub use random::Random;
