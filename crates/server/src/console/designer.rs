//! The designer of templates: a form with one block for each field. Blocks are added, moved and
//! taken away by the node, so that it works without script.

use axum::http::Method;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Map, Value as Json, json};

use super::examples::{self, EXAMPLES};
use super::frame::{self, Tab, head};
use super::templates::{kind_word, prefix_choice, prefixes};
use super::visit::{Trouble, Visit, lead, of_template, place};
use crate::http::Params;
use crate::http::page::Lang;

/// Most fields of the form; the API says which ones a template may have.
const ROWS_MAX: usize = 256;

const KINDS: [&str; 8] = [
    "text",
    "number",
    "date",
    "reference",
    "file",
    "image",
    "audio",
    "video",
];

/// Constraints that are numbers, of each type of field.
const NUMBERS: [&str; 6] = [
    "lengthMin",
    "lengthMax",
    "decimals",
    "minimum",
    "maximum",
    "countMax",
];

super::words::words! {
    new: "New template", "新建模板";
    change: "Change template", "修改模板";
    lead: "Give it a name and its fields. It is a draft until you publish it.",
        "填写名称与字段。发布之前均为草稿。";
    begin: "Begin with an example", "从示例开始";
    about: "About the template", "基本信息";
    title: "Name", "名称";
    prefix: "Prefix", "前缀";
    code: "Code", "编码";
    code_hint: "the end of its handle; chosen if it is empty", "模板标识的结尾，留空则自动生成";
    description: "Description", "说明";
    industry: "Industry code", "行业代码";
    industry_hint: "GB/T 4754, for example C3841", "GB/T 4754，例如 C3841";
    standard: "Standard", "遵循标准";
    category: "Category", "分类";
    suffix: "Rule for suffixes", "后缀编码规则";
    suffix_hint: "for registrations that come without a handle: {uuid}, {date:yyyyMMdd}, {check}",
        "注册时未给出标识则按此生成：{uuid}、{date:yyyyMMdd}、{check}";
    field: "Field", "字段";
    name: "Name in programs", "英文名称";
    label: "Label for people", "显示名称";
    kind: "Type", "类型";
    readers: "Read by", "可读者";
    everybody: "everybody", "所有人";
    administrators: "administrators", "管理员";
    required: "required", "必填";
    unique: "unique", "唯一";
    searchable: "searchable", "可检索";
    disabled: "disabled", "停用";
    length_min: "Fewest characters", "最少字符数";
    length_max: "Most characters", "最多字符数";
    pattern: "Pattern", "格式";
    decimals: "Digits behind the point", "小数位数";
    minimum: "Smallest", "最小值";
    maximum: "Largest", "最大值";
    precision: "How exact", "精度";
    day: "day", "日";
    moment: "moment", "时刻";
    template: "Template of the targets", "目标所属模板";
    count_max: "Most values", "最多个数";
    suffixes: "Ends of file names, with commas", "文件后缀，以逗号分隔";
    limits: "Constraints", "约束";
    up: "Up", "上移";
    down: "Down", "下移";
    remove: "Take away", "删除";
    add: "Add a field", "添加字段";
    save: "Save the draft", "保存草稿";
    save_change: "Save", "保存";
    publish_too: "Save and publish", "保存并发布";
    cancel: "Cancel", "取消";
    is_published: "It is published: withdraw it first", "模板已发布，请先撤回";
    is_published_text: "What is registered by it stays, and may be changed. Nothing new is registered \
        by it until you publish it again.",
        "已注册的标识保持不变，仍可修改。重新发布之前，不能再按此模板注册。";
    withdraw: "Withdraw and change", "撤回并修改";
    is_disabled: "It is disabled and stays as it is", "模板已停用，不能再修改";
    is_disabled_text: "A copy of it can be changed: make one on the page of the template.",
        "可在模板页面复制后修改副本。";
    back: "To the template", "返回模板";
}

//----------- Draft ----------------------------------------------------------

