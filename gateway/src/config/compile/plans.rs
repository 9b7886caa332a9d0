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

#[cfg(test)]
mod tests {
    use crate::config::{Remembered, compile, load};

    const PETS: &str = "swagger: '2.0'
info: {title: Pets, version: '1'}
securityDefinitions: {api_key: {type: apiKey, name: x-api-key, in: header}}
paths:
  /keyed:
    get:
      responses: {}
      security: [{api_key: []}]
      x-amazon-apigateway-integration: {type: http_proxy, httpMethod: GET, uri: 'http://127.0.0.1:9/'}
  /open:
    get:
      responses: {}
      x-amazon-apigateway-integration: {type: http_proxy, httpMethod: GET, uri: 'http://127.0.0.1:9/'}
  /any:
    x-amazon-apigateway-any-method:
      responses: {}
      security: [{api_key: []}]
      x-amazon-apigateway-integration: {type: http_proxy, httpMethod: ANY, uri: 'http://127.0.0.1:9/'}
";

    /// A rate for a method that has none of its callers' keys would refuse nobody: said at the plan's line.
    #[test]
    fn a_throttle_of_a_method_that_wants_no_key_is_told() {
        let folder = std::env::temp_dir().join(format!("gateway-plans-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("pets.yaml"), PETS).unwrap();
        let throttles = ["keyed/GET", "any/POST", "open/GET", "keyed/PUT", "none/GET"].map(|path| {
            format!("[usage_plan.method_throttles.pets.\"{path}\"]\nthrottling_rate_limit = 1\n")
        });
        let text = format!(
            "[[listener]]\nname = \"public\"\naddress = \"127.0.0.1:0\"\n\
             [[api]]\nname = \"pets\"\nid = \"a1b2c3d4e5\"\nfile = \"pets.yaml\"\nstage = \"prod\"\n\
             [[api_key]]\nname = \"k\"\nvalue = \"abcdefghijklmnopqrstuv\"\n\
             [[usage_plan]]\nname = \"gold\"\napis = [\"pets\"]\nkeys = [\"k\"]\n{}",
            throttles.concat()
        );
        std::fs::write(folder.join("gateway.toml"), text).unwrap();
        let loaded = load(&folder.join("gateway.toml"));
        std::fs::remove_dir_all(&folder).unwrap();
        let warnings = compile(&loaded.unwrap(), &Remembered::default(), 1).unwrap().1;
        let told: Vec<(usize, &str)> =
            warnings.iter().map(|found| (found.place.line, found.what.as_str())).collect();
        assert_eq!(
            told,
            [
                (12, "the usage plan `gold` has a throttle for keyed/PUT, which is no method of `pets`"),
                (12, "the usage plan `gold` has a throttle for none/GET, which is no method of `pets`"),
                (12, "the usage plan `gold` has a throttle for open/GET of `pets`, which wants no API key"),
            ]
        );
        assert!(warnings.iter().all(|found| found.instead.contains("pets/{petId}/GET")), "{warnings:?}");
    }
}
