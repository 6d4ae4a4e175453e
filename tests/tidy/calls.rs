//! Calls that a layer bans.
//!
//! A call is looked for twice: among the tokens of the file, which also sees the inside of macros,
//! and among its imports, which also sees `use std::{env, fs}`.

use proc_macro2::{TokenStream, TokenTree};

use crate::finding::Finding;

/// Crates below the shell: time, entropy and environment come in as parameters.
const BELOW_SHELL: &[&str] = &[
    "guantong-proto",
    "guantong-store",
    "guantong-core",
    "guantong-api",
];

/// Crates that do not even touch the disk.
const PURE: &[&str] = &["guantong-proto", "guantong-core", "guantong-api"];

/// One ban: a path, the packages that must not name it, and what to do instead.
#[derive(Debug)]
pub(crate) struct Ban {
    /// Segments that stand side by side, such as `Instant::now`.
    pub(crate) path: &'static [&'static str],
    packages: &'static [&'static str],
    instead: &'static str,
}

const TIME: &str = "Take the time as a parameter; `server` reads the clock.";
const ENTROPY: &str = "Take the random octets as a parameter; `server` draws them.";
const ENVIRONMENT: &str = "Take the setting as a parameter; `server` reads the environment.";
const SOCKET: &str = "Take and give octets; sockets belong in `server` and `client`.";
const DISK: &str = "Take and give octets; files belong in `store` and `server`.";
const THREAD: &str = "Be a state machine that the shell drives; threads belong to it.";

#[rustfmt::skip]
const BANS: &[Ban] = &[
    Ban { path: &["Instant", "now"], packages: BELOW_SHELL, instead: TIME },
    Ban { path: &["SystemTime", "now"], packages: BELOW_SHELL, instead: TIME },
    Ban { path: &["OffsetDateTime", "now_utc"], packages: BELOW_SHELL, instead: TIME },
    Ban { path: &["OffsetDateTime", "now_local"], packages: BELOW_SHELL, instead: TIME },
    Ban { path: &["UtcDateTime", "now"], packages: BELOW_SHELL, instead: TIME },
    Ban { path: &["std", "env"], packages: BELOW_SHELL, instead: ENVIRONMENT },
    Ban { path: &["SystemRandom"], packages: BELOW_SHELL, instead: ENTROPY },
    Ban { path: &["OsRng"], packages: BELOW_SHELL, instead: ENTROPY },
    Ban { path: &["SysRng"], packages: BELOW_SHELL, instead: ENTROPY },
    Ban { path: &["thread_rng"], packages: BELOW_SHELL, instead: ENTROPY },
    Ban { path: &["getrandom"], packages: BELOW_SHELL, instead: ENTROPY },
    Ban { path: &["UdpSocket"], packages: BELOW_SHELL, instead: SOCKET },
    Ban { path: &["TcpStream"], packages: BELOW_SHELL, instead: SOCKET },
    Ban { path: &["TcpListener"], packages: BELOW_SHELL, instead: SOCKET },
    Ban { path: &["UnixStream"], packages: BELOW_SHELL, instead: SOCKET },
    Ban { path: &["UnixListener"], packages: BELOW_SHELL, instead: SOCKET },
    Ban { path: &["UnixDatagram"], packages: BELOW_SHELL, instead: SOCKET },
    Ban { path: &["ToSocketAddrs"], packages: BELOW_SHELL, instead: SOCKET },
    Ban { path: &["std", "fs"], packages: PURE, instead: DISK },
    Ban { path: &["std", "process"], packages: PURE, instead: DISK },
    Ban { path: &["std", "thread"], packages: PURE, instead: THREAD },
    Ban { path: &["thread", "spawn"], packages: PURE, instead: THREAD },
    Ban { path: &["tokio", "spawn"], packages: PURE, instead: THREAD },
];

impl Ban {
    pub(crate) fn finding(&self, path: &str, line: usize, package: &str) -> Finding {
        Finding {
            path: path.to_owned(),
            line,
            rule: "banned-call",
            what: format!("`{}` is banned in {package}", self.path.join("::")),
            fix: self.instead.to_owned(),
        }
    }
}

/// The bans that `package` breaks with the path `path`.
pub(crate) fn banned_in_path<'a>(
    path: &'a [String],
    package: &'a str,
) -> impl Iterator<Item = &'static Ban> + 'a {
    BANS.iter().filter(move |ban| {
        ban.packages.contains(&package)
            && path
                .windows(ban.path.len())
                .any(|part| part.iter().eq(ban.path.iter()))
    })
}

/// The bans that `package` breaks in `tokens`, with their lines.
pub(crate) fn banned_in_tokens(tokens: &TokenStream, package: &str) -> Vec<(&'static Ban, usize)> {
    let mut hits = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut line = 0;
    let mut colons = 0;
    let mut close = |path: &mut Vec<String>, line| {
        hits.extend(banned_in_path(path, package).map(|ban| (ban, line)));
        path.clear();
    };
    let mut inner = Vec::new();
    for token in tokens.clone() {
        match token {
            TokenTree::Ident(ident) => {
                if colons != 2 {
                    close(&mut path, line);
                }
                line = ident.span().start().line;
                path.push(ident.to_string());
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
            TokenTree::Group(group) => {
                close(&mut path, line);
                colons = 0;
                inner.extend(banned_in_tokens(&group.stream(), package));
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {
                close(&mut path, line);
                colons = 0;
            }
        }
    }
    close(&mut path, line);
    hits.extend(inner);
    hits
}
