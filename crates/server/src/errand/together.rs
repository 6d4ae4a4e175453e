//! Several requests of one sender that are carried out together: all of them, or none.
//!
//! Each is decided by itself, as if it had come alone; the records that say who the sender is and
//! what he may are read once, since each learns them from the one before. What they order is
//! written in one batch; if something has changed meanwhile, all are decided anew.

use guantong_core::admin::{Errand, Order, Written};
use guantong_proto::limits::{ENVELOPE_LEN, HEADER_LEN};
use guantong_proto::message::{Message, ResponseCode};

use super::{Carried, Decided, Rest, TablesOf, Task, errand_of};
use crate::node::{Node, Via};

/// Requests after which others get their turn: a thousand decisions take some milliseconds.
const YIELD_AFTER: usize = 64;

/// Most octets of records that requests carried out together may hold to be decided. They are all
/// held until the last is decided.
pub(crate) const HELD_OCTETS_MAX: usize = 64 * 1024 * 1024;

/// Requests that need more records than may be held at a time; nothing was written.
#[derive(Debug)]
pub(crate) struct TooMuch;

/// One of the requests.
struct Member {
    errand: Errand,
    reply: Vec<u8>,
    order: Option<Order>,
    rest: Option<Rest>,
}

impl Member {
    /// Whether it has come to its end otherwise than with success.
    fn has_failed(&self) -> bool {
        self.rest.is_some() && !code_of(&self.reply).is_success()
    }
}

/// The response code of a reply of ours.
fn code_of(reply: &[u8]) -> ResponseCode {
    debug_assert!(reply.len() >= ENVELOPE_LEN + HEADER_LEN || reply.is_empty());
    Message::decode(reply).map_or(ResponseCode::ERROR, |message| message.header.code)
}

impl Node {
    /// Carries out requests that came over HTTP, all or none. If one of them cannot be, nothing is
    /// written; each still gets the reply that it would get alone, so that all faults are told at
    /// once, and `false` comes back.
    ///
    /// The requests must be about different records, of one sender who has proven who he is.
    pub(crate) async fn carry_out_together(
        &self,
        tasks: Vec<Task>,
        via: Via,
    ) -> Result<(Vec<Carried>, bool), TooMuch> {
        let tables = TablesOf::over_http(self, via);
        // Never closed, as in `run_errand`.
        let _place = self.errands.places.acquire().await;
        let chances = self.chances(tasks.len());
        let mut members: Vec<Member> = tasks
            .into_iter()
            .zip(chances)
            .map(|(task, chance)| Member {
                errand: errand_of(task, chance),
                reply: Vec::new(),
                order: None,
                rest: None,
            })
            .collect();
        loop {
            let mut held = 0;
            for at in 0..members.len() {
                let (before, rest) = members.split_at_mut(at);
                let Some(member) = rest.first_mut() else {
                    break;
                };
                if let Some(before) = before.last() {
                    member.errand.learn_from(&before.errand, &self.site());
                }
                self.decide_member(member, &tables).await;
                held += member.errand.held_octets();
                if held > HELD_OCTETS_MAX {
                    return Err(TooMuch);
                }
                if at % YIELD_AFTER == YIELD_AFTER - 1 {
                    tokio::task::yield_now().await;
                }
            }
            let orders: Vec<Order> = members.iter_mut().filter_map(|m| m.order.take()).collect();
            if orders.is_empty() {
                break;
            }
            let written = match members.iter().any(Member::has_failed) {
                // Its reply is prepared as in a rehearsal.
                true => Written::Done,
                false => self.write_all(orders, via).await,
            };
            for member in &mut members {
                if member.rest.is_none() || written == Written::Conflict {
                    member.rest = None;
                    member.reply.clear();
                    member.errand.written(written.clone());
                }
            }
        }
        let is_done = !members.iter().any(Member::has_failed);
        let carried = members.into_iter().map(|member| {
            if !member.reply.is_empty() {
                self.metrics.reply(via.transport, &member.reply);
            }
            let rest = member.rest.unwrap_or(Rest::None);
            Carried::of(&member.errand, member.reply, rest)
        });
        Ok((carried.collect(), is_done))
    }

    async fn decide_member(&self, member: &mut Member, tables: &TablesOf<'_>) {
        if member.rest.is_some() {
            return;
        }
        match self
            .decide(&mut member.errand, tables, &mut member.reply)
            .await
        {
            Decided::Order(order) => member.order = Some(order),
            Decided::End(rest) => member.rest = Some(rest),
        }
    }
}
