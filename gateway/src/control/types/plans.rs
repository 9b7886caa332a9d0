//! Of usage plans and API keys.

use crate::guard::meters::MemberName;
use serde::{Deserialize, Serialize};

/// GET /plans
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct UsagePlanList {
    pub plans: Vec<UsagePlanShown>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct UsagePlanShown {
    pub id: String,
    pub name: String,
    pub account: String,
    pub region: String,
    /// API id and stage.
    pub stages: Vec<String>,
    /// Requests a second, and at once; None: no limit.
    pub rate_limit: Option<f64>,
    pub burst_limit: Option<i64>,
    pub quota: Option<QuotaShown>,
    pub keys: Vec<KeyShown>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct QuotaShown {
    pub limit: u64,
    /// DAY, WEEK or MONTH
    pub period: String,
    pub offset: u32,
    /// `2026-11-30`: when the period began, and when the next one does.
    pub began: String,
    pub ends: String,
}

/// A key of a plan, without its value.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct KeyShown {
    pub id: String,
    pub name: String,
    pub enabled: bool,
    pub used_today: u64,
    /// Of the quota; None: there is none.
    pub remaining: Option<u64>,
}

/// POST /usage, from a process that ends to the one that took over.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageAdded {
    /// Drawn by the process that sends it, and which of its messages this is: what comes again is not counted again.
    #[serde(default)]
    pub from: String,
    #[serde(default)]
    pub number: u64,
    pub days: Vec<UsageOfDay>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageOfDay {
    pub account: String,
    pub region: String,
    pub plan: String,
    pub key: String,
    /// Since 1970.
    pub day: u32,
    pub requests: u64,
}

impl UsageOfDay {
    pub(in crate::control) fn new(name: &MemberName, day: u32, requests: u64) -> Self {
        let MemberName { account, region, plan, key } = name.clone();
        Self { account, region, plan, key, day, requests }
    }

    pub(in crate::control) fn name(&self) -> MemberName {
        let Self { account, region, plan, key, .. } = self.clone();
        MemberName { account, region, plan, key }
    }
}
