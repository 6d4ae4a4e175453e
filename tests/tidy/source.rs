//! Rules that need to understand Rust: length of functions, ignored tests, names of tests, banned
//! calls, and files that no module declares.
//!
//! Files are parsed with `syn`, so that a brace in a string or a call in a comment fools nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::calls;
use crate::finding::Finding;
use crate::tree::TextFile;

/// Longest function, in lines from `fn` to the closing brace.
pub(crate) const FUNCTION_LINES_MAX: usize = 70;

/// Functions that may be longer: file, name, reason. Keep it short.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

/// The one crate that may allow itself `unsafe`: calls of the system that no kept library offers.
const UNSAFE_IN: &str = "crates/sched/";

/// What one Rust file says about itself.
pub(crate) struct Parsed {
    findings: Vec<Finding>,
    /// Modules declared without a body: path of inline modules around them, name, `#[path]`, and
    /// whether they are compiled for tests only.
    modules: Vec<Module>,
    /// Lines compiled for tests only.
    test_lines: Vec<RangeInclusive<usize>>,
    /// Full paths of all imports, with their lines.
    imports: Vec<(Vec<String>, usize)>,
    /// The tokens, for rules about calls.
    tokens: proc_macro2::TokenStream,
}

struct Module {
    inside: Vec<String>,
    name: String,
    path: Option<String>,
    test_only: bool,
}

/// Parses one file and applies the rules that need nothing but that file.
pub(crate) fn parse(file: &TextFile) -> Result<Parsed, Finding> {
    let broken = |error: &syn::Error| Finding {
        path: file.path.clone(),
        line: error.span().start().line,
        rule: "syntax",
        what: error.to_string(),
        fix: "Make it compile.".into(),
    };
    let syntax = syn::parse_file(&file.text).map_err(|error| broken(&error))?;
    let tokens = file.text.parse().map_err(|error: proc_macro2::LexError| {
        broken(&syn::Error::new(error.span(), error.to_string()))
    })?;
    let mut reader = Reader {
        path: &file.path,
        inside: Vec::new(),
        parsed: Parsed::new(tokens),
    };
    reader.visit_file(&syntax);
    Ok(reader.parsed)
}

impl Parsed {
    fn new(tokens: proc_macro2::TokenStream) -> Self {
        let (findings, modules, test_lines) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            findings,
            modules,
            test_lines,
            imports: Vec::new(),
            tokens,
        }
    }

    /// Rules that hold in every file.
    pub(crate) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Calls that the layer of `package` bans, outside code that is compiled for tests only.
    pub(crate) fn banned_calls(&self, path: &str, package: &str) -> Vec<Finding> {
        let mut hits = calls::banned_in_tokens(&self.tokens, package);
        for (import, line) in &self.imports {
            hits.extend(calls::banned_in_path(import, package).map(|ban| (ban, *line)));
        }
        hits.retain(|(_, line)| !self.test_lines.iter().any(|lines| lines.contains(line)));
        hits.sort_by_key(|(_, line)| *line);
        hits.dedup_by_key(|(ban, line)| (ban.path, *line));
        hits.into_iter()
            .map(|(ban, line)| ban.finding(path, line, package))
            .collect()
    }
}

//----------- Reachability ---------------------------------------------------

/// Files that are reached from `roots` by module declarations; the value says whether only tests
/// reach them.
pub(crate) fn reachable(
    files: &BTreeMap<String, Parsed>,
    roots: &[String],
) -> BTreeMap<String, bool> {
    let mut reached: BTreeMap<String, bool> = BTreeMap::new();
    let mut waiting: Vec<(String, bool, bool)> = roots
        .iter()
        .map(|root| (root.clone(), true, false))
        .collect();
    while let Some((path, is_root, test_only)) = waiting.pop() {
        match reached.get(&path) {
            Some(false) => continue,
            Some(true) if test_only => continue,
            _ => reached.insert(path.clone(), test_only),
        };
        let Some(parsed) = files.get(&path) else {
            continue;
        };
        for module in &parsed.modules {
            for candidate in module.candidates(&path, is_root) {
                if files.contains_key(&candidate) {
                    waiting.push((candidate, false, test_only || module.test_only));
                }
            }
        }
    }
    reached
}

/// Files that nothing reaches.
pub(crate) fn dead_files(
    files: &BTreeMap<String, Parsed>,
    reached: &BTreeMap<String, bool>,
) -> Vec<Finding> {
    let dead: BTreeSet<&String> = files
        .keys()
        .filter(|path| !reached.contains_key(*path))
        .collect();
    dead.into_iter()
        .map(|path| Finding {
            path: path.clone(),
            line: 0,
            rule: "dead-file",
            what: "no module and no target of a Cargo.toml leads to this file".into(),
            fix: "Declare it with `mod`, or delete it.".into(),
        })
        .collect()
}

impl Module {
    /// Where the module's file can be, if it is declared in the file `path`.
    fn candidates(&self, path: &str, is_root: bool) -> Vec<String> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        if let Some(explicit) = &self.path {
            return vec![normal(&format!("{directory}/{explicit}"))];
        }
        let stem = name.trim_end_matches(".rs");
        let mut base = directory.to_owned();
        if !is_root && stem != "mod" {
            base = format!("{base}/{stem}");
        }
        for inline in &self.inside {
            base = format!("{base}/{inline}");
        }
        let name = &self.name;
        vec![
            normal(&format!("{base}/{name}.rs")),
            normal(&format!("{base}/{name}/mod.rs")),
        ]
    }
}

