//! The order of the modules: src/lib.rs lists them by floors, a module imports from lower floors only, the files within a
//! module import each other without circles, and the table in ARCHITECTURE.md is that of src/lib.rs.
//!
//! The test reads `use` lines, and paths that begin with `crate` anywhere in the code. Unit tests keep to the floors too,
//! but they may import any file of their own module.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Modules whose files still import each other in circles.
const WITH_CIRCLES: [&str; 1] = ["dataset"];

/// A path of modules below the crate, `["train", "run"]`; the crate itself is empty.
type Module = Vec<String>;

/// The code of every file of src/ without comments, by its module.
fn sources() -> BTreeMap<Module, String> {
    let mut found = BTreeMap::new();
    collect(&Path::new(ROOT).join("src"), &mut Vec::new(), &mut found);
    found
}

fn collect(folder: &Path, module: &mut Module, found: &mut BTreeMap<Module, String>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if path.is_dir() {
            module.push(name);
            collect(&path, module, found);
            module.pop();
        } else if let Some(stem) = name.strip_suffix(".rs").filter(|stem| *stem != "main") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap()).collect();
            let own = (!["mod", "lib"].contains(&stem)).then(|| stem.to_string());
            found.insert(module.iter().cloned().chain(own).collect(), code.join("\n"));
        }
    }
}

/// `(floor, module)` from the comments and `mod` lines of src/lib.rs.
fn floors() -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(Path::new(ROOT).join("src/lib.rs")).unwrap();
    let (mut floors, mut floor) = (BTreeMap::new(), None);
    for line in text.lines() {
        let comment = line.strip_prefix("// ").and_then(|line| line.split_once(": ")?.0.parse::<usize>().ok());
        if let Some(next) = comment {
            assert_eq!(next, floor.map_or(0, |floor: usize| floor + 1), "src/lib.rs: floors are numbered from 0");
            floor = Some(next);
        }
        let module = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ");
        if let Some(module) = module.and_then(|module| module.strip_suffix(';')) {
            floors.insert(module.to_string(), floor.expect("src/lib.rs: a floor above every module"));
        }
    }
    assert!(floors.len() > 15, "{floors:?}");
    floors
}

