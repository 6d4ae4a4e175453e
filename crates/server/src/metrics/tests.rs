use crate::mirror::Figures;
use guantong_proto::message::{Envelope, Header, OpFlags, Version, begin, finish};

use super::*;

fn reply(op: OpCode, code: ResponseCode) -> Vec<u8> {
    let mut out = Vec::new();
    let header = Header {
        code,
        ..Header::request(op, OpFlags::DEFAULT, 0)
    };
    let start = begin(&mut out, &Envelope::new(Version::OURS, 1), &header);
    finish(&mut out, start, Some(&[]));
    out
}

fn full() -> Metrics {
    let metrics = Metrics::new(1_000);
    metrics.reply(
        Transport::Udp,
        &reply(OpCode::RESOLVE, ResponseCode::SUCCESS),
    );
    metrics.reply(Transport::Tcp, &reply(OpCode(9_999), ResponseCode(777)));
    metrics.took(Transport::Udp, Duration::from_nanos(1_500));
    metrics.took(Transport::Udp, Duration::from_secs(9));
    metrics.http(404);
    metrics.dropped(Drop::UdpRate);
    metrics.expiry.set(Expiring::Signer, Some(2_000));
    metrics
}

#[test]
fn every_line_belongs_to_a_declared_family() {
    let text = full().render(&Snapshot::default());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .filter(|base| {
                FAMILIES
                    .iter()
                    .any(|f| f.name == *base && f.kind == Kind::Histogram)
            })
            .unwrap_or(name);
        assert!(FAMILIES.iter().any(|family| family.name == base), "{line}");
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
    }
}

#[test]
fn every_family_without_labels_is_exported() {
    let snapshot = Snapshot {
        recurse: Some(RecurseSnapshot::default()),
        mirror: Some(MirrorSnapshot {
            role: Role::Mirror,
            epoch: 1,
            takes_changes: false,
            figures: Figures {
                level: Some(std::time::Instant::now()),
                ..Figures::default()
            },
            feeds: 0,
            unconfirmed: 0,
        }),
        ..Snapshot::default()
    };
    let text = full().render(&snapshot);
    for family in FAMILIES {
        let is_store = family.name.starts_with("guantong_store_") && family.kind == Kind::Gauge;
        let line = format!("\n{}", family.name);
        assert!(text.contains(&line) || is_store, "{}", family.name);
    }
}

#[test]
fn counters_end_in_total_and_others_do_not() {
    for family in FAMILIES {
        let is_counter = family.kind == Kind::Counter;
        assert_eq!(
            family.name.ends_with("_total"),
            is_counter,
            "{}",
            family.name
        );
    }
}

#[test]
fn replies_are_counted_by_transport_operation_and_code() {
    let text = full().render(&Snapshot::default());
    let expected = [
        "guantong_requests_total{transport=\"tcp\",op=\"other\",code=\"other\"} 1",
        "guantong_dropped_total{reason=\"udp_rate\"} 1",
        "guantong_http_requests_total{status=\"4xx\"} 1",
        "guantong_answer_duration_seconds_bucket{transport=\"udp\",le=\"0.000002\"} 1",
        "guantong_answer_duration_seconds_bucket{transport=\"udp\",le=\"+Inf\"} 2",
        "guantong_answer_duration_seconds_sum{transport=\"udp\"} 9.0000015",
    ];
    for line in expected {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(text.contains("code=\"1\"} 1"), "{text}");
}

#[test]
fn threads_count_together() {
    let metrics = Metrics::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 * SHARDS {
            scope.spawn(|| (0..100).for_each(|_| metrics.dropped(Drop::NoReply)));
        }
    });
    assert_eq!(metrics.drops(Drop::NoReply), 200 * SHARDS as u64);
}

#[test]
fn reference_is_what_the_declaration_says() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/metrics.md"
    );
    if std::env::var_os("UPDATE_FILES").is_some() {
        std::fs::write(path, reference()).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == reference(),
        "run the tests once with UPDATE_FILES=1"
    );
}
