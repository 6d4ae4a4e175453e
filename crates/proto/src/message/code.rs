//! Operation codes, response codes and operation flags.
//!
//! All three are open: a number without a name survives a round trip and prints as a number.

use std::fmt;

/// Defines an open code: a number with named constants.
macro_rules! open_code {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$item_doc:meta])* $item:ident = $number:literal, $text:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub i32);

        impl $name {
            $($(#[$item_doc])* pub const $item: Self = Self($number);)*

            /// The usual words for the code; `None` for a number without a name.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => write!(f, "{} ({name})", self.0),
                    None => write!(f, "{}", self.0),
                }
            }
        }
    };
}

//----------- OpCode ---------------------------------------------------------

open_code! {
    /// What a message asks for.
    OpCode {
        /// Replies to input that could not be decoded.
        RESERVED = 0, "reserved";
        /// Resolve a handle.
        RESOLVE = 1, "resolve";
        /// The site record of the server.
        GET_SITE_INFO = 2, "get site info";
        /// Create a record.
        CREATE = 100, "create handle";
        /// Delete a record.
        DELETE = 101, "delete handle";
        /// Add values to a record.
        ADD_VALUE = 102, "add value";
        /// Remove values from a record.
        REMOVE_VALUE = 103, "remove value";
        /// Replace values of a record.
        MODIFY_VALUE = 104, "modify value";
        /// List the handles under a prefix.
        LIST_HANDLES = 105, "list handles";
        /// List derived prefixes; in the RFC and in DO-IRP, not in Handle.Net.
        LIST_DERIVED = 106, "list derived prefixes";
        /// Answer to a challenge.
        CHALLENGE_ANSWER = 200, "answer to challenge";
        /// Check a secret-key answer on behalf of another server.
        VERIFY_ANSWER = 201, "verify challenge answer";
        /// Accept responsibility for a prefix.
        HOME_PREFIX = 300, "home prefix";
        /// End responsibility for a prefix.
        UNHOME_PREFIX = 301, "unhome prefix";
        /// List the homed prefixes.
        LIST_HOMED = 302, "list homed prefixes";
        /// Begin a session.
        SESSION_SETUP = 400, "session setup";
        /// End a session.
        SESSION_TERMINATE = 401, "session terminate";
        /// Send the session key (key exchange mode 2).
        SESSION_EXCHANGE_KEY = 402, "session key exchange";
        /// Ask for the next transaction number; obsolete.
        GET_NEXT_TXN = 1000, "get next transaction";
        /// Replication: transactions.
        RETRIEVE_TXN = 1001, "retrieve transactions";
        /// Replication: everything.
        DUMP_HANDLES = 1002, "dump handles";
        /// Ask the server to back itself up.
        BACKUP_SERVER = 1003, "backup server";
        /// Login of one connection, spoken by id-pointer-sdk.
        LOGIN = 2001, "login";
    }
}

impl OpCode {
    /// Whether the operation changes something or needs administrative authority to be asked.
    pub fn is_administrative(self) -> bool {
        matches!(self.0, 100..=106 | 300..=302 | 1000..=1003)
    }
}

//----------- ResponseCode ---------------------------------------------------

open_code! {
    /// The outcome of a request.
    ResponseCode {
        /// The message is a request.
        RESERVED = 0, "request";
        /// Done.
        SUCCESS = 1, "success";
        /// General failure of the server.
        ERROR = 2, "error";
        /// The server has too much to do.
        SERVER_TOO_BUSY = 3, "server too busy";
        /// The request is malformed.
        PROTOCOL_ERROR = 4, "protocol error";
        /// The server does not do that.
        OPERATION_NOT_SUPPORTED = 5, "operation not supported";
        /// Too many servers have passed the request on.
        RECURSION_COUNT_TOO_HIGH = 6, "recursion count too high";
        /// The server takes no changes for the time being.
        SERVER_READ_ONLY = 7, "server temporarily read-only";
        /// No such record.
        HANDLE_NOT_FOUND = 100, "handle not found";
        /// The record exists.
        HANDLE_ALREADY_EXISTS = 101, "handle already exists";
        /// The name cannot be a handle, or not one for this operation.
        INVALID_HANDLE = 102, "invalid handle";
        /// The record has none of the values asked for.
        VALUES_NOT_FOUND = 200, "values not found";
        /// A value with that index exists.
        VALUE_ALREADY_EXISTS = 201, "value already exists";
        /// A value cannot be stored.
        INVALID_VALUE = 202, "invalid value";
        /// The client's site record is out of date.
        OUT_OF_DATE_SITE_INFO = 300, "site information out of date";
        /// The prefix is not homed here, or another server of the site holds the handle.
        SERVER_NOT_RESPONSIBLE = 301, "server not responsible for handle";
        /// Another service holds the handle.
        SERVICE_REFERRAL = 302, "service referral";
        /// A derived prefix is delegated elsewhere.
        PREFIX_REFERRAL = 303, "prefix referral";
        /// The administrator has no rights here.
        INVALID_ADMIN = 400, "invalid admin";
        /// The value may not be read or changed.
        INSUFFICIENT_PERMISSIONS = 401, "insufficient permissions";
        /// A challenge: prove who you are.
        AUTHENTICATION_NEEDED = 402, "authentication needed";
        /// The proof is wrong.
        AUTHENTICATION_FAILED = 403, "authentication failed";
        /// The credential is of a wrong kind or missing.
        INVALID_CREDENTIAL = 404, "invalid credential";
        /// The challenge is unknown or too old.
        AUTHENTICATION_TIMED_OUT = 405, "authentication timed out";
        /// The identity could not be checked.
        UNABLE_TO_AUTHENTICATE = 406, "unable to authenticate";
        /// The session is unknown or has ended.
        SESSION_TIMEOUT = 500, "session timeout";
        /// The session cannot be used.
        SESSION_FAILED = 501, "session failed";
        /// The session key is invalid or missing.
        INVALID_SESSION_KEY = 502, "invalid session key";
        /// The exchange needs an RSA key.
        NEED_RSA_KEY = 503, "RSA key needed";
        /// The session setup request is invalid.
        INVALID_SESSION_SETUP = 504, "invalid session setup request";
        /// A message of the session was seen before.
        SESSION_MESSAGE_REJECTED = 505, "session message rejected";
    }
}

