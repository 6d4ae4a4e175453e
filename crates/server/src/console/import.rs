//! Many registrations from a file: sent, checked or made in the background, with a list of the rows
//! that were refused. The work is that of `/api/v2/jobs`.

use axum::Json as AsJson;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::frame::{self, Tab, head};
use super::registrations::fields;
use super::visit::{Told, Trouble, UPLOAD_LEN_MAX, Visit, lead, of_template, place};
use crate::http::page::{Lang, number};
use crate::http::path::in_query;

const JOBS: &str = "/api/v2/jobs";

super::words::words! {
    title: "Import", "批量导入";
    lead: "Many registrations from a CSV or JSON Lines file. Check it first: then nothing is \
        written.",
        "从 CSV 或 JSON Lines 文件批量注册。可先校验，校验不会写入任何内容。";
    template: "Template", "模板";
    mode: "What is done", "方式";
    create: "register; refuse what is there", "新建，已存在则拒绝";
    replace: "write over what is there", "整体覆盖已有记录";
    merge: "change the fields that are given", "仅修改给出的字段";
    check: "Check only, write nothing", "仅校验，不写入";
    file: "File", "文件";
    file_hint: "CSV with a line of names, or JSON Lines; up to 16 MiB here, more through the API",
        "带列名的 CSV 或 JSON Lines；此处最大 16 MiB，更大请用 API";
    paste: "Or paste the rows", "或粘贴内容";
    csv: "CSV", "CSV";
    lines: "JSON Lines", "JSON Lines";
    form: "Format", "格式";
    names: "Names of the columns", "列名";
    send: "Begin", "开始";
    sending: "Sending…", "正在上传…";
    jobs: "Your imports", "您的导入任务";
    none: "None yet.", "暂无任务。";
    job: "Import", "导入任务";
    rows: "rows looked at", "已处理";
    done: "made or changed", "成功";
    right: "right", "校验通过";
    refused: "refused", "拒绝";
    started: "Begun", "开始于";
    errors_csv: "Rows that were refused (CSV)", "下载错误清单（CSV）";
    errors_lines: "The same as JSON Lines", "下载错误清单（JSON Lines）";
    cancel: "Cancel", "取消任务";
    resume: "Go on", "继续";
    again: "Look again", "刷新";
    all: "Another file", "导入其他文件";
    checked: "checked only", "仅校验";
    waiting: "waiting", "等待中";
    running: "under way", "进行中";
    ended: "done", "已完成";
    failed: "failed", "失败";
    cancelled: "cancelled", "已取消";
    interrupted: "interrupted by a stop of the node", "因节点停止而中断";
    nothing: "There is nothing to import: choose a file, or paste rows.", "没有内容：请选择文件或粘贴数据。";
}

//----------- Sending --------------------------------------------------------

/// The form with the jobs of the viewer, or one job.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    match visit.asked("job") {
        Some(id) => one(visit, id, None).await,
        None => page(visit, None).await,
    }
}

/// Begins an import, cancels or resumes one.
pub(super) async fn act(visit: &Visit<'_>) -> Response {
    if let Some(id) = visit.field("job") {
        let body = json!({"action": visit.field("do")});
        let target = format!("{JOBS}/{}", in_query(id));
        return match visit.send(Method::POST, &target, &body).await {
            Ok(_) => lead(&place("/import", &[("job", id)])),
            Err(trouble) => one(visit, id, Some(&trouble)).await,
        };
    }
    let is_script = !visit.body.is_empty();
    let sent = match is_script {
        true => begin(visit, &visit.query, visit.body.to_vec()).await,
        false => {
            let rows = visit.form.first("rows").unwrap_or_default();
            begin(visit, &visit.form, rows.as_bytes().to_vec()).await
        }
    };
    match (sent, is_script) {
        (Ok(told), _) => {
            let id = told.json["id"].as_str().unwrap_or_default();
            let there = place("/import", &[("job", id)]);
            match is_script {
                true => AsJson(json!({"place": there})).into_response(),
                false => lead(&there),
            }
        }
        (Err(trouble), true) => {
            let body = json!({"message": trouble.message});
            (StatusCode::UNPROCESSABLE_ENTITY, AsJson(body)).into_response()
        }
        (Err(trouble), false) => page(visit, Some(&trouble)).await,
    }
}

