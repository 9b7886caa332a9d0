//! An API's authorizers, by the names that its methods call them.

use super::Compiler;
use crate::config::ApiEntry;
use crate::guard::authorizer::Authorizer;
use crate::model::{self, Place, RestApi, Severity};
use crate::snapshot::Authorization;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) type Authorizers = BTreeMap<String, Option<Arc<Authorizer>>>;

impl Compiler<'_> {
    pub(super) fn authorizers(&mut self, entry: &ApiEntry, api: &RestApi) -> Authorizers {
        let mut compiled = Authorizers::new();
        for from in &api.authorizers {
            let authorizer = Authorizer::new(from, &entry.stage_variables);
            if let Err(why) = &authorizer {
                self.about(format_args!("the authorizer {}", from.name));
                let what = format!("{why}: a method with it lets nobody pass");
                let instead =
                    "write sources like method.request.header.Name, and an expression of RE2's syntax";
                self.find(Severity::Warning, &api.file, Place::default(), what, instead);
                self.about.clear();
            }
            compiled.insert(from.name.clone(), authorizer.ok().map(Arc::new));
        }
        compiled
    }
}

pub(super) fn of(method: &model::Method, authorizers: &Authorizers) -> Authorization {
    match &method.authorization {
        model::Authorization::None => Authorization::None,
        model::Authorization::AwsIam => Authorization::AwsIam,
        model::Authorization::Authorizer(name) => {
            Authorization::Authorizer(authorizers.get(name).cloned().flatten())
        }
    }
}
