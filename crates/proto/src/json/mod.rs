//! The Handle JSON form of records, values, sites and keys (clause 8.4), in both directions.
//!
//! One form serves the HTTP interface, `--json` on the command line, import and export. Writing
//! goes straight from wire octets to text ([`ValueForm`], [`RecordForm`]) without a tree in
//! between; fields come in the order in which Handle.Net writes them. Reading accepts what other
//! software writes, defaults included, and names the place of a fault:
//! `values[3].data.value.index`.
//!
//! Nothing is lost on the way: typed data that its JSON form cannot hold exactly (a key without
//! sign octet, an unknown site flag) is written as base64 instead.

mod data;
mod jwk;
mod plain;
mod quick;
mod read;
mod replication;
mod site;
mod state;
mod time;

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::value::{Permissions, Reference, Ttl, Value, ValueRef, Values};

use self::data::DataForm;
pub use self::jwk::{key_from_json, key_to_json, key_to_jwk};
pub use self::plain::PlainValues;
pub use self::quick::{Extent, write_record};
pub use self::read::JsonError;
use self::read::Node;
pub(crate) use self::read::parse as parse_tree;
pub use self::replication::{ReplicationQueue, format_replication_state, parse_replication_state};
pub use self::site::{SiteForm, parse_site, site_from_json};
pub use self::state::StateForm;
pub(crate) use self::state::{read_state, write_state};

//----------- Record ---------------------------------------------------------

/// A record as it was read from JSON: `{"responseCode":1,"handle":…,"values":[…]}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The response code, in answers.
    pub response_code: Option<i32>,
    /// The handle; `None` where the text has none, as in the body of an HTTP request.
    pub handle: Option<String>,
    /// The values.
    pub values: Vec<Value>,
}

impl Record {
    /// Reads a record from JSON text.
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        match plain::read(text) {
            Some(record) => Ok(record),
            None => Self::from_json(&read::parse(text)?),
        }
    }

    /// Reads a record from parsed JSON.
    pub fn from_json(json: &serde_json::Value) -> Result<Self, JsonError> {
        let root = Node::root(json);
        root.object("a record `{\"handle\":…,\"values\":[…]}`")?;
        let response_code = root
            .field("responseCode")
            .map(|node| node.i32())
            .transpose()?;
        let handle = root
            .field("handle")
            .map(|node| node.text("a handle"))
            .transpose()?;
        let values = match root.field("values") {
            Some(node) => read_values(&node)?,
            None => Vec::new(),
        };
        Ok(Self {
            response_code,
            handle: handle.map(str::to_owned),
            values,
        })
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = RecordForm {
            response_code: self.response_code,
            handle: self.handle.as_deref(),
            values: self.values.iter().map(ValueForm::from).collect(),
        };
        form.serialize(serializer)
    }
}

/// Reads the values that an HTTP request carries: an object with `values`, a list of values, or
/// one value alone (8.3).
pub fn parse_values(text: &[u8]) -> Result<Vec<Value>, JsonError> {
    if let Some(values) = plain::read_values(text) {
        return Ok(values);
    }
    let json = read::parse(text)?;
    let root = Node::root(&json);
    if json.is_array() {
        return read_values(&root);
    }
    match root.field("values") {
        Some(values) => read_values(&values),
        None => Ok(vec![read_value(&root)?]),
    }
}

/// Reads one value from parsed JSON.
pub fn value_from_json(json: &serde_json::Value) -> Result<Value, JsonError> {
    read_value(&Node::root(json))
}

fn read_values(node: &Node<'_>) -> Result<Vec<Value>, JsonError> {
    node.list("a list of values")?
        .map(|value| read_value(&value))
        .collect()
}

fn read_value(node: &Node<'_>) -> Result<Value, JsonError> {
    node.object("a value `{\"index\":1,\"type\":\"URL\",\"data\":…}`")?;
    let index = node.required("index", "a number above 0")?.i32()?;
    let kind = node
        .required("type", "a type such as \"URL\"")?
        .text("a type such as \"URL\"")?;
    let data = data::read(&node.required("data", data::EXPECTED)?)?;
    let permissions = node
        .field("permissions")
        .map(|p| read_permissions(&p))
        .transpose()?;
    let ttl = node.field("ttl").map(|ttl| read_ttl(&ttl)).transpose()?;
    let timestamp = node
        .field("timestamp")
        .map(|t| time::read_seconds::<u32>(&t))
        .transpose()?;
    let references = match node.field("references") {
        Some(list) => read_references(&list)?,
        None => Vec::new(),
    };
    Ok(Value {
        index,
        timestamp: timestamp.unwrap_or_default(),
        ttl: ttl.unwrap_or_default(),
        permissions: permissions.unwrap_or_default(),
        kind: kind.to_owned(),
        data,
        references,
    })
}

