//! The modules of the library, and where the paths in them lead: through `use` lines and
//! re-exports, to the file that a thing is defined in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::source::{Kind, NamedPath, Source};

/// The path of a module from the root of the library on: `http`, `status`.
pub(crate) type Module = Vec<String>;

/// Every module of the library that has a file of its own and is no test.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    files: BTreeMap<Module, File>,
}

/// One module and its file.
#[derive(Debug)]
struct File {
    /// From the root of the repository on.
    path: PathBuf,
    source: Source,
}

/// One path in the code that leads to another module, or out of the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) file: PathBuf,
    pub(crate) line: usize,
    pub(crate) from: Module,
    /// As it is written.
    pub(crate) written: String,
    pub(crate) target: Target,
    /// Whether it only hands a name on (`pub use`).
    pub(crate) is_re_export: bool,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A module of the library with a file of its own.
    Module {
        /// In which the thing is defined.
        module: Module,
        /// The module above it whose `pub use` hands the thing on to the rest of the library.
        door: Option<Module>,
        /// Whether the path ends there: what is used of the module, further paths tell.
        is_whole: bool,
    },
    /// Another crate: what follows its name is as it is written.
    Foreign(Vec<String>),
}

impl Modules {
    /// Reads the library whose root is `root/src/lib.rs`.
    ///
    /// # Errors
    /// The first file that cannot be read.
    pub(crate) fn read(root: &Path) -> std::io::Result<Self> {
        let mut modules = Self::default();
        let paths = super::files_below(&root.join("src"))?;
        for path in paths
            .iter()
            .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        {
            let path = path.strip_prefix(root).unwrap_or(path);
            // The program is a crate of its own: all that it knows of this one is public.
            if path != Path::new("src/main.rs") {
                modules.add(path, &std::fs::read_to_string(root.join(path))?);
            }
        }
        modules.remove_tests();
        Ok(modules)
    }

    /// Adds the file at `path`, which begins with `src/`.
    fn add(&mut self, path: &Path, text: &str) {
        let parts = path.with_extension("");
        let parts = parts
            .iter()
            .skip(1)
            .map(|part| part.to_string_lossy().into_owned());
        let mut module: Module = parts.collect();
        if module.last().is_some_and(|name| name == "mod") || module == ["lib"] {
            module.pop();
        }
        let file = File {
            path: path.to_owned(),
            source: Source::parse(text),
        };
        self.files.insert(module, file);
    }

    /// Removes the files of modules that are declared for tests alone.
    fn remove_tests(&mut self) {
        let declared = |(module, file): (&Module, &File)| -> Vec<Module> {
            let names = file.source.test_modules.iter();
            names
                .map(|name| [&module[..], std::slice::from_ref(name)].concat())
                .collect()
        };
        let tests: Vec<Module> = self.files.iter().flat_map(declared).collect();
        self.files
            .retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
    }

