//! Runs a child under `strace` and turns its log into events.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::disk::{Node, ROOT};

/// System calls that change files, or that are needed to follow file descriptors.
const CALLS: &str = "openat,close,dup,dup2,dup3,fcntl,write,pwrite64,writev,pwritev,pwritev2,\
    lseek,ftruncate,truncate,fallocate,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,\
    unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat,copy_file_range,sendfile";
/// Octets of a string that strace writes out: more than any single write.
const STRING_MAX: &str = "16777216";

//----------- Event ----------------------------------------------------------

/// Something that happened to the recorded directory. Nodes are numbered in the order in which
/// they are made; the directory itself is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The child printed a line.
    Note(String),
    Create {
        dir: Node,
        name: String,
    },
    MakeDir {
        dir: Node,
        name: String,
    },
    Write {
        node: Node,
        at: u64,
        octets: Vec<u8>,
    },
    SetLen {
        node: Node,
        len: u64,
    },
    Remove {
        dir: Node,
        name: String,
    },
    Rename {
        dir: Node,
        name: String,
        to_dir: Node,
        to_name: String,
    },
    /// A sync began: what was written before it will be durable when it ends.
    SyncBegin {
        sync: usize,
        node: Node,
    },
    SyncEnd {
        sync: usize,
    },
}

impl Event {
    pub(super) fn is_crash_point(&self) -> bool {
        !matches!(
            self,
            Self::Note(_) | Self::Write { .. } | Self::SetLen { .. }
        )
    }
}

//----------- Run ------------------------------------------------------------

/// Runs `child` to its end under strace and gives the log.
pub(super) fn run(child: &Command) -> io::Result<String> {
    let log = tempfile::NamedTempFile::new()?;
    let mut command = Command::new("strace");
    command
        .args(["-f", "--seccomp-bpf", "-xx", "-s", STRING_MAX])
        .args(["-e", &format!("trace={CALLS}"), "-e", "signal=none", "-o"])
        .arg(log.path())
        .arg(child.get_program())
        .args(child.get_args());
    for (name, value) in child.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::Error::other(
            "the program `strace` is needed to record file operations: install the package `strace`",
        ),
        _ => error,
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!(
            "the child under strace failed with {}: {said}",
            output.status
        )));
    }
    std::fs::read_to_string(log.path())
}

//----------- Parse ----------------------------------------------------------

/// Turns a log into the events below `root`.
pub(super) fn parse(log: &str, root: &Path) -> Result<Vec<Event>, String> {
    let mut tracer = Tracer {
        root: root.to_owned(),
        ..Tracer::default()
    };
    tracer.nodes.insert(root.to_owned(), ROOT);
    tracer.node_count = 1;
    let mut unfinished: HashMap<&str, (String, Option<usize>)> = HashMap::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            let sync = tracer.begin(begun);
            unfinished.insert(thread, (begun.to_owned(), sync));
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some((begun, sync)) = unfinished.remove(thread) else {
                continue;
            };
            let tail = resumed.split_once(" resumed>").map_or("", |(_, tail)| tail);
            tracer.end(&format!("{begun}{tail}"), sync)?;
        } else {
            let sync = tracer.begin(rest);
            tracer.end(rest, sync)?;
        }
    }
    Ok(tracer.events)
}

#[derive(Default)]
struct Tracer {
    root: PathBuf,
    events: Vec<Event>,
    /// Nodes by their present path; removed ones may still be open.
    nodes: HashMap<PathBuf, Node>,
    node_count: usize,
    descriptors: HashMap<i64, Open>,
    /// Present length of each node.
    lens: HashMap<Node, u64>,
    syncs: usize,
    printed: String,
}

/// What a file descriptor stands for.
#[derive(Clone)]
struct Open {
    node: Option<Node>,
    path: PathBuf,
    at: u64,
    append: bool,
}

impl Tracer {
    /// Takes note of the beginning of a call, if that matters.
    fn begin(&mut self, call: &str) -> Option<usize> {
        let (name, args) = call.split_once('(')?;
        let descriptor = || number(args.split([',', ')']).next()?).ok();
        match name {
            "fsync" | "fdatasync" => {}
            "close" => {
                // Another thread may get the same number before this call is seen to return.
                self.descriptors.remove(&descriptor()?);
                return None;
            }
            _ => return None,
        }
        let descriptor = descriptor()?;
        let node = self.descriptors.get(&descriptor)?.node?;
        self.syncs += 1;
        let sync = self.syncs;
        self.events.push(Event::SyncBegin { sync, node });
        Some(sync)
    }

