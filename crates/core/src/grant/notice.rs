//! What a change of a record granted to somebody, or took from him (授权通知).

use std::collections::BTreeMap;

use guantong_proto::{CaseRule, Handle, Values};

use super::change::own_rule;
use super::held::{Access, class_rules, is_template};
use super::rule::Rule;
use super::subject::Subject;

//----------- Notice ---------------------------------------------------------

/// Something that was granted, or taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// Of what.
    pub object: Object,
    /// To read it or to write it.
    pub access: Access,
    /// Whether it was granted.
    pub is_granted: bool,
}

/// What is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// The template itself.
    Template,
    /// One registration.
    Registration,
    /// A field of all registrations of a template, by its index.
    Class(i32),
}

/// What a change granted to the holder of keys of `handle`, or took from him, by his own name: the
/// record was `before`, and is `after`.
///
/// What comes of groups is not told: they change without the record.
pub fn notices(
    before: Option<Values<'_>>,
    after: Option<Values<'_>>,
    handle: &Handle,
    case: CaseRule,
) -> Vec<Notice> {
    let [old, new] = [before, after].map(|record| record.map_or_else(BTreeMap::new, rules));
    let mut notices = Vec::new();
    let mut objects: Vec<&Object> = old.keys().chain(new.keys()).collect();
    objects.sort_unstable();
    objects.dedup();
    for object in objects {
        for access in [Access::Read, Access::Write] {
            let names = |rules: &BTreeMap<Object, Rule>| {
                rules
                    .get(object)
                    .is_some_and(|rule| names(rule, access, handle, case))
            };
            let (had, has) = (names(&old), names(&new));
            if had != has {
                notices.push(Notice {
                    object: *object,
                    access,
                    is_granted: has,
                });
            }
        }
    }
    notices
}

fn rules(record: Values<'_>) -> BTreeMap<Object, Rule> {
    let is_template = is_template(record);
    let own = own_rule(record).map(|rule| match is_template {
        true => (Object::Template, rule),
        false => (Object::Registration, rule),
    });
    let class = match is_template {
        true => class_rules(record),
        false => BTreeMap::new(),
    };
    let class = class
        .into_iter()
        .map(|(field, rule)| (Object::Class(field), rule));
    own.into_iter().chain(class).collect()
}

fn names(rule: &Rule, access: Access, handle: &Handle, case: CaseRule) -> bool {
    let subjects = match access {
        Access::Read => &rule.readers,
        Access::Write => &rule.writers,
    };
    let key = handle.key(case);
    let named = subjects.iter().filter_map(Subject::handle);
    named.map(|named| named.key(case)).any(|named| named == key)
}

#[cfg(test)]
mod tests {
    use guantong_proto::Value;
    use guantong_proto::wire::Writer;

    use super::*;

    fn rule(index: i32, readers: &[&str], writers: &[&str]) -> Value {
        let subjects = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        let rule = Rule {
            readers: subjects(readers),
            writers: subjects(writers),
        };
        rule.to_value(index)
    }

    fn told(before: Option<&[Value]>, after: Option<&[Value]>) -> Vec<String> {
        let wire = |values: &[Value]| Writer::to_vec(|w| Values::encode(values, w));
        let (before, after) = (before.map(wire), after.map(wire));
        let [before, after] = [&before, &after].map(|wire| {
            let wire = wire.as_deref();
            wire.map(|wire| Values::from_wire(wire).unwrap())
        });
        let handle = Handle::parse("88.1/App_a").unwrap();
        let text = |notice: Notice| {
            let Notice {
                object,
                access,
                is_granted,
            } = notice;
            format!("{object:?} {access:?} {is_granted}")
        };
        let found = notices(before, after, &handle, CaseRule::Insensitive);
        found.into_iter().map(text).collect()
    }

    #[test]
    fn what_was_granted_or_taken_is_told_and_nothing_else() {
        let me: &[&str] = &["300:88.1/APP_A"];
        let other: &[&str] = &["300:88.1/App_b", "200:88.1/Group_g"];
        let thing = [rule(1_003, me, other)];
        assert_eq!(told(None, Some(&thing)), ["Registration Read true"]);
        assert_eq!(told(Some(&thing), None), ["Registration Read false"]);
        assert!(told(Some(&thing), Some(&thing)).is_empty());
        let writes = [rule(1_003, other, me)];
        let both = ["Registration Read false", "Registration Write true"];
        assert_eq!(told(Some(&thing), Some(&writes)), both);

        let template = |rules: &[Value]| [&[Value::new(1, "GT_TEMPLATE", "{}")], rules].concat();
        let (none, some) = (
            template(&[rule(20_001, me, &[])]),
            template(&[rule(1_003, me, &[]), rule(20_000, me, me)]),
        );
        let expected = [
            "Template Read true",
            "Class(2000) Read true",
            "Class(2000) Write true",
            "Class(2001) Read false",
        ];
        assert_eq!(told(Some(&none), Some(&some)), expected);
    }
}
