//! `/api/v2/templates` and `/api/v2/schemas`.

use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use guantong_api::v2::{
    ChangedTemplate, DoneAnswer, NewTemplate, Outcome, TemplateAction, TemplateAnswer,
    UncheckedReference,
};
use guantong_core::grant;
use guantong_core::template::limit::CODE_CHARS_MAX;
use guantong_core::template::{Definition, State, TEMPLATE_INDEX, TEMPLATE_LEAD, Template};
use guantong_proto::message::{OpCode, OpFlags, ResponseCode};
use guantong_proto::{Handle, Value, Values};
use serde_json::Value as Json;

use super::super::answer::{Failure, json, typed};
use super::super::asked::Asked;
use super::super::change::builder;
use super::super::{condition, path};
use super::problem::Problem;
use super::registration::seen;
use super::sender::{Sender, Terms};
use super::{body, not_allowed, page, sought};
use crate::node::Node;

/// The parameter that has a change decided but not made.
const DRY_RUN: &str = "dryRun";

/// Answers a request for `/api/v2/templates`.
pub(super) async fn answer(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    condition::check(asked)?;
    match (&asked.method, rest) {
        (&(Method::GET | Method::HEAD), "") => page::templates(node, asked).await,
        (&Method::POST, "") => create(node, asked).await,
        (_, "") => Err(not_allowed(asked, "GET and POST")),
        (&(Method::GET | Method::HEAD), rest) => show(node, asked, rest).await,
        (&Method::PUT, rest) => amend(node, asked, rest).await,
        (&Method::POST, rest) => act(node, asked, rest).await,
        _ => Err(not_allowed(
            asked,
            "GET, PUT and POST; templates are disabled, not deleted",
        )),
    }
}

/// Answers a request for `/api/v2/schemas/{handle}`: the template as JSON Schema.
pub(super) async fn schema(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    if !asked.method.is_safe() {
        return Err(not_allowed(asked, "GET; change the template"));
    }
    let template = shown(node, asked, &path::handle(rest)?).await?;
    let schema = template.definition().to_schema();
    let text = format!("{schema:#}");
    Ok(typed(StatusCode::OK, "application/schema+json", text))
}

//----------- Reading --------------------------------------------------------

/// The template as the caller may see it: a record that is not shown to him is not there.
pub(in crate::http) async fn shown(
    node: &Node,
    asked: &Asked,
    handle: &Handle,
) -> Result<Template, Problem> {
    let values = seen(node, asked, handle).await?;
    let wire = guantong_proto::wire::Writer::to_vec(|w| Values::encode(&values, w));
    let missing = |what: String| {
        let failure = Failure::new(ResponseCode::HANDLE_NOT_FOUND, what);
        Problem::from(failure.about(handle.as_str()))
    };
    let values = Values::from_wire(&wire).map_err(|error| missing(error.to_string()))?;
    Template::of(handle.clone(), values).map_err(|error| missing(error.to_string()))
}

async fn show(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    let handle = path::handle(rest)?;
    let version = condition::version(node, handle.as_str());
    let template = shown(node, asked, &handle).await?;
    let form = TemplateAnswer {
        handle: handle.to_string(),
        state: template.state(),
        version: template.version(),
        based_on: template.based_on().map(Handle::to_string),
        definition: template.definition(),
    };
    let answer = json(asked, StatusCode::OK, &form);
    Ok(condition::known(asked, answer, version))
}

//----------- Writing --------------------------------------------------------

async fn create(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let new: NewTemplate<Definition> = body(asked)?;
    let definition = content(new.definition, new.schema)?;
    let handle = handle_of(node, &new.prefix, new.code)?;
    created(node, asked, &Template::draft(handle, definition)?).await
}

/// What a template is to say: the definition, or the schema.
fn content(definition: Option<Definition>, schema: Option<Json>) -> Result<Definition, Problem> {
    let refuse =
        |message: String| Problem::from(Failure::new(ResponseCode::PROTOCOL_ERROR, message));
    let definition = match (definition, schema) {
        (Some(definition), None) => definition,
        (None, Some(schema)) => {
            // Whether it is a schema at all is for those to say who made the standard's test suite
            // their own; whether it is a template is for us.
            if let Err(error) = jsonschema::draft202012::meta::validate(&schema) {
                let at = error.instance_path();
                return Err(refuse(format!(
                    "`schema` is no JSON Schema: at `{at}`: {error}"
                )));
            }
            Definition::from_schema(&schema)?
        }
        _ => {
            let message = "what does the template say? give `definition` or `schema`";
            return Err(refuse(message.to_owned()));
        }
    };
    Ok(definition)
}

/// The handle of a new template.
pub(in crate::http) fn handle_of(
    node: &Node,
    prefix: &str,
    code: Option<String>,
) -> Result<Handle, Problem> {
    // As many digits as existing products give.
    let code = code.unwrap_or_else(|| {
        let octets: [u8; 5] = node.random();
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    });
    let is_part = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    if code.is_empty() || code.len() > CODE_CHARS_MAX || !code.bytes().all(is_part) {
        let message = format!("`code` must have 1 to {CODE_CHARS_MAX} letters, digits, `-`, `_`");
        return Err(Failure::new(ResponseCode::INVALID_HANDLE, message).into());
    }
    if prefix.is_empty() || prefix.contains('/') {
        let message = "`prefix` must be a prefix such as 88.118.5";
        return Err(Failure::new(ResponseCode::INVALID_HANDLE, message).into());
    }
    Ok(Handle::parse(&format!("{prefix}/{TEMPLATE_LEAD}{code}"))?)
}

