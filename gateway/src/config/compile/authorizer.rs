//! An API's authorizers, by the names that its methods call them.

use super::Compiler;
use crate::config::ApiEntry;
use crate::guard::authorizer::Authorizer;
use crate::model::{self, Place, RestApi, Severity};
use crate::snapshot::{Authorization, Method};
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

    /// That nobody passes, of a stored API: no reader of a document has said it.
    pub(super) fn check_authorization(&mut self, entry: &ApiEntry, api: &RestApi, methods: &[Method]) {
        if entry.owner.is_none() {
            return;
        }
        let iam: fn(&Authorization) -> bool = |wanted| matches!(wanted, Authorization::AwsIam);
        let authorizer: fn(&Authorization) -> bool = |wanted| matches!(wanted, Authorization::Authorizer(_));
        for (wanted, told) in [
            (iam, "IAM authorization is not supported yet: nobody passes, 403"),
            (authorizer, "authorizers are not asked yet: nobody passes, 401 or 500"),
        ] {
            let mut guarded = methods.iter().filter(|method| wanted(&method.authorization));
            let Some(first) = guarded.next() else { continue };
            let more = match guarded.count() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let what = format!("{} {}{more}: {told}", first.http_method, first.resource_path);
            let instead = "guard them by API keys or the resource policy meanwhile (authorizationType NONE)";
            self.find(Severity::Warning, &api.file, Place::default(), what, instead);
        }
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
