//! Streams that somebody may have, and the reply to an errand's request.

use guantong_proto::message::{ResponseCode, Version};

use super::authenticate::Identity;
use super::kept::Kept;
use super::session::Channel;
use crate::authority::{Moment, Reply, Site};

//----------- Stream ---------------------------------------------------------

/// A request for a stream by somebody who may have it (6.8). The shell accepts it on the connection
/// that it came over and sends the stream behind the reply, or refuses it.
#[derive(Debug)]
pub struct Stream {
    pub(super) request: Kept,
    pub(super) answer: Option<Kept>,
    pub(super) channel: Option<Channel>,
    pub(super) identity: Identity,
}

impl Stream {
    /// The request: operation 1001 or 1002.
    pub fn request(&self) -> &Kept {
        &self.request
    }

    /// Who has proven that it may have the stream.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The version that the stream is sent in: that of the reply.
    pub fn version(&self) -> Version {
        let asked = self.answer.as_ref().unwrap_or(&self.request);
        asked.envelope().answer_version()
    }

    /// Appends the reply in front of the stream.
    pub fn accept(&self, site: &Site, body: &[u8], moment: &Moment<'_>, out: &mut Vec<u8>) {
        self.reply(site)
            .send(ResponseCode::SUCCESS, moment, out, |out| {
                out.extend_from_slice(body);
            });
    }

    /// Appends an error in place of the stream.
    pub fn refuse(
        &self,
        site: &Site,
        code: ResponseCode,
        text: &str,
        moment: &Moment<'_>,
        out: &mut Vec<u8>,
    ) {
        self.reply(site).error(code, text, moment, out);
    }

    fn reply<'a>(&'a self, site: &'a Site) -> Reply<'a> {
        reply(
            site,
            &self.request,
            self.answer.as_ref(),
            self.channel.as_ref(),
        )
    }
}

/// The reply to `request`. If it was held up by a challenge, it goes to the message that answered,
/// and outside of sessions it names none (6.2).
pub(super) fn reply<'a>(
    site: &'a Site,
    request: &'a Kept,
    answer: Option<&'a Kept>,
    channel: Option<&'a Channel>,
) -> Reply<'a> {
    let Some(answer) = answer else {
        let (envelope, header) = (request.envelope(), request.header());
        return Reply::to(site, envelope, header, request.octets()).through(channel);
    };
    let mut envelope = answer.envelope();
    if channel.is_none() {
        envelope.session_id = 0;
    }
    Reply::to(site, envelope, request.header(), answer.octets()).through(channel)
}
