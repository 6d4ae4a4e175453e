//! Words for what figures count: units, topics and sorts of figures, in both languages.
//!
//! A word that is not listed is shown as the record has it.

use guantong_api::observation::Bound;

use super::number;
use super::text::Lang;

/// Unit, English plural, Chinese measure word.
#[rustfmt::skip]
const UNITS: [(&str, &str, &str); 58] = [
    ("account", "accounts", "个账户"), ("aircraft", "aircraft", "架"), ("app", "apps", "款应用"),
    ("benchmark", "benchmarks", "个标杆"), ("board", "boards", "个板块"), ("cable", "cables", "条海缆"),
    ("call", "calls", "次通话"), ("call-or-message", "calls and messages", "次"),
    ("case", "cases", "个"), ("category", "categories", "个大类"), ("centre", "centres", "个中心"),
    ("city", "cities", "个城市"), ("cluster", "clusters", "个集群"), ("connection", "connections", "个连接"),
    ("data-centre", "data centres", "个数据中心"), ("device", "devices", "台设备"),
    ("enterprise", "enterprises", "家企业"), ("enterprise/day", "enterprises a day", "家企业/天"),
    ("event", "events", "场"), ("factory", "factories", "家工厂"), ("fund", "funds", "只基金"),
    ("household", "households", "户"), ("industry", "industries", "个行业"),
    ("institution", "institutions", "家机构"), ("intent", "letters of intent", "项意向"),
    ("message", "messages", "条短信"), ("month", "months", "个月"), ("need", "needs", "项需求"),
    ("network", "networks", "个网络"), ("node", "nodes", "个节点"), ("number", "numbers", "个号码"),
    ("organisation", "organisations", "个组织"), ("park", "parks", "个园区"), ("person", "people", "人"),
    ("phone", "phones", "部电话"), ("platform", "platforms", "个平台"), ("port", "ports", "个端口"),
    ("product", "products", "个产品"), ("project", "projects", "个项目"),
    ("province", "provinces", "个省份"), ("rack", "racks", "个机架"), ("server", "servers", "台服务器"),
    ("standard", "standards", "项标准"), ("station", "stations", "个"),
    ("subscriber", "subscribers", "户"), ("ton", "tonnes", "吨"), ("use", "uses", "次"),
    ("vehicle", "vehicles", "辆"), ("website", "websites", "家网站"),
    ("website-or-app", "websites and apps", "家网站和应用"), ("year", "years", "年"),
    ("MW", "MW", "兆瓦"), ("GWh", "GWh", "吉瓦时"), ("Wh/kg", "Wh/kg", "瓦时/千克"),
    ("ms", "ms", "毫秒"), ("EFLOPS", "EFLOPS", "EFLOPS"), ("Gbit/s", "Gbit/s", "Gbit/s"),
    ("Tbit/s", "Tbit/s", "Tbit/s"),
];

const TOPICS: [(&str, &str, &str); 14] = [
    ("telecom", "telecom", "电信"),
    ("economy", "economy", "经济运行"),
    ("vehicles", "vehicles", "汽车"),
    ("industrial-internet", "industrial internet", "工业互联网"),
    ("sme", "small and medium enterprises", "中小企业"),
    ("smart-manufacturing", "smart manufacturing", "智能制造"),
    ("compute", "compute", "算力"),
    ("green", "green industry", "绿色发展"),
    ("finance", "finance", "产融合作"),
    ("governance", "governance", "治理"),
    ("technology", "technology", "科技"),
    ("internet", "internet", "互联网"),
    ("trade", "trade", "贸易"),
    ("battery", "batteries", "电池"),
];

const KINDS: [(&str, &str, &str); 6] = [
    ("stock", "state at a date", "存量"),
    ("flow", "sum over a period", "流量"),
    ("growth", "growth on the year before", "同比增长"),
    ("share", "share", "占比"),
    ("target", "target", "目标"),
    ("rank", "rank", "位次"),
];

fn look_up<'a>(table: &[(&str, &'a str, &'a str)], word: &'a str, lang: Lang) -> &'a str {
    let entry = table.iter().find(|(name, _, _)| *name == word);
    entry.map_or(word, |(_, en, zh)| lang.pick(en, zh))
}

/// The topic in words.
pub(super) fn topic(word: &str, lang: Lang) -> &str {
    look_up(&TOPICS, word, lang)
}

/// The sort of figure in words.
pub(super) fn kind(word: &str, lang: Lang) -> &str {
    look_up(&KINDS, word, lang)
}

/// The unit alone, as the heading of an axis.
pub(super) fn unit(word: &str, lang: Lang) -> &str {
    match word {
        "percent" => "%",
        "percentage-point" => lang.pick("percentage points", "百分点"),
        "CNY" => lang.pick("CNY", "元"),
        "rank" => lang.pick("rank", "位次"),
        word => look_up(&UNITS, word, lang),
    }
}

/// The figure with its unit, large numbers named: `3.647 million stations`, `364.7万个`.
pub(super) fn quantity(value: f64, unit_word: &str, lang: Lang) -> String {
    let number = number::compact(value, lang);
    match (unit_word, lang) {
        ("percent", _) => format!("{number}%"),
        ("CNY", Lang::En) => format!("CNY {number}"),
        ("rank", Lang::En) => format!("no. {number}"),
        ("rank", Lang::Zh) => format!("第{number}位"),
        ("percentage-point", Lang::Zh) => format!("{number}个百分点"),
        (word, Lang::Zh) => {
            let unit = unit(word, lang);
            let space = if unit.is_ascii() { " " } else { "" };
            format!("{number}{space}{unit}")
        }
        (word, Lang::En) => format!("{number} {}", unit(word, lang)),
    }
}

/// The word in front of a figure that is not exact, with the space it needs.
pub(super) fn bound(bound: Bound, lang: Lang) -> String {
    let text = lang.text();
    let word = match bound {
        Bound::Exact => return String::new(),
        Bound::Over => text.over,
        Bound::Under => text.under,
        Bound::About => text.about,
    };
    format!("{word}{}", lang.pick(" ", ""))
}

/// The sign in front of a figure that is not exact, for the labels of a chart.
pub(super) fn bound_sign(bound: Bound) -> &'static str {
    match bound {
        Bound::Exact => "",
        Bound::Over => ">",
        Bound::Under => "<",
        Bound::About => "≈",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_naturally_in_both_languages() {
        let cases = [
            (
                3_647_000.0,
                "station",
                "3.647 million stations",
                "364.7万个",
            ),
            (6.1, "percent", "6.1%", "6.1%"),
            (
                1.5,
                "percentage-point",
                "1.5 percentage points",
                "1.5个百分点",
            ),
            (1.35e12, "CNY", "CNY 1.35 trillion", "1.35万亿元"),
            (1.0, "rank", "no. 1", "第1位"),
            (230.0, "EFLOPS", "230 EFLOPS", "230 EFLOPS"),
            (7.0, "furlong", "7 furlong", "7 furlong"),
        ];
        for (value, unit, en, zh) in cases {
            assert_eq!(quantity(value, unit, Lang::En), en);
            assert_eq!(quantity(value, unit, Lang::Zh), zh);
        }
    }
}
