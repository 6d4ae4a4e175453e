//! What happened, line by line: hashed always, so that two runs can be compared, and kept for
//! people when a seed is replayed.

//----------- Log ------------------------------------------------------------

/// What becomes of the lines besides their hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Nothing.
    Quiet,
    /// They are kept.
    Full,
}

/// The lines of a run.
#[derive(Debug)]
pub(super) struct Log {
    hash: u64,
    lines: Option<Vec<String>>,
}

impl Log {
    pub(super) fn new(verbosity: Verbosity) -> Self {
        let lines = match verbosity {
            Verbosity::Quiet => None,
            Verbosity::Full => Some(Vec::new()),
        };
        // The offset basis of FNV-1a.
        let hash = 0xcbf2_9ce4_8422_2325;
        Self { hash, lines }
    }

    /// Notes a line, at `now` milliseconds of the simulated time.
    pub(super) fn say(&mut self, now: u64, line: std::fmt::Arguments<'_>) {
        let text = format!("{:>4}.{:03} {line}", now / 1_000, now % 1_000);
        self.mix(text.as_bytes());
        if let Some(lines) = &mut self.lines {
            lines.push(text);
        }
    }

    /// Lets octets count in the hash without a line of their own.
    pub(super) fn mix(&mut self, octets: &[u8]) {
        for chunk in octets.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.hash ^= u64::from_le_bytes(word);
            self.hash = self
                .hash
                .wrapping_mul(0x0000_0100_0000_01b3)
                .rotate_left(23);
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
