//! Custom domain names, as the routes take them, and the policies of private ones.

use super::Compiler;
use crate::config::{Domain, Private};
use crate::guard::policy::{Owner, Policy};
use crate::model::{Place, Severity};
use crate::route::{self, Meaning, Table};

impl Compiler<'_> {
    pub(super) fn with_domains(&mut self, routes: Table) -> (Table, Vec<Policy>) {
        let document = self.document;
        let mut policies = Vec::new();
        let mut domains = Vec::with_capacity(document.domains.len());
        for domain in &document.domains {
            let private = domain.private.as_ref().map(|private| {
                policies.push(self.domain_policy(domain, private));
                let is = |name: &String| {
                    document.listeners.iter().position(|at| at.name == *name && at.vpc.is_some())
                };
                let listeners = private.listeners.iter().filter_map(is).collect();
                route::Private { listeners, policy: policies.len() - 1 }
            });
            domains.push((domain, private));
        }
        let taken: Vec<route::Domain<'_>> = domains
            .into_iter()
            .map(|(domain, private)| {
                let paths = domain.base_paths.iter();
                let meanings = paths.map(|base| Meaning {
                    path: &base.path,
                    api: &base.api,
                    stage: base.stage.as_deref(),
                });
                route::Domain { host: &domain.host, base_paths: meanings.collect(), private }
            })
            .collect();
        (routes.with_domains(&taken), policies)
    }

    /// Who cannot be judged is not let in. It speaks of whatever API is reached through the name.
    fn domain_policy(&mut self, domain: &Domain, private: &Private) -> Policy {
        let (region, account) = (&private.owner.region, &private.owner.account);
        let owner = Owner { region, account, api: "*", is_stored: true };
        let Some(document) = &private.policy else { return Policy::closed() };
        let mut say = |what: String, instead: &str| {
            let what = format!("the policy of the domain name {}: {what}", domain.host);
            self.find(Severity::Warning, domain.host.as_ref(), Place::default(), what, instead);
        };
        match Policy::parse(document, owner) {
            Ok(parsed) => {
                parsed.warnings.into_iter().for_each(|warning| say(warning.what, &warning.instead));
                parsed.policy
            }
            Err(what) => {
                say(what, "write the policy as API Gateway exports it");
                Policy::closed()
            }
        }
    }
}
