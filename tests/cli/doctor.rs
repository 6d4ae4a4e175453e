//! `guantong doctor --root` at a small tree in which something is really wrong: it must say what,
//! where, and who mends it.

use serde_json::{Value as Json, json};

use crate::node::{self, Node, Run, Tree, guantong, guantong_in};
use crate::unused_address;

/// Looks at a record from the root down.
fn look(root: &Node, handle: &str) -> Run {
    guantong(&["doctor", handle, "--root", &root.native()])
}

/// Looks at the record that every leaf has; it must end with `code` and say all of `words`.
#[track_caller]
fn finds(root: &Node, code: i32, words: &[&str]) {
    let run = look(root, node::SMALL);
    assert_eq!(run.code, code, "{}{}", run.out, run.err);
    for word in words {
        assert!(run.out.contains(word), "{word} is missing in\n{}", run.out);
    }
}

/// A root, and a leaf to which it delegates with a site record that `change` has changed.
fn changed(change: impl FnOnce(&mut Json)) -> Tree {
    let tree = Tree::start();
    let mut site = tree.leaf.site();
    change(&mut site);
    tree.root.delegate_to(&[site]);
    tree
}

#[test]
fn sound_way_is_told_hop_by_hop_and_site_by_site() {
    let tree = Tree::start();
    let words = [
        "hop 1",
        "because: root",
        "because: prefix record 0.NA/88.118.5",
        "the root: 1 site, asked for 0.NA/88.118.5",
        "the prefix record 0.NA/88.118.5: 1 site, asked for 88.118.5/small",
        "primary, answers by udp in ",
        "https in ",
        "3 values, TTL 86400 s, serial 1, signature fits",
        "Everything is in order.",
    ];
    finds(&tree.root, 0, &words);
    let recursive = Node::recursive(&tree.root.native());
    let run = guantong_in(recursive.folder(), &["doctor", node::SMALL]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(run.out.contains("not homed here; see below"), "{}", run.out);
    assert!(run.out.contains("signature fits"), "{}", run.out);
}

#[test]
fn record_that_nobody_has_is_told_from_a_prefix_that_nobody_delegated() {
    let tree = Tree::start();
    let run = look(&tree.root, "88.118.5/none");
    assert_eq!(run.code, 1, "{}", run.out);
    let told = "there is no record 88.118.5/none";
    assert!(run.out.contains(told), "{}", run.out);
    let run = look(&tree.root, "88.119.1/none");
    assert_eq!(run.code, 1, "{}", run.out);
    for word in [
        "there is no prefix record 0.NA/88.119.1",
        "guantong prefix delegate 88.119.1",
    ] {
        assert!(run.out.contains(word), "{}", run.out);
    }
}

#[test]
fn site_that_is_down_is_named_with_who_must_start_it() {
    let mut tree = Tree::start();
    tree.leaf.stop();
    let words = [
        "cannot be reached: no answer by udp, tcp, http, https",
        "its operator must start it",
        "guantong prefix delegate 88.118.5",
    ];
    finds(&tree.root, 3, &words);
}

#[test]
fn site_whose_udp_is_closed_works_and_deserves_a_look() {
    let closed: u16 = unused_address()
        .rsplit_once(':')
        .unwrap()
        .1
        .parse()
        .unwrap();
    let tree = changed(|site| {
        let interfaces = site["servers"][0]["interfaces"].as_array_mut().unwrap();
        for interface in interfaces {
            if interface["protocol"] == "UDP" {
                interface["port"] = json!(closed);
            }
        }
    });
    let words = [
        "reachable by tcp, http, https, but not by udp",
        "a firewall of that site drops UDP: its operator must open the port",
        "It works",
    ];
    finds(&tree.root, 0, &words);
}

#[test]
fn serial_that_differs_from_the_prefix_record_is_mended_by_its_holder() {
    let tree = changed(|site| site["serialNumber"] = json!(7));
    let words = [
        "says serial 1 of itself, but the prefix record 0.NA/88.118.5 says 7",
        "whoever holds 0.NA/88.118.5 must write it again",
    ];
    finds(&tree.root, 0, &words);
}

#[test]
fn key_that_differs_from_the_prefix_record_makes_signatures_wrong() {
    let other = Node::start();
    let key = other.site()["servers"][0]["publicKey"].take();
    let tree = changed(|site| site["servers"][0]["publicKey"] = key);
    let words = ["its signature does not fit the key in the prefix record 0.NA/88.118.5"];
    finds(&tree.root, 3, &words);
}

#[test]
fn prefix_that_is_not_homed_where_it_is_delegated_is_told() {
    let tree = Tree::start();
    tree.leaf.run(&["prefix", "unhome", "88.118.5"]);
    let words = [
        "says that 88.118.5/small is not its own (301)",
        "guantong prefix home 88.118.5",
    ];
    finds(&tree.root, 1, &words);
}

#[test]
fn referral_that_leads_back_is_a_circle() {
    let tree = Tree::start();
    let other = Node::start();
    for (node, next) in [(&tree.leaf, &other), (&other, &tree.leaf)] {
        node.run(&["prefix", "home", "88.118"]);
        node.run(&["prefix", "unhome", "88.118.5"]);
        node.delegate_to(&[next.site()]);
    }
    let words = [
        "refers to others (302)",
        "leads back to sites that were asked for 88.118.5/small before",
    ];
    finds(&tree.root, 3, &words);
}

#[test]
fn mirror_with_other_values_or_without_the_record_is_behind() {
    let tree = Tree::start();
    let mirror = Node::start();
    let mut site = mirror.site();
    site["primarySite"] = json!(false);
    tree.root.delegate_to(&[tree.leaf.site(), site]);
    let value = ["--value", "1 URL https://example.org/old"];
    let put = ["record", "put", node::SMALL];
    mirror.run(&[&put[..], &value].concat());
    let words = [
        "gives other values of 88.118.5/small than the primary",
        "guantong mirror status",
    ];
    finds(&tree.root, 3, &words);
    mirror.run(&["record", "delete", node::SMALL, "--force"]);
    let words = ["has no 88.118.5/small, which others of these sites have"];
    finds(&tree.root, 3, &words);
}

#[test]
fn withdrawn_record_is_said_to_be_so_with_its_reason_and_successor() {
    let tree = Tree::start();
    let withdraw = ["record", "withdraw", node::SMALL, "--reason", "scrapped"];
    tree.leaf
        .run(&[&withdraw[..], &["--successor", "88.118.5/new"]].concat());
    let says = "withdrawn: scrapped; see 88.118.5/new";
    finds(&tree.root, 1, &[says]);
    let leaf = tree.leaf.native();
    let run = guantong(&["resolve", node::SMALL, "--at", &leaf]);
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(
        run.err
            .contains("88.118.5/small is withdrawn: scrapped; see 88.118.5/new"),
        "{}",
        run.err
    );
    let recursive = Node::recursive(&tree.root.native());
    let run = guantong(&["resolve", node::SMALL, "--at", &recursive.native()]);
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(run.err.contains(says), "{}", run.err);
    let root = tree.root.native();
    let run = guantong(&["resolve", node::SMALL, "--root", &root]);
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(run.err.contains(says), "{}", run.err);
}

#[test]
fn one_of_two_sites_may_be_down_without_breaking_the_way() {
    let tree = Tree::start();
    let mut mirror = Node::start();
    tree.root.delegate_to(&[tree.leaf.site(), mirror.site()]);
    mirror.stop();
    finds(&tree.root, 0, &["cannot be reached", "It works"]);
}

#[test]
fn findings_are_the_same_as_json() {
    let mut tree = Tree::start();
    tree.leaf.stop();
    let root = tree.root.native();
    let run = guantong(&["doctor", node::SMALL, "--root", &root, "--json"]);
    assert_eq!(run.code, 3, "{}", run.err);
    let told: Json = serde_json::from_str(&run.out).unwrap();
    let findings = told["findings"].as_array().unwrap();
    let bad = |finding: &&Json| finding["judgement"] == "bad";
    assert_eq!(told["bad"], findings.iter().filter(bad).count());
    let first = findings.iter().find(bad).unwrap();
    let text = |key: &str| first[key].as_str().unwrap().to_owned();
    assert!(text("part").contains("0.NA/88.118.5"), "{first}");
    assert!(text("text").contains("cannot be reached"), "{first}");
    assert!(text("whatToDo").contains("must start it"), "{first}");
}

#[test]
fn root_needs_a_handle_and_must_be_one() {
    let run = guantong(&["doctor", "--root", "127.0.0.1"]);
    assert_eq!(run.code, 2, "{}", run.err);
    let run = guantong(&["doctor", node::SMALL, "--root", "note"]);
    assert_eq!(run.code, 2, "{}", run.err);
    assert!(run.err.contains("siteinfo.json"), "{}", run.err);
}
