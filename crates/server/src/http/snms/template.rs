//! `/snms/api/{v3,v5}/template`: templates by prefix and version.
//!
//! They are in use as soon as they are made; there are no drafts here.

use axum::http::Method;
use axum::response::Response;
use guantong_api::snms::{
    Item, ItemAnswer, MetadataAnswer, TemplateAnswer, TemplateForm, TemplateName,
};
use guantong_core::template::limit::{TEXT_CHARS_MAX, TITLE_CHARS_MAX, VERSION_CHARS_MAX};
use guantong_core::template::{
    Definition, Field, HANDLE_TYPE, Industry, Kind, Notes, Readers, State, Template, Text,
    handle_of_version,
};
use guantong_proto::Handle;
use guantong_proto::crypto::Hash;
use guantong_proto::message::{OpCode, OpFlags};

use super::super::asked::Asked;
use super::super::change::builder;
use super::super::v2::problem::Problem;
use super::super::v2::registration::published;
use super::super::v2::sender::{Sender, Terms};
use super::super::v2::sought;
use super::super::v2::template::{Change, make};
use super::{body, done, no_such, refuse, required};
use crate::node::Node;

/// Longest prefix, in characters, as the interface has it.
const PREFIX_CHARS_MAX: usize = 64;
/// Carriers that tell their identifiers themselves, and others.
const ACTIVE: i64 = 1;
const OTHER: i64 = 2;

/// Answers a request for a template; `is_v5` says by which version of the interface.
pub(super) async fn answer(node: &Node, asked: &Asked, is_v5: bool) -> Result<Response, Problem> {
    match asked.method {
        Method::GET => show(node, asked, is_v5),
        Method::POST => create(node, asked, is_v5).await,
        Method::PUT if is_v5 => amend(node, asked).await,
        Method::DELETE => delete(node, asked).await,
        _ => Err(no_such(asked)),
    }
}

/// The handle of the template of this name.
fn named(prefix: &str, version: &str) -> Result<Handle, Problem> {
    let prefix = required("prefix", prefix, PREFIX_CHARS_MAX)?;
    if prefix.contains('/') {
        return Err(refuse(
            "`prefix` must be a prefix such as 88.118.5".to_owned(),
        ));
    }
    let version = required("version", version, VERSION_CHARS_MAX)?;
    Ok(handle_of_version(prefix, version)?)
}

//----------- Reading --------------------------------------------------------

fn show(node: &Node, asked: &Asked, is_v5: bool) -> Result<Response, Problem> {
    let param = |name| asked.params.first(name).unwrap_or_default();
    let (prefix, version) = (param("prefix"), param("version"));
    let template = published(node, named(prefix, version)?.as_str())?;
    let definition = template.definition();
    let industry = definition.industry.as_ref().map(Industry::levels);
    let [category, specific, trade, subclass] = industry.unwrap_or_default();
    let handle = template.handle();
    let items = definition.fields.iter();
    let form = TemplateAnswer {
        id: number(handle.as_str()),
        prefix: handle.borrow().prefix().to_owned(),
        name: definition.title.clone(),
        version: version.to_owned(),
        industry_category: category,
        industry_specific: specific,
        industry_trade: trade,
        industry_subclass: subclass,
        kind: if definition.active_carrier { 1 } else { 2 },
        description: definition.description.clone(),
        handle: is_v5.then(|| handle.to_string()),
        items: items.map(|field| item(handle, field, is_v5)).collect(),
    };
    Ok(done(asked, form))
}

fn item(template: &Handle, field: &Field, is_v5: bool) -> ItemAnswer {
    let (min_length, max_length) = match &field.kind {
        Kind::Text(text) => (text.length_min, text.length_max),
        _ => (0, TEXT_CHARS_MAX),
    };
    ItemAnswer {
        name: match field.label.is_empty() {
            true => field.name.clone(),
            false => field.label.clone(),
        },
        id_type: field.name.clone(),
        id_index: is_v5.then_some(field.index),
        state: is_v5.then_some(if field.disabled { 0 } else { 1 }),
        metadata_id: is_v5.then(|| number(&format!("{}:{template}", field.index))),
        required: field.required,
        metadata: MetadataAnswer {
            kind: "string",
            min_length,
            max_length,
        },
    }
}

/// A number for what clients expect to have one, and keep in 31 bits.
fn number(name: &str) -> u64 {
    let digest = Hash::Sha256.digest(&[name.as_bytes()]);
    digest
        .iter()
        .take(4)
        .fold(0, |number, octet| number << 8 | u64::from(*octet))
        & 0x7fff_ffff
}

//----------- Writing --------------------------------------------------------

