//! How a mirror becomes primary: with the consent of the one before, after its lease has run out,
//! or by force; and how the one before learns of it.

use guantong_core::replicate::{Claim, Follower, Position, Told};

use super::mirror::{frame_request, node_of, take_notice};
use super::node::{Member, NodeId, address_of};
use super::store::{RULE, Step};
use super::stream::{ConnectionId, Purpose};
use super::{Net, Sabotage, Wake};

/// How long the new primary waits before it tells the one of before again.
const TELL_MS: u64 = 1_500;

impl Member {
    /// Whether it can be promoted: it has everything.
    pub(super) fn may_lead(&self) -> bool {
        let content = &self.store.seen;
        !content.standing.is_primary() && content.position.is_complete()
    }
}

impl Net {
    //--- Becoming primary

    /// Begins to become primary.
    pub(super) fn begin_promotion(&mut self, id: NodeId) {
        let Some(member) = self.member_mut(id) else {
            return;
        };
        let standing = &member.store.seen.standing;
        if !member.may_lead() || member.running.claim.is_some() {
            return;
        }
        let claim = Claim {
            epoch: standing.epoch + 1,
            leader: member.store.id,
            address: address_of(id).to_string(),
            key: Vec::new(),
        };
        member.running.claim = Some(claim);
        let over_at = member.running.patience.over_at_ms();
        if let Some(stream) = member.running.stop_reply() {
            self.close_stream(stream);
        }
        self.say(format_args!("{id} is to become primary"));
        if let Some(over_at) = over_at {
            let at = self.nodes[id].clock.when(over_at);
            self.wake(id, at, Wake::Follow);
        }
        self.follow(id);
    }

    pub(super) fn promote_if_given_way(&mut self, id: NodeId) {
        let Some(member) = self.member(id) else {
            return;
        };
        let followed = member.store.seen.position.followed();
        let followed = followed.map(|following| (following.log, following.last));
        let gave_way = member.running.gave_way.map(|(log, end)| (Some(log), end));
        if member.running.claim.is_some() && gave_way.is_some() && gave_way == followed {
            self.promote(id, None);
        }
    }

    pub(super) fn promote_if_patience_is_over(&mut self, id: NodeId, local_ms: u64) {
        let Some(member) = self.member(id) else {
            return;
        };
        let over_at = member.running.patience.over_at_ms();
        let is_over = over_at.is_some_and(|over_at| {
            over_at <= local_ms || self.sabotage == Some(Sabotage::Impatience)
        });
        if member.running.claim.is_some() && is_over {
            let before = self.primary_of_before(id);
            self.promote(id, before);
        }
    }

    /// Whom a mirror has followed.
    pub(super) fn primary_of_before(&self, id: NodeId) -> Option<Claim> {
        let member = self.member(id)?;
        let standing = &member.store.seen.standing;
        if let Some(leader) = &standing.leader {
            return Some(leader.clone());
        }
        let configured = self.groups[member.group].members[0];
        Some(Claim {
            epoch: standing.epoch,
            leader: self.member(configured)?.store.id,
            address: address_of(configured).to_string(),
            key: Vec::new(),
        })
    }

    /// Becomes primary, once that is durable. What was followed before is no position for a
    /// store that makes changes of its own.
    pub(super) fn promote(&mut self, id: NodeId, before: Option<Claim>) {
        let is_careless = self.sabotage == Some(Sabotage::PositionKept);
        let Some(member) = self.member_mut(id) else {
            return;
        };
        let standing = member.store.seen.standing.promoted(before);
        member.running.claim = None;
        member.running.gave_way = None;
        let mut steps = vec![Step::Standing(standing)];
        if !is_careless {
            steps.push(Step::Position(Position::Nothing));
        }
        self.commit(id, steps);
    }

    pub(super) fn on_promoted(&mut self, id: NodeId) {
        let portion = self.plan.portion;
        let Some(member) = self.member_mut(id) else {
            return;
        };
        let epoch = member.store.seen.standing.epoch;
        let position = member.store.seen.position.clone();
        let follower = Follower::new(member.store.id, RULE, position, epoch);
        let follower = follower.in_portions_of(portion);
        member.running.follow_anew(follower);
        let group = member.group;
        self.say(format_args!("{id} is primary in epoch {epoch}"));
        self.counts.promotions += 1;
        self.check_nothing_lost(group, id);
        self.wake(id, self.now + 1, Wake::Tell);
    }

    //--- Telling the primary of before

    pub(super) fn tell_primary_of_before(&mut self, id: NodeId) {
        let Some(member) = self.member(id).filter(|member| member.leads()) else {
            return;
        };
        let standing = &member.store.seen.standing;
        let (Some(before), None) = (&standing.unaware, &member.running.telling) else {
            return;
        };
        let claim = Claim {
            epoch: standing.epoch,
            leader: member.store.id,
            address: address_of(id).to_string(),
            key: Vec::new(),
        };
        let follower = Follower::new(member.store.id, RULE, Position::Nothing, standing.epoch);
        let request = frame_request(follower.request(0, Some(&claim)));
        let Some(target) = node_of(before) else {
            return;
        };
        let stream = self.open_stream(id, target, Purpose::Tell, request);
        if let Some(member) = self.member_mut(id) {
            member.running.telling = Some((stream, Vec::new()));
        }
    }

    pub(super) fn on_told_piece(&mut self, id: NodeId, stream: ConnectionId, piece: &[u8]) {
        let Some(member) = self.member_mut(id) else {
            return;
        };
        let Some((telling, buffer)) = &mut member.running.telling else {
            return;
        };
        if *telling != stream {
            return;
        }
        buffer.extend_from_slice(piece);
        let notice = match take_notice(buffer) {
            Ok(None) => return,
            Ok(Some(notice)) => notice,
            Err(_) => Vec::new(),
        };
        let told = Told::read(&notice).ok().flatten();
        let standing = member.store.seen.standing.clone();
        self.close_stream(stream);
        if let Some(told) = told {
            if told.gives_way && standing.is_primary() {
                self.commit(id, vec![Step::Standing(standing.acknowledged())]);
            } else if let Some(leader) = &told.leader {
                self.hear_claim(id, leader);
            }
        }
        self.on_tell_broken(id, stream);
    }

    pub(super) fn on_tell_broken(&mut self, id: NodeId, stream: ConnectionId) {
        let Some(member) = self.member_mut(id) else {
            return;
        };
        if member
            .running
            .telling
            .as_ref()
            .is_some_and(|(s, _)| *s == stream)
        {
            member.running.telling = None;
            self.wake(id, self.now + TELL_MS, Wake::Tell);
        }
    }
}
