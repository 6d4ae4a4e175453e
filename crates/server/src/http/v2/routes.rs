//! Every path below `/api/v2/`, what is done there, and what it takes and gives.
//!
//! A request that is not in the table goes no further, so nothing is done that is not described:
//! the description of the interface (`openapi.json`) is made from the table.

use axum::http::Method;

/// Something that is done at a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) method: &'static str,
    /// `{handle}` stands for one or more segments, every other part in braces for one.
    pub(super) path: &'static str,
    /// What it is about.
    pub(super) area: &'static str,
    pub(super) summary: &'static str,
    /// Names of parameters of the query and of headers.
    pub(super) params: &'static [&'static str],
    pub(super) body: Body,
    pub(super) answer: (u16, Content),
    /// Another status of the same answer.
    pub(super) also: Option<u16>,
}

impl Route {
    /// The same; what it says it has done may be that it has made something.
    const fn also_makes(self) -> Self {
        Self {
            also: Some(201),
            ..self
        }
    }
}

/// What a request has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    None,
    /// JSON of a form of that name.
    Json(&'static str),
    /// A file, as a part of a form.
    File,
    /// A batch: JSON of a form of that name, or rows alone.
    Batch(&'static str),
    /// Rows of any number.
    Rows,
}

/// What an answer says if all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    None,
    /// JSON of a form of that name.
    Json(&'static str),
    /// JSON of the one form or the other.
    Either(&'static str, &'static str),
    /// JSON of a kind whose form is described by others.
    Any(&'static str),
    /// The octets of a file.
    Octets,
    /// JSON Lines or a table.
    Rows,
    /// Server-sent events.
    Events,
    /// A page for people.
    Page,
}

use self::Body::{Batch, File, Json as Takes, None as Nothing, Rows};
use self::Content::{Any, Either, Events, Json as Gives, Octets, Page};

const CHANGE: &[&str] = &["dryRun", "ifMatch", "idempotencyKey"];
const NEW: &[&str] = &["dryRun", "idempotencyKey"];
const DONE: (u16, Content) = (200, Gives("DoneAnswer"));
const MADE: (u16, Content) = (201, Gives("DoneAnswer"));

/// Shortens the table: a line of it is a line here.
const fn route(
    (method, path): (&'static str, &'static str),
    (area, summary): (&'static str, &'static str),
    params: &'static [&'static str],
    body: Body,
    answer: (u16, Content),
) -> Route {
    Route {
        method,
        path,
        area,
        summary,
        params,
        body,
        answer,
        also: None,
    }
}

/// What is done below `/api/v2/`. Of two that fit, the first one holds.
#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    route(("GET", ""), ("description", "This interface, for people"), &[], Nothing, (200, Page)),
    route(("GET", "openapi.json"), ("description", "This interface, for programs"),
        &["ifNoneMatch"], Nothing, (200, Any("application/json"))),

    route(("GET", "templates"), ("templates", "The templates of a prefix"),
        &["prefix!", "category", "after", "limit"], Nothing, (200, Gives("PageAnswer"))),
    route(("POST", "templates"), ("templates", "Make a draft"),
        NEW, Takes("NewTemplate"), MADE),
    route(("GET", "templates/{handle}"), ("templates", "A template"),
        &["ifNoneMatch"], Nothing, (200, Gives("TemplateAnswer"))),
    route(("PUT", "templates/{handle}"), ("templates", "Change a draft or a withdrawn template"),
        CHANGE, Takes("ChangedTemplate"), DONE),
    route(("POST", "templates/{handle}"), ("templates", "Publish, withdraw, disable or copy it"),
        CHANGE, Takes("TemplateAction"), DONE).also_makes(),
    route(("GET", "schemas/{handle}"), ("templates", "A template as JSON Schema"),
        &[], Nothing, (200, Any("application/schema+json"))),

    route(("GET", "categories"), ("categories", "The categories of a prefix"),
        &["prefix!", "ifNoneMatch"], Nothing, (200, Gives("CategoriesAnswer"))),
    route(("POST", "categories"), ("categories", "Add a category"),
        NEW, Takes("NewCategory"), MADE),
    route(("PATCH", "categories/{prefix}/{code}"), ("categories", "Change a category"),
        CHANGE, Takes("ChangedCategory"), DONE),
    route(("DELETE", "categories/{prefix}/{code}"), ("categories", "Delete a category"),
        CHANGE, Nothing, DONE),

    route(("GET", "registrations"), ("registrations", "What is registered by a template, has a \
        value, or refers to a record"),
        &["template", "field", "value", "refersTo", "after", "limit"], Nothing,
        (200, Gives("PageAnswer"))),
    route(("POST", "registrations"), ("registrations", "Register a thing"),
        NEW, Takes("NewRegistration"), MADE),
    route(("POST", "registrations/batch"), ("registrations", "Register or change many"),
        &["template", "mode", "dryRun", "idempotencyKey"], Batch("Bulk"),
        (200, Gives("BulkAnswer"))),
    route(("GET", "registrations/export"), ("registrations", "Everything that is registered by a \
        template"), &["template!", "format"], Nothing, (200, Content::Rows)),
    route(("GET", "registrations/{handle}"), ("registrations", "A registration"),
        &[], Nothing, (200, Gives("RegistrationAnswer"))),
    route(("PUT", "registrations/{handle}"), ("registrations", "Write a registration over"),
        CHANGE, Takes("ChangedRegistration"), DONE),
    route(("PATCH", "registrations/{handle}"), ("registrations", "Change fields of it"),
        CHANGE, Takes("ChangedRegistration"), DONE),
    route(("DELETE", "registrations/{handle}"), ("registrations", "Delete a registration"),
        CHANGE, Nothing, DONE),

    route(("GET", "jobs"), ("jobs", "Your jobs"), &[], Nothing, (200, Gives("JobsAnswer"))),
    route(("POST", "jobs/import"), ("jobs", "Register or change any number of things"),
        &["template!", "mode", "dryRun", "in", "idempotencyKey"], Rows,
        (202, Gives("JobAnswer"))),
    route(("GET", "jobs/{id}"), ("jobs", "A job"), &[], Nothing, (200, Gives("JobAnswer"))),
    route(("POST", "jobs/{id}"), ("jobs", "Cancel a job, or resume it"),
        &[], Takes("JobAction"), (200, Gives("JobAnswer"))),
    route(("DELETE", "jobs/{id}"), ("jobs", "Forget a job that has come to its end"),
        &[], Nothing, (204, Content::None)),
    route(("GET", "jobs/{id}/errors"), ("jobs", "The rows that were refused"),
        &["format"], Nothing, (200, Content::Rows)),

    route(("GET", "changes"), ("views", "What happens to the records of a prefix"),
        &["prefix!", "since", "lastEventId"], Nothing, (200, Events)),
    route(("GET", "graph/{handle}"), ("views", "What a record refers to, and what to it"),
        &["depth", "direction", "nodes"], Nothing, (200, Gives("GraphAnswer"))),
    route(("GET", "statistics"), ("views", "Numbers"),
        &["prefix"], Nothing, (200, Gives("StatisticsAnswer"))),

    route(("GET", "grants"), ("grants", "What is granted to somebody"),
        &["to!", "since"], Nothing, (200, Gives("NoticesAnswer"))),
    route(("GET", "grants/{handle}"), ("grants", "The grants of a template or a registration"),
        &["for"], Nothing, (200, Gives("GrantsAnswer"))),
    route(("PATCH", "grants/{handle}"), ("grants", "Change grants"),
        CHANGE, Takes("ChangedGrants"), DONE),
    route(("POST", "grants/{handle}"), ("grants", "Change grants, for clients without PATCH"),
        CHANGE, Takes("ChangedGrants"), DONE),

    route(("GET", "enterprises"), ("enterprises", "Applications of enterprises for a prefix"),
        &["prefix!", "after", "limit"], Nothing, (200, Gives("EnterprisesAnswer"))),
    route(("POST", "enterprises"), ("enterprises", "Apply for a prefix"),
        NEW, Takes("FiledEnterprise"), MADE),
    route(("GET", "enterprises/{handle}"), ("enterprises", "An application"),
        &[], Nothing, (200, Gives("EnterpriseAnswer"))),
    route(("PUT", "enterprises/{handle}"), ("enterprises", "Amend an application"),
        CHANGE, Takes("FiledEnterprise"), DONE),
    route(("POST", "enterprises/{handle}"), ("enterprises", "Review, delegate or host it"),
        CHANGE, Takes("EnterpriseAction"), DONE),

    route(("GET", "identities"), ("identities", "The identities of a prefix"),
        &["prefix!", "kind", "after", "limit"], Nothing, (200, Gives("PageAnswer"))),
    route(("POST", "identities"), ("identities", "Make an identity"),
        NEW, Takes("NewIdentity"), (201, Gives("KeyAnswer"))),
    route(("GET", "identities/{handle}"), ("identities", "An identity"),
        &[], Nothing, (200, Gives("IdentityAnswer"))),
    route(("POST", "identities/{handle}"), ("identities", "Change an identity"),
        CHANGE, Takes("IdentityAction"), (200, Either("DoneAnswer", "KeyAnswer"))),
    route(("DELETE", "identities/{handle}"), ("identities", "Delete an identity"),
        CHANGE, Nothing, DONE),

    route(("GET", "groups"), ("groups", "The groups of a prefix"),
        &["prefix!", "after", "limit"], Nothing, (200, Gives("GroupsAnswer"))),
    route(("POST", "groups"), ("groups", "Make a group, or list one of another enterprise"),
        NEW, Takes("NewGroup"), MADE),
    route(("GET", "groups/{handle}"), ("groups", "A group"),
        &[], Nothing, (200, Gives("GroupAnswer"))),
    route(("POST", "groups/{handle}"), ("groups", "Change a group"),
        CHANGE, Takes("GroupAction"), DONE),
    route(("DELETE", "groups/{handle}"), ("groups", "Delete a group"),
        CHANGE, Nothing, DONE),

    route(("POST", "files"), ("files", "Keep a file for a field"),
        &["template!", "fileField!", "fileOf"], File, (201, Gives("FileAnswer"))),
    route(("GET", "files/{name}"), ("files", "A file that a registration names"),
        &["of!", "fileField!"], Nothing, (200, Octets)),

    route(("GET", "login"), ("login", "Who is logged in"),
        &[], Nothing, (200, Gives("WhoAnswer"))),
    route(("DELETE", "login"), ("login", "Log out"), &[], Nothing, (204, Content::None)),
    route(("POST", "login/challenge"), ("login", "Ask for a nonce"),
        &[], Takes("ChallengeRequest"), (200, Gives("ChallengeAnswer"))),
    route(("POST", "login/answer"), ("login", "Log in by the signature of a nonce"),
        &[], Takes("SignatureRequest"), (200, Gives("TokenAnswer"))),
    route(("POST", "login/password"), ("login", "Log in by a password"),
        &[], Takes("PasswordRequest"), (200, Gives("TokenAnswer"))),
    route(("POST", "login/own-password"), ("login", "Change one's password"),
        &[], Takes("OwnPasswordRequest"), (200, Gives("TokenAnswer"))),
    route(("POST", "login/second-factor"), ("login", "Change one's second factor"),
        &[], Takes("SecondFactorRequest"), (200, Either("SecondFactorAnswer", "TokenAnswer"))),
    route(("GET", "login/set-up"), ("login", "Whether the first administrator is still to be made"),
        &[], Nothing, (200, Gives("SetUpAnswer"))),
    route(("POST", "login/set-up"), ("login", "Make the first administrator"),
        &[], Takes("SetUpRequest"), (200, Gives("TokenAnswer"))),
];

