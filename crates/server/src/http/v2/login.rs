//! `/api/v2/login`: a signed nonce or a password gives a token; passwords and second factors of
//! one's own.

use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guantong_api::login::{
    ChallengeAnswer, ChallengeRequest, OwnPasswordRequest, PasswordRequest, SecondFactorAction,
    SecondFactorAnswer, SecondFactorRequest, SetUpAnswer, SetUpRequest, SignatureRequest,
    TokenAnswer, WhoAnswer,
};
use guantong_core::admin::{Expected, Identity, Presented};
use guantong_core::identity::{Chosen, LOGIN_INDEX, Login, Role, SecondFactor, check_password};
use guantong_proto::Handle;
use guantong_proto::message::{OpCode, OpFlags, ResponseCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::answer::{Failure, json};
use super::super::asked::Asked;
use super::super::change::{Reply, builder, via};
use super::super::identity;
use super::problem::Problem;
use super::sender::Sender;
use super::{body, not_allowed};
use crate::errand::Task;
use crate::login::{Credentials, KEY_INDEX, LoginError, Owner, Token};
use crate::node::Node;

/// Answers a request for `/api/v2/login`.
pub(super) async fn answer(node: &Node, asked: &Asked, rest: &str) -> Result<Response, Problem> {
    node.login_takes(&asked.peer).map_err(Failure::from)?;
    match (&asked.method, rest) {
        (&(Method::GET | Method::HEAD), "") => who(node, asked).await,
        (&Method::DELETE, "") => Ok(end(node, asked)),
        (_, "") => Err(not_allowed(asked, "GET and DELETE")),
        (&Method::POST, "challenge") => challenge(node, asked),
        (&Method::POST, "answer") => sign_in(node, asked).await,
        (&Method::POST, "password") => by_password(node, asked).await,
        (&Method::POST, "own-password") => own_password(node, asked).await,
        (&Method::POST, "second-factor") => second_factor(node, asked).await,
        (&Method::POST, "set-up") => set_up(node, asked).await,
        (&(Method::GET | Method::HEAD), "set-up") => {
            let open = node.login_awaits_set_up();
            Ok(json(asked, StatusCode::OK, &SetUpAnswer { open }))
        }
        (_, "challenge" | "answer" | "password" | "own-password" | "second-factor" | "set-up") => {
            Err(not_allowed(asked, "POST"))
        }
        _ => {
            let message = "there are `challenge`, `answer`, `password`, `own-password`, \
                           `second-factor` and `set-up`";
            let failure = Failure::new(ResponseCode::PROTOCOL_ERROR, message);
            Err(failure.with_status(404).into())
        }
    }
}

/// An identity as people write it: `index:handle`, or the handle alone.
pub(in crate::http) fn named(text: &str) -> Result<Identity, Problem> {
    let is_index = |index: &str| !index.is_empty() && index.bytes().all(|c| c.is_ascii_digit());
    match text.split_once(':') {
        Some((index, _)) if is_index(index) => Ok(identity::identity(text)?),
        _ => Ok(Identity {
            handle: Handle::parse(text)?,
            index: KEY_INDEX,
        }),
    }
}

fn challenge(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let request: ChallengeRequest = body(asked)?;
    let identity = named(&request.identity)?;
    let nonce = node.login_challenge(&identity, asked.peer.address.ip());
    Ok(json(asked, StatusCode::OK, &ChallengeAnswer { nonce }))
}

async fn sign_in(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let request: SignatureRequest = body(asked)?;
    let identity = named(&request.identity)?;
    let signature = STANDARD.decode(&request.signature).map_err(|_| {
        let message = "`signature` is not base64";
        Failure::new(ResponseCode::INVALID_CREDENTIAL, message)
    })?;
    let peer = asked.peer.address.ip();
    let token = node.login_answer(&identity, &signature, peer).await?;
    Ok(logged_in(asked, &identity, &token))
}

/// The answer with a token.
fn logged_in(asked: &Asked, identity: &Identity, token: &Token) -> Response {
    let form = TokenAnswer {
        identity: identity.to_string(),
        token: token.as_str().to_owned(),
    };
    unstored(json(asked, StatusCode::OK, &form))
}

/// The same answer, which nobody on the way may keep.
pub(super) fn unstored(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn who(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let session = match identity::token(asked) {
        Some(token) => node.login_session(token).await,
        None => match Sender::of(node, asked).await?.by.0 {
            Some(identity) => Some(node.login_session_of(identity).await),
            None => None,
        },
    };
    let Some(session) = session else {
        let message = "nobody is logged in, or not any more";
        let failure = Failure::new(ResponseCode::AUTHENTICATION_NEEDED, message);
        return Err(failure.with_status(401).into());
    };
    let form = WhoAnswer {
        identity: session.identity.to_string(),
        roles: session.roles.into_iter().map(Role::name).collect(),
    };
    Ok(json(asked, StatusCode::OK, &form))
}

//----------- Passwords ------------------------------------------------------

/// A user as people write him: the handle, or `400:handle`.
fn user(text: &str) -> Result<Handle, Problem> {
    let handle = text.strip_prefix("400:").unwrap_or(text);
    Ok(Handle::parse(handle)?)
}

async fn by_password(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let request: PasswordRequest = body(asked)?;
    let user = user(&request.user)?;
    let credentials = Credentials {
        user: &user,
        password: &request.password,
        code: request.code.as_deref(),
    };
    let token = node.login_password(credentials, asked.peer.address.ip());
    let token = token.await?;
    let identity = Identity {
        handle: user,
        index: LOGIN_INDEX,
    };
    Ok(logged_in(asked, &identity, &token))
}

async fn own_password(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let request: OwnPasswordRequest = body(asked)?;
    let user = user(&request.user)?;
    if request.new_password == request.password {
        let message = "the new password is the old one";
        let failure = Failure::new(ResponseCode::INVALID_VALUE, message);
        return Err(Problem::of_field(failure, "newPassword"));
    }
    let credentials = Credentials {
        user: &user,
        password: &request.password,
        code: request.code.as_deref(),
    };
    check_password(&request.new_password).map_err(LoginError::from)?;
    let owner = node
        .login_owner(credentials, asked.peer.address.ip())
        .await?;
    let other = node
        .login_of_password(&request.new_password, Chosen::ByOwner)
        .await?;
    let login = owner.login.clone().with_password(other);
    write_own(node, asked, owner, &login).await
}

/// Makes the first administrator.
async fn set_up(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let request: SetUpRequest = body(asked)?;
    let user = user(&request.user)?;
    let token = node.login_set_up(&request.setup_code, &user, &request.password);
    let token = token.await?;
    let identity = Identity {
        handle: user,
        index: LOGIN_INDEX,
    };
    Ok(logged_in(asked, &identity, &token))
}

async fn second_factor(node: &Node, asked: &Asked) -> Result<Response, Problem> {
    let request: SecondFactorRequest = body(asked)?;
    let user = user(&request.user)?;
    let credentials = Credentials {
        user: &user,
        password: &request.password,
        code: request.code.as_deref(),
    };
    let owner = node
        .login_owner(credentials, asked.peer.address.ip())
        .await?;
    // The password of somebody else is good for one thing only, and what follows begins a session.
    if owner.must_change() {
        return Err(LoginError::MustChange.into());
    }
    match request.action {
        SecondFactorAction::Begin => {
            let factor = SecondFactor::new(node.random());
            let form = SecondFactorAnswer {
                secret: factor.secret().to_owned(),
                uri: uri_of(node, &user, &factor),
            };
            Ok(unstored(json(asked, StatusCode::OK, &form)))
        }
        SecondFactorAction::Confirm => {
            let secret = request.secret.unwrap_or_default();
            let factor = SecondFactor::of(&secret).map_err(LoginError::from)?;
            let code = request.new_code.unwrap_or_default();
            let step = factor.step_of(&code, node.now_secs());
            if !step.is_some_and(|step| node.login_take_code(&user, step)) {
                let message = "the code is not one of this secret, or not of this moment";
                let failure = Failure::new(ResponseCode::INVALID_VALUE, message);
                return Err(Problem::of_field(failure, "newCode"));
            }
            let login = owner.login.clone().with_second_factor(Some(&factor));
            write_own(node, asked, owner, &login).await
        }
        SecondFactorAction::Remove => {
            let login = owner.login.clone().with_second_factor(None);
            write_own(node, asked, owner, &login).await
        }
    }
}

/// What a device reads from a QR code (as Google Authenticator has it).
fn uri_of(node: &Node, user: &Handle, factor: &SecondFactor) -> String {
    // A colon parts the two, so neither may have one.
    let part =
        |text: &str| utf8_percent_encode(&text.replace(':', "-"), NON_ALPHANUMERIC).to_string();
    let (issuer, account) = (part(&node.config().name), part(user.as_str()));
    let secret = factor.secret();
    format!("otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}")
}

/// Writes how somebody logs in, for himself. All his sessions end; this is the first of the new.
async fn write_own(
    node: &Node,
    asked: &Asked,
    owner: Owner,
    login: &Login,
) -> Result<Response, Problem> {
    let Identity { handle, .. } = owner.proven.identity.clone();
    let flags = OpFlags::DEFAULT.with(OpFlags::OVERWRITE);
    let values = [login.to_value()];
    let task = Task {
        packet: builder(node, flags).write(OpCode::ADD_VALUE, handle.as_str(), &values),
        presented: Some(Presented::Owner(owner.proven)),
        condition: Some(Expected::Version(owner.version)),
        is_rehearsal: false,
    };
    let reply = Reply(node.carry_out(task, via(asked)).await);
    reply.success(&handle)?;
    let (identity, token) = node.login_again(&handle).await.ok_or_else(|| {
        let message = "it is done; log in again";
        Failure::new(ResponseCode::AUTHENTICATION_NEEDED, message)
    })?;
    Ok(logged_in(asked, &identity, &token))
}

fn end(node: &Node, asked: &Asked) -> Response {
    if let Some(token) = identity::token(asked) {
        node.login_end(token);
    }
    StatusCode::NO_CONTENT.into_response()
}
