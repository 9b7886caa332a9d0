//! An API that stands in a file of `gateway.toml`, as the objects that the AWS API tells of it. They are made of the
//! file's text each time that it is read, and stored nowhere: file and API cannot disagree.

use super::deployment::{self, Deployment};
use super::rest_api::{self, RestApi};
use super::stage::Stage;
use super::{Call, Fault, import, resource};
use crate::model::{self, EndpointType};
use crate::store::{Entry, Failed, Read, Transaction};
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

/// The tags that say so, on the API.
const MANAGED_BY: &str = "gateway:managed-by";
const FILE: &str = "gateway:file";
const NAME: &str = "gateway:api";

/// An `[[api]]`.
pub struct FileApi<'a> {
    pub name: &'a str,
    pub id: &'a str,
    pub file: &'a Path,
    /// What the file says.
    pub text: &'a str,
    pub stage: &'a str,
    pub variables: &'a BTreeMap<String, String>,
    pub settings: &'a model::Stage,
    /// What it is, where the file is overruled.
    pub endpoint_type: Option<EndpointType>,
    pub account: &'a str,
    pub region: &'a str,
    /// Seconds since 1970: when the file was last changed.
    pub changed: i64,
}

/// Its objects by the store's keys. Err: it is more than the AWS API can tell.
pub fn objects(of: &FileApi<'_>) -> Result<BTreeMap<String, Vec<u8>>, Fault> {
    let drawn = Cell::new(0_u32);
    // Of the API's id: the same file has the same ids after a restart.
    let draw = |length: usize| {
        drawn.set(drawn.get() + 1);
        let digest = Sha256::digest(format!("{}/{}", of.id, drawn.get()));
        let letters = b"abcdefghijklmnopqrstuvwxyz0123456789";
        Ok(digest
            .iter()
            .cycle()
            .take(length)
            .map(|byte| char::from(letters[usize::from(*byte) % 36]))
            .collect())
    };
    let mut call = Call {
        labels: vec![of.id.to_owned()],
        query: Vec::new(),
        accept: "",
        content_type: "",
        body: of.text.as_bytes(),
        account: of.account,
        region: of.region,
        throttle: crate::model::Throttle::ACCOUNT,
        invoke_urls: Vec::new(),
        now: of.changed,
        draw: &draw,
        tx: Transaction::new(&Nothing),
        effects: Vec::new(),
    };
    fill(&mut call, of)?;
    let writes = call.tx.into_change().writes;
    Ok(writes.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
}

fn fill(call: &mut Call<'_>, of: &FileApi<'_>) -> Result<(), Fault> {
    let mut read = import::read(call)?;
    read.document.endpoint_type = of.endpoint_type.or(read.document.endpoint_type);
    let mut api = rest_api::of_document(call, &read.document, &read.described)?;
    of.id.clone_into(&mut api.id);
    api.created_date = of.changed;
    let told =
        [(MANAGED_BY, "file".to_owned()), (FILE, of.file.display().to_string()), (NAME, of.name.to_owned())];
    let tags = api.tags.get_or_insert_default();
    tags.extend(told.map(|(name, value)| (name.to_owned(), value)));
    rest_api::begin(call, &mut api)?;
    import::fill(call, &api, &read)?;
    let snapshot = deployment::taken(call, api.clone(), resource::all(call, of.id)?)?;
    let deployment = Deployment { created_date: of.changed, description: None, id: (call.draw)(6)? };
    let stage = stage(of, &deployment.id);
    call.save(call.key("apis", &[of.id]), &api)?;
    call.tx.put(format!("ids/{}", of.id), call.key("apis", &[of.id]).into_bytes());
    call.save(call.key("deployments", &[of.id, &deployment.id]), &deployment)?;
    call.save(call.key("snapshots", &[of.id, &deployment.id]), &snapshot)?;
    call.save(call.key("stages", &[of.id, of.stage]), &stage)
}

fn stage(of: &FileApi<'_>, deployment: &str) -> Stage {
    let size = of.settings.cache_cluster_size.map(|size| serde_json::json!(size));
    let mut stage = Stage {
        cache_cluster_enabled: of.settings.cache_cluster_enabled,
        cache_cluster_size: size.and_then(|size| size.as_str().map(str::to_owned)),
        created_date: of.changed,
        deployment_id: deployment.to_owned(),
        last_updated_date: of.changed,
        method_settings: of.settings.method_settings.clone(),
        stage_name: of.stage.to_owned(),
        variables: of.variables.clone(),
        ..Stage::default()
    };
    super::stage::cache_status(&mut stage);
    stage
}

/// The file that an API stands in. None: it was made through the AWS API.
pub(super) fn file_of(api: &RestApi) -> Option<&str> {
    let tags = api.tags.as_ref().filter(|tags| tags.get(MANAGED_BY).is_some_and(|by| by == "file"))?;
    tags.get(FILE).map(String::as_str)
}

/// A store without anything in it.
struct Nothing;

impl Read for Nothing {
    fn get(&self, _: &str) -> Result<Option<Entry>, Failed> {
        Ok(None)
    }

    fn scan(&self, _: &str, _: &str, _: usize) -> Result<Vec<(String, Entry)>, Failed> {
        Ok(Vec::new())
    }

    fn revision(&self) -> Result<u64, Failed> {
        Ok(0)
    }
}

/// A store under the objects of files. What the store itself has under the id of such an API is not seen: the file's is
/// the one that is served.
pub struct Overlaid<'a> {
    pub store: &'a dyn Read,
    pub files: &'a BTreeMap<String, Vec<u8>>,
}

