//! The demonstration as a stranger runs it: the program, real sockets, real figures.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs `guantong demo --once` on free ports.
fn demo(data: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guantong"));
    command.args(["demo", "--once", "--port", "0"]);
    if let Some(folder) = data {
        command.arg("--data").arg(folder);
    }
    command.output().expect("the program can be started")
}

#[track_caller]
fn text(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout.clone()).expect("the tour is text")
}

#[test]
fn tour_asks_in_every_way_and_ends_well() {
    let text = text(&demo(None));
    for words in [
        "16 nodes, 433 records",
        "code 303 (prefix referral)",
        "because: prefix record 0.NA/88.118.5",
        "udp://127.0.0.1:",
        "tcp://127.0.0.1:",
        "2024-03-31   3647000 station",
        "2023-03-31  >2640000 station",
        "截至3月底，我国累计建成5G基站超过264万个",
        "\"handle\":\"88.118.5/5g-base-stations\"",
        "5G base stations, cumulative",
        "HS_SITE",
        "https://www.rfc-editor.org/rfc/rfc3650.html",
        "\"responseCode\":100",
        "shanghai and wuhan are down",
        "they are back",
        "酒瓶",
        "供应商",
        "消费者扫码",
        "recipe: 基酒 72",
        "price: 418",
        "as they should be",
    ] {
        assert!(text.contains(words), "{words} is missing in:\n{text}");
    }
}

/// Whoever has built the program and not installed it was told to type `guantong`, and the shell
/// did not find it.
#[test]
fn commands_to_try_work_as_they_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_guantong"));
    command.args(["demo", "--port", "0", "--data"]);
    command.arg(folder.path().join("demo"));
    let mut demo = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let greeting: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.contains("Ctrl-C"))
        .collect();
    let resolve = greeting.iter().find(|line| line.contains(" resolve "));
    let output = resolve.map(|line| Command::new("sh").arg("-c").arg(line).output().unwrap());
    demo.kill().unwrap();
    demo.wait().unwrap();
    let output = output.unwrap_or_else(|| panic!("{greeting:?}"));
    assert!(text(&output).contains("5G base stations, cumulative"));
    let curl = greeting.iter().find(|line| line.contains("curl "));
    assert!(
        curl.is_some_and(|line| line.contains("curl '")),
        "{greeting:?}"
    );
}

#[test]
fn nodes_that_are_kept_are_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("demo");
    text(&demo(Some(&dir)));
    let key = dir.join("figures/server_key.pem");
    let first = std::fs::read(&key).unwrap();
    text(&demo(Some(&dir)));
    assert_eq!(std::fs::read(&key).unwrap(), first);
}

#[test]
fn folder_with_other_things_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("letter.txt"), "mine").unwrap();
    let output = demo(Some(folder.path()));
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("empty"), "{told}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
