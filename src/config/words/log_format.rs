//! `{client} {method} {path} {status}`: the template of a line of the access log.
//!
//! `{{` and `}}` are braces. A value never ends its line; where it stands outside of quotes, it has no space
//! either, so that no client can move what follows it to another column.

use crate::config::complaint::fault::Fault;
use crate::config::complaint::suggest::nearest;
use crate::config::model::{LogPart, LogVariable};

/// Reads a template.
///
/// # Errors
/// A variable that is not known, a brace that is not closed, or a character that would end the line.
pub(crate) fn parse_template(text: &str) -> Result<Vec<LogPart>, Fault> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut is_quoted = false;
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let next = at + character.len_utf8();
        let is_doubled = text[next..].starts_with(character);
        match character {
            '{' | '}' if is_doubled => {
                literal.push(character);
                at = next + 1;
            }
            '{' => {
                let end = text[next..].find('}').map(|end| next + end);
                let end = end.ok_or_else(|| unclosed(at, text.len()))?;
                let variable = variable(&text[next..end], next)?;
                if !literal.is_empty() {
                    parts.push(LogPart::Text(std::mem::take(&mut literal)));
                }
                parts.push(LogPart::Variable {
                    variable,
                    is_quoted,
                });
                at = end + 1;
            }
            '}' => {
                let message = "a `}` without its `{`";
                return Err(Fault::new(at..next, message).help("for a brace write `}}`"));
            }
            character if character.is_control() && character != '\t' => {
                let message = "a line of the log has no control characters";
                return Err(Fault::new(at..next, message).help("take it out"));
            }
            character => {
                is_quoted ^= character == '"';
                literal.push(character);
                at = next;
            }
        }
    }
    if !literal.is_empty() {
        parts.push(LogPart::Text(literal));
    }
    Ok(parts)
}

fn unclosed(start: usize, end: usize) -> Fault {
    Fault::new(start..end, "a `{` without its `}`").help("for a brace write `{{`")
}

fn variable(name: &str, start: usize) -> Result<LogVariable, Fault> {
    let mut names = LogVariable::NAMES.iter();
    if let Some((_, variable)) = names.find(|(known, _)| *known == name) {
        return Ok(*variable);
    }
    let known = || LogVariable::NAMES.iter().map(|(known, _)| *known);
    let message = format!("`{{{}}}` is no variable of the log", name.escape_debug());
    let fault = Fault::new(start..start + name.len(), message);
    Err(match nearest(name, known()) {
        Some(meant) => fault.help(format!("did you mean `{{{meant}}}`?")),
        None => {
            let all: Vec<String> = known().map(|known| format!("{{{known}}}")).collect();
            fault.help(format!("the variables are {}", all.join(" ")))
        }
    })
}

/// Writes a template as it is read.
pub(crate) fn show_template(parts: &[LogPart]) -> String {
    let part = |part: &LogPart| match part {
        LogPart::Text(text) => text.replace('{', "{{").replace('}', "}}"),
        LogPart::Variable { variable, .. } => {
            let mut names = LogVariable::NAMES.iter();
            let name = names.find(|(_, known)| known == variable);
            format!("{{{}}}", name.map_or("", |(name, _)| name))
        }
    };
    parts.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_shows() {
        for text in [
            "{client} {method} {path} {status} {duration_us} {upstream} {reason}",
            "plain",
            "a {{b}} \"{user_agent}\"\t{request_id}",
        ] {
            let parts = parse_template(text).expect("a template");
            assert_eq!(show_template(&parts), text);
        }
    }

    #[test]
    fn a_variable_between_quotes_may_hold_spaces() {
        let parts = parse_template("{host} \"{user_agent}\" {referer}").expect("a template");
        let quoted = parts.iter().filter_map(|part| match part {
            LogPart::Variable { is_quoted, .. } => Some(*is_quoted),
            LogPart::Text(_) => None,
        });
        assert_eq!(quoted.collect::<Vec<bool>>(), [false, true, false]);
    }

    #[test]
    fn every_variable_has_one_name() {
        for (name, variable) in LogVariable::NAMES {
            let parts = parse_template(&format!("{{{name}}}")).expect("a template");
            let is_quoted = false;
            let expected = LogPart::Variable {
                variable: *variable,
                is_quoted,
            };
            assert_eq!(parts, [expected]);
        }
    }

    #[test]
    fn faults_name_their_place() {
        for (text, range) in [
            ("{clint}", 1..6),
            ("a {status", 2..9),
            ("a } b", 2..3),
            ("a\nb", 1..2),
        ] {
            let fault = parse_template(text).expect_err(text);
            assert_eq!(fault.range, range, "{text}");
        }
    }
}
