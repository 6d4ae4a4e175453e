//! Making, starting and stopping the nodes of the demonstration, and delegating between them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use guantong_core::admin::authenticate::Identity;
use guantong_core::admin::{self, Administrator, Delegation, Timestamps};
use guantong_proto::data::{AdminPermissions, Site};
use guantong_proto::file::encode_root_info;
use guantong_proto::{Handle, Value};
use guantong_store::{Batch, Change, Expect, Origin, Trail};

use super::DemoError;
use super::figures::{Topics, records};
use super::plan::{DISTILLERY, FIGURES, PLACES, Place, RECURSIVE, ROOT, TOP_PREFIX, TOP_PRIMARY};
use super::port::{Held, Ports, loopback};
use super::trace;
use crate::config::{self, Config, FILE_NAME, PresetRecurse, Root, Size};
use crate::init::{ADMIN_KEY, InitOptions, Role, init};
use crate::node::Node;
use crate::publish::{self, wire};
use crate::running::{Running, start};

/// Index of the administrator's key in a prefix record, by custom.
const KEY_INDEX: i32 = 300;
/// File in the folder of the demonstration that says where the root is.
pub const ROOT_INFO: &str = "root_info";
/// How long the mirrors may take for their copies.
const MIRRORS_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two looks at a mirror.
const MIRRORS_PAUSE: Duration = Duration::from_millis(10);
/// Memory of each node's store: there are many, and their records are few.
const MEMORY: Size = Size::mib(16);

//----------- Member ---------------------------------------------------------

/// One node of the network.
#[derive(Debug)]
pub struct Member {
    /// Its place in the network.
    pub place: &'static Place,
    config: Config,
    running: Option<Running>,
    /// Its ports while it is stopped.
    held: Option<Held>,
}

impl Member {
    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.config.folder
    }

    /// The running node; `None` while it is stopped.
    pub fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }

    fn node(&self) -> Result<&Arc<Node>, DemoError> {
        let running = self.running.as_ref();
        let stopped = DemoError::Stopped(self.place.name);
        running.map(Running::node).ok_or(stopped)
    }

    /// The site record that it publishes.
    fn site(&self) -> Result<Site, DemoError> {
        let record = self.node()?.site();
        Site::decode(record.record()).map_err(DemoError::Site)
    }

    fn start(&mut self) -> Result<(), DemoError> {
        if self.running.is_some() {
            return Ok(());
        }
        drop(self.held.take());
        let running = start(self.config.clone())?;
        if self.place.mirrors.is_none() && running.node().mirroring.takes_changes().is_ok() {
            // The ports may be others than those of the last time.
            publish::own_site(running.node())?;
        }
        // A node that is stopped and started again must be found where it was.
        let (listen, addresses) = (&mut self.config.listen, running.addresses());
        listen.udp.clone_from(&addresses.udp);
        listen.tcp.clone_from(&addresses.tcp);
        listen.http.clone_from(&addresses.http);
        listen.console = addresses.console;
        self.running = Some(running);
        Ok(())
    }

    fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            let addresses = running.addresses().clone();
            drop(running);
            self.held = Some(Held::hold(&addresses));
        }
    }
}

//----------- Network --------------------------------------------------------

/// The running network. Dropping it stops all nodes.
#[derive(Debug)]
pub struct Network {
    members: Vec<Member>,
    /// Records of the enterprises that were written now; those that were there have been kept.
    pub written: usize,
}

impl Network {
    /// Makes the nodes in `dir` unless they are there, starts them, delegates, and fills in the
    /// records that the enterprises lack. `ports` are those of the front. What is being
    /// done is told to `say`.
    pub fn start(dir: &Path, ports: Ports, say: &mut dyn FnMut(&str)) -> Result<Self, DemoError> {
        check_folder(dir)?;
        say("making keys and stores");
        make_nodes(dir)?;
        let mut network = Self {
            members: Vec::new(),
            written: 0,
        };
        for place in &PLACES {
            say(place.title);
            let config = network.configure(dir, place, ports)?;
            let mut member = Member {
                place,
                config,
                running: None,
                held: None,
            };
            member.start()?;
            network.members.push(member);
        }
        say("delegating prefixes");
        network.delegate()?;
        say("registering figures");
        network.fill()?;
        say("copying to the mirrors");
        network.wait_for_mirrors()?;
        Ok(network)
    }