async fn created(node: &Node, asked: &Asked, template: &Template) -> Result<Response, Problem> {
    let sender = make(node, asked, template, terms(asked)).await?;
    let handle = template.handle();
    Ok(done(asked, &sender, handle, Outcome::Created, "templates"))
}

/// Writes a template that is not there yet; its sender becomes its administrator.
pub(in crate::http) async fn make(
    node: &Node,
    asked: &Asked,
    template: &Template,
    terms: Terms,
) -> Result<Sender, Problem> {
    let sender = Sender::of(node, asked).await?;
    let handle = template.handle();
    let mut values = vec![sender.administrator(handle)];
    values.extend(template.to_values(node.site().case_rule()));
    let packet = builder(node, OpFlags::DEFAULT).write(OpCode::CREATE, handle.as_str(), &values);
    sender.carry(node, asked, handle, packet, terms).await?;
    sought::have_indexes(node).await?;
    Ok(sender)
}

async fn amend(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    let changed: ChangedTemplate<Definition> = body(asked)?;
    let next = content(changed.definition, changed.schema)?;
    let change = Change::of(node, asked, &path::handle(rest)?).await?;
    let template = change.template.clone().amend(next)?;
    carried(node, asked, change, &template).await
}

async fn act(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    let state = match body(asked)? {
        TemplateAction::Copy { prefix, code } => {
            let template = shown(node, asked, &path::handle(rest)?).await?;
            let handle = handle_of(node, &prefix, code)?;
            return created(node, asked, &template.copy(handle)).await;
        }
        TemplateAction::Publish => State::Published,
        TemplateAction::Withdraw => State::Withdrawn,
        TemplateAction::Disable => State::Disabled,
    };
    let change = Change::of(node, asked, &path::handle(rest)?).await?;
    let template = change.template.clone().turn(state)?;
    carried(node, asked, change, &template).await
}

async fn carried(
    node: &Node,
    asked: &Asked,
    change: Change,
    next: &Template,
) -> Result<Response, Problem> {
    let sender = change.write(node, asked, next, terms(asked)).await?;
    let handle = next.handle();
    Ok(done(asked, &sender, handle, Outcome::Changed, "templates"))
}

//----------- Change ---------------------------------------------------------

/// A template that somebody changes who may.
pub(in crate::http) struct Change {
    sender: Sender,
    pub(in crate::http) template: Template,
    /// What its record holds.
    current: Vec<Value>,
    version: u64,
}

impl Change {
    pub(in crate::http) async fn of(
        node: &Node,
        asked: &Asked,
        handle: &Handle,
    ) -> Result<Self, Problem> {
        let sender = Sender::of(node, asked).await?;
        sender
            .may_change(node, asked, handle, TEMPLATE_INDEX)
            .await?;
        let (template, record) = sought::template(node, handle)?;
        let values = record.values().to_vec();
        let values =
            values.map_err(|error| Failure::new(ResponseCode::ERROR, error.to_string()))?;
        Ok(Self {
            sender,
            template,
            current: values,
            version: record.version(),
        })
    }

    pub(in crate::http) async fn write(
        self,
        node: &Node,
        asked: &Asked,
        next: &Template,
        terms: Terms,
    ) -> Result<Sender, Problem> {
        let handle = next.handle();
        let others = self.current.iter().filter(|value| !Template::owns(value));
        let mut values: Vec<Value> = others.cloned().collect();
        let own = next.to_values(node.site().case_rule());
        values.extend(grant::keep_sharing(own, &self.current));
        let flags = OpFlags::DEFAULT.with(OpFlags::OVERWRITE);
        let packet = builder(node, flags).write(OpCode::CREATE, handle.as_str(), &values);
        let terms = terms.at(self.version);
        self.sender
            .carry(node, asked, handle, packet, terms)
            .await?;
        Ok(self.sender)
    }
}

//----------- Answer ---------------------------------------------------------

/// What a request says of when its change is made.
pub(super) fn terms(asked: &Asked) -> Terms {
    Terms {
        condition: condition::of(asked),
        is_rehearsal: asked.params.is_set(DRY_RUN),
    }
}

/// The answer that a change was made, or would have been.
pub(super) fn done(
    asked: &Asked,
    sender: &Sender,
    handle: &Handle,
    outcome: Outcome,
    area: &str,
) -> Response {
    done_unchecked(asked, sender, handle, outcome, area, Vec::new())
}

/// The same, and what it refers to that could not be checked.
pub(super) fn done_unchecked(
    asked: &Asked,
    sender: &Sender,
    handle: &Handle,
    outcome: Outcome,
    area: &str,
    unchecked: Vec<UncheckedReference>,
) -> Response {
    let dry_run = asked.params.is_set(DRY_RUN);
    let is_new = outcome == Outcome::Created && !dry_run;
    let form = DoneAnswer {
        handle: handle.to_string(),
        outcome,
        dry_run,
        unchecked,
    };
    let status = match is_new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    let mut response = json(asked, status, &form);
    if !dry_run {
        response.extensions_mut().insert(sender.by.clone());
    }
    let place = format!("/api/v2/{area}/{}", path::in_path(handle.as_str()));
    if let (true, Ok(place)) = (is_new, HeaderValue::from_str(&place)) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}
