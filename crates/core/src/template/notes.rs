//! What existing products keep of a field beside its rules, for their forms and lists.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::limit::{NAME_CHARS_MAX, NOTE_CHARS_MAX, NOTES_MAX};

/// What is kept of a field for people and other software. No value is judged by it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Notes {
    /// Its code in other software.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// A remark.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Whether forms leave it out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub not_in_forms: bool,
    /// Whether lists leave it out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub not_in_lists: bool,
    /// What was said of its values in words that a field has no meaning for, by their names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub said: BTreeMap<String, String>,
}

impl Notes {
    pub(super) fn are_none(&self) -> bool {
        *self == Self::default()
    }

    /// Everything that is wrong with them: place within the field, and why.
    pub(super) fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        for (place, text, limit) in [
            ("notes.code", &self.code, NAME_CHARS_MAX),
            ("notes.comment", &self.comment, NOTE_CHARS_MAX),
        ] {
            if text.chars().count() > limit {
                faults.push((place, format!("has more than {limit} characters")));
            }
        }
        let is_short = |(name, text): (&String, &String)| {
            name.chars().count() <= NAME_CHARS_MAX && text.chars().count() <= NOTE_CHARS_MAX
        };
        if self.said.len() > NOTES_MAX || !self.said.iter().all(is_short) {
            let why = format!(
                "are more than {NOTES_MAX}, or longer than {NAME_CHARS_MAX} and {NOTE_CHARS_MAX} \
                 characters"
            );
            faults.push(("notes.said", why));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_bounded() {
        let of = |more: usize| Notes {
            code: "码".repeat(NAME_CHARS_MAX + more),
            comment: "注".repeat(NOTE_CHARS_MAX + more),
            said: (0..NOTES_MAX + more)
                .map(|n| (n.to_string(), "值".repeat(NOTE_CHARS_MAX)))
                .collect(),
            ..Notes::default()
        };
        assert_eq!(of(0).faults(), []);
        let places = of(1)
            .faults()
            .into_iter()
            .map(|(place, _)| place)
            .collect::<Vec<_>>();
        assert_eq!(places, ["notes.code", "notes.comment", "notes.said"]);
        let long = Notes {
            said: [("a".to_owned(), "b".repeat(NOTE_CHARS_MAX + 1))].into(),
            ..Notes::default()
        };
        assert_eq!(long.faults().len(), 1);
    }
}
