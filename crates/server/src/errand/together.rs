//! Changes of one sender over HTTP that are carried out together: all of them or none, or each by
//! itself.
//!
//! Who the sender is and what he may is decided in `core::admin`, for all of them in one go. What
//! they order is written in one batch of the store; if something has changed meanwhile, they are
//! decided anew.

use std::panic::{AssertUnwindSafe, catch_unwind};

use guantong_core::admin::{Ground, Together, Verdict, Wanted, Wish, Written};
use guantong_proto::message::ResponseCode;

use super::TablesOf;
use crate::node::{Node, Via};

/// Changes after which others get their turn: a thousand decisions take some milliseconds.
const YIELD_AFTER: usize = 64;

/// Most octets of records that changes carried out all or none may make. They are all held until
/// the last is decided.
pub(crate) const HELD_OCTETS_MAX: usize = 64 * 1024 * 1024;

/// Octets of records after which changes that are made each by itself are written, and the rest
/// after them.
const WRITTEN_OCTETS_MAX: usize = 8 * 1024 * 1024;

/// These changes make more than may be held at a time; nothing was written.
#[derive(Debug)]
pub(crate) struct TooMuch(pub(crate) Vec<Wish>);

/// What came of changes.
pub(crate) type Verdicts = Vec<(Wish, Verdict)>;

/// How far changes are decided.
struct Progress {
    /// Place of the next one.
    at: usize,
    /// Octets that those before it hold.
    held: usize,
}

impl Node {
    /// Carries changes out, all or none. If one of them cannot be, nothing is written; each still
    /// gets the verdict that it would get alone, so that all faults are told at once, and `false`
    /// comes back.
    pub(crate) async fn change_together(
        &self,
        mut together: Together,
        via: Via,
    ) -> Result<(Verdicts, bool), TooMuch> {
        // Never closed, as in `run_errand`.
        let _place = self.errands.places.acquire().await;
        while together.is_open() {
            if self.decide_all(&mut together, HELD_OCTETS_MAX, via).await > HELD_OCTETS_MAX {
                return Err(TooMuch(together.into_wishes()));
            }
            match together.has_declined() {
                true => together.look_closely(),
                false => self.write_orders(&mut together, via).await,
            }
        }
        let is_done = !together.has_declined();
        Ok((self.verdicts(together, via), is_done))
    }

    /// Carries changes out, each by itself: one that cannot be is in the way of no other.
    pub(crate) async fn change_each(&self, together: Together, via: Via) -> Verdicts {
        self.change_each_by(together, WRITTEN_OCTETS_MAX, via).await
    }

    async fn change_each_by(
        &self,
        mut together: Together,
        octets_max: usize,
        via: Via,
    ) -> Verdicts {
        // Never closed, as in `run_errand`.
        let _place = self.errands.places.acquire().await;
        while together.is_open() {
            self.decide_all(&mut together, octets_max, via).await;
            self.write_orders(&mut together, via).await;
        }
        self.verdicts(together, via)
    }

    async fn write_orders(&self, together: &mut Together, via: Via) {
        let orders = together.take_orders();
        let written = match orders.is_empty() {
            true => Written::Done,
            false => self.write_all(orders, via).await,
        };
        together.written(&written);
    }

    /// Decides the changes that are open, one after the other, until they hold more octets than
    /// that. Gives how many they hold.
    async fn decide_all(&self, together: &mut Together, octets_max: usize, via: Via) -> usize {
        let mut progress = Progress { at: 0, held: 0 };
        while progress.at < together.len() && progress.held <= octets_max {
            let Some(wanted) = self.decide_some(together, &mut progress, octets_max, via) else {
                tokio::task::yield_now().await;
                continue;
            };
            match self.fetch(&wanted).await {
                Ok(record) => together.learn(&self.site(), &wanted, record),
                Err(reason) => together.fail(&self.site(), &wanted, reason),
            }
        }
        progress.held
    }

    /// Decides changes until it is others' turn, or as far as the records allow; then the one that
    /// is missing comes back. A panic is a mistake of ours that costs one change only.
    fn decide_some(
        &self,
        together: &mut Together,
        progress: &mut Progress,
        octets_max: usize,
        via: Via,
    ) -> Option<Wanted> {
        let tables = TablesOf::over_http(self, via);
        let (site, config) = (self.site(), self.config());
        let ground = Ground {
            site: &site,
            rules: &config.administration.rules,
            now_secs: self.now_secs(),
            tables: &tables,
        };
        let end = together.len().min(progress.at + YIELD_AFTER);
        while progress.at < end && progress.held <= octets_max {
            let at = progress.at;
            if let Some(wanted) = together.foreseen(at, &site)
                && let Ok(record) = self.fetch_here(&wanted.handle)
            {
                together.learn(&site, &wanted, record);
            }
            let decide = AssertUnwindSafe(|| together.decide(at, &ground));
            let wanted = catch_unwind(decide).unwrap_or_else(|_| {
                let peer = via.peer;
                tracing::error!(%peer, "a request made the node panic; please report it");
                together.break_off(at);
                None
            });
            if wanted.is_some() {
                return wanted;
            }
            progress.held += together.held_octets(at);
            progress.at += 1;
        }
        None
    }

