//! Lengths of time as people write them: `90s`, `10m`, `2h`, `7d`.

use std::time::Duration;

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];
/// Ten years: longer is for good, or a slip of the hand.
pub const DURATION_MAX: Duration = Duration::from_secs(3650 * 86_400);

/// A whole number with its unit, at least one second.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a length of time: write for example 90s, 10m, 2h or 7d");
    let unit = text.chars().last().and_then(|last| UNITS.iter().find(|(unit, _)| *unit == last));
    let (unit, seconds) = unit.ok_or_else(wrong)?;
    let digits = text.trim_end_matches(*unit);
    if digits.len() + 1 != text.len() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    match number.checked_mul(*seconds).map(Duration::from_secs) {
        Some(Duration::ZERO) => Err(format!("`{text}` is no time at all: write 1s or more")),
        Some(length) if length <= DURATION_MAX => Ok(length),
        _ => Err(format!("`{text}` is longer than 3650d: write less, or leave it away for good")),
    }
}

/// The two largest units that say something: `9m 58s`, `2h`, `6d 23h`; `0s` below one second.
pub fn duration_text(length: Duration) -> String {
    let mut rest = length.as_secs();
    let mut parts = Vec::new();
    for (unit, seconds) in UNITS {
        let number = rest / seconds;
        rest %= seconds;
        if number > 0 && parts.len() < 2 {
            parts.push(format!("{number}{unit}"));
        } else if !parts.is_empty() {
            break;
        }
    }
    if parts.is_empty() { "0s".into() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_its_unit() {
        for (text, seconds) in [("1s", 1), ("90s", 90), ("10m", 600), ("2h", 7200), ("7d", 604_800)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "0s",
            "-1s",
            "+1s",
            "1.5h",
            "10 m",
            "1h30m",
            "10M",
            "9ss",
            "3651d",
            "999999999999999999999d",
        ] {
            let said = parse_duration(text).unwrap_err();
            assert!(said.contains("write"), "{text}: {said}");
        }
    }

    #[test]
    fn two_units_are_shown() {
        let shown = |seconds| duration_text(Duration::from_secs(seconds));
        assert_eq!([0, 59, 600, 598, 3605].map(shown), ["0s", "59s", "10m", "9m 58s", "1h"]);
        assert_eq!([90_061, 604_799].map(shown), ["1d 1h", "6d 23h"]);
    }
}
