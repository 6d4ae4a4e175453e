//! Applications of enterprises by somebody who does not say who he is (匿名申请): below the prefixes
//! of `onboarding.open` and nowhere else, so many at a time and so many that wait.
//!
//! Nobody gives him a right to write, so the node writes the application itself. He learns nothing
//! of the applications of others.

use axum::http::StatusCode;
use guantong_core::admin::authenticate::{Failed, Subject};
use guantong_core::enterprise::{Application, guests_key};
use guantong_core::template::KEY_TYPE;
use guantong_proto::message::ResponseCode;
use guantong_proto::{Handle, Value};
use guantong_store::{Batch, Change, Expect, Origin, Right, Trail};

use super::super::answer::Failure;
use super::super::asked::Asked;
use super::super::change::via;
use super::foreign::Foreign;
use super::page::LIMIT_MAX;
use super::problem::Problem;
use super::sought::{self, Absent};
use crate::errand::source_of;
use crate::limit::host_of;
use crate::node::Node;
use crate::publish::wire;

/// Whether the sender says nothing of who he is, at a node where he need not.
pub(in crate::http) fn is_one(node: &Node, asked: &Asked) -> bool {
    !asked.has_credential() && !node.config().onboarding.open.is_empty()
}

/// Lets him leave something with us, or tells him to come again. Each time counts.
pub(in crate::http) fn admit(node: &Node, asked: &Asked) -> Result<(), Problem> {
    node.login_takes(&asked.peer).map_err(Failure::from)?;
    let source = host_of(asked.peer.address.ip());
    let subjects = vec![Subject::Guest(source), Subject::Guests];
    if node.errands.is_blocked(&subjects, node.uptime_ms()) {
        let message = Failed::TooManyAttempts.to_string();
        let failure = Failure::new(ResponseCode::SERVER_TOO_BUSY, message);
        return Err(failure
            .with_status(StatusCode::TOO_MANY_REQUESTS.as_u16())
            .into());
    }
    node.errands.failed(subjects, node.uptime_ms());
    Ok(())
}

/// Whether anybody may apply below a prefix, and there is room for one more.
pub(super) async fn check_open(node: &Node, above: &Handle) -> Result<(), Problem> {
    let onboarding = &node.config().onboarding;
    let named = above.borrow().suffix();
    let is_open = onboarding
        .open
        .iter()
        .any(|open| open.eq_ignore_ascii_case(named));
    if !is_open || !node.store.is_homed(above.borrow()) {
        let message = "below this prefix applies only who says who he is: log in";
        return Err(Failure::new(ResponseCode::AUTHENTICATION_NEEDED, message).into());
    }
    sought::have_indexes(node).await?;
    let key = guests_key(above, node.site().case_rule());
    let most = onboarding.waiting_max;
    let (mut waiting, mut after) = (0, None::<String>);
    loop {
        let after_this = after.as_deref();
        let (found, next) = sought::find(node, KEY_TYPE, &key, after_this, LIMIT_MAX)?;
        waiting += found.len();
        match next {
            _ if waiting >= most => break,
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
    let message = "so many applications wait for a review that none is taken now: come again";
    Err(Failure::new(ResponseCode::SERVER_TOO_BUSY, message).into())
}

/// Writes an application, if no other has the same document, user or prefix. Which of them another
/// one has is not told.
pub(super) async fn write(
    node: &Node,
    asked: &Asked,
    application: &Application,
    values: Vec<Value>,
) -> Result<(), Problem> {
    let handle = application.handle();
    let lookups = application.lookups(node.site().case_rule());
    // It refers to nothing, so no other node has to be asked.
    let (foreign, absent) = (Foreign::new(), Absent::Wrong);
    let _claimed = sought::look_up(node, handle, &lookups, &foreign, absent)?.map_err(|_| {
        let message = "the document, the user name or the prefix is that of another application";
        Failure::new(ResponseCode::INVALID_VALUE, message).with_status(422)
    })?;
    let batch = Batch {
        changes: vec![Change::Put {
            handle: handle.clone(),
            values: wire(&node.stamped(values)),
            expect: Expect::Absent,
        }],
        at_ms: node.now_ms(),
        origin: Origin::Anybody,
        trail: Trail {
            from: source_of(via(asked)),
            right: Right::Own,
        },
    };
    Ok(node.submitted(batch).await.map_err(Failure::from)?)
}
