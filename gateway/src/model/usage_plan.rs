//! API keys and usage plans as the data plane knows them: who may call which stages, how often.

use super::MethodPath;
use std::collections::BTreeMap;

/// All of a node's, of every account and region.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsagePlans {
    pub keys: Vec<ApiKey>,
    pub plans: Vec<UsagePlan>,
}

#[derive(Clone, PartialEq)]
pub struct ApiKey {
    pub account: String,
    pub region: String,
    pub id: String,
    pub name: String,
    /// The secret that a client sends.
    pub value: String,
    pub enabled: bool,
}

impl std::fmt::Debug for ApiKey {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKey({}, {:?}, enabled: {})", self.id, self.name, self.enabled)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsagePlan {
    pub account: String,
    pub region: String,
    pub id: String,
    pub name: String,
    /// Of each of its keys, over all of its stages.
    pub throttle: Option<Throttle>,
    pub quota: Option<Quota>,
    pub stages: Vec<PlanStage>,
    pub keys: Vec<PlanKey>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanStage {
    pub api_id: String,
    pub stage: String,
    /// Methods with a limit of their own, for each key.
    pub throttles: BTreeMap<MethodPath, Throttle>,
}

/// A key of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanKey {
    pub id: String,
    /// What UpdateUsage gave beside the limit (or took from it), in the period that begins with this day.
    pub granted: Option<Granted>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Granted {
    /// Days since 1970.
    pub first_day: u32,
    pub requests: i64,
}

/// Requests a second, and how many at once. A number below 0 is no limit, as AWS writes it.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttle {
    pub burst_limit: i64,
    pub rate_limit: f64,
}

impl Throttle {
    /// AWS's limit of an account in a region, as GetAccount tells it.
    pub const ACCOUNT: Self = Self { rate_limit: 10_000.0, burst_limit: 5000 };
    pub const NONE: Self = Self { rate_limit: -1.0, burst_limit: -1 };

    /// NaN, which nobody can write, would be no limit either.
    pub fn is_unlimited(&self) -> bool {
        self.rate_limit < 0.0 || self.rate_limit.is_nan()
    }
}

impl std::fmt::Display for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_unlimited() {
            return f.write_str("no limit");
        }
        write!(f, "{} a second, {} at once", self.rate_limit, self.burst_limit.max(1))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub limit: u64,
    /// The day of the week (0: Sunday) or of the month (0: the first) on which a period begins.
    pub offset: u32,
    pub period: QuotaPeriod,
}

impl Quota {
    /// As it stands on that day (since 1970).
    pub fn on(self, day: u32) -> Allowance {
        Allowance { limit: self.limit, first_day: self.period.first_day(self.offset, day) }
    }
}

/// So many requests from that day on, until the period ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    pub limit: u64,
    /// Since 1970.
    pub first_day: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaPeriod {
    Day,
    Week,
    Month,
}

impl QuotaPeriod {
    pub const ALL: [(&'static str, Self); 3] =
        [("DAY", Self::Day), ("WEEK", Self::Week), ("MONTH", Self::Month)];

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == word).map(|(_, period)| *period)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "DAY",
            Self::Week => "WEEK",
            Self::Month => "MONTH",
        }
    }

    /// The largest offset that AWS takes.
    pub fn offset_max(self) -> u32 {
        match self {
            Self::Day => 0,
            Self::Week => 6,
            Self::Month => 27,
        }
    }

    /// The first day of the period that holds `day`; both in days since 1970, in UTC.
    pub fn first_day(self, offset: u32, day: u32) -> u32 {
        let offset = offset.min(self.offset_max());
        match self {
            Self::Day => day,
            // 1970 began on a Thursday.
            Self::Week => day - ((day + 4 + 7 - offset) % 7).min(day),
            Self::Month => {
                let date = Date::of(day);
                let own = Date { day: offset + 1, ..date };
                let begins = if own.day <= date.day { own } else { own.a_month_earlier() };
                begins.number()
            }
        }
    }

    /// The first day of the period after the one that begins with `first_day`.
    pub fn next_first_day(self, offset: u32, first_day: u32) -> u32 {
        let days = match self {
            Self::Day => 1,
            Self::Week => 7,
            // An offset is at most 27, so the day is in each month.
            Self::Month => 31,
        };
        self.first_day(offset, first_day + days)
    }
}

/// A day of the Gregorian calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    pub year: u32,
    /// 1 to 12
    pub month: u32,
    /// 1 to 31
    pub day: u32,
}

