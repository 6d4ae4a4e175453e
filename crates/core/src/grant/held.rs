//! Which rule holds for a value of a record.

use std::collections::BTreeMap;

use guantong_proto::{CaseRule, Handle, HandleRef, ValueRef, Values, is_of_type};

use super::rule::{GRANT_TYPE, Rule};
use super::subject::Subject;
use crate::template::limit::{FIELD_INDEX_FIRST, FIELD_INDEX_LAST};
use crate::template::{
    KEY_TYPE, LINK_TYPE, TEMPLATE_INDEX, TEMPLATE_TYPE, field_found_by, template_of,
};

/// Index of a record's own rule; in a template, of who reads the template.
pub const RULE_INDEX: i32 = 1_003;
/// Index of the class rule of the first field, in the record of the template.
pub const CLASS_INDEX_FIRST: i32 = 20_000;

/// Index of the class rule of a field, by the index of the field.
pub fn class_index(field: i32) -> i32 {
    CLASS_INDEX_FIRST + (field - FIELD_INDEX_FIRST)
}

/// Whether rules stand at this index: the own rule, or that of a field.
pub fn is_rule_index(index: i32) -> bool {
    let fields = class_index(FIELD_INDEX_FIRST)..=class_index(FIELD_INDEX_LAST);
    index == RULE_INDEX || fields.contains(&index)
}

//----------- field_of -------------------------------------------------------

/// The field that a value belongs to, by its index: the value itself, or one by which the
/// registration is found by the field.
///
/// Values of the system's own types belong to none, whatever their index: a grant must not give
/// away a key, a right, or another grant.
pub fn field_of(index: i32, kind: &[u8]) -> Option<i32> {
    let is_sought = kind.eq_ignore_ascii_case(KEY_TYPE.as_bytes())
        || kind.eq_ignore_ascii_case(LINK_TYPE.as_bytes());
    match is_sought {
        true => field_found_by(index),
        false if is_of_system(kind) => None,
        false => is_field(index).then_some(index),
    }
}

fn is_field(index: i32) -> bool {
    (FIELD_INDEX_FIRST..=FIELD_INDEX_LAST).contains(&index)
}

fn is_of_system(kind: &[u8]) -> bool {
    let head = kind.get(..3);
    head.is_some_and(|head| head.eq_ignore_ascii_case(b"HS_") || head.eq_ignore_ascii_case(b"GT_"))
}

/// Whether the value holds the rule of that index.
fn is_rule(value: &ValueRef<'_>) -> bool {
    is_of_type(value.kind, GRANT_TYPE.as_bytes())
}

//----------- class_of -------------------------------------------------------

/// The template whose class rules hold for the record; `None` if its own rule holds, or none does.
///
/// A template of another prefix gives no rights on a record, though it be registered by it: the
/// administrators of that template are somebody else.
pub fn class_of(handle: HandleRef<'_>, record: Values<'_>, case: CaseRule) -> Option<Handle> {
    if record
        .iter()
        .any(|value| is_rule(&value) && value.index == RULE_INDEX)
    {
        return None;
    }
    let template = template_of(record)?;
    let prefix = |handle: HandleRef<'_>| handle.prefix_handle().key(case);
    (prefix(handle) == prefix(template.borrow())).then_some(template)
}

//----------- Held -----------------------------------------------------------

/// What is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// To read a value.
    Read,
    /// To write it.
    Write,
}

/// Where the rule comes from that holds for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the record itself.
    Own,
    /// From its template.
    Class,
}

/// The rules that hold for the values of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    own: Option<Rule>,
    class: BTreeMap<i32, Rule>,
    is_template: bool,
}

