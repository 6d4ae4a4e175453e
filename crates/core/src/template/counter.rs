//! Counters of suffix rules, `{counter:N}`: numbers that are given once.
//!
//! How far a counter has come is a record beside the template: `P/COUNTER_x` for `P/META_x`.
//!
//! | index | type | data |
//! |---|---|---|
//! | 1 | `GT_COUNTER` | the next number that nobody has reserved, in decimal |
//!
//! Numbers are reserved in blocks before any of them is given, so that one write serves many. What
//! is left of a block when the node stops is not given any more: there are gaps, and no number
//! twice.

use guantong_proto::{Handle, NameError, Permissions, Value, Values, is_of_type};

use super::limit::COUNTER_BLOCK_MAX;

/// Type of the value that says how far a counter has come.
pub const COUNTER_TYPE: &str = "GT_COUNTER";
const COUNTER_INDEX: i32 = 1;
const TEMPLATE_LEAD: &str = "META_";
const COUNTER_LEAD: &str = "COUNTER_";
/// A block is at most this part of all numbers: a short counter is not used up by restarts.
const BLOCK_PART: u64 = 10_000;

/// Numbers that are reserved together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The next number that is given.
    pub next: u64,
    /// The first one behind the block.
    pub end: u64,
}

impl Block {
    /// The block that comes next if a counter of so many digits has come this far; an empty one if
    /// the counter is used up. The first number of all is 1.
    pub fn after(reserved: u64, digits: u8) -> Self {
        let all = 10_u64.saturating_pow(digits.into());
        let next = reserved.max(1);
        let size = (all / BLOCK_PART).clamp(1, COUNTER_BLOCK_MAX);
        Self {
            next,
            end: next.saturating_add(size).min(all.max(next)),
        }
    }

    /// Takes the next number out of the block.
    pub fn take(&mut self) -> Option<u64> {
        let number = self.next;
        let is_left = number < self.end;
        self.next += u64::from(is_left);
        is_left.then_some(number)
    }
}

/// The record of the counter of a template.
pub fn counter_handle(template: &Handle) -> Result<Handle, NameError> {
    let name = template.as_str();
    let (prefix, suffix) = name.split_once('/').unwrap_or((name, ""));
    let code = suffix.strip_prefix(TEMPLATE_LEAD).unwrap_or(suffix);
    Handle::parse(&format!("{prefix}/{COUNTER_LEAD}{code}"))
}

/// The value that says how far a counter has come. Only administrators see it: how much an
/// enterprise makes is its own affair.
pub fn counter_value(reserved: u64) -> Value {
    Value {
        permissions: Permissions(Permissions::ADMIN_READ | Permissions::ADMIN_WRITE),
        ..Value::new(COUNTER_INDEX, COUNTER_TYPE, reserved.to_string())
    }
}

/// How far a counter has come by its record; `None` if the record does not say it.
pub fn counter_of(values: Values<'_>) -> Option<u64> {
    let is_counter = |kind: &[u8]| is_of_type(kind, COUNTER_TYPE.as_bytes());
    let value = values.iter().find(|value| is_counter(value.kind))?;
    std::str::from_utf8(value.data).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use guantong_proto::wire::Writer;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counter_stands_beside_its_template() {
        let of = |name: &str| counter_handle(&Handle::parse(name).unwrap()).unwrap();
        assert_eq!(of("88.118.5/META_a").as_str(), "88.118.5/COUNTER_a");
        assert_eq!(of("88.118.5/other").as_str(), "88.118.5/COUNTER_other");
    }

    #[test]
    fn state_survives_its_record_and_garbage_is_none() {
        let read = |value: Value| {
            let wire = Writer::to_vec(|w| Values::encode(&[value], w));
            counter_of(Values::from_wire(&wire).unwrap())
        };
        for reserved in [0, 1, u64::MAX] {
            assert_eq!(read(counter_value(reserved)), Some(reserved));
        }
        for bad in ["", "x", "-1", "18446744073709551616"] {
            assert_eq!(read(Value::new(1, COUNTER_TYPE, bad)), None, "{bad}");
        }
        assert_eq!(read(Value::new(1, "OTHER", "7")), None);
    }

    #[test]
    fn block_of_a_short_counter_is_short() {
        let len = |digits| {
            let block = Block::after(0, digits);
            block.end - block.next
        };
        assert_eq!((len(1), len(4), len(6)), (1, 1, 100));
        assert_eq!((len(7), len(18)), (COUNTER_BLOCK_MAX, COUNTER_BLOCK_MAX));
        assert_eq!(Block::after(10, 1).take(), None);
        assert_eq!(Block::after(u64::MAX, 18).take(), None);
    }

    proptest! {
        /// Whatever is left of blocks when the node stops, no number is given twice, and none has
        /// more digits than it may.
        #[test]
        fn no_number_is_given_twice(
            digits in 1..=18_u8,
            takes in prop::collection::vec(0..1_200_u64, 0..8),
        ) {
            let (mut reserved, mut last) = (0, 0);
            for takes in takes {
                let mut block = Block::after(reserved, digits);
                reserved = block.end;
                for _ in 0..takes {
                    let Some(number) = block.take() else { break };
                    prop_assert!(number > last && number < 10_u64.pow(digits.into()));
                    last = number;
                }
                prop_assert!(block.next <= reserved);
            }
        }
    }
}
