//! Registrations: what somebody says of a thing, checked against a template, and its values.
//!
//! ```text
//! field names ──check──► given ──lookups──► (shell looks) ──judge──► faults
//! and values                │
//!                           └──values──► values of the record
//! ```
//!
//! A check finds every fault at once and names the field of each. What it cannot know by itself,
//! whether a value is taken or a target is there, it asks for.
//!
//! | index | type | data |
//! |---|---|---|
//! | 1000 | `GT_TEMPLATE.HANDLE` | the handle of the template |
//! | 1001 | `GT_TEMPLATE.VERSION` | its version |
//! | 2000… | the name of the field | the value as text; of a list, a JSON array of texts |
//! | 100000… | `GT_TEMPLATE.KEY` | by which the record is found by a unique or searchable field |
//! | 100000… | `GT_TEMPLATE.LINK` | a target, folded, by which it is found by what it refers to |

use guantong_proto::{CaseRule, Handle, Permissions, Value, ValueRef, Values, is_of_type};
use serde_json::{Map, Value as Json};

use super::cell::plain_cell;
use super::decimal::Decimal;
use super::field::{Field, Kind, Readers};
use super::life::{State, Template, WrongState};
use super::limit::{COUNT_MAX, FIELD_INDEX_FIRST, FIELD_INDEX_LAST};
use super::record::{KEY_TYPE, TEMPLATE_TYPE};
use super::rule::{Why, part};

/// Type of the value that says by which template a record was registered.
pub const HANDLE_TYPE: &str = "GT_TEMPLATE.HANDLE";
/// Type of the values by which a record is found by what it refers to.
pub const LINK_TYPE: &str = "GT_TEMPLATE.LINK";
const VERSION_TYPE: &str = "GT_TEMPLATE.VERSION";
const HANDLE_INDEX: i32 = 1_000;
/// Index of the value that says by which version of its template a record was registered.
pub const VERSION_INDEX: i32 = 1_001;
/// Index of the first value by which a record is found; each field has room for the longest list.
const SOUGHT_INDEX_FIRST: i32 = 100_000;

//----------- check ----------------------------------------------------------

/// How much of a registration is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it: what is required must be there.
    Whole,
    /// What is to be changed of one that is there.
    Part,
}

/// The value of a field, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldValue {
    /// The index of the field.
    pub index: i32,
    parts: Vec<String>,
    is_list: bool,
}

/// What is wrong with a field of a registration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct FieldFault {
    /// The name of the field.
    pub field: String,
    /// What is wrong with it.
    pub why: Why,
}

impl Template {
    /// Whether it may be registered by.
    pub fn admits(&self) -> Result<(), WrongState> {
        match self.state() {
            State::Published => Ok(()),
            state => Err(WrongState::not_published(state)),
        }
    }

    /// The values of fields by their names, checked; or every fault.
    pub fn check(
        &self,
        said: &Map<String, Json>,
        extent: Extent,
    ) -> Result<Vec<FieldValue>, Vec<FieldFault>> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, why| {
            let field = field.to_owned();
            faults.push(FieldFault { field, why });
        };
        let fields = &self.definition().fields;
        for name in said.keys() {
            match fields.iter().find(|field| field.name == *name) {
                None => fault(name, Why::Unknown),
                Some(field) if field.disabled => fault(name, Why::Disabled),
                Some(field) if field.pending => fault(name, Why::Pending),
                Some(_) => {}
            }
        }
        let mut given = Vec::with_capacity(said.len());
        for field in fields.iter().filter(|field| field.takes_values()) {
            match said.get(&field.name) {
                Some(json) => match field_value(field, json) {
                    Ok(value) => given.push(value),
                    Err(why) => fault(&field.name, why),
                },
                None if field.required && extent == Extent::Whole => {
                    fault(&field.name, Why::Missing);
                }
                None => {}
            }
        }
        match faults.is_empty() {
            true => Ok(given),
            false => Err(faults),
        }
    }

    /// What a text in a table means as the value of a field: an empty one says nothing, and the
    /// parts of a list are separated by `;`.
    pub fn read_cell(&self, name: &str, cell: &str) -> Option<Json> {
        let cell = plain_cell(cell);
        if cell.is_empty() {
            return None;
        }
        let field = self.definition().field(name);
        Some(match field.map(|field| &field.kind) {
            Some(Kind::Number(_)) => match cell.parse::<Decimal>() {
                Ok(number) => number.to_json(),
                Err(_) => Json::from(cell),
            },
            Some(kind) if kind.is_list() => cell.split(';').map(str::trim).collect(),
            _ => Json::from(cell),
        })
    }
}

