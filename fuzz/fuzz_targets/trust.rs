//! Signatures and certificates of any content put to a verification: it comes to an end, and
//! without a key of a root nothing is ever verified. Each line of the input is the claims of one.

#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guantong_core::admin::StoredRecord;
use guantong_core::trust::{Found, Judgement, Policy, RECORDS_MAX, Verdict, Verification};
use guantong_proto::wire::Writer;
use guantong_proto::{Handle, Value, Values};

/// The handle that most vectors sign.
const NAME: &str = "20.500.12345/1";

fn record(name: &Handle, kind: &str, lines: &[&[u8]]) -> StoredRecord {
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"EdDSA"}"#);
    let mut values = vec![Value::new(1, "URL", "https://example.org/")];
    for (index, claims) in (400..).zip(lines) {
        let text = format!("{header}.{}.AAAA", URL_SAFE_NO_PAD.encode(claims));
        // Every other one as it came, which is seldom a signature at all.
        let data = if index % 2 == 0 {
            text.into_bytes()
        } else {
            claims.to_vec()
        };
        values.push(Value::new(index, kind, data));
    }
    let wire = Writer::to_vec(|w| Values::encode(&values, w));
    StoredRecord::new(name.clone(), 1, &wire).expect("values that were just encoded")
}

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let lines: Vec<&[u8]> = octets.split(|octet| *octet == b'\n').take(64).collect();
    let (signatures, certificates) = lines.split_at(lines.len().min(2));
    let name = Handle::parse(NAME).expect("a handle");
    let mut verification = Verification::new(record(&name, "HS_SIGNATURE", signatures));
    let policy = Policy::default();
    for asked in 0.. {
        match verification.judge(&policy, 1_700_000_000) {
            Judgement::Wanted(wanted) => {
                assert!(asked < RECORDS_MAX, "it asks without end");
                let found = match asked % 3 {
                    2 => Found::Absent,
                    _ => Found::Record(record(&wanted, "HS_CERT", certificates)),
                };
                verification.learn(wanted.borrow(), found);
            }
            Judgement::Done(report) => {
                assert!(
                    !matches!(report.verdict(), Verdict::Verified(_)),
                    "{report:?}"
                );
                break;
            }
        }
    }
});