//----------- Finding --------------------------------------------------------

/// What there is for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Something is done.
    Route,
    /// Something is done at the path, by these methods.
    Methods(Vec<&'static str>),
    /// Nothing is done at the path.
    Nothing,
}

/// Looks up what is done at a path, still percent-encoded.
pub(super) fn find(method: &Method, path: &str) -> Found {
    let method = match method {
        &Method::HEAD => "GET",
        other => other.as_str(),
    };
    let mut methods: Vec<&str> = Vec::new();
    let mut first = None;
    for route in ROUTES.iter().filter(|route| fits(route.path, path)) {
        // `registrations/batch` is no registration whose handle is `batch`.
        if first.is_some_and(|first| first != route.path) {
            break;
        }
        first = Some(route.path);
        if route.method == method {
            return Found::Route;
        }
        methods.push(route.method);
        if route.method == "GET" {
            methods.push("HEAD");
        }
    }
    match methods.is_empty() {
        true => Found::Nothing,
        false => Found::Methods(methods),
    }
}

/// Whether a path, still percent-encoded, is one of a pattern.
pub(super) fn fits(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    for part in pattern.split('/') {
        if part == "{handle}" {
            // It is the last one, and a handle may have slashes.
            return segments.next().is_some_and(|first| !first.is_empty());
        }
        let Some(segment) = segments.next() else {
            return false;
        };
        let is_one = match part.starts_with('{') {
            true => !segment.is_empty(),
            false => part == segment,
        };
        if !is_one {
            return false;
        }
    }
    segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_with_their_methods() {
        let route = |method: Method, path: &str| find(&method, path);
        for (method, path) in [
            (Method::GET, ""),
            (Method::HEAD, "templates"),
            (Method::GET, "templates/88.118.5/META_a"),
            (Method::GET, "templates/88.118.5%2FMETA_a"),
            (Method::POST, "registrations/batch"),
            (Method::DELETE, "registrations/88.118.5/a/b"),
            (Method::GET, "jobs/00ff/errors"),
        ] {
            assert_eq!(route(method.clone(), path), Found::Route, "{method} {path}");
        }
        for path in [
            "nothing",
            "templates/",
            "jobs/1/2/3",
            "schemas",
            "login/x",
            "jobs//errors",
        ] {
            assert_eq!(route(Method::GET, path), Found::Nothing, "{path}");
        }
        let batch = Found::Methods(vec!["POST"]);
        assert_eq!(route(Method::GET, "registrations/batch"), batch);
        let job = Found::Methods(vec!["GET", "HEAD", "POST", "DELETE"]);
        assert_eq!(route(Method::TRACE, "jobs/1"), job);
    }
}
