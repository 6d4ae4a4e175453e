//! Reading JSON with the path of every fault.

use std::fmt;

use serde_json::Value as Json;

/// Longest excerpt of what was found, in characters.
const FOUND_CHARS_MAX: usize = 40;

//----------- JsonError ------------------------------------------------------

/// Why JSON text is not what was asked for. Its author is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The text is not JSON.
    #[error("not valid JSON at line {line}, column {column}: {reason}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// Something else was expected at some place.
    #[error("{path}: expected {expected}, found {found}")]
    Unexpected {
        /// The place, such as `values[3].data.format`; `the text` for the outermost element.
        path: String,
        /// What belongs there.
        expected: String,
        /// What is there: an excerpt.
        found: String,
    },
}

impl JsonError {
    /// Puts the way to the enclosing element in front of the path.
    #[must_use]
    pub fn within(mut self, enclosing: impl fmt::Display) -> Self {
        if let Self::Unexpected { path, .. } = &mut self {
            *path = match path.as_str() {
                WHOLE => enclosing.to_string(),
                inner if inner.starts_with('[') => format!("{enclosing}{inner}"),
                inner => format!("{enclosing}.{inner}"),
            };
        }
        self
    }
}

/// Path of the outermost element.
const WHOLE: &str = "the text";

/// Parses text into a tree. Depth is bounded by the parser.
pub(crate) fn parse(text: &[u8]) -> Result<Json, JsonError> {
    serde_json::from_slice(text).map_err(|error| {
        let message = error.to_string();
        let reason = message
            .split(" at line ")
            .next()
            .unwrap_or_default()
            .to_owned();
        JsonError::Syntax {
            line: error.line(),
            column: error.column(),
            reason,
        }
    })
}

//----------- Node -----------------------------------------------------------

/// An element of the tree that knows the way to it.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    json: &'a Json,
    parent: Option<&'a Node<'a>>,
    step: Step,
}

#[derive(Clone, Copy)]
enum Step {
    Root,
    Field(&'static str),
    Element(usize),
}

impl<'a> Node<'a> {
    pub(super) fn root(json: &'a Json) -> Self {
        Self {
            json,
            parent: None,
            step: Step::Root,
        }
    }

    pub(super) fn json(&self) -> &'a Json {
        self.json
    }

    /// The field of that name; `None` if absent or null.
    pub(super) fn field(&'a self, name: &'static str) -> Option<Node<'a>> {
        let json = self.json.get(name).filter(|json| !json.is_null())?;
        Some(Node {
            json,
            parent: Some(self),
            step: Step::Field(name),
        })
    }

    /// The field of that name, which must be there.
    pub(super) fn required(
        &'a self,
        name: &'static str,
        expected: &str,
    ) -> Result<Node<'a>, JsonError> {
        self.field(name).ok_or_else(|| {
            let missing = Node {
                json: &Json::Null,
                parent: Some(self),
                step: Step::Field(name),
            };
            missing.expected(expected)
        })
    }

    /// Fails unless the element is an object.
    pub(super) fn object(&self, expected: &str) -> Result<(), JsonError> {
        self.json
            .is_object()
            .then_some(())
            .ok_or_else(|| self.expected(expected))
    }

    /// The elements of a list.
    pub(super) fn list(
        &'a self,
        expected: &str,
    ) -> Result<impl ExactSizeIterator<Item = Node<'a>>, JsonError> {
        let list = self
            .json
            .as_array()
            .ok_or_else(|| self.expected(expected))?;
        Ok(list.iter().enumerate().map(|(position, json)| Node {
            json,
            parent: Some(self),
            step: Step::Element(position),
        }))
    }

    pub(super) fn text(&self, expected: &str) -> Result<&'a str, JsonError> {
        self.json.as_str().ok_or_else(|| self.expected(expected))
    }

    pub(super) fn bool(&self) -> Result<bool, JsonError> {
        self.json
            .as_bool()
            .ok_or_else(|| self.expected("true or false"))
    }

    pub(super) fn i32(&self) -> Result<i32, JsonError> {
        self.integer("a whole number of 32 bits")
    }

    /// A whole number that fits `T`.
    pub(super) fn integer<T: TryFrom<i64>>(&self, expected: &str) -> Result<T, JsonError> {
        let number = self
            .json
            .as_i64()
            .and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| self.expected(expected))
    }

    /// The error that says what belongs here.
    pub(super) fn expected(&self, expected: impl Into<String>) -> JsonError {
        let found = match self.json {
            Json::Null => "nothing".to_owned(),
            json => {
                let text = json.to_string();
                match text.char_indices().nth(FOUND_CHARS_MAX) {
                    Some((end, _)) => format!("{}…", &text[..end]),
                    None => text,
                }
            }
        };
        let path = match self.step {
            Step::Root => WHOLE.to_owned(),
            _ => self.to_string(),
        };
        JsonError::Unexpected {
            path,
            expected: expected.into(),
            found,
        }
    }
}

impl fmt::Display for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else {
            return Ok(());
        };
        parent.fmt(f)?;
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) if matches!(parent.step, Step::Root) => f.write_str(name),
            Step::Field(name) => write!(f, ".{name}"),
            Step::Element(position) => write!(f, "[{position}]"),
        }
    }
}
