//! The model of a disk: what is written, and what of it is synced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::strace::Event;
use super::{Image, Mode};
use crate::Random;

/// Octets of a page of a file's content.
const PAGE: u64 = 4096;
/// Octets that a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Number of a file or directory, like an inode's.
pub(super) type Node = usize;
/// The directory that is recorded.
pub(super) const ROOT: Node = 0;

//----------- Content --------------------------------------------------------

/// The content of a file, in pages that are shared between versions; pages of zeros are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    len: u64,
    pages: BTreeMap<u64, Arc<[u8; PAGE as usize]>>,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    fn write(&mut self, at: u64, octets: &[u8]) {
        let mut done = 0;
        while done < octets.len() {
            let position = at + done as u64;
            let (page, start) = (position / PAGE, (position % PAGE) as usize);
            let count = (octets.len() - done).min(PAGE as usize - start);
            let page = self
                .pages
                .entry(page)
                .or_insert_with(|| Arc::new([0; PAGE as usize]));
            Arc::make_mut(page)[start..start + count].copy_from_slice(&octets[done..done + count]);
            done += count;
        }
        self.len = self.len.max(at + octets.len() as u64);
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            let first_gone = len.div_ceil(PAGE);
            self.pages.split_off(&first_gone);
            if let Some(page) = self.pages.get_mut(&(len / PAGE)) {
                Arc::make_mut(page)[(len % PAGE) as usize..].fill(0);
            }
        }
        self.len = len;
    }

    /// The octets that are not zero, in pieces with their offsets.
    pub(super) fn chunks(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.pages.iter().filter_map(|(number, page)| {
            let at = number * PAGE;
            let len = self.len.saturating_sub(at).min(PAGE) as usize;
            (len > 0).then(|| (at, &page[..len]))
        })
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut octets = vec![0; self.len as usize];
        for (at, chunk) in self.chunks() {
            octets[at as usize..at as usize + chunk.len()].copy_from_slice(chunk);
        }
        octets
    }
}

//----------- Disk -----------------------------------------------------------

/// All nodes. A node that no directory names any more is kept; it may still be open.
pub(super) struct Disk {
    nodes: Vec<Inode>,
    /// Syncs that have begun: what they will make durable.
    syncs: BTreeMap<usize, Begun>,
}

enum Inode {
    File {
        live: Content,
        durable: Content,
        /// What was done since the content that is durable, in order.
        pending: Vec<Change>,
    },
    Dir {
        live: BTreeMap<String, Node>,
        durable: BTreeMap<String, Node>,
    },
}

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

impl Change {
    fn apply(&self, content: &mut Content) {
        match self {
            Self::Write(at, octets) => content.write(*at, octets),
            Self::SetLen(len) => content.set_len(*len),
        }
    }
}

enum Begun {
    File(Node, Content, usize),
    Dir(Node, BTreeMap<String, Node>),
}

