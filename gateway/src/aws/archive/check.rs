//! Is it a document of ours, and does what it holds fit together? All that is wrong with it is told at once.

use super::{DERIVED, MARK, VERSION, bytes, kind};
use crate::aws::Which;
use crate::aws::rest_api::CHILDREN;
use crate::store::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// More than a person reads.
const ERRORS_MAX: usize = 50;

pub(super) struct Document {
    pub(super) secrets: bool,
    pub(super) objects: BTreeMap<String, Vec<u8>>,
}

#[derive(serde::Deserialize)]
struct Written {
    gateway_export: Option<Value>,
    secrets: Option<bool>,
    objects: Option<Objects>,
}

/// A key that stands twice would hide the first one.
struct Objects(BTreeMap<String, Value>);

impl<'de> serde::Deserialize<'de> for Objects {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Unique;
        impl<'de> Visitor<'de> for Unique {
            type Value = Objects;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of objects by their keys")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Objects, A::Error> {
                let mut objects = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if objects.contains_key(&key) {
                        return Err(serde::de::Error::custom(format_args!("`{key}` stands twice")));
                    }
                    objects.insert(key, value);
                }
                Ok(Objects(objects))
            }
        }
        deserializer.deserialize_map(Unique)
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

/// What is stored is read by the gateway's own types, and refers to what is there.
pub(super) fn objects(
    objects: &BTreeMap<String, Vec<u8>>,
    warnings: &mut Vec<String>,
) -> Result<(), Vec<String>> {
    let mut errors = Vec::new();
    let mut ids: BTreeMap<&str, &str> = BTreeMap::new();
    for (key, value) in objects {
        let parts: Vec<&str> = key.split('/').collect();
        let checked = match parts.as_slice() {
            ["apis", _, _, id] => {
                if let Some(other) = ids.insert(id, key) {
                    errors.push(format!("{key}: {other} has the same id, and ids are one API's"));
                }
                named::<crate::aws::rest_api::RestApi>(value, "id", id)
            }
            ["stages", account, region, api, name] => {
                named::<crate::aws::stage::Stage>(value, "stageName", name)
                    .and_then(|()| served(objects, value, &format!("{account}/{region}/{api}")))
            }
            ["deployments", .., id] => named::<crate::aws::deployment::Deployment>(value, "id", id),
            ["snapshots", ..] => read::<crate::aws::deployment::Snapshot>(value),
            ["resources", .., id] => named::<crate::aws::resource::Resource>(value, "id", id),
            ["models", .., name] => named::<crate::aws::model::Model>(value, "name", name),
            ["apikeys", .., id] => named::<crate::aws::api_key::ApiKey>(value, "id", id),
            ["usageplans", .., id] => named::<crate::aws::usage_plan::UsagePlan>(value, "id", id),
            _ => Ok(()),
        };
        if let Err(why) = checked {
            errors.push(format!("{key}: {why}"));
        }
        if let [kind, account, region, api, ..] = parts.as_slice()
            && CHILDREN.contains(kind)
            && !objects.contains_key(&format!("apis/{account}/{region}/{api}"))
        {
            errors.push(format!("{key}: there is no API {api} that it could belong to"));
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

fn read<T: DeserializeOwned>(value: &[u8]) -> Result<(), String> {
    serde_json::from_slice::<T>(value).map(drop).map_err(|error| format!("it cannot be read: {error}"))
}

/// And it says itself what its key says.
fn named<T: DeserializeOwned>(value: &[u8], member: &str, name: &str) -> Result<(), String> {
    read::<T>(value)?;
    let said: Value = serde_json::from_slice(value).unwrap_or_default();
    match said[member].as_str() {
        Some(said) if said == name => Ok(()),
        said => Err(format!("its {member} is {}, and its key says {name}", said.unwrap_or("missing"))),
    }
}

/// The stage, and its canary, point to what the data plane can serve.
fn served(objects: &BTreeMap<String, Vec<u8>>, stage: &[u8], scope: &str) -> Result<(), String> {
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
