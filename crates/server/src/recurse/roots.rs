//! Where resolution begins: files of the known forms (4.6), or addresses.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use guantong_core::resolve::{RootError, Roots};
use guantong_proto::data::Site;
use guantong_proto::file::Bootstrap;
use guantong_proto::json::parse_site;

use crate::config::Root;

/// Largest file read, so that a wrong path does not fill memory.
const FILE_LEN_MAX: u64 = 4 * 1024 * 1024;
/// Port of the native protocol by custom.
const NATIVE_PORT: u16 = 2_641;

/// The roots that the settings name.
pub fn load(root: &Root) -> Result<Roots, RootsError> {
    match root {
        Root::File(path) => load_file(path),
        Root::Addresses(addresses) => {
            Roots::from_addresses(addresses).map_err(|error| RootsError::Unusable {
                what: "the addresses of root servers".to_owned(),
                why: error.to_string(),
            })
        }
    }
}

/// What a person calls the root: a file, an address, a host name; a port may follow.
pub fn parse(text: &str) -> Result<Root, RootsError> {
    if Path::new(text).is_file() {
        return Ok(Root::File(text.into()));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Root::Addresses(vec![address]));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Root::Addresses(vec![(address, NATIVE_PORT).into()]));
    }
    let unknown = |why: String| RootsError::Unusable {
        what: format!("`{text}`"),
        why,
    };
    let found = match text.contains(':') {
        true => text.to_socket_addrs(),
        false => (text, NATIVE_PORT).to_socket_addrs(),
    };
    let found = found.map_err(|error| {
        unknown(format!(
            "it is no file, no address, and no host name that can be looked up ({error})"
        ))
    })?;
    Ok(Root::Addresses(found.collect()))
}

fn load_file(path: &Path) -> Result<Roots, RootsError> {
    let octets = read_bounded(path).map_err(|source| RootsError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    decode(&octets).map_err(|why| RootsError::Unusable {
        what: path.display().to_string(),
        why,
    })
}

/// Tells the forms apart: JSON begins with a brace, `root_info` with its length.
fn decode(octets: &[u8]) -> Result<Roots, String> {
    let text = |error: RootError| error.to_string();
    if octets.trim_ascii_start().starts_with(b"{") {
        // A file with both would be neither form.
        return match Bootstrap::parse(octets) {
            Ok(bootstrap) => Roots::from_bootstrap(&bootstrap).map_err(text),
            Err(bootstrap) => match parse_site(octets) {
                Ok(site) => Roots::from_sites(&[site]).map_err(text),
                Err(site) => Err(format!(
                    "it is neither `bootstrap_handles` ({bootstrap}) nor `siteinfo.json` ({site})"
                )),
            },
        };
    }
    let announced = octets.first_chunk().map(|len| i32::from_be_bytes(*len));
    let rest = i32::try_from(octets.len().saturating_sub(4)).ok();
    if announced.is_some() && announced == rest {
        return Roots::from_root_info(octets).map_err(text);
    }
    match Site::decode(octets) {
        Ok(site) => Roots::from_sites(&[site]).map_err(text),
        Err(error) => Err(format!(
            "it is none of `root_info`, `bootstrap_handles`, `siteinfo.json` and `siteinfo.bin` \
             ({error})"
        )),
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let len = std::fs::metadata(path)?.len();
    if len > FILE_LEN_MAX {
        let text = format!("it has {len} octets, such files have at most {FILE_LEN_MAX}");
        return Err(io::Error::other(text));
    }
    std::fs::read(path)
}

//----------- RootsError -----------------------------------------------------

/// Why there is no root to begin at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootsError {
    /// The file cannot be read.
    #[error("the root file {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was given names no root.
    #[error("{what} does not say where the root is: {why}")]
    Unusable {
        /// What was given.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use guantong_proto::json::SiteForm;

    use super::*;

    fn roots() -> Roots {
        Roots::from_addresses(&["192.0.2.1:2641".parse().unwrap()]).unwrap()
    }

    #[track_caller]
    fn check(octets: &[u8]) {
        let found = decode(octets).unwrap();
        assert_eq!(found.sites(), roots().sites());
    }

    #[test]
    fn every_known_form_of_root_file_is_read() {
        let site = &roots().sites()[0].clone();
        check(&roots().to_root_info());
        check(&site.encode());
        let json = serde_json::to_string(&SiteForm::new(site)).unwrap();
        check(format!("\n {json}").as_bytes());
        let value = serde_json::json!({
            "index": 1, "type": "HS_SITE", "data": {"format": "site", "value":
                serde_json::to_value(SiteForm::new(site)).unwrap()},
        });
        let handles = serde_json::json!({"handles": {"0.NA/0.NA": {
            "handle": "0.NA/0.NA", "values": [value]}}});
        check(handles.to_string().as_bytes());
    }

    #[test]
    fn other_files_are_refused_with_the_forms_that_would_do() {
        for octets in [&b""[..], b"x", b"{", b"{\"handles\":{}}", b"root = 1"] {
            assert!(decode(octets).is_err());
        }
        let says = decode(b"root = 1").unwrap_err();
        assert!(says.contains("`siteinfo.json`"), "{says}");
    }

    #[test]
    fn address_without_a_port_means_the_native_port() {
        let addresses = |text: &str| match parse(text).unwrap() {
            Root::Addresses(addresses) => addresses,
            Root::File(path) => unreachable!("{}", path.display()),
        };
        assert_eq!(addresses("192.0.2.1"), ["192.0.2.1:2641".parse().unwrap()]);
        assert_eq!(addresses("[::1]:9"), ["[::1]:9".parse().unwrap()]);
        assert!(parse("no file, no host").is_err());
    }
}
