//! The node of this machine: its settings, its store or control socket, and its addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use guantong_client::{Endpoint, Transport};
use guantong_server::config::{self, Config, ConfigErrors, FILE_NAME};
use guantong_server::control::{self, Control, OpenFault, Place};
use guantong_server::node::wall_clock_ms;
use guantong_server::running::addresses_of_running;
use guantong_server::site::Addresses;
use guantong_store::Options;

use crate::failed::{Exit, Failed, Report};

//----------- NodeArgs -------------------------------------------------------

/// Which node a local command means; flattened into the arguments of such commands.
#[derive(Debug, clap::Args)]
pub(crate) struct NodeArgs {
    /// Configuration of the node: the file, or the folder that holds guantong.toml
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "GUANTONG_CONFIG",
        default_value = FILE_NAME
    )]
    config: PathBuf,
}

impl NodeArgs {
    /// The configuration file.
    pub(crate) fn file(&self) -> PathBuf {
        match self.config.is_dir() {
            true => self.config.join(FILE_NAME),
            false => self.config.clone(),
        }
    }

    /// The configuration.
    pub(crate) fn load(&self) -> Result<Config, Failed> {
        config::load(&self.file()).map_err(|errors| wrong_configuration(&errors))
    }

    /// The configuration; `None` if nobody asked for one and there is none where we are.
    pub(crate) fn load_if_any(&self) -> Result<Option<Config>, Failed> {
        match self.config == Path::new(FILE_NAME) && !self.config.exists() {
            true => Ok(None),
            false => self.load().map(Some),
        }
    }
}

/// Reports everything that is wrong with a configuration.
pub(super) fn wrong_configuration(errors: &ConfigErrors) -> Failed {
    let mut report = Report::new(Exit::Usage, "the configuration cannot be used");
    for line in errors.to_string().lines() {
        report = report.cause(line);
    }
    report.fail()
}

//----------- Store ----------------------------------------------------------

/// The running node of a configuration, or its store if it does not run.
pub(super) fn control_of(config: &Config) -> Result<Box<dyn Control>, OpenFault> {
    let place = Place {
        control: config.control.clone(),
        store: config.data.clone(),
        options: Options {
            memory_bytes: config.store.memory.0,
            ..Options::default()
        },
        files: config.files.folder.clone(),
        trust: config.trust.clone(),
    };
    control::open(&place, wall_clock_ms)
}

//----------- Addresses ------------------------------------------------------

/// The ways to reach the node of a configuration, whether it runs or not, in the order in which
/// they are tried.
pub(super) fn endpoints(config: &Config) -> Vec<Endpoint> {
    let addresses = addresses_of_running(config);
    let addresses = addresses.unwrap_or_else(|| Addresses::configured(&config.listen));
    let mut endpoints = endpoints_of(&addresses);
    // Over HTTPS there is nothing that plain HTTP on the same port has not tried.
    endpoints.retain(|endpoint| endpoint.transport != Transport::Https && endpoint.port != 0);
    endpoints
}

/// Every way to reach a node that listens at `addresses`, as this machine can use it.
pub(super) fn endpoints_of(addresses: &Addresses) -> Vec<Endpoint> {
    let all = [
        (Transport::Udp, &addresses.udp),
        (Transport::Tcp, &addresses.tcp),
        (Transport::Http, &addresses.http),
        (Transport::Https, &addresses.http),
    ];
    let all = all.into_iter().flat_map(|(transport, addresses)| {
        addresses.iter().map(move |address| {
            Endpoint::new(transport, reachable(*address).to_string(), address.port())
        })
    });
    all.collect()
}

/// Who listens on every address is asked at loopback.
fn reachable(address: SocketAddr) -> IpAddr {
    match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_given_as_configuration_means_the_file_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let args = NodeArgs {
            config: folder.path().into(),
        };
        assert_eq!(args.file(), folder.path().join(FILE_NAME));
        let args = NodeArgs {
            config: "other.toml".into(),
        };
        assert_eq!(args.file(), PathBuf::from("other.toml"));
    }

    #[test]
    fn node_that_listens_everywhere_is_asked_at_loopback() {
        let addresses = Addresses {
            udp: vec!["0.0.0.0:1".parse().unwrap(), "[::]:2".parse().unwrap()],
            tcp: vec!["192.0.2.1:3".parse().unwrap()],
            ..Addresses::default()
        };
        let texts: Vec<_> = endpoints_of(&addresses)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            texts,
            ["udp://127.0.0.1:1", "udp://[::1]:2", "tcp://192.0.2.1:3"]
        );
    }
}
