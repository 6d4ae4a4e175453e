//! `/identityv2/data`: registrations, by the index and type of every value.

use std::collections::{HashMap, HashSet};

use axum::http::Method;
use axum::response::Response;
use futures_util::{StreamExt, stream};
use guantong_api::snms::{
    DONE, DataAnswer, Handles, Named, REFUSED, ROWS_MAX, Registration, RegistrationAnswer,
    RowAnswer, ValueAnswer,
};
use guantong_api::v2::Mode;
use guantong_core::template::limit::{FIELD_INDEX_FIRST, VERSION_CHARS_MAX};
use guantong_core::template::{
    HANDLE_TYPE, Indexed, Row, Template, VERSION_INDEX, handle_of_version, is_registered,
    version_of_handle,
};
use guantong_proto::{Handle, Permissions, Value};
use serde_json::{Map, Value as Json};

use super::super::asked::Asked;
use super::super::v2::problem::Problem;
use super::super::v2::registration::{Writing, published, remove, seen_anywhere};
use super::super::v2::sender::{Sender, Terms};
use super::super::v2::sought;
use super::super::v2::waves::Making;
use super::{body, done, message, no_such, refuse, required};
use crate::node::Node;

/// Longest handle, in characters, as the interface has it.
const HANDLE_CHARS_MAX: usize = 255;
/// Rows that are carried out side by side, so that one write to the medium serves many of them.
const SIDE_BY_SIDE: usize = 64;

const TWICE: &str = "an earlier row is about the same handle";

/// What is done with each row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Create,
    Update,
    Delete,
}

/// Makes, changes and deletes registrations, one or many.
pub(super) async fn change(node: &Node, asked: &Asked, path: &str) -> Result<Response, Problem> {
    let rest = path.strip_prefix("/identityv2/data").unwrap_or_default();
    let (step, is_batch) = match (&asked.method, rest) {
        (&Method::POST, "") => (Step::Create, false),
        (&Method::PUT, "") => (Step::Update, false),
        (&Method::DELETE, "") => (Step::Delete, false),
        (&Method::POST, "/batchCreate") => (Step::Create, true),
        (&Method::PUT, "/batchUpdate") => (Step::Update, true),
        (&Method::DELETE, "/batchDelete") => (Step::Delete, true),
        _ => return Err(no_such(asked)),
    };
    let rows = match (step, is_batch) {
        (Step::Delete, true) => body::<Handles>(asked)?.into_list(),
        (Step::Delete, false) => vec![body::<Named>(asked)?.handle],
        _ => Vec::new(),
    };
    let named = |handle| Registration {
        handle,
        ..Registration::default()
    };
    let rows: Vec<Registration> = match (step, is_batch) {
        (Step::Delete, _) => rows.into_iter().map(named).collect(),
        (_, true) => body(asked)?,
        (_, false) => vec![body(asked)?],
    };
    if rows.len() > ROWS_MAX {
        let message = format!("there are more than {ROWS_MAX} rows; send them in parts");
        return Err(refuse(message));
    }
    let sender = Sender::of(node, asked).await?;
    sought::have_indexes(node).await?;
    let writing = Writing::new(node, asked, &sender, Terms::default());
    if let (false, [row]) = (is_batch, rows.as_slice()) {
        carry(&writing, step, row, &mut Templates::default())
            .await?
            .await?;
        return Ok(done(asked, true));
    }
    Ok(done(
        asked,
        match step {
            Step::Create => make_all(writing, rows).await,
            Step::Update | Step::Delete => batch(&writing, step, &rows).await,
        },
    ))
}

//----------- Rows -----------------------------------------------------------

/// The templates that rows were registered by so far, or why there are none.
type Templates = HashMap<Handle, Result<Template, Problem>>;

