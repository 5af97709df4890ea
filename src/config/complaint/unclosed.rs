//! Finds strings, arrays, tables and headers that are not closed, and what would close them.
//!
//! `toml` takes what follows an open bracket for its content, line after line, so that one bracket that
//! is missing leads to an error about every line after it. Here a line that cannot belong to what is open
//! ends it: a header, or a key where the elements of an array stand. What closes it is added to the text
//! that is read ([`Source::repaired`]), so the lines after it are read as they are meant.
//!
//! Only called for a text that is not TOML. Every rule here is about something that is never TOML.
//!
//! [`Source::repaired`]: super::diagnostic::Source::repaired

use std::ops::Range;

/// What is added behind the closing bracket of a header in whose place another one stands.
pub(super) const OTHER_FOLLOWS: &str = " #";

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    OpeningQuote,
    ClosingQuote,
    /// The opening bracket of an array or a table.
    Opening,
    /// The opening bracket of a header.
    HeaderOpening,
    /// The closing bracket of an array.
    Array,
    /// The closing bracket of an inline table.
    Table,
    /// The closing bracket of a header.
    Header,
    /// The comma at the end of a line.
    Comma,
}

/// A place where something is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repair {
    pub(super) missing: Missing,
    /// Where to add `added`.
    pub(super) at: usize,
    pub(super) added: String,
    /// The bracket that `added` closes first.
    pub(super) opener: Option<usize>,
    /// The setting that holds the place.
    pub(super) setting: Range<usize>,
}

/// Finds what is missing in `text`, in the order of the text.
pub(crate) fn find(text: &str) -> Vec<Repair> {
    let mut scan = Scan {
        text,
        at: 0,
        setting: 0,
        equals: None,
        is_value: false,
        last: 0,
        open: Vec::new(),
        repairs: Vec::new(),
    };
    while scan.step() {}
    scan.end_setting();
    scan.repairs.sort_by_key(|repair| repair.at);
    scan.repairs
}

/// A bracket that is open.
struct Open {
    bracket: u8,
    at: usize,
    /// The first line in it that may be the next setting.
    doubt: Option<Doubt>,
}

/// A line in a table that looks like the next setting: it is a key, and stands no deeper than this one. If the
/// table is closed later, it was part of the table.
#[derive(Clone, Copy)]
struct Doubt {
    line: usize,
    /// The end of what stands before it.
    last: usize,
    /// How many repairs were found before it.
    repairs: usize,
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    /// Where the setting began that is read.
    setting: usize,
    /// The end of the last `=` in it.
    equals: Option<usize>,
    /// Whether what is read is the value after that `=`.
    is_value: bool,
    /// The end of the last token that is no comment.
    last: usize,
    /// From the outermost to the innermost.
    open: Vec<Open>,
    repairs: Vec<Repair>,
}

