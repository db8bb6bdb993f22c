//! Which file of a crate uses which, by the paths in its sources.
//!
//! A path counts where it ends in an item of a module: the file of that module is used. Where a
//! module re-exports the item, the module's file is used, and that file uses the item's. A path
//! that only passes through a module does not use the module's file. Names are resolved as the
//! compiler does, with imports and globs, as far as that matters to files; methods that are called
//! without a path are not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, Item, ItemMod, Path, UseTree};

/// The files of a crate, and what each uses of the others.
#[derive(Debug)]
pub struct Uses {
    files: BTreeSet<String>,
    edges: BTreeMap<(String, String), BTreeSet<String>>,
}

/// One file's use of another.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    /// The file that uses.
    pub by: &'a str,
    /// The file that is used.
    pub of: &'a str,
    names: &'a BTreeSet<String>,
}

impl fmt::Display for Use<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        write!(f, "{} uses {}: {}", self.by, self.of, names.join(", "))
    }
}

impl Uses {
    /// Reads a crate from `lib.rs` on. `text_of` gives the text of a file, if there is one.
    pub fn read(text_of: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut tree = Tree { text_of, modules: Vec::new(), files: BTreeSet::new() };
        tree.file("lib.rs", None, "");
        let mut edges = BTreeMap::<_, BTreeSet<String>>::new();
        for (index, module) in tree.modules.iter().enumerate() {
            for path in &module.paths {
                for (of, name) in tree.used(index, path) {
                    if of != module.file {
                        edges.entry((module.file.clone(), of)).or_default().insert(name);
                    }
                }
            }
        }
        Self { files: tree.files, edges }
    }

    /// Whether a `mod` of the crate declares the file, be it for tests only.
    pub fn declared(&self, file: &str) -> bool {
        self.files.contains(file)
    }

    /// All uses.
    pub fn all(&self) -> impl Iterator<Item = Use<'_>> {
        self.edges.iter().map(|((by, of), names)| Use { by, of, names })
    }

    /// What one file uses.
    pub fn by(&self, file: &str) -> impl Iterator<Item = Use<'_>> {
        let from = (file.to_owned(), String::new());
        self.edges
            .range(from..)
            .take_while(move |((by, _), _)| by == file)
            .map(|((by, of), names)| Use { by, of, names })
    }
}

type Segments = Vec<String>;

/// The name by which a path means everything in a module.
const GLOB: &str = "*";

#[derive(Debug, Default)]
struct Module {
    file: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    items: BTreeSet<String>,
    imports: BTreeMap<String, Segments>,
    globs: Vec<Segments>,
    /// Every path that its code names, those of its imports included.
    paths: BTreeSet<Segments>,
}

struct Tree<'a> {
    text_of: &'a dyn Fn(&str) -> Option<String>,
    modules: Vec<Module>,
    files: BTreeSet<String>,
}

