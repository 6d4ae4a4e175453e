//! Categories (数据分类) of the templates of a prefix: a tree, kept as a record.
//!
//! | index | type | data |
//! |---|---|---|
//! | 2000… | `GT_CATEGORY` | JSON: code, name, parent, sort; the index is its number |
//!
//! A template names the code of its category. One that names none, or one that there is not, is
//! unclassified (未分类): that category is always there, and is no value.

use std::collections::{HashMap, HashSet};

use guantong_proto::{Handle, NameError, Value, Values};
use serde::{Deserialize, Serialize};

use super::limit::{
    CATEGORIES_MAX, CATEGORY_CHARS_MAX, CATEGORY_LEVELS_MAX, CATEGORY_NAME_CHARS_MAX,
};

/// Type of the values that are categories.
pub const CATEGORY_TYPE: &str = "GT_CATEGORY";
/// Code of the category of what has none.
pub const UNCLASSIFIED: &str = "unclassified";
/// Name of the category of what has none.
pub const UNCLASSIFIED_NAME: &str = "未分类";
/// Number of the category of what has none.
pub const UNCLASSIFIED_ID: i32 = 1;
/// Suffix of the record of the categories of a prefix.
pub const CATEGORIES_SUFFIX: &str = "CATEGORIES";
const INDEX_FIRST: i32 = 2_000;

/// The record of the categories of a prefix such as `88.118.5`.
pub fn categories_handle(prefix: &str) -> Result<Handle, NameError> {
    Handle::parse(&format!("{prefix}/{CATEGORIES_SUFFIX}"))
}

//----------- Category -------------------------------------------------------

/// A category.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// Its number, which is the index of its value; 0 for one that is to be added.
    #[serde(skip)]
    pub id: i32,
    /// By which templates name it.
    pub code: String,
    /// How people call it.
    pub name: String,
    /// The code of the category that it is a part of; none if it stands at the top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Where it stands among those of the same parent: low ones first.
    #[serde(default)]
    pub sort: u32,
}

/// A category and its place in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<'a> {
    /// The category.
    pub category: &'a Category,
    /// Numbers of those that it is a part of, from the top.
    pub above: Vec<i32>,
}

//----------- Categories -----------------------------------------------------

/// The categories of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Categories(Vec<Category>);

impl Default for Categories {
    /// The one that is always there.
    fn default() -> Self {
        Self(vec![unclassified()])
    }
}

fn unclassified() -> Category {
    Category {
        id: UNCLASSIFIED_ID,
        code: UNCLASSIFIED.to_owned(),
        name: UNCLASSIFIED_NAME.to_owned(),
        parent: None,
        sort: 0,
    }
}

impl Categories {
    /// The categories that a record has.
    pub fn of(values: Values<'_>) -> Result<Self, CategoryFault> {
        let damaged = |index: i32, what: String| CategoryFault::Damaged { index, what };
        let mut all = Self::default();
        let values = values
            .iter()
            .filter(|value| value.kind == CATEGORY_TYPE.as_bytes());
        for value in values.take(CATEGORIES_MAX + 1) {
            let category: Category = serde_json::from_slice(value.data)
                .map_err(|error| damaged(value.index, error.to_string()))?;
            let id = value.index;
            all.0.push(Category { id, ..category });
        }
        all.checked()
    }

    /// The values that make a record these categories.
    pub fn to_values(&self) -> Vec<Value> {
        let stored = self.0.iter().filter(|category| category.id >= INDEX_FIRST);
        // Texts and numbers are always written.
        let data = |category: &Category| serde_json::to_vec(category).unwrap_or_default();
        stored
            .map(|category| Value::new(category.id, CATEGORY_TYPE, data(category)))
            .collect()
    }

    /// The category of this code.
    pub fn get(&self, code: &str) -> Option<&Category> {
        self.0.iter().find(|category| category.code == code)
    }

