//! Objects of a document that stand beside its methods: models, validators, documentation parts. What the
//! API has under the same name is replaced, and keeps its id.

use super::Read;
use crate::aws::model::{self, Model};
use crate::aws::validator::Validator;
use crate::aws::{Call, Fault, parsed};
use crate::openapi::{self, Part, schema};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(super) fn models(call: &mut Call<'_>, api: &str, models: &[openapi::Model]) -> Result<(), Fault> {
    for found in models {
        let key = call.key("models", &[api, &found.name]);
        let before: Option<Model> = call.load(&key)?;
        let mut schema = found.schema.clone();
        schema::rename(&mut schema, &|reference| {
            let name = reference.strip_prefix(schema::REFERENCE)?;
            Some(format!("{}{name}", model::reference(api)))
        });
        let id = match &before {
            Some(before) => before.id.clone(),
            None => (call.draw)(6)?,
        };
        let model = Model {
            content_type: "application/json".into(),
            // The default ones' is not the document's.
            description: before.filter(|before| !before.is_default()).and_then(|before| before.description),
            id,
            name: found.name.clone(),
            schema: Some(schema.to_string()),
        };
        call.save(key, &model)?;
    }
    Ok(())
}

/// Name → id of all that the API has now.
pub(super) fn validators(
    call: &mut Call<'_>,
    api: &str,
    validators: &[openapi::Validator],
) -> Result<BTreeMap<String, String>, Fault> {
    let known: Vec<Validator> = call.below(&call.key("validators", &[api]))?;
    let mut ids: BTreeMap<String, String> =
        known.into_iter().filter_map(|validator| Some((validator.name?, validator.id))).collect();
    for found in validators {
        let id = match ids.get(&found.name) {
            Some(id) => id.clone(),
            None => call.new_id("validators", &[api], 6)?,
        };
        let validator = Validator {
            id: id.clone(),
            name: Some(found.name.clone()),
            validate_request_body: found.body,
            validate_request_parameters: found.parameters,
        };
        call.save(call.key("validators", &[api, &id]), &validator)?;
        ids.insert(found.name.clone(), id);
    }
    Ok(ids)
}

/// Removes what the document does not have; the two models that every API has are as new then.
pub(super) fn prune(call: &mut Call<'_>, api: &str, read: &Read) -> Result<(), Fault> {
    let described = &read.described;
    let models: Vec<&str> = described.models.iter().map(|model| model.name.as_str()).collect();
    for found in call.below::<Model>(&call.key("models", &[api]))? {
        if models.contains(&found.name.as_str()) || found.is_default() {
            continue;
        }
        match found.name.as_str() {
            "Empty" | "Error" => model::make_default(call, api, &found.name)?,
            name => call.tx.remove(call.key("models", &[api, name])),
        }
    }
    let validators = described.validators.iter().map(|validator| Value::from(validator.name.as_str()));
    let authorizers = read.document.authorizers.iter().map(|found| Value::from(found.name.as_str()));
    remove_others(call, ("validators", api, "name"), &validators.collect::<Vec<_>>())?;
    remove_others(call, ("authorizers", api, "name"), &authorizers.collect::<Vec<_>>())?;
    let locations: Vec<Value> = described.documentation.iter().map(location).collect();
    remove_others(call, ("docparts", api, "location"), &locations)
}

fn remove_others(
    call: &mut Call<'_>,
    (kind, api, member): (&str, &str, &str),
    stay: &[Value],
) -> Result<(), Fault> {
    for (key, bytes) in call.tx.all(&format!("{}/", call.key(kind, &[api])))? {
        let found: Value = parsed(&key, &bytes)?;
        if !stay.contains(&found[member]) {
            call.tx.remove(key);
        }
    }
    Ok(())
}

/// A part about the same place is replaced.
pub(super) fn documentation(call: &mut Call<'_>, api: &str, parts: &[Part]) -> Result<(), Fault> {
    if parts.is_empty() {
        return Ok(());
    }
    let known: Vec<Value> = call.below(&call.key("docparts", &[api]))?;
    let mut ids: BTreeMap<String, String> = known
        .iter()
        .filter_map(|known| Some((known["location"].to_string(), known["id"].as_str()?.to_owned())))
        .collect();
    for part in parts {
        let location = location(part);
        let at = location.to_string();
        let id = match ids.get(&at) {
            Some(id) => id.clone(),
            None => call.new_id("docparts", &[api], 6)?,
        };
        let properties = Value::Object(part.properties.clone()).to_string();
        let stored = json!({ "id": id, "location": location, "properties": properties });
        call.save(call.key("docparts", &[api, &id]), &stored)?;
        ids.insert(at, id);
    }
    Ok(())
}

/// What the type has and the document leaves open is any: `/` and `*`, as AWS writes it.
fn location(part: &Part) -> Value {
    let kind = part.kind.as_str();
    let of_method = !["API", "AUTHORIZER", "MODEL", "RESOURCE"].contains(&kind);
    let open = |has: bool, any: &str| has.then(|| any.to_owned());
    let members = [
        ("method", part.method.clone().or_else(|| open(of_method, "*"))),
        ("name", part.name.clone()),
        ("path", part.path.clone().or_else(|| open(of_method || kind == "RESOURCE", "/"))),
        ("statusCode", part.status_code.clone().or_else(|| open(kind.starts_with("RESPONSE"), "*"))),
        ("type", Some(kind.to_owned())),
    ];
    let said = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
    Value::Object(said.collect::<Map<String, Value>>())
}
