//! A bottle and where it comes from: fourteen stages that two enterprises register.
//!
//! ```text
//!  distributor   1 scan ─ 2 store ─ 3 shipment ─ 4 receipt ─┐
//!  distillery   ┌─────────────────────────────── 5 dispatch ┘
//!               └ 6 stock ─ 7 case ─ 8 bottle ─ 9 packing ─ 10 blending ─ … ─ 14 supplier
//! ```
//!
//! Every stage is a registration by a template, and refers to those beside it, in both directions.
//! Most fields are public. The others are read by the application of the distillery, by a rule of
//! the template; the other enterprise is not named by it, nor is the public.

use std::path::Path;

use guantong_core::grant::{Rule, Subject, class_index};
use guantong_core::template::{
    Definition, Extent, Field, FieldFault, Kind, Readers, Reference, State, Template, Text,
};
use guantong_proto::{CaseRule, Handle, Value};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::DemoError;
use super::figures::administrator;
use crate::key::form::{self, Key, KeyPair, Kind as KeyKind};
use crate::key::write_private;

/// The stages, one JSON object a line.
const STAGES: &str = include_str!("../../../../test-data/trace/stages.jsonl");

/// The application that reads all stages.
pub const APPLICATION: &str = "88.608.24061301/App_12306";
/// File of its private key, in the folder of its node.
pub const APPLICATION_KEY: &str = "app_12306.pem";
/// Its key is of the kind that programs for enterprise nodes have.
const RSA_BITS: usize = 2_048;
/// Index of its public half.
const KEY_INDEX: i32 = 300;
/// Where the trace begins: the bottle.
pub const BOTTLE: &str = "88.608.24061301/META_577949a1a3BOTTLE0001";
/// How many stages there are.
pub const STAGES_COUNT: usize = 14;

/// A line of the data.
#[derive(Debug, Deserialize)]
struct Stage {
    stage: u32,
    prefix: String,
    code: String,
    title: String,
    own: String,
    fields: Vec<Said>,
    links: Vec<u32>,
}

/// What is said of a stage.
#[derive(Debug, Deserialize)]
struct Said {
    name: String,
    label: String,
    value: String,
    public: bool,
}

impl Stage {
    fn template(&self) -> Result<Handle, DemoError> {
        Ok(Handle::parse(&format!(
            "{}/META_{}",
            self.prefix, self.code
        ))?)
    }

    fn handle(&self) -> Result<Handle, DemoError> {
        Ok(Handle::parse(&format!("{}{}", self.template()?, self.own))?)
    }
}

fn stages() -> Result<Vec<Stage>, DemoError> {
    let lines = (1..).zip(STAGES.lines());
    let read = lines.map(|(line, text)| {
        serde_json::from_str(text).map_err(|source| DemoError::Data { line, source })
    });
    read.collect()
}

/// The handles of all stages in their order, with what people call them.
pub fn titles() -> Result<Vec<(Handle, String)>, DemoError> {
    let stages = stages()?.into_iter();
    let titled = stages.map(|stage| Ok((stage.handle()?, stage.title)));
    titled.collect()
}

/// The record of the application. Its key is made once, and its private half kept in the folder.
pub fn application(folder: &Path, now_secs: u32) -> Result<(Handle, Vec<Value>), DemoError> {
    let file = folder.join(APPLICATION_KEY);
    let failed = |source| DemoError::File {
        path: file.clone(),
        source,
    };
    let key = match std::fs::read(&file) {
        Ok(octets) => form::read(&octets, &mut || Err("is encrypted".to_owned()))?,
        Err(_) => {
            let key = KeyPair::generate(KeyKind::Rsa(RSA_BITS))?;
            let pem = key.write(form::Form::Pem, None)?;
            write_private(&file, &pem).map_err(failed)?;
            Key::Private(Box::new(key))
        }
    };
    let (prefix, _) = APPLICATION.split_once('/').unwrap_or_default();
    let mut values = vec![
        administrator(prefix),
        Value::new(KEY_INDEX, "HS_PUBKEY", key.public().encode()),
    ];
    for value in &mut values {
        value.timestamp = now_secs;
    }
    Ok((Handle::parse(APPLICATION)?, values))
}

/// The templates and registrations of the enterprise that homes `prefix`.
pub fn records(prefix: &str, now_secs: u32) -> Result<Vec<(Handle, Vec<Value>)>, DemoError> {
    let all = stages()?;
    let mut records = Vec::new();
    for stage in all.iter().filter(|stage| stage.prefix == prefix) {
        let definition = definition(stage, &all)?;
        let template = Template::draft(stage.template()?, definition)
            .map_err(|faults| told(faults.first()))?
            .turn(State::Published)
            .map_err(|error| DemoError::Template(error.to_string()))?;
        let said = said(stage, &all)?;
        let given = template
            .check(&said, Extent::Whole)
            .map_err(|faults: Vec<FieldFault>| told(faults.first()))?;
        let rule = CaseRule::Insensitive;
        let mut values = vec![administrator(prefix)];
        values.extend(template.values(&given, rule));
        records.push((stage.handle()?, values));
        let mut values = vec![administrator(prefix)];
        values.extend(template.to_values(rule));
        values.extend(rules(stage, &template)?);
        records.push((template.handle().clone(), values));
    }
    for value in records.iter_mut().flat_map(|(_, values)| values) {
        value.timestamp = now_secs;
    }
    Ok(records)
}