/// What stands in the form.
#[derive(Clone, Debug, Default, PartialEq)]
struct Draft {
    /// The parts of the template, by their names in the definition.
    parts: Map<String, Json>,
    rows: Vec<Row>,
}

/// One field: texts and flags by their names in the form.
type Row = Map<String, Json>;

const PARTS: [&str; 6] = [
    "title",
    "description",
    "industry",
    "standard",
    "category",
    "suffix",
];
const TEXTS: [&str; 5] = ["index", "name", "label", "description", "readers"];
const FLAGS: [&str; 4] = ["required", "unique", "searchable", "disabled"];
const LIMITS: [&str; 10] = [
    "type",
    "lengthMin",
    "lengthMax",
    "pattern",
    "decimals",
    "minimum",
    "maximum",
    "precision",
    "template",
    "countMax",
];

impl Draft {
    fn of_definition(definition: &Json) -> Self {
        let mut draft = Self::default();
        for part in PARTS {
            draft
                .parts
                .insert(part.to_owned(), Json::from(text(&definition[part])));
        }
        let fields = definition["fields"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        for field in fields.iter().take(ROWS_MAX) {
            let mut row = Row::new();
            for name in TEXTS.into_iter().chain(FLAGS) {
                row.insert(name.to_owned(), Json::from(text(&field[name])));
            }
            let kind = &field["kind"];
            for name in LIMITS {
                row.insert(name.to_owned(), Json::from(text(&kind[name])));
            }
            let suffixes = kind["suffixes"].as_array().map_or(&[][..], Vec::as_slice);
            let suffixes: Vec<String> = suffixes.iter().map(text).collect();
            row.insert("suffixes".to_owned(), Json::from(suffixes.join(", ")));
            draft.rows.push(row);
        }
        draft
    }

    fn of_form(form: &Params) -> Self {
        let mut draft = Self::default();
        for part in PARTS {
            let text = form.first(part).unwrap_or_default().trim();
            draft.parts.insert(part.to_owned(), Json::from(text));
        }
        let count = form.all("row").count().min(ROWS_MAX);
        for at in 0..count {
            let names = TEXTS
                .into_iter()
                .chain(FLAGS)
                .chain(LIMITS)
                .chain(["suffixes"]);
            let read = names.map(|name| {
                let text = form
                    .first(&format!("{name}.{at}"))
                    .unwrap_or_default()
                    .trim();
                (name.to_owned(), Json::from(text))
            });
            draft.rows.push(read.collect());
        }
        draft
    }

    /// Does what a button of the form says: `add`, `up.3`, `down.3`, `remove.3`.
    fn arrange(&mut self, order: &str) {
        let (verb, at) = order.split_once('.').unwrap_or((order, ""));
        let at: usize = at.parse().unwrap_or(usize::MAX);
        match verb {
            "add" if self.rows.len() < ROWS_MAX => self.rows.push(Row::new()),
            "up" if at > 0 && at < self.rows.len() => self.rows.swap(at - 1, at),
            "down" if at < self.rows.len().saturating_sub(1) => self.rows.swap(at, at + 1),
            "remove" if at < self.rows.len() => drop(self.rows.remove(at)),
            _ => {}
        }
    }

    /// The definition that the API takes. What cannot be read is passed on, for it to say so.
    fn definition(&self) -> Json {
        let parts = self.parts.iter().filter(|(_, part)| !text(part).is_empty());
        let mut definition: Map<String, Json> = parts
            .map(|(name, part)| (name.clone(), part.clone()))
            .collect();
        let fields: Vec<Json> = self.rows.iter().map(field).collect();
        definition.entry("title").or_insert_with(|| Json::from(""));
        definition.insert("fields".to_owned(), Json::from(fields));
        Json::from(definition)
    }

    fn part(&self, name: &str) -> String {
        self.parts.get(name).map(text).unwrap_or_default()
    }
}

/// A row as a field of a definition. Only constraints of its type go along.
fn field(row: &Row) -> Json {
    let of = |name: &str| row.get(name).map(text).unwrap_or_default();
    let kind = match of("type") {
        kind if kind.is_empty() => "text".to_owned(),
        kind => kind,
    };
    let mut limits = Map::new();
    for name in limits_of(&kind) {
        let said = of(name);
        if said.is_empty() {
            continue;
        }
        let limit = match *name {
            "suffixes" => Json::from(
                said.split([',', '，', ' '])
                    .filter(|part| !part.is_empty())
                    .map(|part| part.trim_start_matches('.').to_ascii_lowercase())
                    .collect::<Vec<_>>(),
            ),
            name if NUMBERS.contains(&name) => number(&said),
            _ => Json::from(said),
        };
        limits.insert((*name).to_owned(), limit);
    }
    limits.insert("type".to_owned(), Json::from(kind));
    let mut field = Map::new();
    for name in TEXTS {
        let said = of(name);
        if !said.is_empty() {
            field.insert(
                name.to_owned(),
                if name == "index" {
                    number(&said)
                } else {
                    said.into()
                },
            );
        }
    }
    for name in FLAGS {
        if of(name) == "true" {
            field.insert(name.to_owned(), Json::from(true));
        }
    }
    field.entry("name").or_insert_with(|| Json::from(""));
    field.insert("kind".to_owned(), Json::from(limits));
    Json::from(field)
}

/// The constraints that a type of field has.
fn limits_of(kind: &str) -> &'static [&'static str] {
    match kind {
        "number" => &["decimals", "minimum", "maximum"],
        "date" => &["precision"],
        "reference" => &["template", "countMax"],
        "file" | "image" | "audio" | "video" => &["countMax", "suffixes"],
        _ => &["lengthMin", "lengthMax", "pattern"],
    }
}

