//! Somebody who proves who he is, and changes records (6.1, 6.2).
//!
//! The server holds a request up with a challenge; the proof is a signature over it, by a private
//! key whose public half stands in a record, or a code by a secret key. Each request is proven by
//! itself: there is no session here, and nothing to end.

use getrandom::fill;
use guantong_proto::crypto::challenge::{
    PUBLIC_KEY, SALT_LEN, SECRET_KEY, answer_with_key, answer_with_secret,
};
use guantong_proto::crypto::{SecureRandom, SigningKey};
use guantong_proto::data::SecretKey;
use guantong_proto::message::{Body, Message, OpCode, OpFlags, Request, Response, ResponseCode};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Value, Values};

use crate::answer::refused;
use crate::attempt::Trace;
use crate::client::{Client, Reply};
use crate::error::Error;
use crate::exchange::Question;

/// Number under which a login asks to be kept; the connection ends with it (9.3).
const LOGIN_ID: i32 = 10_001;

//----------- Credential -----------------------------------------------------

/// What proves an identity.
pub enum Credential<'a> {
    /// A private key whose public half stands in an HS_PUBKEY value.
    Key {
        /// The key.
        key: &'a SigningKey,
        /// Where randomness comes from.
        random: &'a dyn SecureRandom,
    },
    /// The octets of an HS_SECKEY value.
    Secret(&'a [u8]),
}

//----------- Administrator --------------------------------------------------

/// An identity with what proves it, at one server.
pub struct Administrator<'a> {
    client: &'a Client,
    handle: &'a str,
    index: i32,
    credential: Credential<'a>,
}

impl<'a> Administrator<'a> {
    /// The identity `index:handle`; an index of 0 means any key of the record.
    pub fn new(
        client: &'a Client,
        index: i32,
        handle: &'a str,
        credential: Credential<'a>,
    ) -> Self {
        Self {
            client,
            handle,
            index,
            credential,
        }
    }

    /// Proves the identity and does nothing else. Servers that know no logins refuse with code 5.
    pub async fn log_in(&self) -> Result<(), Error> {
        let body = Writer::to_vec(|w| {
            w.bytes(self.handle.as_bytes());
            w.i32(self.index);
        });
        self.carry_out(OpCode::LOGIN, OpFlags::DEFAULT, LOGIN_ID, &body)
            .await?;
        Ok(())
    }

    /// Creates a record.
    pub async fn create(&self, handle: &Handle, values: &[Value]) -> Result<(), Error> {
        self.write(OpCode::CREATE, handle, values).await
    }

    /// Adds values under indexes that are free.
    pub async fn add(&self, handle: &Handle, values: &[Value]) -> Result<(), Error> {
        self.write(OpCode::ADD_VALUE, handle, values).await
    }

    /// Replaces values by their indexes.
    pub async fn modify(&self, handle: &Handle, values: &[Value]) -> Result<(), Error> {
        self.write(OpCode::MODIFY_VALUE, handle, values).await
    }

    /// Removes values by their indexes.
    pub async fn remove(&self, handle: &Handle, indexes: &[i32]) -> Result<(), Error> {
        let body = Writer::to_vec(|w| {
            w.bytes(handle.as_str().as_bytes());
            w.i32_array(indexes);
        });
        self.carry_out(OpCode::REMOVE_VALUE, OpFlags::DEFAULT, 0, &body)
            .await?;
        Ok(())
    }

    /// Deletes a record.
    pub async fn delete(&self, handle: &Handle) -> Result<(), Error> {
        let body = Writer::to_vec(|w| w.bytes(handle.as_str().as_bytes()));
        self.carry_out(OpCode::DELETE, OpFlags::DEFAULT, 0, &body)
            .await?;
        Ok(())
    }

    async fn write(&self, op: OpCode, handle: &Handle, values: &[Value]) -> Result<(), Error> {
        let body = Writer::to_vec(|w| {
            w.bytes(handle.as_str().as_bytes());
            Values::encode(values, w);
        });
        self.carry_out(op, OpFlags::DEFAULT, 0, &body).await?;
        Ok(())
    }

    /// Asks, proves who asks if that is wanted, and gives the last reply, which is a success.
    async fn carry_out(
        &self,
        op: OpCode,
        flags: OpFlags,
        session_id: i32,
        body: &[u8],
    ) -> Result<Reply, Error> {
        let question = Question::Any {
            op,
            flags,
            session_id,
            body,
        };
        let reply = self.client.ask(question, &mut Trace::default()).await?;
        let Some((session_id, answer)) = self.answer(&reply)? else {
            return success(reply);
        };
        let question = Question::Any {
            op: OpCode::CHALLENGE_ANSWER,
            flags,
            session_id,
            body: &answer,
        };
        success(self.client.ask(question, &mut Trace::default()).await?)
    }

    /// The number of a challenge and the body that answers it; `None` if the reply is none.
    fn answer(&self, reply: &Reply) -> Result<Option<(i32, Vec<u8>)>, Error> {
        let malformed = |error: guantong_proto::DecodeError| reply.misbehaved(error);
        let packet = reply.packets.first().map(Vec::as_slice).unwrap_or_default();
        let message = Message::decode(packet).map_err(malformed)?;
        if message.header.code != ResponseCode::AUTHENTICATION_NEEDED {
            return Ok(None);
        }
        let response = Response::of(&message).map_err(malformed)?;
        let (Body::Challenge { nonce }, Some(digest)) = (&response.body, &response.digest) else {
            return Ok(None);
        };
        let version = message.envelope.version;
        let (kind, signed) = match &self.credential {
            Credential::Key { key, random } => {
                let signed = answer_with_key(key, nonce, digest.octets, *random);
                (
                    PUBLIC_KEY,
                    signed.map_err(|error| Error::Local(error.to_string()))?,
                )
            }
            Credential::Secret(secret) => {
                let mut salt = [0; SALT_LEN];
                fill(&mut salt).map_err(|error| Error::Local(error.to_string()))?;
                let secret = SecretKey::new(secret);
                let signed = answer_with_secret(version, &secret, nonce, digest.octets, &salt);
                (SECRET_KEY, signed)
            }
        };
        let answer = Request::ChallengeAnswer {
            auth_type: kind,
            user: self.handle.as_bytes(),
            user_index: self.index,
            signed: &signed,
        };
        let body = Writer::to_vec(|w| answer.encode(version, w));
        Ok(Some((message.envelope.session_id, body)))
    }
}

/// The reply, if it is a success.
fn success(reply: Reply) -> Result<Reply, Error> {
    let packet = reply.packets.first().map(Vec::as_slice).unwrap_or_default();
    let refusal = match Message::decode(packet) {
        Err(error) => reply.misbehaved(error),
        Ok(message) if message.header.code.is_success() => return Ok(reply),
        Ok(message) => match Response::of(&message) {
            Err(error) => reply.misbehaved(error),
            Ok(response) => refused(message.header.code, &response.body),
        },
    };
    Err(refusal)
}
