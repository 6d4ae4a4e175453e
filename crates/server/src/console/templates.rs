//! Templates (元数据模板): the list, one of them, and its life.

use axum::http::Method;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::designer;
use super::frame::{self, Tab, head};
use super::visit::{Trouble, Visit, lead, of_template, place};
use crate::http::page::Lang;
use crate::http::path::in_query;

/// Templates of a page; each is read for its title.
const PAGE: usize = 50;
/// Prefixes that are offered; others are reached by their address.
pub(super) const PREFIXES_MAX: usize = 100;

super::words::words! {
    title: "Templates", "元数据模板";
    lead: "A template says what the records of a kind must hold. Things are registered by it.",
        "模板规定一类标识记录必须包含的内容，注册时据此校验。";
    new: "New template", "新建模板";
    none: "No template yet", "还没有模板";
    none_text: "Make one, or begin with an example: fields, types, what is required.",
        "新建一个模板，或从示例开始：字段、类型、必填项。";
    prefix: "Prefix", "前缀";
    show: "Show", "显示";
    next: "Next page", "下一页";
    no_prefix: "This node homes no prefix", "本节点未托管前缀";
    no_prefix_text: "Templates stand under a prefix. On the machine itself: guantong home PREFIX",
        "模板建立在前缀之下。在本机执行：guantong home 前缀";
    version: "version", "版本";
    based_on: "Copied from", "复制自";
    fields: "Fields", "字段";
    name: "Name", "名称";
    kind: "Type", "类型";
    rules: "Rules", "约束";
    readers: "Read by", "可读者";
    required: "required", "必填";
    unique: "unique", "唯一";
    searchable: "searchable", "可检索";
    disabled_field: "disabled", "停用";
    everybody: "everybody", "所有人";
    administrators: "administrators", "管理员";
    register: "Register", "注册";
    registrations: "Registrations", "注册列表";
    edit: "Change", "修改";
    labels: "Labels", "打印标签";
    grants: "Grants", "数据授权";
    life: "What can be done with it", "可执行的操作";
    publish: "Publish", "发布";
    publish_text: "Things can be registered by it, and everybody sees what it says. Its fields \
        then keep their names and types for ever.",
        "发布后可据此注册，所有人可见其内容；此后字段名称与类型不可更改。";
    withdraw: "Withdraw", "撤回";
    withdraw_text: "Nothing new is registered by it for now, and it is not shown. What is \
        registered stays, and may be changed. You can change the template and publish it again.",
        "撤回后暂不可注册且不公开；已注册的标识保留，仍可修改。可修改模板后重新发布。";
    disable: "Disable", "停用";
    disable_text: "It is not used any more, for ever. It stays to be seen, since registrations \
        name it.", "永久停用，不可恢复；因已注册的标识引用它，模板仍然可见。";
    copy: "Copy", "复制";
    copy_text: "A draft that says the same, under your own prefix.", "在您的前缀下建立内容相同的草稿。";
    industry: "Industry", "行业";
    standard: "Standard", "遵循标准";
    category: "Category", "分类";
    suffix: "Rule for suffixes", "后缀编码规则";
    draft: "draft", "草稿";
    published: "published", "已发布";
    withdrawn: "withdrawn", "已撤回";
    disabled: "disabled", "已停用";
    text: "text", "文本";
    number: "number", "数值";
    date: "date", "日期";
    file: "file", "文件";
    reference: "reference", "引用";
    audio: "audio", "音频";
    video: "video", "视频";
    image: "image", "图片";
}

/// The word of a type of field.
pub(super) fn kind_word(kind: &str, lang: Lang) -> &'static str {
    let words = words(lang);
    match kind {
        "number" => words.number,
        "date" => words.date,
        "file" => words.file,
        "reference" => words.reference,
        "audio" => words.audio,
        "video" => words.video,
        "image" => words.image,
        _ => words.text,
    }
}

/// Where a template is in its life, in colour.
pub(super) fn state(state: &str, lang: Lang) -> Markup {
    let words = words(lang);
    let (class, word) = match state {
        "published" => ("good", words.published),
        "withdrawn" => ("warn", words.withdrawn),
        "disabled" => ("bad", words.disabled),
        _ => ("", words.draft),
    };
    html! { span class={ "tag " (class) } { (word) } }
}

/// The prefixes that this node homes, without `0.NA/`.
pub(super) fn prefixes(visit: &Visit<'_>) -> Vec<String> {
    let homed = visit.node.store.homed();
    let prefixes = homed
        .iter()
        .map(|handle| handle.borrow().suffix().to_owned());
    prefixes.take(PREFIXES_MAX).collect()
}

/// A choice of prefixes.
pub(super) fn prefix_choice(prefixes: &[String], chosen: &str) -> Markup {
    html! {
        select name="prefix" {
            @for prefix in prefixes {
                option value=(prefix) selected[prefix == chosen] { (prefix) }
            }
            @if !chosen.is_empty() && !prefixes.iter().any(|prefix| prefix == chosen) {
                option value=(chosen) selected { (chosen) }
            }
        }
    }
}