fn field_value(field: &Field, json: &Json) -> Result<FieldValue, Why> {
    let (index, is_list) = (field.index, field.kind.is_list());
    let parts = match json {
        _ if !is_list => vec![part(&field.kind, json)?],
        Json::Array(list) => {
            let limit = field.kind.count_max();
            if list.is_empty() || list.len() > usize::from(limit) {
                let found = list.len();
                return Err(Why::Count { found, limit });
            }
            let parts = list.iter().map(|json| part(&field.kind, json));
            let parts: Vec<String> = parts.collect::<Result<_, _>>()?;
            let mut sorted: Vec<_> = parts.iter().collect();
            sorted.sort_unstable();
            if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(Why::Twice);
            }
            parts
        }
        _ => return Err(Why::NotAList),
    };
    Ok(FieldValue {
        index,
        parts,
        is_list,
    })
}

impl FieldValue {
    fn data(&self) -> Vec<u8> {
        match (self.is_list, self.parts.as_slice()) {
            (false, [part]) => part.as_bytes().to_vec(),
            (_, parts) => Json::from(parts).to_string().into_bytes(),
        }
    }
}

//----------- lookups --------------------------------------------------------

/// What the check of a registration needs to know of other records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Which records have a value of type [`KEY_TYPE`] with this data.
    Holders {
        /// The name of the field.
        field: String,
        /// The data.
        key: Vec<u8>,
    },
    /// The record of this handle.
    Target {
        /// The name of the field.
        field: String,
        /// The handle.
        handle: Handle,
        /// The template that it must be registered by; empty if any will do.
        template: String,
    },
}

impl Template {
    /// What must be known of other records before these values are stored.
    pub fn lookups(&self, given: &[FieldValue], rule: CaseRule) -> Vec<Lookup> {
        let mut lookups = Vec::new();
        for (field, value) in self.by_field(given) {
            if field.unique {
                lookups.extend(value.parts.iter().map(|part| Lookup::Holders {
                    field: field.name.clone(),
                    key: self.search_key(field, part, rule),
                }));
            }
            if let Kind::Reference(reference) = &field.kind {
                let handles = value
                    .parts
                    .iter()
                    .filter_map(|part| Handle::parse(part).ok());
                lookups.extend(handles.map(|handle| Lookup::Target {
                    field: field.name.clone(),
                    handle,
                    template: reference.template.clone(),
                }));
            }
        }
        lookups
    }

    fn by_field<'a>(
        &'a self,
        given: &'a [FieldValue],
    ) -> impl Iterator<Item = (&'a Field, &'a FieldValue)> {
        given.iter().filter_map(|value| {
            let mut fields = self.definition().fields.iter();
            Some((fields.find(|field| field.index == value.index)?, value))
        })
    }

    /// Data of the value by which a registration is found by the value of a field.
    fn search_key(&self, field: &Field, part: &str, rule: CaseRule) -> Vec<u8> {
        let head = search_head(self.handle(), field.index, rule);
        [&head, part.as_bytes()].concat()
    }

    /// How registrations are found that have this value in this field: a type and the data; or why
    /// they cannot be.
    pub fn search(
        &self,
        name: &str,
        text: &str,
        rule: CaseRule,
    ) -> Result<(&'static str, Vec<u8>), Why> {
        let field = self.definition().field(name).ok_or(Why::Unknown)?;
        if !field.is_found_by() {
            return Err(Why::NotSearchable);
        }
        let json = match &field.kind {
            Kind::Number(_) => self.read_cell(name, text).unwrap_or_default(),
            _ => Json::from(text),
        };
        let part = part(&field.kind, &json)?;
        Ok(match &field.kind {
            Kind::Reference(_) => (LINK_TYPE, link(&part, rule)),
            _ => (KEY_TYPE, self.search_key(field, &part, rule)),
        })
    }
}