impl Tree<'_> {
    /// Reads the module that a file is. `folder` is where its children's files are.
    fn file(&mut self, file: &str, parent: Option<usize>, folder: &str) -> usize {
        let text = (self.text_of)(file).unwrap_or_else(|| panic!("{file} is not there"));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.files.insert(file.to_owned());
        self.module(file, parent, folder, &parsed.items)
    }

    fn module(&mut self, file: &str, parent: Option<usize>, folder: &str, items: &[Item]) -> usize {
        let index = self.modules.len();
        self.modules.push(Module { file: file.to_owned(), parent, ..Module::default() });
        for item in items {
            match item {
                Item::Mod(item) => self.child(index, folder, item),
                item => Code { module: &mut self.modules[index] }.visit_item(item),
            }
        }
        index
    }

    fn child(&mut self, parent: usize, folder: &str, item: &ItemMod) {
        let name = item.ident.to_string();
        let inner = format!("{folder}{name}/");
        let child = if let Some((_, items)) = &item.content {
            if only_tests(&item.attrs) {
                return;
            }
            let file = self.modules[parent].file.clone();
            self.module(&file, Some(parent), &inner, items)
        } else {
            let names = [format!("{folder}{name}.rs"), format!("{inner}mod.rs")];
            let file = names.iter().find(|file| (self.text_of)(file).is_some());
            let file = file.unwrap_or_else(|| panic!("none of {names:?} is there"));
            let modules = self.modules.len();
            let child = self.file(file, Some(parent), &inner);
            if only_tests(&item.attrs) {
                // Its files are declared, and nothing else of it counts.
                self.modules.truncate(modules);
                return;
            }
            child
        };
        self.modules[parent].children.insert(name, child);
    }

    /// The files that a path in a module uses, and the names by which it does.
    fn used(&self, module: usize, path: &[String]) -> Vec<(String, String)> {
        let mut used = Vec::new();
        self.follow(module, path, 0, &mut used);
        used
    }

    /// Follows a path from the scope of a module. Says which module it leads to, if to a module.
    fn follow(
        &self,
        module: usize,
        path: &[String],
        depth: usize,
        used: &mut Vec<(String, String)>,
    ) -> Option<usize> {
        // An import may lead to itself: `use regex::regex;`.
        let (first, rest) = path.split_first().filter(|_| depth < 8)?;
        let this = &self.modules[module];
        match first.as_str() {
            "crate" => self.walk(0, rest, depth, used),
            "self" => self.walk(module, rest, depth, used),
            "super" => self.walk(this.parent?, rest, depth, used),
            first => {
                if let Some(child) = this.children.get(first) {
                    return self.walk(*child, rest, depth, used);
                }
                if this.items.contains(first) {
                    return None;
                }
                if let Some(import) = this.imports.get(first) {
                    let whole: Segments = import.iter().chain(rest).cloned().collect();
                    return self.follow(module, &whole, depth + 1, used);
                }
                let from = this.globs.iter().find_map(|glob| {
                    self.follow(module, glob, depth + 1, &mut Vec::new())
                        .filter(|from| *from != module && self.has(*from, first, depth + 1))
                });
                self.walk(from?, path, depth + 1, used)
            }
        }
    }

    /// Follows a path from a module that an earlier part of the path has led to.
    fn walk(
        &self,
        module: usize,
        path: &[String],
        depth: usize,
        used: &mut Vec<(String, String)>,
    ) -> Option<usize> {
        let Some((name, rest)) = path.split_first() else { return Some(module) };
        let this = &self.modules[module];
        if name == "super" {
            return self.walk(this.parent?, rest, depth, used);
        }
        let mut uses = || used.push((this.file.clone(), name.clone()));
        if let Some(child) = this.children.get(name) {
            // `use a::b` may mean a function `b` beside the module.
            if rest.is_empty() && this.items.contains(name) {
                uses();
            }
            return self.walk(*child, rest, depth, used);
        }
        uses();
        let import = this.imports.get(name)?;
        let target = self.follow(module, import, depth + 1, &mut Vec::new())?;
        self.walk(target, rest, depth + 1, used)
    }

    /// Whether a module has a name: of its own, or by import.
    fn has(&self, module: usize, name: &str, depth: usize) -> bool {
        let this = &self.modules[module];
        this.items.contains(name)
            || this.children.contains_key(name)
            || this.imports.contains_key(name)
            || this.globs.iter().any(|glob| {
                self.follow(module, glob, depth + 1, &mut Vec::new())
                    .is_some_and(|from| from != module && self.has(from, name, depth + 1))
            })
    }
}

/// `#[cfg(test)]`, `#[cfg(all(test, …))]`, `#[test]`.
fn only_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        if path.is_ident("cfg") {
            let syn::Meta::List(list) = &attribute.meta else { return false };
            let condition = list.tokens.to_string().replace(char::is_whitespace, "");
            condition == "test" || condition.starts_with("all(test,")
        } else {
            path.is_ident("test")
        }
    })
}

/// Collects what the code of a module names.
struct Code<'a> {
    module: &'a mut Module,
}