//----------- List -----------------------------------------------------------

/// The templates of a prefix.
pub(super) async fn list(visit: &Visit<'_>) -> Response {
    let words = words(visit.lang);
    let prefixes = prefixes(visit);
    let first = prefixes.first().map_or("", String::as_str);
    let prefix = visit.asked("prefix").unwrap_or(first);
    let designer = place("/template/edit", &[("prefix", prefix)]);
    let new = html! { a class="button strong" href=(designer) { (words.new) } };
    let content = html! {
        (head(words.title, words.lead, Some(new)))
        @if prefixes.len() > 1 {
            form class="line" method="get" action="/templates" {
                label { span { (words.prefix) } (prefix_choice(&prefixes, prefix)) }
                button type="submit" class="button" { (words.show) }
            }
        }
        @if prefix.is_empty() { (frame::empty(words.no_prefix, words.no_prefix_text, None)) }
        @else { (listed(visit, prefix).await) }
    };
    frame::page(visit, Tab::Templates, words.title, &content)
}

async fn listed(visit: &Visit<'_>, prefix: &str) -> Markup {
    let words = words(visit.lang);
    let after = visit
        .asked("after")
        .map(|after| format!("&after={}", in_query(after)));
    let target = format!(
        "/api/v2/templates?prefix={}&limit={PAGE}{}",
        in_query(prefix),
        after.unwrap_or_default()
    );
    let page = match visit.get(&target).await {
        Ok(told) => told.json,
        Err(trouble) => return frame::trouble(visit, &trouble),
    };
    let mut rows = Vec::new();
    for handle in texts(&page["handles"]) {
        // A draft is shown to its administrators; others see that it has a name.
        let template = visit.get(&of_template(handle)).await.map(|told| told.json);
        rows.push((handle, template.unwrap_or_default()));
    }
    if rows.is_empty() {
        let href = place("/template/edit", &[("prefix", prefix)]);
        return frame::empty(words.none, words.none_text, Some((&href, words.new)));
    }
    html! {
        ul class="list card" {
            @for (handle, template) in &rows {
                @let title = template["definition"]["title"].as_str().unwrap_or(handle);
                @let there = place("/template", &[("handle", handle)]);
                li {
                    a class="list-title" href=(there) { (title) }
                    @if let Some(found) = template["state"].as_str() { (state(found, visit.lang)) }
                    span class="hint handle" { (handle) }
                }
            }
        }
        @if let Some(next) = page["next"].as_str() {
            @let more = place("/templates", &[("prefix", prefix), ("after", next)]);
            p { a class="button" href=(more) { (words.next) } }
        }
    }
}

/// The texts of a JSON list.
pub(super) fn texts(list: &Json) -> Vec<&str> {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(Json::as_str).collect()
}

//----------- One template ---------------------------------------------------

/// One template.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    let handle = visit.asked("handle").unwrap_or_default();
    let content = content(visit, handle, None).await;
    frame::page(visit, Tab::Templates, handle, &content)
}

/// Publishes, withdraws, disables or copies it.
pub(super) async fn act(visit: &Visit<'_>) -> Response {
    let handle = visit.field("handle").unwrap_or_default();
    let body = match visit.field("action") {
        Some("copy") => json!({"action": "copy", "prefix": visit.field("prefix")}),
        action => json!({"action": action}),
    };
    match visit.send(Method::POST, &of_template(handle), &body).await {
        Ok(told) => {
            let made = told.json["handle"].as_str().unwrap_or(handle);
            let path = match visit.field("then") {
                Some("edit") => "/template/edit",
                _ => "/template",
            };
            lead(&place(path, &[("handle", made)]))
        }
        Err(trouble) => {
            let content = content(visit, handle, Some(&trouble)).await;
            frame::page(visit, Tab::Templates, handle, &content)
        }
    }
}

async fn content(visit: &Visit<'_>, handle: &str, trouble: Option<&Trouble>) -> Markup {
    let words = words(visit.lang);
    let template = match visit.get(&of_template(handle)).await {
        Ok(told) => told.json,
        Err(trouble) => {
            return html! { (head(handle, "", None)) (frame::trouble(visit, &trouble)) };
        }
    };
    let definition = &template["definition"];
    let found = template["state"].as_str().unwrap_or_default();
    let title = definition["title"].as_str().unwrap_or(handle);
    let of = |path: &str, name: &str| place(path, &[(name, handle)]);
    let actions = html! {
        @if found == "published" {
            a class="button strong" href=(of("/registration/edit", "template")) { (words.register) }
        }
        a class="button" href=(of("/registrations", "template")) { (words.registrations) }
        a class="button" href=(of("/labels", "template")) { (words.labels) }
        a class="button" href=(of("/grants", "handle")) { (words.grants) }
        @if matches!(found, "draft" | "withdrawn") {
            a class="button" href=(of("/template/edit", "handle")) { (words.edit) }
        }
    };
    html! {
        (head(title, definition["description"].as_str().unwrap_or_default(), Some(actions)))
        p class="tags" {
            (state(found, visit.lang))
            span class="hint" { (words.version) " " (template["version"]) }
            a class="handle hint" href=(of("/record", "handle")) { (handle) }
        }
        @if let Some(trouble) = trouble { (frame::trouble(visit, trouble)) }
        section class="card" aria-labelledby="fields" {
            h2 id="fields" { (words.fields) }
            (fields(definition, visit.lang))
        }
        (facts(&template, words))
        section class="card" aria-labelledby="life" {
            h2 id="life" { (words.life) }
            (life(visit, handle, found))
        }
    }
}

