//! Is it a document of ours, and does what it holds fit together? All that is wrong with it is told at once.

use super::{COUNTED, DERIVED, MARK, Objects, SECRET_KINDS, VERSION, bytes, kind, kinds};
use crate::aws::Which;
use crate::aws::deployment::Snapshot;
use crate::aws::resource::Resource;
use crate::aws::rest_api::{CHILDREN, RestApi};
use crate::store::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// More than a person reads.
const ERRORS_MAX: usize = 50;

pub(super) struct Document {
    pub(super) secrets: bool,
    pub(super) objects: Objects,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    gateway_export: Option<Value>,
    #[serde(rename = "gateway")]
    _gateway: Option<Value>,
    #[serde(rename = "exported")]
    _exported: Option<Value>,
    secrets: Option<bool>,
    objects: Option<Unique>,
}

/// A key that stands twice would hide the first one.
struct Unique(BTreeMap<String, Value>);

impl<'de> serde::Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Unique;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of objects by their keys")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                let mut objects = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if objects.contains_key(&key) {
                        return Err(serde::de::Error::custom(format_args!("`{key}` stands twice")));
                    }
                    objects.insert(key, value);
                }
                Ok(Unique(objects))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

pub(super) fn parse(text: &str) -> Result<Document, Vec<String>> {
    let one = |what: String| vec![what];
    let written: Written =
        serde_json::from_str(text).map_err(|error| one(format!("it is not JSON of an export: {error}")))?;
    match written.gateway_export.as_ref().and_then(Value::as_u64) {
        Some(VERSION) => {}
        Some(newer) if newer > VERSION => {
            return Err(one(format!(
                "it has version {newer}, this gateway reads {VERSION}: use the gateway that wrote it, or a newer one"
            )));
        }
        _ => return Err(one(format!("it is not what `gateway export` writes: `{MARK}` is not {VERSION}"))),
    }
    let secrets = written.secrets.ok_or_else(|| one("`secrets` is missing: true or false".into()))?;
    let objects = written.objects.ok_or_else(|| one("`objects` is missing".into()))?;
    let mut errors = Vec::new();
    let mut found = BTreeMap::new();
    for (key, value) in objects.0 {
        let bytes = bytes(&value);
        if let Err(why) = well_formed(&key, &bytes) {
            errors.push(format!("{key}: {why}"));
        }
        if !DERIVED.contains(&kind(&key)) {
            found.insert(key, bytes);
        }
    }
    refuse(errors)?;
    Ok(Document { secrets, objects: found })
}

fn refuse(mut errors: Vec<String>) -> Result<(), Vec<String>> {
    if errors.is_empty() {
        return Ok(());
    }
    if errors.len() > ERRORS_MAX {
        let more = errors.len() - ERRORS_MAX;
        errors.truncate(ERRORS_MAX);
        errors.push(format!("and {more} more"));
    }
    Err(errors)
}

fn well_formed(key: &str, value: &[u8]) -> Result<(), String> {
    let kind = kind(key);
    let plain = |c: char| c.is_ascii_lowercase();
    if kind.is_empty() || !kind.chars().all(plain) || key.chars().any(char::is_control) {
        return Err("this is not the key of an object, such as apis/000000000000/us-east-1/a1b2c3d4e5".into());
    }
    if !key.contains('/') || key.split('/').any(str::is_empty) {
        return Err("a part of the key is empty".into());
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(format!("the key has more than {KEY_BYTES_MAX} bytes"));
    }
    if value.len() > VALUE_BYTES_MAX {
        return Err(format!("the object has more than {VALUE_BYTES_MAX} bytes"));
    }
    Ok(())
}

/// What is stored is read by the gateway's own types, and refers to what is there. Counts and secrets that the store
/// has `before` stay as they are, whatever they are.
pub(super) fn objects(
    objects: &Objects,
    before: &Objects,
    warnings: &mut Vec<String>,
) -> Result<(), Vec<String>> {
    let mut errors = Vec::new();
    let mut ids: BTreeMap<&str, &str> = BTreeMap::new();
    let stays = |key: &String, value: &Vec<u8>| {
        (kind(key) == COUNTED || SECRET_KINDS.contains(&kind(key))) && before.get(key) == Some(value)
    };
    for (key, value) in objects.iter().filter(|(key, value)| !stays(key, value)) {
        if let Err(why) = object(objects, key, value) {
            errors.push(format!("{key}: {why}"));
        }
    }
    for key in objects.keys() {
        let parts: Vec<&str> = key.split('/').collect();
        if let ["apis", _, _, id] = parts.as_slice()
            && let Some(other) = ids.insert(id, key)
        {
            errors.push(format!("{key}: {other} has the same id, and ids are one API's"));
        }
        for (owner, what) in owners(&parts).into_iter().filter(|(owner, _)| !objects.contains_key(owner)) {
            errors.push(format!("{key}: there is no {what} that it could belong to: {owner} is missing"));
        }
    }
    for key in objects.keys().filter(|key| kind(key) == "clientcertificates") {
        if !objects.contains_key(&key.replacen("clientcertificates", "clientkeys", 1)) {
            warnings
                .push(format!("{key}: there is no private key for this certificate, here or in the file"));
        }
    }
    refuse(errors)
}