async fn begin(
    visit: &Visit<'_>,
    said: &crate::http::Params,
    rows: Vec<u8>,
) -> Result<Told, Trouble> {
    if rows.iter().all(u8::is_ascii_whitespace) {
        return Err(Trouble::new(words(visit.lang).nothing));
    }
    let of = |name: &str| said.first(name).unwrap_or_default().trim();
    let kind = match of("format") {
        "jsonl" => "application/jsonl",
        _ => "text/csv",
    };
    let dry_run = if said.is_set("dryRun") { "&dryRun" } else { "" };
    let target = format!(
        "{JOBS}/import?template={}&mode={}{dry_run}",
        in_query(of("template")),
        in_query(if of("mode").is_empty() {
            "create"
        } else {
            of("mode")
        }),
    );
    visit.send_octets(&target, kind, rows).await
}

//----------- Pages ----------------------------------------------------------

async fn page(visit: &Visit<'_>, trouble: Option<&Trouble>) -> Response {
    let words = words(visit.lang);
    let template = visit.field("template").or_else(|| visit.asked("template"));
    let columns = match template {
        Some(handle) => columns(visit, handle).await,
        None => String::new(),
    };
    let content = html! {
        (head(words.title, words.lead, None))
        @if let Some(trouble) = trouble { (frame::trouble(visit, trouble)) }
        (form(visit, template.unwrap_or_default(), &columns))
        section class="card" aria-labelledby="jobs" {
            h2 id="jobs" { (words.jobs) }
            (jobs(visit).await)
        }
    };
    frame::page(visit, Tab::Import, words.title, &content)
}

/// The line of names that a table for this template has.
async fn columns(visit: &Visit<'_>, handle: &str) -> String {
    let Ok(told) = visit.get(&of_template(handle)).await else {
        return String::new();
    };
    let fields = fields(&told.json["definition"]).iter();
    let names = fields.filter(|field| field["disabled"] != true);
    let names = names.filter_map(|field| field["name"].as_str());
    ["handle"]
        .into_iter()
        .chain(names)
        .collect::<Vec<_>>()
        .join(",")
}

fn form(visit: &Visit<'_>, template: &str, columns: &str) -> Markup {
    let words = words(visit.lang);
    let modes = [
        ("create", words.create),
        ("replace", words.replace),
        ("merge", words.merge),
    ];
    let rows = visit.form.first("rows").unwrap_or_default();
    html! {
        form class="card fields" method="post" action="/import" id="import"
            data-sending=(words.sending) data-most=(UPLOAD_LEN_MAX) {
            (frame::token(visit))
            div class="side" {
                label {
                    span { (words.template) " " span class="must" aria-hidden="true" { "*" } }
                    input name="template" value=(template) required spellcheck="false"
                        placeholder="88.118.5/META_battery";
                }
                label {
                    span { (words.mode) }
                    select name="mode" {
                        @for (mode, word) in modes {
                            option value=(mode) selected[visit.field("mode") == Some(mode)] {
                                (word)
                            }
                        }
                    }
                }
                label {
                    span { (words.form) }
                    select name="format" {
                        option value="csv" { (words.csv) }
                        option value="jsonl" selected[visit.field("format") == Some("jsonl")] {
                            (words.lines)
                        }
                    }
                }
            }
            label class="check" {
                input type="checkbox" name="dryRun" value="true"
                    checked[visit.form.is_set("dryRun")];
                span { (words.check) }
            }
            @if !columns.is_empty() {
                p class="hint" { (words.names) ": " code { (columns) } }
            }
            label hidden {
                span { (words.file) }
                input type="file" accept=".csv,.jsonl,.ndjson,text/csv,application/jsonl";
                span class="hint" { (words.file_hint) }
            }
            label {
                span { (words.paste) }
                textarea class="code" name="rows" rows="6" spellcheck="false"
                    placeholder=(columns) { (rows) }
            }
            p class="fault" role="alert" {}
            p { button type="submit" class="button strong" { (words.send) } }
        }
    }
}

async fn jobs(visit: &Visit<'_>) -> Markup {
    let words = words(visit.lang);
    let told = match visit.get(JOBS).await {
        Ok(told) => told.json,
        Err(trouble) => return frame::trouble(visit, &trouble),
    };
    let jobs = told["jobs"].as_array().map_or(&[][..], Vec::as_slice);
    html! {
        @if jobs.is_empty() { p class="hint" { (words.none) } }
        ul class="list bare" {
            @for job in jobs {
                @let id = job["id"].as_str().unwrap_or_default();
                li {
                    a class="list-title" href=(place("/import", &[("job", id)])) { (id) }
                    (state(job, visit.lang))
                    span class="hint" { (counts(job, words)) }
                    span class="hint handle" { (job["template"].as_str().unwrap_or_default()) }
                }
            }
        }
    }
}

