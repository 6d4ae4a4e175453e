//! Reading the configuration again while the node runs: all or nothing.
//!
//! Everything that the new settings name is loaded and checked before anything changes. What cannot
//! change while the node runs keeps its old value, and is named so that the operator knows.

use crate::config::{Config, ConfigErrors, RecurseConfig, load};
use crate::key::{KeyError, ServerKey};
use crate::listen::tls::{self, TlsError};
use crate::log;
use crate::node::{Node, StartError};

/// What a successful reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Sections whose new values are in force.
    pub applied: Vec<&'static str>,
    /// Settings whose new values need a restart.
    pub needs_restart: Vec<&'static str>,
}

/// Reads the file that the node was started with, and puts it in force.
pub(crate) fn reload(node: &Node) -> Result<Reloaded, ReloadError> {
    let file = node.config().file.clone();
    let outcome = match file {
        None => Err(ReloadError::NoFile),
        Some(file) => load(&file).map_err(ReloadError::from),
    };
    match outcome {
        Ok(config) => apply(node, config),
        Err(error) => Err(refused(node, error)),
    }
}

/// Puts `config` in force.
pub(crate) fn apply(node: &Node, config: Config) -> Result<Reloaded, ReloadError> {
    match try_apply(node, config) {
        Ok(reloaded) => {
            node.metrics.reloaded(true, node.now_ms() / 1_000);
            tracing::info!(applied = ?reloaded.applied, "the configuration was read again");
            if !reloaded.needs_restart.is_empty() {
                tracing::warn!(
                    settings = ?reloaded.needs_restart,
                    "these settings have changed and need a restart"
                );
            }
            Ok(reloaded)
        }
        Err(error) => Err(refused(node, error)),
    }
}

fn refused(node: &Node, error: ReloadError) -> ReloadError {
    node.metrics.reloaded(false, node.now_ms() / 1_000);
    tracing::error!(%error, "the new configuration is refused, the old one stays in force");
    error
}

fn try_apply(node: &Node, new: Config) -> Result<Reloaded, ReloadError> {
    let (old, tls) = (node.config(), node.tls.get());
    let key = ServerKey::load(&new.site.key)?;
    // Loaded even if the paths are the same: a renewed certificate has its old name.
    let certificate = match tls {
        Some(_) => Some(tls::load_or_make(&new, node.now_ms() / 1_000)?),
        None => None,
    };
    let (effective, reloaded) = merge(&old, new);
    drop(old);
    let log = effective.log;
    node.reconfigure(effective, key)?;
    if let (Some(tls), Some(certificate)) = (tls, certificate) {
        let expires = certificate.expires_secs.unwrap_or(0);
        node.metrics.certificate_expires(expires);
        tls.store(certificate.config);
    }
    log::set_level(log.level);
    Ok(reloaded)
}

/// The settings that will be in force: the new ones, except for what needs a restart.
fn merge(old: &Config, new: Config) -> (Config, Reloaded) {
    let mut reloaded = Reloaded::default();
    // Without a resolver there is nothing that networks could be allowed to use.
    let recursion = old.recurse.root.is_some();
    let recurse = RecurseConfig {
        allow: match recursion {
            true => new.recurse.allow.clone(),
            false => Vec::new(),
        },
        ..old.recurse.clone()
    };
    let applied = [
        ("site", old.site != new.site),
        ("http", old.http != new.http),
        ("compatible", old.compatible != new.compatible),
        ("limits", old.limits != new.limits),
        ("records.references", old.references != new.references),
        (
            "recurse.allow",
            recursion && old.recurse.allow != new.recurse.allow,
        ),
        ("log", old.log.level != new.log.level),
    ];
    let needs_restart = [
        ("node.name", old.name != new.name),
        ("node.data", old.data != new.data),
        ("node.control", old.control != new.control),
        ("node.case_sensitive", old.case_rule != new.case_rule),
        ("listen", old.listen != new.listen),
        ("files", old.files != new.files),
        ("store", old.store != new.store),
        ("recurse", recurse != new.recurse),
        ("trust", old.trust != new.trust),
        ("mirror", old.mirror != new.mirror),
        ("log.format", old.log.format != new.log.format),
    ];
    let names = |changes: &[(&'static str, bool)]| {
        let changed = changes.iter().filter(|(_, changed)| *changed);
        changed.map(|(name, _)| *name).collect()
    };
    reloaded.applied = names(&applied);
    reloaded.needs_restart = names(&needs_restart);
    let mut effective = old.clone();
    effective.site = new.site;
    effective.http = new.http;
    effective.compatible = new.compatible;
    effective.limits = new.limits;
    effective.references = new.references;
    effective.recurse = recurse;
    effective.log.level = new.log.level;
    (effective, reloaded)
}

//----------- ReloadError ----------------------------------------------------

/// Why new settings were refused. The old ones stay in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The node was started without a file.
    #[error("the node was started without a configuration file")]
    NoFile,
    /// The file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The site record that follows is refused.
    #[error(transparent)]
    Site(#[from] StartError),
}
