//! Grants (数据授权): who else reads and writes what of a template, of its fields, of a
//! registration, and why; and what somebody is let see by that.

use axum::http::Method;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::frame::{self, Tab, head};
use super::notices;
use super::templates::texts;
use super::visit::{Trouble, Visit, lead, of_grants, place};
use crate::http::path::in_query;

/// What a list of readers says when everybody reads.
const EVERYBODY: &str = "everybody";

super::words::words! {
    title: "Grants", "数据授权";
    lead: "Who else reads and writes what, without being its administrator: identities and groups, \
        also those of other enterprises.",
        "除管理员外，谁还能读写哪些数据：可授权给身份或身份组，包括其他企业的。";
    which: "Template or registration", "模板或注册的标识";
    show: "Show its grants", "查看授权";
    to_templates: "Templates", "元数据模板";
    mine: "Granted to you", "授予您的权限";
    mine_sign_in: "Sign in, and what others grant you stands here.",
        "登录后，这里会显示他人授予您的权限。";
    sign_in: "Sign in", "登录";
    record: "Record", "标识记录";
    template: "Template", "元数据模板";
    done: "Done. It holds from now on.", "已完成，即刻生效。";
    administrators: "Administrators of the record read and write everything anyway; they are not \
        listed here.",
        "记录的管理员始终可以读写全部内容，不在此列出。";
    itself: "The template itself", "模板本身";
    itself_all: "While it is published, everybody reads what the template says.",
        "模板发布期间，所有人可见其内容。";
    itself_some: "While it is published, only those named here read what the template says.",
        "模板发布期间，仅下列对象可见其内容。";
    class: "Fields, in everything that is registered by it", "字段（对据此注册的所有标识生效）";
    by_class: "The rules of its template hold for this registration:", "本标识遵循其模板的授权：";
    by_own: "A rule of its own holds for this registration, in place of those of its template.",
        "本标识使用独立授权，取代模板的授权。";
    own: "Its own rule", "独立授权";
    own_new: "Give it a rule of its own", "设置独立授权";
    own_text: "From then on nobody reads or writes it but those that you name, and whoever reads \
        everything that is open.",
        "设置后，除公开内容外，仅您指定的对象可读写。";
    to_class: "Follow the template again", "恢复遵循模板";
    to_class_text: "Its own rule is forgotten.", "独立授权将被清除。";
    fields: "Fields", "字段";
    field: "Field", "字段";
    readers: "Read by", "可读者";
    writers: "Written by", "可写者";
    everybody: "everybody", "所有人";
    everybody_open: "Open by the permissions of its values, not by a grant.",
        "由值的权限位公开，并非授权所致。";
    nobody: "nobody else", "无其他人";
    remove: "Take away", "取消";
    publish: "Publish", "公开";
    unpublish: "Unpublish", "取消公开";
    grant: "Grant", "授权";
    grant_title: "Grant something", "新增授权";
    what: "What", "对象";
    access: "To do what", "权限";
    read: "read", "读";
    write: "write", "写";
    whom: "To whom", "授予";
    whom_hint: "300:PREFIX/App_… for an identity, 200:PREFIX/Group_… for a group, also of another \
        enterprise. Several with spaces between them.",
        "身份：300:前缀/App_…；身份组：200:前缀/Group_…；可为其他企业的。多个以空格分隔。";
    preview: "What would somebody see?", "预览：某人能看到什么？";
    preview_text: "Somebody who is not an administrator.", "以非管理员身份预览。";
    preview_show: "Look", "预览";
    because: "Why", "原因";
    yes: "yes", "是";
    no: "no", "否";
    as_everybody: "everybody reads it", "所有人可读";
    as_named: "he is named", "已直接授权";
    as_member: "he is a member of", "属于身份组";
    as_none: "no rule names him", "没有授权";
}

//----------- Page -----------------------------------------------------------