    fn verdicts(&self, together: Together, via: Via) -> Verdicts {
        let verdicts = together.into_verdicts();
        for (wish, verdict) in &verdicts {
            let code = verdict.as_ref().err().map(|declined| declined.code);
            let code = code.unwrap_or(ResponseCode::SUCCESS);
            self.metrics.came_to(via.transport, wish.op(), code);
        }
        verdicts
    }
}

#[cfg(test)]
mod tests {
    use guantong_core::admin::{Change, Deed, Effect};
    use guantong_proto::{Handle, Value};

    use super::*;
    use crate::config::{self, Config};
    use crate::init::{InitOptions, init};
    use crate::metrics::Transport;

    /// A node at which anybody may everything, by itself, so that its commits can be counted.
    fn node(folder: &std::path::Path) -> std::sync::Arc<Node> {
        let folder = folder.join("node");
        let options = InitOptions {
            prefix: Some("88.118.5".to_owned()),
            ..InitOptions::default()
        };
        init(&folder, &options).unwrap();
        let mut config = config::load(&folder).unwrap();
        config.listen = Config::ephemeral(&folder).listen;
        config.administration.rules.anonymous_admin_full_access = true;
        Node::open(config).unwrap()
    }

    fn creates(numbers: std::ops::Range<usize>) -> Together {
        let wish = |number| Wish {
            handle: Handle::parse(&format!("88.118.5/{number}")).unwrap(),
            deed: Deed::Change(Change::Create(vec![Value::new(1, "TEXT", [b'x'; 100])])),
            condition: None,
        };
        Together::new(None, numbers.map(wish).collect())
    }

    const VIA: Via = Via {
        transport: Transport::Https,
        peer: std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9),
        by_console: false,
    };

    fn commits(node: &Node) -> u64 {
        node.store.stats().unwrap().commits
    }

    fn made(verdicts: &Verdicts) -> usize {
        let is_made = |(_, verdict): &&(Wish, Verdict)| *verdict == Ok(Effect::Created);
        verdicts.iter().filter(is_made).count()
    }

    #[tokio::test]
    async fn changes_each_by_itself_share_a_commit_and_those_refused_stop_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let node = node(folder.path());
        let before = commits(&node);
        let verdicts = node.change_each(creates(0..100), VIA).await;
        assert_eq!((made(&verdicts), commits(&node)), (100, before + 1));
        let verdicts = node.change_each(creates(50..300), VIA).await;
        assert_eq!((made(&verdicts), commits(&node)), (200, before + 2));
        assert!(verdicts[..50].iter().all(|(_, verdict)| verdict.is_err()));
        let rehearsed = node
            .change_each(creates(300..310).rehearsal(true), VIA)
            .await;
        assert_eq!((made(&rehearsed), commits(&node)), (10, before + 2));
    }

    #[tokio::test]
    async fn changes_each_by_itself_are_held_up_to_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let node = node(folder.path());
        let before = commits(&node);
        // Each record has more than 100 octets, and less than 200.
        let verdicts = node.change_each_by(creates(0..100), 2_000, VIA).await;
        let more = commits(&node) - before;
        assert_eq!(made(&verdicts), 100);
        assert!((5..=10).contains(&more), "{more}");
    }

    #[tokio::test]
    async fn changes_together_are_one_commit_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let node = node(folder.path());
        let before = commits(&node);
        let (verdicts, is_done) = node.change_together(creates(0..100), VIA).await.unwrap();
        assert_eq!((made(&verdicts), is_done), (100, true));
        assert_eq!(commits(&node), before + 1);
        let (verdicts, is_done) = node.change_together(creates(99..200), VIA).await.unwrap();
        assert_eq!((made(&verdicts), is_done), (100, false));
        assert_eq!(commits(&node), before + 1);
        // One is there, and another is elsewhere: both are told of.
        let elsewhere = Wish {
            handle: Handle::parse("88.118.6/1").unwrap(),
            ..creates(0..1).into_wishes().remove(0)
        };
        let wishes = [creates(99..101).into_wishes(), vec![elsewhere]].concat();
        let together = Together::new(None, wishes);
        let (verdicts, is_done) = node.change_together(together, VIA).await.unwrap();
        let are_made: Vec<_> = verdicts.iter().map(|(_, v)| v.is_ok()).collect();
        assert_eq!((&are_made[..], is_done), (&[false, true, false][..], false));
        assert_eq!(commits(&node), before + 1);
    }
}
