//! IAM's wildcards: `*` is any run of characters, `?` is one.

/// Does the whole text match? Works on characters of UTF-8; in the worst case the steps are the product of both
/// lengths, never more.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Behind the last `*`, and where in the text it is tried next.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                star = Some((p, t));
            }
            Some(b'?') => {
                p += 1;
                t += width(text, t);
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((behind, from)) = star else { return false };
                let next = from + width(text, from);
                star = Some((behind, next));
                (p, t) = (behind, next);
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Bytes of the character at `at`.
fn width(text: &[u8], at: usize) -> usize {
    let following = text[at + 1..].iter().take_while(|byte| **byte & 0xc0 == 0x80);
    1 + following.count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn oracle(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => (0..=text.len()).any(|skip| oracle(rest, &text[skip..])),
            (Some(('?', rest)), Some((_, text))) => oracle(rest, text),
            (Some((wanted, rest)), Some((found, text))) if wanted == found => oracle(rest, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_obvious_matcher(pattern in "[ab/é?*]{0,9}", text in "[ab/é]{0,9}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), oracle(&p, &t));
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_the_product() {
        let pattern = "*a".repeat(400) + "b";
        let text = "a".repeat(8_000);
        // The obvious matcher would not end.
        assert!(!matches(pattern.as_bytes(), text.as_bytes()));
        assert!(matches(b"*", text.as_bytes()) && matches(b"", b"") && !matches(b"", b"a"));
    }
}
