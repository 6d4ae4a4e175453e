//! What an increment makes of a rule.

use guantong_proto::CaseRule;
use serde::{Deserialize, Serialize};

use super::rule::{Rule, RuleError, SUBJECTS_MAX};
use super::subject::Subject;

//----------- Revision -------------------------------------------------------

/// Who is added to a rule and who is taken out of it; others stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Revision {
    /// Of those who read.
    pub readers: Edit,
    /// Of those who write.
    pub writers: Edit,
}

/// Who is added to a list and who is taken out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "GrantsEdit")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Edit {
    /// Who is added, unless he is in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<Subject>,
    /// Who is taken out, if he is in it. Done first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<Subject>,
}

impl Revision {
    /// Shows something to everybody.
    pub fn publish() -> Self {
        Self::of_readers(vec![Subject::Everybody], Vec::new())
    }

    /// Shows it no longer to everybody. Whoever is named stays.
    pub fn unpublish() -> Self {
        Self::of_readers(Vec::new(), vec![Subject::Everybody])
    }

    fn of_readers(add: Vec<Subject>, remove: Vec<Subject>) -> Self {
        Self {
            readers: Edit { add, remove },
            writers: Edit::default(),
        }
    }

    /// Whether it leaves every rule as it is.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Everybody who is added.
    pub fn added(&self) -> impl Iterator<Item = &Subject> {
        self.readers.add.iter().chain(&self.writers.add)
    }
}

impl Rule {
    /// The rule after the revision.
    pub fn revise(&self, revision: &Revision, case: CaseRule) -> Result<Self, RuleError> {
        let revised = Self {
            readers: revision.readers.apply("readers", &self.readers, case)?,
            writers: revision.writers.apply("writers", &self.writers, case)?,
        };
        revised.check()?;
        Ok(revised)
    }
}

impl Edit {
    fn apply(
        &self,
        list: &'static str,
        old: &[Subject],
        case: CaseRule,
    ) -> Result<Vec<Subject>, RuleError> {
        let count = self.add.len().max(self.remove.len());
        if count > SUBJECTS_MAX {
            return Err(RuleError::TooMany { list, count });
        }
        let is_in =
            |subject: &Subject, all: &[Subject]| all.iter().any(|one| one.is(subject, case));
        let stays = |subject: &&Subject| !is_in(subject, &self.remove);
        let mut new: Vec<Subject> = old.iter().filter(stays).cloned().collect();
        for subject in &self.add {
            if !is_in(subject, &new) {
                new.push(subject.clone());
            }
        }
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CASE: CaseRule = CaseRule::Insensitive;

    fn subjects(names: &[&str]) -> Vec<Subject> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn increments_add_and_take_out_and_leave_others() {
        let old = Rule {
            readers: subjects(&["300:88.1/a", "300:88.1/b"]),
            writers: subjects(&["300:88.1/w"]),
        };
        let revision = Revision {
            readers: Edit {
                add: subjects(&["300:88.1/A", "everybody", "200:88.2/Group_g"]),
                remove: subjects(&["300:88.1/B", "300:88.1/nobody"]),
            },
            writers: Edit {
                add: vec![],
                remove: subjects(&["0:88.1/w"]),
            },
        };
        let new = old.revise(&revision, CASE).unwrap();
        assert_eq!(
            new.readers,
            subjects(&["300:88.1/a", "everybody", "200:88.2/Group_g"])
        );
        assert_eq!(new.writers, old.writers);
        let hidden = new.revise(&Revision::unpublish(), CASE).unwrap();
        assert_eq!(
            hidden.readers,
            subjects(&["300:88.1/a", "200:88.2/Group_g"])
        );
        assert_eq!(
            hidden
                .revise(&Revision::publish(), CASE)
                .unwrap()
                .readers
                .len(),
            3
        );
    }

    #[test]
    fn everybody_does_not_become_a_writer_and_lists_are_bounded() {
        let revision = Revision {
            writers: Edit {
                add: subjects(&["everybody"]),
                remove: vec![],
            },
            ..Revision::default()
        };
        let refused = Rule::default().revise(&revision, CASE);
        assert_eq!(refused, Err(RuleError::EverybodyWrites));
        let add = |count: usize| Revision {
            readers: Edit {
                add: (0..count)
                    .map(|n| format!("88.1/a{n}").parse().unwrap())
                    .collect(),
                remove: vec![],
            },
            ..Revision::default()
        };
        let full = Rule::default().revise(&add(SUBJECTS_MAX), CASE).unwrap();
        assert!(full.revise(&add(SUBJECTS_MAX), CASE).is_ok());
        for (rule, revision) in [(&full, Revision::publish()), (&full, add(SUBJECTS_MAX + 1))] {
            let refused = rule.revise(&revision, CASE);
            assert!(matches!(
                refused,
                Err(RuleError::TooMany {
                    list: "readers",
                    ..
                })
            ));
        }
    }

    proptest! {
        #[test]
        fn revision_done_twice_is_done_once(
            old in proptest::collection::vec("[a-e]", 0..4),
            add in proptest::collection::vec("[a-e]", 0..4),
            remove in proptest::collection::vec("[a-e]", 0..4),
        ) {
            let named = |names: &[String]| -> Vec<Subject> {
                names.iter().map(|name| format!("300:88.1/{name}").parse().unwrap()).collect()
            };
            let rule = Rule { readers: named(&old), writers: vec![] };
            let readers = Edit { add: named(&add), remove: named(&remove) };
            let revision = Revision { readers, ..Revision::default() };
            let once = rule.revise(&revision, CASE).unwrap();
            for subject in named(&add) {
                prop_assert!(once.readers.contains(&subject));
            }
            for subject in named(&remove).iter().filter(|one| !named(&add).contains(one)) {
                prop_assert!(!once.readers.contains(subject));
            }
            let twice = once.revise(&revision, CASE).unwrap();
            let sorted = |rule: &Rule| {
                let mut readers = rule.readers.clone();
                readers.sort();
                readers
            };
            prop_assert_eq!(sorted(&twice), sorted(&once));
        }
    }
}
