//! A class of industry in four parts, as existing enterprise nodes say it.

use guantong_api::doip::{Basics, Code};
use guantong_core::template::Industry;
use serde_json::{Map, Value as Json};

use super::refusal::Refusal;

/// The parts by their names, and how many digits each has behind the letter of the section.
const PARTS: [(&str, usize); 4] = [
    ("industryCategory", 0),
    ("industrySpecific", 2),
    ("industryTrade", 3),
    ("industrySubclass", 4),
];

/// The class that the parts name together: the most exact of them behind the section. Whether a
/// part repeats the letter makes no difference.
pub(super) fn of(basics: &Basics) -> Result<Option<Industry>, Refusal> {
    let parts = [
        &basics.industry_category,
        &basics.industry_specific,
        &basics.industry_trade,
        &basics.industry_subclass,
    ];
    let part = |text: &Option<String>| text.as_deref().unwrap_or_default().trim().to_owned();
    let parts = parts.map(part);
    let [section, digits @ ..] = &parts;
    if parts.iter().all(String::is_empty) {
        return Ok(None);
    }
    let digits = digits.iter().rev().find(|digits| !digits.is_empty());
    let digits = digits.map(|digits| digits.strip_prefix(section.as_str()).unwrap_or(digits));
    let named = format!("{section}{}", digits.unwrap_or_default());
    named.parse().map(Some).map_err(|error| {
        let message = format!("`{named}`, of industryCategory to industrySubclass: {error}");
        Refusal::new(Code::Parameter, message)
    })
}

/// The parts of a class, and all of them as one text.
pub(super) fn write(industry: Option<&Industry>, form: &mut Map<String, Json>) {
    let text = industry.map(ToString::to_string).unwrap_or_default();
    let digits = text.get(1..).unwrap_or_default();
    let mut path = Vec::new();
    for (name, len) in PARTS {
        let part = match len {
            0 => text.get(..1),
            len => digits.get(..len),
        };
        path.extend(part);
        form.insert(name.to_owned(), part.map_or(Json::Null, Json::from));
    }
    form.insert("industry".to_owned(), path.join("/").into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basics(parts: [&str; 4]) -> Basics {
        let [a, b, c, d] = parts.map(|part| Some(part.to_owned()));
        Basics {
            industry_category: a,
            industry_specific: b,
            industry_trade: c,
            industry_subclass: d,
            ..Basics::default()
        }
    }

    #[test]
    fn parts_are_one_class_and_come_back() {
        for parts in [
            ["C", "38", "384", "3841"],
            ["C", "C38", "C384", "C3841"],
            ["C", "", "", "3841"],
        ] {
            let industry = of(&basics(parts)).unwrap();
            assert_eq!(industry.as_ref().unwrap().to_string(), "C3841");
            let mut form = Map::new();
            write(industry.as_ref(), &mut form);
            assert_eq!(form["industryTrade"], "384");
            assert_eq!(form["industry"], "C/38/384/3841");
        }
        assert!(of(&basics(["", "", "", ""])).unwrap().is_none());
        assert!(of(&basics(["", "38", "", ""])).is_err());
        assert!(of(&basics(["C", "9", "", ""])).is_err());
    }
}
