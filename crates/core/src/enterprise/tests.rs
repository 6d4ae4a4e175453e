use guantong_proto::wire::Writer;

use super::*;

const PARENT: &str = "88.118";

fn form() -> Form {
    Form {
        name: "赤水酒业".to_owned(),
        document: Document {
            kind: DocumentKind::CreditCode,
            number: "91520300MA6H00000X".to_owned(),
        },
        prefix: "88.118.0042".to_owned(),
        user_name: "chishui".to_owned(),
        contact: Contact {
            name: "李".to_owned(),
            email: "li@example.org".to_owned(),
            ..Contact::default()
        },
        ..Form::default()
    }
}

fn application() -> Application {
    Application::file(Handle::parse("88.118/Enterprise_1").unwrap(), form(), 10).unwrap()
}

fn places(faults: &[Fault]) -> Vec<&str> {
    faults.iter().map(|fault| fault.place.as_str()).collect()
}

#[test]
fn application_goes_through_its_life_and_no_other_way() {
    let steps = |state: State| {
        let mut application = application();
        application.head.state = state;
        let take = |step: Step| application.clone().take(step, 20).map(|a| a.state());
        [
            take(Step::Amend(Box::new(form()))),
            take(Step::Approve(None)),
            take(Step::Reject("why".to_owned())),
            take(Step::Delegate),
            take(Step::Host),
        ]
        .map(|taken| taken.ok())
    };
    use State::{Applied, Approved, Delegated, Hosted, Rejected};
    let some = |state| Some(state);
    assert_eq!(
        steps(Applied),
        [some(Applied), some(Approved), some(Rejected), None, None]
    );
    assert_eq!(
        steps(Approved),
        [None, None, some(Rejected), some(Delegated), some(Hosted)]
    );
    assert_eq!(steps(Rejected), [some(Applied), None, None, None, None]);
    assert_eq!(steps(Delegated), [None, None, None, some(Delegated), None]);
    assert_eq!(
        steps(Hosted),
        [None, None, None, some(Delegated), some(Hosted)]
    );
}

#[test]
fn approval_may_give_another_prefix_and_rejection_needs_a_reason() {
    let other = Step::Approve(Some("88.118.7".to_owned()));
    let approved = application().take(other, 20).unwrap();
    assert_eq!(approved.form().prefix, "88.118.7");
    assert_eq!((approved.filed_secs(), approved.changed_secs()), (10, 20));
    for reason in ["", " ", &"x".repeat(limit::REASON_CHARS_MAX + 1)] {
        let refused = application().take(Step::Reject(reason.to_owned()), 20);
        assert!(matches!(refused, Err(NotDone::Faults(f)) if places(&f) == ["reason"]));
    }
    let foreign = Step::Approve(Some("88.119.7".to_owned()));
    let refused = application().take(foreign, 20);
    assert!(matches!(refused, Err(NotDone::Faults(f)) if places(&f) == ["prefix"]));
}

#[test]
fn every_fault_of_a_form_is_told_at_its_limit() {
    let long = |most: usize| "x".repeat(most + 1);
    let wrong = Form {
        name: long(limit::NAME_CHARS_MAX),
        document: Document {
            kind: DocumentKind::Other,
            number: String::new(),
        },
        prefix: "88.118".to_owned(),
        user_name: "a\nb".to_owned(),
        contact: Contact::default(),
        public_key: long(limit::KEY_OCTETS_MAX),
        details: [("a".to_owned(), long(limit::DETAILS_OCTETS_MAX).into())]
            .into_iter()
            .collect(),
    };
    let expected = [
        "name",
        "document.number",
        "userName",
        "contact.name",
        "contact",
        "prefix",
        "publicKey",
        "details",
    ];
    assert_eq!(places(&wrong.faults(PARENT)), expected);
    let most = Form {
        name: "x".repeat(limit::NAME_CHARS_MAX),
        user_name: "x".repeat(limit::USER_CHARS_MAX),
        prefix: format!("88.118.{}", "9".repeat(limit::SEGMENT_CHARS_MAX)),
        ..form()
    };
    assert_eq!(most.faults(PARENT), []);
    for prefix in [
        "",
        "88.118.",
        "88.1180042",
        "88.118.1.2",
        "88.118.-",
        "88.118.一",
    ] {
        let wrong = Form {
            prefix: prefix.to_owned(),
            ..form()
        };
        assert_eq!(places(&wrong.faults(PARENT)), ["prefix"], "{prefix}");
    }
}

