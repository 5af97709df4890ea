//! Reads Rust as far as imports need it: which paths a file names, under which names, at which line.
//!
//! ```text
//! text ─→ blank: comments and literals become spaces ─→ words ─→ without test code ─→ paths
//! ```
//!
//! It is no parser of Rust: a path is what stands between words that cannot belong to it.

use std::collections::BTreeSet;

/// What one file says of other modules, its test code left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    /// Paths in `use` items, one for each leaf of a tree, and paths in the code, in the file's order.
    pub(crate) paths: Vec<NamedPath>,
    /// Modules that the file declares for tests alone (`#[cfg(test)] mod tests;`).
    pub(crate) test_modules: BTreeSet<String>,
}

/// A path as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedPath {
    /// From 1 on.
    pub(crate) line: usize,
    /// The modules within the file in which it stands: empty at the file's own level.
    pub(crate) scope: Vec<String>,
    /// `crate`, `http`, `status`; a glob ends with `*`.
    pub(crate) segments: Vec<String>,
    pub(crate) kind: Kind,
}

impl NamedPath {
    /// Whether it hands a name on to other modules.
    pub(crate) fn is_public_use(&self) -> bool {
        matches!(
            self.kind,
            Kind::Use {
                is_public: true,
                ..
            }
        )
    }
}

/// What a path is there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A `use`, which makes the path known in its module under a name.
    Use { name: String, is_public: bool },
    /// Named in the code, where it is used.
    InLine,
}

impl Source {
    /// Reads the text of one file.
    pub(crate) fn parse(text: &str) -> Self {
        let blank = blank(text);
        let mut words = words(&blank);
        let test_modules = remove_test_code(&mut words);
        let mut reader = Reader {
            words: &words,
            place: 0,
            depth: 0,
            scope: Vec::new(),
            paths: Vec::new(),
        };
        while reader.place < words.len() {
            reader.step();
        }
        Self {
            paths: reader.paths,
            test_modules,
        }
    }
}

/// `text` with spaces in the place of its comments, strings and characters; line ends stay.
pub(crate) fn blank(text: &str) -> String {
    let mut blank = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = word_length(rest);
        let hidden = hidden_length(rest);
        if hidden > 0 {
            let spaces = rest[..hidden].chars();
            blank.extend(spaces.map(|character| if character == '\n' { '\n' } else { ' ' }));
            rest = &rest[hidden..];
        } else {
            let length = word.max(first.len_utf8());
            blank.push_str(&rest[..length]);
            rest = &rest[length..];
        }
    }
    blank
}

/// How long the word is that `text` begins with; 0 without one.
fn word_length(text: &str) -> usize {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    text.find(|character| !is_part(character))
        .unwrap_or(text.len())
}

/// How long the comment or literal is that `text` begins with; 0 without one.
fn hidden_length(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment_length(text);
    }
    if text.starts_with('\'') {
        return character_length(text);
    }
    let prefix = word_length(text);
    let literal = &text[prefix..];
    match &text[..prefix] {
        "r" | "br" | "cr" => raw_string_length(literal).map_or(0, |length| prefix + length),
        "b" if literal.starts_with('\'') => prefix + character_length(literal),
        "" | "b" | "c" if literal.starts_with('"') => prefix + string_length(literal),
        _ => 0,
    }
}

/// Block comments nest.
fn block_comment_length(text: &str) -> usize {
    let (mut depth, mut place) = (0, 0);
    loop {
        let rest = &text[place..];
        let step = match rest.chars().next() {
            None => return text.len(),
            Some(_) if rest.starts_with("/*") => {
                depth += 1;
                2
            }
            Some(_) if rest.starts_with("*/") => {
                depth -= 1;
                2
            }
            Some(character) => character.len_utf8(),
        };
        place += step;
        if depth == 0 {
            return place;
        }
    }
}

fn string_length(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    while let Some((place, character)) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '"' => return place + 1,
            _ => {}
        }
    }
    text.len()
}

