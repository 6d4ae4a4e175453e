//! Why a request below `/api/v1` is refused, in the codes of existing enterprise nodes.

use guantong_api::doip::Code;
use guantong_core::template::Why;
use guantong_proto::NameError;
use guantong_proto::message::ResponseCode;

use super::super::answer::Failure;
use super::super::v2::problem::{About, Problem};

/// A code and what to do about it.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) code: Code,
    pub(super) message: String,
}

/// What was to be done: the same cause has another code for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Read,
    Register,
    Edit,
    Delete,
    /// Anything with a template.
    Template,
    /// Saying who reads and writes an identifier.
    Grant,
}

impl Refusal {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }

    /// A parameter is missing.
    pub(super) fn missing(name: &str) -> Self {
        Self::new(Code::Parameter, format!("`{name}` is missing"))
    }

    /// The client is wrong about a parameter.
    pub(super) fn parameter(message: impl Into<String>) -> Self {
        Self::new(Code::Parameter, message)
    }
}

impl Deed {
    /// The refusal that a problem with this deed is.
    pub(super) fn refused(self, problem: impl Into<Problem>) -> Refusal {
        let problem = problem.into();
        let code = match problem.about() {
            About::Fields(Why::Unknown) => Code::ItemUnknown,
            About::Fields(Why::Disabled | Why::Pending) => Code::ItemDisabled,
            About::Fields(_) => Code::Input,
            About::Definition => Code::Parameter,
            About::State if self == Self::Register => Code::NotPublished,
            About::State => Code::NotAllowed,
            About::Failure => self.code(problem.failure().code()),
        };
        let name = problem.failure().code().name();
        let (message, errors) = problem.into_parts();
        let errors: Vec<_> = errors
            .iter()
            .map(|error| format!("{}: {}", error.field, error.message))
            .collect();
        let message = match (errors.is_empty(), message.is_empty()) {
            (false, _) => errors.join("; "),
            (true, false) => message,
            (true, true) => name.unwrap_or("this did not work").to_owned(),
        };
        Refusal { code, message }
    }

    fn code(self, code: ResponseCode) -> Code {
        match code {
            ResponseCode::HANDLE_NOT_FOUND if self == Self::Template => Code::TemplateNotFound,
            ResponseCode::HANDLE_NOT_FOUND => Code::NotFound,
            ResponseCode::HANDLE_ALREADY_EXISTS | ResponseCode::VALUE_ALREADY_EXISTS => {
                Code::AlreadyExists
            }
            ResponseCode::INVALID_HANDLE => Code::MalformedHandle,
            ResponseCode::VALUES_NOT_FOUND => Code::MayNotRead,
            ResponseCode::INVALID_VALUE => Code::Input,
            ResponseCode::SERVER_NOT_RESPONSIBLE
            | ResponseCode::SERVICE_REFERRAL
            | ResponseCode::PREFIX_REFERRAL => match self {
                Self::Read => Code::NotFound,
                _ => Code::NotOwn,
            },
            ResponseCode::INVALID_ADMIN | ResponseCode::INSUFFICIENT_PERMISSIONS => self.no_right(),
            ResponseCode::AUTHENTICATION_NEEDED => Code::ClientUnknown,
            // Existing nodes say so of a token that is not good.
            ResponseCode::AUTHENTICATION_FAILED | ResponseCode::INVALID_CREDENTIAL => Code::Invalid,
            ResponseCode::PROTOCOL_ERROR => Code::Parameter,
            ResponseCode::OPERATION_NOT_SUPPORTED => Code::UnsupportedOperation,
            ResponseCode::SERVER_TOO_BUSY | ResponseCode::SERVER_READ_ONLY => Code::Declined,
            _ => Code::Other,
        }
    }

    fn no_right(self) -> Code {
        match self {
            Self::Read => Code::MayNotRead,
            Self::Register => Code::NotAuthorized,
            Self::Edit => Code::MayNotEdit,
            Self::Delete => Code::MayNotDelete,
            Self::Template => Code::MayNotManageTemplate,
            Self::Grant => Code::MayNotManage,
        }
    }
}

impl From<NameError> for Refusal {
    fn from(error: NameError) -> Self {
        Self::new(Code::MalformedHandle, error.to_string())
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Deed::Read.refused(failure)
    }
}
