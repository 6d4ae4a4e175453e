//! The data of a value in words, by its type.

use guantong_client::printable;
use guantong_proto::Value;
use guantong_proto::data::site::{HashOption, Interface, InterfaceKind, Server};
use guantong_proto::data::{Admin, AdminPermissions, Data, PublicKey, Site};
use unicode_width::UnicodeWidthStr;

use super::json;

/// Rows of a hex dump that are shown.
const DUMP_ROWS_MAX: usize = 4;
/// Octets in a row of a hex dump.
const DUMP_ROW_LEN: usize = 16;
/// JSON longer than this is spread over lines if the output is not a terminal.
const JSON_COLUMNS: usize = 100;

/// The data of `value`, line by line; not wrapped yet.
pub(super) fn lines(value: &Value, columns: Option<usize>) -> Vec<String> {
    match Data::decode(&value.kind, &value.data) {
        Data::Admin(admin) => vec![admin_line(&admin)],
        Data::List(list) => list.0.iter().map(|r| printable(&r.to_string())).collect(),
        Data::Site(site) => site_lines(&site),
        Data::PublicKey(key) => vec![key_line(&key)],
        Data::SecretKey(secret) => vec![format!("secret of {} octets", secret.as_bytes().len())],
        Data::Service(target) | Data::Alias(target) => vec![printable(target.handle().as_str())],
        Data::Namespace(namespace) => text_lines(namespace.as_str()),
        _ => opaque_lines(&value.data, columns.unwrap_or(JSON_COLUMNS)),
    }
}

//----------- Typed data -----------------------------------------------------

fn admin_line(admin: &Admin) -> String {
    let identity = &admin.identity;
    let who = match identity.index {
        0 => format!("any key of {}", printable(&identity.handle)),
        index => format!("{index}:{}", printable(&identity.handle)),
    };
    format!("{who} may {}", permissions(admin.permissions))
}

/// Permissions of an administrator in words.
fn permissions(permissions: AdminPermissions) -> String {
    if permissions.contains(AdminPermissions::ALL) {
        return "do everything".to_owned();
    }
    let names: Vec<_> = permissions.names().collect();
    match names.is_empty() {
        true => "do nothing".to_owned(),
        false => names.join(", "),
    }
}

/// A site record, line by line.
pub(crate) fn site_lines(site: &Site) -> Vec<String> {
    let role = match (site.is_primary(), site.is_multi_primary()) {
        (true, false) => "primary",
        (_, true) => "one of several primaries",
        (false, false) => "mirror",
    };
    let hashed = match site.hash_option {
        HashOption::Prefix => "prefix",
        HashOption::Suffix => "suffix",
        _ => "whole handle",
    };
    let (major, minor) = site.protocol;
    let mut lines = vec![format!(
        "{role} site, serial {}, protocol {major}.{minor}",
        site.serial
    )];
    if site.servers.len() > 1 {
        lines.push(format!(
            "{} servers, chosen by the {hashed}",
            site.servers.len()
        ));
    }
    for attribute in &site.attributes {
        let (name, value) = (printable(&attribute.name), printable(&attribute.value));
        lines.push(format!("{name}: {value}"));
    }
    for server in &site.servers {
        lines.extend(server_lines(server));
    }
    lines
}

fn server_lines(server: &Server) -> Vec<String> {
    let key = match server.key() {
        _ if server.public_key.is_empty() => "no key".to_owned(),
        Ok(key) => key_line(&key),
        Err(_) => format!("{} octets that are no key", server.public_key.len()),
    };
    let mut lines = vec![format!("server {} at {}, {key}", server.id, server.address)];
    lines.extend(
        server
            .interfaces
            .iter()
            .map(|interface| format!("  {}", port(interface))),
    );
    lines
}

fn port(interface: &Interface) -> String {
    let protocol = match interface.protocol.name() {
        Some(name) => name.to_lowercase(),
        None => format!("protocol {}", interface.protocol.0),
    };
    let purpose = match interface.kind {
        InterfaceKind::OUT_OF_SERVICE => "out of service".to_owned(),
        InterfaceKind::ADMIN => "administration".to_owned(),
        InterfaceKind::QUERY => "resolution".to_owned(),
        InterfaceKind::BOTH => "resolution and administration".to_owned(),
        InterfaceKind(other) => format!("purpose {other}"),
    };
    format!("{protocol} {}: {purpose}", interface.port)
}

fn key_line(key: &PublicKey) -> String {
    match key {
        PublicKey::Rsa(key) => format!("RSA key of {} bits", key.modulus.bits()),
        PublicKey::Dsa(key) => format!("DSA key of {} bits", key.p.bits()),
        PublicKey::Dh(key) => format!("Diffie-Hellman key of {} bits", key.p.bits()),
        PublicKey::Sm2(_) | PublicKey::Sm2Pem(_) => "SM2 key".to_owned(),
        PublicKey::Sm9(identity) => format!("SM9 key of {}", printable(identity)),
        PublicKey::Pem(text) => match text.lines().nth(1) {
            Some(line) => format!("key in PEM, {}…", printable(line.trim_end())),
            None => "key in PEM".to_owned(),
        },
        _ => "key of an unknown form".to_owned(),
    }
}

//----------- Opaque data ----------------------------------------------------

/// Text as it is, JSON made readable if it is long, everything else as a hex dump.
fn opaque_lines(octets: &[u8], columns: usize) -> Vec<String> {
    let is_odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    let text = std::str::from_utf8(octets).ok();
    let Some(text) = text.filter(|text| !text.contains(is_odd)) else {
        return dump(octets);
    };
    if text.width() > columns
        && let Some(pretty) = json::pretty(text)
    {
        return text_lines(&pretty);
    }
    text_lines(text)
}

fn text_lines(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| printable(&line.replace('\t', "    ")))
        .collect()
}

fn dump(octets: &[u8]) -> Vec<String> {
    let mut lines = vec![format!("{} octets", octets.len())];
    for row in octets.chunks(DUMP_ROW_LEN).take(DUMP_ROWS_MAX) {
        let hex: Vec<String> = row.iter().map(|octet| format!("{octet:02x}")).collect();
        let seen = |&octet: &u8| match octet {
            b' '..=b'~' => char::from(octet),
            _ => '.',
        };
        let text: String = row.iter().map(seen).collect();
        let columns = DUMP_ROW_LEN * 3;
        lines.push(format!("  {:columns$} {text}", hex.join(" ")));
    }
    let shown = DUMP_ROW_LEN * DUMP_ROWS_MAX;
    if octets.len() > shown {
        lines.push(format!("  … {} more", octets.len() - shown));
    }
    lines
}
