//! Making a new node: folder, settings, keys, store, prefix record.
//!
//! Nothing is overwritten: the folder must be empty or not exist. The server key stays with the
//! node, the administrator's private key belongs to the operator and is needed by no running node.

use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use guantong_core::admin::Identity;
use guantong_core::identity;
use guantong_proto::data::PublicKey;
use guantong_proto::{CaseRule, Handle, NameError, Value};
use guantong_store::{
    Batch, Change, CreateOptions, Expect, OpenError, Options, Origin, Store, Trail, WriteError,
};
use ring::rand::{SecureRandom, SystemRandom};

use crate::config::{Config, FILE_NAME, Preset, PresetListen, PresetRecurse, file_text, parse};
use crate::key::form::{Form, FormError, KeyPair, Kind};
use crate::key::{self, KeyError};
use crate::publish::{KEY_INDEX, prefix_record, site_type, wire};
use crate::site::{Addresses, site_record};

/// File of the administrator's private key.
pub const ADMIN_KEY: &str = "admin_key.pem";
/// File of the code by which the first administrator is made over HTTP. Once it is used it is gone.
pub const SET_UP_CODE: &str = "setup_code";

//----------- Role -----------------------------------------------------------

/// The place of a node in the network. It decides what `init` prepares, not what the node can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Keeps the top prefixes: homes `0.NA`.
    Root,
    /// Keeps second-level prefixes.
    TopLevel,
    /// Keeps enterprise prefixes.
    SecondLevel,
    /// Keeps its own identifiers.
    #[default]
    Enterprise,
    /// Holds nothing of its own: resolves for its clients.
    Recursive,
}

impl Role {
    /// All of them, for help texts.
    pub const ALL: [Self; 5] = [
        Self::Root,
        Self::TopLevel,
        Self::SecondLevel,
        Self::Enterprise,
        Self::Recursive,
    ];

    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::TopLevel => "top-level",
            Self::SecondLevel => "second-level",
            Self::Enterprise => "enterprise",
            Self::Recursive => "recursive",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let role = Self::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            format!("`{text}` is no role; there are: {all}")
        })
    }
}

/// Whether a new node has groups for the roles of people (角色), and a code by which the first
/// administrator is made over HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoleGroups {
    /// It has.
    Made,
    /// It has not, yet.
    #[default]
    Not,
}

//----------- init -----------------------------------------------------------

/// What is known about a new node. Everything may be left out.
#[derive(Clone, Debug, Default)]
pub struct InitOptions {
    /// Its prefix, with or without `0.NA/`. Without one the node homes nothing yet; a root homes
    /// `0.NA` in any case.
    pub prefix: Option<String>,
    /// Its place in the network.
    pub role: Role,
    /// Its name.
    pub name: Option<String>,
    /// The address that is published.
    pub address: Option<IpAddr>,
    /// The description that is published.
    pub description: Option<String>,
    /// Where it listens.
    pub listen: Option<PresetListen>,
    /// For whom it resolves names that live elsewhere; the role [`Role::Recursive`] needs it.
    pub recurse: Option<PresetRecurse>,
    /// Whether people get roles under the prefix.
    pub roles: RoleGroups,
    /// Passphrase with which the administrator's key is encrypted; `None` leaves it clear.
    pub admin_passphrase: Option<Vec<u8>>,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The configuration file.
    pub config: PathBuf,
    /// The node's private key.
    pub server_key: PathBuf,
    /// The administrator's private key, if there is a prefix.
    pub admin_key: Option<PathBuf>,
    /// The prefix record, if there is a prefix.
    pub prefix: Option<Handle>,
    /// What to do next, a line each.
    pub next_steps: Vec<String>,
}