fn told(fault: Option<&impl ToString>) -> DemoError {
    DemoError::Template(fault.map(ToString::to_string).unwrap_or_default())
}

/// The stage of a number, and the name of the field that refers to it.
fn linked<'a>(
    stage: &Stage,
    all: &'a [Stage],
) -> impl Iterator<Item = (&'static str, &'static str, &'a Stage)> {
    let own = stage.stage;
    let links = stage.links.clone();
    links.into_iter().filter_map(move |number| {
        let target = all.iter().find(|other| other.stage == number)?;
        Some(match number > own {
            true => ("source", "上一环节", target),
            false => ("onward", "下一环节", target),
        })
    })
}

fn definition(stage: &Stage, all: &[Stage]) -> Result<Definition, DemoError> {
    let field = |name: &str, label: &str, kind, readers| Field {
        name: name.to_owned(),
        label: label.to_owned(),
        readers,
        kind,
        index: 0,
        description: String::new(),
        required: false,
        unique: false,
        searchable: false,
        disabled: false,
        pending: false,
        notes: guantong_core::template::Notes::default(),
    };
    let mut fields: Vec<Field> = stage
        .fields
        .iter()
        .map(|said| {
            let readers = match said.public {
                true => Readers::Everybody,
                false => Readers::Administrators,
            };
            field(
                &said.name,
                &said.label,
                Kind::Text(Text::default()),
                readers,
            )
        })
        .collect();
    for (name, label, target) in linked(stage, all) {
        let reference = Reference {
            template: target.template()?.to_string(),
            count_max: 1,
        };
        fields.push(field(
            name,
            label,
            Kind::Reference(reference),
            Readers::Everybody,
        ));
    }
    Ok(Definition {
        title: stage.title.clone(),
        fields,
        ..Definition::default()
    })
}

fn said(stage: &Stage, all: &[Stage]) -> Result<Map<String, Json>, DemoError> {
    let fields = stage.fields.iter();
    let fields = fields.map(|said| (said.name.clone(), Json::from(said.value.as_str())));
    let mut map: Map<String, Json> = fields.collect();
    for (name, _, target) in linked(stage, all) {
        map.insert(name.to_owned(), target.handle()?.as_str().into());
    }
    Ok(map)
}

/// The rules by which the application reads what is not public.
fn rules(stage: &Stage, template: &Template) -> Result<Vec<Value>, DemoError> {
    let rule = Rule {
        readers: vec![Subject::of_handle(Handle::parse(APPLICATION)?)],
        ..Rule::default()
    };
    let hidden = stage.fields.iter().filter(|said| !said.public);
    let fields = hidden.filter_map(|said| template.definition().field(&said.name));
    Ok(fields
        .map(|field| rule.to_value(class_index(field.index)))
        .collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_stage_is_reached_from_the_bottle_by_references() {
        let mut all = Vec::new();
        for prefix in ["88.608.24061301", "88.608.5288"] {
            all.extend(records(prefix, 0).unwrap());
        }
        assert_eq!(all.len(), 2 * STAGES_COUNT);
        let handles: HashSet<String> = all.iter().map(|(h, _)| h.to_string()).collect();
        let (mut seen, mut next) = (HashSet::new(), vec![BOTTLE.to_owned()]);
        while let Some(handle) = next.pop() {
            let (_, values) = all.iter().find(|(h, _)| h.as_str() == handle).unwrap();
            if seen.insert(handle) {
                let links = values
                    .iter()
                    .filter(|v| v.kind == "source" || v.kind == "onward");
                next.extend(links.filter_map(Value::text).map(str::to_owned));
            }
        }
        assert_eq!(seen.len(), STAGES_COUNT);
        assert!(seen.is_subset(&handles));
    }

    #[test]
    fn what_is_not_public_is_read_by_the_application_and_nobody_else() {
        let all = records("88.608.24061301", 0).unwrap();
        let blend = all.iter().find(|(h, _)| h.as_str().ends_with("BLEND0001"));
        let recipe = blend.unwrap().1.iter().find(|value| value.kind == "recipe");
        let recipe = recipe.unwrap();
        assert!(!recipe.permissions.public_read());
        let template = all
            .iter()
            .find(|(h, _)| h.as_str().ends_with("META_136c8fbfba"));
        let rule = template.unwrap().1.iter();
        let mut rule = rule.filter(|value| value.index == class_index(recipe.index));
        let rule = Rule::decode(&rule.next().unwrap().data).unwrap();
        assert_eq!(
            rule.readers,
            [Subject::of_handle(Handle::parse(APPLICATION).unwrap())]
        );
    }
}
