//! A method's models → what its bodies are checked by.

use super::Compiler;
use crate::guard::{BodyModel, BodyModels};
use crate::model::{self, RestApi, Severity};
use crate::schema::{self, Models, Schema};
use std::collections::HashMap;
use std::sync::Arc;

/// The schemas of one API, read and compiled when they are first asked for.
#[derive(Default)]
pub(super) struct Schemas {
    models: Option<Models>,
    compiled: HashMap<String, Result<Arc<Schema>, Arc<str>>>,
}

impl Compiler<'_> {
    /// None: nothing is checked.
    pub(super) fn body(
        &mut self,
        api: &RestApi,
        schemas: &mut Schemas,
        method: &model::Method,
    ) -> Option<Box<BodyModels>> {
        if !method.validate_body || method.request_models.is_empty() {
            return None;
        }
        let Schemas { models, compiled } = schemas;
        let models = models.get_or_insert_with(|| {
            api.models.iter().map(|model| (model.name.clone(), model.schema.clone())).collect()
        });
        let mut by_type = Vec::new();
        for (media_type, name) in &method.request_models {
            let known = compiled.get(name).cloned();
            let schema = known.unwrap_or_else(|| {
                let made = schema::compile(name, models).map(Arc::new);
                let made = made.map_err(|why| {
                    self.unusable(api, name, method, &why);
                    Arc::from(why)
                });
                compiled.insert(name.clone(), made.clone());
                made
            });
            let media_type = media_type.to_ascii_lowercase();
            by_type.push(BodyModel { media_type, name: name.clone(), schema });
        }
        Some(Box::new(BodyModels::new(by_type)))
    }

    fn unusable(&mut self, api: &RestApi, name: &str, method: &model::Method, why: &str) {
        let place =
            api.models.iter().find(|model| model.name == name).map_or(method.place, |model| model.place);
        let what = format!("bodies cannot be checked by the model `{name}`: {why}");
        let instead = "until it is mended, requests whose body it has to check are answered 500";
        self.find(Severity::Warning, &api.file, place, what, instead);
    }
}