impl Disk {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Inode::Dir {
                live: BTreeMap::new(),
                durable: BTreeMap::new(),
            }],
            syncs: BTreeMap::new(),
        }
    }

    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::Note(_) => {}
            Event::Create { dir, name } => {
                self.nodes.push(Inode::File {
                    live: Content::default(),
                    durable: Content::default(),
                    pending: Vec::new(),
                });
                self.enter(*dir, name, self.nodes.len() - 1);
            }
            Event::MakeDir { dir, name } => {
                self.nodes.push(Inode::Dir {
                    live: BTreeMap::new(),
                    durable: BTreeMap::new(),
                });
                self.enter(*dir, name, self.nodes.len() - 1);
            }
            Event::Write { node, at, octets } => {
                self.change(*node, Change::Write(*at, octets.clone()));
            }
            Event::SetLen { node, len } => self.change(*node, Change::SetLen(*len)),
            Event::Remove { dir, name } => {
                self.entries(*dir).remove(name);
            }
            Event::Rename {
                dir,
                name,
                to_dir,
                to_name,
            } => {
                if let Some(node) = self.entries(*dir).remove(name) {
                    self.enter(*to_dir, to_name, node);
                }
            }
            Event::SyncBegin { sync, node } => {
                let begun = match &self.nodes[*node] {
                    Inode::File { live, pending, .. } => {
                        Begun::File(*node, live.clone(), pending.len())
                    }
                    Inode::Dir { live, .. } => Begun::Dir(*node, live.clone()),
                };
                self.syncs.insert(*sync, begun);
            }
            Event::SyncEnd { sync } => self.end_sync(*sync),
        }
    }

    fn end_sync(&mut self, sync: usize) {
        match self.syncs.remove(&sync) {
            Some(Begun::File(node, content, count)) => {
                if let Inode::File {
                    durable, pending, ..
                } = &mut self.nodes[node]
                {
                    *durable = content;
                    pending.drain(..count.min(pending.len()));
                }
            }
            Some(Begun::Dir(node, entries)) => {
                if let Inode::Dir { durable, .. } = &mut self.nodes[node] {
                    *durable = entries;
                }
            }
            None => {}
        }
    }

    fn change(&mut self, node: Node, change: Change) {
        if let Inode::File { live, pending, .. } = &mut self.nodes[node] {
            change.apply(live);
            pending.push(change);
        }
    }

    fn enter(&mut self, dir: Node, name: &str, node: Node) {
        self.entries(dir).insert(name.to_owned(), node);
    }

    fn entries(&mut self, dir: Node) -> &mut BTreeMap<String, Node> {
        match &mut self.nodes[dir] {
            Inode::Dir { live, .. } => live,
            Inode::File { .. } => unreachable!("the recorder names directories only"),
        }
    }

    /// Everything as the program sees it.
    pub(super) fn live_image(&self) -> Image {
        self.walk(|dir| dir.0, &mut |file: FileView<'_>| file.live.clone())
    }

    /// What a crash could leave.
    pub(super) fn image(&self, mode: Mode, random: &mut Random) -> Image {
        match mode {
            Mode::DropUnsynced => self.walk(|dir| dir.0, &mut |file| file.durable.clone()),
            Mode::DropEntries => self.walk(|dir| dir.1, &mut |file| file.durable.clone()),
            Mode::Torn => self.walk(|dir| dir.0, &mut |file| torn(&file, random)),
        }
    }

    fn walk<'a>(
        &'a self,
        entries: impl Fn(DirView<'a>) -> &'a BTreeMap<String, Node>,
        content: &mut impl FnMut(FileView<'a>) -> Content,
    ) -> Image {
        let mut image = Image::default();
        let mut open = vec![(ROOT, PathBuf::new())];
        while let Some((node, path)) = open.pop() {
            match &self.nodes[node] {
                Inode::File {
                    live,
                    durable,
                    pending,
                } => {
                    let view = FileView {
                        live,
                        durable,
                        pending,
                    };
                    image.files.insert(path, content(view));
                }
                Inode::Dir { live, durable } => {
                    for (name, node) in entries(DirView(live, durable)) {
                        open.push((*node, Path::new(&path).join(name)));
                    }
                    image.dirs.push(path);
                }
            }
        }
        image.dirs.sort();
        image
    }
}

struct DirView<'a>(&'a BTreeMap<String, Node>, &'a BTreeMap<String, Node>);

struct FileView<'a> {
    live: &'a Content,
    durable: &'a Content,
    pending: &'a [Change],
}

/// The durable content with some of what came after it: up to a point in time, but for sectors that
/// were still on their way.
fn torn(file: &FileView<'_>, random: &mut Random) -> Content {
    let mut content = file.durable.clone();
    let sectors_lost = [0, 0, 3, 30][random.below(4) as usize];
    let kept = random.below(file.pending.len() as u64 + 1) as usize;
    for change in &file.pending[..kept] {
        match change {
            Change::SetLen(_) => change.apply(&mut content),
            Change::Write(at, octets) => {
                let mut at = *at;
                let mut rest = octets.as_slice();
                while !rest.is_empty() {
                    let to_boundary = SECTOR - (at % SECTOR as u64) as usize;
                    let (sector, after) = rest.split_at(to_boundary.min(rest.len()));
                    if !random.chance(sectors_lost) {
                        content.write(at, sector);
                    } else {
                        // The file is as long as if the sector were there; it reads as before.
                        content.len = content.len.max(at + sector.len() as u64);
                    }
                    at += sector.len() as u64;
                    rest = after;
                }
            }
        }
    }
    content
}