    /// Every module and its file.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Module, &Path)> {
        self.files
            .iter()
            .map(|(module, file)| (module, &*file.path))
    }

    /// Every import; one for each path that leads out of its file.
    pub(crate) fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (module, file) in &self.files {
            for path in &file.source.paths {
                let Some(target) = self.target(module, path) else {
                    continue;
                };
                if is_import(module, path, &target) {
                    imports.push(Import {
                        file: file.path.clone(),
                        line: path.line,
                        from: module.clone(),
                        written: path.segments.join("::"),
                        target,
                        is_re_export: path.is_public_use(),
                    });
                }
            }
        }
        imports
    }

    /// What a path in the file of `module` leads to. `None` for names of the file itself, and for
    /// what is in the code of a type that a `use` has brought in.
    fn target(&self, module: &Module, path: &NamedPath) -> Option<Target> {
        if path.kind == Kind::InLine && is_type(&path.segments[0]) {
            return None;
        }
        let here = [&module[..], &path.scope[..]].concat();
        self.resolve(&here, &path.segments, 0)
    }

    /// Follows `segments` from the module `here` on. `steps` counts the names that were followed, for
    /// two re-exports may name each other.
    fn resolve(&self, here: &[String], segments: &[String], steps: usize) -> Option<Target> {
        let (first, rest) = segments.split_first()?;
        match first.as_str() {
            "crate" => self.descend(Vec::new(), rest, steps),
            "self" => self.descend(here.to_vec(), rest, steps),
            "super" => {
                let parent = &here[..here.len().checked_sub(1)?];
                if rest.first().is_some_and(|next| next == "super") {
                    self.resolve(parent, rest, steps)
                } else {
                    self.descend(parent.to_vec(), rest, steps)
                }
            }
            // `::name` is another crate, whatever else has the name.
            "" => Some(Target::Foreign(rest.to_vec())),
            name => self.resolve_name(here, name, segments, steps),
        }
    }

    /// Follows a path that begins with a name: of a child, of something imported, or of a crate.
    fn resolve_name(
        &self,
        here: &[String],
        name: &str,
        segments: &[String],
        steps: usize,
    ) -> Option<Target> {
        let child = [here, &[name.to_owned()]].concat();
        if self.files.contains_key(&child) {
            return self.descend(here.to_vec(), segments, steps);
        }
        // `use toml;` is how that name is known, and leads nowhere else.
        let imported = self
            .imported(here, name)
            .find(|path| path.segments != segments);
        if let Some(path) = imported.filter(|_| steps < 16) {
            let through = [&path.segments[..], &segments[1..]].concat();
            return self.resolve(here, &through, steps + 1);
        }
        // What is written like a type is one: of this file, or of the language.
        (!is_type(name)).then(|| Target::Foreign(segments.to_vec()))
    }

    /// The `use` lines by which `name` is known in the module `here`.
    fn imported<'a>(
        &'a self,
        here: &'a [String],
        name: &'a str,
    ) -> impl Iterator<Item = &'a NamedPath> {
        let (module, scope) = self.file_of(here);
        let paths = self.files.get(module).map(|file| &file.source.paths[..]);
        let is_wanted = move |path: &&NamedPath| {
            let is_name = matches!(&path.kind, Kind::Use { name: known, .. } if known == name);
            is_name && path.scope == scope
        };
        paths.unwrap_or_default().iter().filter(is_wanted)
    }

    /// The module with a file that `module` is, or stands in; and what is below it in that file.
    fn file_of<'a>(&self, module: &'a [String]) -> (&'a [String], &'a [String]) {
        let lengths = (0..=module.len()).rev();
        let mut split = lengths.map(|length| module.split_at(length));
        let found = split.find(|(file, _)| self.files.contains_key(*file));
        found.unwrap_or((&[], module))
    }

    /// Follows `segments` from a module of the library down, through children and re-exports.
    fn descend(&self, mut module: Module, segments: &[String], steps: usize) -> Option<Target> {
        let mut left = segments.len();
        for (place, name) in segments.iter().enumerate() {
            let child = [&module[..], std::slice::from_ref(name)].concat();
            // At the end, a name that is handed on stands before a module of that name.
            let is_last = place + 1 == segments.len();
            let is_handed_on = self.imported(&module, name).any(NamedPath::is_public_use);
            if self.files.contains_key(&child) && !(is_last && is_handed_on) {
                module = child;
                left -= 1;
                continue;
            }
            let imported = self.imported(&module, name).next();
            // Of a glob it is known only where it begins.
            let imported = imported.filter(|_| name != "*");
            if let Some(path) = imported.filter(|_| steps < 16) {
                let through = [&path.segments[..], &segments[place + 1..]].concat();
                let target = self.resolve(&module, &through, steps + 1);
                // What cannot be followed further counts as a thing of the door it came through.
                let target = target.unwrap_or_else(|| Target::of(&module));
                return Some(target.through(&module, path));
            }
            break;
        }
        let (file, below) = self.file_of(&module);
        Some(Target::Module {
            module: file.to_vec(),
            door: None,
            is_whole: below.is_empty() && left == 0,
        })
    }
}

impl Import {
    /// Where it stands, and what is written there.
    pub(crate) fn at(&self) -> String {
        let (file, line) = (self.file.display(), self.line);
        format!("{file}:{line}: `{}`", self.written)
    }
}

impl Target {
    fn of(module: &[String]) -> Self {
        Self::Module {
            module: module.to_vec(),
            door: None,
            is_whole: false,
        }
    }

    /// The target as it is reached through the `use` line `path` of `above`.
    fn through(mut self, above: &[String], path: &NamedPath) -> Self {
        if let Self::Module { module, door, .. } = &mut self
            && path.is_public_use()
            && module.starts_with(above)
        {
            *door = Some(above.to_vec());
        }
        self
    }
}

/// Whether a path of `module` leads out of its file, to something there.
fn is_import(module: &Module, path: &NamedPath, target: &Target) -> bool {
    let is_use = matches!(path.kind, Kind::Use { .. });
    match target {
        Target::Module { module: at, .. } if at == module => false,
        Target::Module { is_whole, .. } => !(is_use && *is_whole),
        Target::Foreign(_) => true,
    }
}

/// Whether a name is written as types are.
fn is_type(name: &str) -> bool {
    name.starts_with(char::is_uppercase)
}

