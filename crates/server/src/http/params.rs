//! Query parameters and web forms: repeated names, flags, and bounds on how many there may be.
//!
//! Names are case-sensitive, as in Handle.Net. Unknown parameters are ignored, so that links with
//! somebody's tracking parameter still work.

use guantong_proto::limits::VALUES_MAX;

/// Most parameters of one request. A request can name every index of a full record, and some more.
pub(super) const PARAMS_MAX: usize = VALUES_MAX + 64;

/// Longest name of a JSONP function, in characters; generated ones have about 40.
const CALLBACK_LEN_MAX: usize = 128;

//----------- Params ---------------------------------------------------------

/// The parameters of a request in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads `name=value&name=value`.
    pub(crate) fn parse(query: &str) -> Result<Self, ParamError> {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes())
            .take(PARAMS_MAX + 1)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        if pairs.len() > PARAMS_MAX {
            return Err(ParamError::TooMany);
        }
        Ok(Self(pairs))
    }

    /// Adds the parameters of a JSON object: texts, numbers, truth values, and lists of them.
    pub(super) fn extend_from_json(&mut self, text: &[u8]) -> Result<(), ParamError> {
        use serde_json::Value as Json;
        let json: Json = serde_json::from_slice(text).map_err(|_| ParamError::NotAnObject)?;
        let object = json.as_object().ok_or(ParamError::NotAnObject)?;
        for (name, value) in object {
            let values = match value {
                Json::Array(list) => list.as_slice(),
                single => std::slice::from_ref(single),
            };
            for value in values {
                let text = match value {
                    Json::String(text) => text.clone(),
                    Json::Number(_) | Json::Bool(_) => value.to_string(),
                    _ => return Err(ParamError::NotAValue { name: name.clone() }),
                };
                if self.0.len() == PARAMS_MAX {
                    return Err(ParamError::TooMany);
                }
                self.0.push((name.clone(), text));
            }
        }
        Ok(())
    }

    /// Adds the parameters of a web form.
    pub(super) fn extend_from_form(&mut self, text: &str) -> Result<(), ParamError> {
        self.0.extend(Self::parse(text)?.0);
        match self.0.len() > PARAMS_MAX {
            true => Err(ParamError::TooMany),
            false => Ok(()),
        }
    }

    /// The first value of `name`.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of `name` in their order.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// A truth value: present and empty, `yes`, `true` or `1` is true, anything else false (8.2).
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        let is_true = |value: &str| {
            ["", "yes", "true", "1"]
                .iter()
                .any(|word| value.eq_ignore_ascii_case(word))
        };
        self.first(name).map(is_true)
    }

    /// The flag, false if absent.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.flag(name).unwrap_or(false)
    }

    /// A whole number.
    pub(super) fn number(&self, name: &'static str) -> Result<Option<i64>, ParamError> {
        self.first(name)
            .map(|text| {
                text.trim()
                    .parse()
                    .map_err(|_| ParamError::not_a_number(name, text))
            })
            .transpose()
    }

    /// The indexes asked for.
    pub(super) fn indexes(&self) -> Result<Vec<i32>, ParamError> {
        self.all("index")
            .filter(|text| !text.is_empty())
            .map(|text| {
                text.trim()
                    .parse()
                    .map_err(|_| ParamError::not_a_number("index", text))
            })
            .collect()
    }

    /// The types asked for.
    pub(super) fn types(&self) -> Vec<&str> {
        self.all("type").filter(|kind| !kind.is_empty()).collect()
    }

    /// The parameters as a query.
    pub(crate) fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.0)
            .finish()
    }

    /// The parameters as a query, with `name` set to `value`.
    pub(super) fn query_with(&self, name: &str, value: &str) -> String {
        let others = self.0.iter().filter(|(n, _)| n != name);
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(others)
            .append_pair(name, value)
            .finish()
    }

    /// The JSONP function to call.
    pub(super) fn callback(&self) -> Result<Option<&str>, ParamError> {
        match self.first("callback") {
            None | Some("") => Ok(None),
            Some(name) if is_callback(name) => Ok(Some(name)),
            Some(_) => Err(ParamError::BadCallback),
        }
    }
}

