//! Key files and their passphrases.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use guantong_server::key::form::{FormError, Key, KeyPair, read};
use guantong_server::key::{read_bounded, write_private};

use crate::failed::{Exit, Failed, Report};

/// Shortest passphrase that is taken for a new file, in characters.
const PASSPHRASE_CHARS_MIN: usize = 8;

/// Where the passphrase of a key comes from.
#[derive(Debug, clap::Args)]
pub(crate) struct PassphraseArgs {
    /// File whose first line is the passphrase; without it, it is asked for on the terminal
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// The passphrase in a file.
    pub(crate) fn in_file(passphrase_file: Option<PathBuf>) -> Self {
        Self { passphrase_file }
    }

    /// The passphrase of a file that is there.
    fn known(&self) -> Result<Vec<u8>, String> {
        match &self.passphrase_file {
            Some(path) => first_line(path),
            None => prompt("Passphrase: "),
        }
    }

    /// A passphrase for a new file.
    pub(crate) fn new_one(&self) -> Result<Vec<u8>, Failed> {
        let chosen = match &self.passphrase_file {
            Some(path) => first_line(path),
            None => prompt("New passphrase: ").and_then(|first| {
                match prompt("The same again: ")? == first {
                    true => Ok(first),
                    false => Err("the two are not the same".to_owned()),
                }
            }),
        };
        let failed = |why: String| Report::new(Exit::Usage, "no passphrase").cause(why).fail();
        let chosen = chosen.map_err(failed)?;
        let chars = String::from_utf8_lossy(&chosen).chars().count();
        match chars < PASSPHRASE_CHARS_MIN {
            false => Ok(chosen),
            true => Err(failed(format!(
                "it has {chars} characters, and needs {PASSPHRASE_CHARS_MIN}"
            ))),
        }
    }
}

fn first_line(path: &Path) -> Result<Vec<u8>, String> {
    let octets = read_bounded(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let line = octets.split(|octet| *octet == b'\n').next();
    let line = line.unwrap_or_default();
    Ok(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
}

fn prompt(text: &str) -> Result<Vec<u8>, String> {
    if !std::io::stdin().is_terminal() {
        return Err("there is no terminal to ask on: use --passphrase-file".to_owned());
    }
    let typed = rpassword::prompt_password(text);
    typed
        .map(String::into_bytes)
        .map_err(|error| error.to_string())
}

/// Reads a key file in whatever form it is.
pub(crate) fn load(path: &Path, passphrase: &PassphraseArgs) -> Result<Key, Failed> {
    let octets = match path == Path::new("-") {
        false => read_bounded(path),
        true => {
            let mut octets = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin(), &mut octets).map(|_| octets)
        }
    };
    let octets = octets.map_err(|error| {
        Report::new(
            Exit::Usage,
            format_args!("{} cannot be read", path.display()),
        )
        .cause(error)
        .fail()
    })?;
    read(&octets, &mut || passphrase.known()).map_err(|error| unusable(path, &error))
}

/// The same, which must be a private key.
pub(crate) fn load_private(path: &Path, passphrase: &PassphraseArgs) -> Result<KeyPair, Failed> {
    match load(path, passphrase)? {
        Key::Private(pair) => Ok(*pair),
        Key::Public(_) => Err(Report::new(
            Exit::Usage,
            format_args!(
                "{} holds a public key, and a private one is needed",
                path.display()
            ),
        )
        .fail()),
    }
}

fn unusable(path: &Path, error: &FormError) -> Failed {
    let what = format!("the key {} cannot be read", path.display());
    Report::new(Exit::Usage, what).cause(error).fail()
}

/// Writes a new file: for its owner alone if it is `secret`. Never overwrites.
pub(crate) fn write(path: &Path, octets: &[u8], secret: bool) -> Result<(), Failed> {
    let written = match secret {
        true => write_private(path, octets),
        false => std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .and_then(|mut file| file.write_all(octets).and_then(|()| file.sync_all())),
    };
    written.map_err(|error| {
        let report = Report::new(
            Exit::Usage,
            format_args!("{} cannot be written", path.display()),
        );
        let exists = error.kind() == std::io::ErrorKind::AlreadyExists;
        let report = report.cause(error);
        match exists {
            true => report
                .hint("a key is never overwritten: choose another name")
                .fail(),
            false => report.fail(),
        }
    })
}
