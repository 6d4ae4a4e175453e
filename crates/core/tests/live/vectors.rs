//! The vector file, in its order.

use std::collections::HashMap;

use serde_json::Value as Json;

/// The vectors by their names, and the names in the order of the file.
pub(crate) struct Vectors {
    by_name: HashMap<String, Json>,
    names: Vec<String>,
}

/// A recorded reply, with its request where that is in the file.
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) request: Option<Vec<u8>>,
    pub(crate) response: Vec<u8>,
}

impl Vectors {
    /// The file of the repository, and over it the one that `GUANTONG_VECTORS` names: another file
    /// may lack the site record and the records that its exchanges rely on.
    pub(crate) fn load() -> Self {
        let default = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../test-data/wire/handle-vectors.json"
        );
        let mut vectors = Self {
            by_name: HashMap::new(),
            names: Vec::new(),
        };
        vectors.read(default);
        if let Ok(path) = std::env::var("GUANTONG_VECTORS") {
            vectors.read(&path);
        }
        vectors
    }

    fn read(&mut self, path: &str) {
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let list: Vec<Json> = serde_json::from_str(&text).unwrap();
        for vector in list {
            let name = vector["name"].as_str().unwrap().to_owned();
            if self.by_name.insert(name.clone(), vector).is_none() {
                self.names.push(name);
            }
        }
    }

    pub(crate) fn octets(&self, name: &str) -> Option<Vec<u8>> {
        let vector = self.by_name.get(name)?;
        Some(unhex(vector["hex"].as_str().unwrap()))
    }

    /// A field of a vector.
    pub(crate) fn field(&self, name: &str, field: &str) -> Option<&str> {
        self.by_name.get(name)?["fields"][field].as_str()
    }

    /// Names of the vectors that start and end so, in the order of the file.
    pub(crate) fn names(&self, start: &str, end: &str) -> Vec<String> {
        let fits = |name: &&String| name.starts_with(start) && name.ends_with(end);
        self.names.iter().filter(fits).cloned().collect()
    }

    /// Recorded exchanges. Of those in two steps, the first step is there even if its reply is not.
    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        let of = |name: &String| {
            let stem = name.strip_suffix("-response").unwrap();
            let request = self.octets(&format!("{stem}-request"));
            Exchange {
                name: stem.to_owned(),
                request: request.or_else(|| self.field(name, "request").map(unhex)),
                response: self.octets(name).unwrap(),
            }
        };
        self.names("live-", "-response").iter().map(of).collect()
    }
}

pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    let digit = |i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