#[test]
fn record_gives_back_its_application_and_shows_nothing_to_the_public() {
    let application = application();
    let values = application.to_values(CaseRule::Insensitive);
    assert!(values.iter().all(Application::owns));
    assert!(values.iter().any(Value::is_state));
    let hidden = values.iter().filter(|value| !value.is_state());
    assert!(hidden.clone().all(|value| value.permissions.0 == 0x0c));
    let read = |values: &[Value]| {
        let wire = Writer::to_vec(|w| Values::encode(values, w));
        Application::of(
            application.handle().clone(),
            Values::from_wire(&wire).unwrap(),
        )
    };
    assert_eq!(read(&values), Some(application.clone()));
    assert_eq!(read(&[]), None);
    let json = values[0].data.clone();
    for len in 0..json.len() {
        let cut = Value {
            data: json[..len].to_vec(),
            ..values[0].clone()
        };
        assert_eq!(read(&[cut]), None, "{len}");
    }
}

#[test]
fn rejected_application_leaves_its_names_to_others() {
    let rule = CaseRule::Insensitive;
    assert_eq!(application().lookups(rule).len(), 3);
    let rejected = application()
        .take(Step::Reject("why".to_owned()), 20)
        .unwrap();
    assert_eq!(rejected.lookups(rule), []);
    let same = Application::file(
        Handle::parse("88.118/Enterprise_2").unwrap(),
        Form {
            user_name: "CHISHUI".to_owned(),
            ..form()
        },
        30,
    );
    assert_eq!(same.unwrap().lookups(rule), application().lookups(rule));
}

#[test]
fn administrators_above_change_routes_and_no_records() {
    use guantong_proto::data::{Admin, AdminPermissions};
    let admin = |permissions, handle: &str| {
        let data = Admin::new(permissions, handle, 300).encode();
        Value::new(100, "HS_ADMIN", data)
    };
    let record = [
        admin(AdminPermissions::ALL, "0.NA/88.118"),
        admin(AdminPermissions::ADD_HANDLE, "88.118/portal"),
        Value::new(101, "HS_ADMIN", "x"),
        Value::new(1, "URL", "x"),
    ];
    assert_eq!(copied_administrators(&record).len(), 3);
    let admins = route_administrators(&record);
    assert_eq!(admins.len(), 1);
    let may = admins[0].permissions.0;
    assert_ne!(may & AdminPermissions::MODIFY_VALUE.0, 0);
    assert_eq!(may & AdminPermissions::ADD_HANDLE.0, 0);
    assert_eq!(may & AdminPermissions::DELETE_HANDLE.0, 0);
}

#[test]
fn application_of_a_guest_is_counted_while_it_waits() {
    let rule = CaseRule::Insensitive;
    let above = Handle::parse("0.NA/88.118").unwrap();
    let is_counted = |application: &Application| {
        let key = guests_key(&above, rule);
        application
            .to_values(rule)
            .iter()
            .any(|value| value.data == key)
    };
    assert!(!is_counted(&application()));
    let of_guest = application().by_guest();
    assert!(is_counted(&of_guest));
    assert!(!is_counted(
        &of_guest.take(Step::Approve(None), 20).unwrap()
    ));
}

#[test]
fn first_user_is_named_by_the_form_and_his_login_is_no_login_of_the_application() {
    use crate::identity::{Chosen, Login, SALT_LEN};

    let user = application().user().unwrap();
    assert_eq!(user.as_str(), "88.118.0042/User_chishui");
    let other = Form {
        user_name: "赤水".to_owned(),
        ..form()
    };
    let handle = Handle::parse("88.118/Enterprise_1").unwrap();
    let other = Application::file(handle, other, 10).unwrap();
    assert_eq!(other.user().unwrap_err().place, "userName");
    let login = Login::new("correct horse", [7; SALT_LEN], Chosen::ByOwner).unwrap();
    let wire = Writer::to_vec(|w| Values::encode(&[applicant_value(&login)], w));
    let values = Values::from_wire(&wire).unwrap();
    assert_eq!(applicant_login(values), Some(login));
    assert!(Login::of(values).is_none());
    assert!(values.iter().all(|value| value.is_secret()));
    assert_eq!(applicant_login(Values::EMPTY), None);
}
