//! Blanks comments and the insides of literals in Rust source, so that rules look at code alone.

/// Same length in lines and in characters of a line; what is not code is spaces.
pub(super) fn mask(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let Some(end) = literal_or_comment(&chars, at) else {
            out.push(chars[at]);
            at += 1;
            continue;
        };
        // The delimiters of a literal stay, so that `""` is still an expression.
        let keeps = chars[at] == '"' || chars[at] == '\'';
        for (offset, &c) in chars[at..end].iter().enumerate() {
            let edge = keeps && (offset == 0 || offset + 1 == end - at);
            out.push(if c == '\n' || edge { c } else { ' ' });
        }
        at = end;
    }
    out
}

/// Where the comment or literal that starts at `at` ends; None when none starts here.
fn literal_or_comment(chars: &[char], at: usize) -> Option<usize> {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => Some(find(chars, at, |rest| rest[0] == '\n')),
        '/' if next == Some('*') => Some(block_comment(chars, at)),
        '"' => Some(string(chars, at)),
        'r' if !is_word(chars, at) && matches!(next, Some('"' | '#')) => raw_string(chars, at),
        '\'' => character(chars, at),
        _ => None,
    }
}

fn find(chars: &[char], from: usize, ends: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|&index| ends(&chars[index..])).unwrap_or(chars.len())
}

/// Is the character at `at` the continuation of an identifier? (`b` and `c` before a quote are prefixes.)
fn is_word(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_') && !matches!(chars[at - 1], 'b' | 'c')
}

fn block_comment(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut index = at;
    while index + 1 < chars.len() {
        match (chars[index], chars[index + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                index += 1;
                continue;
            }
        }
        index += 2;
        if depth == 0 {
            return index;
        }
    }
    chars.len()
}

fn string(chars: &[char], at: usize) -> usize {
    let mut index = at + 1;
    while index < chars.len() {
        match chars[index] {
            '\\' => index += 2,
            '"' => return index + 1,
            _ => index += 1,
        }
    }
    chars.len()
}

fn raw_string(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return None; // a raw identifier, `r#type`
    }
    let body = at + 2 + hashes;
    let closes =
        |rest: &[char]| rest[0] == '"' && rest.len() > hashes && rest[1..=hashes].iter().all(|&c| c == '#');
    Some((find(chars, body, closes) + 1 + hashes).min(chars.len()))
}

/// A character literal; a lifetime is none.
fn character(chars: &[char], at: usize) -> Option<usize> {
    match chars.get(at + 1)? {
        '\\' => Some((find(chars, at + 3, |rest| rest[0] == '\'') + 1).min(chars.len())),
        _ if chars.get(at + 2) == Some(&'\'') => Some(at + 3),
        _ => None,
    }
}
