//! A template as a record: it has a handle, and its values say what it is.
//!
//! | index | type | data |
//! |---|---|---|
//! | 1 | `GT_TEMPLATE` | JSON: state, version, and what is said of all fields together |
//! | 1002 | `GT_TEMPLATE.KEY` | by which the templates of a prefix are found |
//! | 1900 | `GT_STATE` | while it is not shown |
//! | 2000… | `GT_TEMPLATE.FIELD` | JSON: a field, under the index that its values have |
//!
//! Everything else in the record, its administrators above all, is not the template's business.

use guantong_proto::data::{STATE_INDEX, State as RecordState, StateData};
use guantong_proto::{CaseRule, Handle, HandleRef, Value, ValueRef, Values, is_of_type};
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use super::field::Field;
use super::life::{Origin, State, Template};
use super::limit::FIELDS_MAX;

/// Type of the value that makes a record a template. All types of ours belong to this family.
pub const TEMPLATE_TYPE: &str = "GT_TEMPLATE";
/// Type of the values by which templates and registrations are found.
pub const KEY_TYPE: &str = "GT_TEMPLATE.KEY";
const FIELD_TYPE: &str = "GT_TEMPLATE.FIELD";
/// Index of the value that makes a record a template.
pub const TEMPLATE_INDEX: i32 = 1;
const KEY_INDEX: i32 = 1_002;

/// What is said of a template besides its fields, as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    state: State,
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    based_on: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    quoted: bool,
    definition: Definition,
}

//----------- Template -------------------------------------------------------

impl Template {
    /// The values that make a record this template.
    pub fn to_values(&self, rule: CaseRule) -> Vec<Value> {
        let fields = &self.definition().fields;
        let mut without_fields = self.definition().clone();
        without_fields.fields = Vec::new();
        let head = Head {
            state: self.state(),
            version: self.version(),
            based_on: self.based_on().map(Handle::to_string),
            quoted: self.is_quoted(),
            definition: without_fields,
        };
        let key = prefix_key(self.handle().borrow().prefix_handle().borrow(), rule);
        let mut values = vec![
            Value::new(TEMPLATE_INDEX, TEMPLATE_TYPE, json(&head)),
            Value::new(KEY_INDEX, KEY_TYPE, key),
        ];
        if matches!(self.state(), State::Draft | State::Withdrawn) {
            values.push(StateData::new(RecordState::Reserved).to_value());
        }
        let field = |field: &Field| Value::new(field.index, FIELD_TYPE, json(field));
        values.extend(fields.iter().map(field));
        values
    }

    /// The template that a record is.
    pub fn of(handle: Handle, values: Values<'_>) -> Result<Self, NotATemplate> {
        let head = values
            .iter()
            .find(|value| value.kind.eq_ignore_ascii_case(TEMPLATE_TYPE.as_bytes()))
            .ok_or(NotATemplate::Other)?;
        let damaged = |what: String| NotATemplate::Damaged { what };
        let head: Head = serde_json::from_slice(head.data)
            .map_err(|error| damaged(format!("value {}: {error}", head.index)))?;
        let fields = values
            .iter()
            .filter(|value| value.kind.eq_ignore_ascii_case(FIELD_TYPE.as_bytes()))
            .take(FIELDS_MAX + 1)
            .map(|value| {
                let field: Result<Field, _> = serde_json::from_slice(value.data);
                let field = field.map_err(|e| damaged(format!("value {}: {e}", value.index)))?;
                match field.index == value.index {
                    true => Ok(field),
                    false => Err(damaged(format!(
                        "value {}: is of another index",
                        value.index
                    ))),
                }
            });
        let definition = Definition {
            fields: fields.collect::<Result<_, _>>()?,
            ..head.definition
        };
        let based_on = head
            .based_on
            .map(|handle| Handle::parse(&handle))
            .transpose();
        let based_on = based_on.map_err(|error| damaged(format!("basedOn: {error}")))?;
        let origin = Origin {
            based_on,
            is_quoted: head.quoted,
        };
        Self::restore(handle, head.state, head.version, origin, definition).map_err(|faults| {
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            damaged(faults.join("; "))
        })
    }

    /// Whether a value of a template's record is replaced when the template is written.
    pub fn owns(value: &Value) -> bool {
        is_of_type(value.kind.as_bytes(), TEMPLATE_TYPE.as_bytes()) || value.index == STATE_INDEX
    }
}