/// Text, number or truth value as the form shows it.
fn text(json: &Json) -> String {
    match json {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Bool(false) => String::new(),
        other => other.to_string(),
    }
}

/// The number that a text is, or the text.
pub(super) fn number(text: &str) -> Json {
    let number = serde_json::from_str::<serde_json::Number>(text);
    number.map_or_else(|_| Json::from(text), Json::from)
}

//----------- Pages ----------------------------------------------------------

/// The form: empty, of an example, or of a template.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    let words = words(visit.lang);
    let Some(handle) = visit.asked("handle") else {
        let example = visit.asked("example");
        let example = example.and_then(|name| examples::definition(name, visit.lang));
        let mut draft = Draft::of_definition(&example.unwrap_or_default());
        if draft.rows.is_empty() {
            draft.arrange("add");
        }
        return page(visit, &draft, None, None);
    };
    match visit.get(&of_template(handle)).await {
        Ok(told) => match told.json["state"].as_str() {
            Some(state @ ("published" | "disabled")) => fixed(visit, handle, state),
            _ => {
                let draft = Draft::of_definition(&told.json["definition"]);
                page(visit, &draft, Some(handle), None)
            }
        },
        Err(trouble) => {
            let content =
                html! { (head(words.change, "", None)) (frame::trouble(visit, &trouble)) };
            frame::page(visit, Tab::Templates, words.change, &content)
        }
    }
}

/// Why a template cannot be changed as it is, and the next step.
fn fixed(visit: &Visit<'_>, handle: &str, state: &str) -> Response {
    let words = words(visit.lang);
    let is_published = state == "published";
    let (title, text) = match is_published {
        true => (words.is_published, words.is_published_text),
        false => (words.is_disabled, words.is_disabled_text),
    };
    let content = html! {
        (head(words.change, "", None))
        p class="tags" { a class="handle hint" href=(place("/template", &[("handle", handle)])) {
            (handle)
        } }
        div class="notice warn" {
            p class="notice-title" { (title) }
            p { (text) }
        }
        form class="actions" method="post" action="/template" {
            (frame::token(visit))
            input type="hidden" name="handle" value=(handle);
            input type="hidden" name="then" value="edit";
            @if is_published {
                button type="submit" class="button strong" name="action" value="withdraw" {
                    (words.withdraw)
                }
            }
            a class="button" href=(place("/template", &[("handle", handle)])) { (words.back) }
        }
    };
    frame::page(visit, Tab::Templates, words.change, &content)
}