/// Makes registrations, those that refer to each other included; the results in their order.
async fn make_all(writing: Writing<'_>, rows: Vec<Registration>) -> Vec<RowAnswer> {
    let node = writing.node;
    let rule = node.site().case_rule();
    let (mut seen, mut templates) = (HashSet::new(), Templates::default());
    let mut results: Vec<Result<(), Problem>> = Vec::with_capacity(rows.len());
    let mut sound = Vec::with_capacity(rows.len());
    for (at, row) in (0..).zip(&rows) {
        let named = required("handle", &row.handle, HANDLE_CHARS_MAX);
        let read = named.and_then(|name| {
            let handle = Handle::parse(name)?;
            match seen.insert(handle.key(rule)) {
                true => read(node, &handle, row, &mut templates),
                false => Err(refuse(TWICE.to_owned())),
            }
        });
        results.push(read.map(|(template, fields)| sound.push((at, template, fields))));
    }
    let mode = Mode::Create;
    let making = Making { writing, mode };
    let (mut standing, mut wrong) = (Vec::with_capacity(sound.len()), Vec::new());
    for (at, template, fields) in &sound {
        let row = Row {
            handle: rows.get(*at).map(|row| row.handle.clone()),
            fields: fields.clone(),
        };
        match making.standing(*at as u64, template, row, None).await {
            Ok(row) => standing.push(row),
            Err(problem) => wrong.push((*at, Err(problem))),
        }
    }
    let ended = making.write(standing).await.into_iter();
    let ended = ended.filter_map(|ended| Some((usize::try_from(ended.number).ok()?, ended.result)));
    for (at, result) in ended.chain(wrong) {
        results[at] = result.map(drop);
    }
    let answer = |(row, result): (Registration, _)| answered(row.handle, result);
    rows.into_iter().zip(results).map(answer).collect()
}

fn answered(handle: String, result: Result<(), Problem>) -> RowAnswer {
    let (code, msg) = match result {
        Ok(()) => (DONE, "success".to_owned()),
        Err(problem) => (REFUSED, message(problem)),
    };
    RowAnswer { handle, code, msg }
}

async fn batch(writing: &Writing<'_>, step: Step, rows: &[Registration]) -> Vec<RowAnswer> {
    let rule = writing.node.site().case_rule();
    let (mut seen, mut templates) = (HashSet::new(), Templates::default());
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        // What two rows about one record do would depend on which comes first, and they are
        // carried out side by side.
        let key = Handle::parse(&row.handle).ok().map(|h| h.key(rule));
        let work = match key.is_none_or(|key| seen.insert(key)) {
            true => carry(writing, step, row, &mut templates).await,
            false => Err(refuse(TWICE.to_owned())),
        };
        all.push(async move {
            let carried = match work {
                Ok(work) => work.await,
                Err(problem) => Err(problem),
            };
            answered(row.handle.clone(), carried)
        });
    }
    stream::iter(all).buffered(SIDE_BY_SIDE).collect().await
}

/// What is to be done for a row that is right by its form.
async fn carry<'a>(
    writing: &'a Writing<'a>,
    step: Step,
    row: &'a Registration,
    templates: &mut Templates,
) -> Result<impl Future<Output = Result<(), Problem>> + 'a, Problem> {
    let name = required("handle", &row.handle, HANDLE_CHARS_MAX)?;
    let handle = Handle::parse(name)?;
    let (template, said) = match step {
        Step::Delete => (None, Map::new()),
        Step::Create | Step::Update => {
            let (template, said) = read(writing.node, &handle, row, templates)?;
            (Some(template), said)
        }
    };
    Ok(async move {
        match (step, template) {
            (Step::Create, Some(template)) => {
                writing.create(&template, Some(name), &said).await.map(drop)
            }
            (Step::Update, Some(template)) => {
                registered_by(writing, &handle, &template).await?;
                let changed = writing.change(&handle, &said, Mode::Merge).await;
                changed.map(drop)
            }
            _ => {
                remove(
                    writing.node,
                    writing.asked,
                    writing.sender,
                    &handle,
                    writing.terms,
                )
                .await
            }
        }
    })
}

