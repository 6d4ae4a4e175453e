//! Test tools: crash images, replay, generators.

pub mod crash;
mod random;

pub use random::Random;
