//! The `data` element of a value: `{"format":…,"value":…}`.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::data::{Admin, AdminPermissions, Data, List, PublicKey, Site};

use super::jwk::{self, Jwk};
use super::read::{JsonError, Node};
use super::site::{self, SiteForm};
use super::{ReferenceForm, read_reference, read_references};

/// What a `data` element must be.
pub(super) const EXPECTED: &str = "text, or an object `{\"format\":…,\"value\":…}`";

//----------- DataForm -------------------------------------------------------

/// The form chosen for the data of a value.
pub(super) enum DataForm<'a> {
    String(&'a str),
    Base64(&'a [u8]),
    Admin(Admin),
    List(List),
    Site(Site),
    Key(PublicKey),
}

impl<'a> DataForm<'a> {
    /// The typed form if it holds the octets exactly, else text if they look like it, else base64.
    pub(super) fn choose(kind: &[u8], octets: &'a [u8]) -> Self {
        if Data::is_opaque(kind) {
            return Self::plain(octets);
        }
        let data = Data::decode(kind, octets);
        let is_exact = !matches!(data, Data::Opaque(_)) && data.encode() == octets;
        let typed = match data {
            Data::Admin(admin) if is_exact => Some(Self::Admin(admin)),
            Data::List(list) if is_exact => Some(Self::List(list)),
            Data::Site(site) if is_exact && site::is_exact(&site) => Some(Self::Site(site)),
            Data::PublicKey(key) if is_exact && jwk::is_exact(&key) => Some(Self::Key(key)),
            _ => None,
        };
        typed.unwrap_or_else(|| Self::plain(octets))
    }

    fn plain(octets: &'a [u8]) -> Self {
        match as_text(octets) {
            Some(text) => Self::String(text),
            None => Self::Base64(octets),
        }
    }
}

/// The octets as text: valid UTF-8 without control characters, except tab and line ends.
fn as_text(octets: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(octets).ok()?;
    // Most text is plain ASCII, which is seen without taking it apart.
    if octets.iter().all(|octet| matches!(octet, b' '..=b'~')) {
        return Some(text);
    }
    let is_binary = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    (!text.contains(is_binary)).then_some(text)
}

impl Serialize for DataForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shape = serializer.serialize_struct("data", 2)?;
        let format = match self {
            Self::String(_) => "string",
            Self::Base64(_) => "base64",
            Self::Admin(_) => "admin",
            Self::List(_) => "vlist",
            Self::Site(_) => "site",
            Self::Key(_) => "key",
        };
        shape.serialize_field("format", format)?;
        match self {
            Self::String(text) => shape.serialize_field("value", text)?,
            Self::Base64(octets) => shape.serialize_field("value", &STANDARD.encode(octets))?,
            Self::Admin(admin) => shape.serialize_field("value", &AdminForm::new(admin))?,
            Self::List(list) => {
                let references = list.0.iter().map(|r| ReferenceForm {
                    handle: Cow::Borrowed(&r.handle),
                    index: r.index,
                });
                shape.serialize_field("value", &references.collect::<Vec<_>>())?;
            }
            Self::Site(site) => shape.serialize_field("value", &SiteForm::in_value(site))?,
            Self::Key(key) => shape.serialize_field("value", &Jwk(key))?,
        }
        shape.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AdminForm<'a> {
    handle: &'a str,
    index: i32,
    permissions: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    legacy_byte_length: bool,
}

impl<'a> AdminForm<'a> {
    fn new(admin: &'a Admin) -> Self {
        Self {
            handle: &admin.identity.handle,
            index: admin.identity.index,
            permissions: admin.permissions.to_string(),
            legacy_byte_length: admin.legacy_length,
        }
    }
}

//----------- Reading --------------------------------------------------------

/// The octets that a `data` element stands for.
pub(super) fn read(node: &Node<'_>) -> Result<Vec<u8>, JsonError> {
    if let Some(text) = node.json().as_str() {
        return Ok(text.as_bytes().to_vec());
    }
    node.object(EXPECTED)?;
    const FORMATS: &str = "one of \"string\", \"base64\", \"hex\", \"admin\", \"vlist\", \"site\", \
                           \"key\"";
    let format = node.required("format", FORMATS)?;
    let name = format.text(FORMATS)?;
    let value = node.required("value", "the data in that format")?;
    match name {
        "string" => Ok(value.text("text")?.as_bytes().to_vec()),
        "base64" => read_base64(&value),
        "hex" => read_hex(&value),
        "admin" => read_admin(&value).map(|admin| admin.encode()),
        "vlist" => read_references(&value).map(|references| List(references).encode()),
        "site" => site::read(&value).map(|site| site.encode()),
        "key" => jwk::read(&value).map(|key| key.encode()),
        _ => Err(format.expected(FORMATS)),
    }
}

/// Standard base64; the padding may be missing.
pub(super) fn read_base64(node: &Node<'_>) -> Result<Vec<u8>, JsonError> {
    let text = node.text("base64 text")?;
    let octets = jwk::LENIENT_STANDARD.decode(text.trim());
    octets.map_err(|error| node.expected(format!("base64 text ({error})")))
}

fn read_hex(node: &Node<'_>) -> Result<Vec<u8>, JsonError> {
    const EXPECTED: &str = "an even number of hexadecimal digits";
    let digits = node.text(EXPECTED)?.as_bytes();
    let digit = |c: u8| {
        char::from(c)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let octet = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    let octets = digits.chunks(2).map(octet).collect::<Option<Vec<u8>>>();
    octets.ok_or_else(|| node.expected(EXPECTED))
}

fn read_admin(node: &Node<'_>) -> Result<Admin, JsonError> {
    node.object("an administrator `{\"handle\":…,\"index\":…,\"permissions\":…}`")?;
    let identity = read_reference(node)?;
    let permissions = node.required("permissions", ADMIN_PERMISSIONS)?;
    let legacy_length = node
        .field("legacyByteLength")
        .map(|flag| flag.bool())
        .transpose()?;
    Ok(Admin {
        permissions: read_admin_permissions(&permissions)?,
        identity,
        legacy_length: legacy_length.unwrap_or(false),
    })
}

const ADMIN_PERMISSIONS: &str = "twelve characters 0 or 1 such as \"011111110011\", \"*\" for all, \
                                 true or false, a number, or a list of twelve flags";

/// Text of twelve characters, `*`, a truth value for all or none, the number itself, or a list in
/// the order of the text form.
fn read_admin_permissions(node: &Node<'_>) -> Result<AdminPermissions, JsonError> {
    use serde_json::Value as Json;
    let permissions = match node.json() {
        Json::Bool(true) => Some(AdminPermissions::ALL),
        Json::Bool(false) => Some(AdminPermissions::default()),
        Json::Number(number) => number
            .as_u64()
            .and_then(|n| u16::try_from(n).ok())
            .map(AdminPermissions),
        Json::String(text) if text == "*" => Some(AdminPermissions::ALL),
        Json::String(text) => AdminPermissions::parse(text),
        Json::Array(flags) => {
            let flag = |json: &Json| match json {
                Json::Bool(flag) => Some(*flag),
                Json::Number(number) => number.as_u64().filter(|n| *n <= 1).map(|n| n == 1),
                _ => None,
            };
            let text = flags
                .iter()
                .map(|json| flag(json).map(|f| if f { '1' } else { '0' }));
            text.collect::<Option<String>>()
                .and_then(|text| AdminPermissions::parse(&text))
        }
        _ => None,
    };
    permissions.ok_or_else(|| node.expected(ADMIN_PERMISSIONS))
}
