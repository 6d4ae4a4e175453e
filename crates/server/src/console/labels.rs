//! Labels for things, a sheet of A4 for the printer of the browser: codes with their identifiers.

use axum::response::Response;
use maud::{Markup, html};

use super::code::{Code, address};
use super::frame::{self, Tab, head};
use super::templates::texts;
use super::visit::{Trouble, Visit, place};
use crate::http::path::in_query;

/// Labels of a sheet that is made at once.
const LABELS_MAX: usize = 200;

super::words::words! {
    title: "Labels", "标签";
    lead: "Codes for things, a sheet of A4 for the printer of your browser.",
        "为实物打印编码标签，按 A4 纸排版，由浏览器打印。";
    handles: "Identifiers", "标识";
    handles_hint: "one in each line", "每行一个";
    code: "Code", "码制";
    qr: "QR code", "二维码";
    matrix: "Data Matrix", "Data Matrix 码";
    holds: "What it holds", "编码内容";
    address: "the address of the record", "记录网址";
    identifier: "the identifier alone", "仅标识";
    columns: "In a row", "每行个数";
    make: "Make the sheet", "生成标签";
    print: "Print it with Ctrl+P, or ⌘P. Only the labels go onto the paper.",
        "按 Ctrl+P 或 ⌘P 打印，纸上仅有标签。";
    sheet: "Sheet", "标签页";
    more: "The next labels", "后续标签";
    too_long: "too long for a code", "内容过长，无法编码";
    most: "The limit of a sheet was reached; labels behind it were left out.",
        "已达单次上限，其余标签未生成。";
}

/// What goes onto the labels: what was asked for, and where the next sheet begins.
#[derive(Debug, Default)]
struct Sheet {
    handles: Vec<String>,
    next: Option<String>,
    is_cut: bool,
}

async fn sheet(visit: &Visit<'_>) -> Result<Sheet, Trouble> {
    let mut sheet = Sheet::default();
    if let Some(template) = visit.asked("template") {
        let after = visit
            .asked("after")
            .map(|after| format!("&after={}", in_query(after)));
        let target = format!(
            "/api/v2/registrations?template={}&limit={LABELS_MAX}{}",
            in_query(template),
            after.unwrap_or_default()
        );
        let told = visit.get(&target).await?;
        sheet.handles = texts(&told.json["handles"])
            .into_iter()
            .map(str::to_owned)
            .collect();
        sheet.next = told.json["next"].as_str().map(str::to_owned);
        return Ok(sheet);
    }
    let lines = visit
        .query
        .all("handle")
        .flat_map(str::lines)
        .map(str::trim);
    let mut lines = lines.filter(|line| !line.is_empty());
    sheet.handles = lines.by_ref().take(LABELS_MAX).map(str::to_owned).collect();
    sheet.is_cut = lines.next().is_some();
    Ok(sheet)
}

/// The form, and the sheet below it.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    let words = words(visit.lang);
    let content = html! {
        (head(words.title, words.lead, None))
        @match sheet(visit).await {
            Ok(sheet) => {
                (form(visit, &sheet))
                @if sheet.is_cut { p class="notice warn no-print" { (words.most) } }
                @if !sheet.handles.is_empty() { (labels(visit, &sheet)) }
            }
            Err(trouble) => (frame::trouble(visit, &trouble)),
        }
    };
    frame::page(visit, Tab::Labels, words.title, &content)
}

fn form(visit: &Visit<'_>, sheet: &Sheet) -> Markup {
    let words = words(visit.lang);
    let template = visit.asked("template");
    let codes = [
        (Code::Qr.name(), words.qr),
        (Code::DataMatrix.name(), words.matrix),
    ];
    html! {
        form class="card fields no-print" method="get" action="/labels" {
            @match template {
                Some(template) => input type="hidden" name="template" value=(template);,
                None => label {
                    span { (words.handles) }
                    textarea class="code" name="handle" rows="4" required spellcheck="false" {
                        (sheet.handles.join("\n"))
                    }
                    span class="hint" { (words.handles_hint) }
                }
            }
            div class="side" {
                (choice("code", words.code, visit, &codes))
                (choice("holds", words.holds, visit,
                    &[("address", words.address), ("identifier", words.identifier)]))
                (choice("columns", words.columns, visit,
                    &[("3", "3"), ("2", "2"), ("4", "4"), ("5", "5")]))
            }
            p { button type="submit" class="button strong" { (words.make) } }
        }
    }
}

fn choice(name: &str, word: &str, visit: &Visit<'_>, options: &[(&str, &str)]) -> Markup {
    html! {
        label {
            span { (word) }
            select name=(name) {
                @for (value, word) in options {
                    option value=(value) selected[visit.asked(name) == Some(value)] { (word) }
                }
            }
        }
    }
}

fn labels(visit: &Visit<'_>, sheet: &Sheet) -> Markup {
    let words = words(visit.lang);
    let code = Code::of(visit.asked("code"));
    let is_bare = visit.asked("holds") == Some("identifier");
    let columns = visit.asked("columns");
    let columns = columns.filter(|columns| matches!(*columns, "2" | "4" | "5"));
    let columns = columns.unwrap_or("3");
    let more = sheet.next.as_deref().map(|next| {
        let kept = ["template", "code", "holds", "columns"].map(|name| (name, visit.asked(name)));
        let kept = kept
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let pairs: Vec<(&str, &str)> = kept.chain([("after", next)]).collect();
        place("/labels", &pairs)
    });
    html! {
        p class="hint no-print" { (words.print) }
        section aria-label=(words.sheet) {
            ul class={ "labels in-" (columns) } {
                @for handle in &sheet.handles {
                    @let address = address(visit, handle).filter(|_| !is_bare);
                    li {
                        @match code.draw(address.as_deref().unwrap_or(handle), handle) {
                            Some(drawn) => (drawn),
                            None => p class="hint" { (words.too_long) },
                        }
                        p class="handle" { (handle) }
                    }
                }
            }
        }
        @if let Some(more) = more {
            p class="no-print" { a class="button" href=(more) { (words.more) } }
        }
    }
}
