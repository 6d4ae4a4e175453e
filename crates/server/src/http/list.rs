//! Listing the handles of a prefix: `GET /api/handles?prefix=…` (8.1).
//!
//! In the native protocol listing is a right of administrators, because the names of an
//! enterprise's things say much about it. Here it is open to the networks of `http.list_allow`,
//! this machine by default.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::response::Response;
use guantong_api::handles::HandlesAnswer;
use guantong_core::authority::{Misdirected, Outcome};
use guantong_proto::Handle;
use guantong_proto::message::ResponseCode;
use guantong_store::{Scope, StoreError};

use super::answer::{Failure, json};
use super::asked::Asked;
use super::change;
use super::cors::OwnOrigin;
use crate::listen::host;
use crate::node::Node;

/// Most handles of one answer; about 5 MB of text.
pub(super) const LIST_MAX: u64 = 100_000;
/// Most handles in front of a page. They are walked over, and a client could ask for many at once.
pub(super) const SKIP_MAX: u64 = 1_000_000;

/// Whether whoever asks may list handles.
pub(super) fn may_list(node: &Node, asked: &Asked) -> bool {
    let config = node.config();
    let address = asked.peer.address.ip();
    let mut allowed = config.http.list_allow.iter();
    (asked.peer.console || allowed.any(|network| network.contains(&address)))
        && host::is_trustworthy(asked.host(), config.site.domain.as_deref())
}

/// Answers with one page of handles, or with their number.
pub(super) async fn answer(node: &Arc<Node>, asked: &Asked) -> Result<Response, Failure> {
    let prefix = asked.params.first("prefix").unwrap_or_default();
    if prefix.is_empty() {
        let message = "which handle, or which prefix? ask for `/api/handles/<handle>` or \
                       `/api/handles?prefix=<prefix>`";
        return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message));
    }
    if !may_list(node, asked) {
        if !asked.headers.contains_key(AUTHORIZATION) {
            let message = "handles are listed for the networks of `http.list_allow`, under an \
                           address of this node or the name in `site.domain`, and for who proves \
                           over HTTPS that he may";
            return Err(Failure::new(
                ResponseCode::INSUFFICIENT_PERMISSIONS,
                message,
            ));
        }
        change::may_list(node, asked, &Handle::of_prefix(prefix)?).await?;
    }
    if asked.params.callback()?.is_some() {
        // A script of any origin could load this one, from the address of whoever looks at it.
        let message = "lists of handles are not given as scripts; leave out `callback`";
        return Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message));
    }
    let handle = Handle::of_prefix(prefix)?;
    if !node.store.is_homed(handle.borrow()) {
        let outcome: Outcome = Outcome::NotResponsible(Misdirected::NotHomed);
        return Err(Failure::of_outcome(&outcome, handle.as_str()));
    }
    let page = asked.params.number("page")?.unwrap_or(0);
    let page_size = asked.params.number("pageSize")?.unwrap_or(-1);
    let scope = Scope::of_prefix(prefix)?;
    let total = node.store.count(&scope)?;
    let (skip, take) = bounds(page, page_size, total)?;
    let handles = match take {
        0 => Vec::new(),
        _ => {
            let node = node.clone();
            // Walking over a million names takes a while; others must be answered meanwhile.
            let walk = tokio::task::spawn_blocking(move || handles(&node, &scope, skip, take));
            walk.await
                .map_err(|_| Failure::new(ResponseCode::ERROR, "the listing was cut off"))??
        }
    };
    let form = HandlesAnswer {
        response_code: ResponseCode::SUCCESS.0,
        prefix: prefix.to_owned(),
        total_count: total.to_string(),
        page,
        page_size,
        handles,
    };
    let mut response = json(asked, StatusCode::OK, &form);
    response.extensions_mut().insert(OwnOrigin);
    Ok(response)
}

/// How many handles to skip, and how many to give.
fn bounds(page: i64, page_size: i64, total: u64) -> Result<(u64, u64), Failure> {
    let refuse = |message: String| Err(Failure::new(ResponseCode::PROTOCOL_ERROR, message));
    let Ok(page) = u64::try_from(page) else {
        return refuse("parameter `page`: pages are counted from 0".to_owned());
    };
    let (skip, take) = match u64::try_from(page_size) {
        Ok(size) => (page.saturating_mul(size), size),
        Err(_) => (0, total),
    };
    if take > LIST_MAX {
        return refuse(format!(
            "{take} handles are too many for one answer; ask for at most {LIST_MAX} with \
             `page` and `pageSize`, or use `guantong export`"
        ));
    }
    if skip > SKIP_MAX {
        return refuse(format!(
            "pages behind the first {SKIP_MAX} handles are not listed; use `guantong export`"
        ));
    }
    Ok((skip, take))
}

fn handles(node: &Node, scope: &Scope, skip: u64, take: u64) -> Result<Vec<String>, StoreError> {
    let (skip, take) = (skip as usize, take as usize);
    let records = node.store.scan(scope, None).skip(skip).take(take);
    records
        .map(|record| record.map(|(_, record)| record.handle().to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_bounded() {
        assert_eq!(bounds(0, -1, 7).unwrap(), (0, 7));
        assert_eq!(bounds(3, 50, 1_000).unwrap(), (150, 50));
        assert_eq!(bounds(0, 0, 1_000_000).unwrap(), (0, 0));
        assert!(bounds(0, -1, LIST_MAX + 1).is_err());
        assert!(bounds(0, LIST_MAX as i64 + 1, 1).is_err());
        assert!(bounds(-1, 10, 1).is_err());
        assert!(bounds(SKIP_MAX as i64, 2, 1).is_err());
        assert!(bounds(i64::MAX, i64::MAX, 1).is_err());
    }
}