fn object(objects: &Objects, key: &str, value: &[u8]) -> Result<(), String> {
    let parts: Vec<&str> = key.split('/').collect();
    let Some(kind) = kinds::find(kind(key)) else {
        return Err(
            "this gateway knows no objects of that kind: take it out, or use the gateway that wrote it"
                .into(),
        );
    };
    kind.check(&parts, value)?;
    match parts.as_slice() {
        ["apis", account, region, id] => {
            let below = format!("resources/{account}/{region}/{id}/");
            let of_api = objects.range(below.clone()..).take_while(|(key, _)| key.starts_with(&below));
            let resources: Result<Vec<Resource>, _> =
                of_api.map(|(_, value)| serde_json::from_slice(value)).collect();
            let api: RestApi = serde_json::from_slice(value).map_err(|error| error.to_string())?;
            // A resource that cannot be read is told under its own key.
            resources.map_or(Ok(()), |resources| tree(&api, &resources))
        }
        ["snapshots", .., api, _] => {
            let snapshot: Snapshot = serde_json::from_slice(value).map_err(|error| error.to_string())?;
            if snapshot.api.id != *api {
                return Err(format!("it is of the API {}, and its key says {api}", snapshot.api.id));
            }
            tree(&snapshot.api, &snapshot.resources)
        }
        ["stages", account, region, api, _] => served(objects, value, &format!("{account}/{region}/{api}")),
        ["hosts", host] => {
            let domain = std::str::from_utf8(value).unwrap_or_default();
            let is_its = domain.starts_with("domainnames/") && domain.rsplit('/').next() == Some(host);
            match is_its && objects.contains_key(domain) {
                true => Ok(()),
                false => Err("it does not say the key of that host's domain name".into()),
            }
        }
        _ => Ok(()),
    }
}

/// One root, which the API names, and each other resource below one that is there.
fn tree(api: &RestApi, resources: &[Resource]) -> Result<(), String> {
    let by_id: BTreeMap<&str, &Resource> =
        resources.iter().map(|resource| (resource.id.as_str(), resource)).collect();
    let said = &api.root_resource_id;
    let is_root = |resource: &&Resource| resource.path == "/";
    match by_id.get(said.as_str()) {
        Some(root) if is_root(root) && root.parent_id.is_none() => {}
        found => {
            let mend = match resources.iter().find(is_root) {
                Some(root) => format!("write {}, the id of the resource /", root.id),
                None => "write the id of a resource with the path /".into(),
            };
            let what =
                found.map_or("no resource of the API".into(), |found| format!("the resource {}", found.path));
            return Err(format!("its rootResourceId {said:?} is {what}: {mend}"));
        }
    }
    for resource in resources.iter().filter(|resource| resource.id != *said) {
        let (id, path) = (&resource.id, &resource.path);
        let parent = resource.parent_id.as_deref().and_then(|parent| by_id.get(parent));
        let Some(parent) = parent else {
            return Err(format!("the parentId of its resource {id} ({path}) is of no resource of the API"));
        };
        let (above, part) = (parent.path.trim_end_matches('/'), resource.path_part.as_deref().unwrap_or(""));
        if part.is_empty() || *path != format!("{above}/{part}") {
            return Err(format!(
                "the path of its resource {id} is {path}: write {above}/{part}, its parent's with its pathPart"
            ));
        }
    }
    Ok(())
}

/// The keys of what the object cannot be without, and their names.
fn owners(parts: &[&str]) -> Vec<(String, &'static str)> {
    match parts {
        [kind, account, region, api, ..] if CHILDREN.contains(kind) => {
            vec![(format!("apis/{account}/{region}/{api}"), "API")]
        }
        ["mappings", account, region, domain, _] | ["domaincertificates", account, region, domain] => {
            vec![(format!("domainnames/{account}/{region}/{domain}"), "domain name")]
        }
        ["usageplankeys", account, region, plan, key] => vec![
            (format!("usageplans/{account}/{region}/{plan}"), "usage plan"),
            (format!("apikeys/{account}/{region}/{key}"), "API key"),
        ],
        _ => Vec::new(),
    }
}

/// The stage, and its canary, point to what the data plane can serve.
fn served(objects: &Objects, stage: &[u8], scope: &str) -> Result<(), String> {
    let unserved = |why| format!("it cannot be served: {why}");
    let (own, canary) = crate::aws::deployments(stage).map_err(unserved)?;
    for (which, deployment) in [(Which::Stages, Some(own)), (Which::Canarys, canary)] {
        let Some(deployment) = deployment else { continue };
        let snapshot = objects.get(&format!("snapshots/{scope}/{deployment}"));
        let snapshot = snapshot
            .ok_or_else(|| format!("it points to the deployment {deployment:?}, which is not there"))?;
        let Some(api) = objects.get(&format!("apis/{scope}")) else { return Ok(()) };
        crate::aws::served(api, stage, snapshot, which).map_err(unserved)?;
    }
    Ok(())
}