impl Scan<'_> {
    /// Reads one token. False at the end of the text.
    fn step(&mut self) -> bool {
        let begins_line = self.skip_blanks();
        let Some(byte) = self.byte(self.at) else {
            if !self.open.is_empty() {
                self.close_all();
            }
            return self.at < self.text.len();
        };
        let lacks_value = self.equals == Some(self.last);
        if begins_line && self.open.is_empty() && byte == b'{' && lacks_value {
            self.lack_opening(self.last, b'[');
        } else if begins_line && self.open.is_empty() {
            self.end_setting();
            if self.header() || self.skip_to_value() {
                return true;
            }
        } else if begins_line && self.line_ends_what_is_open() {
            return true;
        }
        let is_inside = self.equals.is_some() || !self.open.is_empty();
        match byte {
            b'"' | b'\'' if is_inside || self.begins_key() => self.string(byte),
            b'[' | b'{' if is_inside => self.open(byte),
            b']' | b'}' if is_inside => self.close(byte),
            b'=' => self.equals(),
            _ => {
                self.is_value &= byte != b',';
                self.advance_to(self.at + 1);
            }
        }
        true
    }

    /// Ends the setting before this place, and begins the next one.
    fn end_setting(&mut self) {
        let of_setting = |repair: &&mut Repair| repair.setting.start == self.setting;
        let repairs = self.repairs.iter_mut().rev().take_while(of_setting);
        repairs.for_each(|repair| repair.setting.end = self.last.max(repair.at));
        self.setting = self.at;
        (self.equals, self.is_value) = (None, false);
    }

    /// Reads an opening bracket.
    fn open(&mut self, bracket: u8) {
        self.is_value = false;
        self.open.push(Open {
            bracket,
            at: self.at,
            doubt: None,
        });
        self.advance_to(self.at + 1);
    }

    /// Reads `=`. Where a value is expected, a key before it is the first of a table.
    fn equals(&mut self) {
        if let Some(equals) = self.equals.filter(|_| self.is_value) {
            let key = self.text[equals..self.at].trim();
            let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            if !key.is_empty() && key.chars().all(is_part) {
                self.lack_opening(equals, b'{');
            }
        }
        self.advance_to(self.at + 1);
        (self.equals, self.is_value) = (Some(self.at), true);
    }

    /// Reads the key of a setting whose `=` is missing, or has another sign in its place: `toml` reports that. True if
    /// the value follows, in which nothing else may be missing.
    fn skip_to_value(&mut self) -> bool {
        let line = self.line(self.at);
        let Some(value) = after_key(line) else {
            return false;
        };
        let value = value.strip_prefix(':').unwrap_or(value).trim_start();
        let key_end = self.at + line.len() - value.len();
        // Other languages write a block so.
        let is_block = without_comment(value) == "{";
        let is_apart = self.text[..key_end].ends_with([' ', '\t', ':']);
        let is_value = value.starts_with(['[', '{']) || value.starts_with(['"', '\'']) && is_apart;
        if is_value && !is_block {
            self.advance_to(key_end);
            (self.equals, self.is_value) = (Some(key_end), true);
        }
        is_value && !is_block
    }

    /// Opens a bracket that is missing after `before`.
    fn lack_opening(&mut self, before: usize, bracket: u8) {
        let rest = &self.text[before..];
        let at = before + rest.len() - rest.trim_start_matches([' ', '\t']).len();
        self.repair(Missing::Opening, at, (bracket as char).to_string(), None);
        self.open.push(Open {
            bracket,
            at,
            doubt: None,
        });
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn advance_to(&mut self, at: usize) {
        (self.at, self.last) = (at, at);
    }

    /// Whether a part of a key begins here, before the `=` of a setting.
    fn begins_key(&self) -> bool {
        self.at == self.setting || self.text[..self.at].ends_with('.')
    }

    /// Skips blanks, line ends and comments. Whether a line begins at what follows.
    fn skip_blanks(&mut self) -> bool {
        let mut begins_line = self.at == 0;
        while let Some(byte) = self.byte(self.at) {
            match byte {
                b'\n' => begins_line = true,
                b' ' | b'\t' | b'\r' => {}
                _ if byte == b'#' || self.begins_foreign_comment() => {
                    self.at = self.line_end(self.at);
                    continue;
                }
                _ => break,
            }
            self.at += 1;
        }
        begins_line
    }

    /// Whether a comment of another language begins here, which `toml` reports: quotes in it are no strings.
    fn begins_foreign_comment(&self) -> bool {
        let (before, after) = self.text.as_bytes().split_at(self.at);
        after.starts_with(b"//") && before.last().is_none_or(u8::is_ascii_whitespace)
    }

    fn line_end(&self, at: usize) -> usize {
        memchr::memchr(b'\n', &self.text.as_bytes()[at..]).map_or(self.text.len(), |end| at + end)
    }

    /// How far the line of `at` is indented.
    fn indent(&self, at: usize) -> usize {
        at - self.text[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// The rest of the line at `at`.
    fn line(&self, at: usize) -> &str {
        &self.text[at..self.line_end(at)]
    }

    /// Reads the line here if it is that of a header. Other lines that begin with a bracket are left alone.
    fn header(&mut self) -> bool {
        let line = self.line(self.at);
        let line = without_comment(line);
        let name = line.trim_start_matches('[');
        let opened = line.len() - name.len();
        let name = name.trim_end_matches(']');
        let closed = line.len() - opened - name.len();
        if opened == 0 && (closed == 0 || line.contains('=')) {
            return false;
        }
        let (start, end) = (self.at, self.at + line.len());
        let closing = "]".repeat(opened.saturating_sub(closed));
        let without_other = name.trim_end_matches(['}', ')', '>', ']']);
        if without_other.len() < name.len() && names_table(without_other) && opened < 3 {
            // What stands in its place becomes a comment.
            let added = "]".repeat(opened) + OTHER_FOLLOWS;
            let at = start + opened + without_other.len();
            self.repair(Missing::Header, at, added, None);
            self.at = self.line_end(self.at);
            self.last = self.at;
            return true;
        }
        if let Some(at) = lacks_quote(name).map(|at| start + opened + at) {
            self.repair(Missing::ClosingQuote, at, "\"".to_owned(), None);
            self.repair(Missing::Header, end, closing, None);
        } else if names_table(name) && opened < 3 && closed < 3 {
            self.repair(Missing::Header, end, closing, None);
            let opening = "[".repeat(closed.saturating_sub(opened));
            self.repair(Missing::HeaderOpening, start, opening, None);
        }
        self.advance_to(end);
        self.at = self.line_end(self.at);
        true
    }

    /// Looks at a line that begins while a bracket is open. True if it is the next setting: then the
    /// brackets are closed before it, and the line is to be read anew.
    fn line_ends_what_is_open(&mut self) -> bool {
        let line = self.line(self.at);
        if line.starts_with([']', '}', ',']) {
            return false;
        }
        let Some(innermost) = self.open.last() else {
            return false;
        };
        let is_table = innermost.bracket == b'{';
        let needs_comma = innermost.at + 1 != self.last && !self.text[..self.last].ends_with(',');
        let (is_key, is_header) = (begins_setting(line), is_header(line));
        let is_deeper = self.indent(self.at) > self.indent(self.setting);
        let is_in_table = self.open.iter().any(|open| open.bracket == b'{');
        if is_header || !is_table && is_key && !is_deeper {
            self.close_all();
            return true;
        }
        if is_table && line.starts_with('{') {
            self.close_tables();
            return false;
        } else if !is_table && is_key && without_comment(line).ends_with(['}', ',']) && !is_in_table
        {
            self.lack_comma(needs_comma);
            self.lack_opening(self.at, b'{');
            return false;
        } else if !is_table && is_key && is_in_table {
            self.close_innermost(1);
        } else if !is_table && is_key {
            self.close_all();
            return true;
        } else if is_key && !is_deeper {
            self.doubt();
        }
        self.lack_comma(needs_comma);
        self.is_value = false;
        false
    }

    fn lack_comma(&mut self, needs_comma: bool) {
        if needs_comma {
            self.repair(Missing::Comma, self.last, ",".to_owned(), None);
        }
    }

    /// Closes tables up to the array that they stand in.
    fn close_tables(&mut self) {
        let array = self.open.iter().rposition(|open| open.bracket == b'[');
        if let Some(array) = array {
            self.close_innermost(self.open.len() - array - 1);
            self.lack_comma(true);
        }
    }

    /// Takes note that the line here may be the next setting.
    fn doubt(&mut self) {
        let doubt = Doubt {
            line: self.at,
            last: self.last,
            repairs: self.repairs.len(),
        };
        if let Some(open) = self.open.last_mut() {
            open.doubt.get_or_insert(doubt);
        }
    }

    /// Closes all that is open: before the first line that is in doubt, which is then read anew, or else here.
    fn close_all(&mut self) {
        let doubtful = self.open.iter().position(|open| open.doubt.is_some());
        if let Some(index) = doubtful {
            self.open.truncate(index + 1);
            if let Some(doubt) = self.open[index].doubt {
                self.repairs.truncate(doubt.repairs);
                (self.at, self.last) = (doubt.line, doubt.last);
            }
        }
        self.close_innermost(self.open.len());
        // Back to the line's start, so that its first token begins a setting.
        self.at = self.text[..self.at]
            .rfind('\n')
            .filter(|newline| *newline >= self.last)
            .unwrap_or(self.at);
    }

    /// Closes so many brackets after the last token.
    fn close_innermost(&mut self, count: usize) {
        let closed = self.open.split_off(self.open.len() - count);
        let Some(innermost) = closed.last() else {
            return;
        };
        let missing = match innermost.bracket {
            b'{' => Missing::Table,
            _ => Missing::Array,
        };
        let added = closed.iter().rev().map(|open| match open.bracket {
            b'{' => '}',
            _ => ']',
        });
        self.repair(missing, self.last, added.collect(), Some(innermost.at));
    }

    /// Reads a closing bracket.
    fn close(&mut self, byte: u8) {
        let opening = if byte == b'}' { b'{' } else { b'[' };
        let matching = self.open.iter().rposition(|open| open.bracket == opening);
        match matching {
            Some(index) => {
                self.close_innermost(self.open.len() - index - 1);
                self.open.pop();
            }
            None => self.close_unmatched(opening),
        }
        self.is_value = false;
        self.advance_to(self.at + 1);
    }

    /// Closes what the closing bracket here may have been meant to.
    fn close_unmatched(&mut self, opening: u8) {
        let is_last = without_comment(self.line(self.at)).len() == 1;
        match self.equals {
            _ if is_last && !self.open.is_empty() => self.close_innermost(1),
            Some(equals) => {
                self.lack_opening(equals, opening);
                self.open.pop();
            }
            None => {}
        }
    }

    /// Reads a string that begins here.
    fn string(&mut self, quote: u8) {
        let start = self.at + 1;
        let triple = [quote; 3];
        if self.text.as_bytes()[self.at..].starts_with(&triple) {
            let text = &self.text.as_bytes()[self.at + 3..];
            let Some(end) = memchr::memmem::find(text, &triple) else {
                return self.close_long_string(quote);
            };
            let end = self.at + 3 + end + 3;
            // Two more quotes may belong to the content.
            let more =
                self.text[end..].len() - self.text[end..].trim_start_matches(quote as char).len();
            return self.advance_to(end + more.min(2));
        }
        let end = self.string_end(start, quote);
        let after = end.and_then(|end| self.byte(end + 1));
        let is_sound = end.is_some() && after.is_none_or(|byte| b" \t\r\n,]}=.#".contains(&byte));
        if let (true, Some(end)) = (is_sound, end) {
            return self.advance_to(end + 1);
        }
        let before = self.text[..self.at].chars().next_back();
        if before.is_some_and(|c| !c.is_whitespace() && !",=[{(".contains(c)) {
            return self.lack_opening_quote(quote);
        }
        let content = start..end.unwrap_or(self.line_end(start));
        if let Some(cut) = self.cut(content, end.is_none()) {
            let added = (quote as char).to_string();
            self.repair(Missing::ClosingQuote, cut, added, None);
            return self.advance_to(cut);
        }
        // A quote in the text of a string: `toml` reports it.
        let line = self.line(start);
        let last = line.rfind(quote as char).unwrap_or(0);
        self.advance_to(start + last + 1);
    }

    /// Closes a string over lines that has no end: where two of its three quotes stand, or else before the line that may
    /// be the next setting or a header.
    fn close_long_string(&mut self, quote: u8) {
        let start = self.at + 3;
        let quotes = (quote as char).to_string();
        let two = self.text[start..].find(&quotes.repeat(2));
        let mut lines = memchr::memchr_iter(b'\n', &self.text.as_bytes()[start..]);
        let is_next = |newline: &usize| {
            let line = &self.text[start + newline + 1..];
            let line = line.lines().next().unwrap_or_default();
            line.starts_with('[') && is_header(line) || begins_setting(line)
        };
        let next = lines.find(is_next);
        let (at, added) = match (two, next) {
            (Some(two), next) if next.is_none_or(|next| two < next) => (start + two + 2, quotes),
            (_, next) => {
                let content = &self.text[start..next.map_or(self.text.len(), |next| start + next)];
                (start + content.trim_end().len(), quotes.repeat(3))
            }
        };
        self.repair(Missing::ClosingQuote, at, added, Some(self.at));
        self.advance_to(at);
    }

    /// Reads a quote right behind a word: it ends the string that begins with the word.
    fn lack_opening_quote(&mut self, quote: u8) {
        let is_word = |c: char| c != '\n' && !",=[]{}\"'".contains(c);
        let before = self.text[..self.at].trim_end_matches(is_word).len();
        let word = &self.text[before..];
        let word = before + word.len() - word.trim_start().len();
        let added = (quote as char).to_string();
        self.repair(Missing::OpeningQuote, word, added, None);
        self.advance_to(self.at + 1);
    }

    /// The place of the quote that closes a string, in its line.
    fn string_end(&self, start: usize, quote: u8) -> Option<usize> {
        let mut at = start;
        loop {
            match self.byte(at)? {
                b'\n' => return None,
                b'\\' if quote == b'"' && self.byte(at + 1) != Some(b'\n') => at += 1,
                byte if byte == quote => return Some(at),
                _ => {}
            }
            at += 1;
        }
    }

    /// Where a string was meant to end whose end is missing; `None` if it is not the end that is missing.
    fn cut(&self, content: Range<usize>, is_unclosed: bool) -> Option<usize> {
        let text = &self.text[content.clone()];
        let is_key = self.equals.is_none() && self.open.is_empty()
            || self.open.last().is_some_and(|open| open.bracket == b'{')
                && self.text[..self.at].trim_end().ends_with(['{', ',']);
        if is_key {
            match text.find('=') {
                Some(equals) => return Some(content.start + text[..equals].trim_end().len()),
                None if is_unclosed => {}
                None => return None,
            }
        }
        let is_separator = |at: &usize| {
            let rest = text[at + 1..].trim_start();
            !is_unclosed && rest.is_empty() || begins_setting(rest)
        };
        let mut commas = memchr::memchr_iter(b',', text.as_bytes());
        let comma = commas.find(is_separator);
        let is_in_array = self.open.last().is_some_and(|open| open.bracket == b'[');
        let is_end =
            |at: &usize| is_in_array && text[at + 1..].trim_start().starts_with([',', '}', ']']);
        let bracket = memchr::memchr_iter(b']', text.as_bytes()).find(is_end);
        if let Some(at) = comma.into_iter().chain(bracket).min() {
            return Some(content.start + at);
        }
        if !is_unclosed {
            return None;
        }
        let mut end = text.trim_end().trim_end_matches(',').len();
        for open in self.open.iter().rev() {
            let closing = if open.bracket == b'{' { '}' } else { ']' };
            match text[..end].trim_end().strip_suffix(closing) {
                Some(rest) => end = rest.len(),
                None => break,
            }
        }
        Some(content.start + text[..end].trim_end().len())
    }

    fn repair(&mut self, missing: Missing, at: usize, added: String, opener: Option<usize>) {
        if !added.is_empty() {
            self.repairs.push(Repair {
                missing,
                at,
                added,
                opener,
                setting: self.setting..at,
            });
        }
    }
}

/// `line` without a comment, if no string stands before it, and without blanks at its end. `//` begins a comment in other
/// languages.
fn without_comment(line: &str) -> &str {
    let ends = line.find('#').into_iter().chain(line.find(" //"));
    let end = ends.min().unwrap_or(line.len());
    let before = &line[..end];
    let has_strings = before.contains(['"', '\'']);
    if has_strings { line } else { before }.trim_end()
}

/// What follows a key of a part or several at the start of `text`; `None` if there is none.
fn after_key(text: &str) -> Option<&str> {
    let rest = match text.chars().next()? {
        quote @ ('"' | '\'') => text[1..].split_once(quote)?.1,
        _ => text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "_-".contains(c)),
    };
    if rest.len() == text.len() {
        return None;
    }
    let rest = rest.trim_start_matches([' ', '\t']);
    match rest.strip_prefix('.') {
        Some(part) => after_key(part.trim_start_matches([' ', '\t'])),
        None => Some(rest),
    }
}

/// Whether `text` begins with a key and `=`.
fn begins_setting(text: &str) -> bool {
    after_key(text).is_some_and(|rest| rest.starts_with('='))
}

/// Whether `line` is the header of a table, and not the first elements of an array.
fn is_header(line: &str) -> bool {
    let line = without_comment(line);
    let name = line.trim_start_matches('[');
    let name_alone = name.trim_end_matches(']');
    let is_value = matches!(name_alone, "true" | "false" | "inf" | "nan");
    name.len() < line.len() && !is_value && names_table(name_alone)
}

/// Whether `name` can be the name of a table of ours: it begins with a letter.
fn names_table(name: &str) -> bool {
    let is_whole = after_key(name).is_some_and(|rest| rest.starts_with('#') || rest.is_empty());
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && is_whole
}

/// Where a quote is missing in the name of a table.
fn lacks_quote(name: &str) -> Option<usize> {
    let first = name.find('"')?;
    if name.matches('"').count().is_multiple_of(2) {
        return None;
    }
    if name[..first].ends_with('.') {
        return Some(name.trim_end().len());
    }
    let is_start = |(dot, _): &(usize, &str)| {
        !name[dot + 1..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '"')
    };
    let dot = name.match_indices('.').find(is_start);
    dot.map(|(dot, _)| dot + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `text` with everything that was found to be missing.
    fn repaired(text: &str) -> String {
        let mut repaired = text.to_owned();
        for repair in find(text).iter().rev() {
            repaired.insert_str(repair.at, &repair.added);
        }
        repaired
    }

    #[test]
    fn adds_what_is_missing_where_it_is_missing() {
        let cases = [
            // Tables and arrays that are not closed.
            ("a = { b = 1\nc = 2\n", "a = { b = 1}\nc = 2\n"),
            ("a = { b = { c = 1 }\n", "a = { b = { c = 1 }}\n"),
            ("a = { b = { c = 1\n[d]\n", "a = { b = { c = 1}}\n[d]\n"),
            ("a = { b = 1 # c\n\n[[d]]\n", "a = { b = 1} # c\n\n[[d]]\n"),
            (
                "a = { b = 1,\n'/c' = 2\n[d]\n",
                "a = { b = 1,}\n'/c' = 2\n[d]\n",
            ),
            ("a = [1, 2\nb = 3\n", "a = [1, 2]\nb = 3\n"),
            ("a = [\n  1,\nb = 3\n", "a = [\n  1,]\nb = 3\n"),
            ("a = { b = [1, 2 }\n", "a = { b = [1, 2] }\n"),
            (
                "a = [\n  { b = 1,\n  { b = 2 },\n]\n",
                "a = [\n  { b = 1,},\n  { b = 2 },\n]\n",
            ),
            // Commas.
            ("a = [\n  1\n  2\n]\n", "a = [\n  1,\n  2\n]\n"),
            (
                "a = {\n  b = 1\n  c = 2\n}\n",
                "a = {\n  b = 1,\n  c = 2\n}\n",
            ),
            ("a = {\nb = 1\nc = 2\n}\n", "a = {\nb = 1,\nc = 2\n}\n"),
            // Brackets that are not opened.
            ("a = b = 1 }\n", "a = {b = 1 }\n"),
            ("a = { b = c = 1 } }\n", "a = { b = {c = 1 } }\n"),
            ("a = 'b', 'c']\n", "a = ['b', 'c']\n"),
            ("a =\n  { b = 1 },\n]\n", "a =[\n  { b = 1 },\n]\n"),
            ("a = [\n  b = 1 },\n]\n", "a = [\n  {b = 1 },\n]\n"),
            // Strings.
            ("a = \"b\nc = 1\n", "a = \"b\"\nc = 1\n"),
            ("a = { b = \"c }\n", "a = { b = \"c\" }\n"),
            ("a = { b = \"c, d = 1 }\n", "a = { b = \"c\", d = 1 }\n"),
            ("a = { b = 'c, d = 'e' }\n", "a = { b = 'c', d = 'e' }\n"),
            ("a = { b = c', d = 1 }\n", "a = { b = 'c', d = 1 }\n"),
            ("a = ['b, 'c']\n", "a = ['b', 'c']\n"),
            ("a = ['b', 'c]\n", "a = ['b', 'c']\n"),
            (
                "a = { b = ['c], d = 'e' }\n",
                "a = { b = ['c'], d = 'e' }\n",
            ),
            ("a = 1 MiB\"\n", "a = \"1 MiB\"\n"),
            ("\"/ = { b = \"c\" }\n", "\"/\" = { b = \"c\" }\n"),
            // Headers.
            ("[a\nb = 1\n", "[a]\nb = 1\n"),
            ("[[a] # b\n", "[[a]] # b\n"),
            ("[a]]\n", "[[a]]\n"),
            ("a.\"/\"]\n", "[a.\"/\"]\n"),
            ("[a.\"/]\n", "[a.\"/\"]\n"),
            ("[a./\"]\n", "[a.\"/\"]\n"),
            ("[a}\n[[b}] # c\n", "[a] #}\n[[b]] #}] # c\n"),
            // Strings over lines.
            (
                "a = { b = \"\"\"\nc\n\"\"}\nd = \"\"\n",
                "a = { b = \"\"\"\nc\n\"\"\"}\nd = \"\"\n",
            ),
            (
                "a = \"\"\"\nb\n\n[c]\nd = 1\n",
                "a = \"\"\"\nb\"\"\"\n\n[c]\nd = 1\n",
            ),
            ("a = '''b\n", "a = '''b'''\n"),
        ];
        for (written, expected) in cases {
            assert_eq!(repaired(written), expected, "{written}");
            let (_, errors) = toml::de::DeTable::parse_recoverable(expected);
            assert!(errors.is_empty(), "{expected}: {errors:?}");
        }
    }

    #[test]
    fn adds_nothing_to_what_is_sound_or_no_toml_at_all() {
        for text in [
            "a = { b = 1,\nc = 2 }\n",
            "a = [\n[1, 2],\n[true],\n]\n",
            "a = \"\"\"{ [ ' \"\" \"\"\"\nb = '''\n[\n'''\n",
            "a = \"\\\"{\" # { [ \"\n",
            "\"a=b\" = 1\na.\"b c\".d = 2\n",
            "[a.\"= /b\"]\n[[c]]\n",
            "server {\n    listen 80;\n}\n",
            "it's not [TOML\n",
            "a == \"b\"\n",
            "a { b = \"c\" }\nd: { e = 1, f = \"g\" }\nh{ i = 1 }\n",
            "\"= /a\": [\n  { b = 1 },\n]\n\"/c\" [\n  { d = 1 },\n]\n",
            "[a] // it's \"b\nc = \"d\" // the d's\n// e's\nf = 1 // \"\n",
            "a.b \"c, d = e\"\nf: \"g = 1\"\n",
            "{\n  \"a\": [1]\n}\n",
        ] {
            assert_eq!(repaired(text), text);
        }
    }
}
