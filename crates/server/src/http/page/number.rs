//! Numbers, dates and durations as people read them, in both languages.

use time::{Date, Month, OffsetDateTime};

use super::text::Lang;

//----------- Numbers --------------------------------------------------------

/// All digits, in groups of three: `3,647,000`, `57.5`, `-1,234.25`.
pub(super) fn full(value: f64) -> String {
    let text = decimal(value, 6);
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut grouped = String::with_capacity(text.len() + whole.len() / 3);
    for (position, digit) in whole.chars().enumerate() {
        if position > 0 && (whole.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{point}{fraction}")
}

/// At most four significant digits with a word for the magnitude: `3.647 million`, `364.7万`.
pub(crate) fn compact(value: f64, lang: Lang) -> String {
    let scales: &[(f64, &str)] = match lang {
        Lang::En => &[(1e12, " trillion"), (1e9, " billion"), (1e6, " million")],
        Lang::Zh => &[(1e12, "万亿"), (1e8, "亿"), (1e4, "万")],
    };
    scaled(value, scales)
}

/// The same with a letter, for the axis of a chart: `3.6M`.
pub(super) fn short(value: f64, lang: Lang) -> String {
    const LETTERS: &[(f64, &str)] = &[(1e12, "T"), (1e9, "bn"), (1e6, "M"), (1e4, "k")];
    match lang {
        Lang::En if value.abs() >= 1e4 => match LETTERS.iter().find(|(s, _)| value.abs() >= *s) {
            Some((1e4, letter)) => format!("{}{letter}", significant(value / 1e3)),
            _ => scaled(value, LETTERS),
        },
        _ => compact(value, lang),
    }
}

fn scaled(value: f64, scales: &[(f64, &str)]) -> String {
    // The largest that is not smaller than one; Chinese writes 7120亿 without a comma.
    match scales.iter().find(|(scale, _)| value.abs() >= *scale) {
        Some((scale, word)) => format!("{}{word}", significant(value / scale)),
        None => full(value),
    }
}

/// Four significant digits of a number below ten thousand; whole numbers stay whole.
fn significant(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 1000.0 => 0,
        v if v >= 100.0 => 1,
        v if v >= 10.0 => 2,
        _ => 3,
    };
    decimal(value, decimals)
}

/// At most so many decimals, without trailing zeros.
fn decimal(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let trimmed = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    match trimmed {
        "-0" | "" => "0".to_owned(),
        text => text.to_owned(),
    }
}

/// A count of whole things.
pub(crate) fn count(number: u64) -> String {
    let text = number.to_string();
    let mut grouped = String::with_capacity(text.len() + text.len() / 3);
    for (position, digit) in text.chars().enumerate() {
        if position > 0 && (text.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

//----------- Dates ----------------------------------------------------------

/// Reads `2024-03-31`. Years outside 1000..=2999 are no dates of figures.
pub(super) fn parse_date(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let year: i32 = parts.next()?.parse().ok()?;
    let month: u8 = parts.next()?.parse().ok()?;
    let day: u8 = parts.next()?.parse().ok()?;
    let month = Month::try_from(month).ok()?;
    let date = Date::from_calendar_date(year, month, day).ok()?;
    (1000..=2999).contains(&year).then_some(date)
}

/// A day in words: `31 March 2024`, `2024年3月31日`.
pub(super) fn day(date: Date, lang: Lang) -> String {
    let (year, month, day) = (date.year(), date.month(), date.day());
    match lang {
        Lang::En => format!("{day} {month} {year}"),
        Lang::Zh => format!("{year}年{}月{day}日", u8::from(month)),
    }
}

/// A period in words: `2023`, `Q1 2024`, `2024年一季度`, `1 January – 29 February 2024`.
pub(super) fn period(start: Date, end: Date, lang: Lang) -> String {
    let year = end.year();
    let same_year = start.year() == year && start.ordinal() == 1;
    let is_month_end = end.next_day().is_some_and(|next| next.day() == 1);
    let months = same_year.then(|| u8::from(end.month()));
    match (months.filter(|_| is_month_end), lang) {
        (Some(3), Lang::En) => format!("Q1 {year}"),
        (Some(3), Lang::Zh) => format!("{year}年一季度"),
        (Some(6), Lang::En) => format!("H1 {year}"),
        (Some(6), Lang::Zh) => format!("{year}年上半年"),
        (Some(9), Lang::En) => format!("Q1–Q3 {year}"),
        (Some(9), Lang::Zh) => format!("{year}年前三季度"),
        (Some(12), Lang::En) => format!("{year}"),
        (Some(12), Lang::Zh) => format!("{year}年"),
        (Some(n), Lang::En) if n > 1 => format!("January–{} {year}", end.month()),
        (Some(n), Lang::Zh) if n > 1 => format!("{year}年1–{n}月"),
        (_, Lang::En) if start.year() == year => {
            format!("{} {} – {}", start.day(), start.month(), day(end, lang))
        }
        _ => format!("{} – {}", day(start, lang), day(end, lang)),
    }
}

/// A moment in UTC: `2024-03-31 08:15:02 UTC`.
pub(crate) fn moment(seconds: i64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    let (date, time) = (at.date(), at.time());
    let (hour, minute, second) = time.as_hms();
    Some(format!("{date} {hour:02}:{minute:02}:{second:02} UTC"))
}

/// Seconds in the largest units that say it in one or two words: `1 day`, `2小时 30分钟`.
pub(crate) fn duration(seconds: u64, lang: Lang) -> String {
    const UNITS: [(u64, &str, &str); 4] = [
        (86_400, "day", "天"),
        (3_600, "hour", "小时"),
        (60, "minute", "分钟"),
        (1, "second", "秒"),
    ];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (size, en, zh) in UNITS {
        let number = rest / size;
        rest %= size;
        if number > 0 && parts.len() < 2 {
            let plural = if number == 1 { "" } else { "s" };
            parts.push(match lang {
                Lang::En => format!("{} {en}{plural}", count(number)),
                Lang::Zh => format!("{}{zh}", count(number)),
            });
        }
    }
    match (parts.is_empty(), lang) {
        (true, Lang::En) => "0 seconds".to_owned(),
        (true, Lang::Zh) => "0秒".to_owned(),
        (false, _) => parts.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (57.5, "57.5"),
            (999.0, "999"),
            (1000.0, "1,000"),
            (3_647_000.0, "3,647,000"),
            (-1234.25, "-1,234.25"),
            (8e13, "80,000,000,000,000"),
        ];
        for (value, expected) in cases {
            assert_eq!(full(value), expected);
        }
    }

    #[test]
    fn large_numbers_are_named() {
        let cases = [
            (3_647_000.0, "3.647 million", "364.7万", "3.647M"),
            (1.35e12, "1.35 trillion", "1.35万亿", "1.35T"),
            (7.12e11, "712 billion", "7120亿", "712bn"),
            (70_000.0, "70,000", "7万", "70k"),
            (103_000.0, "103,000", "10.3万", "103k"),
            (9_587.0, "9,587", "9,587", "9,587"),
            (6.1, "6.1", "6.1", "6.1"),
            (-2.5e6, "-2.5 million", "-250万", "-2.5M"),
        ];
        for (value, en, zh, letter) in cases {
            assert_eq!(compact(value, Lang::En), en);
            assert_eq!(compact(value, Lang::Zh), zh);
            assert_eq!(short(value, Lang::En), letter);
        }
    }

    #[test]
    fn periods_have_their_usual_names() {
        let name = |start: &str, end: &str, lang| {
            period(parse_date(start).unwrap(), parse_date(end).unwrap(), lang)
        };
        assert_eq!(name("2023-01-01", "2023-12-31", Lang::En), "2023");
        assert_eq!(name("2024-01-01", "2024-03-31", Lang::Zh), "2024年一季度");
        assert_eq!(name("2023-01-01", "2023-06-30", Lang::En), "H1 2023");
        assert_eq!(
            name("2024-01-01", "2024-02-29", Lang::En),
            "January–February 2024"
        );
        assert_eq!(
            name("2024-01-01", "2024-02-28", Lang::En),
            "1 January – 28 February 2024"
        );
        assert_eq!(
            name("2012-10-01", "2023-06-30", Lang::Zh),
            "2012年10月1日 – 2023年6月30日"
        );
    }

    #[test]
    fn only_real_days_are_dates() {
        for text in [
            "2024-02-30",
            "2024-13-01",
            "24-1-1",
            "2024",
            "9999-01-01",
            "",
            "a-b-c",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn durations_name_two_units_at_most() {
        assert_eq!(duration(86_400, Lang::En), "1 day");
        assert_eq!(duration(9_000, Lang::Zh), "2小时 30分钟");
        assert_eq!(duration(90_061, Lang::En), "1 day 1 hour");
        assert_eq!(duration(0, Lang::En), "0 seconds");
    }

    #[test]
    fn moments_are_in_utc() {
        assert_eq!(moment(1_700_000_000).unwrap(), "2023-11-14 22:13:20 UTC");
        assert_eq!(moment(i64::MAX), None);
    }
}
