//! Whether somebody is named, directly or by a group.

use std::collections::{HashMap, HashSet};

use guantong_proto::{CaseRule, Handle, HandleRef, Key, Reference, Values};

use super::subject::{Subject, is_group_index};
use crate::admin::authenticate::Identity;
use crate::admin::authorize::members;

/// Most groups that are looked at to know whether one subject names somebody. Groups may nest, and
/// each is a record to be fetched, perhaps from far away.
pub const GROUPS_MAX: usize = 16;

//----------- Caller ---------------------------------------------------------

/// Somebody who has proven who he is, and of which groups it is known that he is among them.
#[derive(Clone, Debug)]
pub struct Caller<'a> {
    identity: &'a Identity,
    key: Key,
    case: CaseRule,
    groups: HashMap<Subject, bool>,
}

impl<'a> Caller<'a> {
    /// This identity.
    pub fn new(identity: &'a Identity, case: CaseRule) -> Self {
        Self {
            identity,
            key: identity.handle.key(case),
            case,
            groups: HashMap::new(),
        }
    }

    /// The first of the subjects that names him, those without groups before others. Records of
    /// groups are asked of `lookup`; what it says if one is not at hand is given back, and the
    /// caller fetches it and asks again. A group that is not there has no members.
    ///
    /// Of the members of a group, those with the index of a group are groups; all others are keys,
    /// so that a long list of keys costs no record each.
    pub fn named_by<'r, 's, E>(
        &mut self,
        subjects: &'s [Subject],
        mut lookup: impl FnMut(HandleRef<'_>) -> Result<Option<Values<'r>>, E>,
    ) -> Result<Option<&'s Subject>, E> {
        let is_direct = |subject: &Subject| match subject {
            Subject::Everybody => true,
            Subject::Named { index, handle } => self.is_key(*index, handle.borrow()),
        };
        if let Some(direct) = subjects.iter().find(|subject| is_direct(subject)) {
            return Ok(Some(direct));
        }
        for subject in subjects.iter().filter(|subject| subject.is_group()) {
            let is_member = match self.groups.get(subject) {
                Some(known) => *known,
                None => {
                    let found = self.is_member(subject, &mut lookup)?;
                    self.groups.insert(subject.clone(), found);
                    found
                }
            };
            if is_member {
                return Ok(Some(subject));
            }
        }
        Ok(None)
    }

    fn is_member<'r, E>(
        &self,
        group: &Subject,
        lookup: &mut impl FnMut(HandleRef<'_>) -> Result<Option<Values<'r>>, E>,
    ) -> Result<bool, E> {
        let Subject::Named { index, handle } = group else {
            return Ok(false);
        };
        let (mut groups, mut seen) = (vec![(*index, handle.clone())], HashSet::new());
        while let Some((index, handle)) = groups.pop() {
            if seen.len() >= GROUPS_MAX {
                return Ok(false);
            }
            if !seen.insert((index, handle.key(self.case))) {
                continue;
            }
            let Some(values) = lookup(handle.borrow())? else {
                continue;
            };
            for Reference { index, handle } in members(values, index) {
                let Ok(handle) = Handle::parse(&handle) else {
                    continue;
                };
                if self.is_key(index, handle.borrow()) {
                    return Ok(true);
                }
                if is_group_index(index) && groups.len() < GROUPS_MAX {
                    groups.push((index, handle));
                }
            }
        }
        Ok(false)
    }

    /// Whether the reference names his key; index 0 fits any.
    fn is_key(&self, index: i32, handle: HandleRef<'_>) -> bool {
        (index == 0 || index == self.identity.index) && handle.key(self.case) == self.key
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use guantong_proto::Value;
    use guantong_proto::data::List;
    use guantong_proto::wire::Writer;

    use super::*;

    fn group(members: &[&str]) -> Vec<u8> {
        let member = |text: &&str| {
            let (index, handle) = text.split_once(':').unwrap();
            Reference {
                index: index.parse().unwrap(),
                handle: handle.to_owned(),
            }
        };
        let list = List(members.iter().map(member).collect());
        let values = [Value::new(200, "HS_VLIST", list.encode())];
        Writer::to_vec(|w| Values::encode(&values, w))
    }

    /// Whether `300:88.1/App_a` is among the subjects, and how many records it took.
    fn ask(subjects: &[&str], groups: &[(&str, Vec<u8>)]) -> (bool, usize) {
        let identity = "300:88.1/App_a".parse().unwrap();
        let subjects: Vec<_> = subjects.iter().map(|one| one.parse().unwrap()).collect();
        let mut asked = 0;
        let mut caller = Caller::new(&identity, CaseRule::Insensitive);
        let found = caller.named_by(&subjects, |handle| {
            asked += 1;
            let found = groups.iter().find(|(name, _)| *name == handle.as_str());
            Ok::<_, Infallible>(found.map(|(_, wire)| Values::from_wire(wire).unwrap()))
        });
        (found.unwrap().is_some(), asked)
    }

    #[test]
    fn key_is_named_without_a_record() {
        for subject in ["everybody", "300:88.1/App_a", "0:88.1/APP_A", "88.1/App_a"] {
            assert_eq!(
                ask(&["200:88.2/Group_g", subject], &[]),
                (true, 0),
                "{subject}"
            );
        }
        for subject in ["301:88.1/App_a", "300:88.1/App_b", "300:88.2/App_a"] {
            assert_eq!(ask(&[subject], &[]), (false, 0), "{subject}");
        }
    }

    #[test]
    fn members_of_groups_of_groups_are_named_and_loops_end() {
        let outer = (
            "88.2/Group_o",
            group(&["300:88.1/App_z", "200:88.1/Group_i"]),
        );
        let inner = ("88.1/Group_i", group(&["200:88.2/Group_o", "0:88.1/App_a"]));
        let groups = [outer.clone(), inner];
        assert_eq!(ask(&["200:88.2/Group_o"], &groups), (true, 2));
        let loops = [outer, ("88.1/Group_i", group(&["200:88.2/Group_o"]))];
        assert_eq!(ask(&["200:88.2/Group_o"], &loops), (false, 2));
        assert_eq!(ask(&["200:88.1/Group_absent"], &loops), (false, 1));
        assert_eq!(ask(&["201:88.2/Group_o"], &groups), (false, 1));
    }

    #[test]
    fn long_lists_of_keys_cost_no_records_and_groups_are_bounded() {
        let keys: Vec<_> = (0..5_000).map(|n| format!("300:88.1/App_{n}")).collect();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let groups = [("88.1/Group_k", group(&keys))];
        assert_eq!(ask(&["200:88.1/Group_k"], &groups), (false, 1));

        let chain: Vec<_> = (0..100)
            .map(|n| {
                (
                    format!("88.1/Group_{n}"),
                    group(&[&format!("200:88.1/Group_{}", n + 1)]),
                )
            })
            .collect();
        let chain: Vec<_> = chain.iter().map(|(n, g)| (n.as_str(), g.clone())).collect();
        assert_eq!(ask(&["200:88.1/Group_0"], &chain), (false, GROUPS_MAX));
    }
}
