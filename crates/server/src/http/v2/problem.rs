//! Why a request below `/api/v2` is refused: a failure, and what was wrong with each field.

use axum::response::Response;
use guantong_api::v2::FieldProblem;
use guantong_core::grant;
use guantong_core::identity::LoginFault;
use guantong_core::template::{Fault, FieldFault, NotAmended, Why, WrongState};
use guantong_proto::NameError;
use guantong_proto::message::ResponseCode;
use guantong_store::StoreError;

use super::super::answer::Failure;
use super::super::asked::Asked;
use super::super::params::ParamError;
use crate::login::LoginError;

/// Status of what is well formed and not right (RFC 9110, 15.5.21).
const UNPROCESSABLE: u16 = 422;

//----------- Problem --------------------------------------------------------

/// Why a request is not answered with what it asked for.
#[derive(Clone, Debug)]
pub(in crate::http) struct Problem {
    /// In a box, so that a result that is none costs little to hand on.
    failure: Box<Failure>,
    errors: Vec<FieldProblem>,
    about: Box<About>,
}

/// What a refusal is about, for those who have a code for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) enum About {
    /// What the failure says.
    Failure,
    /// What a template is to say.
    Definition,
    /// The values of fields; the first of what is wrong.
    Fields(Why),
    /// The template is not in a state from which this can be done.
    State,
}

impl Problem {
    pub(in crate::http) fn about(&self) -> &About {
        &self.about
    }

    pub(in crate::http) fn failure(&self) -> &Failure {
        &self.failure
    }

    pub(in crate::http) fn status(&self, asked: &Asked) -> u16 {
        self.failure.status(asked).as_u16()
    }

    pub(in crate::http) fn code(&self) -> ResponseCode {
        self.failure.code()
    }

    /// A failure that a field of the request would mend, or has caused.
    pub(super) fn of_field(failure: Failure, field: &str) -> Self {
        let errors = vec![FieldProblem {
            field: field.to_owned(),
            message: failure.message().to_owned(),
        }];
        Self {
            failure: Box::new(failure),
            errors,
            about: Box::new(About::Failure),
        }
    }

    /// Whether it is that there is no such record.
    pub(in crate::http) fn is_not_found(&self) -> bool {
        self.failure.is_not_found()
    }

    /// Whether it is that there is such a record.
    pub(super) fn is_taken(&self) -> bool {
        self.errors.is_empty() && self.failure.code() == ResponseCode::HANDLE_ALREADY_EXISTS
    }

    pub(in crate::http) fn into_parts(self) -> (String, Vec<FieldProblem>) {
        (self.failure.message().to_owned(), self.errors)
    }

    /// The answer; a failure without fields is left to who asked, as it may need a challenge.
    pub(in crate::http) fn into_answer(self, asked: &Asked) -> Result<Response, Failure> {
        match self.errors.is_empty() {
            true => Err(*self.failure),
            false => Ok(self.failure.into_problem(asked, self.errors)),
        }
    }

    fn unprocessable(what: &str, errors: Vec<FieldProblem>, about: About) -> Self {
        let message = match errors.as_slice() {
            [only] => format!("{what} is not right: {}: {}", only.field, only.message),
            errors => format!(
                "{what} is not right in {} places; see `errors`",
                errors.len()
            ),
        };
        let failure = Failure::new(ResponseCode::INVALID_VALUE, message);
        Self {
            failure: Box::new(failure.with_status(UNPROCESSABLE)),
            errors,
            about: Box::new(about),
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self {
            failure: Box::new(failure),
            errors: Vec::new(),
            about: Box::new(About::Failure),
        }
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let field = match error {
            LoginError::CodeNeeded | LoginError::TooSoon => "code",
            LoginError::MustChange => "newPassword",
            LoginError::Unfit(LoginFault::Secret) => "secret",
            LoginError::Unfit(_) => "newPassword",
            other => return Failure::from(other).into(),
        };
        Self::of_field(Failure::from(error), field)
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Failure::from(error).into()
    }
}

impl From<ParamError> for Problem {
    fn from(error: ParamError) -> Self {
        Failure::from(error).into()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Failure::from(error).into()
    }
}

impl From<Vec<Fault>> for Problem {
    fn from(faults: Vec<Fault>) -> Self {
        let errors = faults.into_iter().map(|fault| FieldProblem {
            field: fault.place,
            message: fault.why,
        });
        Self::unprocessable("the template", errors.collect(), About::Definition)
    }
}

impl From<Vec<FieldFault>> for Problem {
    fn from(faults: Vec<FieldFault>) -> Self {
        let first = faults.first().map(|fault| fault.why.clone());
        let about = first.map_or(About::Failure, About::Fields);
        let errors = faults.into_iter().map(|fault| FieldProblem {
            field: fault.field,
            message: fault.why.to_string(),
        });
        Self::unprocessable("the registration", errors.collect(), about)
    }
}

impl From<Vec<grant::Fault>> for Problem {
    fn from(faults: Vec<grant::Fault>) -> Self {
        let errors = faults.into_iter().map(|fault| FieldProblem {
            field: fault.place,
            message: fault.why,
        });
        Self::unprocessable("the grant", errors.collect(), About::Failure)
    }
}

impl From<WrongState> for Problem {
    fn from(error: WrongState) -> Self {
        let failure = Failure::new(ResponseCode::HANDLE_ALREADY_EXISTS, error.to_string());
        Self {
            about: Box::new(About::State),
            ..failure.into()
        }
    }
}

impl From<NotAmended> for Problem {
    fn from(error: NotAmended) -> Self {
        match error {
            NotAmended::State(error) => error.into(),
            NotAmended::Faults(faults) => faults.into(),
        }
    }
}
