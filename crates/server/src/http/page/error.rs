//! The page that says what went wrong, whose side it is on, and what to try next.

use guantong_proto::HandleRef;
use guantong_proto::message::ResponseCode;
use maud::{Markup, html};

use super::view::{View, document, search_form};

/// What the page shows.
#[derive(Clone, Debug)]
pub(in crate::http) struct ErrorPage<'a> {
    /// The response code of the protocol.
    pub(in crate::http) code: ResponseCode,
    /// The status of the answer.
    pub(in crate::http) status: u16,
    /// What was asked for, if it was a handle.
    pub(in crate::http) handle: Option<&'a str>,
    /// The cause in a sentence; may be empty.
    pub(in crate::http) message: &'a str,
    /// Whether the namespace of the handle is switched off.
    pub(in crate::http) is_inactive: bool,
    /// The number under which the log knows the request.
    pub(in crate::http) request_id: &'a str,
}

/// The whole page.
pub(in crate::http) fn error(page: &ErrorPage<'_>, view: &View<'_>) -> Markup {
    let text = view.text();
    let (title, lead) = words(page, view);
    let content = html! {
        article class="error" {
            p class="eyebrow" { (page.status) }
            h1 { (title) }
            @if let Some(handle) = page.handle { p class="name" { code { (handle) } } }
            @if !lead.is_empty() { p class="lead-text" { (lead) } }
            @if !page.message.is_empty() && needs_cause(page) {
                p class="cause" { (page.message) }
            }
            h2 { (text.try_next) }
            ul class="advice" {
                @for advice in advice(page, view) { li { (advice) } }
            }
            (search_form(view, page.handle.unwrap_or_default(), "hero-search"))
            p class="hint" { (text.request_id) " " code { (page.request_id) } " · " (page.code) }
        }
    };
    document(view, title, None, &content)
}

/// Title and lead.
fn words(page: &ErrorPage<'_>, view: &View<'_>) -> (&'static str, &'static str) {
    let text = view.text();
    if page.is_inactive {
        return (text.inactive, "");
    }
    match page.code {
        ResponseCode::HANDLE_NOT_FOUND => (text.not_found, text.not_found_lead),
        ResponseCode::SERVER_NOT_RESPONSIBLE => (text.not_responsible, text.not_responsible_lead),
        ResponseCode::SERVICE_REFERRAL | ResponseCode::PREFIX_REFERRAL => {
            (text.referral, text.referral_lead)
        }
        ResponseCode::AUTHENTICATION_NEEDED | ResponseCode::INSUFFICIENT_PERMISSIONS => {
            (text.forbidden, text.forbidden_lead)
        }
        ResponseCode::PROTOCOL_ERROR | ResponseCode::INVALID_HANDLE => {
            (text.bad_request, text.bad_request_lead)
        }
        ResponseCode::SERVER_TOO_BUSY | ResponseCode::SERVER_READ_ONLY => {
            (text.busy, text.busy_lead)
        }
        ResponseCode::ERROR => (text.broken, text.broken_lead),
        _ => (text.other_error, ""),
    }
}

/// Whether the title and the lead leave the cause open.
fn needs_cause(page: &ErrorPage<'_>) -> bool {
    let is_said = matches!(
        page.code,
        ResponseCode::SERVER_NOT_RESPONSIBLE
            | ResponseCode::AUTHENTICATION_NEEDED
            | ResponseCode::INSUFFICIENT_PERMISSIONS
    );
    page.is_inactive || !is_said
}

fn advice(page: &ErrorPage<'_>, view: &View<'_>) -> Vec<Markup> {
    let text = view.text();
    let mut advice = Vec::new();
    let handle = page.handle.and_then(|handle| HandleRef::parse(handle).ok());
    if page.code == ResponseCode::HANDLE_NOT_FOUND {
        advice.push(html! { (text.not_found_spelling) });
    }
    if let Some(prefix) = handle.filter(|handle| !handle.is_prefix_handle()) {
        let prefix = prefix.prefix_handle();
        if page.code == ResponseCode::HANDLE_NOT_FOUND {
            let href = view.record_href(prefix.as_str());
            advice.push(html! {
                a href=(href) { (text.not_found_prefix) } " " code { (prefix) }
            });
        }
    }
    if let (ResponseCode::SERVER_NOT_RESPONSIBLE, Some(handle)) = (page.code, handle) {
        let href = format!(
            "https://hdl.handle.net{}",
            crate::http::path::link(handle.as_str())
        );
        advice.push(html! {
            a href=(href) rel="noopener noreferrer" { (text.not_responsible_global) }
        });
    }
    advice.push(html! { a href=(view.start_href()) { (text.to_start) } });
    advice
}

#[cfg(test)]
mod tests {
    use super::super::text::Lang;
    use super::*;

    fn page(code: i32, handle: &str) -> String {
        let page = ErrorPage {
            code: ResponseCode(code),
            status: 404,
            handle: Some(handle),
            message: "",
            is_inactive: false,
            request_id: "r-1",
        };
        error(&page, &View::sample(Lang::En)).into_string()
    }

    #[test]
    fn missing_record_says_what_to_try() {
        let html = page(100, "88.118.5/no-such-thing");
        assert!(html.contains("There is no such record"), "{html}");
        assert!(
            html.contains("href=\"/0.NA/88.118.5?noredirect\""),
            "{html}"
        );
        assert!(html.contains("r-1"), "{html}");
    }

    #[test]
    fn handle_is_escaped_everywhere() {
        for code in [100, 301, 102, 2] {
            let html = page(code, "1/\"><img src=x onerror=alert(1)>");
            assert!(!html.contains("<img"), "{html}");
        }
    }
}