fn read_permissions(node: &Node<'_>) -> Result<Permissions, JsonError> {
    const EXPECTED: &str = "four characters 0 or 1 (admin read, admin write, public read, \
                            public write) such as \"1110\"";
    let bits = read_permission_bits(node.text(EXPECTED)?);
    bits.map(Permissions).ok_or_else(|| node.expected(EXPECTED))
}

fn read_permission_bits(text: &str) -> Option<u8> {
    let is_form = text.len() == 4 && text.bytes().all(|c| matches!(c, b'0' | b'1'));
    is_form.then(|| u8::from_str_radix(text, 2).ok()).flatten()
}

fn read_ttl(node: &Node<'_>) -> Result<Ttl, JsonError> {
    match node.json().is_string() {
        true => time::read_seconds::<i32>(node).map(Ttl::Absolute),
        false => node.i32().map(Ttl::Relative),
    }
}

fn read_references(node: &Node<'_>) -> Result<Vec<Reference>, JsonError> {
    node.list("a list of references")?
        .map(|reference| read_reference(&reference))
        .collect()
}

fn read_reference(node: &Node<'_>) -> Result<Reference, JsonError> {
    node.object("a reference `{\"handle\":…,\"index\":…}`")?;
    let handle = node
        .required("handle", "a handle")?
        .text("a handle")?
        .to_owned();
    let index = node.field("index").map(|index| index.i32()).transpose()?;
    Ok(Reference {
        handle,
        index: index.unwrap_or_default(),
    })
}

//----------- RecordForm -----------------------------------------------------

/// Writes a record without owning it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordForm<'a> {
    /// Left out if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_code: Option<i32>,
    /// Left out if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<&'a str>,
    /// The values; see [`ValueForm::list`].
    pub values: Vec<ValueForm<'a>>,
}

//----------- ValueForm ------------------------------------------------------

/// Writes a value, owned or in wire form, as JSON.
#[derive(Clone, Debug)]
pub struct ValueForm<'a> {
    index: i32,
    timestamp: u32,
    ttl: Ttl,
    permissions: Permissions,
    kind: &'a [u8],
    data: &'a [u8],
    references: Vec<(&'a [u8], i32)>,
}

impl<'a> ValueForm<'a> {
    /// The forms of a list in wire form.
    pub fn list(values: Values<'a>) -> Vec<Self> {
        values.iter().map(Self::from).collect()
    }
}

impl<'a> From<&'a Value> for ValueForm<'a> {
    fn from(value: &'a Value) -> Self {
        let references = value.references.iter();
        Self {
            index: value.index,
            timestamp: value.timestamp,
            ttl: value.ttl,
            permissions: value.permissions,
            kind: value.kind.as_bytes(),
            data: &value.data,
            references: references.map(|r| (r.handle.as_bytes(), r.index)).collect(),
        }
    }
}

impl<'a> From<ValueRef<'a>> for ValueForm<'a> {
    fn from(value: ValueRef<'a>) -> Self {
        Self {
            index: value.index,
            timestamp: value.timestamp,
            ttl: value.ttl,
            permissions: value.permissions,
            kind: value.kind,
            data: value.data,
            references: value.references().map(|r| (r.handle, r.index)).collect(),
        }
    }
}

impl Serialize for ValueForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shape<'a> {
            index: i32,
            #[serde(rename = "type")]
            kind: std::borrow::Cow<'a, str>,
            data: DataForm<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            permissions: Option<String>,
            ttl: TtlForm,
            #[serde(skip_serializing_if = "Option::is_none")]
            timestamp: Option<time::Time>,
            #[serde(
                skip_serializing_if = "<[_]>::is_empty",
                serialize_with = "write_references"
            )]
            references: &'a [(&'a [u8], i32)],
        }
        let is_default = self.permissions == Permissions::default();
        let shape = Shape {
            index: self.index,
            kind: String::from_utf8_lossy(self.kind),
            data: DataForm::choose(self.kind, self.data),
            permissions: (!is_default).then(|| format!("{:04b}", self.permissions.0 & 0x0f)),
            ttl: TtlForm(self.ttl),
            timestamp: (self.timestamp != 0).then(|| time::Time(self.timestamp.into())),
            references: &self.references,
        };
        shape.serialize(serializer)
    }
}

/// Seconds as a number if relative, a time if absolute.
struct TtlForm(Ttl);

impl Serialize for TtlForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Ttl::Relative(ttl) | Ttl::Other { ttl, .. } => serializer.serialize_i32(ttl),
            Ttl::Absolute(at) => time::Time(at.into()).serialize(serializer),
        }
    }
}

#[derive(Serialize)]
struct ReferenceForm<'a> {
    handle: std::borrow::Cow<'a, str>,
    index: i32,
}

fn write_references<S: Serializer>(
    references: &[(&[u8], i32)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(references.len()))?;
    for &(handle, index) in references {
        list.serialize_element(&ReferenceForm {
            handle: String::from_utf8_lossy(handle),
            index,
        })?;
    }
    list.end()
}

#[cfg(test)]
mod tests;
