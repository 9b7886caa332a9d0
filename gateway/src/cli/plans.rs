//! `gateway plans`

use super::output::{self, row, table};
use super::{End, Global, client};
use crate::control::types::{Kind, Problem, UsagePlanList, UsagePlanShown};

/// Usage plans: who may call how often, and what API keys have used
#[derive(clap::Subcommand)]
pub(crate) enum Plans {
    /// Which there are: their stages, rates, quotas and keys
    List,
    /// What each key has used, and what is left of its quota
    Usage {
        /// Id or name of a usage plan [default: all]
        plan: Option<String>,
    },
}

const NONE: &str = "there is no usage plan: a [[usage_plan]] in gateway.toml or \
                    `aws apigateway create-usage-plan` makes one\n";

impl Plans {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        let mut found: UsagePlanList = client::get(global, "/plans")?;
        if let Self::Usage { plan: Some(wanted) } = self {
            let known: Vec<String> =
                found.plans.iter().map(|plan| format!("{} ({})", plan.name, plan.id)).collect();
            found.plans.retain(|plan| plan.id == *wanted || plan.name == *wanted);
            if found.plans.is_empty() {
                let what = format!("no usage plan has the name or the id {wanted:?}");
                let mend = match known.as_slice() {
                    [] => NONE.trim_end().to_owned(),
                    known => format!("there are: {}", known.join(", ")),
                };
                return Err(Problem::new(Kind::Unknown, what, mend));
            }
        }
        if global.json {
            output::json(&found)?;
        } else if found.plans.is_empty() {
            output::print(NONE);
        } else {
            output::print(&match self {
                Self::List => list(&found.plans),
                Self::Usage { .. } => usage(&found.plans),
            });
        }
        Ok(End::Done)
    }
}

fn list(plans: &[UsagePlanShown]) -> String {
    let mut rows = vec![row(["PLAN", "NAME", "REGION", "RATE", "BURST", "QUOTA", "KEYS", "STAGES"])];
    for plan in plans {
        rows.push(row([
            &plan.id,
            &plan.name,
            &plan.region,
            &plan.rate_limit.map_or("-".into(), |rate| format!("{rate}/s")),
            &plan.burst_limit.map_or("-".into(), |burst| burst.to_string()),
            &plan
                .quota
                .as_ref()
                .map_or("-".into(), |quota| format!("{} a {}", quota.limit, lower(&quota.period))),
            &plan.keys.len().to_string(),
            &plan.stages.join(" "),
        ]));
    }
    table(&rows)
}

fn usage(plans: &[UsagePlanShown]) -> String {
    let mut rows = vec![row(["PLAN", "KEY", "NAME", "ENABLED", "TODAY", "REMAINING", "OF", "UNTIL"])];
    for plan in plans {
        let quota = plan.quota.as_ref();
        for key in &plan.keys {
            rows.push(row([
                &plan.id,
                &key.id,
                &key.name,
                if key.enabled { "yes" } else { "no" },
                &key.used_today.to_string(),
                &key.remaining.map_or("-".into(), |left| left.to_string()),
                &quota.map_or("-".into(), |quota| quota.limit.to_string()),
                quota.map_or("-", |quota| quota.ends.as_str()),
            ]));
        }
    }
    table(&rows)
}

fn lower(period: &str) -> String {
    period.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::types::{KeyShown, QuotaShown};

    #[test]
    fn plans_and_usage_are_tables() {
        let quota =
            QuotaShown { limit: 100, period: "WEEK".into(), ends: "2026-12-06".into(), ..Default::default() };
        let key = KeyShown {
            id: "k1".into(),
            name: "mobile".into(),
            enabled: true,
            used_today: 3,
            remaining: Some(97),
        };
        let plan = UsagePlanShown {
            id: "p1".into(),
            name: "gold".into(),
            region: "us-east-1".into(),
            stages: vec!["a1/prod".into()],
            rate_limit: Some(2.5),
            burst_limit: Some(5),
            quota: Some(quota),
            keys: vec![key],
            ..Default::default()
        };
        let bare = UsagePlanShown { id: "p2".into(), ..Default::default() };
        let text = list(&[plan.clone(), bare]);
        assert!(text.contains("2.5/s") && text.contains("100 a week") && text.contains("a1/prod"), "{text}");
        let text = usage(&[plan]);
        let line = text.lines().last().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["p1", "k1", "mobile", "yes", "3", "97", "100", "2026-12-06"]);
    }
}
