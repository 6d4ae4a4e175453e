//! A tree of four nodes and a recursive one, all on loopback, each with its own store.
//!
//! ```text
//! root (0.NA, 0.0) ──► top (88) ──► second (88.118) ──► enterprise (88.118.5)
//!    ▲
//! recursive
//! ```

use guantong_server::Running;
use guantong_server::config::Root;

use super::{Place, put_values, value};

/// The nodes; each is gone when its place in here is `None`.
pub(crate) struct Tree {
    pub(crate) root: Level,
    pub(crate) top: Level,
    pub(crate) second: Level,
    pub(crate) enterprise: Level,
}

pub(crate) struct Level {
    pub(crate) place: Place,
    pub(crate) node: Option<Running>,
}

impl Level {
    fn homing(prefixes: &[&str]) -> Self {
        let place = Place::homing(prefixes);
        let node = place.start();
        Self {
            place,
            node: Some(node),
        }
    }

    pub(crate) fn node(&self) -> &Running {
        self.node.as_ref().unwrap()
    }

    /// Stops the node as an operator does.
    pub(crate) fn stop(&mut self) {
        self.node.take().unwrap().stop();
    }

    fn site(&self) -> Vec<u8> {
        self.node().node().site().record().to_vec()
    }
}

impl Tree {
    pub(crate) fn grow() -> Self {
        let tree = Self {
            root: Level::homing(&["0.NA", "0.0"]),
            top: Level::homing(&["88"]),
            second: Level::homing(&["88.118"]),
            enterprise: Level::homing(&["88.118.5"]),
        };
        let root = [value(1, "HS_SITE", tree.root.site())];
        put_values(tree.root.node(), "0.NA/0.NA", &root);
        delegate(&tree.root, "0.NA/88", &tree.top);
        delegate(&tree.top, "0.NA/88.118", &tree.second);
        delegate(&tree.second, "0.NA/88.118.5", &tree.enterprise);
        tree
    }

    /// A place for a node that resolves for this machine, beginning at the root of the tree.
    pub(crate) fn recursive(&self) -> Place {
        let mut place = Place::homing(&[]);
        let recurse = &mut place.config.recurse;
        recurse.allow = vec!["127.0.0.0/8".parse().unwrap()];
        recurse.root = Some(Root::Addresses(self.root.node().addresses().udp.clone()));
        place
    }
}

/// Writes into the store of `parent` who serves a prefix and those derived from it.
pub(crate) fn delegate(parent: &Level, prefix: &str, child: &Level) {
    let site = child.site();
    let values = [
        value(1, "HS_SITE", site.clone()),
        value(2, "HS_SITE.PREFIX", site),
    ];
    put_values(parent.node(), prefix, &values);
}
