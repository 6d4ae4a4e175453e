//! Test tools: crash images, replay, generators.