/// The page: of a record, or to look for one.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    let words = words(visit.lang);
    let content = match visit.asked("handle") {
        Some(handle) => content(visit, handle, None).await,
        None => html! {
            (head(words.title, words.lead, None))
            (search(words))
            (mine(visit).await)
        },
    };
    frame::page(visit, Tab::Grants, words.title, &content)
}

/// Grants something, or takes it away.
pub(super) async fn act(visit: &Visit<'_>) -> Response {
    let handle = visit.field("handle").unwrap_or_default();
    let body = wish(
        visit.field("do").unwrap_or_default(),
        visit.field("field").unwrap_or_default(),
        visit.field("list").unwrap_or_default(),
        visit.field("subject").unwrap_or_default(),
    );
    match visit.send(Method::PATCH, &of_grants(handle), &body).await {
        Ok(_) => lead(&place("/grants", &[("handle", handle), ("done", "1")])),
        Err(trouble) => {
            let content = content(visit, handle, Some(&trouble)).await;
            frame::page(visit, Tab::Grants, words(visit.lang).title, &content)
        }
    }
}

/// What a form means in the terms of the API.
fn wish(action: &str, field: &str, list: &str, subjects: &str) -> Json {
    let list = match list {
        "writers" => "writers",
        _ => "readers",
    };
    let subjects: Vec<&str> = subjects.split_whitespace().collect();
    let edit = match action {
        "publish" => return json!({"publish": [field]}),
        "unpublish" => return json!({"unpublish": [field]}),
        "class" => return json!({"rule": "class"}),
        "own" => return json!({"rule": "own"}),
        "remove" => json!({"remove": subjects}),
        _ => json!({"add": subjects}),
    };
    match field {
        "" => json!({list: edit}),
        field => json!({"fields": [{"field": field, list: edit}]}),
    }
}

fn search(words: &Words) -> Markup {
    html! {
        form class="card line" method="get" action="/grants" {
            label {
                span { (words.which) }
                input name="handle" required spellcheck="false" autocapitalize="off"
                    placeholder="88.118.5/META_…";
            }
            button type="submit" class="button strong" { (words.show) }
            a class="button" href="/templates" { (words.to_templates) }
        }
    }
}

async fn mine(visit: &Visit<'_>) -> Markup {
    let words = words(visit.lang);
    html! {
        section class="card" aria-labelledby="mine" {
            h2 id="mine" { (words.mine) }
            @if visit.viewer.is_some() { (notices::table(visit).await) }
            @else {
                p class="hint" { (words.mine_sign_in) }
                p { a class="button" href="/sign-in?back=/grants" { (words.sign_in) } }
            }
        }
    }
}

//----------- Grants of a record ---------------------------------------------

async fn content(visit: &Visit<'_>, handle: &str, trouble: Option<&Trouble>) -> Markup {
    let words = words(visit.lang);
    let mut target = of_grants(handle);
    if let Some(subject) = visit.asked("for") {
        target.push_str(&format!("?for={}", in_query(subject)));
    }
    // A subject that cannot be read is no reason to show nothing.
    let (told, odd) = match visit.get(&target).await {
        Err(odd) if visit.asked("for").is_some() => {
            (visit.get(&of_grants(handle)).await, Some(odd))
        }
        told => (told, None),
    };
    let grants = match told {
        Ok(told) => told.json,
        Err(refused) => {
            return html! {
                (head(handle, words.lead, None))
                (frame::trouble(visit, trouble.unwrap_or(&refused)))
                (search(words))
            };
        }
    };
    let is_template = grants["everybody"].is_boolean();
    let (path, word) = match is_template {
        true => ("/template", words.template),
        false => ("/record", words.record),
    };
    let actions = html! {
        a class="button" href=(place(path, &[("handle", handle)])) { (word) }
    };
    html! {
        (head(handle, words.administrators, Some(actions)))
        @if let Some(trouble) = trouble { (frame::trouble(visit, trouble)) }
        @else if visit.asked("done").is_some() {
            p class="notice" role="status" { (words.done) }
        }
        @if is_template { (itself(visit, handle, &grants)) }
        @else { (rule(visit, handle, &grants)) }
        (fields_card(visit, handle, &grants, is_template))
        @if is_template || grants["rule"] == "own" {
            (grant_form(visit, handle, &grants, is_template))
        }
        (preview(visit, handle, &grants, odd.as_ref()))
    }
}