impl Held {
    /// By the record, and that of the template [`class_of`] names.
    ///
    /// What cannot be read grants nothing, and a rule of the record takes the place of the class
    /// rule even then.
    pub fn of(record: Values<'_>, template: Option<Values<'_>>) -> Self {
        let own = record
            .iter()
            .find(|value| is_rule(value) && value.index == RULE_INDEX);
        let own = own.map(|value| Rule::decode(value.data).unwrap_or_default());
        let class = match (&own, template.filter(|values| is_template(*values))) {
            (None, Some(values)) => class_rules(values),
            _ => BTreeMap::new(),
        };
        let is_template = is_template(record);
        Self {
            own,
            class,
            is_template,
        }
    }

    /// The rule of a template that is not shown yet: it is shared with others before. Nothing of
    /// another record.
    pub fn of_template(record: Values<'_>) -> Self {
        match is_template(record) {
            true => Self::of(record, None),
            false => Self::default(),
        }
    }

    /// Where the rule comes from.
    pub fn origin(&self) -> Origin {
        match self.own {
            Some(_) => Origin::Own,
            None => Origin::Class,
        }
    }

    /// Whether nothing is granted of the record.
    pub fn is_empty(&self) -> bool {
        self.own.as_ref().is_none_or(Rule::is_empty) && self.class.values().all(Rule::is_empty)
    }

    /// The rule that holds for a field.
    pub fn of_field(&self, field: i32) -> Option<&Rule> {
        match &self.own {
            Some(own) => Some(own),
            None => self.class.get(&field),
        }
    }

    /// Whom the rule that holds for a value lets read or write it, besides those whom its
    /// permissions let.
    pub fn subjects(&self, access: Access, index: i32, kind: &[u8]) -> &[Subject] {
        let rule = match (self.is_template, access) {
            // A template is changed as a whole, by its administrators.
            (true, Access::Write) => None,
            (true, Access::Read) => self
                .own
                .as_ref()
                .filter(|_| is_of_type(kind, TEMPLATE_TYPE.as_bytes())),
            (false, _) => field_of(index, kind).and_then(|field| self.of_field(field)),
        };
        match (rule, access) {
            (None, _) => &[],
            (Some(rule), Access::Read) => &rule.readers,
            (Some(rule), Access::Write) => &rule.writers,
        }
    }
}

/// Whether the record is a template.
pub(super) fn is_template(record: Values<'_>) -> bool {
    record.iter().any(|value| {
        value.index == TEMPLATE_INDEX && value.kind.eq_ignore_ascii_case(TEMPLATE_TYPE.as_bytes())
    })
}

/// The rules of the fields of a template, by the indexes of the fields.
pub(super) fn class_rules(template: Values<'_>) -> BTreeMap<i32, Rule> {
    let rules = template.iter().filter(is_rule).filter_map(|value| {
        let field = value
            .index
            .checked_sub(CLASS_INDEX_FIRST)?
            .checked_add(FIELD_INDEX_FIRST)?;
        is_field(field).then(|| (field, Rule::decode(value.data).unwrap_or_default()))
    });
    rules.collect()
}

#[cfg(test)]
mod tests {
    use guantong_proto::Value;
    use guantong_proto::wire::Writer;

    use super::*;

    fn wire(values: &[Value]) -> Vec<u8> {
        Writer::to_vec(|w| Values::encode(values, w))
    }

    fn rule(index: i32, readers: &str) -> Value {
        let readers = vec![readers.parse().unwrap()];
        Rule {
            writers: readers.clone(),
            readers,
        }
        .to_value(index)
    }

    fn template() -> Vec<Value> {
        vec![
            Value::new(1, "GT_TEMPLATE", "{}"),
            rule(20_000, "300:88.1/a"),
            rule(20_001, "300:88.1/b"),
            rule(19_999, "300:88.1/x"),
            rule(1_003, "300:88.1/shared"),
            Value::new(20_002, "GT_GRANT", "{\"readers\":"),
        ]
    }

    fn registration() -> Vec<Value> {
        vec![Value::new(1_000, "GT_TEMPLATE.HANDLE", "88.1/META_a")]
    }