/// What the data begins with by which registrations are found by the values of a field.
fn search_head(template: &Handle, field: i32, rule: CaseRule) -> Vec<u8> {
    let index = format!("{field} ");
    let template = template.key(rule);
    [
        b"registration ",
        index.as_bytes(),
        template.as_bytes(),
        b"\n",
    ]
    .concat()
}

/// Whether these data are of a value by which registrations of the template are found by the field.
pub fn is_key_of(data: &[u8], template: &Handle, field: i32, rule: CaseRule) -> bool {
    data.starts_with(&search_head(template, field, rule))
}

/// Data of the value by which a record is found that refers to this handle.
pub fn link(target: &str, rule: CaseRule) -> Vec<u8> {
    match Handle::parse(target) {
        Ok(handle) => handle.key(rule).as_bytes().to_vec(),
        Err(_) => target.as_bytes().to_vec(),
    }
}

impl Lookup {
    /// What is wrong if these records hold the key; `own` is the one that is written.
    pub fn judge_holders(
        &self,
        own: &Handle,
        holders: &[Handle],
        rule: CaseRule,
    ) -> Option<FieldFault> {
        let Self::Holders { field, .. } = self else {
            return None;
        };
        let own = own.key(rule);
        let other = holders.iter().find(|holder| holder.key(rule) != own)?;
        Some(FieldFault {
            field: field.clone(),
            why: Why::Taken {
                by: other.to_string(),
            },
        })
    }

    /// What is wrong if this is what stands behind the target.
    pub fn judge_target(&self, found: &Target, rule: CaseRule) -> Option<FieldFault> {
        let Self::Target {
            field,
            handle,
            template,
        } = self
        else {
            return None;
        };
        let target = handle.to_string();
        let why = match found {
            Target::Missing => Why::NoTarget { target },
            Target::Record { by } if !template.is_empty() => {
                let is_it = |by: &Handle| {
                    Some(by.key(rule)) == Handle::parse(template).ok().map(|t| t.key(rule))
                };
                match by.as_ref().is_some_and(is_it) {
                    true => return None,
                    false => Why::OtherTemplate {
                        target,
                        template: template.clone(),
                    },
                }
            }
            Target::Record { .. } => return None,
        };
        let field = field.clone();
        Some(FieldFault { field, why })
    }
}

/// What stands behind the target of a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nothing.
    Missing,
    /// A record.
    Record {
        /// The template that it says it was registered by.
        by: Option<Handle>,
    },
}

impl Target {
    /// What this record is as a target, `None` being no record.
    pub fn of(record: Option<Values<'_>>) -> Self {
        match record {
            None => Self::Missing,
            Some(values) => Self::Record {
                by: template_of(values),
            },
        }
    }
}

/// The template that a record was registered by.
pub fn template_of(values: Values<'_>) -> Option<Handle> {
    let is_handle = |value: &ValueRef<'_>| value.kind.eq_ignore_ascii_case(HANDLE_TYPE.as_bytes());
    let value = values.iter().find(is_handle)?;
    Handle::from_wire(value.data).ok()
}

//----------- values ---------------------------------------------------------