/// Whether `name` is a path of plain script identifiers, such as `jQuery123.done`.
///
/// Nothing else may stand in front of the answer, since it is run as a script.
fn is_callback(name: &str) -> bool {
    let is_identifier = |part: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$');
        part.starts_with(|c: char| !c.is_ascii_digit()) && part.chars().all(is_part)
    };
    name.len() <= CALLBACK_LEN_MAX && name.split('.').all(is_identifier)
}

//----------- ParamError -----------------------------------------------------

/// What is wrong with the parameters; the client is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParamError {
    #[error("more than {PARAMS_MAX} parameters")]
    TooMany,
    #[error("parameter `{name}`: `{found}` is not a whole number")]
    NotANumber { name: &'static str, found: String },
    #[error("parameter `{name}`: expected a text, a number, a truth value, or a list of them")]
    NotAValue { name: String },
    #[error("the body is not a JSON object of parameters")]
    NotAnObject,
    #[error(
        "parameter `callback`: expected a function name of letters, digits, `_`, `$` and dots, \
         at most {CALLBACK_LEN_MAX} characters"
    )]
    BadCallback,
}

impl ParamError {
    fn not_a_number(name: &'static str, found: &str) -> Self {
        Self::NotANumber {
            name,
            found: found.chars().take(40).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::parse(query).unwrap()
    }

    #[test]
    fn flags_are_true_when_empty_yes_or_true() {
        for query in [
            "auth",
            "auth=",
            "auth=yes",
            "auth=true",
            "auth=TRUE",
            "auth=1",
        ] {
            assert_eq!(params(query).flag("auth"), Some(true), "{query}");
        }
        for query in ["auth=no", "auth=false", "auth=0", "auth=x"] {
            assert_eq!(params(query).flag("auth"), Some(false), "{query}");
        }
        assert_eq!(params("").flag("auth"), None);
        assert!(!params("Auth").is_set("auth"));
    }

    #[test]
    fn types_and_indexes_repeat() {
        let params = params("type=URL&index=1&type=HS_ADMIN&index=300&type=");
        assert_eq!(params.types(), ["URL", "HS_ADMIN"]);
        assert_eq!(params.indexes().unwrap(), [1, 300]);
    }

    #[test]
    fn bad_numbers_are_named() {
        let error = params("index=1&index=two").indexes().unwrap_err();
        assert_eq!(
            error.to_string(),
            "parameter `index`: `two` is not a whole number"
        );
        assert!(params("index=2147483648").indexes().is_err());
        assert!(params("page=1e3").number("page").is_err());
        assert_eq!(params("page=-1").number("page").unwrap(), Some(-1));
    }

    #[test]
    fn callbacks_are_identifiers_only() {
        for name in ["cb", "a.b.c", "$", "_x9", "jQuery11_2.done"] {
            assert_eq!(
                params(&format!("callback={name}")).callback(),
                Ok(Some(name))
            );
        }
        for name in [
            "alert(1)", "a b", "a-b", "1a", "a..b", ".a", "a.", "a;b", "a%0Ab", "<script>", "中",
            "a[0]",
        ] {
            let found = params(&format!("callback={name}")).callback().map(|_| ());
            assert_eq!(found, Err(ParamError::BadCallback), "{name}");
        }
        let long = "a".repeat(CALLBACK_LEN_MAX + 1);
        assert!(params(&format!("callback={long}")).callback().is_err());
        assert!(
            params(&format!("callback={}", &long[1..]))
                .callback()
                .is_ok()
        );
        assert_eq!(params("callback=").callback(), Ok(None));
    }

    #[test]
    fn more_parameters_than_the_limit_are_refused() {
        let many = "index=1&".repeat(PARAMS_MAX);
        assert_eq!(params(&many).indexes().unwrap().len(), PARAMS_MAX);
        let more = "index=1&".repeat(PARAMS_MAX + 1);
        assert_eq!(Params::parse(&more).unwrap_err(), ParamError::TooMany);
    }

    #[test]
    fn bodies_add_to_the_query() {
        let mut params = params("index=1");
        params
            .extend_from_json(br#"{"index":[2,"3"],"type":"URL","auth":true}"#)
            .unwrap();
        params.extend_from_form("index=4").unwrap();
        assert_eq!(params.indexes().unwrap(), [1, 2, 3, 4]);
        assert!(params.is_set("auth"));
        assert_eq!(
            params.extend_from_json(b"[1]"),
            Err(ParamError::NotAnObject)
        );
        assert!(params.extend_from_json(br#"{"type":{"a":1}}"#).is_err());
    }
}