fn state(job: &Json, lang: Lang) -> Markup {
    let words = words(lang);
    let (class, word) = match job["state"].as_str() {
        Some("waiting") => ("", words.waiting),
        Some("running") => ("", words.running),
        Some("done") => ("good", words.ended),
        Some("cancelled") => ("warn", words.cancelled),
        Some("interrupted") => ("warn", words.interrupted),
        _ => ("bad", words.failed),
    };
    html! {
        span class={ "tag " (class) } { (word) }
        @if job["dryRun"] == true { " " span class="tag" { (words.checked) } }
    }
}

fn counts(job: &Json, words: &Words) -> String {
    let of = |name: &str| number::count(job[name].as_u64().unwrap_or(0));
    let done = if job["dryRun"] == true {
        words.right
    } else {
        words.done
    };
    format!(
        "{} {} · {} {done} · {} {}",
        of("rows"),
        words.rows,
        of("done"),
        of("refused"),
        words.refused
    )
}

fn is_under_way(job: &Json) -> bool {
    matches!(job["state"].as_str(), Some("waiting" | "running"))
}

async fn one(visit: &Visit<'_>, id: &str, trouble: Option<&Trouble>) -> Response {
    let words = words(visit.lang);
    let told = visit.get(&format!("{JOBS}/{}", in_query(id))).await;
    let content = html! {
        (head(words.job, id, None))
        @if let Some(trouble) = trouble { (frame::trouble(visit, trouble)) }
        @match &told {
            Ok(told) => (report(visit, id, &told.json)),
            Err(trouble) => (frame::trouble(visit, trouble)),
        }
        p { a href="/import" { (words.all) } }
    };
    frame::page(visit, Tab::Import, words.job, &content)
}

fn report(visit: &Visit<'_>, id: &str, job: &Json) -> Markup {
    let words = words(visit.lang);
    let here = place("/import", &[("job", id)]);
    let errors = |form| place("/import/errors", &[("job", id), ("format", form)]);
    let started = job["startedMs"]
        .as_i64()
        .map(|at| at / 1_000)
        .and_then(number::moment);
    let template = job["template"].as_str().unwrap_or_default();
    html! {
        // The script looks again by itself as long as the import is under way.
        section class="card stack" data-again=[is_under_way(job).then_some(here.as_str())] {
            p { (state(job, visit.lang)) }
            p role="status" { (counts(job, words)) }
            dl class="facts" {
                div {
                    dt { (words.template) }
                    dd {
                        a class="handle" href=(place("/registrations", &[("template", template)])) {
                            (template)
                        }
                    }
                }
                @if let Some(started) = started { div { dt { (words.started) } dd { (started) } } }
            }
            @if let Some(detail) = job["detail"].as_str() {
                p class="notice bad" lang="en" { (detail) }
            }
            @if job["refused"].as_u64().unwrap_or(0) > 0 {
                p class="actions" {
                    a class="button" href=(errors("csv")) download { (words.errors_csv) }
                    a class="button" href=(errors("jsonl")) download { (words.errors_lines) }
                }
            }
            form class="actions" method="post" action="/import" {
                (frame::token(visit))
                input type="hidden" name="job" value=(id);
                @if is_under_way(job) {
                    a class="button" href=(here) { (words.again) }
                    button type="submit" class="button danger" name="do" value="cancel" {
                        (words.cancel)
                    }
                } @else if job["state"] == "interrupted" {
                    button type="submit" class="button strong" name="do" value="resume" {
                        (words.resume)
                    }
                }
            }
        }
    }
}

/// The rows that were refused, as a file.
pub(super) async fn errors(visit: &Visit<'_>) -> Response {
    let id = visit.asked("job").unwrap_or_default();
    let (form, kind) = match visit.asked("format") {
        Some("jsonl") => ("jsonl", "application/jsonl"),
        _ => ("csv", "text/csv;charset=UTF-8"),
    };
    match visit
        .get(&format!("{JOBS}/{}/errors?format={form}", in_query(id)))
        .await
    {
        Ok(told) => {
            let name = format!("attachment; filename=\"refused.{form}\"");
            let headers = [(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, name)];
            (headers, told.octets).into_response()
        }
        Err(trouble) => one(visit, id, Some(&trouble)).await,
    }
}