/// Makes a new node in `dir`.
pub fn init(dir: &Path, options: &InitOptions) -> Result<Made, InitError> {
    let prefix = prefix_of(options)?;
    if options.role == Role::Recursive && options.recurse.is_none() {
        return Err(InitError::NoRoot);
    }
    make_folder(dir)?;
    let dir = &dir
        .canonicalize()
        .map_err(|source| file_error(dir, source))?;
    let preset = Preset {
        name: options.name.clone().or_else(|| {
            let prefix = prefix.as_ref()?.borrow().suffix().to_owned();
            Some(format!("{} {prefix}", options.role.as_str())).filter(|name| name.len() <= 64)
        }),
        address: options.address,
        description: options.description.clone(),
        primary: None,
        listen: options.listen.clone(),
        recurse: options.recurse.clone(),
        // Whoever holds the administrator's key has the node.
        server_admins: prefix.iter().map(administrator_of).collect(),
    };
    let text = file_text(&preset);
    let config = parse(&text, dir).map_err(|problems| {
        let lines: Vec<_> = problems
            .iter()
            .map(|problem| format!("{}: {}", problem.setting, problem.text))
            .collect();
        InitError::Options(lines.join("; "))
    })?;
    let server_key = key::make(&config.site.key)?;
    let store = Store::create(&config.data, &create_options(&config), &Options::default())?;
    let admin_key = match &prefix {
        None => None,
        Some(prefix) => {
            let path = dir.join(ADMIN_KEY);
            let admin = make_admin_key(&path, options.admin_passphrase.as_deref())?;
            let addresses = Addresses::configured(&config.listen);
            // With a port that is chosen at start the record is written then.
            let site = (!addresses.has_free_port()).then(|| {
                let record = site_record(&config.site, &server_key, &addresses).encode();
                (site_type(config.site.address), record)
            });
            let mut values = prefix_record(prefix, site, &admin, now_secs());
            if options.roles == RoleGroups::Made {
                values.extend(identity::role_values(prefix.borrow()).into_iter().map(now));
                make_set_up_code(&dir.join(SET_UP_CODE))?;
            }
            write_prefix(&store, prefix, &values, options.roles)?;
            Some(path)
        }
    };
    drop(store);
    // The file comes last: a folder with it is a complete node.
    let file = dir.join(FILE_NAME);
    key::write_private(&file, text.as_bytes()).map_err(|source| file_error(&file, source))?;
    Ok(Made {
        next_steps: next_steps(
            &file,
            prefix.as_ref(),
            admin_key.as_deref(),
            &config,
            options.roles,
        ),
        config: file,
        server_key: config.site.key,
        admin_key,
        prefix,
    })
}

/// Makes the administrator's key, which stays with the operator; its public half.
fn make_admin_key(path: &Path, passphrase: Option<&[u8]>) -> Result<PublicKey, InitError> {
    let unusable = |error: FormError| KeyError::Unusable {
        path: path.to_owned(),
        why: error.to_string(),
    };
    let pair = KeyPair::generate(Kind::Rsa(key::RSA_BITS)).map_err(unusable)?;
    let text = pair.write(Form::Pem, passphrase).map_err(unusable)?;
    key::write_private(path, &text).map_err(|source| KeyError::Unwritable {
        path: path.to_owned(),
        source,
    })?;
    Ok(pair.signing().public_key())
}

/// The prefix record's handle.
fn prefix_of(options: &InitOptions) -> Result<Option<Handle>, InitError> {
    let name = match (&options.prefix, options.role) {
        (Some(prefix), _) => prefix.as_str(),
        (None, Role::Root) => "0.NA/0.NA",
        (None, _) => return Ok(None),
    };
    Ok(Some(Handle::of_prefix(name)?))
}

/// The identity of the administrator's key, which goes into the prefix record.
fn administrator_of(prefix: &Handle) -> Identity {
    Identity {
        handle: prefix.clone(),
        index: KEY_INDEX,
    }
}

/// Makes the folder, for its owner alone, or takes an empty one.
fn make_folder(dir: &Path) -> Result<(), InitError> {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(InitError::NotEmpty(dir.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut builder = std::fs::DirBuilder::new();
            let made = builder.recursive(true).mode(0o700).create(dir);
            made.map_err(|source| file_error(dir, source))
        }
        Err(source) => Err(file_error(dir, source)),
    }
}

fn create_options(config: &Config) -> CreateOptions {
    let mut id = [0; 16];
    SystemRandom::new()
        .fill(&mut id)
        .expect("the keys above were made from the same source of random octets");
    CreateOptions {
        case_rule: CaseRule::clone(&config.case_rule),
        id,
    }
}

