//! Embedded record store with an ordered change log.
