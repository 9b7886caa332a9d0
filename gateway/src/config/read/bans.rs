//! `[bans]`: which refusals get a source banned by itself, and for how long.

use super::super::document::Bans;
use super::Reader;
use crate::guard::offence::Offence;
use crate::model::{Frequency, LimitError, parse_duration};
use crate::openapi::node::Map;

const KEYS: [&str; 6] = ["automatic", "malformed", "unauthorized", "no_route", "throttled", "for"];

impl Reader<'_> {
    pub(super) fn bans(&mut self, map: &Map) -> Bans {
        self.findings.deny_unknown_keys(map, "[bans]", &KEYS);
        let mut bans = Bans { automatic: self.flag(map, "automatic", false), ..Bans::default() };
        for offence in Offence::ALL {
            let Some((text, place)) = self.text(map, offence.name()) else { continue };
            let rate = if text == "off" { Ok(None) } else { text.parse::<Frequency>().map(Some) };
            match rate {
                Ok(rate) => bans.rates[offence as usize] = rate,
                Err(LimitError { what, mend }) => {
                    self.findings.error(place, format!("`{}`: {what}", offence.name()), mend);
                }
            }
        }
        if let Some((text, place)) = self.text(map, "for") {
            match parse_duration(text) {
                Ok(length) => bans.length = length,
                Err(what) => self.findings.error(place, what, "write for = \"10m\""),
            }
        }
        bans
    }
}
