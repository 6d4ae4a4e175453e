//! One breach of a rule, worded for the person who has to mend it.

use std::fmt;

/// One breach: where it is, which rule it breaks, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Path from the root of the repository, with `/`.
    pub(crate) path: String,
    /// Line, from 1; 0 when the whole file is meant.
    pub(crate) line: usize,
    /// Short name of the rule.
    pub(crate) rule: &'static str,
    /// What was found.
    pub(crate) what: String,
    /// What to do.
    pub(crate) fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding {
            path,
            line,
            rule,
            what,
            fix,
        } = self;
        write!(f, "{path}:{line}: {rule}: {what}\n    {fix}")
    }
}

/// Fails the running test with every finding in it, or passes when there is none.
#[track_caller]
pub(crate) fn expect_none(mut findings: Vec<Finding>) {
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    let list: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(
        list.is_empty(),
        "{} breaches of the style rules\n\n{}\n",
        list.len(),
        list.join("\n")
    );
}
