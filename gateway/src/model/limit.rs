//! How much one source may send: packets and new connections, each with a burst.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

const COUNT_MAX: u32 = 1_000_000;
/// A budget that is spent is whole again after this at the latest.
const WHOLE_WITHIN_S: u64 = 3600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    Second,
    Minute,
}

impl Period {
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
        }
    }
}

/// `count` in each `period`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frequency {
    pub count: u32,
    pub period: Period,
}

/// `count` in each `period`, and up to `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub count: u32,
    pub period: Period,
    pub burst: u32,
}

/// Of each source, on one listener. None: as much as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceLimits {
    pub packets: Option<RateLimit>,
    /// New ones: segments with SYN and without ACK.
    pub connections: Option<RateLimit>,
}

/// One limit as it was chosen live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitChoice {
    Off,
    Limit(RateLimit),
}

/// Limits as they were chosen live. None: the file's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitChoices {
    #[serde(default)]
    pub packets: Option<LimitChoice>,
    #[serde(default)]
    pub connections: Option<LimitChoice>,
}

impl LimitChoices {
    /// The file's, where nothing was chosen.
    pub fn over(self, file: SourceLimits) -> SourceLimits {
        let over = |choice: Option<LimitChoice>, file| match choice {
            None => file,
            Some(LimitChoice::Off) => None,
            Some(LimitChoice::Limit(limit)) => Some(limit),
        };
        SourceLimits {
            packets: over(self.packets, file.packets),
            connections: over(self.connections, file.connections),
        }
    }

    pub fn is_empty(self) -> bool {
        self.packets.is_none() && self.connections.is_none()
    }
}

impl From<Option<RateLimit>> for LimitChoice {
    fn from(limit: Option<RateLimit>) -> Self {
        limit.map_or(Self::Off, Self::Limit)
    }
}

/// What is wrong with a limit, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitError {
    pub what: String,
    pub mend: String,
}

impl LimitError {
    fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: what.into(), mend: mend.into() }
    }
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.mend)
    }
}

impl std::error::Error for LimitError {}

impl Frequency {
    /// What one second brings, 1 at least: the burst where none is given.
    pub fn default_burst(self) -> u32 {
        match self.period {
            Period::Second => self.count,
            Period::Minute => (self.count / 60).max(1),
        }
    }
}

impl FromStr for Frequency {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let mend = "write a number, a slash and s or m: \"2000/s\" or \"300/m\"";
        let shown: String = text.chars().take(40).collect();
        let odd = || LimitError::new(format!("`{shown}` is not a rate"), mend);
        let (count, period) = text.split_once('/').ok_or_else(odd)?;
        let period = match period {
            "s" => Period::Second,
            "m" => Period::Minute,
            _ => return Err(odd()),
        };
        if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
            return Err(odd());
        }
        match count.parse() {
            Ok(0) => Err(LimitError::new(
                format!("`{shown}` would let nothing pass"),
                "write 1 at least, or \"off\" for no limit",
            )),
            Ok(count @ 1..=COUNT_MAX) => Ok(Self { count, period }),
            _ => Err(LimitError::new(
                format!("`{shown}` is more than {COUNT_MAX} in one period"),
                "write a lower number, or \"off\" for no limit",
            )),
        }
    }
}

impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = match self.period {
            Period::Second => "s",
            Period::Minute => "m",
        };
        write!(f, "{}/{period}", self.count)
    }
}

impl RateLimit {
    pub const BURST_MAX: u32 = 1_000_000;

    /// What was written (a rate or "off", a burst) over what applies without it. A rate that is written without a burst
    /// has its own default burst; a burst alone changes the rate that applies.
    pub fn chosen(
        rate: Option<&str>,
        burst: Option<u32>,
        under: Option<Self>,
    ) -> Result<Option<Self>, LimitError> {
        match (rate, burst) {
            (None, None) => Ok(under),
            (Some("off"), None) => Ok(None),
            (Some("off"), Some(_)) => {
                Err(LimitError::new("a burst stands beside \"off\"", "remove the burst, or write a rate"))
            }
            (Some(rate), burst) => Self::new(rate.parse()?, burst).map(Some),
            (None, Some(burst)) => match under {
                Some(limit) => Self::new(limit.frequency(), Some(burst)).map(Some),
                None => Err(LimitError::new(
                    "a burst stands without a rate",
                    "write a rate beside it: \"2000/s\"",
                )),
            },
        }
    }

