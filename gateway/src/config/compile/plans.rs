//! Keys and plans of the file with those that were made through the AWS API.

use super::Compiler;
use crate::config::Loaded;
use crate::guard::plan::Plans;
use crate::model::{ApiKey, MethodPath, PlanKey, PlanStage, Severity, UsagePlan, UsagePlans};
use crate::snapshot::Api;
use std::collections::HashMap;
use std::sync::Arc;

impl Compiler<'_> {
    /// `index_of`: by name of an `[[api]]`.
    pub(super) fn plans(
        &mut self,
        loaded: &Loaded,
        before: Option<&Plans>,
        index_of: &HashMap<&str, usize>,
        apis: &[Arc<Api>],
    ) -> Plans {
        let document = self.document;
        let (account, region) = (&document.node.account, &document.node.region);
        let mut all = loaded.plans.clone();
        if !document.api_keys.is_empty() || !document.usage_plans.is_empty() {
            let mut whole = UsagePlans::clone(&all);
            // Of two keys with one value the file's is heard.
            let key = |key: &crate::config::ApiKey| ApiKey {
                account: account.clone(),
                region: region.clone(),
                id: key.name.clone(),
                name: key.name.clone(),
                value: key.value.clone(),
                enabled: key.enabled,
            };
            whole.keys.splice(0..0, document.api_keys.iter().map(key));
            let stage = |name: &String| {
                let api = apis.get(*index_of.get(name.as_str())?)?;
                Some(PlanStage { api_id: api.id.clone(), stage: api.stage.clone(), throttles: [].into() })
            };
            let plan = |plan: &crate::config::UsagePlan| UsagePlan {
                account: account.clone(),
                region: region.clone(),
                id: plan.name.clone(),
                name: plan.name.clone(),
                throttle: plan.throttle,
                quota: plan.quota,
                stages: plan
                    .apis
                    .iter()
                    .filter_map(|name| {
                        let throttles = plan.throttles.get(name).cloned().unwrap_or_default();
                        Some(PlanStage { throttles, ..stage(name)? })
                    })
                    .collect(),
                keys: plan.keys.iter().map(|id| PlanKey { id: id.clone(), granted: None }).collect(),
            };
            whole.plans.splice(0..0, document.usage_plans.iter().map(plan));
            all = match before.filter(|before| **before.told() == whole) {
                Some(before) => before.told().clone(),
                None => Arc::new(whole),
            };
        }
        self.check_plans(apis, &all);
        self.check_method_throttles(index_of, apis);
        Plans::new(&all, self.meters.clone(), before, apis)
    }

    /// A method with a rate of its own in a plan, and the API has none of that name, or none that wants a key.
    fn check_method_throttles(&mut self, index_of: &HashMap<&str, usize>, apis: &[Arc<Api>]) {
        let document = self.document;
        for plan in &document.usage_plans {
            for (name, throttles) in &plan.throttles {
                let Some(api) = index_of.get(name.as_str()).and_then(|index| apis.get(*index)) else {
                    continue;
                };
                for path in throttles.keys() {
                    let is = |method: &&crate::snapshot::Method| {
                        let MethodPath::One { path, method: verb } = path else { return false };
                        method.resource_path == *path && [verb, "ANY"].contains(&method.http_method.as_str())
                    };
                    let wants = |method: &crate::snapshot::Method| {
                        method.limits.as_ref().is_some_and(|limits| limits.api_key_required)
                    };
                    let what = match api.methods.iter().find(is) {
                        Some(method) if wants(method) => continue,
                        Some(_) => format!(
                            "the usage plan `{}` has a throttle for {path} of `{name}`, which wants no API key",
                            plan.name
                        ),
                        None => format!(
                            "the usage plan `{}` has a throttle for {path}, which is no method of `{name}`",
                            plan.name
                        ),
                    };
                    let instead =
                        "write a method that wants a key as its resource and verb: pets/{petId}/GET";
                    self.find(Severity::Warning, &document.file, plan.place, what, instead);
                }
            }
        }
    }

    /// An API of a file that wants keys, and nobody has one for it.
    fn check_plans(&mut self, apis: &[Arc<Api>], plans: &UsagePlans) {
        let document = self.document;
        for entry in document.apis.iter().filter(|entry| entry.owner.is_none()) {
            let Some(api) = apis.iter().find(|api| api.name == entry.name) else { continue };
            let covers = |plan: &UsagePlan| {
                plan.stages.iter().any(|stage| stage.api_id == api.id && stage.stage == api.stage)
            };
            let wants = |method: &&crate::snapshot::Method| {
                method.limits.as_ref().is_some_and(|limits| limits.api_key_required)
            };
            if let Some(method) = api.methods.iter().find(wants)
                && !plans.plans.iter().any(covers)
            {
                let (verb, path) = (&method.http_method, &method.resource_path);
                let what = format!(
                    "{verb} {path} of `{}` wants an API key, and no usage plan covers the API",
                    entry.name
                );
                let instead =
                    format!("write an [[api_key]], and a [[usage_plan]] with apis = [\"{}\"]", entry.name);
                self.find(Severity::Warning, &document.file, entry.place, what, &instead);
            }
        }
    }
}