#[test]
fn a_module_imports_from_lower_floors_only() {
    let floors = floors();
    let mut wrong = BTreeSet::new();
    for (module, code) in sources() {
        let Some(own) = module.first() else { continue };
        for name in crate_paths(&code) {
            // What the crate gives out again.
            let other = if ["Error", "Result"].contains(&name.as_str()) { "error".to_string() } else { name };
            let floor = floors.get(&other).unwrap_or_else(|| panic!("{}: crate::{other} has no floor", shown(&module)));
            if other != *own && *floor >= floors[own] {
                let (from, to) = (floors[own], floor);
                wrong.insert(format!("{} (floor {from}) imports crate::{other} (floor {to})", shown(&module)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", Vec::from_iter(wrong).join("\n"));
}

#[test]
fn the_files_of_a_module_import_each_other_without_circles() {
    let sources: BTreeMap<Module, Vec<Vec<String>>> = sources().into_iter().filter_map(unit_tests_apart).collect();
    let mut edges: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (module, paths) in &sources {
        for path in paths {
            let Some(target) = resolve(&sources, module, path, 0) else { continue };
            // An import between two children of one module, or from below them.
            let common = module.iter().zip(&target).take_while(|(a, b)| a == b).count();
            if common > 0 && common < module.len() && common < target.len() {
                let of = edges.entry(module[..common].to_vec()).or_default();
                of.entry(module[common].clone()).or_default().insert(target[common].clone());
            }
        }
    }
    assert!(edges.len() > 8, "{} modules with imports within them", edges.len());
    let circles: Vec<String> = edges
        .iter()
        .filter(|(module, _)| !WITH_CIRCLES.contains(&shown(module).as_str()))
        .filter_map(|(module, edges)| Some(format!("{}: {}", shown(module), circle(edges)?.join(" -> "))))
        .collect();
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

/// What a module imports outside its unit tests; none for a file of tests.
fn unit_tests_apart((module, code): (Module, String)) -> Option<(Module, Vec<Vec<String>>)> {
    let tests = module.iter().any(|name| ["tests", "testing"].contains(&name.as_str()));
    let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap();
    (!tests).then(|| (module, imports(code)))
}

#[test]
fn the_table_of_floors_is_that_of_the_crate() {
    let text = std::fs::read_to_string(Path::new(ROOT).join("ARCHITECTURE.md")).unwrap();
    let mut found = BTreeMap::new();
    let rows = text.lines().skip_while(|line| !line.starts_with("| floor ")).skip(2);
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let floor: usize = cells[1].parse().unwrap_or_else(|_| panic!("ARCHITECTURE.md: {row}"));
        let modules = cells[2].split(", ").map(|module| module.trim_matches('`').to_string());
        found.extend(modules.filter(|module| module != "main.rs").map(|module| (module, floor)));
    }
    assert_eq!(found, floors());
}

fn shown(module: &[String]) -> String {
    module.join("/")
}

/// The modules named after `crate::`, anywhere in the code.
fn crate_paths(code: &str) -> Vec<String> {
    let tail = |(at, _): (usize, &str)| &code[at + "crate::".len()..];
    let heads = code.match_indices("crate::").filter(|(at, _)| !code[..*at].ends_with(is_word)).map(tail);
    heads.flat_map(|tail| tree(&tail[..end_of_tree(tail)])).filter_map(|path| path.into_iter().next()).collect()
}

/// Every path that a `use` line names, groups taken apart.
fn imports(code: &str) -> Vec<Vec<String>> {
    let statements = code.split(';').filter_map(|statement| {
        let line = statement
            .rfind("use ")
            .filter(|at| statement[..*at].trim_end_matches(' ').ends_with(['\n', ')', 'b']) || *at == 0)?;
        Some(&statement[line + "use ".len()..])
    });
    statements.flat_map(tree).collect()
}

/// The paths of `a::{b, c::d as e}`.
fn tree(text: &str) -> Vec<Vec<String>> {
    let text = text.trim();
    let Some((head, group)) = text.split_once('{') else {
        let path = text.split(" as ").next().unwrap_or(text);
        return vec![path.split("::").map(|part| part.trim().to_string()).filter(|part| !part.is_empty()).collect()];
    };
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for letter in group.trim_end().strip_suffix('}').unwrap_or(group).chars() {
        match letter {
            ',' if depth == 0 => parts.push(String::new()),
            _ => parts.last_mut().unwrap().push(letter),
        }
        depth += i32::from(letter == '{') - i32::from(letter == '}');
    }
    let head: Vec<String> =
        head.split("::").map(|part| part.trim().to_string()).filter(|part| !part.is_empty()).collect();
    let parts = parts.iter().filter(|part| !part.trim().is_empty()).flat_map(|part| tree(part));
    parts.map(|path| head.iter().cloned().chain(path).collect()).collect()
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Where a path, with its groups, ends.
fn end_of_tree(text: &str) -> usize {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        let inside = depth > 0 || is_word(letter) || letter == ':' || letter == '{';
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        if !inside {
            return at;
        }
        if depth == 0 && letter == '}' {
            return at + 1;
        }
    }
    text.len()
}

/// The module that holds what `path` names in `module`; what a module gives out again is where it comes from. None
/// for other crates.
fn resolve(
    sources: &BTreeMap<Module, Vec<Vec<String>>>,
    module: &Module,
    path: &[String],
    depth: usize,
) -> Option<Module> {
    let child = |of: &Module, name: &String| -> Option<Module> {
        let child: Module = of.iter().chain([name]).cloned().collect();
        sources.contains_key(&child).then_some(child)
    };
    let mut at = module.clone();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => (at, rest) = (Vec::new(), &path[1..]),
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|part| part == "super") {
                at.pop();
                rest = &rest[1..];
            }
        }
        _ => {
            child(&at, path.first()?)?;
        }
    }
    while let Some(next) = rest.first().and_then(|name| child(&at, name)) {
        at = next;
        rest = &rest[1..];
    }
    let given = |name: &String| {
        let own = sources[&at].iter().find(|path| path.last() == Some(name) && path.len() > 1)?;
        resolve(sources, &at, own, depth + 1)
    };
    match rest.first().filter(|_| depth < 4) {
        Some(name) => given(name).or(Some(at.clone())),
        None => Some(at),
    }
}

/// A way through the imports that comes back to where it began, if there is one.
fn circle(edges: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk(edges: &BTreeMap<String, BTreeSet<String>>, way: &mut Vec<String>, done: &mut BTreeSet<String>) -> bool {
        for next in edges.get(way.last().unwrap()).into_iter().flatten() {
            let seen = way.iter().position(|module| module == next);
            way.push(next.clone());
            if let Some(seen) = seen {
                way.drain(..seen);
                return true;
            }
            if !done.contains(next) && walk(edges, way, done) {
                return true;
            }
            way.pop();
        }
        done.insert(way.last().unwrap().clone());
        false
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|start| {
        let mut way = vec![start.clone()];
        walk(edges, &mut way, &mut done).then_some(way)
    })
}

#[test]
fn groups_and_renames_are_taken_apart() {
    let code = "use crate::{Error, a::{b, c::D as E}};\npub(crate) use super::f::G;\nfn x() { crate::h::i(); }";
    let joined: Vec<String> = imports(code).iter().map(|path| path.join("::")).collect();
    assert_eq!(joined, ["crate::Error", "crate::a::b", "crate::a::c::D", "super::f::G"]);
    assert_eq!(crate_paths(code), ["Error", "a", "a", "h"]);
    let edges = |of: &[(&str, &str)]| {
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (a, b) in of {
            edges.entry(a.to_string()).or_default().insert(b.to_string());
        }
        edges
    };
    assert_eq!(circle(&edges(&[("a", "b"), ("a", "c"), ("b", "c")])), None);
    assert_eq!(circle(&edges(&[("a", "b"), ("b", "c"), ("c", "b")])).unwrap(), ["b", "c", "b"]);
}