/// Who reads the template.
fn itself(visit: &Visit<'_>, handle: &str, grants: &Json) -> Markup {
    let words = words(visit.lang);
    let text = match grants["everybody"] == true {
        true => words.itself_all,
        false => words.itself_some,
    };
    let place = Place {
        handle,
        field: "",
        list: "readers",
    };
    let readers = texts(&grants["readers"]);
    html! {
        section class="card" aria-labelledby="itself" {
            h2 id="itself" { (words.itself) }
            p class="hint" { (text) }
            @if grants["everybody"] != true || !readers.is_empty() {
                (subjects(visit, &place, &readers))
            }
        }
    }
}

/// Which rule holds for a registration.
fn rule(visit: &Visit<'_>, handle: &str, grants: &Json) -> Markup {
    let words = words(visit.lang);
    let template = grants["template"].as_str().unwrap_or_default();
    let is_own = grants["rule"] == "own";
    let list = |list| Place {
        handle,
        field: "",
        list,
    };
    let (action, word, text) = match is_own {
        true => ("class", words.to_class, words.to_class_text),
        false => ("own", words.own_new, words.own_text),
    };
    html! {
        section class="card" aria-labelledby="own" {
            h2 id="own" { (words.own) }
            @if is_own {
                p { (words.by_own) }
                dl class="facts" {
                    div {
                        dt { (words.readers) }
                        dd { (subjects(visit, &list("readers"), &texts(&grants["readers"]))) }
                    }
                    div {
                        dt { (words.writers) }
                        dd { (subjects(visit, &list("writers"), &texts(&grants["writers"]))) }
                    }
                }
            } @else {
                p {
                    (words.by_class) " "
                    a class="handle" href=(place("/grants", &[("handle", template)])) { (template) }
                }
            }
            ul class="acts" {
                li {
                    form method="post" action="/grants" {
                        (frame::token(visit))
                        input type="hidden" name="handle" value=(handle);
                        button type="submit" class="button" name="do" value=(action) { (word) }
                    }
                    p { (text) }
                }
            }
        }
    }
}

fn fields_card(visit: &Visit<'_>, handle: &str, grants: &Json, is_template: bool) -> Markup {
    let words = words(visit.lang);
    let fields = list(&grants["fields"]);
    html! {
        @if !fields.is_empty() {
            section class="card" aria-labelledby="fields" {
                h2 id="fields" { (if is_template { words.class } else { words.fields }) }
                table class="cards" {
                    thead {
                        tr {
                            th scope="col" { (words.field) }
                            th scope="col" { (words.readers) }
                            th scope="col" { (words.writers) }
                        }
                    }
                    tbody {
                        @for field in fields { (field_row(visit, handle, field, is_template)) }
                    }
                }
            }
        }
    }
}

fn field_row(visit: &Visit<'_>, handle: &str, field: &Json, is_template: bool) -> Markup {
    let words = words(visit.lang);
    let name = field["field"].as_str().unwrap_or_default();
    let readers = texts(&field["readers"]);
    let is_named = readers.contains(&EVERYBODY);
    let is_open = field["everybody"] == true && !is_named;
    let cell = |list: &'static str, named: &[&str]| match is_template {
        true => subjects(
            visit,
            &Place {
                handle,
                field: name,
                list,
            },
            named,
        ),
        false => chips(named, words),
    };
    html! {
        tr {
            th scope="row" { code { (name) } }
            td data-label=(words.readers) {
                @if is_open {
                    p { span class="tag good" { (words.everybody) } }
                    p class="hint" { (words.everybody_open) }
                }
                @if !is_open || !readers.is_empty() { (cell("readers", &readers)) }
                @if is_template && !is_open && !is_named {
                    form method="post" action="/grants" {
                        (frame::token(visit))
                        input type="hidden" name="handle" value=(handle);
                        input type="hidden" name="field" value=(name);
                        button type="submit" class="button small" name="do" value="publish" {
                            (words.publish) span class="hidden" { " " (name) }
                        }
                    }
                }
            }
            td data-label=(words.writers) { (cell("writers", &texts(&field["writers"]))) }
        }
    }
}