impl ResponseCode {
    /// Whether the body carries a result rather than an error text.
    pub fn is_success(self) -> bool {
        self == Self::SUCCESS
    }

    /// Whether the body carries a referral.
    pub fn is_referral(self) -> bool {
        self == Self::SERVICE_REFERRAL || self == Self::PREFIX_REFERRAL
    }
}

//----------- OpFlags --------------------------------------------------------

/// Flags of an operation. Bits without a name survive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OpFlags(pub u32);

impl OpFlags {
    /// Ask a primary site; in a response: the server belongs to one.
    pub const AUTHORITATIVE: Self = Self(0x8000_0000);
    /// Please sign; in a response: signed.
    pub const CERTIFIED: Self = Self(0x4000_0000);
    /// Please encrypt.
    pub const ENCRYPT: Self = Self(0x2000_0000);
    /// The server may resolve on my behalf.
    pub const RECURSIVE: Self = Self(0x1000_0000);
    /// Caching servers may certify.
    pub const CACHE_CERTIFY: Self = Self(0x0800_0000);
    /// More response messages follow.
    pub const CONTINUOUS: Self = Self(0x0400_0000);
    /// Please keep the connection.
    pub const KEEP_ALIVE: Self = Self(0x0200_0000);
    /// Only publicly readable values; never challenge me.
    pub const PUBLIC_ONLY: Self = Self(0x0100_0000);
    /// Begin the reply with a digest of this request; in a response: it does.
    pub const RETURN_DIGEST: Self = Self(0x0080_0000);
    /// Create or add may replace.
    pub const OVERWRITE: Self = Self(0x0040_0000);
    /// Create: the server completes the name.
    pub const MINT_SUFFIX: Self = Self(0x0020_0000);
    /// No prefix referral please.
    pub const DO_NOT_REFER: Self = Self(0x0010_0000);
    /// A user token follows in the resolution body (id-pointer-sdk).
    pub const USER_TOKEN: Self = Self(0x0000_0004);
    /// In replies of recursive nodes of our own kind: the answer comes from a cache, its time is
    /// over, and nobody who could renew it answers. Not part of the protocol; other clients see a
    /// bit that they do not know.
    pub const STALE: Self = Self(0x0000_0008);

    /// What clients send if they have no special wish: recursive, cache-certify, public only.
    pub const DEFAULT: Self = Self(0x1900_0000);

    /// Whether all bits of `flags` are set.
    pub fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These flags and `flags`.
    #[must_use]
    pub fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    /// These flags without `flags`.
    #[must_use]
    pub fn without(self, flags: Self) -> Self {
        Self(self.0 & !flags.0)
    }

    /// The short names of the set bits, highest first; bits without a name are left out.
    pub fn names(self) -> Vec<&'static str> {
        const NAMES: [(OpFlags, &str); 14] = [
            (OpFlags::AUTHORITATIVE, "AUTH"),
            (OpFlags::CERTIFIED, "CERT"),
            (OpFlags::ENCRYPT, "ENCR"),
            (OpFlags::RECURSIVE, "RECU"),
            (OpFlags::CACHE_CERTIFY, "CACR"),
            (OpFlags::CONTINUOUS, "CONT"),
            (OpFlags::KEEP_ALIVE, "KPAL"),
            (OpFlags::PUBLIC_ONLY, "PUBL"),
            (OpFlags::RETURN_DIGEST, "RRDG"),
            (OpFlags::OVERWRITE, "OVRW"),
            (OpFlags::MINT_SUFFIX, "MINT"),
            (OpFlags::DO_NOT_REFER, "DNRF"),
            (OpFlags::USER_TOKEN, "SDK_RECU_AUTH"),
            (OpFlags::STALE, "STALE"),
        ];
        NAMES
            .into_iter()
            .filter(|(flag, _)| self.has(*flag))
            .map(|(_, name)| name)
            .collect()
    }
}

impl fmt::Display for OpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x} {}", self.0, self.names().join("+"))
    }
}
