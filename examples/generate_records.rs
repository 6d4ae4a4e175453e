//! Writes records for measurements, as JSON Lines on standard output: always the same ones.
//!
//! ```text
//! cargo run --release --example generate_records -- 10000000 sorted > records.jsonl
//! ```
//!
//! Each record has 3 to 5 values, about 300 octets in wire form, under a handle of 25 octets. With
//! `sorted` the handles come in ascending order, as serial numbers do; with `shuffled` in an order
//! without pattern, as hashes and random names do.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

const USAGE: &str = "usage: generate_records COUNT sorted|shuffled";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let count = args.next().and_then(|count| count.parse::<u64>().ok());
    let order = args.next();
    let (Some(count), Some(order @ ("sorted" | "shuffled"))) = (count, order.as_deref()) else {
        let _ = writeln!(io::stderr(), "{USAGE}");
        return ExitCode::from(2);
    };
    match write_all(count, order == "shuffled") {
        // Whoever reads has had enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "cannot write: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn write_all(count: u64, is_shuffled: bool) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    for number in 0..count {
        let random = mix(number);
        let name = match is_shuffled {
            true => random & 0xfff_ffff_ffff,
            false => number,
        };
        write_record(&mut out, number, name, random)?;
    }
    out.flush()
}

/// One record; `random` decides what is in it.
fn write_record(out: &mut impl Write, number: u64, name: u64, random: u64) -> io::Result<()> {
    const STAMP: &str = r#""ttl":86400,"timestamp":"2026-01-01T00:00:00Z""#;
    write!(out, r#"{{"handle":"88.118.5/SN26-{name:011x}","values":["#)?;
    write!(
        out,
        r#"{{"index":1,"type":"URL","data":{{"format":"string","value":"https://parts.example.org/item/{random:016x}"}},{STAMP}}}"#
    )?;
    write!(
        out,
        r#",{{"index":2,"type":"NAME","data":{{"format":"string","value":"循环泵 pump {} stage {}"}},{STAMP}}}"#,
        random % 900 + 100,
        random % 7 + 1
    )?;
    write!(
        out,
        r#",{{"index":3,"type":"MADE","data":{{"format":"string","value":"2026-{:02}-{:02} line {} shift {} lot {number:08}"}},{STAMP}}}"#,
        random % 12 + 1,
        random % 28 + 1,
        random % 20,
        random % 3 + 1
    )?;
    let extra = random % 3;
    if extra >= 1 {
        write!(
            out,
            r#",{{"index":4,"type":"TEST","data":{{"format":"string","value":"passed; leak {} Pa, noise {} dB, {:08x}"}},{STAMP}}}"#,
            random % 97,
            random % 40 + 30,
            random >> 32
        )?;
    }
    if extra >= 2 {
        write!(
            out,
            r#",{{"index":100,"type":"HS_ADMIN","data":{{"format":"admin","value":{{"handle":"0.NA/88.118.5","index":300,"permissions":"011111110011"}}}},{STAMP}}}"#
        )?;
    }
    out.write_all(b"]}\n")
}

/// Scatters a number over 64 bits, one to one (the finalizer of SplitMix64).
fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