/// The template of a row, and its values by the names of the fields.
fn read(
    node: &Node,
    handle: &Handle,
    row: &Registration,
    templates: &mut Templates,
) -> Result<(Template, Map<String, Json>), Problem> {
    let version = required("templateVersion", &row.template_version, VERSION_CHARS_MAX)?;
    if row.value.is_empty() {
        return Err(refuse("`value` is missing".to_owned()));
    }
    let by = handle_of_version(handle.borrow().prefix(), version)?;
    let template = templates
        .entry(by)
        .or_insert_with_key(|by| published(node, by.as_str()))
        .clone()?;
    let mut given = Vec::with_capacity(row.value.len());
    for value in &row.value {
        let index = i32::try_from(value.index).unwrap_or_default();
        if index < FIELD_INDEX_FIRST {
            let message = format!(
                "`index` {} is none of a field: those begin at {FIELD_INDEX_FIRST}; 1000 and 1001 \
                 are kept for the template",
                value.index
            );
            return Err(refuse(message));
        }
        given.push(Indexed {
            index,
            kind: &value.kind,
            text: &value.data.value,
        });
    }
    let said = template.said_at(&given)?;
    Ok((template, said))
}

/// Refuses a change by the fields of another template than the one that the record has. That is
/// told to those only who may change it.
async fn registered_by(
    writing: &Writing<'_>,
    handle: &Handle,
    template: &Template,
) -> Result<(), Problem> {
    let (node, rule) = (writing.node, writing.node.site().case_rule());
    writing
        .sender
        .may_change(node, writing.asked, handle, VERSION_INDEX)
        .await?;
    let record = sought::record(node, handle)?;
    let by = record.and_then(|record| guantong_core::template::template_of(record.values()));
    match by {
        Some(by) if by.key(rule) != template.handle().key(rule) => {
            let version = version_of_handle(&by).unwrap_or_else(|| by.to_string());
            let message = format!("the handle was registered by the template version {version}");
            Err(refuse(message))
        }
        // Without a template, the change itself says so.
        _ => Ok(()),
    }
}

//----------- Detail ---------------------------------------------------------

/// Shows a registration, of whatever node, as far as the sender may see it.
pub(super) async fn detail(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let name = asked.params.first("handle").unwrap_or_default();
    let handle = Handle::parse(required("handle", name, HANDLE_CHARS_MAX)?)?;
    let values = seen_anywhere(node, asked, &handle).await?;
    let form = RegistrationAnswer {
        prefix: handle.borrow().prefix().to_owned(),
        handle: handle.to_string(),
        template_version: version(&values),
        value: values.iter().filter_map(shown).collect(),
    };
    Ok(done(asked, form))
}

/// The version of the template; empty if none is named.
fn version(values: &[Value]) -> String {
    let by = values.iter().find(|value| value.kind == HANDLE_TYPE);
    let by = by.and_then(Value::text).map(Handle::parse);
    match by.and_then(Result::ok) {
        Some(by) => version_of_handle(&by).unwrap_or_else(|| by.to_string()),
        // Other nodes write the version itself at this index.
        None => {
            let value = values.iter().find(|value| value.index == VERSION_INDEX);
            value.and_then(Value::text).unwrap_or_default().to_owned()
        }
    }
}

/// A value as the interface shows it: those of fields, and of plain records all that are text.
fn shown(value: &Value) -> Option<ValueAnswer> {
    let is_own = |lead: &str| {
        let head = value.kind.get(..lead.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(lead))
    };
    let is_reserved = matches!(value.index, 1_000 | VERSION_INDEX);
    let is_field = is_registered(value) || value.index < FIELD_INDEX_FIRST;
    if is_own("HS_") || is_own("GT_") || is_reserved || !is_field {
        return None;
    }
    let bits = [
        Permissions::ADMIN_READ,
        Permissions::ADMIN_WRITE,
        Permissions::PUBLIC_READ,
        Permissions::PUBLIC_WRITE,
    ];
    let bit = |bit| {
        if value.permissions.0 & bit == 0 {
            '0'
        } else {
            '1'
        }
    };
    Some(ValueAnswer {
        index: value.index,
        kind: value.kind.clone(),
        auth: bits.into_iter().map(bit).collect(),
        data: DataAnswer {
            format: "string",
            value: value.text()?.to_owned(),
        },
    })
}