/// `None` where no raw string begins: `r#type` is a word.
fn raw_string_length(text: &str) -> Option<usize> {
    let hashes = text.find(|character| character != '#')?;
    let content = text[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = content
        .find(&end)
        .map_or(content.len(), |at| at + end.len());
    Some(hashes + 1 + length)
}

/// 0 where a lifetime stands.
fn character_length(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((escaped, character))) => {
            let rest = &text[escaped + character.len_utf8()..];
            let end = rest.find('\'').map_or(rest.len(), |end| end + 1);
            text.len() - rest.len() + end
        }
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 0,
    }
}

/// A word, `::`, or a single other character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word<'a> {
    text: &'a str,
    line: usize,
}

impl Word<'_> {
    fn is_name(&self) -> bool {
        self.text
            .starts_with(|character: char| character.is_alphabetic() || character == '_')
    }
}

fn words(blank: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    for (index, mut rest) in blank.lines().enumerate() {
        while let Some(first) = rest.trim_start().chars().next() {
            rest = rest.trim_start();
            let length = match word_length(rest) {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                length => length,
            };
            let (text, after) = rest.split_at(length);
            words.push(Word {
                text,
                line: index + 1,
            });
            rest = after;
        }
    }
    words
}

/// Removes the items, fields and statements under `#[cfg(test)]`; the names of modules among them.
fn remove_test_code(words: &mut Vec<Word<'_>>) -> BTreeSet<String> {
    let mut test_modules = BTreeSet::new();
    let mut place = 0;
    while place < words.len() {
        if is_test_attribute(&words[place..]) {
            let length = item_length(&words[place..]);
            let item = words.drain(place..place + length).collect::<Vec<_>>();
            let mut pairs = item.windows(2);
            let module = pairs.find(|pair| pair[0].text == "mod");
            test_modules.extend(module.map(|pair| pair[1].text.to_owned()));
        } else {
            place += 1;
        }
    }
    test_modules
}

/// Whether an attribute begins here that leaves its item out of everything but tests.
fn is_test_attribute(words: &[Word<'_>]) -> bool {
    let starts = |with: &[&str]| {
        let texts = words.iter().map(|word| word.text);
        texts.take(with.len()).eq(with.iter().copied())
    };
    starts(&["#", "[", "cfg", "(", "test", ")", "]"])
        || starts(&["#", "[", "cfg", "(", "all", "(", "test", ","])
}

/// How many words the item has that begins here, its attributes included: up to its `;`, the end of
/// its braces, or for a field or an arm the comma behind it.
fn item_length(words: &[Word<'_>]) -> usize {
    const ITEMS: [&str; 12] = [
        "pub", "fn", "mod", "use", "impl", "struct", "enum", "const", "static", "type", "trait",
        "let",
    ];
    let mut start = 0;
    while words.get(start).is_some_and(|word| word.text == "#") {
        start += 1 + group_length(&words[start + 1..]);
    }
    // In an item, a comma may stand between type parameters; a field may be `pub` and has none.
    let is_item = words
        .get(start)
        .is_some_and(|word| ITEMS.contains(&word.text));
    let mut place = start;
    while let Some(word) = words.get(place) {
        match word.text {
            "{" => return place + group_length(&words[place..]),
            "(" | "[" => place += group_length(&words[place..]),
            ")" | "]" | "}" => return place,
            ";" => return place + 1,
            "," if !is_item => return place + 1,
            _ => place += 1,
        }
    }
    place
}

/// How many words stand from the bracket that begins here to the one that closes it.
fn group_length(words: &[Word<'_>]) -> usize {
    let mut depth = 0_usize;
    for (place, word) in words.iter().enumerate() {
        match word.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return place + 1;
        }
    }
    words.len()
}

/// Goes through the words of a file and collects its paths.
struct Reader<'a> {
    words: &'a [Word<'a>],
    place: usize,
    depth: usize,
    /// The modules we are in, each with the depth of its braces.
    scope: Vec<(String, usize)>,
    paths: Vec<NamedPath>,
}

