//! Test tools: crash images, a simulated network, generators.

pub mod crash;
pub mod net;
mod random;

pub use random::Random;
