//! The machine: its cores.

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Keeps this thread, and what it starts from now on, on one core.
pub fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core)
        .with_context(|| format!("{core} is no number of a core"))?;
    let done = sched_setaffinity(Pid::from_raw(0), &set);
    done.with_context(|| format!("core {core} cannot be used"))
}