    /// Works off a call that has returned.
    fn end(&mut self, call: &str, sync: Option<usize>) -> Result<(), String> {
        let Some((name, rest)) = call.split_once('(') else {
            return Ok(());
        };
        let Some((args, returned)) = rest.rsplit_once(" = ") else {
            return Ok(());
        };
        let args = split_args(args.trim_end().trim_end_matches(')'));
        let Ok(returned) = number(returned.split(' ').next().unwrap_or("")) else {
            return Ok(());
        };
        if returned < 0 {
            return Ok(());
        }
        let arg = |at: usize| args.get(at).map_or("", String::as_str);
        match name {
            "openat" => self.open(arg(0), arg(1), arg(2), returned),
            "close" | "fcntl" if !arg(1).starts_with("F_DUPFD") => Ok(()),
            "dup" | "dup2" | "dup3" => self.duplicate(arg(0), returned),
            "fcntl" => self.duplicate(arg(0), returned),
            "write" => self.write(arg(0), arg(1), None, returned),
            "pwrite64" => self.write(arg(0), arg(1), Some(arg(3)), returned),
            "lseek" => {
                if let Some(open) = self.descriptors.get_mut(&number(arg(0))?) {
                    open.at = returned.unsigned_abs();
                }
                Ok(())
            }
            "ftruncate" => self.set_len(arg(0), arg(1)),
            "fsync" | "fdatasync" => {
                self.events.extend(sync.map(|sync| Event::SyncEnd { sync }));
                Ok(())
            }
            "rename" => self.rename("AT_FDCWD", arg(0), "AT_FDCWD", arg(1)),
            "renameat" | "renameat2" => self.rename(arg(0), arg(1), arg(2), arg(3)),
            "unlink" | "rmdir" => self.remove("AT_FDCWD", arg(0)),
            "unlinkat" => self.remove(arg(0), arg(1)),
            "mkdir" => self.make_dir("AT_FDCWD", arg(0)),
            "mkdirat" => self.make_dir(arg(0), arg(1)),
            _ => self.refuse_unknown(name, arg(0)),
        }
    }

    fn open(&mut self, dir: &str, path: &str, flags: &str, fd: i64) -> Result<(), String> {
        let path = self.resolve(dir, path)?;
        if !path.starts_with(&self.root) {
            self.descriptors.remove(&fd);
            return Ok(());
        }
        if flags.contains("O_TMPFILE") {
            return Err(format!("O_TMPFILE in {} is not modelled", path.display()));
        }
        let node = match self.nodes.get(&path) {
            Some(&node) => node,
            None if flags.contains("O_CREAT") => {
                let (dir, name) = self.entry(&path)?;
                self.events.push(Event::Create { dir, name });
                self.add_node(path.clone())
            }
            None => return Err(format!("{} came from nowhere", path.display())),
        };
        if flags.contains("O_TRUNC") {
            self.lens.remove(&node);
            self.events.push(Event::SetLen { node, len: 0 });
        }
        let open = Open {
            node: Some(node),
            path,
            at: 0,
            append: flags.contains("O_APPEND"),
        };
        self.descriptors.insert(fd, open);
        Ok(())
    }

    fn duplicate(&mut self, from: &str, to: i64) -> Result<(), String> {
        match self.descriptors.get(&number(from)?).cloned() {
            // Offsets are shared between duplicates; nobody we record relies on that.
            Some(open) => self.descriptors.insert(to, open),
            None => self.descriptors.remove(&to),
        };
        Ok(())
    }

    fn write(
        &mut self,
        fd: &str,
        octets: &str,
        at: Option<&str>,
        written: i64,
    ) -> Result<(), String> {
        let fd = number(fd)?;
        if fd == 1 && !self.descriptors.contains_key(&1) {
            return self.print(octets);
        }
        let Some(open) = self.descriptors.get_mut(&fd) else {
            return Ok(());
        };
        let Some(node) = open.node else {
            return Ok(());
        };
        let mut octets = unquote(octets)?;
        octets.truncate(usize::try_from(written).unwrap_or(0));
        let moves = at.is_none();
        let at = match at {
            Some(at) => number(at)?.unsigned_abs(),
            None => open.at,
        };
        let at = match moves && open.append {
            true => self.lens.get(&node).copied().unwrap_or(0),
            false => at,
        };
        let end = at + octets.len() as u64;
        if moves {
            open.at = end;
        }
        let len = self.lens.entry(node).or_default();
        *len = end.max(*len);
        self.events.push(Event::Write { node, at, octets });
        Ok(())
    }

    fn print(&mut self, octets: &str) -> Result<(), String> {
        self.printed
            .push_str(&String::from_utf8_lossy(&unquote(octets)?));
        while let Some((line, rest)) = self.printed.split_once('\n') {
            let (line, rest) = (line.to_owned(), rest.to_owned());
            self.events.push(Event::Note(line));
            self.printed = rest;
        }
        Ok(())
    }

