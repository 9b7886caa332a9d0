//! GetSdk: a client of a stage's deployed snapshot, as an archive. The operation gathers what it is made of; making it
//! is pure, and takes its time: the same snapshot, served at the same URLs, is the same bytes.

mod java;
mod javascript;
mod methods;
mod names;
mod text;
mod zip;

use super::deployment::Snapshot;
use super::{Answer, Call, Fault, collection, deployment, stage};
use methods::Operation;
use names::Naming;
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

/// A kind of SDK.
#[derive(Debug, PartialEq)]
struct Kind {
    id: &'static str,
    friendly_name: &'static str,
    description: &'static str,
    properties: &'static [Property],
    naming: Naming,
}

/// Something that a caller says of the SDK.
#[derive(Debug, PartialEq)]
struct Property {
    name: &'static str,
    friendly_name: &'static str,
    description: &'static str,
    required: bool,
}

const KINDS: [Kind; 2] = [
    Kind {
        id: "java",
        friendly_name: "Java SDK",
        description: "A client for Java 11, without dependencies; bodies are text",
        properties: &java::PROPERTIES,
        naming: Naming::Java,
    },
    Kind {
        id: "javascript",
        friendly_name: "JavaScript",
        description: "A client for browsers and node, without dependencies",
        properties: &[],
        naming: Naming::JavaScript,
    },
];
/// AWS generates these, too.
const ELSEWHERE: [&str; 4] = ["android", "objectivec", "ruby", "swift"];

/// What a client is generated of.
struct Client<'a> {
    api_id: &'a str,
    api_name: &'a str,
    stage: &'a str,
    region: &'a str,
    /// Of the stage, the best one first.
    urls: &'a [String],
    operations: &'a [Operation<'a>],
    /// Of the kind's properties.
    told: &'a [(String, String)],
}

/// All that a client is generated of.
#[derive(Debug, PartialEq)]
pub struct Sdk {
    kind: &'static Kind,
    snapshot: Snapshot,
    /// Of the deployment, in seconds since 1970.
    created: i64,
    stage: String,
    region: String,
    urls: Vec<String>,
    told: Vec<(String, String)>,
}

/// `GET /restapis/{id}/stages/{stage}/sdks/{type}`
pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let stage = stage::load(call)?;
    let kind = kind(call.label(2))?;
    kind.check(&call.query)?;
    let (deployment, snapshot) = deployment::snapshot(call, &stage.deployment_id)?;
    Ok(Answer::Sdk(Box::new(Sdk {
        kind,
        snapshot,
        created: deployment.created_date,
        stage: stage.stage_name,
        region: call.region.to_owned(),
        urls: std::mem::take(&mut call.invoke_urls),
        told: std::mem::take(&mut call.query),
    })))
}

impl Sdk {
    /// The archive, as `Answer::File`. Err: the caller's words, or the API itself, make no client of this kind.
    pub fn generate(&self) -> Result<Answer, Fault> {
        let operations = methods::operations(&self.snapshot, self.kind.naming)?;
        let client = Client {
            api_id: &self.snapshot.api.id,
            api_name: &self.snapshot.api.name,
            stage: &self.stage,
            region: &self.region,
            urls: &self.urls,
            operations: &operations,
            told: &self.told,
        };
        let mut files = text::Files::new();
        match self.kind.naming {
            Naming::Java => java::files(&client, &mut files)?,
            Naming::JavaScript => javascript::files(&client, &mut files)?,
        }
        let body = zip::archive(files.written()).map_err(|error| Fault::unavailable(error.to_string()))?;
        let created = u64::try_from(self.created).unwrap_or(0);
        let date = crate::observe::rfc3339(UNIX_EPOCH + Duration::from_secs(created));
        // As AWS writes it: 2016-02-22_23-52Z
        let date: String = date.chars().take(16).map(|c| if c == 'T' { '_' } else { c }).collect();
        Ok(Answer::File {
            content_type: "application/octet-stream".into(),
            name: format!("{}_{}Z.zip", self.kind.id, date.replace(':', "-")),
            body,
        })
    }
}

impl Client<'_> {
    fn told(&self, property: &str) -> &str {
        self.told_or(property, "")
    }

    fn told_or<'s>(&'s self, property: &str, usual: &'s str) -> &'s str {
        self.told.iter().find(|(name, _)| name == property).map_or(usual, |(_, value)| value.as_str())
    }
}

fn kind(id: &str) -> Result<&'static Kind, Fault> {
    if let Some(kind) = KINDS.iter().find(|kind| kind.id == id) {
        return Ok(kind);
    }
    let known: Vec<&str> = KINDS.iter().map(|kind| kind.id).collect();
    let known = known.join(", ");
    Err(match ELSEWHERE.contains(&id) {
        true => Fault::not_yet(&format!("GetSdk of type {id}")).instead(&format!(
            "ask for one of [{known}], or export the API (GetExport) and generate a client of the document, with \
             openapi-generator for example"
        )),
        false => {
            Fault::bad_request(format!("Invalid SDK type specified: {id}. Must be one of: [{known}]"))
        }
    })
}

/// `GET /sdktypes`: those that are generated.
pub(super) fn kinds(_: &mut Call<'_>) -> Result<Answer, Fault> {
    Ok(collection(KINDS.iter().map(Kind::told).collect(), None))
}

/// `GET /sdktypes/{id}`
pub(super) fn one_kind(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let found = KINDS.iter().find(|kind| kind.id == call.label(0));
    found.map(|kind| Answer::Json(kind.told())).ok_or_else(|| Fault::not_found("Invalid SDK type specified"))
}

impl Kind {
    /// Err: a parameter that this kind does not have, or one that it needs is not there.
    fn check(&self, told: &[(String, String)]) -> Result<(), Fault> {
        let names: Vec<&str> = self.properties.iter().map(|property| property.name).collect();
        if let Some((name, _)) = told.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            let known = names.join(", ");
            let message =
                format!("Invalid SDK parameter specified: {name}. Those of type {} are: [{known}]", self.id);
            return Err(Fault::bad_request(message));
        }
        let there = |property: &&Property| {
            told.iter().any(|(name, value)| name == property.name && !value.is_empty())
        };
        let needed = self.properties.iter().filter(|property| property.required);
        match needed.clone().find(|property| !there(property)) {
            None => Ok(()),
            Some(missing) => Err(Fault::bad_request(format!(
                "Missing required SDK parameter: {}. It is {}",
                missing.name,
                missing.description.to_lowercase()
            ))),
        }
    }

    fn told(&self) -> Value {
        json!({
            "configurationProperties": self.properties.iter().map(Property::told).collect::<Vec<_>>(),
            "description": self.description,
            "friendlyName": self.friendly_name,
            "id": self.id,
        })
    }
}

impl Property {
    fn told(&self) -> Value {
        json!({
            "description": self.description,
            "friendlyName": self.friendly_name,
            "name": self.name,
            "required": self.required,
        })
    }
}

#[cfg(test)]
mod tests;