/// One list of subjects.
struct Place<'a> {
    handle: &'a str,
    /// The field of a template; empty for the record itself.
    field: &'a str,
    list: &'static str,
}

fn chips(named: &[&str], words: &Words) -> Markup {
    html! {
        @if named.is_empty() { span class="hint" { (words.nobody) } }
        @else {
            ul class="chips" { @for subject in named { li { (called(subject, words)) } } }
        }
    }
}

fn called(subject: &str, words: &Words) -> Markup {
    match subject {
        EVERYBODY => html! { span class="tag good" { (words.everybody) } },
        subject => html! { code { (subject) } },
    }
}

/// Those who are named, each with a button that takes the grant away.
fn subjects(visit: &Visit<'_>, place: &Place<'_>, named: &[&str]) -> Markup {
    let words = words(visit.lang);
    if named.is_empty() {
        return chips(named, words);
    }
    html! {
        ul class="chips" {
            @for subject in named {
                @let (action, word) = match (*subject, place.field) {
                    (EVERYBODY, field) if !field.is_empty() => ("unpublish", words.unpublish),
                    _ => ("remove", words.remove),
                };
                li {
                    (called(subject, words))
                    form method="post" action="/grants" {
                        (frame::token(visit))
                        input type="hidden" name="handle" value=(place.handle);
                        input type="hidden" name="field" value=(place.field);
                        input type="hidden" name="list" value=(place.list);
                        input type="hidden" name="subject" value=(subject);
                        button type="submit" class="quiet" name="do" value=(action)
                            aria-label={ (word) " " (subject) } { (word) }
                    }
                }
            }
        }
    }
}

fn grant_form(visit: &Visit<'_>, handle: &str, grants: &Json, is_template: bool) -> Markup {
    let words = words(visit.lang);
    let said = |name| visit.field(name).unwrap_or_default();
    html! {
        section class="card" aria-labelledby="grant" {
            h2 id="grant" { (words.grant_title) }
            form class="fields" method="post" action="/grants" {
                (frame::token(visit))
                input type="hidden" name="handle" value=(handle);
                div class="side" {
                    @if is_template {
                        label {
                            span { (words.what) }
                            select name="field" {
                                @for field in list(&grants["fields"]) {
                                    @let name = field["field"].as_str().unwrap_or_default();
                                    option value=(name) selected[said("field") == name] { (name) }
                                }
                                option value="" { (words.itself) }
                            }
                        }
                    }
                    label {
                        span { (words.access) }
                        select name="list" {
                            option value="readers" { (words.read) }
                            option value="writers" selected[said("list") == "writers"] {
                                (words.write)
                            }
                        }
                    }
                }
                label {
                    span { (words.whom) }
                    input name="subject" required spellcheck="false" autocapitalize="off"
                        aria-describedby="whom-hint"
                        value=(if said("do") == "add" { said("subject") } else { "" });
                    span class="hint" id="whom-hint" { (words.whom_hint) }
                }
                p {
                    button type="submit" class="button strong" name="do" value="add" {
                        (words.grant)
                    }
                }
            }
        }
    }
}

//----------- Preview --------------------------------------------------------

