//! Files of Handle software that a compatible tool meets (clause 4.6).
//!
//! Octets in, types out, and back; reading and writing the disk happens elsewhere. `siteinfo.bin`
//! is a site record ([`Site::decode`]), `siteinfo.json` its JSON form
//! ([`parse_site`](crate::json::parse_site)), private keys are in
//! [`keyfile`](crate::crypto::keyfile).

use std::collections::BTreeMap;

use crate::data::Site;
use crate::error::{DecodeError, Reason};
use crate::json::{JsonError, Record};
use crate::limits::{ARRAY_LEN_MAX, HANDLE_LEN_MAX};
use crate::value::{Value, Values};
use crate::wire::{Reader, Writer};

//----------- root_info ------------------------------------------------------

/// Decodes `root_info`: i32 length of the rest, i32 count, the values of the root record.
pub fn decode_root_info(octets: &[u8]) -> Result<Vec<Value>, DecodeError> {
    let decode = || {
        let mut r = Reader::new(octets);
        let mut rest = Reader::new(r.bytes("length")?);
        r.finish("root_info")?;
        let values = Values::decode(&mut rest)?.to_vec()?;
        rest.finish("values")?;
        Ok(values)
    };
    decode().map_err(|e: DecodeError| e.within("root_info"))
}

/// Encodes `root_info`.
pub fn encode_root_info(values: &[Value]) -> Vec<u8> {
    Writer::to_vec(|w| w.sized(|w| Values::encode(values, w)))
}

//----------- local_info -----------------------------------------------------

/// A site that answers for some prefixes, whatever the global registry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalSite {
    /// Prefix handles.
    pub prefixes: Vec<String>,
    /// The site.
    pub site: Site,
}

/// Decodes `local_info`: i32 length of the file, i32 count of sites, and for each the array of its
/// prefixes and the site record with its length.
pub fn decode_local_info(octets: &[u8]) -> Result<Vec<LocalSite>, DecodeError> {
    let decode = || {
        let mut r = Reader::new(octets);
        let total = r.i32("length")?;
        // The length counts itself; files without it in the count are read too.
        let fits = |len: usize| i32::try_from(len).is_ok_and(|len| len == total);
        if !fits(octets.len()) && !fits(octets.len() - 4) {
            let reason = Reason::Invalid("is not the length of the file");
            return Err(DecodeError::new("length", 0, reason));
        }
        let count = r.count("site count", 8, ARRAY_LEN_MAX)?;
        let sites = (1..=count).map(|position| {
            LocalSite::read(&mut r).map_err(|e| e.within(format_args!("site {position}")))
        });
        let sites = sites.collect::<Result<_, _>>()?;
        r.finish("sites")?;
        Ok(sites)
    };
    decode().map_err(|e: DecodeError| e.within("local_info"))
}

/// Encodes `local_info`.
pub fn encode_local_info(sites: &[LocalSite]) -> Vec<u8> {
    let body = Writer::to_vec(|w| {
        w.size(sites.len());
        for local in sites {
            w.bytes_array(&local.prefixes);
            w.bytes(&local.site.encode());
        }
    });
    Writer::to_vec(|w| {
        w.size(body.len() + 4);
        w.raw(&body);
    })
}

impl LocalSite {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = r.count("prefix count", 4, ARRAY_LEN_MAX)?;
        let mut prefixes = Vec::with_capacity(count);
        for _ in 0..count {
            let at = r.position();
            let prefix = std::str::from_utf8(r.bytes_max("prefix", HANDLE_LEN_MAX)?);
            let prefix = prefix.map_err(|_| DecodeError::new("prefix", at, Reason::NotUtf8))?;
            prefixes.push(prefix.to_owned());
        }
        let site = Site::decode(r.bytes("site record")?)?;
        Ok(Self { prefixes, site })
    }
}

//----------- bootstrap_handles ----------------------------------------------