/// The name of a field, by its index and the record of the template.
pub fn field_name(template: Values<'_>, index: i32) -> Option<String> {
    let is_field = |value: &ValueRef<'_>| {
        value.index == index && value.kind.eq_ignore_ascii_case(FIELD_TYPE.as_bytes())
    };
    let field: Field = serde_json::from_slice(template.iter().find(is_field)?.data).ok()?;
    Some(field.name)
}

/// Data of the value by which the templates of a prefix are found.
pub fn prefix_key(prefix: HandleRef<'_>, rule: CaseRule) -> Vec<u8> {
    [b"template ", prefix.key(rule).as_bytes()].concat()
}

/// These types have no maps with keys other than text, and no numbers that JSON lacks: writing them
/// does not fail.
fn json(form: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(form).unwrap_or_default()
}

//----------- NotATemplate ---------------------------------------------------

/// Why a record is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotATemplate {
    /// It is something else.
    #[error("the record is no template: it has no value of type {TEMPLATE_TYPE}")]
    Other,
    /// It was a template, and somebody has changed it by hand.
    #[error("the record of the template is damaged: {what}")]
    Damaged {
        /// Where and how.
        what: String,
    },
}

#[cfg(test)]
mod tests {
    use guantong_proto::wire::Writer;

    use super::super::field::tests::field;
    use super::super::field::{Kind, Text};
    use super::*;

    fn template() -> Template {
        let definition = Definition {
            title: "电池".to_owned(),
            industry: Some("C3841".parse().unwrap()),
            suffix: Some("SN{counter:6}".parse().unwrap()),
            fields: vec![
                field(2_001, "b", Kind::Text(Text::default())),
                field(
                    2_000,
                    "a",
                    serde_json::from_str(r#"{"type":"number"}"#).unwrap(),
                ),
            ],
            ..Definition::default()
        };
        Template::draft(Handle::parse("88.118.5/META_a").unwrap(), definition).unwrap()
    }

    fn read(values: &[Value]) -> Result<Template, NotATemplate> {
        let wire = Writer::to_vec(|w| Values::encode(values, w));
        Template::of(
            Handle::parse("88.118.5/META_a").unwrap(),
            Values::from_wire(&wire).unwrap(),
        )
    }

    #[test]
    fn record_gives_back_its_template_whatever_else_it_holds() {
        for state in [State::Draft, State::Published] {
            let template = match state {
                State::Draft => template(),
                state => template()
                    .copy(template().handle().clone())
                    .turn(state)
                    .unwrap(),
            };
            let mut values = template.to_values(CaseRule::Insensitive);
            assert_eq!(values.iter().any(Value::is_state), state == State::Draft);
            assert!(values.iter().all(Template::owns));
            let admin = Value::new(100, "HS_ADMIN", "x");
            assert!(!Template::owns(&admin));
            values.insert(0, admin);
            assert_eq!(read(&values), Ok(template));
        }
    }

    #[test]
    fn templates_of_a_prefix_share_a_key() {
        let values = template().to_values(CaseRule::Insensitive);
        let prefix = Handle::of_prefix("88.118.5").unwrap();
        let key = prefix_key(prefix.borrow(), CaseRule::Insensitive);
        assert!(
            values
                .iter()
                .any(|value| value.kind == KEY_TYPE && value.data == key)
        );
    }

    #[test]
    fn damaged_records_are_told_and_do_not_panic() {
        assert_eq!(read(&[]), Err(NotATemplate::Other));
        assert_eq!(read(&[Value::new(1, "URL", "x")]), Err(NotATemplate::Other));
        let whole = template().to_values(CaseRule::Insensitive);
        for at in 0..whole.len() {
            if whole[at].is_state() || whole[at].kind == KEY_TYPE {
                continue;
            }
            for len in 0..whole[at].data.len() {
                let mut cut = whole.clone();
                cut[at].data.truncate(len);
                assert!(
                    matches!(read(&cut), Err(NotATemplate::Damaged { .. })),
                    "{at} {len}"
                );
            }
        }
        let mut moved = whole.clone();
        moved[3].index = 2_007;
        assert!(matches!(read(&moved), Err(NotATemplate::Damaged { .. })));
        let field = whole.iter().find(|value| value.kind == FIELD_TYPE).unwrap();
        let many: Vec<_> = (0..FIELDS_MAX + 40).map(|_| field.clone()).collect();
        let many = [whole, many].concat();
        assert!(matches!(read(&many), Err(NotATemplate::Damaged { .. })));
    }
}