mod tests {
    use super::*;

    fn modules(files: &[(&str, &str)]) -> Modules {
        let mut modules = Modules::default();
        for (path, text) in files {
            modules.add(Path::new(path), text);
        }
        modules.remove_tests();
        modules
    }

    /// Each import of the library, as `from line target`.
    fn imports(files: &[(&str, &str)]) -> Vec<String> {
        let describe = |import: &Import| {
            let target = match &import.target {
                Target::Module {
                    module, door: None, ..
                } => format!("/{}", module.join("/")),
                Target::Module {
                    module,
                    door: Some(door),
                    ..
                } => format!("/{} by /{}", module.join("/"), door.join("/")),
                Target::Foreign(path) => path.join("::"),
            };
            format!("{} {} {target}", import.from.join("/"), import.line)
        };
        modules(files).imports().iter().map(describe).collect()
    }

    #[test]
    fn paths_lead_to_the_file_that_defines_the_thing() {
        for (text, expected) in [
            ("use crate::a::b::Thing;", "x/y 1 /a/b"),
            ("use super::Other;", "x/y 1 /x"),
            ("fn f() { super::super::a::g() }", "x/y 1 /a"),
            ("fn f() { crate::a::b::g() }", "x/y 1 /a/b"),
            ("mod z { use super::super::X; }", "x/y 1 /x"),
            ("\nuse super::z::Z;", "x/y 2 /x/z"),
            // Through re-exports, and through names that the parent uses itself.
            ("use crate::a::Thing;", "x/y 1 /a/b by /a"),
            ("use crate::a::Renamed;", "x/y 1 /a/b by /a"),
            ("use crate::Thing;", "x/y 1 /a/b by /"),
            ("fn f() { crate::a::b() }", "x/y 1 /a/b by /a"),
            ("use super::Seen;", "x/y 1 /a"),
            ("use super::b::Thing;", "x/y 1 /a/b"),
            ("use super::*;", "x/y 1 /x"),
            // Other crates.
            ("use std::fs;", "x/y 1 std::fs"),
            ("use ::a::B;", "x/y 1 a::B"),
            ("fn f() { std::fs::read() }", "x/y 1 std::fs::read"),
        ] {
            let files = [
                ("src/lib.rs", "mod a; mod x; pub use a::Thing;"),
                (
                    "src/a/mod.rs",
                    "pub(crate) use b::{b, Thing, Thing as Renamed};",
                ),
                ("src/a/b.rs", "pub struct Thing;"),
                ("src/x/mod.rs", "use crate::a::{Seen, b};"),
                ("src/x/y.rs", text),
                ("src/x/z.rs", ""),
            ];
            let found = imports(&files);
            let found: Vec<_> = found
                .iter()
                .filter(|import| import.starts_with("x/y"))
                .collect();
            assert_eq!(found, [expected], "{text}");
        }
    }

    #[test]
    fn modules_are_named_in_the_code_by_parents_and_by_those_who_import_them() {
        let files = [
            ("src/lib.rs", ""),
            (
                "src/a/mod.rs",
                "mod b;\nfn f() { b::g(); Self::h(); B::new() }",
            ),
            ("src/a/b.rs", "use crate::c;\nfn g() { c::d::e(); c::d::E }"),
            ("src/c/mod.rs", "use super::a::b::{f, f as g};"),
            ("src/c/d.rs", "use toml;\nfn f() { toml::g() }"),
        ];
        let expected = [
            "a 2 /a/b",
            "a/b 2 /c/d",
            "a/b 2 /c/d",
            "c 1 /a/b",
            "c 1 /a/b",
            "c/d 1 toml",
            "c/d 2 toml::g",
        ];
        assert_eq!(imports(&files), expected);
    }

    #[test]
    fn re_exports_that_name_each_other_end() {
        let files = [
            ("src/a.rs", "pub use crate::b::X;"),
            ("src/b.rs", "pub use crate::a::X;"),
            ("src/c.rs", "use crate::a::X;"),
        ];
        assert_eq!(imports(&files).len(), 3);
    }

    #[test]
    fn files_of_tests_are_left_out() {
        let files = [
            (
                "src/a/mod.rs",
                "#[cfg(test)] mod tests; #[cfg(test)] mod others { }",
            ),
            ("src/a/tests.rs", "use crate::b;"),
            ("src/a/tests/more.rs", "use crate::b;"),
            ("src/b.rs", ""),
        ];
        let modules = modules(&files);
        let names: Vec<String> = modules
            .files()
            .map(|(module, _)| module.join("/"))
            .collect();
        assert_eq!(names, ["a", "b"]);
    }
}