/// The records from which a client finds the root: at least `0.NA/0.NA`, `0.0/0.0` and the service
/// handles that they name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bootstrap {
    /// When the records were fetched, in milliseconds since 1970.
    pub last_update_ms: i64,
    /// The records by handle.
    pub records: BTreeMap<String, Vec<Value>>,
}

impl Bootstrap {
    /// Reads `bootstrap_handles`: `{"lastUpdate":ms,"handles":{name:{"handle":…,"values":[…]}}}`.
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        let json = crate::json::parse_tree(text)?;
        let unexpected = |path: &str, expected: &str| JsonError::Unexpected {
            path: path.into(),
            expected: expected.into(),
            found: "something else".into(),
        };
        let last_update_ms = match json.get("lastUpdate") {
            None => 0,
            Some(ms) => ms
                .as_i64()
                .ok_or_else(|| unexpected("lastUpdate", "milliseconds"))?,
        };
        let handles = json.get("handles").and_then(|handles| handles.as_object());
        let handles = handles.ok_or_else(|| unexpected("handles", "an object of records"))?;
        let records = handles.iter().map(|(name, json)| {
            let record = Record::from_json(json);
            let record = record.map_err(|e| e.within(format_args!("handles.{name}")))?;
            Ok((name.clone(), record.values))
        });
        Ok(Self {
            last_update_ms,
            records: records.collect::<Result<_, JsonError>>()?,
        })
    }

    /// Writes `bootstrap_handles`.
    pub fn to_json(&self) -> String {
        let records = self.records.iter().map(|(name, values)| {
            let (handle, values) = (Some(name.clone()), values.clone());
            (
                name.clone(),
                Record {
                    response_code: None,
                    handle,
                    values,
                },
            )
        });
        #[derive(serde::Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape {
            last_update: i64,
            handles: BTreeMap<String, Record>,
        }
        let shape = Shape {
            last_update: self.last_update_ms,
            handles: records.collect(),
        };
        // Records always have a JSON form.
        serde_json::to_string(&shape).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Vec<Value> {
        vec![
            Value::new(1, "HS_SITE", Site::default().encode()),
            Value::new(2, "DESC", "root"),
        ]
    }

    #[test]
    fn root_info_survives_a_round_trip_and_refuses_damage() {
        let octets = encode_root_info(&values());
        assert_eq!(decode_root_info(&octets).unwrap(), values());
        for len in 0..octets.len() {
            assert!(decode_root_info(&octets[..len]).is_err(), "{len}");
        }
        let error = decode_root_info(&[&octets[..], &[0]].concat()).unwrap_err();
        assert!(error.to_string().starts_with("root_info: "), "{error}");
    }

    #[test]
    fn local_info_survives_a_round_trip_and_refuses_damage() {
        let local = LocalSite {
            prefixes: vec!["0.NA/1".into(), "*".into()],
            site: Site::default(),
        };
        let sites = vec![
            local.clone(),
            LocalSite {
                prefixes: vec![],
                ..local
            },
        ];
        let octets = encode_local_info(&sites);
        assert_eq!(decode_local_info(&octets).unwrap(), sites);
        for len in 0..octets.len() {
            assert!(decode_local_info(&octets[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn bootstrap_survives_a_round_trip_and_names_faults() {
        let records = BTreeMap::from([("0.NA/0.NA".to_owned(), values())]);
        let bootstrap = Bootstrap {
            last_update_ms: 1_700_000_000_000,
            records,
        };
        assert_eq!(
            Bootstrap::parse(bootstrap.to_json().as_bytes()).unwrap(),
            bootstrap
        );
        for (text, expected) in [
            (r#"{}"#, "handles: expected"),
            (r#"{"lastUpdate":"x","handles":{}}"#, "lastUpdate: expected"),
            (
                r#"{"handles":{"0.0/0.0":{"values":[{"index":1}]}}}"#,
                "handles.0.0/0.0.values[0].type: expected",
            ),
        ] {
            let error = Bootstrap::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
