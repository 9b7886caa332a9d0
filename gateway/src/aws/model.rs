//! Model: a JSON schema of an API, by name.

mod template;

use super::patch::{self, Dialect, Kind, Rule, replace};
use super::{Answer, Call, Fault, answer, patched, resource, rest_api, shown};
use serde::{Deserialize, Serialize};
use serde_json::json;

const MODELS_MAX: usize = 10_000;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Model {
    pub(crate) content_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<String>,
}

const RULES: &[Rule] = &[replace("/description", Kind::Text), replace("/schema", Kind::Text)];

const EMPTY: &str = r#"{
  "$schema": "http://json-schema.org/draft-04/schema#",
  "title" : "Empty Schema",
  "type" : "object"
}"#;
const ERROR: &str = r#"{
  "$schema" : "http://json-schema.org/draft-04/schema#",
  "title" : "Error Schema",
  "type" : "object",
  "properties" : {
    "message" : { "type" : "string" }
  }
}"#;

/// How a schema refers to another model of its API, before that one's name.
pub(super) fn reference(api: &str) -> String {
    format!("https://apigateway.amazonaws.com/restapis/{api}/models/")
}

impl Model {
    /// One of the two that every new API has, as it was made.
    pub(super) fn is_default(&self) -> bool {
        let schema = self.schema.as_deref();
        (self.name == "Empty" && schema == Some(EMPTY)) || (self.name == "Error" && schema == Some(ERROR))
    }
}

/// The two that every new API has.
pub(super) fn defaults(call: &mut Call<'_>, api: &str) -> Result<(), Fault> {
    ["Empty", "Error"].into_iter().try_for_each(|name| make_default(call, api, name))
}

pub(super) fn make_default(call: &mut Call<'_>, api: &str, name: &str) -> Result<(), Fault> {
    let (description, schema) = match name {
        "Empty" => ("This is a default empty schema model", EMPTY),
        _ => ("This is a default error schema model", ERROR),
    };
    let model = Model {
        content_type: "application/json".into(),
        description: Some(description.into()),
        id: (call.draw)(6)?,
        name: name.into(),
        schema: Some(schema.into()),
    };
    call.save(call.key("models", &[api, name]), &model)
}

pub(super) fn create(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let api = rest_api::load(call, call.label(0))?.id;
    let model = Model {
        content_type: fields.text("contentType")?.unwrap_or_default(),
        description: fields.text("description")?,
        id: (call.draw)(6)?,
        name: fields.text("name")?.unwrap_or_default(),
        schema: fields.text("schema")?,
    };
    if model.name.is_empty() {
        return Err(Fault::bad_request("Model name must be non-empty"));
    }
    if !model.name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Fault::bad_request("Model name must be alphanumeric"));
    }
    let key = call.key("models", &[&api, &model.name]);
    if call.tx.get(&key)?.is_some() {
        return Err(Fault::conflict("Model name already exists for this REST API"));
    }
    call.room_below(&call.key("models", &[&api]), MODELS_MAX, "models for this API")?;
    check(&model)?;
    call.save(key, &model)?;
    answer(&model)
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    answer(&load(call)?)
}

/// GetModelTemplate
pub(super) fn default_template(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let value = template::of(call, &load(call)?)?;
    Ok(Answer::Json(json!({ "value": value })))
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let api = rest_api::load(call, call.label(0))?.id;
    call.list(&call.key("models", &[&api]), |model: Model| shown(&model))
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateModelInput")?;
    let model: Model = patched(&load(call)?, RULES, Dialect::Listed, &operations)?;
    check(&model)?;
    call.save(call.key("models", &[call.label(0), &model.name]), &model)?;
    answer(&model)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let name = load(call)?.name;
    let api = call.label(0).to_owned();
    for resource in resource::all(call, &api)? {
        for method in resource.resource_methods.values() {
            if method.request_models.values().any(|model| *model == name) {
                return Err(Fault::conflict(format!(
                    "Cannot delete model '{name}', is referenced in method request: {}/{}",
                    resource.path, method.http_method
                )));
            }
            let mut responses = method.method_responses.values();
            if responses.any(|response| response.response_models.values().any(|model| *model == name)) {
                return Err(Fault::conflict(format!(
                    "Cannot delete model '{name}', is referenced in method response: {}/{}",
                    resource.path, method.http_method
                )));
            }
        }
    }
    call.tx.remove(call.key("models", &[&api, &name]));
    Ok(Answer::Nothing)
}

fn load(call: &Call<'_>) -> Result<Model, Fault> {
    rest_api::load(call, call.label(0))?;
    let name = call.label(1);
    let found = call.load(&call.key("models", &[call.label(0), name]))?;
    found.ok_or_else(|| Fault::not_found(format!("Invalid model name specified: {name}")))
}

fn check(model: &Model) -> Result<(), Fault> {
    let Some(schema) = model.schema.as_deref().filter(|schema| !schema.is_empty()) else {
        return Err(Fault::bad_request("Model schema must have at least 1 property or array items defined"));
    };
    let invalid = |error: serde_json::Error| {
        Fault::bad_request(format!(
            "Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema specified: \
             {error}]"
        ))
    };
    serde_json::from_str::<serde_json::Value>(schema).map(drop).map_err(invalid)
}
