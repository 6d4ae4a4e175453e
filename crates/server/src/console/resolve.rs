//! What an identifier stands for, and the way through the network to it.

use axum::response::Response;
use guantong_core::resolve::{Hop, HopResult, Question, Trace, TraceWanted, Why};
use guantong_proto::Handle;
use guantong_proto::message::ResponseCode;
use maud::{Markup, html};

use super::frame::{self, Tab, head};
use super::record::{self, Shown};
use super::visit::{Visit, place};
use crate::http::path;

super::words::words! {
    title: "Resolve", "标识解析";
    lead: "Type or paste an identifier or the address in a code, or scan it: with the camera, or \
        from a photo.",
        "输入或粘贴标识、码中的网址，也可用摄像头或照片扫码。";
    label: "Identifier", "标识";
    hint: "for example 88.118.5/SN20260001", "例如 88.118.5/SN20260001";
    submit: "Resolve", "解析";
    scan: "Scan a code", "扫码";
    scan_stop: "Stop the camera", "关闭摄像头";
    scan_aim: "Aim the camera at a QR or Data Matrix code.", "请将摄像头对准二维码或 Data Matrix 码。";
    scan_denied: "The browser does not let this page use the camera. Allow it in the settings of the \
        page, beside its address, and try again. Or choose a photo.",
        "浏览器未允许本页面使用摄像头。请在地址栏旁的网站设置中允许后重试，或选择照片。";
    scan_none: "There is no camera. Connect one and try again, or choose a photo.",
        "未找到摄像头。请连接后重试，或选择照片。";
    scan_taken: "Another program is using the camera. Close it and try again, or choose a photo.",
        "摄像头正被其他程序占用。请关闭该程序后重试，或选择照片。";
    scan_clear: "Browsers give the camera only to pages that came by https, or from this machine \
        itself. Choose a photo instead.",
        "浏览器仅允许通过 https 或本机打开的页面使用摄像头。请改为选择照片。";
    photo: "Choose a photo", "选择照片";
    photo_drop: "A photo may also be dropped here.", "也可将照片拖放到此处。";
    photo_wait: "Looking for a code in the photo…", "正在识别照片中的码…";
    photo_none: "No QR or Data Matrix code was found in the photo. The whole code must be in it, sharp, \
        with a light margin around it.",
        "照片中未识别到二维码或 Data Matrix 码。请确保码完整、清晰，四周留有浅色空白。";
    photo_not: "This file is no picture that the browser can show. Choose a PNG or JPEG.",
        "浏览器无法打开该图片。请选择 PNG 或 JPEG 图片。";
    scan_failed: "The node did not read the picture", "节点未能识别图片";
    no_handle: "That is no identifier", "这不是有效的标识";
    found: "What it stands for", "解析结果";
    way: "The way to it", "解析路径";
    way_here: "This node answers for the prefix itself: nobody else was asked.",
        "本节点托管该前缀，直接应答，未询问他处。";
    way_none: "This node does not resolve names of others for you. recurse.allow and recurse.root \
        in its settings say for whom it does.",
        "本节点不为您解析他处的标识，见配置项 recurse.allow 与 recurse.root。";
    asked_in: "asked in all", "全程耗时";
    you: "You", "您";
    this_node: "This node", "本节点";
    homed: "answers from its own store", "由本地存储应答";
    root: "Root", "根节点";
    by_prefix: "named by the prefix record", "由前缀记录指出";
    by_service: "named by the service handle", "由服务标识指出";
    by_referral: "referred to by the one before", "由上一节点转介";
    by_hint: "known from an earlier referral below", "由此前的转介得知";
    cached: "Cache of this node", "本节点缓存";
    stale: "cached, past its time", "缓存已过期";
    answered: "answered", "已应答";
    not_there: "not there", "不存在";
    refers: "knows who knows", "转介";
    silent: "no answer", "无应答";
    unsound: "an answer that cannot be believed", "应答不可信";
    abandoned: "another one was faster", "其他服务器更快";
    values: "values", "个值";
    signed: "signature right", "签名有效";
    octets: "octets", "字节";
}

/// The page.
pub(super) async fn show(visit: &Visit<'_>) -> Response {
    let words = words(visit.lang);
    let asked = visit.asked("handle");
    let result = match asked {
        Some(text) => result(visit, text).await,
        None => html! {},
    };
    let content = html! {
        (head(words.title, words.lead, None))
        form class="card fields" action="/resolve" method="get" {
            label {
                span { (words.label) }
                input type="search" name="handle" id="handle" value=(asked.unwrap_or_default())
                    maxlength="2048" required autocapitalize="off" autocomplete="off"
                    spellcheck="false" placeholder=(words.hint);
            }
            (scanner(visit))
        }
        (result)
    };
    frame::page(visit, Tab::Resolve, asked.unwrap_or(words.title), &content)
}

