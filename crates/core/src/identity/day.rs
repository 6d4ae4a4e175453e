//! The digest by which programs for second-level nodes log in: of their secret, and of the day.
//!
//! Whoever sees the digest logs in by it until midnight, and whoever guesses the secret can check
//! his guess on it. So it is taken for secrets only that nobody guesses, and only if the operator
//! wants it.

use guantong_proto::crypto::Hash;
use time::{Duration, OffsetDateTime, UtcOffset};

/// Fewest octets of a secret that digests are taken of. Hexadecimal digits of 128 bits are as many.
pub const API_SECRET_LEN_MIN: usize = 32;
/// The clocks of clients show the time of Beijing.
const OFFSET_HOURS: i8 = 8;
/// How wrong they may be.
const SKEW_SECS: i64 = 300;

/// SHA-256 in lower-case hexadecimal digits.
pub fn api_digest(octets: &[u8]) -> String {
    let digest = Hash::Sha256.digest(&[octets]);
    digest.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// What clients send whose secret has this digest: one text on most of a day, and two around
/// midnight.
pub fn day_digests(api_digest: &str, now_secs: u32) -> Vec<String> {
    let Ok(now) = OffsetDateTime::from_unix_timestamp(now_secs.into()) else {
        return Vec::new();
    };
    let here = UtcOffset::from_hms(OFFSET_HOURS, 0, 0).unwrap_or(UtcOffset::UTC);
    let days = [-SKEW_SECS, SKEW_SECS].map(|skew| {
        let at = (now + Duration::seconds(skew)).to_offset(here);
        let (year, month, day) = at.to_calendar_date();
        format!("{year:04}-{:02}-{day:02}", u8::from(month))
    });
    let mut digests: Vec<String> = days
        .iter()
        .map(|day| self::api_digest(format!("{api_digest}{day}").as_bytes()))
        .collect();
    digests.dedup();
    digests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_that_of_the_day_in_beijing() {
        // 2019-08-15 00:10 there is still the 14th in Greenwich.
        let now = 1_565_799_000;
        let secret = api_digest(b"123456");
        let digests = day_digests(&secret, now);
        assert_eq!(digests.len(), 1);
        assert_eq!(
            digests[0],
            api_digest(format!("{secret}2019-08-15").as_bytes())
        );
        let midnight = day_digests(&secret, now - 600);
        assert_eq!(midnight.len(), 2);
        assert_eq!(midnight[1], digests[0]);
        assert_eq!(day_digests(&secret, now - 1_200), [midnight[0].clone()]);
    }

    #[test]
    fn digest_of_a_secret_is_sha_256() {
        let expected = "8d969eef6ecad3c29a3a629280e686cf0c3f5d5a86aff3ca12020c923adc6c92";
        assert_eq!(api_digest(b"123456"), expected);
    }
}
