//! The whole network, each node with an address of its own, while nodes and links fail.
//!
//! The nodes run in network namespaces: a root, seven national nodes that share a prefix, a
//! second-level node, three enterprises, a recursive node, and a client that asks without pause.
//! Two of the seven are down at a time, one killed and one cut off; everybody must get an answer
//! all the same, and whoever comes back must catch up. Run it alone to see its figures:
//!
//! ```text
//! cargo test --test network -- --nocapture
//! ```
//!
//! It needs root and `ip`; without them it says so and is left out.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may fail by panic, and this one shows what it measured"
)]

mod load;
mod node;
mod space;
mod tree;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use load::{Tally, Way};
use space::{Space, Spaces};
use tree::{CLIENT, NATIONAL, PLACES, Tree};

/// Says to the child who made the namespaces.
const OWNER: &str = "GUANTONG_NETWORK_OWNER";
/// The longest wait for anything. Reached only when the test is about to fail.
const PATIENCE: Duration = Duration::from_secs(60);
/// After this time the whole test hangs.
const WHOLE_TIME: Duration = Duration::from_secs(180);

/// Who is down together, by position among the seven: the first is killed, the second is cut off.
/// Everybody is down at least once, the primary in both ways.
const PAIRS: [(usize, usize); 5] = [(0, 1), (2, 3), (4, 5), (6, 0), (1, 4)];

#[test]
fn names_resolve_while_any_two_national_nodes_are_down() {
    let spaces = match Spaces::make(&PLACES) {
        Ok(spaces) => spaces,
        Err(why) => {
            eprintln!("network: LEFT OUT, this machine makes no network namespaces: {why}");
            return;
        }
    };
    // The child is the client: whatever it opens is in the client's namespace.
    let client = Space::new(spaces.owner(), CLIENT);
    let program = std::env::current_exe().unwrap();
    let mut command = client.command(program.to_str().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
    command.env(OWNER, spaces.owner().to_string());
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let (done, waiting) = mpsc::channel();
    std::thread::scope(|scope| {
        let id = child.id().to_string();
        scope.spawn(move || {
            if waiting.recv_timeout(WHOLE_TIME).is_err() {
                // The child hangs: that is the failure, so it must not hang us as well.
                let _ = Command::new("kill").args(["-9", &id]).status();
            }
        });
        let status = child.wait().unwrap();
        done.send(()).unwrap();
        assert!(status.success(), "{status}; what went wrong stands above");
    });
}

//----------- The child ------------------------------------------------------

/// Does the work when it is run by the test above; otherwise there is nothing to do.
#[test]
fn child() {
    let Some(owner) = std::env::var_os(OWNER) else {
        return;
    };
    let owner = owner.to_str().unwrap().parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let mut tree = Tree::start(owner, folder.path());
    eprintln!(
        "network: 13 nodes in namespaces, made in {:?}",
        begun.elapsed()
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(play(&mut tree));
    eprintln!("network: all in {:?}", begun.elapsed());
}

async fn play(tree: &mut Tree) {
    let took = tree.all_say("at the start").await;
    eprintln!("network: six mirrors have everything, {took:?} later");
    let recursive = tree.node("recursive").client();
    for name in load::cached_names() {
        recursive.resolve(&name).await.unwrap();
    }
    let tallies = Way::ALL.map(|_| Arc::new(Tally::default()));
    for (way, tally) in Way::ALL.into_iter().zip(&tallies) {
        let (recursive, tally) = (recursive.clone(), tally.clone());
        let root: Arc<Path> = tree.root.clone().into();
        tokio::spawn(async move { load::ask(way, &recursive, &root, &tally).await });
    }
    let mut longest = part("all run", &tallies).await;
    longest.fill(Duration::ZERO);
    for (killed, cut) in PAIRS.map(|(a, b)| (NATIONAL[a], NATIONAL[b])) {
        tree.node_mut(killed).kill();
        tree.node(cut).cut();
        let text = format!("while {killed} and {cut} were down");
        let primary = NATIONAL[0];
        if tree.node(primary).runs() {
            tree.change(&text);
        }
        let slowest = part(&format!("{killed} killed, {cut} cut off"), &tallies).await;
        for (longest, slowest) in longest.iter_mut().zip(slowest) {
            *longest = slowest.max(*longest);
        }
        tree.node(cut).mend();
        tree.node_mut(killed).start();
        if killed == primary {
            tree.change(&text);
        }
        let took = tree.all_say(&text).await;
        eprintln!("network:   all seven have the last change {took:?} after they are back");
        part("they are back", &tallies).await;
    }
    eprintln!("network: longest gap while two of seven were down");
    for (way, longest) in Way::ALL.into_iter().zip(longest) {
        eprintln!("network:   {:24} {} ms", way.title(), longest.as_millis());
    }
}

/// Lets everybody ask for a while, and says what came of it; nobody may have failed. Returns the
/// time of the slowest answers.
async fn part(what: &str, tallies: &[Arc<Tally>; 4]) -> [Duration; 4] {
    for (way, tally) in Way::ALL.into_iter().zip(tallies) {
        tally.wait_for(way.answers()).await;
    }
    eprintln!("network: {what}");
    let mut slowest = [Duration::ZERO; 4];
    for ((way, tally), slowest) in Way::ALL.into_iter().zip(tallies).zip(&mut slowest) {
        let part = tally.take();
        eprintln!(
            "network:   {:24} {:4} answered, slowest {} ms",
            way.title(),
            part.answered,
            part.slowest.as_millis()
        );
        assert_eq!(part.failures, [""; 0], "{what}, {}", way.title());
        *slowest = part.slowest;
    }
    slowest
}
