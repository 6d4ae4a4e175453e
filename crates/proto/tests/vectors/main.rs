//! Judges the protocol vectors: `cargo test -p guantong-proto vectors`.
//!
//! Each vector is `{name, description, hex, fields}`. Which decoder reads its octets follows from
//! the family in its name, and what must come out from its fields; there is no list of names. The
//! environment variable `GUANTONG_VECTORS` names another file of the same form. Keys and other
//! vectors that a vector refers to are looked for in both files.
//!
//! A field that no rule knows is printed. A vector whose octets nothing can decode fails.

mod case;
mod form;
mod hostile;
mod keys;
mod packet;
mod plain;
mod session;

use std::path::{Path, PathBuf};

use case::{Case, Vector, Vectors};

/// The root of the repository. Tests run in the directory of their package.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The vectors that come with the sources.
fn own_file() -> PathBuf {
    root().join("test-data/wire/handle-vectors.json")
}

/// The vectors to judge, and all that they may refer to.
fn load() -> (Vectors, Vectors) {
    let own = Vectors::load(&own_file());
    match std::env::var_os("GUANTONG_VECTORS") {
        Some(path) => {
            // A relative path counts from where the tests were started: the root.
            let path = [PathBuf::from(&path), root().join(&path)]
                .into_iter()
                .find(|p| p.exists());
            let judged = Vectors::load(&path.expect("the file of GUANTONG_VECTORS exists"));
            let known = judged.with(&own);
            (judged, known)
        }
        None => (own.clone(), own),
    }
}

#[test]
fn vectors_are_what_their_fields_say() {
    let (judged, known) = load();
    let (mut faults, mut unknown, mut checked) = (Vec::new(), Vec::new(), 0);
    for vector in judged.iter() {
        let case = Case::new(vector, &known);
        judge(&case);
        checked += case.checked();
        unknown.extend(
            case.unknown()
                .into_iter()
                .map(|field| format!("{}: {field}", vector.name)),
        );
        faults.extend(
            case.faults()
                .into_iter()
                .map(|fault| format!("{}: {fault}", vector.name)),
        );
    }
    println!("{} vectors, {checked} statements checked", judged.len());
    for field in &unknown {
        println!("no rule for this field: {field}");
    }
    assert!(judged.len() > 0, "the file has no vectors");
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

fn judge(case: &Case<'_>) {
    case.same_len("length", case.octets().len());
    case.same_len("total", case.octets().len());
    if case.vector.fields.contains_key("packet") {
        packet::judge(case);
    } else {
        plain::judge(case);
    }
}

#[test]
fn vectors_that_were_cut_or_changed_never_panic() {
    let (judged, known) = load();
    let sessions = keys::live_sessions(&known);
    for vector in judged.iter() {
        hostile::attack(&vector.octets, &sessions);
    }
}

/// The judge itself must be able to say no.
#[test]
fn vectors_with_a_wrong_field_or_octet_are_found_out() {
    let (_, known) = load();
    let spoil = |vector: &Vector, field: &str, value: serde_json::Value| {
        let mut vector = vector.clone();
        vector.fields.insert(field.to_owned(), value);
        let case = Case::new(&vector, &known);
        judge(&case);
        case.faults()
    };
    let wrong = serde_json::json!(77);
    for (name, field) in [
        ("value-url", "index"),
        ("hs-admin-all", "adminIdIndex"),
        ("hs-site-v4", "serial"),
        ("req-retrieve-txn-single", "lastTxnId"),
        ("req-answer-rsa", "userIdIndex"),
    ] {
        let vector = known.get(name).expect("the vector comes with the sources");
        assert!(
            !spoil(vector, field, wrong.clone()).is_empty(),
            "{name} {field}"
        );
    }
    let mut vector = known
        .get("resp-signed-rsa-v2.11")
        .expect("comes with the sources")
        .clone();
    vector.octets[60] ^= 1;
    let case = Case::new(&vector, &known);
    judge(&case);
    assert!(!case.faults().is_empty());
    let odd = Vector {
        name: "odd-1".into(),
        octets: vec![0xff, 1, 2],
        ..vector
    };
    let case = Case::new(
        &Vector {
            fields: serde_json::Map::new(),
            ..odd
        },
        &known,
    )
    .finish(judge);
    assert!(
        case.iter().any(|fault| fault.contains("no known form")),
        "{case:?}"
    );
}