    /// All nodes, parents before their children.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The node of that name.
    pub fn member(&self, name: &'static str) -> Result<&Member, DemoError> {
        let found = self.members.iter().find(|member| member.place.name == name);
        found.ok_or(DemoError::Stopped(name))
    }

    /// The node that people meet first: the enterprise with all figures.
    pub fn front(&self) -> Result<&Running, DemoError> {
        let member = self.member(FIGURES)?;
        member.running().ok_or(DemoError::Stopped(FIGURES))
    }

    /// The node that resolves for everybody.
    pub fn recursive(&self) -> Result<&Running, DemoError> {
        let member = self.member(RECURSIVE)?;
        member.running().ok_or(DemoError::Stopped(RECURSIVE))
    }

    /// Records of all enterprises.
    pub fn records(&self) -> Result<u64, DemoError> {
        let mut records = 0;
        for member in &self.members {
            if let (Some(prefix), Ok(node)) = (member.enterprise_prefix(), member.node()) {
                let scope = guantong_store::Scope::of_prefix(prefix)?;
                records += node.store.count(&scope)?;
            }
        }
        Ok(records)
    }

    /// Stops a node as a failure would: nobody is told. Its ports are kept for it.
    pub fn stop_member(&mut self, name: &str) {
        for member in &mut self.members {
            if member.place.name == name {
                member.stop();
            }
        }
    }

    /// Starts a node again, at the addresses that it had.
    pub fn start_member(&mut self, name: &str) -> Result<(), DemoError> {
        let mut named = self.members.iter_mut();
        match named.find(|member| member.place.name == name) {
            Some(member) => member.start(),
            None => Ok(()),
        }
    }

    /// Stops all nodes, children before their parents.
    pub fn stop(mut self) {
        while let Some(member) = self.members.pop() {
            drop(member);
        }
    }

    //--- Settings

    /// The settings of a node whose parents run already.
    fn configure(&self, dir: &Path, place: &Place, ports: Ports) -> Result<Config, DemoError> {
        let mut config = config::load(&dir.join(place.name))?;
        let ports = match place.name {
            FIGURES => ports,
            RECURSIVE => ports.next().or_free(),
            _ => Ports::FREE,
        };
        config.listen.udp = vec![loopback(ports.native)];
        config.listen.tcp = vec![loopback(ports.native)];
        config.listen.http = vec![loopback(ports.http)];
        let is_front = [FIGURES, RECURSIVE].contains(&place.name);
        // There people look at the bottle, and where it comes from.
        let has_pages = is_front || place.name == DISTILLERY;
        config.listen.console = has_pages.then(|| loopback(ports.console));
        config.listen.udp_threads = 1;
        // Sixteen nodes that each believe to have the machine for themselves.
        config.listen.udp_first = false;
        config.listen.worker_threads = 1;
        config.store.memory = MEMORY;
        config.site.primary = place.mirrors.is_none();
        if place.name == TOP_PRIMARY || place.mirrors.is_some() {
            // Any of them may be the primary one day.
            let identity = Identity {
                handle: Handle::of_prefix(TOP_PREFIX)?,
                index: KEY_INDEX,
            };
            let admins = &mut config.administration.rules.replication_admins;
            *admins = vec![identity.clone()];
            config.mirror.identity = Some(identity);
            config.mirror.identity_key = dir.join(TOP_PRIMARY).join(ADMIN_KEY);
        }
        if let Some(primary) = place.mirrors {
            let primary = self.member(primary)?.node()?.addresses();
            let address = primary.tcp.first().map(ToString::to_string);
            config.mirror.of = address;
        }
        // The front answers for its own names and resolves all others: a node may do both. So do
        // those of the trace: they let applications in whose keys the other has, and answer the
        // programs of existing enterprise nodes.
        let is_traced = place.topics == Topics::Trace;
        config.compatible.doip = is_traced;
        if is_front || is_traced {
            let file = dir.join(ROOT_INFO);
            self.write_root_info(&file)?;
            config.recurse.root = Some(Root::File(file));
            config.recurse.allow = config.limits.trusted.clone();
        }
        Ok(config)
    }

