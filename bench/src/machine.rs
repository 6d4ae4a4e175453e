//! The machine: its cores, what a process took of them, who else was busy.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use serde::Serialize;

/// Ticks of `/proc` in a second, the same on all Linux systems.
const TICKS_PER_SEC: f64 = 100.0;
/// Octets of the blocks in which `stat` counts.
const BLOCK_OCTETS: u64 = 512;

//----------- Cores ----------------------------------------------------------

/// Keeps this thread, and what it starts from now on, on one core.
pub fn pin(core: usize) -> Result<()> {
    pin_to(&[core])
}

/// Keeps this thread, and what it starts from now on, on some cores.
fn pin_to(cores: &[usize]) -> Result<()> {
    set_affinity(&set_of(cores)?).with_context(|| format!("cores {cores:?} cannot be used"))
}

/// Does something on one core, and lets this thread go where it could go before.
pub fn while_pinned<T>(core: usize, act: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = sched_getaffinity(Pid::from_raw(0))?;
    pin(core)?;
    let done = act();
    set_affinity(&before)?;
    done
}

/// How many cores there are.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Starts a program that keeps to some cores.
pub fn spawn_pinned(command: &mut Command, cores: &[usize]) -> Result<Child> {
    let before = sched_getaffinity(Pid::from_raw(0))?;
    // What is started inherits the affinity of the thread that starts it.
    pin_to(cores)?;
    let child = command.spawn();
    set_affinity(&before)?;
    let name = command.get_program().display().to_string();
    child.with_context(|| format!("{name} cannot be started"))
}

/// Lets this thread go before all that have no such right, by a real-time policy of the system, if
/// we may: who takes the time of others is not to wait for them. What it starts inherits it.
pub fn precede() {
    static TOLD: Once = Once::new();
    let thread = nix::unistd::gettid().to_string();
    // Of util-linux, which every Debian has; there is no safe call of a library.
    let mut command = Command::new("chrt");
    command.args(["--fifo", "--pid", "1", &thread]);
    let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !ended.is_ok_and(|status| status.success()) {
        TOLD.call_once(|| {
            eprintln!("the client may not precede others (chrt): its own waits count, too");
        });
    }
}

/// Keeps every thread of a process and its descendants to some cores. Some servers choose cores for
/// their threads themselves, as Knot does, and would share the client's.
pub fn keep(pid: u32, cores: &[usize]) -> Result<()> {
    let set = set_of(cores)?;
    for thread in threads(pid) {
        // It may have ended by now.
        let _ = sched_setaffinity(thread, &set);
    }
    Ok(())
}

/// Whether every thread of a process and its descendants keeps to some cores.
pub fn is_kept(pid: u32, cores: &[usize]) -> bool {
    let is_within = |set: CpuSet| {
        let mut all = 0..CpuSet::count();
        all.all(|core| cores.contains(&core) || !set.is_set(core).unwrap_or(false))
    };
    let mut sets = threads(pid)
        .into_iter()
        .filter_map(|thread| sched_getaffinity(thread).ok());
    sets.all(is_within)
}

fn threads(pid: u32) -> Vec<Pid> {
    let members = family(pid).into_iter();
    let folders = members.filter_map(|one| fs::read_dir(format!("/proc/{}/task", one.pid)).ok());
    let entries = folders.flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.map(Pid::from_raw).collect()
}

fn set_of(cores: &[usize]) -> Result<CpuSet> {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core)
            .with_context(|| format!("{core} is no number of a core"))?;
    }
    Ok(set)
}

fn set_affinity(set: &CpuSet) -> nix::Result<()> {
    sched_setaffinity(Pid::from_raw(0), set)
}

//----------- Taken ----------------------------------------------------------

/// Processor time, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Taken {
    /// In the program itself.
    pub user: f64,
    /// In the system on its behalf.
    pub system: f64,
}

impl Taken {
    /// Of a process and everything that it started and that still lives. Nothing, if it is gone.
    pub fn by_family(pid: u32) -> Self {
        let mut sum = Self::default();
        for stat in family(pid) {
            sum.user += stat.user_ticks / TICKS_PER_SEC;
            sum.system += stat.system_ticks / TICKS_PER_SEC;
        }
        sum
    }

    /// Of all cores, by everybody, without idling. What the host takes away counts too.
    pub fn by_all() -> f64 {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let fields = stat.lines().next().unwrap_or_default().split_whitespace();
        let ticks: Vec<f64> = fields
            .skip(1)
            .map(|field| field.parse().unwrap_or(0.0))
            .collect();
        // user nice system (idle iowait) irq softirq steal
        let busy = [0, 1, 2, 5, 6, 7];
        let sum: f64 = busy.iter().filter_map(|&at| ticks.get(at)).sum();
        sum / TICKS_PER_SEC
    }

    /// What both have taken.
    pub fn and(self, other: Self) -> Self {
        Self {
            user: self.user + other.user,
            system: self.system + other.system,
        }
    }

    /// What was taken since an earlier moment.
    pub fn since(self, before: Self) -> Self {
        Self {
            user: self.user - before.user,
            system: self.system - before.system,
        }
    }
}

