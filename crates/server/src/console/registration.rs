//! The form of a registration, made from its template; changing and deleting one.

use std::collections::BTreeSet;

use axum::http::Method;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Map, Value as Json, json};

use super::designer::number;
use super::frame::{self, Tab, head};
use super::registrations::{fields, label, said};
use super::visit::{Told, Trouble, Visit, lead, of_registration, of_template, place};

/// Texts that may be longer than this get a field of several lines.
const LINE_CHARS: u64 = 200;
/// What the names of fields begin with in the form, so that none is taken for one of ours.
const LEAD: &str = "field.";

super::words::words! {
    register: "Register", "注册";
    change: "Change", "修改";
    handle: "Identifier", "标识";
    handle_hint: "prefix, slash, suffix; chosen by the rule of the template if it is empty",
        "前缀/后缀；留空则按模板的编码规则生成";
    handle_hint_none: "prefix, slash, suffix", "前缀/后缀";
    list_hint: "one in each line", "每行一个";
    list_max: "at most", "最多";
    moment_hint: "with the time zone, for example 2026-03-01T08:00:00+08:00",
        "带时区，例如 2026-03-01T08:00:00+08:00";
    everybody: "read by everybody", "所有人可读";
    withheld: "There are values that you may not see. They stay as they are.",
        "另有您无权查看的值，保存时保持不变。";
    submit: "Register", "注册";
    save: "Save", "保存";
    cancel: "Cancel", "取消";
    delete: "Delete the record", "删除记录";
    delete_text: "The record goes away with its name. If things out there carry the name, withdraw \
        it instead: then whoever asks is told so.",
        "记录连同标识一起删除。若实物上已有该标识，请改为注销，解析者会得到说明。";
}

/// The form for a new registration of `template`, or for the one of `handle`.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    let (template, handle) = (visit.asked("template"), visit.asked("handle"));
    match prepare(visit, template, handle).await {
        Ok(form) => page(visit, &form, None),
        Err(trouble) => failed(visit, &trouble),
    }
}

fn failed(visit: &Visit<'_>, trouble: &Trouble) -> Response {
    let words = words(visit.lang);
    let content = html! { (head(words.register, "", None)) (frame::trouble(visit, trouble)) };
    frame::page(visit, Tab::Templates, words.register, &content)
}

/// What stands in the form.
struct Form {
    template: String,
    definition: Json,
    /// The registration that is changed; none for a new one.
    handle: Option<String>,
    named: String,
    values: Map<String, Json>,
    is_withheld: bool,
}

async fn prepare(
    visit: &Visit<'_>,
    template: Option<&str>,
    handle: Option<&str>,
) -> Result<Form, Trouble> {
    let shown = match handle {
        Some(handle) => visit.get(&of_registration(handle)).await?.json,
        None => Json::Null,
    };
    let template = template
        .or_else(|| shown["template"].as_str())
        .unwrap_or_default();
    let told = visit.get(&of_template(template)).await?;
    Ok(Form {
        template: template.to_owned(),
        definition: told.json["definition"].clone(),
        handle: handle.map(str::to_owned),
        named: String::new(),
        values: shown["fields"].as_object().cloned().unwrap_or_default(),
        is_withheld: shown["withheld"] == true,
    })
}

/// Registers, changes or deletes.
pub(super) async fn save(visit: &Visit<'_>) -> Response {
    let handle = visit.field("handle");
    if visit.field("do") == Some("delete") {
        return delete(visit, handle.unwrap_or_default()).await;
    }
    let mut form = match prepare(visit, visit.field("template"), handle).await {
        Ok(form) => form,
        Err(trouble) => return failed(visit, &trouble),
    };
    form.values = typed(visit, &form.definition);
    form.named = visit.field("named").unwrap_or_default().to_owned();
    match send(visit, &form).await {
        Ok(told) => {
            let made = told.json["handle"].as_str().unwrap_or_default();
            let unchecked = unchecked(&told.json);
            let mut said = vec![("handle", made), ("done", "1")];
            said.extend((!unchecked.is_empty()).then_some(("unchecked", unchecked.as_str())));
            lead(&place("/record", &said))
        }
        Err(trouble) => page(visit, &form, Some(&trouble)),
    }
}

