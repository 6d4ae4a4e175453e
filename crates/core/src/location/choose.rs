//! Which location a visitor gets.

use std::net::IpAddr;

use super::parse::{Location, Locations};

//----------- Visitor --------------------------------------------------------

/// What is known of the one who asks.
#[derive(Clone, Debug, Default)]
pub struct Visitor<'a> {
    /// Attributes that a location should have: `locatt=name:value` of the request.
    pub wishes: Vec<(&'a str, &'a str)>,
    /// The visitor's address.
    pub address: Option<IpAddr>,
    /// The visitor's country, as two letters.
    pub country: Option<&'a str>,
    /// The header field Accept.
    pub accept: Option<&'a str>,
    /// A random number, for the choice by weight.
    pub random: u64,
}

//----------- Method ---------------------------------------------------------

/// A method of choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Locations with the attributes that the visitor wishes (`locatt`).
    Attribute,
    /// Locations that name the visitor's address (`address`).
    Address,
    /// Locations of the visitor's country, else those of none (`country`).
    Country,
    /// Locations with the highest score (`score`).
    Score,
    /// One of them, by weight and chance (`weighted`).
    Weighted,
}

impl Method {
    /// The order without `choose_by`.
    pub const DEFAULT: [Self; 5] = [
        Self::Attribute,
        Self::Address,
        Self::Country,
        Self::Score,
        Self::Weighted,
    ];

    /// Reads the comma list of `choose_by`; words without a meaning are passed over.
    pub(super) fn list(text: &str) -> Vec<Self> {
        let method = |word: &str| {
            Some(match word.trim().to_ascii_lowercase().as_str() {
                "locatt" => Self::Attribute,
                "address" => Self::Address,
                "country" => Self::Country,
                "score" => Self::Score,
                "weighted" => Self::Weighted,
                _ => return None,
            })
        };
        text.split(',').filter_map(method).collect()
    }
}

//----------- Role -----------------------------------------------------------

/// The kind of visitor that a location is meant for (`http_role`), told by Accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes HTML.
    Browser,
    /// Asks for some other form and does not take HTML.
    Negotiating,
    /// Everybody who does not negotiate: browsers, and programs that take anything.
    NotNegotiating,
}

impl Role {
    /// Reads the words `browser`, `conneg` and `no_conneg`.
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word.trim().to_ascii_lowercase().as_str() {
            "browser" => Some(Self::Browser),
            "conneg" => Some(Self::Negotiating),
            "no_conneg" => Some(Self::NotNegotiating),
            _ => None,
        }
    }

    fn fits(self, visitor: &Visitor<'_>) -> bool {
        let kinds = || {
            let ranges = visitor.accept.unwrap_or_default().split(',');
            ranges.map(|range| range.split(';').next().unwrap_or(range).trim())
        };
        let is_html = |kind: &str| {
            ["text/html", "application/xhtml+xml"]
                .iter()
                .any(|html| kind.eq_ignore_ascii_case(html))
        };
        let browser = kinds().any(is_html);
        let negotiating = !browser && kinds().any(|kind| !kind.is_empty() && kind != "*/*");
        match self {
            Self::Browser => browser,
            Self::Negotiating => negotiating,
            Self::NotNegotiating => !negotiating,
        }
    }
}

//----------- Choice ---------------------------------------------------------

impl Locations {
    /// The location for `visitor`; `None` if there is none at all.
    pub fn choose(&self, visitor: &Visitor<'_>) -> Option<&Location> {
        let mut candidates: Vec<&Location> = self.list.iter().collect();
        narrow_by_role(&mut candidates, visitor);
        for method in &self.choose_by {
            match method {
                Method::Attribute => narrow_by_wishes(&mut candidates, visitor),
                Method::Address => {
                    narrow(&mut candidates, |location| {
                        visitor
                            .address
                            .is_some_and(|address| location.addresses.contains(&address))
                    });
                }
                Method::Country => narrow_by_country(&mut candidates, visitor),
                Method::Score => narrow_by_score(&mut candidates),
                Method::Weighted => return weighted(&candidates, visitor.random),
            }
        }
        candidates.first().copied()
    }

    /// Whether the choice depends on Accept, so that the answer must say so to caches.
    pub fn varies_by_accept(&self) -> bool {
        self.list.iter().any(|location| location.role.is_some())
    }
}

/// Keeps the candidates that fit, unless that would be none.
fn narrow(candidates: &mut Vec<&Location>, fits: impl Fn(&Location) -> bool) {
    if candidates.iter().any(|location| fits(location)) {
        candidates.retain(|location| fits(location));
    }
}

fn narrow_by_role(candidates: &mut Vec<&Location>, visitor: &Visitor<'_>) {
    let fits = |location: &Location| location.role.is_some_and(|role| role.fits(visitor));
    match candidates.iter().any(|location| fits(location)) {
        true => candidates.retain(|location| fits(location)),
        false => narrow(candidates, |location| location.role.is_none()),
    }
}

fn narrow_by_wishes(candidates: &mut Vec<&Location>, visitor: &Visitor<'_>) {
    for (name, wanted) in &visitor.wishes {
        narrow(candidates, |location| {
            location
                .attribute(name)
                .is_some_and(|value| value.eq_ignore_ascii_case(wanted))
        });
    }
}

