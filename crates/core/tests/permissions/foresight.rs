//! Records that are shown to an errand before its first step change nothing but how many steps it
//! has.

use guantong_core::admin::Presented;

use super::*;

/// What is shown to an errand before its first step.
#[derive(Clone, Copy)]
pub(super) enum Before {
    Nothing,
    Foreseen,
}

impl Node {
    /// Drives an errand to its end; the reply, and how many records its steps had to ask for.
    pub(super) fn drive(&mut self, errand: &mut Errand, before: Before) -> (Vec<u8>, usize) {
        if !matches!(before, Before::Nothing) {
            for wanted in errand.foreseen(&self.site) {
                errand.learn(&self.site, &wanted, self.fetch(&wanted));
            }
        }
        let mut challenge = |_: Demand<'_>| unreachable!("who asks is known");
        let mut moment = Moment {
            now_secs: 1_000,
            challenge: &mut challenge,
            recursion: Recursion::Denied,
        };
        let (mut out, mut fetched) = (Vec::new(), 0);
        loop {
            let ground = Ground {
                site: &self.site,
                rules: &self.rules,
                now_secs: 1_000,
                tables: &NoTables,
            };
            match errand.step(&ground, &mut moment, &mut out) {
                Next::Fetch(wanted) => {
                    fetched += 1;
                    errand.learn(&self.site, &wanted, self.fetch(&wanted));
                }
                Next::Write(order) => errand.written(self.write(order)),
                Next::Confirm(_) | Next::List(_) | Next::Stream(_) | Next::Done => break,
            }
        }
        (out, fetched)
    }
}

pub(super) fn errand(request: &[u8], presented: Presented) -> Errand {
    let chance = Chance::of([7; 80]);
    Errand::of(Kept::new(request).unwrap(), chance, Some(presented))
}

/// Somebody in a session in which he was proven.
pub(super) fn proven(user: &str) -> Presented {
    let password = Presented::Password {
        user: Handle::parse(user).unwrap(),
        index: 300,
        secret: SECRET.into(),
    };
    let body = Writer::to_vec(|w| {
        w.bytes(b"");
        w.i32(0);
    });
    let login = request_by(0, OpFlags::DEFAULT).packet(OpCode::LOGIN, &body);
    let mut errand = errand(&login, password);
    Node::new(Bits::ALL).drive(&mut errand, Before::Nothing);
    Presented::Session(errand.proven().unwrap().clone())
}

#[test]
fn records_shown_before_change_nothing_but_the_number_of_steps() {
    for user in ["88.118.5/owner", "88.118.5/member", "88.118.5/other"] {
        let by = proven(user);
        for operation in operations() {
            for bits in sets(&operation) {
                let ends = [Before::Nothing, Before::Foreseen];
                let ends = ends.map(|before| {
                    let mut node = Node::new(bits);
                    let mut errand = errand(&operation.request, by.clone());
                    let (reply, fetched) = node.drive(&mut errand, before);
                    let mut records: Vec<_> = node.records.into_iter().collect();
                    records.sort_by(|a, b| a.0.cmp(&b.0));
                    (reply, records, fetched)
                });
                let [(reply, records, fetched), (other, others, fewer)] = &ends;
                let what = format!("{} with {bits} by {user}", operation.name);
                assert_eq!((other, others), (reply, records), "{what}");
                assert!(fewer <= fetched, "{what}");
            }
        }
    }
}

#[test]
fn change_by_who_is_proven_takes_one_step_and_a_stranger_has_only_his_key_read() {
    let create = request_by(0, OpFlags::DEFAULT).write(OpCode::CREATE, "88.118.5/new", &[url(1)]);
    let mut node = Node::new(Bits::ALL);
    let mut by_owner = errand(&create, proven("88.118.5/owner"));
    let names = |errand: &Errand, node: &Node| -> Vec<String> {
        let foreseen = errand.foreseen(&node.site);
        let name = |wanted: Wanted| wanted.handle.to_string();
        foreseen.into_iter().map(name).collect()
    };
    let all = ["88.118.5/owner", "88.118.5/new", PREFIX];
    assert_eq!(names(&by_owner, &node), all);
    assert_eq!(node.drive(&mut by_owner, Before::Foreseen).1, 0);
    let password = Presented::Password {
        user: Handle::parse("88.118.5/owner").unwrap(),
        index: 300,
        secret: b"wrong".as_slice().into(),
    };
    let by_stranger = errand(&create, password);
    assert_eq!(names(&by_stranger, &node), ["88.118.5/owner"]);
}