/// The fields that refer to records of other nodes which could not be asked for.
fn unchecked(told: &Json) -> String {
    let all = told["unchecked"].as_array().map(Vec::as_slice);
    let fields: BTreeSet<&str> = all
        .unwrap_or_default()
        .iter()
        .filter_map(|one| one["field"].as_str())
        .collect();
    fields.into_iter().collect::<Vec<_>>().join(", ")
}

/// A new registration is made whole. Of one that is there, only what is said is changed, since the
/// viewer may not see all of it.
async fn send(visit: &Visit<'_>, form: &Form) -> Result<Told, Trouble> {
    let values = form.values.iter().filter(|(_, value)| !value.is_null());
    let values: Map<String, Json> = values
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some(handle) = &form.handle {
        let method = if form.is_withheld {
            Method::PATCH
        } else {
            Method::PUT
        };
        return visit
            .send(method, &of_registration(handle), &json!({"fields": values}))
            .await;
    }
    let mut body = json!({"template": form.template, "fields": values});
    if !form.named.is_empty() {
        body["handle"] = Json::from(form.named.clone());
    }
    visit
        .send(Method::POST, "/api/v2/registrations", &body)
        .await
}

async fn delete(visit: &Visit<'_>, handle: &str) -> Response {
    let sent = visit
        .send(Method::DELETE, &of_registration(handle), &Json::Null)
        .await;
    match sent {
        Ok(_) => {
            let template = visit.field("template").unwrap_or_default();
            lead(&place("/registrations", &[("template", template)]))
        }
        Err(trouble) => failed(visit, &trouble),
    }
}

/// The values of the form as the API takes them. What is no number is passed on as it is, for the
/// API to say so.
fn typed(visit: &Visit<'_>, definition: &Json) -> Map<String, Json> {
    let mut values = Map::new();
    for field in fields(definition) {
        let name = field["name"].as_str().unwrap_or_default();
        let Some(text) = visit.field(&format!("{LEAD}{name}")) else {
            continue;
        };
        let kind = &field["kind"];
        let value = match kind["type"].as_str() {
            Some("number") => number(text),
            _ if count_max(kind) > 1 => {
                let parts = text.lines().map(str::trim).filter(|part| !part.is_empty());
                Json::from(parts.collect::<Vec<_>>())
            }
            _ => Json::from(text),
        };
        values.insert(name.to_owned(), value);
    }
    values
}

fn count_max(kind: &Json) -> u64 {
    kind["countMax"].as_u64().unwrap_or(1)
}

//----------- Page -----------------------------------------------------------

fn page(visit: &Visit<'_>, form: &Form, trouble: Option<&Trouble>) -> Response {
    let words = words(visit.lang);
    let title = if form.handle.is_some() {
        words.change
    } else {
        words.register
    };
    let name = form.definition["title"].as_str().unwrap_or(&form.template);
    let cancel = match &form.handle {
        Some(handle) => place("/record", &[("handle", handle)]),
        None => place("/registrations", &[("template", &form.template)]),
    };
    let has_rule = form.definition["suffix"].is_string();
    let content = html! {
        (head(&format!("{title} · {name}"), form.handle.as_deref().unwrap_or_default(), None))
        @if let Some(trouble) = trouble { (frame::trouble(visit, trouble)) }
        @if form.is_withheld { p class="notice warn" { (words.withheld) } }
        form class="card fields" method="post" action="/registration/edit" {
            (frame::token(visit))
            input type="hidden" name="template" value=(form.template);
            @match &form.handle {
                Some(handle) => input type="hidden" name="handle" value=(handle);,
                None => label {
                    span {
                        (words.handle)
                        @if !has_rule { " " span class="must" aria-hidden="true" { "*" } }
                    }
                    input name="named" value=(form.named) required[!has_rule] spellcheck="false"
                        autocapitalize="off" placeholder=(sample(&form.template));
                    span class="hint" {
                        (if has_rule { words.handle_hint } else { words.handle_hint_none })
                    }
                }
            }
            @for field in fields(&form.definition) {
                @if field["disabled"] != true { (entry(visit, field, form, trouble)) }
            }
            div class="actions" {
                button type="submit" class="button strong" {
                    (if form.handle.is_some() { words.save } else { words.submit })
                }
                a class="button" href=(cancel) { (words.cancel) }
            }
        }
        @if let Some(handle) = &form.handle { (removal(visit, form, handle)) }
    };
    frame::page(visit, Tab::Templates, title, &content)
}