impl Overlaid<'_> {
    fn is_hidden(&self, key: &str) -> bool {
        let mut parts = key.split('/');
        let (kind, id) = (parts.next().unwrap_or_default(), parts.nth(2));
        let of_api = kind == "apis" || rest_api::CHILDREN.contains(&kind);
        of_api && id.is_some_and(|id| self.files.contains_key(&format!("ids/{id}")))
    }
}

impl Read for Overlaid<'_> {
    /// The store has no such key: its revision is that of what is not there.
    fn get(&self, key: &str) -> Result<Option<Entry>, Failed> {
        match self.files.get(key) {
            Some(value) => Ok(Some(Entry { revision: 0, value: value.clone() })),
            None if self.is_hidden(key) => Ok(None),
            None => self.store.get(key),
        }
    }

    fn scan(&self, prefix: &str, after: &str, most: usize) -> Result<Vec<(String, Entry)>, Failed> {
        let start = if after > prefix { after } else { prefix };
        let of_files = self.files.range(start.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        let of_files = of_files.filter(|(key, _)| key.as_str() > after).take(most);
        let mut found: BTreeMap<String, Entry> =
            of_files.map(|(key, value)| (key.clone(), Entry { revision: 0, value: value.clone() })).collect();
        let (mut from, mut stored) = (after.to_owned(), 0);
        while stored < most {
            let chunk = self.store.scan(prefix, &from, most)?;
            let is_last = chunk.len() < most;
            from = chunk.last().map_or(from, |(key, _)| key.clone());
            for (key, entry) in chunk {
                if !self.files.contains_key(&key) && !self.is_hidden(&key) {
                    stored += 1;
                    found.insert(key, entry);
                }
            }
            if is_last {
                break;
            }
        }
        Ok(found.into_iter().take(most).collect())
    }

    fn revision(&self) -> Result<u64, Failed> {
        self.store.revision()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::export::tests::Memory;
    use serde_json::{Value, json};

    const TEXT: &str = "openapi: 3.0.1\ninfo: {title: Orders}\npaths:\n  /x:\n    get:\n      responses: {}\n      \
                        x-amazon-apigateway-integration: {type: mock}\n";

    fn made(id: &str) -> BTreeMap<String, Vec<u8>> {
        let settings = model::Stage::default();
        let variables = BTreeMap::from([("backend".to_owned(), "b:1".to_owned())]);
        let of = FileApi {
            name: "orders",
            id,
            file: Path::new("/etc/gateway/orders.yaml"),
            text: TEXT,
            stage: "prod",
            variables: &variables,
            settings: &settings,
            endpoint_type: Some(EndpointType::Private),
            account: "000000000000",
            region: "us-east-1",
            changed: 1_800_000_000,
        };
        let (first, second) = (objects(&of).unwrap(), objects(&of).unwrap());
        assert_eq!(first, second, "the same file, the same ids");
        first
    }

    #[test]
    fn a_files_api_is_told_and_cannot_be_written() {
        let mut store = Memory::default();
        store.files = made("0rders0000");
        let told = |store: &mut Memory, target: &str| match store.call("GET", target, "") {
            Ok(crate::aws::Answer::Json(value)) => value,
            other => panic!("{target}: {other:?}"),
        };
        let api = told(&mut store, "/restapis/0rders0000");
        assert_eq!(
            (&api["name"], &api["endpointConfiguration"]["types"]),
            (&json!("Orders"), &json!(["PRIVATE"]))
        );
        let file = "/etc/gateway/orders.yaml";
        let tags = json!({ "gateway:api": "orders", "gateway:file": file, "gateway:managed-by": "file" });
        assert_eq!(api["tags"], tags);
        assert_eq!(told(&mut store, "/restapis")["item"].as_array().unwrap().len(), 1);
        let stages = told(&mut store, "/restapis/0rders0000/stages");
        assert_eq!(stages["item"][0]["variables"], json!({ "backend": "b:1" }));
        assert!(store.call("GET", "/restapis/0rders0000/stages/prod/exports/oas30", "").is_ok());
        let before = store.keys.clone();
        let patch = r#"{"patchOperations": [{"op": "replace", "path": "/name", "value": "x"}]}"#;
        for (method, target, body) in [
            ("PATCH", "/restapis/0rders0000", patch),
            ("DELETE", "/restapis/0rders0000", ""),
            ("PUT", "/restapis/0rders0000?mode=overwrite", TEXT),
            ("POST", "/restapis/0rders0000/deployments", "{}"),
            ("DELETE", "/restapis/0rders0000/stages/prod", ""),
            (
                "PUT",
                "/tags/arn:aws:apigateway:us-east-1::%2Frestapis%2F0rders0000",
                r#"{"tags": {"a": "b"}}"#,
            ),
            (
                "DELETE",
                "/tags/arn:aws:apigateway:us-east-1::%2Frestapis%2F0rders0000%2Fstages%2Fprod?tagKeys=a",
                "",
            ),
        ] {
            let fault = store.call(method, target, body).unwrap_err();
            assert_eq!(
                (fault.status, fault.code),
                (400, "BadRequestException"),
                "{method} {target}: {fault:?}"
            );
            let file = "/etc/gateway/orders.yaml";
            assert!(
                fault.message.contains(file) && fault.message.contains("gateway apply"),
                "{}",
                fault.message
            );
        }
        assert_eq!(store.keys, before, "nothing of it is stored");
        // What is not the API's own may refer to it.
        let plan = r#"{"name": "p", "apiStages": [{"apiId": "0rders0000", "stage": "prod"}]}"#;
        store.call("POST", "/usageplans", plan).unwrap();
    }

    #[test]
    fn the_gateways_own_tags_are_nobody_elses() {
        let mut store = Memory::default();
        let body = r#"{"name": "a", "tags": {"gateway:managed-by": "file"}}"#;
        assert!(store.call("POST", "/restapis", body).unwrap_err().message.contains("gateway:"));
        let id = store.import(TEXT);
        let target = format!("/tags/arn:aws:apigateway:us-east-1::%2Frestapis%2F{id}");
        let body = r#"{"tags": {"gateway:file": "x"}}"#;
        assert!(store.call("PUT", &target, body).unwrap_err().message.contains("gateway:"));
        let tagged = TEXT.replace(
            "paths:",
            "tags: [{name: 'gateway:managed-by', x-amazon-apigateway-tag-value: file}]\npaths:",
        );
        assert!(
            store.call("POST", "/restapis?mode=import", &tagged).unwrap_err().message.contains("gateway:")
        );
    }

    /// A file's id is the file's: what the store has under it is not seen, and comes again when the file goes.
    #[test]
    fn what_the_store_has_under_a_files_id_is_hidden() {
        let mut store = Memory::default();
        let id = store.import(TEXT);
        let other = store.import(TEXT);
        store.files = made(&id);
        let names = |store: &mut Memory| -> Vec<String> {
            let Ok(crate::aws::Answer::Json(found)) = store.call("GET", "/restapis?limit=1", "") else {
                panic!()
            };
            let position = found["position"].as_str().unwrap_or_default().to_owned();
            let more = format!("/restapis?limit=1&position={position}");
            let Ok(crate::aws::Answer::Json(next)) = store.call("GET", &more, "") else { panic!() };
            [&found, &next]
                .iter()
                .map(|page| page["item"][0]["id"].as_str().unwrap_or("-").to_owned())
                .collect()
        };
        let mut expected = vec![id.clone(), other];
        expected.sort();
        assert_eq!(names(&mut store), expected);
        let Ok(crate::aws::Answer::Json(found)) = store.call("GET", &format!("/restapis/{id}/resources"), "")
        else {
            panic!()
        };
        assert_eq!(found["item"].as_array().map(Vec::len), Some(2), "the file's alone: {found}");
        store.files.clear();
        let Ok(crate::aws::Answer::Json(found)) = store.call("GET", &format!("/restapis/{id}"), "") else {
            panic!()
        };
        assert_eq!(found.get("tags").unwrap_or(&Value::Null), &Value::Null);
    }
}
