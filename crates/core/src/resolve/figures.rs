//! What the resolver counts, for metrics. Counters only grow; gauges say how much is under way.

//----------- Figures --------------------------------------------------------

/// A snapshot of all counters and gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Questions asked by [`Resolver::start`](super::Resolver::start).
    pub questions: u64,
    /// Questions and sub-questions that joined one under way.
    pub coalesced: u64,
    /// Questions and sub-questions that the cache answered.
    pub cached: u64,
    /// Questions answered from an expired entry.
    pub stale: u64,
    /// Questions that failed.
    pub failed: u64,
    /// Questions refused because too many wait.
    pub refused: u64,
    /// Entries asked for again before their end.
    pub refreshes: u64,
    /// Exchanges by transport: UDP, TCP, HTTP, HTTPS.
    pub exchanges: [ExchangeFigures; 4],
    /// Datagrams requests sent again.
    pub retries: u64,
    /// Second servers that were asked because the first was slow.
    pub hedges: u64,
    /// Hedges whose server answered first.
    pub hedges_won: u64,
    /// Referrals followed (302, 303).
    pub referrals: u64,
    /// Replies dropped because no request fits them: forged, late or duplicate.
    pub dropped_unknown: u64,
    /// Replies dropped because digest, handle, time or signature do not fit the request.
    pub dropped_mismatched: u64,
    /// Loops that were cut.
    pub loops: u64,
    /// Questions and sub-questions under way (gauge).
    pub walks: usize,
    /// Exchanges under way (gauge).
    pub in_flight: usize,
}

/// Exchanges of one transport by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExchangeFigures {
    /// Begun.
    pub sent: u64,
    /// Ended with a sound reply.
    pub answered: u64,
    /// Ended without a reply in time.
    pub silent: u64,
    /// Ended by a fault of the stream or an unsound reply.
    pub failed: u64,
    /// Given up because another was faster or nobody waited.
    pub abandoned: u64,
}
