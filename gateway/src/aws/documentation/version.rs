//! DocumentationVersion: a snapshot of an API's documentation parts, which a stage may point to.

use super::{DocumentationPart, all};
use crate::aws::patch::{self, Dialect, Kind, Rule, replace};
use crate::aws::stage::Stage;
use crate::aws::{Answer, Call, Fault, answer, patched, rest_api, shown};
use serde::{Deserialize, Serialize};

const VERSIONS_MAX: usize = 1000;
const NAME_MAX: usize = 64;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::aws) struct Version {
    created_date: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    version: String,
}

const RULES: &[Rule] = &[replace("/description", Kind::Text)];
const UNKNOWN: &str = "Invalid Documentation version specified";

pub(in crate::aws) fn create(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let api = rest_api::load(call, call.label(0))?.id;
    let version = Version {
        created_date: call.now,
        description: fields.text("description")?,
        version: fields.text("documentationVersion")?.unwrap_or_default(),
    };
    let name = &version.version;
    if name.trim().is_empty() || name.len() > NAME_MAX {
        return Err(Fault::bad_request(UNKNOWN));
    }
    if call.tx.get(&call.key("docversions", &[&api, name]))?.is_some() {
        return Err(Fault::conflict(format!("Documentation version already exists: {name}")));
    }
    call.room_below(&call.key("docversions", &[&api]), VERSIONS_MAX, "documentation versions for this API")?;
    if let Some(stage) = fields.text("stageName")?.filter(|stage| !stage.is_empty()) {
        let key = call.key("stages", &[&api, &stage]);
        let found: Option<Stage> = call.load(&key)?;
        let mut stage = found.ok_or_else(|| Fault::not_found("Invalid Stage identifier specified"))?;
        stage.documentation_version = Some(name.clone());
        stage.last_updated_date = call.now;
        call.save(key, &stage)?;
    }
    let parts: Vec<DocumentationPart> = all(call, &api)?;
    call.save(call.key("docsnapshots", &[&api, name]), &parts)?;
    save(call, &api, &version)?;
    answer(&version)
}

pub(in crate::aws) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    answer(&load(call)?)
}

pub(in crate::aws) fn list(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let api = rest_api::load(call, call.label(0))?.id;
    call.list(&call.key("docversions", &[&api]), |version: Version| shown(&version))
}

pub(in crate::aws) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateDocumentationVersionInput")?;
    let version: Version = patched(&load(call)?, RULES, Dialect::Listed, &operations)?;
    let api = call.label(0).to_owned();
    save(call, &api, &version)?;
    answer(&version)
}

pub(in crate::aws) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let (api, name) = (call.label(0).to_owned(), load(call)?.version);
    let stages: Vec<Stage> = call.below(&call.key("stages", &[&api]))?;
    if let Some(stage) = stages.iter().find(|stage| stage.documentation_version.as_ref() == Some(&name)) {
        return Err(Fault::conflict(format!(
            "Cannot delete documentation version '{name}', is referenced in stage: {}",
            stage.stage_name
        )));
    }
    call.tx.remove(call.key("docversions", &[&api, &name]));
    call.tx.remove(call.key("docsnapshots", &[&api, &name]));
    Ok(Answer::Nothing)
}

/// Err: the API has no such version.
pub(in crate::aws) fn check(call: &Call<'_>, api: &str, name: &str) -> Result<(), Fault> {
    match call.tx.get(&call.key("docversions", &[api, name]))? {
        Some(_) => Ok(()),
        None => Err(Fault::bad_request(UNKNOWN)),
    }
}

fn load(call: &Call<'_>) -> Result<Version, Fault> {
    let found = call.load(&call.key("docversions", &[call.label(0), call.label(1)]))?;
    found.ok_or_else(|| Fault::not_found(UNKNOWN))
}

fn save(call: &mut Call<'_>, api: &str, version: &Version) -> Result<(), Fault> {
    call.save(call.key("docversions", &[api, &version.version]), version)
}

#[cfg(test)]
mod tests {
    use crate::aws::tests::{Bench, replace};
    use serde_json::{Value, json};

    #[test]
    fn a_version_keeps_the_parts_and_a_stage_keeps_the_version() {
        let bench = Bench::default();
        let api = bench.api();
        bench.stage(&api, "prod");
        let part = json!({ "location": { "type": "API" }, "properties": "{\"info\":1}" });
        bench.ask("POST", &format!("/restapis/{api}/documentation/parts"), part).unwrap();
        let at = format!("/restapis/{api}/documentation/versions");
        let asked = json!({ "documentationVersion": "1.0", "stageName": "prod", "description": "d" });
        let made = bench.ask("POST", &at, asked.clone()).unwrap();
        assert_eq!(made, json!({ "createdDate": 1_800_000_000, "description": "d", "version": "1.0" }));
        assert_eq!(
            bench.refused("POST", &at, asked),
            "409 ConflictException Documentation version already exists: 1.0"
        );
        let kept = bench.stored(&format!("docsnapshots/000000000000/us-east-1/{api}/1.0")).unwrap();
        assert_eq!(kept[0]["properties"], "{\"info\":1}");
        let stage = format!("/restapis/{api}/stages/prod");
        assert_eq!(bench.ask("GET", &stage, Value::Null).unwrap()["documentationVersion"], "1.0");
        let one = format!("{at}/1.0");
        assert_eq!(
            bench.refused("DELETE", &one, Value::Null),
            "409 ConflictException Cannot delete documentation version '1.0', is referenced in stage: prod"
        );
        let point = |version: &str| replace("/documentationVersion", version);
        assert_eq!(
            bench.refused("PATCH", &stage, point("2.0")),
            "400 BadRequestException Invalid Documentation version specified"
        );
        let change =
            json!({ "patchOperations": [{ "op": "replace", "path": "/description", "value": "e" }] });
        assert_eq!(bench.ask("PATCH", &one, change).unwrap()["description"], "e");
        bench.ask("POST", &at, json!({ "documentationVersion": "2.0" })).unwrap();
        bench.ask("PATCH", &stage, point("2.0")).unwrap();
        bench.ask("DELETE", &one, Value::Null).unwrap();
        assert_eq!(
            bench.refused("GET", &one, Value::Null),
            "404 NotFoundException Invalid Documentation version specified"
        );
        let listed = bench.ask("GET", &at, Value::Null).unwrap();
        assert_eq!(listed["item"].as_array().unwrap().len(), 1);
    }
}
