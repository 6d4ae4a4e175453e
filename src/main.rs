//! The `guantong` binary: arguments in, library call, exit code out.

fn main() {}