impl Reader<'_> {
    fn text(&self, place: usize) -> &str {
        self.words.get(place).map_or("", |word| word.text)
    }

    fn step(&mut self) {
        let place = self.place;
        match self.text(place) {
            "{" => self.depth += 1,
            "}" => {
                self.depth = self.depth.saturating_sub(1);
                self.scope.retain(|(_, depth)| *depth <= self.depth);
            }
            "mod" if self.text(place + 2) == "{" => {
                let name = self.text(place + 1).to_owned();
                self.depth += 1;
                self.scope.push((name, self.depth));
                self.place += 2;
            }
            // `impl Trait + use<'a>` is no import.
            "use" if self.text(place + 1) != "<" => return self.read_use(),
            _ if self.words[place].is_name() => return self.read_path(),
            _ => {}
        }
        self.place += 1;
    }

    /// `use a::{b, c as d};`, from its keyword on.
    fn read_use(&mut self) {
        let before = self.place.checked_sub(1).map(|place| self.text(place));
        let is_public = matches!(before, Some("pub" | ")"));
        self.place += 1;
        self.read_tree(Vec::new(), is_public);
    }

    /// One tree of a `use`; `before` is what stands before its braces.
    fn read_tree(&mut self, before: Vec<String>, is_public: bool) {
        let mut segments = before;
        if self.text(self.place) == "::" && segments.is_empty() {
            // The name of another crate, whatever else has the name.
            segments.push(String::new());
            self.place += 1;
        }
        loop {
            let line = self.words.get(self.place).map_or(0, |word| word.line);
            match self.text(self.place) {
                "{" => return self.read_group(&segments, is_public),
                "self" if !segments.is_empty() => {}
                text => segments.push(text.to_owned()),
            }
            self.place += 1;
            match self.text(self.place) {
                "::" => self.place += 1,
                "as" => {
                    let name = self.text(self.place + 1).to_owned();
                    self.place += 2;
                    return self.add_use(segments, name, is_public, line);
                }
                _ => {
                    let name = segments.last().cloned().unwrap_or_default();
                    return self.add_use(segments, name, is_public, line);
                }
            }
        }
    }

    fn read_group(&mut self, before: &[String], is_public: bool) {
        self.place += 1;
        while !matches!(self.text(self.place), "}" | "") {
            self.read_tree(before.to_vec(), is_public);
            if self.text(self.place) == "," {
                self.place += 1;
            }
        }
        self.place += 1;
    }

    fn add_use(&mut self, segments: Vec<String>, name: String, is_public: bool, line: usize) {
        let kind = Kind::Use { name, is_public };
        self.add(segments, kind, line);
    }

    /// A path in the code, if it has two segments or more.
    fn read_path(&mut self) {
        let start = self.place;
        let follows_path = start > 0 && self.text(start - 1) == "::";
        let mut segments = vec![self.text(start).to_owned()];
        self.place += 1;
        while self.text(self.place) == "::"
            && self.words.get(self.place + 1).is_some_and(Word::is_name)
        {
            segments.push(self.text(self.place + 1).to_owned());
            self.place += 2;
        }
        if segments.len() > 1 && !follows_path {
            self.add(segments, Kind::InLine, self.words[start].line);
        }
    }

    fn add(&mut self, segments: Vec<String>, kind: Kind, line: usize) {
        self.paths.push(NamedPath {
            line,
            scope: self.scope.iter().map(|(name, _)| name.clone()).collect(),
            segments,
            kind,
        });
    }
}

mod tests {
    use super::*;

    /// Each path of `text` with its line and, for a `use`, the name it makes known.
    fn paths(text: &str) -> Vec<String> {
        let describe = |path: &NamedPath| {
            let scope: String = path.scope.iter().map(|name| format!("({name}) ")).collect();
            let segments = path.segments.join("::");
            match &path.kind {
                Kind::InLine => format!("{}: {scope}{segments}", path.line),
                Kind::Use { name, is_public } => {
                    let public = if *is_public { "pub " } else { "" };
                    format!("{}: {scope}{public}use {segments} as {name}", path.line)
                }
            }
        };
        Source::parse(text).paths.iter().map(describe).collect()
    }

