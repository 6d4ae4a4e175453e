//! Who takes part in the demonstration: one table.

use super::figures::Topics;
use crate::init::Role;

//----------- Place ----------------------------------------------------------

/// The place of one node in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its short name, and that of its folder.
    pub name: &'static str,
    /// What people call it, in Chinese and English.
    pub title: &'static str,
    /// Its role.
    pub role: Role,
    /// The prefix that it homes, if it does not hold the copies of another.
    pub prefix: Option<&'static str>,
    /// Whose copies it holds: the name of the primary.
    pub mirrors: Option<&'static str>,
    /// Which figures its records show.
    pub topics: Topics,
}

impl Place {
    const fn primary(
        name: &'static str,
        title: &'static str,
        role: Role,
        prefix: &'static str,
    ) -> Self {
        Self {
            name,
            title,
            role,
            prefix: Some(prefix),
            mirrors: None,
            topics: Topics::None,
        }
    }

    const fn mirror(name: &'static str, title: &'static str) -> Self {
        Self {
            name,
            title,
            role: Role::TopLevel,
            prefix: None,
            mirrors: Some(TOP_PRIMARY),
            topics: Topics::None,
        }
    }

    /// Whether it is one of the seven nodes of the top level.
    pub fn is_top(&self) -> bool {
        self.role == Role::TopLevel
    }

    const fn enterprise(
        name: &'static str,
        title: &'static str,
        prefix: &'static str,
        topics: Topics,
    ) -> Self {
        Self {
            topics,
            ..Self::primary(name, title, Role::Enterprise, prefix)
        }
    }
}

//----------- PLACES ---------------------------------------------------------

/// The root.
pub const ROOT: &str = "root";
/// The top-level node at which changes are made.
pub const TOP_PRIMARY: &str = "beijing";
/// The second-level node.
pub const SECOND_LEVEL: &str = "industry";
/// The second-level node of the wine trade.
pub const TRADE: &str = "trade";
/// The enterprise node that fills bottles.
pub const DISTILLERY: &str = "distillery";
/// The enterprise node that sells them.
pub const DISTRIBUTOR: &str = "distributor";
/// The enterprise node with all figures.
pub const FIGURES: &str = "figures";
/// The node that resolves for others.
pub const RECURSIVE: &str = "recursive";

/// The prefix of the top level.
pub const TOP_PREFIX: &str = "88";
/// The prefix of the second level.
pub const SECOND_PREFIX: &str = "88.118";

/// The prefix of the wine trade.
const TRADE_PREFIX: &str = "88.608";

/// All nodes, parents before their children and primaries before their mirrors.
///
/// Five top-level nodes are in daily use, two more stand by for disaster recovery ("5+2"). All
/// seven answer; changes are made at one and followed by the others.
pub const PLACES: [Place; 16] = [
    Place::primary(ROOT, "root 根节点", Role::Root, "0.NA"),
    Place::primary(TOP_PRIMARY, "Beijing 北京", Role::TopLevel, TOP_PREFIX),
    Place::mirror("shanghai", "Shanghai 上海"),
    Place::mirror("guangzhou", "Guangzhou 广州"),
    Place::mirror("wuhan", "Wuhan 武汉"),
    Place::mirror("chongqing", "Chongqing 重庆"),
    Place::mirror("nanjing", "Nanjing 南京 (disaster recovery 灾备)"),
    Place::mirror("guiyang", "Guiyang 贵阳 (disaster recovery 灾备)"),
    Place::primary(
        SECOND_LEVEL,
        "second-level node of an industry 行业二级节点",
        Role::SecondLevel,
        SECOND_PREFIX,
    ),
    Place::enterprise(
        FIGURES,
        "enterprise: all figures 企业节点：全部指标",
        super::PREFIX,
        Topics::All,
    ),
    Place::enterprise(
        "vehicles",
        "enterprise: vehicles and batteries 企业节点：汽车与电池",
        "88.118.6",
        Topics::Some(&["vehicles", "battery"]),
    ),
    Place::enterprise(
        "compute",
        "enterprise: compute and networks 企业节点：算力与网络",
        "88.118.7",
        Topics::Some(&["compute", "telecom", "industrial-internet"]),
    ),
    Place::primary(
        TRADE,
        "second-level node of the wine trade 酒类二级节点",
        Role::SecondLevel,
        TRADE_PREFIX,
    ),
    Place::enterprise(
        DISTILLERY,
        "enterprise: a distillery 企业节点：酒厂",
        "88.608.24061301",
        Topics::Trace,
    ),
    Place::enterprise(
        DISTRIBUTOR,
        "enterprise: a distributor 企业节点：经销商",
        "88.608.5288",
        Topics::Trace,
    ),
    Place {
        name: RECURSIVE,
        title: "recursive node 递归节点",
        role: Role::Recursive,
        prefix: None,
        mirrors: None,
        topics: Topics::None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_primaries_come_before_their_mirrors() {
        for (n, place) in PLACES.iter().enumerate() {
            let before = &PLACES[..n];
            assert!(before.iter().all(|other| other.name != place.name));
            if let Some(primary) = place.mirrors {
                assert!(
                    before.iter().any(|other| other.name == primary),
                    "{}",
                    place.name
                );
            }
        }
    }

    #[test]
    fn top_level_is_five_and_two() {
        let top = PLACES.iter().filter(|place| place.role == Role::TopLevel);
        let standby = top.clone().filter(|place| place.title.contains("灾备"));
        assert_eq!((top.count(), standby.count()), (7, 2));
    }
}