struct Stat {
    pid: u32,
    parent: u32,
    user_ticks: f64,
    system_ticks: f64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in brackets and may hold spaces.
        let (_, tail) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = tail.split_whitespace().collect();
        Some(Self {
            pid,
            parent: fields.get(1)?.parse().ok()?,
            user_ticks: fields.get(11)?.parse().ok()?,
            system_ticks: fields.get(12)?.parse().ok()?,
        })
    }
}

/// The process and all its descendants.
fn family(pid: u32) -> Vec<Stat> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut others: Vec<Stat> = all
        .filter_map(|entry| Stat::read(entry.file_name().to_str()?.parse().ok()?))
        .collect();
    let mut found: Vec<Stat> = Vec::new();
    let mut known = vec![pid];
    loop {
        let (new, rest) = others
            .into_iter()
            .partition(|stat| known.contains(&stat.pid) || known.contains(&stat.parent));
        let new: Vec<Stat> = new;
        others = rest;
        if new.is_empty() {
            return found;
        }
        known.extend(new.iter().map(|stat| stat.pid));
        found.extend(new);
    }
}

/// Memory of a process and its descendants, in bytes: the resident set of one alone, of several the
/// sum in which what they share counts once.
pub fn resident(pid: u32) -> u64 {
    let members = family(pid);
    if let [only] = &members[..] {
        return kib(&format!("/proc/{}/status", only.pid), "VmRSS:") * 1024;
    }
    let shares = members
        .iter()
        .map(|member| kib(&format!("/proc/{}/smaps_rollup", member.pid), "Pss:"));
    shares.sum::<u64>() * 1024
}

fn kib(file: &str, field: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(field));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.unwrap_or(0)
}

/// The most memory that a process has had resident, in bytes; 0, if it is gone.
pub fn resident_peak(pid: u32) -> u64 {
    kib(&format!("/proc/{pid}/status"), "VmHWM:") * 1024
}

//----------- Disk -----------------------------------------------------------

/// What a process has read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reads {
    /// System calls that read.
    pub calls: u64,
    /// Octets that had to come from the disk.
    pub disk_octets: u64,
}

impl Reads {
    /// By a process, since it began. Nothing, if it is gone.
    pub fn by(pid: u32) -> Self {
        let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|number| number.trim().parse().ok())
        };
        Self {
            calls: field("syscr:").unwrap_or(0),
            disk_octets: field("read_bytes:").unwrap_or(0),
        }
    }

    /// What was read since an earlier moment.
    pub fn since(self, before: Self) -> Self {
        Self {
            calls: self.calls - before.calls,
            disk_octets: self.disk_octets - before.disk_octets,
        }
    }
}

/// Octets on the disk of everything in a folder. What vanishes meanwhile does not count.
pub fn disk_octets(folder: &Path) -> u64 {
    files(folder).iter().map(|(_, octets)| octets).sum()
}

/// The files in a folder and below, with their octets on the disk.
pub fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(data) if data.is_dir() => found.extend(files(&entry.path())),
            Ok(data) => found.push((entry.path(), data.blocks() * BLOCK_OCTETS)),
            Err(_) => {}
        }
    }
    found
}

/// Octets that are free on the disk of a folder.
pub fn free_octets(folder: &Path) -> Result<u64> {
    let found = nix::sys::statvfs::statvfs(folder)?;
    Ok(found.blocks_available() * found.fragment_size())
}

/// Lets this process, and what it starts, have as many files open as the system allows.
pub fn allow_many_files() -> Result<u64> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(most)
}

//----------- Description ----------------------------------------------------

/// What the machine is, in one line.
pub fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": "));
    let cores = cpus
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let kernel = read("/proc/sys/kernel/osrelease");
    let memory_gib = kib("/proc/meminfo", "MemTotal:") as f64 / f64::from(1 << 20);
    // Two threads of one core share what a core can do: not what is meant here by two cores.
    let siblings = read("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list");
    let threads = match siblings.trim().contains([',', '-']) {
        true => ", cores are threads: give --client-core and --server-core none of one core",
        false => "",
    };
    format!(
        "{cores} cores of {}, {memory_gib:.0} GiB, Linux {}{threads}",
        model.map_or("an unknown kind", |(_, name)| name),
        kernel.trim()
    )
}

/// How busy the machine was over the last minute.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

/// The share of all cores that others took while `taken` of the time was ours.
pub fn others_share(all_before: f64, ours: f64, time: Duration) -> f64 {
    let cores = fs::read_to_string("/proc/stat").unwrap_or_default();
    let is_core = |line: &&str| line.starts_with("cpu") && !line.starts_with("cpu ");
    let cores = cores.lines().filter(is_core).count().max(1);
    let others = Taken::by_all() - all_before - ours;
    (others / time.as_secs_f64() / cores as f64).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::{Stat, family, is_kept, keep, resident};

    #[test]
    fn threads_that_chose_a_core_are_moved() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = child.id();
        let first = (0..).find(|&core| super::pin(core).is_ok()).unwrap();
        keep(pid, &[first]).unwrap();
        let (kept, elsewhere) = (is_kept(pid, &[first]), is_kept(pid, &[first + 1]));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(kept && !elsewhere);
    }

    #[test]
    fn family_holds_the_process_itself_and_its_child() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pids: Vec<u32> = family(std::process::id()).iter().map(|s| s.pid).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(pids.contains(&std::process::id()) && pids.contains(&child.id()));
        assert!(Stat::read(std::process::id()).is_some());
        assert!(resident(std::process::id()) > 100_000);
    }
}