fn facts(template: &Json, words: &Words) -> Markup {
    let definition = &template["definition"];
    let facts = [
        (words.industry, &definition["industry"]),
        (words.standard, &definition["standard"]),
        (words.category, &definition["category"]),
        (words.suffix, &definition["suffix"]),
        (words.based_on, &template["basedOn"]),
    ];
    let facts = facts.map(|(word, json)| (word, json.as_str().unwrap_or_default()));
    html! {
        @if facts.iter().any(|(_, text)| !text.is_empty()) {
            section class="card" {
                dl class="facts" {
                    @for (word, text) in facts.iter().filter(|(_, text)| !text.is_empty()) {
                        div { dt { (word) } dd { code { (text) } } }
                    }
                }
            }
        }
    }
}

fn fields(definition: &Json, lang: Lang) -> Markup {
    let words = words(lang);
    let fields = definition["fields"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    html! {
        table class="cards" {
            thead {
                tr {
                    th scope="col" { (words.name) }
                    th scope="col" { (words.kind) }
                    th scope="col" { (words.rules) }
                    th scope="col" { (words.readers) }
                }
            }
            tbody {
                @for field in fields {
                    @let kind = field["kind"]["type"].as_str().unwrap_or("text");
                    tr {
                        th scope="row" {
                            @if let Some(label) = field["label"].as_str() { (label) " " }
                            code class="hint" { (field["name"].as_str().unwrap_or_default()) }
                            @if let Some(text) = field["description"].as_str() {
                                p class="hint" { (text) }
                            }
                        }
                        td { (kind_word(kind, lang)) }
                        td data-label=(words.rules) { (rules(field, words, lang)) }
                        td data-label=(words.readers) {
                            (match field["readers"].as_str() {
                                Some("everybody") => words.everybody,
                                _ => words.administrators,
                            })
                        }
                    }
                }
            }
        }
    }
}

fn rules(field: &Json, words: &Words, lang: Lang) -> Markup {
    let flags = [
        ("required", words.required),
        ("unique", words.unique),
        ("searchable", words.searchable),
        ("disabled", words.disabled_field),
    ];
    let kind = field["kind"].as_object();
    let limits = kind
        .into_iter()
        .flatten()
        .filter(|(name, limit)| *name != "type" && (*name != "lengthMin" || **limit != 0));
    html! {
        @for (name, word) in flags {
            @if field[name] == true { span class="tag" { (word) } " " }
        }
        @for (name, limit) in limits {
            span class="hint" {
                @if let Some(word) = designer::limit_word(name, lang) { (word) " " }
                code { (limit.as_str().map_or_else(|| limit.to_string(), str::to_owned)) }
            } " "
        }
    }
}

fn life(visit: &Visit<'_>, handle: &str, found: &str) -> Markup {
    let words = words(visit.lang);
    let prefixes = prefixes(visit);
    let acts = [
        (
            "publish",
            words.publish,
            words.publish_text,
            &["draft", "withdrawn"][..],
        ),
        (
            "withdraw",
            words.withdraw,
            words.withdraw_text,
            &["published"],
        ),
        (
            "disable",
            words.disable,
            words.disable_text,
            &["draft", "withdrawn"],
        ),
        (
            "copy",
            words.copy,
            words.copy_text,
            &["draft", "published", "withdrawn", "disabled"],
        ),
    ];
    html! {
        ul class="acts" {
            @for (action, word, text, states) in acts {
                @if states.contains(&found) {
                    li {
                        form method="post" action="/template" {
                            (frame::token(visit))
                            input type="hidden" name="handle" value=(handle);
                            @if action == "copy" && prefixes.len() > 1 {
                                label {
                                    span class="hidden" { (words.prefix) }
                                    (prefix_choice(&prefixes, ""))
                                }
                            } @else if action == "copy" {
                                input type="hidden" name="prefix"
                                    value=(prefixes.first().map_or("", String::as_str));
                            }
                            button type="submit" name="action" value=(action)
                                class=(match action {
                                    "disable" => "button danger",
                                    "publish" => "button strong",
                                    _ => "button",
                                }) { (word) }
                        }
                        p { (text) }
                    }
                }
            }
        }
    }
}
