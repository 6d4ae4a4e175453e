//! The two tables between outcomes and numbers: response codes, and HTTP statuses.

use guantong_proto::message::{ResponseCode, Version};

use super::outcome::{Outcome, Trouble};

impl<V> Outcome<V> {
    /// The response code of an outcome (3.2). The only place where one becomes the other.
    pub fn code(&self) -> ResponseCode {
        match self {
            Self::Record(_) => ResponseCode::SUCCESS,
            Self::ValuesNotFound => ResponseCode::VALUES_NOT_FOUND,
            // Clients know no code for a record that was.
            Self::NotFound | Self::Withdrawn(_) => ResponseCode::HANDLE_NOT_FOUND,
            Self::Referral(_) => ResponseCode::PREFIX_REFERRAL,
            Self::ServiceReferral(_) => ResponseCode::SERVICE_REFERRAL,
            Self::NotResponsible(_) => ResponseCode::SERVER_NOT_RESPONSIBLE,
            Self::AuthenticationNeeded => ResponseCode::AUTHENTICATION_NEEDED,
            Self::InsufficientPermissions => ResponseCode::INSUFFICIENT_PERMISSIONS,
            Self::InvalidHandle(_) => ResponseCode::INVALID_HANDLE,
            Self::SelectionTooLong => ResponseCode::PROTOCOL_ERROR,
            Self::RecursionTooDeep => ResponseCode::RECURSION_COUNT_TOO_HIGH,
            Self::Damaged(_) => ResponseCode::ERROR,
            Self::Unresolved(trouble, _) => trouble.code(),
        }
    }

    /// The HTTP status of an outcome where its code alone does not say it: what is withdrawn is
    /// gone, and failures of the servers behind us are not failures of ours (RFC 9110, 15.5.11,
    /// 15.6.3 and 15.6.5).
    pub fn own_status(&self) -> Option<u16> {
        match self {
            Self::Withdrawn(_) => Some(410),
            Self::Unresolved(Trouble::Unreachable | Trouble::TooLate, _) => Some(504),
            Self::Unresolved(Trouble::Unsound | Trouble::TooDeep, _) => Some(502),
            _ => None,
        }
    }
}

impl Trouble {
    fn code(self) -> ResponseCode {
        match self {
            Self::Busy => ResponseCode::SERVER_TOO_BUSY,
            Self::Unreachable | Self::TooLate | Self::Unsound => ResponseCode::ERROR,
            Self::TooDeep => ResponseCode::RECURSION_COUNT_TOO_HIGH,
            Self::Restricted => ResponseCode::INSUFFICIENT_PERMISSIONS,
            Self::Refused(code) => code,
        }
    }
}

/// The code that means the same to a peer of `version`.
///
/// Below 2.5 three codes had other numbers (1.2, 3.2): 303 was "read-only" and 202 did not exist.
/// A referral cannot be said there; that the name lives elsewhere can.
pub fn code_for_version(code: ResponseCode, version: Version) -> ResponseCode {
    if version.at_least(2, 5) {
        return code;
    }
    match code {
        ResponseCode::PREFIX_REFERRAL | ResponseCode::SERVICE_REFERRAL => {
            ResponseCode::SERVER_NOT_RESPONSIBLE
        }
        ResponseCode::SERVER_READ_ONLY => ResponseCode::PREFIX_REFERRAL,
        ResponseCode::INVALID_VALUE => ResponseCode::VALUE_ALREADY_EXISTS,
        other => other,
    }
}

/// What an HTTP request did, where the status depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpOperation {
    /// Resolution.
    Resolve,
    /// A record was created, or values were added to one.
    Create,
    /// Anything else.
    Other,
}

/// The HTTP status of a response code (8.3). The only place where one becomes the other.
pub fn http_status(code: ResponseCode, operation: HttpOperation, over_tls: bool) -> u16 {
    match code {
        ResponseCode::SUCCESS if operation == HttpOperation::Create => 201,
        ResponseCode::SUCCESS => 200,
        ResponseCode::VALUES_NOT_FOUND if operation == HttpOperation::Resolve => 200,
        ResponseCode::VALUES_NOT_FOUND => 400,
        ResponseCode::SERVICE_REFERRAL | ResponseCode::PREFIX_REFERRAL => 300,
        ResponseCode::HANDLE_NOT_FOUND => 404,
        ResponseCode::HANDLE_ALREADY_EXISTS | ResponseCode::VALUE_ALREADY_EXISTS => 409,
        ResponseCode::PROTOCOL_ERROR
        | ResponseCode::INVALID_HANDLE
        | ResponseCode::INVALID_VALUE
        | ResponseCode::SERVER_NOT_RESPONSIBLE => 400,
        ResponseCode::OPERATION_NOT_SUPPORTED => 501,
        ResponseCode::SERVER_TOO_BUSY | ResponseCode::SERVER_READ_ONLY => 503,
        ResponseCode::AUTHENTICATION_NEEDED if over_tls => 401,
        ResponseCode::AUTHENTICATION_NEEDED
        | ResponseCode::INVALID_ADMIN
        | ResponseCode::INSUFFICIENT_PERMISSIONS
        | ResponseCode::AUTHENTICATION_FAILED
        | ResponseCode::INVALID_CREDENTIAL => 403,
        _ => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HttpOperation::{Create, Other, Resolve};

    #[test]
    fn statuses_are_those_of_the_table() {
        let table: &[(i32, u16)] = &[
            (1, 200),
            (302, 300),
            (303, 300),
            (100, 404),
            (101, 409),
            (201, 409),
            (4, 400),
            (102, 400),
            (202, 400),
            (301, 400),
            (5, 501),
            (3, 503),
            (7, 503),
            (400, 403),
            (401, 403),
            (403, 403),
            (404, 403),
            (2, 500),
            (6, 500),
            (300, 500),
            (405, 500),
            (406, 500),
            (500, 500),
            (501, 500),
            (9999, 500),
            (-1, 500),
        ];
        for &(code, status) in table {
            for operation in [Resolve, Other] {
                for tls in [false, true] {
                    let found = http_status(ResponseCode(code), operation, tls);
                    assert_eq!(found, status, "{code} {operation:?} tls={tls}");
                }
            }
        }
        assert_eq!(http_status(ResponseCode(1), Create, false), 201);
        assert_eq!(http_status(ResponseCode(200), Resolve, false), 200);
        assert_eq!(http_status(ResponseCode(200), Other, false), 400);
        assert_eq!(http_status(ResponseCode(402), Resolve, true), 401);
        assert_eq!(http_status(ResponseCode(402), Resolve, false), 403);
    }

    #[test]
    fn old_peers_get_the_numbers_of_their_time() {
        let old = Version::new(2, 4);
        let told = |code| code_for_version(ResponseCode(code), old).0;
        assert_eq!(
            [told(303), told(302), told(7), told(202), told(100)],
            [301, 301, 303, 201, 100]
        );
        let told = |code| code_for_version(ResponseCode(code), Version::new(2, 5)).0;
        assert_eq!([told(303), told(7), told(202)], [303, 7, 202]);
    }
}