impl Code<'_> {
    fn import(&mut self, tree: &UseTree, before: &[String]) {
        let joined = |name: &Ident| {
            let mut path = before.to_vec();
            if name != "self" || path.is_empty() {
                path.push(name.to_string());
            }
            path
        };
        match tree {
            UseTree::Path(path) => self.import(&path.tree, &joined(&path.ident)),
            UseTree::Name(name) => self.import_as(joined(&name.ident), None),
            UseTree::Rename(name) => {
                self.import_as(joined(&name.ident), Some(name.rename.to_string()));
            }
            UseTree::Glob(_) => {
                self.module.globs.push(before.to_vec());
                self.module.paths.insert(before.iter().cloned().chain([GLOB.to_owned()]).collect());
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, before)),
        }
    }

    fn import_as(&mut self, path: Segments, name: Option<String>) {
        if let Some(name) = name.or_else(|| path.last().cloned()) {
            self.module.imports.entry(name).or_insert_with(|| path.clone());
        }
        self.module.paths.insert(path);
    }

    /// A path in code. One name alone is an item of the same module, or an import that counts
    /// itself.
    fn name(&mut self, path: Segments) {
        if path.len() > 1 {
            self.module.paths.insert(path);
        }
    }

    /// The paths in what a macro is given.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path = Segments::new();
        // How many colons follow the last name of the path.
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.name(std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Literal(literal) => self.literal(&literal.to_string()),
                TokenTree::Punct(_) => {}
            }
            self.name(std::mem::take(&mut path));
            colons = 0;
        }
        self.name(path);
    }

    /// Attributes such as serde's have paths in strings.
    fn literal(&mut self, literal: &str) {
        let Ok(literal) = syn::parse_str::<syn::LitStr>(literal) else { return };
        if let Ok(path) = literal.parse::<Path>() {
            self.visit_path(&path);
        }
    }
}

