//! Network namespaces: a switch, and places that are plugged into it, each with an address of its
//! own.
//!
//! The switch is a bridge in a namespace of its own, so that nothing of this appears among the
//! interfaces of the machine, and deleting the namespaces deletes everything.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

/// Where `ip netns` keeps the namespaces.
const FOLDER: &str = "/run/netns";
/// Names of namespaces begin so; the id of the process that made them follows.
const PREFIX: &str = "guantong-test-";
/// Interface of a place.
const PLUG: &str = "eth0";
/// Length of the network `10.88.0.0`.
const NETWORK_LEN: u8 = 24;

//----------- Spaces ---------------------------------------------------------

/// All namespaces of one test; deleted at its end, however it ends.
pub(crate) struct Spaces {
    owner: u32,
}

impl Spaces {
    /// The switch, and a place for each name. The error says why this machine cannot do it.
    pub(crate) fn make(names: &[&str]) -> Result<Self, String> {
        sweep();
        let owner = std::process::id();
        let spaces = Self { owner };
        let switch = Space::new(owner, "switch").name;
        ip(&["netns", "add", &switch])?;
        ip(&[
            "-n", &switch, "link", "add", "switch", "up", "type", "bridge",
        ])?;
        for name in names {
            let place = Space::new(owner, name).name;
            let address = format!("{}/{NETWORK_LEN}", address_of(names, name));
            ip(&["netns", "add", &place])?;
            let plug = &["peer", "name", PLUG, "netns", &place];
            let pair = &["-n", &switch, "link", "add", name, "type", "veth"];
            ip(&[&pair[..], plug].concat())?;
            let plugged = &["-n", &switch, "link", "set", name, "master", "switch"];
            ip(&[&plugged[..], &["up"]].concat())?;
            ip(&["-n", &place, "addr", "add", &address, "dev", PLUG])?;
            ip(&["-n", &place, "link", "set", PLUG, "up"])?;
            ip(&["-n", &place, "link", "set", "lo", "up"])?;
        }
        Ok(spaces)
    }

    /// The id by which [`Space::new`] finds them from another process.
    pub(crate) fn owner(&self) -> u32 {
        self.owner
    }
}

impl Drop for Spaces {
    fn drop(&mut self) {
        delete(self.owner);
    }
}

/// The address of a place: by its position among all.
pub(crate) fn address_of(names: &[&str], name: &str) -> Ipv4Addr {
    let position = names.iter().position(|known| *known == name);
    let position = position.expect("only places of the table are asked for");
    let last = u8::try_from(position + 1).expect("there are fewer than 255");
    Ipv4Addr::new(10, 88, 0, last)
}

/// Deletes what tests left behind that were killed before they could clean up.
fn sweep() {
    let owners = entries().filter_map(|name| owner_of(&name));
    for owner in owners.collect::<std::collections::BTreeSet<u32>>() {
        // A process that nobody has waited for yet is still listed, but runs no program.
        if std::fs::read_link(format!("/proc/{owner}/exe")).is_err() {
            delete(owner);
        }
    }
}

fn delete(owner: u32) {
    for name in entries().filter(|name| owner_of(name) == Some(owner)) {
        // What cannot be deleted now is swept by the next test.
        let _ = ip(&["netns", "del", &name]);
    }
}

fn entries() -> impl Iterator<Item = String> {
    let folder = std::fs::read_dir(FOLDER).into_iter().flatten();
    folder.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

fn owner_of(name: &str) -> Option<u32> {
    let (owner, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    owner.parse().ok()
}

//----------- Space ----------------------------------------------------------

/// One place.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    switch: String,
    plug: String,
    name: String,
}

impl Space {
    /// The place of that name among those of `owner`.
    pub(crate) fn new(owner: u32, name: &str) -> Self {
        Self {
            switch: format!("{PREFIX}{owner}-switch"),
            plug: name.to_owned(),
            name: format!("{PREFIX}{owner}-{name}"),
        }
    }

    /// Begins a command that runs there, and ends when the thread that started it ends: a test that
    /// is killed must leave nothing behind. `ip` becomes the program, so its process is the
    /// program's.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]);
        command.args(["setpriv", "--pdeathsig", "KILL", program]);
        command.stdin(Stdio::null());
        command
    }

    /// Pulls the plug: what is sent is lost, and nobody is told.
    pub(crate) fn cut(&self) {
        self.set("down");
    }

    /// Puts the plug back.
    pub(crate) fn mend(&self) {
        self.set("up");
    }

    fn set(&self, state: &str) {
        let set = &["-n", &self.switch, "link", "set", &self.plug, state];
        ip(set).expect("the switch stays until the end");
    }
}

/// Runs `ip`.
fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| format!("`ip` of iproute2 cannot be run: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let told = String::from_utf8_lossy(&output.stderr);
            Err(format!("`ip {}`: {}", arguments.join(" "), told.trim()))
        }
    }
}
