//! The records of the demonstration: real figures, each with its source and a verbatim quote.
//!
//! Every indicator of `test-data/indicators` becomes a record: its names, unit, sort and topic, and
//! one `OBSERVATION` value per figure. The enterprise with all figures has a few more records that
//! show redirects.

use guantong_api::observation::{OBSERVATION_TYPE, Observation};
use guantong_proto::data::{Admin, AdminPermissions};
use guantong_proto::{Handle, Value};
use serde::Deserialize;

use super::DemoError;

/// The figures, one JSON object a line, those of one indicator not always side by side.
const INDICATORS: &str = include_str!("../../../../test-data/indicators/indicators.jsonl");

/// Index of the first figure of a record.
const OBSERVATIONS_AT: i32 = 1_000;
/// Index of the administrator of every record.
const ADMIN_INDEX: i32 = 100;
/// Index of the administrator's key in the prefix record.
const KEY_INDEX: i32 = 300;

/// Suffix, type and text of records that lead somewhere.
const LINKS: [(&str, &str, &str); 4] = [
    ("5g", "HS_ALIAS", "88.118.5/5g-base-stations"),
    (
        "handle-overview",
        "URL",
        "https://www.rfc-editor.org/rfc/rfc3650.html",
    ),
    (
        "handle-namespace",
        "URL",
        "https://www.rfc-editor.org/rfc/rfc3651.html",
    ),
    (
        "handle-protocol",
        "10320/loc",
        r#"<locations choose_by="locatt,country,weighted">
  <location id="0" href="https://www.rfc-editor.org/rfc/rfc3652.html" weight="1" view="text"/>
  <location id="1" href="https://www.rfc-editor.org/info/rfc3652" weight="0" view="status"/>
  <location id="2" href="https://datatracker.ietf.org/doc/rfc3652/" weight="0" country="cn"/>
</locations>"#,
    ),
];

//----------- Records --------------------------------------------------------

/// One line of the figures.
#[derive(Debug, Deserialize)]
struct Line {
    indicator: String,
    name_zh: String,
    name_en: String,
    topic: String,
    #[serde(flatten)]
    observation: Observation,
}

/// Which figures an enterprise registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topics {
    /// None: the node is no enterprise.
    None,
    /// Those of these topics.
    Some(&'static [&'static str]),
    /// All, and the records that lead somewhere.
    All,
    /// The stages of a bottle in place of figures.
    Trace,
}

impl Topics {
    fn includes(self, topic: &str) -> bool {
        match self {
            Self::None | Self::Trace => false,
            Self::Some(topics) => topics.contains(&topic),
            Self::All => true,
        }
    }
}

/// The records of the enterprise that homes `prefix`.
pub fn records(
    prefix: &str,
    topics: Topics,
    now_secs: u32,
) -> Result<Vec<(Handle, Vec<Value>)>, DemoError> {
    let administrator = administrator(prefix);
    let mut records: Vec<(Handle, Vec<Value>)> = Vec::new();
    for (number, line) in (1..).zip(INDICATORS.lines()) {
        let data = |source| DemoError::Data {
            line: number,
            source,
        };
        let line: Line = serde_json::from_str(line).map_err(data)?;
        if !topics.includes(&line.topic) {
            continue;
        }
        let handle = Handle::parse(&format!("{prefix}/{}", line.indicator))?;
        let position = match records.iter().position(|(known, _)| *known == handle) {
            Some(position) => position,
            None => {
                records.push((handle, described(&line, &administrator)));
                records.len() - 1
            }
        };
        let values = &mut records[position].1;
        let last = values.last().map_or(0, |value| value.index);
        let json = serde_json::to_string(&line.observation).map_err(data)?;
        values.push(Value::new(
            OBSERVATIONS_AT.max(last + 1),
            OBSERVATION_TYPE,
            json,
        ));
    }
    if topics == Topics::All {
        for (suffix, kind, text) in LINKS {
            let handle = Handle::parse(&format!("{prefix}/{suffix}"))?;
            let link = Value::new(1, kind, text);
            records.push((handle, vec![link, administrator.clone()]));
        }
    }
    for value in records.iter_mut().flat_map(|(_, values)| values) {
        value.timestamp = now_secs;
    }
    Ok(records)
}

/// What is said of an indicator before its figures.
fn described(line: &Line, administrator: &Value) -> Vec<Value> {
    let kind = line.observation.kind.as_deref().unwrap_or_default();
    vec![
        Value::new(1, "NAME.ZH", line.name_zh.as_str()),
        Value::new(2, "NAME.EN", line.name_en.as_str()),
        Value::new(3, "UNIT", line.observation.unit.as_str()),
        Value::new(4, "KIND", kind),
        Value::new(5, "TOPIC", line.topic.as_str()),
        administrator.clone(),
    ]
}

pub(super) fn administrator(prefix: &str) -> Value {
    let admin = Admin::new(AdminPermissions::ALL, format!("0.NA/{prefix}"), KEY_INDEX);
    Value::new(ADMIN_INDEX, "HS_ADMIN", admin.encode())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::PREFIX;

    #[test]
    fn every_indicator_becomes_a_record() {
        let records = records(PREFIX, Topics::All, 1_700_000_000).unwrap();
        assert_eq!(records.len(), 294 + LINKS.len());
        let figures = records.iter().flat_map(|(_, values)| values);
        let figures = figures
            .filter(|value| value.kind == OBSERVATION_TYPE)
            .count();
        assert_eq!(figures, 416);
        for (handle, values) in &records {
            let mut indexes: Vec<i32> = values.iter().map(|value| value.index).collect();
            indexes.sort_unstable();
            indexes.dedup();
            assert_eq!(indexes.len(), values.len(), "{handle}");
        }
    }

    #[test]
    fn enterprise_registers_the_figures_of_its_topics_only() {
        let records = records("88.118.6", Topics::Some(&["battery"]), 0).unwrap();
        assert!(!records.is_empty() && records.len() < 10);
        for (handle, values) in &records {
            assert!(handle.as_str().starts_with("88.118.6/"), "{handle}");
            let topic = values.iter().find(|value| value.kind == "TOPIC").unwrap();
            assert_eq!(topic.text(), Some("battery"));
        }
    }

    #[test]
    fn figures_keep_their_digits_and_their_quotes() {
        let records = records(PREFIX, Topics::All, 0).unwrap();
        let name = "88.118.5/5g-base-stations";
        let (_, values) = records
            .iter()
            .find(|(handle, _)| handle.as_str() == name)
            .unwrap();
        let first = values
            .iter()
            .find(|value| value.index == OBSERVATIONS_AT)
            .unwrap();
        let text = first.text().unwrap();
        assert!(text.contains("\"value\":3647000,"), "{text}");
        assert!(text.contains("364.7万个"), "{text}");
        assert!(
            text.starts_with("{\"period_start\":null,\"period_end\":\"2024-03-31\""),
            "{text}"
        );
    }
}