/// A handle under the prefix of a template.
fn sample(template: &str) -> String {
    let prefix = template.split('/').next().unwrap_or_default();
    format!("{prefix}/SN20260001")
}

fn removal(visit: &Visit<'_>, form: &Form, handle: &str) -> Markup {
    let words = words(visit.lang);
    html! {
        details class="card" {
            summary { (words.delete) }
            form class="fields" method="post" action="/registration/edit" {
                (frame::token(visit))
                input type="hidden" name="handle" value=(handle);
                input type="hidden" name="template" value=(form.template);
                p { (words.delete_text) }
                p {
                    button type="submit" class="button danger" name="do" value="delete" {
                        (words.delete)
                    }
                }
            }
        }
    }
}

fn entry(visit: &Visit<'_>, field: &Json, form: &Form, trouble: Option<&Trouble>) -> Markup {
    let words = words(visit.lang);
    let name = field["name"].as_str().unwrap_or_default();
    let kind = &field["kind"];
    let value = form.values.get(name).unwrap_or(&Json::Null);
    let fault = trouble.and_then(|trouble| trouble.of(name));
    let is_required = field["required"] == true;
    html! {
        label {
            span {
                (label(field))
                @if is_required { " " span class="must" aria-hidden="true" { "*" } }
            }
            (control(name, kind, value, is_required, fault.is_some()))
            @if let Some(fault) = fault { span class="fault" lang="en" { (fault) } }
            span class="hint" {
                @if let Some(text) = field["description"].as_str() { (text) " · " }
                @if count_max(kind) > 1 {
                    (words.list_hint) ", " (words.list_max) " " (count_max(kind)) " · "
                }
                @if kind["precision"] == "moment" { (words.moment_hint) " · " }
                @if field["readers"] == "everybody" { (words.everybody) " · " }
                code { (name) }
            }
        }
    }
}

/// The control that fits the type of a field.
fn control(name: &str, kind: &Json, value: &Json, is_required: bool, is_wrong: bool) -> Markup {
    let named = format!("{LEAD}{name}");
    let text = said(value);
    let wrong = is_wrong.then_some("true");
    let is_long = kind["lengthMax"]
        .as_u64()
        .is_none_or(|most| most > LINE_CHARS);
    match kind["type"].as_str() {
        _ if count_max(kind) > 1 => html! {
            textarea name=(named) rows="3" required[is_required] aria-invalid=[wrong]
                spellcheck="false" { (text.replace("; ", "\n")) }
        },
        Some("date") if kind["precision"] != "moment" => html! {
            input type="date" name=(named) value=(text) required[is_required] aria-invalid=[wrong];
        },
        Some("number") => html! {
            input inputmode="decimal" name=(named) value=(text) required[is_required]
                aria-invalid=[wrong] autocomplete="off";
        },
        Some("text") if is_long => html! {
            textarea name=(named) rows="2" required[is_required] aria-invalid=[wrong] { (text) }
        },
        _ => html! {
            input name=(named) value=(text) required[is_required] aria-invalid=[wrong]
                autocomplete="off" spellcheck="false";
        },
    }
}
