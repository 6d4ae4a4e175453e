//! A class of industry in four parts, as existing enterprise nodes say it.

use guantong_api::doip::{Basics, Code};
use guantong_core::template::Industry;
use serde_json::{Map, Value as Json};

use super::refusal::Refusal;

/// The parts by their names.
const PARTS: [&str; 4] = [
    "industryCategory",
    "industrySpecific",
    "industryTrade",
    "industrySubclass",
];

/// The class that the parts name together; none if they say nothing.
pub(super) fn of(basics: &Basics) -> Result<Option<Industry>, Refusal> {
    let parts = [
        &basics.industry_category,
        &basics.industry_specific,
        &basics.industry_trade,
        &basics.industry_subclass,
    ];
    let parts = parts.map(|part| part.as_deref().unwrap_or_default());
    if parts.iter().all(|part| part.trim().is_empty()) {
        return Ok(None);
    }
    Industry::of_levels(parts).map(Some).map_err(|error| {
        let message = format!("industryCategory to industrySubclass: {error}");
        Refusal::new(Code::Parameter, message)
    })
}

/// The parts of a class, and all of them as one text.
pub(super) fn write(industry: Option<&Industry>, form: &mut Map<String, Json>) {
    let levels = industry.map(Industry::levels).unwrap_or_default();
    for (name, level) in PARTS.iter().zip(&levels) {
        let part = (!level.is_empty()).then_some(level.as_str());
        form.insert((*name).to_owned(), part.map_or(Json::Null, Json::from));
    }
    let path: Vec<_> = levels
        .into_iter()
        .filter(|level| !level.is_empty())
        .collect();
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