    /// `burst` None: what one second brings, 1 at least.
    pub fn new(frequency: Frequency, burst: Option<u32>) -> Result<Self, LimitError> {
        let Frequency { count, period } = frequency;
        let burst = burst.unwrap_or_else(|| frequency.default_burst());
        if !(1..=Self::BURST_MAX).contains(&burst) {
            let what = format!("a burst of {burst} is not possible");
            return Err(LimitError::new(what, format!("write 1 to {}", Self::BURST_MAX)));
        }
        let most = u64::from(count) * WHOLE_WITHIN_S / period.seconds();
        if u64::from(burst) > most {
            let what = format!("a burst of {burst} at {frequency} would take more than an hour to come back");
            return Err(LimitError::new(what, format!("write {most} at most, or a higher rate")));
        }
        Ok(Self { count, period, burst })
    }

    pub fn frequency(self) -> Frequency {
        Frequency { count: self.count, period: self.period }
    }
}

/// `2000/s, burst 4000`
impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, burst {}", self.frequency(), self.burst)
    }
}

/// Its form in JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    rate: String,
    #[serde(default)]
    burst: Option<u32>,
}

impl Serialize for RateLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Table { rate: self.frequency().to_string(), burst: Some(self.burst) }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RateLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        let frequency: Frequency = table.rate.parse().map_err(D::Error::custom)?;
        Self::new(frequency, table.burst).map_err(D::Error::custom)
    }
}

impl SourceLimits {
    pub const NONE: Self = Self { packets: None, connections: None };
}

/// `packets 2000/s, burst 4000; connections 50/s, burst 100`, or `none`
impl fmt::Display for SourceLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.packets, self.connections) {
            (None, None) => f.write_str("none"),
            (Some(packets), None) => write!(f, "packets {packets}"),
            (None, Some(connections)) => write!(f, "connections {connections}"),
            (Some(packets), Some(connections)) => {
                write!(f, "packets {packets}; connections {connections}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(rate: &str, burst: Option<u32>) -> Result<RateLimit, LimitError> {
        RateLimit::new(rate.parse()?, burst)
    }

    #[test]
    fn rates_are_read_and_shown() {
        for (text, burst, shown) in [
            ("2000/s", Some(4000), "2000/s, burst 4000"),
            ("2000/s", None, "2000/s, burst 2000"),
            ("300/m", None, "300/m, burst 5"),
            ("30/m", None, "30/m, burst 1"),
            ("1/m", Some(60), "1/m, burst 60"),
            ("1000000/s", Some(1_000_000), "1000000/s, burst 1000000"),
        ] {
            assert_eq!(limit(text, burst).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_rate_is_refused_with_what_to_write() {
        for (text, burst, what) in [
            ("", None, "not a rate"),
            ("2000", None, "not a rate"),
            ("2000/h", None, "not a rate"),
            ("2000 /s", None, "not a rate"),
            ("+5/s", None, "not a rate"),
            ("/s", None, "not a rate"),
            ("-1/s", None, "not a rate"),
            ("0/s", None, "nothing pass"),
            ("1000001/s", None, "more than 1000000"),
            ("99999999999999999999/s", None, "more than 1000000"),
            ("5/s", Some(0), "burst of 0"),
            ("500/s", Some(1_000_001), "burst of 1000001"),
            ("1/m", Some(61), "more than an hour"),
        ] {
            let error = limit(text, burst).unwrap_err();
            assert!(error.what.contains(what), "{text}: {error}");
            assert!(!error.mend.is_empty(), "{text}");
        }
        assert!(limit("1/m", Some(61)).unwrap_err().mend.contains("60 at most"));
    }

    #[test]
    fn json_comes_back_as_it_was_and_is_checked() {
        let limits =
            SourceLimits { packets: Some(limit("2000/s", Some(4000)).unwrap()), ..SourceLimits::NONE };
        let text = serde_json::to_string(&limits).unwrap();
        assert_eq!(text, r#"{"packets":{"rate":"2000/s","burst":4000},"connections":null}"#);
        assert_eq!(serde_json::from_str::<SourceLimits>(&text).unwrap(), limits);
        let short: SourceLimits = serde_json::from_str(r#"{"connections":{"rate":"50/s"}}"#).unwrap();
        assert_eq!(short.connections, Some(limit("50/s", None).unwrap()));
        for bad in [
            r#"{"packets":{"rate":"0/s"}}"#,
            r#"{"packets":{"rate":"1/m","burst":61}}"#,
            r#"{"packet":{"rate":"1/m"}}"#,
            r#"{"packets":{"rate":"1/m","brust":1}}"#,
        ] {
            assert!(serde_json::from_str::<SourceLimits>(bad).is_err(), "{bad}");
        }
    }
}