/// Resolves `.` and `..` in a path with `/`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

//----------- Reader ---------------------------------------------------------

/// Walks over a syntax tree and notes what the rules need.
struct Reader<'a> {
    path: &'a str,
    inside: Vec<String>,
    parsed: Parsed,
}

impl Reader<'_> {
    fn add(&mut self, line: usize, rule: &'static str, what: String, fix: &str) {
        let (path, fix) = (self.path.to_owned(), fix.to_owned());
        self.parsed.findings.push(Finding {
            path,
            line,
            rule,
            what,
            fix,
        });
    }

    fn function(&mut self, attributes: &[syn::Attribute], sig: &syn::Signature, block: Span) {
        let first = sig.fn_token.span().start().line;
        let lines = block.end().line - first + 1;
        let name = sig.ident.to_string();
        let excused = LONG_FUNCTIONS
            .iter()
            .any(|(path, long, _)| *path == self.path && *long == name);
        if lines > FUNCTION_LINES_MAX && !excused {
            let what = format!("`{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}");
            let fix = "Keep the branches here and move the work of each into a function.";
            self.add(first, "function-length", what, fix);
        }
        for attribute in attributes {
            let line = attribute.span().start().line;
            if attribute.path().is_ident("ignore") {
                let reason = attribute.meta.require_name_value().is_ok();
                if !reason {
                    let fix = "Write `#[ignore = \"why, and how to run it\"]`.";
                    self.add(
                        line,
                        "ignored-test",
                        format!("`{name}` gives no reason"),
                        fix,
                    );
                }
            }
            if attribute
                .path()
                .segments
                .last()
                .is_some_and(|last| last.ident == "test")
                && name.starts_with("test_")
            {
                let fix = "Name the behaviour: `expired_value_is_refetched`.";
                self.add(
                    first,
                    "test-name",
                    format!("`{name}` begins with test_"),
                    fix,
                );
            }
        }
        self.note_test_lines(attributes, sig.span().join(block).unwrap_or(block));
    }

    fn note_test_lines(&mut self, attributes: &[syn::Attribute], span: Span) {
        if attributes.iter().any(is_test_only) {
            let first = attributes.iter().map(|a| a.span().start().line).min();
            let first = first.unwrap_or(span.start().line);
            self.parsed.test_lines.push(first..=span.end().line);
        }
    }

    fn import(&mut self, tree: &syn::UseTree, path: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.import(&part.tree, path);
                path.pop();
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, path);
                }
            }
            syn::UseTree::Name(name) => self.imported(path, &name.ident),
            syn::UseTree::Rename(rename) => self.imported(path, &rename.ident),
            syn::UseTree::Glob(_) => {}
        }
    }

    fn imported(&mut self, path: &[String], name: &syn::Ident) {
        let mut full = path.to_vec();
        if name != "self" {
            full.push(name.to_string());
        }
        self.parsed.imports.push((full, name.span().start().line));
    }
}

type Span = proc_macro2::Span;

/// Whether the attribute keeps its item out of everything but tests.
fn is_test_only(attribute: &syn::Attribute) -> bool {
    if attribute.path().is_ident("test") {
        return true;
    }
    let Ok(list) = attribute.meta.require_list() else {
        return false;
    };
    let words = list.tokens.to_string();
    let has = |word: &str| {
        words
            .split(|c: char| !c.is_alphanumeric())
            .any(|part| part == word)
    };
    attribute.path().is_ident("cfg") && has("test") && !has("not") && !has("any")
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let words = attribute.meta.require_list();
        let words = words.map(|list| list.tokens.to_string());
        let is_about_unsafe = words.is_ok_and(|words| words.contains("unsafe_code"));
        let lets_in = !["deny", "forbid"]
            .iter()
            .any(|level| attribute.path().is_ident(level));
        if is_about_unsafe && lets_in && !self.path.starts_with(UNSAFE_IN) {
            let what = "another crate than the one for it lets `unsafe` in".to_owned();
            let fix = "Use a library that is kept; what none offers goes into `crates/sched`.";
            self.add(attribute.span().start().line, "unsafe", what, fix);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.attrs, &item.sig, item.block.span());
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.attrs, &item.sig, item.block.span());
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.attrs, &item.sig, block.span());
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.note_test_lines(&item.attrs, item.span());
        self.import(&item.tree, &mut Vec::new());
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.note_test_lines(&item.attrs, item.span());
        visit::visit_item_impl(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.note_test_lines(&item.attrs, item.span());
        let name = item.ident.to_string();
        if item.content.is_none() {
            item.attrs.iter().for_each(|a| self.visit_attribute(a));
            let path = item
                .attrs
                .iter()
                .find(|a| a.path().is_ident("path"))
                .and_then(text_of);
            let test_only = item.attrs.iter().any(is_test_only);
            let inside = self.inside.clone();
            self.parsed.modules.push(Module {
                inside,
                name,
                path,
                test_only,
            });
            return;
        }
        self.inside.push(name);
        visit::visit_item_mod(self, item);
        self.inside.pop();
    }
}

/// The text of `#[name = "text"]`.
fn text_of(attribute: &syn::Attribute) -> Option<String> {
    let pair = attribute.meta.require_name_value().ok()?;
    match &pair.value {
        syn::Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Str(text),
            ..
        }) => Some(text.value()),
        _ => None,
    }
}