impl Date {
    /// `day`: since 1970.
    pub fn of(day: u32) -> Self {
        // Days since 0000-03-01, in eras of 400 years: the leap day is the last day of such a year.
        let shifted = day + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = (from_march + 2) % 12 + 1;
        Self {
            year: era * 400 + year_of_era + u32::from(month <= 2),
            month,
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
        }
    }

    /// Days since 1970; of an earlier day, 0.
    pub fn number(self) -> u32 {
        let year = self.year - u32::from(self.month <= 2);
        let (era, year_of_era) = (year / 400, year % 400);
        let from_march = (self.month + 9) % 12;
        let day_of_year = (153 * from_march + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        (era * 146_097 + day_of_era).saturating_sub(719_468)
    }

    /// `2026-11-30`; None: no day of 1970 to 9999.
    pub fn parse(text: &str) -> Option<Self> {
        let digits =
            |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?;
        let mut parts = text.split('-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || (year.len(), month.len(), day.len()) != (4, 2, 2) {
            return None;
        }
        let date = Self { year: digits(year)?, month: digits(month)?, day: digits(day)? };
        let known = (1970..=9999).contains(&date.year)
            && (1..=12).contains(&date.month)
            && (1..=31).contains(&date.day);
        // The 31st of April would be the 1st of May.
        (known && Self::of(date.number()) == date).then_some(date)
    }

    fn a_month_earlier(self) -> Self {
        match self.month {
            1 => Self { year: self.year - 1, month: 12, ..self },
            month => Self { month: month - 1, ..self },
        }
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Where a request's API key stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiKeySource {
    /// `x-api-key`
    #[default]
    Header,
    /// The authorizer's `usageIdentifierKey`
    Authorizer,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> u32 {
        Date::parse(text).unwrap_or_else(|| panic!("{text}")).number()
    }

    #[test]
    fn dates_are_days_and_back() {
        for (text, number) in [
            ("1970-01-01", 0),
            ("1970-03-01", 59),
            ("2000-02-29", 11_016),
            ("2026-11-30", 20_787),
            ("2100-02-28", 47_540),
            ("2100-03-01", 47_541),
        ] {
            assert_eq!((day(text), Date::of(number).to_string().as_str()), (number, text));
        }
        for number in 0..100_000 {
            let date = Date::of(number);
            assert_eq!(Date::parse(&date.to_string()), Some(date));
            assert_eq!(date.number(), number);
        }
        for wrong in [
            "2026-02-29",
            "2026-11-31",
            "2026-1-1",
            "2026-13-01",
            "1969-12-31",
            "x",
            "2026-11-30-1",
            "+026-01-01",
        ] {
            assert_eq!(Date::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn periods_begin_at_midnight_utc_on_their_day() {
        use QuotaPeriod::{Day, Month, Week};
        for (period, offset, at, begins, next) in [
            (Day, 0, "2026-11-30", "2026-11-30", "2026-12-01"),
            // A Monday.
            (Week, 0, "2026-11-30", "2026-11-29", "2026-12-06"),
            (Week, 1, "2026-11-30", "2026-11-30", "2026-12-07"),
            (Week, 2, "2026-11-30", "2026-11-24", "2026-12-01"),
            (Week, 6, "2026-11-28", "2026-11-28", "2026-12-05"),
            (Month, 0, "2026-11-30", "2026-11-01", "2026-12-01"),
            (Month, 0, "2026-12-01", "2026-12-01", "2027-01-01"),
            (Month, 14, "2027-01-14", "2026-12-15", "2027-01-15"),
            (Month, 27, "2028-02-28", "2028-02-28", "2028-03-28"),
            (Month, 27, "2027-03-01", "2027-02-28", "2027-03-28"),
        ] {
            let first = period.first_day(offset, day(at));
            let told =
                (Date::of(first).to_string(), Date::of(period.next_first_day(offset, first)).to_string());
            assert_eq!(told, (begins.to_owned(), next.to_owned()), "{period:?} {offset} {at}");
        }
    }

    #[test]
    fn each_day_is_in_one_period() {
        for (_, period) in QuotaPeriod::ALL {
            for offset in 0..=period.offset_max() {
                let mut first = period.first_day(offset, 20_000);
                for day in 20_000..21_500 {
                    let found = period.first_day(offset, day);
                    if found != first {
                        assert_eq!((found, period.next_first_day(offset, first)), (day, day));
                        first = found;
                    }
                }
            }
        }
    }
}