/// What leads from a code to its text: the camera, or a photo. The script shows what it can do.
fn scanner(visit: &Visit<'_>) -> Markup {
    let words = words(visit.lang);
    html! {
        div class="actions" {
            button type="submit" class="button strong" { (words.submit) }
            button type="button" class="button" id="scan" hidden { (words.scan) }
            button type="button" class="button" id="photo" hidden { (words.photo) }
            input type="file" id="photo-file" accept="image/*" hidden;
            span class="hint" id="photo-drop" hidden { (words.photo_drop) }
        }
        div id="scanner" data-token=(visit.token()) data-stop=(words.scan_stop)
            data-aim=(words.scan_aim) data-denied=(words.scan_denied) data-none=(words.scan_none)
            data-taken=(words.scan_taken) data-clear=(words.scan_clear)
            data-wait=(words.photo_wait) data-blank=(words.photo_none) data-not=(words.photo_not)
            data-failed=(words.scan_failed) {
            p class="hint" role="status" {}
            video muted playsinline hidden {}
        }
    }
}

async fn result(visit: &Visit<'_>, text: &str) -> Markup {
    let words = words(visit.lang);
    let handle = match named(text) {
        Ok(handle) => handle,
        Err(why) => {
            return html! {
                div class="notice bad" role="alert" {
                    p class="notice-title" { (words.no_handle) }
                    p lang="en" { (why) }
                }
            };
        }
    };
    let trace = trace(visit, &handle).await;
    let shown = record::fetch(visit, handle.as_str()).await;
    html! {
        section aria-labelledby="way" class="card" {
            h2 id="way" { (words.way) }
            (way(visit, &handle, trace.as_ref()))
        }
        section aria-labelledby="found" class="card" {
            div class="head" {
                h2 id="found" { (words.found) }
                @if let Ok(Shown { is_ours: true, .. }) = &shown {
                    a class="button small" href=(place("/record", &[("handle", handle.as_str())])) {
                        (record::to_record(visit.lang))
                    }
                }
            }
            @match &shown {
                Ok(shown) => (record::values(visit, handle.as_str(), shown)),
                Err(trouble) => (frame::trouble(visit, trouble)),
            }
        }
    }
}

/// The handle in what somebody typed, pasted or scanned: bare, with a lead such as `hdl:`, in the
/// address of a node, or at the end of the address of somebody else, such as a GS1 Digital Link.
fn named(text: &str) -> Result<Handle, String> {
    let text = text.trim();
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        let (head, rest) = text.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let found = match rest {
        Some(rest) => {
            let (_, path) = rest.split_once('/').unwrap_or_default();
            let path = path.split(['?', '#']).next().unwrap_or_default();
            path::proxied(path).map(|whole| ending(&whole).unwrap_or(whole))
        }
        // A handle may hold percent signs; only addresses are encoded.
        None => path::proxied(&text.replace('%', "%25")),
    };
    found.map_err(|error| error.to_string())
}

/// The handle at the end of a path whose beginning is none of this network's: its prefix is the
/// first segment that is numbers with dots between, as prefixes of the network are (`88.118.5`).
fn ending(whole: &Handle) -> Option<Handle> {
    let mut rest = whole.as_str();
    while !is_prefix(rest.split('/').next().unwrap_or_default()) {
        (_, rest) = rest.split_once('/')?;
    }
    // The prefix alone is no name in an address of others.
    let is_named = rest
        .split_once('/')
        .is_some_and(|(_, suffix)| !suffix.is_empty());
    is_named.then(|| Handle::parse(rest).ok()).flatten()
}

fn is_prefix(segment: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    segment.contains('.') && segment.split('.').all(is_number)
}

//----------- The way --------------------------------------------------------

/// How the resolver finds it; none if the name is ours, or not resolved for this viewer.
async fn trace(visit: &Visit<'_>, handle: &Handle) -> Option<Trace> {
    let node = visit.node;
    if is_ours(visit, handle) || !node.config().recurse.allows(visit.peer.ip()) {
        return None;
    }
    let question = Question::new(handle.clone());
    let answer = node.courier()?.resolve(question, TraceWanted::Yes).await;
    Some(answer.trace.unwrap_or_default())
}

