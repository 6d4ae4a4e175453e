//! The few figures that a page of the console shows as they move.

use super::{
    BUCKETS_US, CODE_SLOTS, CODES, DURATION_AT, DURATION_SLOTS, HTTP_AT, HTTP_SLOTS, Metrics,
    OP_SLOTS, OPS, REQUEST_SLOTS, SINGLE_AT, Single, Transport,
};

/// Figures since the node started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Brief {
    /// When the node started, in seconds since 1970.
    pub(crate) start_secs: u64,
    /// Native requests, and requests over HTTP.
    pub(crate) requests: u64,
    /// Native requests that resolve.
    pub(crate) resolutions: u64,
    /// Native requests that were answered by anything but success.
    pub(crate) refused: u64,
    /// Requests over HTTP.
    pub(crate) http: u64,
    /// Answers from the cache of others' answers.
    pub(crate) cache_hits: u64,
    /// Upper bounds of the buckets of durations in microseconds, and answers in each; the last one
    /// has no bound.
    pub(crate) durations: Vec<(Option<u64>, u64)>,
}

impl Brief {
    /// The duration in microseconds below which this part of the answers took; none if nothing was
    /// measured, or it is above every bound.
    pub(crate) fn percentile(&self, part: f64) -> Option<u64> {
        let all: u64 = self.durations.iter().map(|(_, count)| count).sum();
        if all == 0 {
            return None;
        }
        let wanted = (all as f64 * part).ceil() as u64;
        let mut below = 0;
        for (bound, count) in &self.durations {
            below += count;
            if below >= wanted {
                return *bound;
            }
        }
        None
    }
}

impl Metrics {
    /// The figures of this moment.
    pub(crate) fn brief(&self) -> Brief {
        let mut brief = Brief {
            start_secs: self.start_secs,
            requests: 0,
            resolutions: 0,
            refused: 0,
            http: (0..HTTP_SLOTS).map(|slot| self.total(HTTP_AT + slot)).sum(),
            cache_hits: self.total(SINGLE_AT + Single::CacheHits as usize),
            durations: Vec::with_capacity(BUCKETS_US.len() + 1),
        };
        for slot in 0..REQUEST_SLOTS {
            let count = self.total(slot);
            if count == 0 {
                continue;
            }
            brief.requests += count;
            let op = OPS.get(slot / CODE_SLOTS % OP_SLOTS);
            if op.is_some_and(|op| *op == super::OpCode::RESOLVE) {
                brief.resolutions += count;
            }
            let code = CODES.get(slot % CODE_SLOTS);
            if code.is_none_or(|code| !code.is_success()) {
                brief.refused += count;
            }
        }
        brief.requests += brief.http;
        for bucket in 0..=BUCKETS_US.len() {
            let of = |via: Transport| DURATION_AT + via.slot() * DURATION_SLOTS + bucket;
            let count = Transport::ALL.iter().map(|via| self.total(of(*via))).sum();
            brief
                .durations
                .push((BUCKETS_US.get(bucket).copied(), count));
        }
        brief
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn percentiles_are_bounds_of_buckets() {
        let metrics = Metrics::new(7);
        assert_eq!(metrics.brief().percentile(0.5), None);
        for _ in 0..99 {
            metrics.took(Transport::Udp, Duration::from_micros(1));
        }
        metrics.took(Transport::Tcp, Duration::from_millis(5));
        let brief = metrics.brief();
        assert_eq!((brief.start_secs, brief.percentile(0.5)), (7, Some(1)));
        assert_eq!(brief.percentile(0.99), Some(1));
        assert_eq!(brief.percentile(1.0), Some(10_000));
        metrics.took(Transport::Tcp, Duration::from_secs(5));
        assert_eq!(metrics.brief().percentile(1.0), None);
    }

    #[test]
    fn requests_over_http_are_counted_among_all() {
        let metrics = Metrics::new(0);
        metrics.http(200);
        metrics.records(Transport::Udp, 3);
        let brief = metrics.brief();
        assert_eq!((brief.requests, brief.http, brief.resolutions), (4, 1, 3));
        assert_eq!(brief.refused, 0);
    }
}