async fn create(node: &Node, asked: &Asked, is_v5: bool) -> Result<Response, Problem> {
    let form: TemplateForm = body(asked)?;
    let handle = named(&form.prefix, &form.version)?;
    let mut definition = Definition::default();
    describe(&mut definition, &form)?;
    if form.items.is_empty() {
        return Err(refuse("`items` is missing".to_owned()));
    }
    definition.fields = form
        .items
        .iter()
        .map(|item| field(item, is_v5))
        .collect::<Result<_, _>>()?;
    let template = Template::draft(handle, definition)?.turn(State::Published)?;
    make(node, asked, &template, Terms::default()).await?;
    Ok(done(asked, true))
}

/// Changes a template that is in use: fields that are not said stay, others are changed or added.
async fn amend(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let form: TemplateForm = body(asked)?;
    let handle = named(&form.prefix, &form.version)?;
    let change = Change::of(node, asked, &handle).await?;
    let template = change.template.clone();
    let mut next = template.definition().clone();
    describe(&mut next, &form)?;
    for item in &form.items {
        let said = field(item, true)?;
        let is_it = |old: &&mut Field| old.index == said.index && old.name == said.name;
        match next.fields.iter_mut().find(is_it) {
            // What this interface has no word for stays, the type above all.
            Some(old) => {
                let kind = match old.kind {
                    Kind::Text(_) => said.kind,
                    _ => old.kind.clone(),
                };
                *old = Field {
                    label: said.label,
                    required: said.required,
                    disabled: item.is_off.unwrap_or(old.disabled),
                    kind,
                    ..old.clone()
                };
            }
            None => next.fields.push(said),
        }
    }
    let state = template.state();
    let template = match state {
        State::Published => template.turn(State::Withdrawn)?,
        _ => template,
    };
    let mut template = template.amend(next)?;
    if state == State::Published {
        template = template.turn(State::Published)?;
    }
    change
        .write(node, asked, &template, Terms::default())
        .await?;
    Ok(done(asked, true))
}

/// Deletes a template that nothing is registered by.
async fn delete(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let name: TemplateName = body(asked)?;
    let handle = named(&name.prefix, &name.version)?;
    let sender = Sender::of(node, asked).await?;
    let change = Change::of(node, asked, &handle).await?;
    sought::have_indexes(node).await?;
    let written = change.template.handle().as_str();
    let (users, _) = sought::find(node, HANDLE_TYPE, written.as_bytes(), None, 1)?;
    if let Some(user) = users.first() {
        let message = format!(
            "{user} is registered by the template, and maybe others: delete them first, or \
             disable the items"
        );
        return Err(refuse(message));
    }
    let packet = builder(node, OpFlags::DEFAULT).named(OpCode::DELETE, handle.as_str());
    sender
        .carry(node, asked, &handle, packet, Terms::default())
        .await?;
    Ok(done(asked, true))
}

//----------- Forms ----------------------------------------------------------

/// Puts what the form says of the whole template into a definition.
fn describe(definition: &mut Definition, form: &TemplateForm) -> Result<(), Problem> {
    definition.industry = Some(
        Industry::of_levels([
            &form.industry_category,
            &form.industry_specific,
            &form.industry_trade,
            &form.industry_subclass,
        ])
        .map_err(|error| refuse(format!("`industryCategory` and below: {error}")))?,
    );
    definition.active_carrier = match form.kind {
        ACTIVE => true,
        OTHER => false,
        other => {
            let message = format!("`type` is {other}, and must be {ACTIVE} or {OTHER}");
            return Err(refuse(message));
        }
    };
    if !form.name.is_empty() {
        definition.title.clone_from(&form.name);
    } else if definition.title.is_empty() {
        definition.title = form.version.chars().take(TITLE_CHARS_MAX).collect();
    }
    if !form.description.is_empty() {
        definition.description.clone_from(&form.description);
    }
    Ok(())
}

fn field(item: &Item, is_v5: bool) -> Result<Field, Problem> {
    let name = &item.id_type;
    let kind = &item.metadata.kind;
    if !kind.is_empty() && !kind.eq_ignore_ascii_case("string") {
        let message = format!("item `{name}`: `metadata.type` must be `string`");
        return Err(refuse(message));
    }
    let length = |what: &str, number: i64, usual: u32| match number {
        0 => Ok(usual),
        number => u32::try_from(number)
            .map_err(|_| refuse(format!("item `{name}`: `{what}` {number} is no length"))),
    };
    let index = match is_v5 {
        true => item.id_index,
        false => 0,
    };
    let index = i32::try_from(index)
        .map_err(|_| refuse(format!("item `{name}`: `idIndex` {index} is no index")))?;
    Ok(Field {
        index,
        name: name.clone(),
        label: item.name.clone(),
        description: String::new(),
        kind: Kind::Text(Text {
            length_min: length("minLength", item.metadata.min_length, 0)?,
            length_max: length("maxLength", item.metadata.max_length, TEXT_CHARS_MAX)?,
            pattern: None,
        }),
        required: item.required,
        unique: false,
        searchable: false,
        // Nothing here gives rights to single readers: what is registered is for everybody.
        readers: Readers::Everybody,
        disabled: item.is_off.unwrap_or_default(),
        pending: false,
        notes: Notes::default(),
    })
}