    /// The category of a template that names this code.
    pub fn of_code<'a>(&'a self, named: &str) -> &'a Category {
        // The first is the one that is always there.
        self.get(named).unwrap_or(&self.0[0])
    }

    /// Whether a template that names the code `named` is in the category `code`, or below it.
    pub fn is_in(&self, named: &str, code: &str) -> bool {
        let mut at = Some(self.of_code(named));
        // Parents lead to the top, as has been checked.
        while let Some(category) = at {
            if category.code == code {
                return true;
            }
            at = category
                .parent
                .as_deref()
                .and_then(|parent| self.get(parent));
        }
        false
    }

    /// The same with another one.
    #[allow(clippy::should_implement_trait, reason = "a category is no sum")]
    pub fn add(mut self, new: Category) -> Result<Self, CategoryFault> {
        if self.get(&new.code).is_some() {
            return Err(CategoryFault::Twice { code: new.code });
        }
        let last = self.0.iter().map(|category| category.id).max();
        let id = last
            .unwrap_or_default()
            .max(INDEX_FIRST - 1)
            .saturating_add(1);
        self.0.push(Category { id, ..new });
        self.checked()
    }

    /// The same with the category of this code changed.
    pub fn change(
        mut self,
        code: &str,
        change: impl FnOnce(&mut Category),
    ) -> Result<Self, CategoryFault> {
        let missing = || CategoryFault::Missing {
            code: code.to_owned(),
        };
        if code == UNCLASSIFIED {
            return Err(CategoryFault::Fixed);
        }
        let found = self.0.iter_mut().find(|category| category.code == code);
        let category = found.ok_or_else(missing)?;
        let id = category.id;
        change(category);
        // Templates name it, and others may have noted its number.
        category.id = id;
        category.code = code.to_owned();
        self.checked()
    }

    /// The same without the category of this code, which must have none below it.
    pub fn remove(mut self, code: &str) -> Result<Self, CategoryFault> {
        if code == UNCLASSIFIED {
            return Err(CategoryFault::Fixed);
        }
        if self.get(code).is_none() {
            return Err(CategoryFault::Missing {
                code: code.to_owned(),
            });
        }
        if let Some(child) = self.0.iter().find(|c| c.parent.as_deref() == Some(code)) {
            return Err(CategoryFault::HasChildren {
                child: child.code.clone(),
            });
        }
        self.0.retain(|category| category.code != code);
        Ok(self)
    }

    /// All of them, each behind the one that it is a part of, and in their order.
    pub fn placed(&self) -> Vec<Placed<'_>> {
        let mut below: HashMap<Option<&str>, Vec<&Category>> = HashMap::new();
        for category in &self.0 {
            below
                .entry(category.parent.as_deref())
                .or_default()
                .push(category);
        }
        for list in below.values_mut() {
            // They are taken from behind.
            list.sort_by_key(|category| std::cmp::Reverse((category.sort, category.id)));
        }
        let mut placed = Vec::with_capacity(self.0.len());
        let mut stack = vec![(below.remove(&None).unwrap_or_default(), Vec::new())];
        while let Some((mut list, above)) = stack.pop() {
            let Some(category) = list.pop() else {
                continue;
            };
            let parts = below.remove(&Some(category.code.as_str()));
            let above_parts: Vec<i32> = [&above[..], &[category.id]].concat();
            placed.push(Placed {
                category,
                above: above.clone(),
            });
            stack.push((list, above));
            stack.push((parts.unwrap_or_default(), above_parts));
        }
        placed
    }

    /// The same if it is a tree within its bounds.
    fn checked(self) -> Result<Self, CategoryFault> {
        if self.0.len() > CATEGORIES_MAX {
            return Err(CategoryFault::TooMany);
        }
        let mut codes = HashSet::new();
        for category in &self.0 {
            let code = || category.code.clone();
            let is_part =
                |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
            let chars = category.code.len();
            if chars == 0 || chars > CATEGORY_CHARS_MAX || !category.code.bytes().all(is_part) {
                return Err(CategoryFault::Code { code: code() });
            }
            let chars = category.name.chars().count();
            let has_control = category.name.contains(char::is_control);
            if category.name.trim().is_empty() || chars > CATEGORY_NAME_CHARS_MAX || has_control {
                return Err(CategoryFault::Name { code: code() });
            }
            if !codes.insert(category.code.as_str()) {
                return Err(CategoryFault::Twice { code: code() });
            }
        }
        self.check_parents()?;
        Ok(self)
    }

    fn check_parents(&self) -> Result<(), CategoryFault> {
        for category in &self.0 {
            let mut at = category;
            let mut level = 1;
            while let Some(parent) = &at.parent {
                let found = self.get(parent);
                // Nothing is a part of what says that there is no category.
                let found = found.filter(|found| found.id != UNCLASSIFIED_ID);
                at = found.ok_or_else(|| CategoryFault::Parent {
                    parent: parent.clone(),
                })?;
                level += 1;
                if level > CATEGORY_LEVELS_MAX {
                    let code = category.code.clone();
                    return Err(CategoryFault::TooDeep { code });
                }
            }
        }
        Ok(())
    }
}