fn preview(visit: &Visit<'_>, handle: &str, grants: &Json, odd: Option<&Trouble>) -> Markup {
    let words = words(visit.lang);
    let preview = &grants["for"];
    html! {
        section class="card" aria-labelledby="preview" {
            h2 id="preview" { (words.preview) }
            form class="line" method="get" action="/grants" {
                input type="hidden" name="handle" value=(handle);
                label {
                    span { (words.preview_text) }
                    input name="for" required spellcheck="false" autocapitalize="off"
                        placeholder="300:88.118.6/App_…"
                        value=(visit.asked("for").unwrap_or_default());
                }
                button type="submit" class="button" { (words.preview_show) }
            }
            @if let Some(odd) = odd { (frame::trouble(visit, odd)) }
            @if preview.is_object() { (previewed(grants, preview, words)) }
        }
    }
}

fn previewed(grants: &Json, preview: &Json, words: &Words) -> Markup {
    let (reads, writes) = (texts(&preview["reads"]), texts(&preview["writes"]));
    let subject = preview["subject"].as_str().unwrap_or_default();
    let yes_no = |is| {
        html! {
            @if is { span class="tag good" { (words.yes) } }
            @else { span class="tag" { (words.no) } }
        }
    };
    html! {
        table class="cards" {
            thead {
                tr {
                    th scope="col" { (words.field) }
                    th scope="col" { (words.read) }
                    th scope="col" { (words.write) }
                    th scope="col" { (words.because) }
                }
            }
            tbody {
                @for field in list(&grants["fields"]) {
                    @let name = field["field"].as_str().unwrap_or_default();
                    @let (read, write) = (reads.contains(&name), writes.contains(&name));
                    tr {
                        th scope="row" { code { (name) } }
                        td data-label=(words.read) { (yes_no(read)) }
                        td data-label=(words.write) { (yes_no(write)) }
                        td class="hint" { (why(field, subject, read, write, words)) }
                    }
                }
            }
        }
    }
}

/// By which part of the rule somebody reads or writes a field.
fn why(field: &Json, subject: &str, reads: bool, writes: bool, words: &Words) -> Markup {
    let mut named = Vec::new();
    if writes {
        named.extend(texts(&field["writers"]));
    }
    if reads {
        named.extend(texts(&field["readers"]));
    }
    let is = |one: &&str| one.eq_ignore_ascii_case(subject);
    let groups: Vec<&str> = named
        .iter()
        .copied()
        .filter(|one| one.starts_with('2'))
        .collect();
    match (
        reads || writes,
        named.iter().any(is),
        field["everybody"] == true,
    ) {
        (false, ..) => html! { (words.as_none) },
        (true, true, _) => html! { (words.as_named) },
        (true, false, true) if !writes => html! { (words.as_everybody) },
        _ => html! { (words.as_member) " " @for group in &groups { code { (group) } " " } },
    }
}

fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_is_one_increment_of_the_api() {
        let made = wish("add", "mass", "writers", " 300:1/App_a  200:2/Group_b ");
        let expected = json!({"fields": [
            {"field": "mass", "writers": {"add": ["300:1/App_a", "200:2/Group_b"]}}]});
        assert_eq!(made, expected);
        let made = wish("remove", "", "readers", "300:1/App_a");
        assert_eq!(made, json!({"readers": {"remove": ["300:1/App_a"]}}));
        assert_eq!(
            wish("publish", "mass", "", ""),
            json!({"publish": ["mass"]})
        );
        assert_eq!(wish("class", "mass", "", "x"), json!({"rule": "class"}));
    }

    #[test]
    fn list_that_there_is_not_is_that_of_readers() {
        assert_eq!(
            wish("", "", "owners", "1/a"),
            json!({"readers": {"add": ["1/a"]}})
        );
    }

    #[test]
    fn reason_names_the_group_that_led_to_it() {
        let words = words(crate::http::page::Lang::En);
        let field = json!({"field": "mass", "everybody": false,
            "readers": ["200:2/Group_b", "300:1/App_a"]});
        let said = |subject, reads| why(&field, subject, reads, false, words).into_string();
        assert_eq!(
            said("300:2/App_c", true),
            "he is a member of <code>200:2/Group_b</code> "
        );
        assert_eq!(said("300:1/app_a", true), "he is named");
        assert_eq!(said("300:1/App_z", false), "no rule names him");
    }
}