impl<'ast> Visit<'ast> for Code<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name) = match item {
            Item::Const(item) => (&item.attrs, Some(&item.ident)),
            Item::Enum(item) => (&item.attrs, Some(&item.ident)),
            Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
            Item::Impl(item) => (&item.attrs, None),
            Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
            Item::Static(item) => (&item.attrs, Some(&item.ident)),
            Item::Struct(item) => (&item.attrs, Some(&item.ident)),
            Item::Trait(item) => (&item.attrs, Some(&item.ident)),
            Item::Type(item) => (&item.attrs, Some(&item.ident)),
            Item::Union(item) => (&item.attrs, Some(&item.ident)),
            Item::Use(item) => {
                if !only_tests(&item.attrs) && item.leading_colon.is_none() {
                    self.import(&item.tree, &[]);
                }
                return;
            }
            _ => return visit::visit_item(self, item),
        };
        if !only_tests(attributes) {
            self.module.items.extend(name.map(ToString::to_string));
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !only_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.leading_colon.is_none() {
            self.name(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let path = attribute.path();
        if !path.is_ident("doc") && !path.is_ident("cfg") {
            visit::visit_attribute(self, attribute);
            if let syn::Meta::List(list) = &attribute.meta {
                self.tokens(list.tokens.clone());
            }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn of(files: &[(&str, &str)]) -> Uses {
        let text_of = |path: &str| {
            files.iter().find(|(file, _)| *file == path).map(|(_, text)| (*text).to_owned())
        };
        Uses::read(&text_of)
    }

    /// What `a/x.rs` uses, where the crate has `a/mod.rs`, `a/y.rs`, `b/mod.rs` and `b/c.rs`.
    fn by_x(text: &str) -> Vec<String> {
        let uses = of(&[
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "mod x; mod y; pub use y::Again; use crate::b; pub fn own() {}"),
            ("a/x.rs", text),
            ("a/y.rs", "pub struct Again; pub enum Kind { One } pub fn y() {}"),
            ("b/mod.rs", "pub mod c; pub fn outer() {}"),
            ("b/c.rs", "pub struct Deep; impl Deep { pub const ONE: u8 = 1; } index! { Made }"),
        ]);
        uses.by("a/x.rs").map(|use_| use_.to_string().replace("a/x.rs uses ", "")).collect()
    }

    #[test]
    fn imports_lead_to_the_file_of_the_item() {
        assert_eq!(by_x("use crate::b::c::Deep;"), ["b/c.rs: Deep"]);
        assert_eq!(by_x("use super::y::{Again, Kind::{self, *}};"), ["a/y.rs: Again, Kind"]);
        assert_eq!(by_x("use super::super::b::outer as o;"), ["b/mod.rs: outer"]);
        assert_eq!(by_x("use super::own;"), ["a/mod.rs: own"]);
        assert_eq!(by_x("use crate::b::c::Made;"), ["b/c.rs: Made"], "an item of a macro");
        assert_eq!(by_x("use crate::b::c::*;"), ["b/c.rs: *"]);
        assert_eq!(by_x("fn f() { use crate::b::c::Deep; }"), ["b/c.rs: Deep"]);
    }

    #[test]
    fn a_module_alone_is_not_used_but_what_is_named_through_it_is() {
        assert_eq!(by_x("use crate::b; use crate::b::{c};"), [""; 0]);
        assert_eq!(by_x("use crate::b::c; fn f() { c::Deep::ONE; }"), ["b/c.rs: Deep"]);
        assert_eq!(by_x("use crate::b::c as d; type T = Option<d::Deep>;"), ["b/c.rs: Deep"]);
    }

    #[test]
    fn re_exports_use_the_file_that_they_stand_in() {
        assert_eq!(by_x("use super::Again;"), ["a/mod.rs: Again"]);
        assert_eq!(by_x("use super::b::c::Deep;"), ["a/mod.rs: b", "b/c.rs: Deep"]);
        let uses = of(&[
            ("lib.rs", "mod a;"),
            ("a.rs", "mod x; pub use x::X; mod inner { pub use super::x::Y; }"),
            ("a/x.rs", "pub struct X; pub struct Y;"),
        ]);
        let all: Vec<String> = uses.all().map(|use_| use_.to_string()).collect();
        assert_eq!(all, ["a.rs uses a/x.rs: X, Y"]);
    }

    #[test]
    fn paths_in_code_count() {
        assert_eq!(by_x("fn f(d: &crate::b::c::Deep) {}"), ["b/c.rs: Deep"]);
        assert_eq!(by_x("fn f() { super::y::y() }"), ["a/y.rs: y"]);
        assert_eq!(by_x("impl crate::b::c::Trait for u8 {}"), ["b/c.rs: Trait"]);
        assert_eq!(by_x("fn f() { <u8 as crate::b::c::Trait>::f() }"), ["b/c.rs: Trait"]);
        assert_eq!(by_x("fn f() { println!(\"{}\", g(crate::b::outer())) }"), ["b/mod.rs: outer"]);
        assert_eq!(by_x("macro_rules! m { () => { $crate::b::outer() } }"), ["b/mod.rs: outer"]);
        assert_eq!(by_x("#[serde(with = \"super::y::with\")] struct S;"), ["a/y.rs: with"]);
        assert_eq!(by_x("#[path(body = crate::b::c::Deep)] fn f() {}"), ["b/c.rs: Deep"]);
    }

    #[test]
    fn globs_are_looked_through() {
        assert_eq!(
            by_x("use crate::b::*; fn f() { c::Deep::ONE; }"),
            ["b/c.rs: Deep", "b/mod.rs: *"]
        );
    }

    #[test]
    fn other_crates_do_not_count() {
        assert_eq!(
            by_x("use std::fmt; fn f() { fmt::write(); ::b::outer(); b::outer(); }"),
            [""; 0]
        );
        assert_eq!(by_x("use regex::regex; fn f() { regex::x::y(); }"), [""; 0]);
    }

    #[test]
    fn tests_and_documentation_do_not_count() {
        assert_eq!(by_x("//! [x](crate::b::outer)\n/// [`crate::b::outer`]\nfn f() {}"), [""; 0]);
        assert_eq!(by_x("#[cfg(test)] mod tests { use crate::b::outer; }"), [""; 0]);
        assert_eq!(by_x("#[cfg(all(test, unix))] use crate::b::outer;"), [""; 0]);
        assert_eq!(by_x("#[test] fn f() { crate::b::outer(); }"), [""; 0]);
        assert_eq!(by_x("#[cfg(not(test))] use crate::b::outer;"), ["b/mod.rs: outer"]);
        let uses = of(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "#[cfg(test)] mod tests; fn f() {}"),
            ("a/tests.rs", "use crate::b::B; mod more;"),
            ("a/tests/more.rs", "use crate::b::B;"),
            ("b.rs", "pub struct B;"),
        ]);
        assert_eq!(uses.all().count(), 0);
        assert!(uses.declared("a/tests/more.rs") && !uses.declared("a/more.rs"));
    }
}