/// Arranges the form, or saves what it says.
pub(super) async fn save(visit: &Visit<'_>) -> Response {
    let mut draft = Draft::of_form(&visit.form);
    let handle = visit.field("handle");
    let order = visit.field("do").unwrap_or("save");
    if !order.starts_with("save") {
        draft.arrange(order);
        return page(visit, &draft, handle, None);
    }
    let definition = draft.definition();
    let sent = match handle {
        Some(handle) => {
            let body = json!({"definition": definition});
            visit.send(Method::PUT, &of_template(handle), &body).await
        }
        None => {
            let mut body = json!({"prefix": visit.field("prefix"), "definition": definition});
            if let Some(code) = visit.field("code") {
                body["code"] = Json::from(code);
            }
            visit.send(Method::POST, "/api/v2/templates", &body).await
        }
    };
    let made = match sent {
        Ok(told) => told.json["handle"].as_str().unwrap_or_default().to_owned(),
        Err(trouble) => return page(visit, &draft, handle, Some(&trouble)),
    };
    let there = place("/template", &[("handle", &made)]);
    if order == "save-publish" {
        let body = json!({"action": "publish"});
        if let Err(trouble) = visit.send(Method::POST, &of_template(&made), &body).await {
            return page(visit, &draft, Some(&made), Some(&trouble));
        }
    }
    lead(&there)
}

fn page(
    visit: &Visit<'_>,
    draft: &Draft,
    handle: Option<&str>,
    trouble: Option<&Trouble>,
) -> Response {
    let words = words(visit.lang);
    let title = if handle.is_some() {
        words.change
    } else {
        words.new
    };
    let cancel = match handle {
        Some(handle) => place("/template", &[("handle", handle)]),
        None => "/templates".to_owned(),
    };
    let content = html! {
        (head(title, words.lead, None))
        @if let Some(trouble) = trouble { (frame::trouble(visit, trouble)) }
        @if handle.is_none() { (samples(visit)) }
        form class="fields designer" method="post" action="/template/edit" {
            (frame::token(visit))
            // The first button is what the Enter key presses.
            button type="submit" name="do" value="save" class="hidden" tabindex="-1"
                aria-hidden="true" { (words.save) }
            @if let Some(handle) = handle { input type="hidden" name="handle" value=(handle); }
            (about(visit, draft, handle, trouble))
            @for at in 0..draft.rows.len() { (block(visit, draft, at, trouble)) }
            p { button type="submit" class="button" name="do" value="add" { (words.add) } }
            div class="actions" {
                button type="submit" class="button strong" name="do" value="save" {
                    (if handle.is_some() { words.save_change } else { words.save })
                }
                button type="submit" class="button" name="do" value="save-publish" {
                    (words.publish_too)
                }
                a class="button" href=(cancel) { (words.cancel) }
            }
        }
    };
    frame::page(visit, Tab::Templates, title, &content)
}

fn samples(visit: &Visit<'_>) -> Markup {
    html! {
        p class="actions" {
            span class="hint" { (words(visit.lang).begin) }
            @for (name, (en, zh), _) in EXAMPLES {
                a class="button small" href=(place("/template/edit", &[("example", name)])) {
                    (visit.lang.pick(en, zh))
                }
            }
        }
    }
}

fn about(
    visit: &Visit<'_>,
    draft: &Draft,
    handle: Option<&str>,
    trouble: Option<&Trouble>,
) -> Markup {
    let words = words(visit.lang);
    let fault = |name: &str| trouble.and_then(|trouble| trouble.of(name));
    let prefixes = prefixes(visit);
    let prefix = visit.field("prefix").or_else(|| visit.asked("prefix"));
    let inputs = [
        ("industry", words.industry, words.industry_hint),
        ("standard", words.standard, ""),
        ("category", words.category, ""),
        ("suffix", words.suffix, words.suffix_hint),
    ];
    html! {
        fieldset class="card" {
            legend { (words.about) }
            div class="side" {
                (input("title", words.title, &draft.part("title"), "", fault("title"), true))
                @if handle.is_none() {
                    label {
                        span { (words.prefix) }
                        (prefix_choice(&prefixes, prefix.unwrap_or_default()))
                    }
                    (input("code", words.code, visit.field("code").unwrap_or_default(),
                        words.code_hint, fault("code"), false))
                }
            }
            label {
                span { (words.description) }
                textarea name="description" rows="2" { (draft.part("description")) }
            }
            div class="side" {
                @for (name, word, hint) in inputs {
                    (input(name, word, &draft.part(name), hint, fault(name), false))
                }
            }
        }
    }
}