//----------- CategoryFault --------------------------------------------------

/// Why categories are not as they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CategoryFault {
    /// There are too many.
    #[error("there are {CATEGORIES_MAX} categories, and no more are kept for a prefix")]
    TooMany,
    /// A code is none.
    #[error(
        "`code`: `{code}` must have 1 to {CATEGORY_CHARS_MAX} letters of ASCII, digits, `-`, `_`, \
         `.`"
    )]
    Code {
        /// What was said.
        code: String,
    },
    /// A name is none.
    #[error("`name`: that of `{code}` must have 1 to {CATEGORY_NAME_CHARS_MAX} characters")]
    Name {
        /// The code.
        code: String,
    },
    /// There are two of a code.
    #[error("there is a category `{code}` already")]
    Twice {
        /// The code.
        code: String,
    },
    /// There is no such category.
    #[error("there is no category `{code}`")]
    Missing {
        /// The code.
        code: String,
    },
    /// There is no such category to be a part of.
    #[error("`parent`: there is no category `{parent}` that others may be a part of")]
    Parent {
        /// The code of the parent.
        parent: String,
    },
    /// A category is a part of itself, or too far below.
    #[error("`parent`: `{code}` would be a part of itself, or below level {CATEGORY_LEVELS_MAX}")]
    TooDeep {
        /// The code.
        code: String,
    },
    /// Others are a part of it.
    #[error("`{child}` is a part of it: remove that first, or give it another parent")]
    HasChildren {
        /// One of them.
        child: String,
    },
    /// It is the one that is always there.
    #[error("`{UNCLASSIFIED}` is always there, and stays what it is")]
    Fixed,
    /// Somebody has changed the record by hand.
    #[error("value {index} of the record is no category: {what}")]
    Damaged {
        /// The index of the value.
        index: i32,
        /// What is wrong.
        what: String,
    },
}

#[cfg(test)]
mod tests {
    use guantong_proto::wire::Writer;
    use proptest::prelude::*;

    use super::*;

    fn new(code: &str, parent: Option<&str>, sort: u32) -> Category {
        Category {
            id: 0,
            code: code.to_owned(),
            name: format!("name of {code}"),
            parent: parent.map(str::to_owned),
            sort,
        }
    }

    fn tree() -> Categories {
        let parts = Categories::default().add(new("parts", None, 2)).unwrap();
        let cells = parts.add(new("cells", Some("parts"), 0)).unwrap();
        let goods = cells.add(new("goods", None, 1)).unwrap();
        goods.add(new("cases", Some("parts"), 0)).unwrap()
    }

    fn stored(categories: &Categories) -> Result<Categories, CategoryFault> {
        let wire = Writer::to_vec(|w| Values::encode(&categories.to_values(), w));
        Categories::of(Values::from_wire(&wire).unwrap())
    }

    #[test]
    fn tree_is_told_in_its_order_and_survives_its_record() {
        let tree = tree();
        let placed = tree.placed();
        let told: Vec<_> = placed
            .iter()
            .map(|p| (&*p.category.code, &*p.above))
            .collect();
        let parts = tree.get("parts").unwrap().id;
        let expected: [(&str, &[i32]); 5] = [
            (UNCLASSIFIED, &[]),
            ("goods", &[]),
            ("parts", &[]),
            ("cells", &[parts]),
            ("cases", &[parts]),
        ];
        assert_eq!(told, expected);
        assert_eq!(stored(&tree), Ok(tree.clone()));
        assert_eq!(stored(&Categories::default()), Ok(Categories::default()));
    }

    #[test]
    fn numbers_stay_and_codes_stay() {
        let tree = tree();
        let id = tree.get("cells").unwrap().id;
        let moved = tree
            .change("cells", |c| *c = new("other", Some("goods"), 7))
            .unwrap();
        let cells = moved.get("cells").unwrap();
        assert_eq!((cells.id, cells.sort), (id, 7));
        assert!(moved.get("other").is_none());
    }