    #[track_caller]
    fn read(held: &Held, index: i32, kind: &str) -> String {
        let of = |access| held.subjects(access, index, kind.as_bytes());
        let texts: Vec<_> = of(Access::Read).iter().map(ToString::to_string).collect();
        assert!(held.is_template || of(Access::Read) == of(Access::Write));
        texts.join(" ")
    }

    #[test]
    fn class_rule_of_a_field_holds_for_its_values_and_for_no_others() {
        let (record, template) = (wire(&registration()), wire(&template()));
        let [record, template] = [&record, &template].map(|w| Values::from_wire(w).unwrap());
        let held = Held::of(record, Some(template));
        assert_eq!(held.origin(), Origin::Class);
        for (index, kind, reader) in [
            (2_000, "serial", "300:88.1/a"),
            (2_001, "mass", "300:88.1/b"),
            (2_002, "damaged", ""),
            (2_003, "none", ""),
            (100_000, "GT_TEMPLATE.KEY", "300:88.1/a"),
            (100_049, "gt_template.link", "300:88.1/a"),
            (100_050, "GT_TEMPLATE.KEY", "300:88.1/b"),
            (100_050, "URL", ""),
            (99_999, "GT_TEMPLATE.KEY", ""),
            (2_000, "HS_SECKEY", ""),
            (2_000, "hs_admin", ""),
            (2_000, "GT_GRANT", ""),
            (1_003, "GT_GRANT", ""),
            (1_000, "GT_TEMPLATE.HANDLE", ""),
            (i32::MAX, "GT_TEMPLATE.LINK", ""),
            (i32::MIN, "URL", ""),
        ] {
            assert_eq!(read(&held, index, kind), reader, "{index} {kind}");
        }
        let nothing = Held::of(record, Some(record));
        assert!(nothing.is_empty(), "the rules of what is no template");
    }

    #[test]
    fn own_rule_takes_the_place_of_the_class_rule_even_if_it_cannot_be_read() {
        let template = wire(&template());
        let template = Values::from_wire(&template).unwrap();
        let of = |own: Value| {
            let record = wire(&[registration(), vec![own]].concat());
            let record = Values::from_wire(&record).unwrap();
            let handle = Handle::parse("88.1/r").unwrap();
            let class = class_of(handle.borrow(), record, CaseRule::Insensitive);
            assert_eq!(class, None);
            Held::of(record, Some(template))
        };
        let own = of(rule(1_003, "300:88.1/c"));
        assert_eq!(own.origin(), Origin::Own);
        for index in [2_000, 2_001, 9_999] {
            assert_eq!(read(&own, index, "serial"), "300:88.1/c");
        }
        let damaged = of(Value::new(1_003, "GT_GRANT.NEW", "[]"));
        assert_eq!((damaged.origin(), damaged.is_empty()), (Origin::Own, true));
    }

    #[test]
    fn template_is_read_by_whom_it_is_shared_with_and_written_by_none_of_them() {
        let record = wire(&template());
        let held = Held::of(Values::from_wire(&record).unwrap(), None);
        assert_eq!(read(&held, 1, "GT_TEMPLATE"), "300:88.1/shared");
        assert_eq!(read(&held, 2_000, "GT_TEMPLATE.FIELD"), "300:88.1/shared");
        assert_eq!(read(&held, 1_003, "GT_GRANT"), "");
        assert_eq!(read(&held, 2_000, "URL"), "");
        assert_eq!(held.subjects(Access::Write, 1, b"GT_TEMPLATE"), []);
    }

    #[test]
    fn template_of_another_prefix_gives_no_rights() {
        let record = wire(&registration());
        let record = Values::from_wire(&record).unwrap();
        let class = |handle: &str| {
            let handle = Handle::parse(handle).unwrap();
            class_of(handle.borrow(), record, CaseRule::Insensitive)
        };
        assert_eq!(class("88.1/r"), Handle::parse("88.1/META_a").ok());
        assert_eq!(class("88.2/r"), None);
        assert_eq!(class("88.1.1/r"), None);
    }
}