/// One line of text with its label, a hint, and what is wrong with it.
pub(super) fn input(
    name: &str,
    word: &str,
    value: &str,
    hint: &str,
    fault: Option<&str>,
    is_required: bool,
) -> Markup {
    html! {
        label {
            span { (word) @if is_required { " " span class="must" aria-hidden="true" { "*" } } }
            input name=(name) value=(value) required[is_required] spellcheck="false"
                aria-invalid=[fault.map(|_| "true")];
            @if let Some(fault) = fault { span class="fault" lang="en" { (fault) } }
            @if !hint.is_empty() { span class="hint" { (hint) } }
        }
    }
}

fn block(visit: &Visit<'_>, draft: &Draft, at: usize, trouble: Option<&Trouble>) -> Markup {
    let words = words(visit.lang);
    let row = &draft.rows[at];
    let of = |name: &str| row.get(name).map(text).unwrap_or_default();
    let (kind, readers) = (of("type"), of("readers"));
    let place = format!("fields[{at}].");
    let faults: Vec<&(String, String)> = trouble.map_or(Vec::new(), |trouble| {
        trouble
            .fields
            .iter()
            .filter(|(field, _)| field.starts_with(&place))
            .collect()
    });
    html! {
        fieldset class="card block" id={ "field-" (at) } data-kind=(kind) {
            legend { (words.field) " " (at + 1) }
            input type="hidden" name="row" value=(at);
            input type="hidden" name={ "index." (at) } value=(of("index"));
            input type="hidden" name={ "description." (at) } value=(of("description"));
            @for (field, message) in faults {
                p class="fault" {
                    code { (field.trim_start_matches(&place)) } " "
                    span lang="en" { (message) }
                }
            }
            div class="side" {
                (input(&format!("name.{at}"), words.name, &of("name"), "", None, true))
                (input(&format!("label.{at}"), words.label, &of("label"), "", None, false))
                label {
                    span { (words.kind) }
                    select name={ "type." (at) } data-kind-choice {
                        @for name in KINDS {
                            option value=(name) selected[*name == kind] {
                                (kind_word(name, visit.lang))
                            }
                        }
                    }
                }
                label {
                    span { (words.readers) }
                    select name={ "readers." (at) } {
                        option value="administrators" { (words.administrators) }
                        option value="everybody" selected[readers == "everybody"] {
                            (words.everybody)
                        }
                    }
                }
            }
            (flags(row, at, words))
            details open[limits_of(&kind).iter().any(|name| !of(name).is_empty())] {
                summary { (words.limits) }
                (limits(row, at, visit.lang))
            }
            (moves(at, draft.rows.len(), words))
        }
    }
}

/// What a field is besides its type.
fn flags(row: &Row, at: usize, words: &Words) -> Markup {
    let flags = [
        ("required", words.required),
        ("unique", words.unique),
        ("searchable", words.searchable),
        ("disabled", words.disabled),
    ];
    html! {
        div class="actions" {
            @for (name, word) in flags {
                label class="check" {
                    input type="checkbox" name={ (name) "." (at) } value="true"
                        checked[row.get(name).is_some_and(|flag| text(flag) == "true")];
                    span { (word) }
                }
            }
        }
    }
}

