//! What came of a request, as a number.

/// Every code that is sent. Clients know more of them; what those mean does not happen here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// It worked. Some products say 10000, which clients do not take from a login.
    Success,
    /// The request makes no sense, or its token is not good.
    Invalid,
    /// The client has not proven who it is.
    ClientUnknown,
    /// The client is known, and has no right to it.
    NotAuthorized,
    /// There is no such identifier.
    NotFound,
    /// There is one already.
    AlreadyExists,
    /// A parameter is missing or wrong.
    Parameter,
    /// The node declines it.
    Declined,
    /// The proof is wrong.
    AuthenticationFailed,
    /// No right to read it.
    MayNotRead,
    /// There is no such operation.
    UnknownOperation,
    /// The operation is not done this way.
    UnsupportedOperation,
    /// No right to change it.
    MayNotEdit,
    /// Anything else.
    Other,
    /// The template is not published.
    NotPublished,
    /// Values of fields are not right.
    Input,
    /// The field takes no values.
    ItemDisabled,
    /// The template has no such field.
    ItemUnknown,
    /// There is no such template.
    TemplateNotFound,
    /// No right to manage the template.
    MayNotManageTemplate,
    /// The template cannot be deleted.
    TemplateNotDeleted,
    /// The template cannot be copied.
    TemplateNotCopied,
    /// No right to delete the identifier.
    MayNotDelete,
    /// The identifier belongs to another enterprise.
    NotOwn,
    /// The state of the template does not allow it.
    NotAllowed,
    /// No right to manage the identifier.
    MayNotManage,
    /// The file is not given.
    File,
    /// There is no such category.
    CategoryNotFound,
    /// Kind and scope of a grant contradict each other.
    GrantKind,
    /// Somebody named in a grant is no application and no group.
    NotAnApplication,
    /// The scope of readers must be a number.
    ReaderScope,
    /// The identifier is malformed.
    MalformedHandle,
}

impl Code {
    /// The number that is sent.
    pub fn number(self) -> i32 {
        match self {
            Self::Success => 1,
            Self::Invalid => 101,
            Self::ClientUnknown => 102,
            Self::NotAuthorized => 103,
            Self::NotFound => 104,
            Self::AlreadyExists => 105,
            Self::Parameter => 106,
            Self::Declined => 200,
            Self::AuthenticationFailed => 401,
            Self::MayNotRead => 403,
            Self::UnknownOperation => 404,
            Self::UnsupportedOperation => 405,
            Self::MayNotEdit => 406,
            Self::Other => 500,
            Self::NotPublished => 600,
            Self::Input => 601,
            Self::ItemDisabled => 602,
            Self::ItemUnknown => 603,
            Self::TemplateNotFound => 604,
            Self::MayNotManageTemplate => 605,
            Self::TemplateNotDeleted => 606,
            Self::TemplateNotCopied => 607,
            Self::MayNotDelete => 700,
            Self::NotOwn => 701,
            Self::NotAllowed => 702,
            Self::MayNotManage => 703,
            Self::File => 800,
            Self::CategoryNotFound => 811,
            Self::GrantKind => 900,
            Self::NotAnApplication => 901,
            Self::ReaderScope => 903,
            Self::MalformedHandle => 40_508,
        }
    }
}
