//! "Did you mean": the known name that a mistyped one resembles.

/// Returns the candidate nearest to `written`, if it is near enough to be what was meant: a third of
/// its characters may differ, and at least one. A different case, and `-` for `_`, do not count.
pub(crate) fn nearest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = normalized(written);
    candidates
        .into_iter()
        .map(|candidate| (distance(&written, &normalized(candidate)), candidate))
        .filter(|(distance, candidate)| {
            *distance <= (candidate.len() / 3).max(1) && *distance < written.len()
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Whether at most one character of `written` and `candidate` differs. A different case, and `-` for
/// `_`, do not count.
pub(crate) fn is_one_slip(written: &str, candidate: &str) -> bool {
    distance(&normalized(written), &normalized(candidate)) <= 1
}

fn normalized(name: &str) -> Vec<char> {
    name.chars()
        .map(|c| {
            if c == '-' {
                '_'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

/// How many characters have to be inserted, removed, replaced, or swapped with their neighbour, to
/// turn `a` into `b` (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let replaced = last[j] + usize::from(a[i] != b[j]);
            let mut cost = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                cost = cost.min(before_last[j - 1] + 1);
            }
            row.push(cost);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_typing_mistakes() {
        for (a, b, expected) in [
            ("", "", 0),
            ("ab", "", 2),
            ("", "ab", 2),
            ("acess", "access", 1),
            ("lsiten", "listen", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(
                distance(&normalized(a), &normalized(b)),
                expected,
                "{a} {b}"
            );
        }
    }

    #[test]
    fn proposes_only_what_resembles() {
        let known = ["listen", "hosts", "routes", "idle_timeout", "log"];
        let cases = [
            ("lsiten", Some("listen")),
            ("host", Some("hosts")),
            ("Idle-Timeout", Some("idle_timeout")),
            ("idletimeout", Some("idle_timeout")),
            ("logs", Some("log")),
            ("upstreams", None),
            ("x", None),
        ];
        for (written, expected) in cases {
            assert_eq!(nearest(written, known), expected, "{written}");
        }
    }
}
