//! Everything in the store as one JSON document that people can read, and back: all accounts and regions.

mod check;
mod kinds;
mod plan;

pub use plan::Difference;

use crate::store::{Failed, Read, Transaction};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Key → what is stored.
type Objects = BTreeMap<String, Vec<u8>>;

/// Of the document's form. One that is newer is refused.
const VERSION: u64 = 1;
/// The member that tells such a document, with its version.
const MARK: &str = "gateway_export";
/// Access keys, and the private keys of client certificates: they stand in a document only if it may hold secrets.
const SECRET_KINDS: [&str; 2] = ["keys", "clientkeys"];
/// Objects that one of them belongs to.
const OWNERS: [(&str, &str); 1] = [("clientkeys", "clientcertificates")];
/// What is counted while the gateway runs: a count that a node has already is newer than any document's.
const COUNTED: &str = "usage";
/// Made of other objects, or for the time of a transaction: in no document.
const DERIVED: [&str; 2] = ["ids", "turns"];
const API_KEY_LENGTH: usize = 40;

/// Is that text such a document? Its first bytes say so.
pub fn is_export(text: &str) -> bool {
    let text = text.trim_start().as_bytes();
    let mark = format!("\"{MARK}\"");
    let start = &text[..text.len().min(4096)];
    start.first() == Some(&b'{') && start.windows(mark.len()).any(|bytes| bytes == mark.as_bytes())
}

/// `now`: RFC 3339
pub fn export(store: &dyn Read, secrets: bool, now: &str) -> Result<Value, Failed> {
    let mut objects = Map::new();
    for (key, bytes) in Transaction::new(store).all("")? {
        let kind = kind(&key);
        if DERIVED.contains(&kind) || (!secrets && SECRET_KINDS.contains(&kind)) {
            continue;
        }
        let mut value = readable(&bytes)
            .ok_or_else(|| Failed(format!("{key} is not text: it cannot be written as JSON")))?;
        if !secrets {
            hide(&key, &mut value)?;
        }
        objects.insert(key, value);
    }
    Ok(json!({
        MARK: VERSION,
        "gateway": env!("CARGO_PKG_VERSION"),
        "exported": now,
        "secrets": secrets,
        "objects": objects,
    }))
}

/// What an import would do, or has done to the transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    pub differences: Vec<Difference>,
    pub warnings: Vec<String>,
    /// Objects in the document.
    pub objects: usize,
}

/// Makes the store what the document says; access keys that it does not name stay. Err: all that is wrong with it.
pub fn import(
    tx: &mut Transaction<'_>,
    text: &str,
    draw: &dyn Fn(usize) -> Result<String, Failed>,
) -> Result<Imported, Vec<String>> {
    let document = check::parse(text)?;
    let failed = |failed: Failed| vec![format!("the store fails: {failed}")];
    let before: Objects = tx.all("").map_err(failed)?.into_iter().collect();
    let mut imported = Imported { objects: document.objects.len(), ..Imported::default() };
    let mut after = document.objects;
    if !document.secrets {
        reveal(&mut after, &before, draw, &mut imported.warnings).map_err(failed)?;
    }
    stay(&before, document.secrets, &mut after);
    check::objects(&after, &before, &mut imported.warnings)?;
    derive(&mut after);
    imported.differences = plan::differences(&before, &after);
    for key in before.keys().filter(|key| kind(key) != "turns" && !after.contains_key(*key)) {
        tx.remove(key.clone());
    }
    for (key, value) in after {
        if before.get(&key) != Some(&value) {
            tx.put(key, value);
        }
    }
    if !tx.is_empty() {
        take_turns(tx, &before);
    }
    Ok(imported)
}

fn kind(key: &str) -> &str {
    key.split_once('/').map_or(key, |(kind, _)| kind)
}

/// JSON as it is, if it is the same bytes again; else its text.
fn readable(bytes: &[u8]) -> Option<Value> {
    let parsed = serde_json::from_slice::<Value>(bytes).ok();
    let same = parsed.filter(|value| value.to_string().as_bytes() == bytes && value.get("$text").is_none());
    same.or_else(|| Some(json!({ "$text": std::str::from_utf8(bytes).ok()? })))
}