/// Whether the node answers for it itself: for what is below a prefix that it homes, and for the
/// prefix.
fn is_ours(visit: &Visit<'_>, handle: &Handle) -> bool {
    let store = &visit.node.store;
    store.is_homed(handle.borrow()) || store.is_homed(handle.borrow().prefix_handle().borrow())
}

fn way(visit: &Visit<'_>, handle: &Handle, trace: Option<&Trace>) -> Markup {
    let words = words(visit.lang);
    let is_ours = is_ours(visit, handle);
    html! {
        ol class="way" {
            li class="hop" { p class="hop-name" { (words.you) } p class="hint" { (handle) } }
            li class="hop" {
                p class="hop-name" { (words.this_node) }
                p class="hint" {
                    (visit.node.config().name)
                    @if is_ours { " · " (words.homed) }
                }
            }
            @for found in trace.iter().flat_map(|trace| &trace.hops) { (hop(visit, found)) }
        }
        @match trace {
            Some(trace) => p class="hint" { (words.asked_in) ": " (trace.elapsed_ms) " ms" },
            None if is_ours => p class="hint" { (words.way_here) },
            None => p class="hint" { (words.way_none) },
        }
    }
}

fn hop(visit: &Visit<'_>, hop: &Hop) -> Markup {
    let words = words(visit.lang);
    let (class, result) = match &hop.result {
        HopResult::Code(code, _) if code.is_success() => ("good", words.answered),
        HopResult::Code(ResponseCode::SERVICE_REFERRAL | ResponseCode::PREFIX_REFERRAL, _) => {
            ("", words.refers)
        }
        HopResult::Code(ResponseCode::HANDLE_NOT_FOUND, _) => ("warn", words.not_there),
        HopResult::Code(..) | HopResult::Unsound(_) => ("bad", words.unsound),
        HopResult::Abandoned => ("", words.abandoned),
        _ => ("bad", words.silent),
    };
    let (name, why) = match &hop.why {
        Why::Root => (words.root, String::new()),
        Why::PrefixRecord(handle) => (words.by_prefix, handle.to_string()),
        Why::Service(handle) => (words.by_service, handle.to_string()),
        Why::Referral(_) => (words.by_referral, String::new()),
        Why::Hint(handle) => (words.by_hint, handle.to_string()),
        Why::Stale => (words.stale, String::new()),
        _ => (words.cached, String::new()),
    };
    html! {
        li class="hop" {
            p class="hop-name" {
                @if let Some(server) = &hop.server {
                    @if let Some(site) = &server.site { (site) " " }
                    span class="nowrap" {
                        (server.address) " " (server.protocol.name().unwrap_or("?"))
                    }
                } @else { (words.cached) }
            }
            // An answer from the cache has said so in its name, unless it is an old one.
            @if name != words.cached {
                p class="hint" { (name) " " span class="handle" { (why) } }
            }
            p { "→ " span class="handle" { (hop.handle) } }
            p {
                span class={ "tag " (class) } { (result) } " "
                @if hop.values > 0 { span class="hint" { (hop.values) " " (words.values) " " } }
                @if hop.verified { span class="tag good" { (words.signed) } " " }
                @if hop.server.is_some() {
                    span class="hint nowrap" {
                        (hop.elapsed_ms) " ms · " (hop.reply_len) " " (words.octets)
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_found_in_what_people_paste() {
        let cases = [
            (" 88.118.5/SN1 ", "88.118.5/SN1"),
            ("hdl:88.118.5/SN1", "88.118.5/SN1"),
            (
                "http://127.0.0.1:8000/88.118.5/SN1?noredirect",
                "88.118.5/SN1",
            ),
            ("HTTPS://id.example.org/88.118.5/a%20b#x", "88.118.5/a b"),
            ("https://hdl.handle.net/20.1000/1", "20.1000/1"),
            (
                "https://id.example/01/09506000134352/21/88.118.5%2FSN1",
                "88.118.5/SN1",
            ),
            (
                "https://maker.example/t/de/88.118.5/a/b?x=1",
                "88.118.5/a/b",
            ),
            ("https://id.example/01/09506000134352", "01/09506000134352"),
            ("https://id.example/0.NA/88.118.5", "0.NA/88.118.5"),
            ("88.118.5/100%", "88.118.5/100%"),
            ("88.118.5/a%20b", "88.118.5/a%20b"),
        ];
        for (text, handle) in cases {
            assert_eq!(named(text).unwrap().as_str(), handle, "{text}");
        }
        for bad in ["", "   ", "https://", "https://id.example.org/"] {
            assert!(named(bad).is_err(), "{bad}");
        }
    }
}
