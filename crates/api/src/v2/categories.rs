//! Categories of templates.

use serde::{Deserialize, Serialize};

/// The categories of a prefix.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CategoriesAnswer {
    /// The prefix.
    pub prefix: String,
    /// All of them, each behind the one that it is a part of.
    pub categories: Vec<CategoryAnswer>,
}

/// A category.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CategoryAnswer {
    /// Its number, which stays.
    pub id: i32,
    /// By which templates name it.
    pub code: String,
    /// How people call it.
    pub name: String,
    /// The code of the category that it is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Where it stands among those of the same parent.
    pub sort: u32,
    /// How far it is from the top, counted from 1.
    pub level: usize,
}

/// A category that is to be made.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewCategory {
    /// The prefix whose templates it is for.
    pub prefix: String,
    /// By which templates name it: letters of ASCII, digits, `-`, `_`, `.`.
    pub code: String,
    /// How people call it.
    pub name: String,
    /// The code of the category that it is a part of.
    #[serde(default)]
    pub parent: Option<String>,
    /// Where it stands among those of the same parent: low ones first.
    #[serde(default)]
    pub sort: u32,
}

/// What is changed of a category; what is not named stays.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangedCategory {
    /// How people call it.
    #[serde(default)]
    pub name: Option<String>,
    /// The code of the category that it is a part of; an empty text puts it at the top.
    #[serde(default)]
    pub parent: Option<String>,
    /// Where it stands among those of the same parent.
    #[serde(default)]
    pub sort: Option<u32>,
}