    #[test]
    fn what_is_in_no_category_is_unclassified() {
        let tree = tree();
        assert_eq!(tree.of_code("").code, UNCLASSIFIED);
        assert_eq!(tree.of_code("gone").id, UNCLASSIFIED_ID);
        assert!(tree.is_in("cells", "parts") && tree.is_in("cells", "cells"));
        assert!(!tree.is_in("parts", "cells") && !tree.is_in("goods", "parts"));
        assert!(tree.is_in("gone", UNCLASSIFIED) && !tree.is_in("cells", UNCLASSIFIED));
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let refused = |new: Category| tree().add(new).unwrap_err();
        assert!(matches!(
            refused(new("cells", None, 0)),
            CategoryFault::Twice { .. }
        ));
        assert!(matches!(
            refused(new(UNCLASSIFIED, None, 0)),
            CategoryFault::Twice { .. }
        ));
        let nowhere = Some("nowhere");
        assert!(matches!(
            refused(new("x", nowhere, 0)),
            CategoryFault::Parent { .. }
        ));
        let nothing = Some(UNCLASSIFIED);
        assert!(matches!(
            refused(new("x", nothing, 0)),
            CategoryFault::Parent { .. }
        ));
        for code in ["", "a b", "a/b", "标", &"x".repeat(CATEGORY_CHARS_MAX + 1)] {
            assert!(
                matches!(refused(new(code, None, 0)), CategoryFault::Code { .. }),
                "{code}"
            );
        }
        let circle = tree().change("parts", |c| c.parent = Some("cells".to_owned()));
        assert!(matches!(circle, Err(CategoryFault::TooDeep { .. })));
        let renamed = tree().change("parts", |c| c.name = "\n".to_owned());
        assert!(matches!(renamed, Err(CategoryFault::Name { .. })));
        assert!(matches!(
            tree().remove("parts"),
            Err(CategoryFault::HasChildren { .. })
        ));
        assert!(matches!(
            tree().remove("gone"),
            Err(CategoryFault::Missing { .. })
        ));
        assert_eq!(tree().remove(UNCLASSIFIED), Err(CategoryFault::Fixed));
        assert_eq!(
            tree().change(UNCLASSIFIED, |_| {}),
            Err(CategoryFault::Fixed)
        );
        assert!(tree().remove("cells").unwrap().get("cells").is_none());
    }

    #[test]
    fn number_and_depth_are_bounded() {
        let mut all = Categories::default();
        for at in 1..CATEGORIES_MAX {
            all.0.push(Category {
                id: 2_000 + at as i32,
                ..new(&format!("c{at}"), None, 0)
            });
        }
        assert_eq!(stored(&all), Ok(all.clone()));
        assert_eq!(
            all.add(new("one-more", None, 0)),
            Err(CategoryFault::TooMany)
        );

        let mut deep = Categories::default().add(new("1", None, 0)).unwrap();
        for level in 2..=CATEGORY_LEVELS_MAX {
            let above = (level - 1).to_string();
            deep = deep.add(new(&level.to_string(), Some(&above), 0)).unwrap();
        }
        let below = new("x", Some(&CATEGORY_LEVELS_MAX.to_string()), 0);
        assert!(matches!(
            deep.add(below),
            Err(CategoryFault::TooDeep { .. })
        ));
    }

    #[test]
    fn record_that_somebody_has_changed_is_told() {
        let damaged = |data: &str| {
            let wire = Writer::to_vec(|w| {
                Values::encode(&[Value::new(2_000, CATEGORY_TYPE, data)], w);
            });
            Categories::of(Values::from_wire(&wire).unwrap())
        };
        for data in ["", "[]", "{}", "{\"code\":1}"] {
            let told = damaged(data);
            assert!(
                matches!(told, Err(CategoryFault::Damaged { index: 2_000, .. })),
                "{data}"
            );
        }
        let itself = r#"{"code":"a","name":"A","parent":"a"}"#;
        assert!(matches!(
            damaged(itself),
            Err(CategoryFault::TooDeep { .. })
        ));
    }

    proptest! {
        /// Whatever is done, each category is told once, and behind the one that it is a part of.
        #[test]
        fn every_category_has_one_place(steps in prop::collection::vec((0..9_u8, 0..9_u8), 0..40)) {
            let mut all = Categories::default();
            for (code, parent) in steps {
                let parent = (parent > 0).then(|| format!("c{parent}"));
                let category = new(&format!("c{code}"), parent.as_deref(), 0);
                let next = all.clone().add(category.clone());
                let next = next.or_else(|_| {
                    all.clone().change(&category.code, |c| c.parent = category.parent.clone())
                });
                all = next.unwrap_or(all);
            }
            let placed = all.placed();
            prop_assert_eq!(placed.len(), all.0.len());
            for (at, one) in placed.iter().enumerate() {
                let parent = one.above.last();
                let before = placed[..at].iter().any(|p| Some(&p.category.id) == parent);
                prop_assert!(parent.is_none() || before);
            }
        }
    }
}