    #[test]
    fn a_use_has_a_path_for_each_of_its_leaves() {
        for (text, expected) in [
            ("use crate::a::B;", &["1: use crate::a::B as B"][..]),
            ("pub(crate) use a::B as C;", &["1: pub use a::B as C"]),
            ("pub use a::b;", &["1: pub use a::b as b"]),
            ("use ::a::b;", &["1: use ::a::b as b"]),
            ("use super::*;", &["1: use super::* as *"]),
            (
                "use crate::a::{\n    self, b::{c, D as _},\n    e,\n};",
                &[
                    "2: use crate::a as a",
                    "2: use crate::a::b::c as c",
                    "2: use crate::a::b::D as _",
                    "3: use crate::a::e as e",
                ],
            ),
            ("use {a::b, c};", &["1: use a::b as b", "1: use c as c"]),
            ("use self::a::b;", &["1: use self::a::b as b"]),
        ] {
            assert_eq!(paths(text), expected, "{text}");
        }
    }

    #[test]
    fn a_path_in_the_code_is_found_where_it_stands() {
        let text = "fn f(x: crate::a::B) -> super::C {\n    c::d::<u8>(crate::e!());\n    x.y\n}";
        let expected = ["1: crate::a::B", "1: super::C", "2: c::d", "2: crate::e"];
        assert_eq!(paths(text), expected);
        let none = paths("fn f<T: use<'a>>() -> <T as A>::B { ::x::y(1.0) }");
        assert_eq!(none, Vec::<String>::new());
    }

    #[test]
    fn modules_within_a_file_are_scopes() {
        let text = "mod a { mod b { use super::C; } use d::E; }\nuse f::G;";
        let expected = [
            "1: (a) (b) use super::C as C",
            "1: (a) use d::E as E",
            "2: use f::G as G",
        ];
        assert_eq!(paths(text), expected);
    }

    #[test]
    fn comments_and_literals_hide_paths() {
        for hidden in [
            "// use crate::a;",
            "//! [`crate::a::B`]",
            "/* use a::b; /* use c::d; */ use e::f; */",
            "const A: &str = \"use a::b; \\\" c::d\";",
            "const A: &str = r#\"a::b \" c::d\"#;",
            "const A: &[u8] = br\"a::b\\\";",
            "const A: &[u8] = b\"a::b\\\\\";",
            "const A: [char; 3] = ['\"', '\\'', '\\u{61}'];",
            "const A: u8 = b'\"';",
        ] {
            let text = format!("{hidden}\nuse x::y;");
            assert_eq!(paths(&text), ["2: use x::y as y"], "{hidden}");
        }
        let lifetime = "fn f<'a>(x: &'a a::B, y: &'static c::D) {}";
        assert_eq!(paths(lifetime), ["1: a::B", "1: c::D"]);
        assert_eq!(paths("fn r#type() { a::b() }"), ["1: a::b"]);
    }

    #[test]
    fn test_code_is_left_out() {
        for tests in [
            "#[cfg(test)]\nmod tests {\n use a::b; fn f() { c::d() } }",
            "#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests;",
            "#[cfg(test)] use a::{b, c};",
            "#[cfg(test)] pub(crate) fn f<A, B>(x: a::B) -> c::D { e::f() }",
            "#[cfg(all(test, unix))] impl A for b::C { }",
            "struct A { #[cfg(test)] b: c::D<E, F>, }",
        ] {
            let text = format!("{tests}\nuse x::y;");
            let found = paths(&text);
            assert!(
                found.len() == 1 && found[0].ends_with("use x::y as y"),
                "{tests}: {found:?}"
            );
        }
        let kept = "#[cfg(any(test, fuzzing))] use a::b; #[cfg(unix)] use c::d;";
        assert_eq!(paths(kept).len(), 2);
        let source = Source::parse("#[cfg(test)]\nmod tests;\nmod other;");
        assert_eq!(source.test_modules, BTreeSet::from(["tests".to_owned()]));
    }
}