fn narrow_by_country(candidates: &mut Vec<&Location>, visitor: &Visitor<'_>) {
    let Some(country) = visitor.country else {
        return;
    };
    let fits = |location: &Location| {
        let countries = location
            .attribute("country")
            .unwrap_or_default()
            .split([',', ' ']);
        countries
            .into_iter()
            .any(|known| known.eq_ignore_ascii_case(country))
    };
    match candidates.iter().any(|location| fits(location)) {
        true => candidates.retain(|location| fits(location)),
        false => narrow(candidates, |location| {
            location.attribute("country").is_none()
        }),
    }
}

fn narrow_by_score(candidates: &mut Vec<&Location>) {
    let score = |location: &Location| {
        let score = location
            .attribute("score")
            .and_then(|score| score.trim().parse::<f64>().ok());
        score.filter(|score| score.is_finite())
    };
    let best = candidates
        .iter()
        .filter_map(|location| score(location))
        .reduce(f64::max);
    if let Some(best) = best {
        candidates.retain(|location| score(location) == Some(best));
    }
}

/// One candidate by chance; if no weight speaks for any, the first.
fn weighted<'a>(candidates: &[&'a Location], random: u64) -> Option<&'a Location> {
    let total: f64 = candidates.iter().map(|location| location.weight).sum();
    if !total.is_finite() || total <= 0.0 {
        return candidates.first().copied();
    }
    // 53 bits are as many as a float has: a number from 0 up to, but not, the total.
    #[expect(
        clippy::cast_precision_loss,
        reason = "both numbers have 53 bits at most"
    )]
    let mut left = (random >> 11) as f64 / (1_u64 << 53) as f64 * total;
    let mut likely = candidates.iter().filter(|location| location.weight > 0.0);
    for location in likely.clone() {
        if left < location.weight {
            return Some(location);
        }
        left -= location.weight;
    }
    // Rounding may leave a remainder behind the last one.
    likely.next_back().copied()
}

#[cfg(test)]
mod tests {
    use guantong_proto::HandleRef;

    use super::*;

    const XML: &str = r#"<locations>
        <location id="a" href="a" weight="1"/>
        <location id="b" href="b" weight="3"/>
        <location id="cn" href="cn" weight="0" country="cn"/>
        <location id="office" href="office" weight="0" addresses="192.0.2.7"/>
    </locations>"#;

    fn locations(xml: &str) -> Locations {
        Locations::parse(xml.as_bytes(), HandleRef::parse("88.118.5/a").unwrap()).unwrap()
    }

    #[track_caller]
    fn check(xml: &str, visitor: &Visitor<'_>, expected: &str) {
        let locations = locations(xml);
        let chosen = locations
            .choose(visitor)
            .map(|location| location.href.as_str());
        assert_eq!(chosen, Some(expected), "{visitor:?}");
    }

    #[test]
    fn weights_share_the_random_numbers() {
        let at = |part: f64| Visitor {
            random: (part * u64::MAX as f64) as u64,
            ..Visitor::default()
        };
        check(XML, &at(0.0), "a");
        check(XML, &at(0.24), "a");
        check(XML, &at(0.26), "b");
        check(XML, &at(1.0), "b");
    }

    #[test]
    fn weight_zero_is_taken_only_if_something_else_selects_it() {
        let cn = Visitor {
            country: Some("CN"),
            ..Visitor::default()
        };
        check(XML, &cn, "cn");
        let us = Visitor {
            country: Some("us"),
            ..Visitor::default()
        };
        check(XML, &us, "a");
        let wish = Visitor {
            wishes: vec![("id", "CN")],
            ..Visitor::default()
        };
        check(XML, &wish, "cn");
        let zeros = r#"<locations><location href="x" weight="0"/><location href="y" weight="0"/>
            </locations>"#;
        check(zeros, &Visitor::default(), "x");
    }

    #[test]
    fn addresses_match_exactly_or_not_at_all() {
        let from = |address: &str| Visitor {
            address: Some(address.parse().unwrap()),
            ..Visitor::default()
        };
        check(XML, &from("192.0.2.7"), "office");
        check(XML, &from("192.0.2.8"), "a");
    }

    #[test]
    fn wish_that_nothing_fulfils_is_passed_over() {
        let wish = Visitor {
            wishes: vec![("id", "zz"), ("id", "b")],
            ..Visitor::default()
        };
        check(XML, &wish, "b");
    }

    #[test]
    fn highest_score_wins_and_order_decides_without_weights() {
        let xml = r#"<locations choose_by="score"><location href="x"/>
            <location href="y" score="2"/><location href="z" score="2"/></locations>"#;
        check(xml, &Visitor::default(), "y");
    }

    #[test]
    fn roles_follow_accept() {
        let xml = r#"<locations><location href="page" http_role="browser"/>
            <location href="data" http_role="conneg"/><location href="any"/></locations>"#;
        let accepting = |accept| Visitor {
            accept: Some(accept),
            ..Visitor::default()
        };
        check(xml, &accepting("text/html,*/*;q=0.1"), "page");
        check(xml, &accepting("application/json; q=1"), "data");
        check(xml, &accepting("*/*"), "any");
        check(xml, &Visitor::default(), "any");
        assert!(locations(xml).varies_by_accept());
        let xml = r#"<locations><location href="a" http_role="no_conneg"/>
            <location href="b" weight="0"/></locations>"#;
        check(xml, &accepting("text/html"), "a");
        check(xml, &accepting("text/turtle"), "b");
    }

    #[test]
    fn nothing_to_choose_from_is_none() {
        assert_eq!(locations("<locations/>").choose(&Visitor::default()), None);
    }
}