fn write_prefix(
    store: &Store,
    prefix: &Handle,
    values: &[Value],
    roles: RoleGroups,
) -> Result<(), InitError> {
    let put = |handle: Handle, values: &[Value]| Change::Put {
        handle,
        values: wire(values),
        expect: Expect::Absent,
    };
    let home = Change::Home {
        prefix: prefix.clone(),
    };
    let mut changes = vec![home, put(prefix.clone(), values)];
    if roles == RoleGroups::Made {
        for role in identity::Role::ALL {
            let group = role.group(prefix.borrow());
            let values = identity::group_values(prefix.borrow(), Vec::new());
            let values: Vec<Value> = values.into_iter().map(now).collect();
            changes.extend(group.map(|group| put(group, &values)));
        }
    }
    let batch = Batch {
        changes,
        at_ms: u64::from(now_secs()) * 1_000,
        origin: Origin::Operator,
        trail: Trail::default(),
    };
    store.submit(batch).wait()?;
    Ok(())
}

/// The code by which the first administrator is made over HTTP: for the owner of the folder alone.
fn make_set_up_code(path: &Path) -> Result<(), InitError> {
    let mut octets = [0; 16];
    SystemRandom::new()
        .fill(&mut octets)
        .expect("the keys above were made from the same source of random octets");
    let code = format!("{:032x}\n", u128::from_be_bytes(octets));
    key::write_private(path, code.as_bytes()).map_err(|source| file_error(path, source))
}

/// A value that is written now.
fn now(value: Value) -> Value {
    Value {
        timestamp: now_secs(),
        ..value
    }
}

fn now_secs() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
    })
}

fn next_steps(
    file: &Path,
    prefix: Option<&Handle>,
    admin_key: Option<&Path>,
    config: &Config,
    roles: RoleGroups,
) -> Vec<String> {
    let file = file.display();
    let mut steps = vec![
        format!("read and change the settings:  {file}"),
        format!("check them:                    guantong check --config {file}"),
        format!("start the node:                guantong serve --config {file}"),
    ];
    if let Some(prefix) = prefix {
        steps.push(format!(
            "ask it:                        guantong resolve {prefix} --config {file}"
        ));
    } else {
        steps.push(match config.recurse.is_on() {
            true => {
                format!("resolve something with it:     guantong resolve HANDLE --config {file}")
            }
            false => "take over a prefix:            guantong prefix home PREFIX".to_owned(),
        });
    }
    if let (Some(prefix), RoleGroups::Made) = (prefix, roles) {
        let prefix = prefix.borrow().suffix();
        steps.push(format!(
            "make an administrator:         guantong identity add-user {prefix}/User_NAME \
             --role administrators --config {file}"
        ));
        if let Some(console) = config.listen.console {
            steps.push(format!(
                "or in a browser, by {SET_UP_CODE}: http://{console}/setup"
            ));
        }
    }
    if let Some(admin_key) = admin_key {
        steps.push(format!(
            "keep safe, away from the node: {}",
            admin_key.display()
        ));
    }
    if config.site.address.is_loopback() {
        steps.push(format!(
            "only this machine can reach it; to serve others set site.address and listen in {file}"
        ));
    }
    steps
}

//----------- InitError ------------------------------------------------------

fn file_error(path: &Path, source: io::Error) -> InitError {
    InitError::File {
        path: path.to_owned(),
        source,
    }
}

/// Why a node could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// Something is there already.
    #[error("{} is not empty: a new node needs a folder that is empty or does not exist", .0.display())]
    NotEmpty(PathBuf),
    /// The prefix is no prefix.
    #[error(transparent)]
    Prefix(#[from] NameError),
    /// The options make no valid configuration.
    #[error("{0}")]
    Options(String),
    /// A recursive node was asked for without a root.
    #[error("a recursive node must know where the root is; name it with --root")]
    NoRoot,
    /// A key could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store could not be made.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The prefix record could not be written.
    #[error("the prefix record could not be written: {0}")]
    Write(#[from] WriteError),
    /// A file or folder could not be made.
    #[error("{} cannot be made: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
