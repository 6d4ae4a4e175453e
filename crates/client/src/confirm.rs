//! Asking the server of a secret key whether an answer by it is right (6.5).

use guantong_proto::crypto::{Credential, CryptoError};
use guantong_proto::data::PublicKey;
use guantong_proto::message::{
    Body, Message, OpCode, OpFlags, Request, Response, ResponseCode, Version,
};
use guantong_proto::wire::Writer;

use crate::answer::refused;
use crate::attempt::Trace;
use crate::client::Client;
use crate::error::{Error, Fault};
use crate::exchange::Question;

/// An answer by secret key, and what it answers.
#[derive(Clone, Copy)]
pub struct SecretAnswer<'a> {
    /// The record with the key.
    pub user: &'a str,
    /// Index of the key; 0 for any.
    pub index: i32,
    /// The nonce of the challenge.
    pub nonce: &'a [u8],
    /// The digest of the request that was challenged.
    pub digest: &'a [u8],
    /// The answer.
    pub signed: &'a [u8],
}

impl std::fmt::Debug for SecretAnswer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretAnswer({}:{})", self.index, self.user)
    }
}

impl Client {
    /// Whether the answer is right. What the server says counts only if it is signed with `key`,
    /// the server's own, and bound to this very question by its digest.
    pub async fn confirm(&self, answer: &SecretAnswer<'_>, key: &PublicKey) -> Result<bool, Error> {
        let request = Request::VerifyAnswer {
            user: answer.user.as_bytes(),
            user_index: answer.index,
            nonce: answer.nonce,
            digest: answer.digest,
            signed: answer.signed,
        };
        let body = Writer::to_vec(|w| request.encode(Version::OURS, w));
        let question = Question::Any {
            op: OpCode::VERIFY_ANSWER,
            flags: OpFlags::DEFAULT.with(OpFlags::CERTIFIED),
            session_id: 0,
            body: &body,
        };
        let reply = self.ask(question, &mut Trace::default()).await?;
        let packet = reply.packets.first().map(Vec::as_slice).unwrap_or_default();
        let message = Message::decode(packet).map_err(|error| reply.misbehaved(error))?;
        let response = Response::of(&message).map_err(|error| reply.misbehaved(error))?;
        if message.header.code != ResponseCode::SUCCESS {
            return Err(refused(message.header.code, &response.body));
        }
        // That it is the digest of the question was checked when the reply came.
        if response.digest.is_none() {
            return Err(reply.misbehaved(Fault::NoDigest));
        }
        let not_signed = |error: CryptoError| {
            Error::Local(format!(
                "the reply about a secret key is not signed: {error}"
            ))
        };
        let credential = Credential::of(&message).map_err(|error| not_signed(error.into()))?;
        let credential =
            credential.ok_or_else(|| not_signed(CryptoError::Mismatch { what: "signature" }))?;
        credential
            .verify_signature(&message, key)
            .map_err(not_signed)?;
        Ok(matches!(response.body, Body::Verified(said) if said & 1 == 1))
    }
}