/// The way back.
fn bytes(value: &Value) -> Vec<u8> {
    match value.as_object().filter(|map| map.len() == 1).and_then(|map| map.get("$text")) {
        Some(Value::String(text)) => text.clone().into_bytes(),
        _ => value.to_string().into_bytes(),
    }
}

/// Members of an object that nobody should read.
fn is_secret(kind: &str, member: &str) -> bool {
    let plain = member.to_ascii_lowercase();
    (kind == "apikeys" && member == "value") || plain.contains("privatekey") || plain.contains("secret")
}

/// Takes the secrets out. Of text that is JSON all the same (with spaces, say), what is left is written as JSON; in
/// text that is none nobody could tell where a secret stands.
fn hide(key: &str, value: &mut Value) -> Result<(), Failed> {
    let kind = kind(key);
    if let Some(Value::String(text)) = value.get("$text") {
        if kinds::is_text(kind) {
            return Ok(());
        }
        let damaged = || {
            let mend = "delete the object, or export with --secrets";
            Failed(format!("{key} is damaged, and may hold a secret: {mend}"))
        };
        let mut meant: Value = serde_json::from_str(text).map_err(|_| damaged())?;
        if take_out(kind, &mut meant) {
            *value = meant;
        }
        return Ok(());
    }
    take_out(kind, value);
    Ok(())
}

/// True: there were some.
fn take_out(kind: &str, value: &mut Value) -> bool {
    let Value::Object(map) = value else { return false };
    let members = map.len();
    map.retain(|member, _| !is_secret(kind, member));
    map.len() < members
}

/// Secrets that the document does not tell: those that the store has; else, for API keys, new ones.
fn reveal(
    after: &mut Objects,
    before: &Objects,
    draw: &dyn Fn(usize) -> Result<String, Failed>,
    warnings: &mut Vec<String>,
) -> Result<(), Failed> {
    for (key, value) in after.iter_mut() {
        let Ok(Value::Object(mut object)) = serde_json::from_slice(value) else { continue };
        let known: Option<Value> = before.get(key).and_then(|bytes| serde_json::from_slice(bytes).ok());
        let known = known.as_ref().and_then(Value::as_object);
        let members = object.len();
        for (member, secret) in known.into_iter().flatten().filter(|(member, _)| is_secret(kind(key), member))
        {
            object.entry(member.clone()).or_insert_with(|| secret.clone());
        }
        if kind(key) == "apikeys" && !object.contains_key("value") {
            object.insert("value".into(), draw(API_KEY_LENGTH)?.into());
            let id = key.rsplit('/').next().unwrap_or_default();
            warnings
                .push(format!("API key {id} gets a new value: the file has none, and there is none here"));
        }
        if object.len() > members {
            object.sort_keys();
            *value = Value::Object(object).to_string().into_bytes();
        }
    }
    Ok(())
}

/// What is in the store, not in the document, and stays.
fn stay(before: &Objects, secrets: bool, after: &mut Objects) {
    for (key, value) in before {
        let (kind, rest) = key.split_once('/').unwrap_or((key, ""));
        let owner = OWNERS.iter().find(|(owned, _)| *owned == kind);
        let is_owned = owner.is_none_or(|(_, owner)| after.contains_key(&format!("{owner}/{rest}")));
        let kept = match kind {
            // Whoever imports must not lock himself out.
            "keys" => !after.contains_key(key),
            COUNTED => true,
            kind => !secrets && SECRET_KINDS.contains(&kind) && is_owned,
        };
        if kept {
            after.insert(key.clone(), value.clone());
        }
    }
}

/// Which API has an id.
fn derive(after: &mut Objects) {
    let apis = after.keys().filter(|key| kind(key) == "apis");
    let id = |key: &String| {
        (format!("ids/{}", key.rsplit('/').next().unwrap_or_default()), key.clone().into_bytes())
    };
    let ids: Vec<(String, Vec<u8>)> = apis.map(id).collect();
    after.extend(ids);
}

/// Every writer of an API, or of an account's own objects, writes its turn: none is overtaken by the import.
fn take_turns(tx: &mut Transaction<'_>, before: &Objects) {
    let turns: BTreeSet<&String> = before.keys().filter(|key| kind(key) == "turns").collect();
    for turn in turns {
        tx.put(turn.clone(), Vec::new());
    }
}

#[cfg(test)]
mod tests;