    /// Writes where the root is, as a recursive node is given it.
    fn write_root_info(&self, file: &Path) -> Result<(), DemoError> {
        let root = self.member(ROOT)?.node()?;
        let handle = Handle::of_prefix("0.NA")?;
        let record = root.store.record(handle.borrow())?;
        let values = record.map(|record| record.values().to_vec()).transpose();
        let values = values.map_err(DemoError::Site)?.unwrap_or_default();
        let written = std::fs::write(file, encode_root_info(&values));
        written.map_err(|source| DemoError::File {
            path: file.to_owned(),
            source,
        })
    }

    //--- Delegation

    /// Writes every prefix record where it belongs: into the store of the parent, and as a copy
    /// into that of the node itself.
    fn delegate(&self) -> Result<(), DemoError> {
        let top = self.sites(Place::is_top)?;
        let primary = self.top_primary()?;
        self.delegate_to(TOP_PREFIX, primary, self.member(ROOT)?, top, Derived::Too)?;
        for member in &self.members {
            let site = vec![member.site()?];
            match (member.place.role, member.place.prefix) {
                (Role::SecondLevel, Some(prefix)) => {
                    self.delegate_to(prefix, member, primary, site, Derived::Too)?;
                }
                (Role::Enterprise, Some(prefix)) => {
                    let parent = self.parent(prefix)?;
                    self.delegate_to(prefix, member, parent, site, Derived::Apart)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The second-level node whose prefix is above this one.
    fn parent(&self, prefix: &'static str) -> Result<&Member, DemoError> {
        let above = prefix.rsplit_once('.').map(|(above, _)| above);
        let mut all = self.members.iter();
        let parent = all
            .find(|member| member.place.role == Role::SecondLevel && member.place.prefix == above);
        parent.ok_or(DemoError::Stopped(prefix))
    }

    /// The top-level node that takes changes: another one, if somebody made it the primary.
    fn top_primary(&self) -> Result<&Member, DemoError> {
        let mut top = self.members.iter().filter(|member| member.place.is_top());
        let takes_changes = |member: &&Member| {
            let node = member.node();
            node.is_ok_and(|node| node.mirroring.takes_changes().is_ok())
        };
        top.find(takes_changes)
            .ok_or(DemoError::Stopped(TOP_PRIMARY))
    }

    fn sites(&self, wanted: impl Fn(&Place) -> bool) -> Result<Vec<Site>, DemoError> {
        let members = self.members.iter().filter(|member| wanted(member.place));
        members.map(Member::site).collect()
    }

    fn delegate_to(
        &self,
        prefix: &str,
        child: &Member,
        parent: &Member,
        sites: Vec<Site>,
        derived: Derived,
    ) -> Result<(), DemoError> {
        let handle = Handle::of_prefix(prefix)?;
        let delegation = Delegation {
            sites,
            derived: derived == Derived::Too,
            services: Vec::new(),
            administrators: vec![Administrator {
                handle: handle.clone(),
                index: KEY_INDEX,
                permissions: AdminPermissions::ALL,
            }],
        };
        // The administrator's key was made with the node; the parent publishes it.
        let own = child.node()?.store.record(handle.borrow())?;
        let own = own.map(|record| record.values().to_vec()).transpose();
        let own = own.map_err(DemoError::Site)?.unwrap_or_default();
        let values = delegation.apply(&own);
        for node in [parent.node()?, child.node()?] {
            put(node, &handle, values.clone())?;
        }
        Ok(())
    }

    //--- Mirrors

    /// Waits until every mirror has what its primary has.
    fn wait_for_mirrors(&self) -> Result<(), DemoError> {
        let primary = self.top_primary()?.node()?;
        let last = primary.store.last_change();
        let deadline = Instant::now() + MIRRORS_TIMEOUT;
        for member in self.members.iter().filter(|member| member.place.is_top()) {
            let node = member.node()?;
            while !Arc::ptr_eq(node, primary) && node.mirroring.figures().last < last {
                if Instant::now() > deadline {
                    return Err(DemoError::Behind(member.place.name));
                }
                std::thread::sleep(MIRRORS_PAUSE);
            }
        }
        Ok(())
    }

    //--- Records

    /// Writes the records of the enterprises that are not there yet.
    fn fill(&mut self) -> Result<(), DemoError> {
        for member in &self.members {
            let Some(prefix) = member.enterprise_prefix() else {
                continue;
            };
            let node = member.node()?;
            let mut missing = Vec::new();
            let mut records = records(prefix, member.place.topics, node.now_secs())?;
            if member.place.topics == Topics::Trace {
                records.extend(trace::records(prefix, node.now_secs())?);
            }
            if member.place.name == DISTILLERY {
                records.push(trace::application(member.folder(), node.now_secs())?);
            }
            for (handle, values) in records {
                if node.store.record(handle.borrow())?.is_none() {
                    missing.push(Change::Put {
                        handle,
                        values: wire(&values),
                        expect: Expect::Absent,
                    });
                }
            }
            self.written += missing.len();
            submit(node, missing)?;
        }
        Ok(())
    }
}

impl Member {
    fn enterprise_prefix(&self) -> Option<&'static str> {
        let is_enterprise = self.place.topics != Topics::None;
        self.place.prefix.filter(|_| is_enterprise)
    }
}

/// Whether the prefixes derived from a delegated one are delegated with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Derived {
    Too,
    Apart,
}

//----------- Writing --------------------------------------------------------

/// Writes a record unless it says the same already.
fn put(node: &Node, handle: &Handle, values: Vec<Value>) -> Result<(), DemoError> {
    let stored = node.store.record(handle.borrow())?;
    let current = stored.as_ref().map(|record| record.values().to_vec());
    let current = current.transpose().map_err(DemoError::Site)?;
    let change = admin::Change::Put(values);
    let stamps = Timestamps::Set(node.now_secs());
    let planned = admin::plan(current.as_deref(), &change, stamps)?;
    if planned == current {
        return Ok(());
    }
    let change = Change::Put {
        handle: handle.clone(),
        values: wire(&planned.unwrap_or_default()),
        expect: Expect::Anything,
    };
    submit(node, vec![change])
}

fn submit(node: &Node, changes: Vec<Change>) -> Result<(), DemoError> {
    if changes.is_empty() {
        return Ok(());
    }
    let batch = Batch {
        changes,
        at_ms: node.now_ms(),
        origin: Origin::Operator,
        trail: Trail::default(),
    };
    node.store.submit(batch).wait()?;
    Ok(())
}

//----------- Folders --------------------------------------------------------

/// Whether the folder is ours to fill: empty, not there, or filled by us before.
fn check_folder(dir: &Path) -> Result<(), DemoError> {
    let known = dir.join(RECURSIVE).join(FILE_NAME).exists();
    let is_empty = match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => true,
    };
    match known || is_empty {
        true => Ok(()),
        false => Err(DemoError::NotEmpty(dir.to_owned())),
    }
}

/// Makes the nodes that are not there yet, several at a time: making a key takes longest.
fn make_nodes(dir: &Path) -> Result<(), DemoError> {
    let missing: Vec<(&Place, PathBuf)> = PLACES
        .iter()
        .map(|place| (place, dir.join(place.name)))
        .filter(|(_, folder)| !folder.join(FILE_NAME).exists())
        .collect();
    let next = AtomicUsize::new(0);
    let make_some = || -> Result<(), DemoError> {
        while let Some((place, folder)) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            let options = InitOptions {
                prefix: place.prefix.map(str::to_owned),
                role: place.role,
                name: Some(format!("demo {}", place.name)),
                description: Some(place.title.to_owned()),
                recurse: (place.role == Role::Recursive).then(|| PresetRecurse {
                    allow: Vec::new(),
                    root: Root::File(dir.join(ROOT_INFO)),
                }),
                ..InitOptions::default()
            };
            init(folder, &options)?;
        }
        Ok(())
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(make_some)).collect();
        workers.into_iter().try_for_each(|worker| {
            let made = worker.join();
            made.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_with_other_things_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(check_folder(&dir.path().join("new")).is_ok());
        assert!(check_folder(dir.path()).is_ok());
        std::fs::write(dir.path().join("letter.txt"), "mine").unwrap();
        let refused = check_folder(dir.path()).unwrap_err();
        assert!(refused.to_string().contains("empty"), "{refused}");
    }
}