impl Template {
    /// The values of a record that is given these: those of the fields, by which it is found, and
    /// by which template it was registered.
    pub fn values(&self, given: &[FieldValue], rule: CaseRule) -> Vec<Value> {
        let version = self.version().to_string();
        let mut values = vec![
            Value::new(HANDLE_INDEX, HANDLE_TYPE, self.handle().as_str()),
            Value::new(VERSION_INDEX, VERSION_TYPE, version),
        ];
        for (field, value) in self.by_field(given) {
            let made = |index, kind: &str, data: Vec<u8>| Value {
                permissions: match field.readers {
                    Readers::Everybody => Permissions::default(),
                    Readers::Administrators => {
                        Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE)
                    }
                },
                ..Value::new(index, kind, data)
            };
            values.push(made(field.index, &field.name, value.data()));
            if !field.is_found_by() {
                continue;
            }
            for (index, part) in (sought_index(field)..).zip(&value.parts) {
                values.push(match field.kind {
                    Kind::Reference(_) => made(index, LINK_TYPE, link(part, rule)),
                    _ => made(index, KEY_TYPE, self.search_key(field, part, rule)),
                });
            }
        }
        values
    }

    /// What the values of a record say, by the names of the fields. Values that the caller may not
    /// see are to be left out by him.
    pub fn read(&self, values: &[Value]) -> Map<String, Json> {
        let mut said = Map::new();
        for field in &self.definition().fields {
            let value = values.iter().find(|value| value.index == field.index);
            let value = value.filter(|value| value.kind.eq_ignore_ascii_case(&field.name));
            if let Some(text) = value.and_then(Value::text) {
                said.insert(field.name.clone(), read_text(&field.kind, text));
            }
        }
        said
    }

    /// The values of a record that a change to these must take away, by their indexes: the
    /// rest of a list that gets shorter.
    pub fn left_over(&self, given: &[FieldValue], current: &[Value]) -> Vec<i32> {
        let has = |index: i32| current.iter().any(|value| value.index == index);
        let mut indexes = Vec::new();
        for (field, value) in self
            .by_field(given)
            .filter(|(field, _)| field.is_found_by())
        {
            let first = sought_index(field);
            let used = i32::try_from(value.parts.len()).unwrap_or(i32::MAX);
            let last = first + i32::from(COUNT_MAX);
            indexes.extend((first.saturating_add(used)..last).filter(|index| has(*index)));
        }
        indexes
    }
}

/// Whether a value of a registration is replaced when the whole registration is written.
pub fn is_registered(value: &Value) -> bool {
    (FIELD_INDEX_FIRST..=FIELD_INDEX_LAST).contains(&value.index)
        || is_of_type(value.kind.as_bytes(), TEMPLATE_TYPE.as_bytes())
}

/// Index of the first value by which a record is found by the field.
fn sought_index(field: &Field) -> i32 {
    SOUGHT_INDEX_FIRST + (field.index - FIELD_INDEX_FIRST) * i32::from(COUNT_MAX)
}

/// Index of the field by which a record is found by the value of that index.
pub fn field_found_by(index: i32) -> Option<i32> {
    let place = index
        .checked_sub(SOUGHT_INDEX_FIRST)
        .filter(|place| *place >= 0)?;
    let field = FIELD_INDEX_FIRST + place / i32::from(COUNT_MAX);
    (field <= FIELD_INDEX_LAST).then_some(field)
}

/// The JSON of a stored text. What somebody else has written there is given as it is.
fn read_text(kind: &Kind, text: &str) -> Json {
    match kind {
        Kind::Number(_) => match text.parse::<Decimal>() {
            Ok(number) => number.to_json(),
            Err(_) => Json::from(text),
        },
        kind if kind.is_list() => match serde_json::from_str::<Vec<String>>(text) {
            Ok(parts) => parts.into(),
            Err(_) => vec![text].into(),
        },
        _ => Json::from(text),
    }
}

#[cfg(test)]
#[path = "registration_tests.rs"]
mod tests;