    fn set_len(&mut self, fd: &str, len: &str) -> Result<(), String> {
        if let Some(node) = self
            .descriptors
            .get(&number(fd)?)
            .and_then(|open| open.node)
        {
            let len = number(len)?.unsigned_abs();
            self.lens.insert(node, len);
            self.events.push(Event::SetLen { node, len });
        }
        Ok(())
    }

    fn rename(&mut self, dir: &str, path: &str, to_dir: &str, to: &str) -> Result<(), String> {
        let (path, to) = (self.resolve(dir, path)?, self.resolve(to_dir, to)?);
        match (path.starts_with(&self.root), to.starts_with(&self.root)) {
            (false, false) => return Ok(()),
            (true, true) => {}
            _ => return Err(format!("{} crosses the border", path.display())),
        }
        let (dir, name) = self.entry(&path)?;
        let (to_dir, to_name) = self.entry(&to)?;
        self.events.push(Event::Rename {
            dir,
            name,
            to_dir,
            to_name,
        });
        let moved: Vec<PathBuf> = self
            .nodes
            .keys()
            .filter(|known| known.starts_with(&path))
            .cloned()
            .collect();
        for old in moved {
            if let Some(node) = self.nodes.remove(&old) {
                let below = old.strip_prefix(&path).unwrap_or(Path::new(""));
                let new = match below.as_os_str().is_empty() {
                    true => to.clone(),
                    false => to.join(below),
                };
                self.nodes.insert(new, node);
            }
        }
        Ok(())
    }

    fn remove(&mut self, dir: &str, path: &str) -> Result<(), String> {
        let path = self.resolve(dir, path)?;
        if path.starts_with(&self.root) && self.nodes.remove(&path).is_some() {
            let (dir, name) = self.entry(&path)?;
            self.events.push(Event::Remove { dir, name });
        }
        Ok(())
    }

    fn make_dir(&mut self, dir: &str, path: &str) -> Result<(), String> {
        let path = self.resolve(dir, path)?;
        if path.starts_with(&self.root) {
            let (dir, name) = self.entry(&path)?;
            self.events.push(Event::MakeDir { dir, name });
            self.add_node(path);
        }
        Ok(())
    }

    fn add_node(&mut self, path: PathBuf) -> Node {
        let node = self.node_count;
        self.node_count += 1;
        self.nodes.insert(path, node);
        node
    }

    /// Calls that are not modelled must not touch what is recorded.
    fn refuse_unknown(&self, name: &str, first: &str) -> Result<(), String> {
        let touches = match first.starts_with('"') {
            true => self.resolve("AT_FDCWD", first)?.starts_with(&self.root),
            false => number(first).is_ok_and(|fd| self.descriptors.contains_key(&fd)),
        };
        match touches {
            true => Err(format!("the call {name} is not modelled")),
            false => Ok(()),
        }
    }

    /// The directory and the name of a path below the root.
    fn entry(&self, path: &Path) -> Result<(Node, String), String> {
        let parent = path.parent().and_then(|parent| self.nodes.get(parent));
        let name = path.file_name().and_then(|name| name.to_str());
        match (parent, name) {
            (Some(&dir), Some(name)) => Ok((dir, name.to_owned())),
            _ => Err(format!("{} is in no directory we know", path.display())),
        }
    }

    fn resolve(&self, dir: &str, path: &str) -> Result<PathBuf, String> {
        let path = String::from_utf8(unquote(path)?).map_err(|error| error.to_string())?;
        let path = Path::new(&path);
        let base = match dir {
            "AT_FDCWD" => PathBuf::new(),
            fd => self
                .descriptors
                .get(&number(fd)?)
                .map_or(PathBuf::new(), |open| open.path.clone()),
        };
        // `a/.` and `a/` are `a`; nobody we record uses `..`.
        Ok(base.join(path).components().collect())
    }
}

fn number(text: &str) -> Result<i64, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("`{text}` is not a number"))
}

/// Splits at commas that are not inside quotes or brackets.
fn split_args(args: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut depth) = (false, 0);
    for c in args.chars() {
        match c {
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth -= 1,
            _ => {}
        }
        match (c, parts.last_mut()) {
            (',', _) if !quoted && depth == 0 => parts.push(String::new()),
            (' ', Some(part)) if part.is_empty() => {}
            (c, Some(part)) => part.push(c),
            (_, None) => {}
        }
    }
    parts
}

/// The octets of a string that strace wrote as `"\x61\x62"`.
fn unquote(text: &str) -> Result<Vec<u8>, String> {
    let unclear = || format!("a string was not written out: {text:.60}");
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .ok_or_else(unclear)?;
    inner
        .split("\\x")
        .skip(1)
        .map(|hex| u8::from_str_radix(hex, 16).map_err(|_| unclear()))
        .collect()
}