fn moves(at: usize, rows: usize, words: &Words) -> Markup {
    html! {
        div class="actions" {
            @if at > 0 {
                button type="submit" class="button small" name="do" value={ "up." (at) } {
                    (words.up)
                }
            }
            @if at + 1 < rows {
                button type="submit" class="button small" name="do" value={ "down." (at) } {
                    (words.down)
                }
            }
            button type="submit" class="button small danger" name="do" value={ "remove." (at) } {
                (words.remove) span class="hidden" { " " (at + 1) }
            }
        }
    }
}

/// What people call a constraint; `None` if they need not know of it.
pub(super) fn limit_word(name: &str, lang: Lang) -> Option<&'static str> {
    let words = words(lang);
    Some(match name {
        "lengthMin" => words.length_min,
        "lengthMax" => words.length_max,
        "pattern" => words.pattern,
        "decimals" => words.decimals,
        "minimum" => words.minimum,
        "maximum" => words.maximum,
        "template" => words.template,
        "countMax" => words.count_max,
        "suffixes" => words.suffixes,
        "precision" => words.precision,
        _ => return None,
    })
}

/// The constraints of every type; the script leaves those of the chosen one.
fn limits(row: &Row, at: usize, lang: Lang) -> Markup {
    let words = words(lang);
    let of = |name: &str| row.get(name).map(text).unwrap_or_default();
    let word = |name: &str| limit_word(name, lang).unwrap_or_default();
    let groups: [(&str, &[&str]); 4] = [
        ("text", limits_of("text")),
        ("number", limits_of("number")),
        ("reference", &["template"]),
        ("reference file image audio video", &["countMax"]),
    ];
    html! {
        div class="side limits" {
            @for (kinds, names) in groups {
                @for name in names {
                    div class="limit" data-kinds=(kinds) {
                        (input(&format!("{name}.{at}"), word(name), &of(name), "", None, false))
                    }
                }
            }
            div class="limit" data-kinds="file image audio video" {
                (input(&format!("suffixes.{at}"), words.suffixes, &of("suffixes"), "", None, false))
            }
            label class="limit" data-kinds="date" {
                span { (words.precision) }
                select name={ "precision." (at) } {
                    option value="" { (words.day) }
                    option value="moment" selected[of("precision") == "moment"] { (words.moment) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_survives_the_form() {
        for (name, ..) in EXAMPLES {
            let definition = examples::definition(name, Lang::En).unwrap();
            let again = Draft::of_definition(&definition).definition();
            assert_eq!(again, definition);
        }
    }

    #[test]
    fn blocks_are_arranged_and_nonsense_changes_nothing() {
        let name = |name: &str| Row::from_iter([("name".to_owned(), Json::from(name))]);
        let mut draft = Draft {
            rows: vec![name("a"), name("b"), name("c")],
            ..Draft::default()
        };
        let names = |draft: &Draft| {
            draft
                .rows
                .iter()
                .map(|row| text(&row["name"]))
                .collect::<String>()
        };
        draft.arrange("up.2");
        assert_eq!(names(&draft), "acb");
        draft.arrange("down.0");
        assert_eq!(names(&draft), "cab");
        draft.arrange("remove.1");
        assert_eq!(names(&draft), "cb");
        for order in [
            "up.0", "down.1", "up.9", "remove.9", "down.", "x", "", "up.-1",
        ] {
            draft.arrange(order);
            assert_eq!(names(&draft), "cb", "{order}");
        }
        for _ in 0..ROWS_MAX + 3 {
            draft.arrange("add");
        }
        assert_eq!(draft.rows.len(), ROWS_MAX);
    }

    #[test]
    fn constraints_of_another_type_are_left_out() {
        let form = Params::parse(
            "title=x&row=0&name.0=n&type.0=number&lengthMax.0=5&decimals.0=2&minimum.0=0.5\
             &maximum.0=many&required.0=true",
        );
        let definition = Draft::of_form(&form.unwrap()).definition();
        let kind = &definition["fields"][0]["kind"];
        assert_eq!(
            *kind,
            json!({"type": "number", "decimals": 2, "minimum": 0.5, "maximum": "many"})
        );
        assert_eq!(definition["fields"][0]["required"], true);
    }
}
