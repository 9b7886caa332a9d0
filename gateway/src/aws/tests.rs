//! Operations on a store in memory, without a gateway around them.

use super::{Answer, Call, Effect, Fault, find, query};
use crate::store::{Entry, Failed, Read, Transaction};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// A body that replaces what stands at that path.
pub(super) fn replace(path: &str, value: &str) -> Value {
    json!({ "patchOperations": [{ "op": "replace", "path": path, "value": value }] })
}

/// An account in one region. Ids are drawn in order: `aaaaaa`, `baaaaa`, ...
#[derive(Default)]
pub(super) struct Bench {
    store: Memory,
    drawn: Cell<usize>,
    pub(super) effects: RefCell<Vec<Effect>>,
}

#[derive(Default)]
struct Memory {
    entries: RefCell<BTreeMap<String, Entry>>,
    revision: Cell<u64>,
}

impl Read for Memory {
    fn get(&self, key: &str) -> Result<Option<Entry>, Failed> {
        Ok(self.entries.borrow().get(key).cloned())
    }

    fn scan(&self, prefix: &str, after: &str, most: usize) -> Result<Vec<(String, Entry)>, Failed> {
        let entries = self.entries.borrow();
        let found = entries.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
        Ok(found.take(most).map(|(key, entry)| (key.clone(), entry.clone())).collect())
    }

    fn revision(&self) -> Result<u64, Failed> {
        Ok(self.revision.get())
    }
}

impl Bench {
    /// One call, committed if it succeeds; a body of null is none, one of text is sent as it is.
    pub(super) fn ask(&self, method: &str, target: &str, body: Value) -> Result<Value, Fault> {
        self.ask_in("us-east-1", method, target, body)
    }

    fn ask_in(&self, region: &str, method: &str, target: &str, body: Value) -> Result<Value, Fault> {
        let (path, asked) = target.split_once('?').unwrap_or((target, ""));
        let asked = query(asked);
        let (operation, labels) = find(method, path, &asked).expect("an operation of AWS's");
        let body = match body {
            Value::Null => Vec::new(),
            Value::String(text) => text.into_bytes(),
            body => body.to_string().into_bytes(),
        };
        let draw = |length: usize| {
            const LETTERS: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";
            let mut number = self.drawn.replace(self.drawn.get() + 1);
            let mut text = String::new();
            for _ in 0..length {
                text.push(char::from(LETTERS[number % 26]));
                number /= 26;
            }
            Ok(text)
        };
        let mut call = Call {
            labels,
            query: asked,
            accept: "application/json",
            content_type: "application/json",
            body: &body,
            account: "000000000000",
            region,
            throttle: crate::model::Throttle::ACCOUNT,
            invoke_urls: Vec::new(),
            now: 1_800_000_000,
            draw: &draw,
            tx: Transaction::new(&self.store),
            effects: Vec::new(),
        };
        let answer = call.run(operation)?;
        self.effects.borrow_mut().append(&mut call.effects);
        let revision = self.store.revision.get() + 1;
        self.store.revision.set(revision);
        for (key, value) in call.tx.into_change().writes {
            match value {
                Some(value) => drop(self.store.entries.borrow_mut().insert(key, Entry { revision, value })),
                None => drop(self.store.entries.borrow_mut().remove(&key)),
            }
        }
        Ok(match answer {
            Answer::Nothing => Value::Null,
            Answer::Json(value) => value,
            Answer::File { body, .. } => Value::String(String::from_utf8_lossy(&body).into_owned()),
            Answer::Test(test) => Value::String(format!("{test:?}")),
            Answer::Sdk(sdk) => Value::String(format!("{sdk:?}")),
        })
    }

    /// `400 BadRequestException ...`
    pub(super) fn refused(&self, method: &str, target: &str, body: Value) -> String {
        self.refused_in("us-east-1", method, target, body)
    }

    pub(super) fn refused_in(&self, region: &str, method: &str, target: &str, body: Value) -> String {
        match self.ask_in(region, method, target, body) {
            Err(Fault { status, code, message }) => format!("{status} {code} {message}"),
            Ok(answer) => panic!("{method} {target} is not refused: {answer}"),
        }
    }

    /// The id of a new REST API.
    pub(super) fn api(&self) -> String {
        let made = self.ask("POST", "/restapis", json!({ "name": "a" })).unwrap();
        made["id"].as_str().unwrap().to_owned()
    }

    pub(super) fn root(&self, api: &str) -> String {
        let api = self.ask("GET", &format!("/restapis/{api}"), Value::Null).unwrap();
        api["rootResourceId"].as_str().unwrap().to_owned()
    }

    /// Gives the API a method GET /, a deployment and a stage of that name.
    pub(super) fn stage(&self, api: &str, stage: &str) {
        let method = format!("/restapis/{api}/resources/{}/methods/GET", self.root(api));
        if self.ask("GET", &method, Value::Null).is_err() {
            self.ask("PUT", &method, json!({ "authorizationType": "NONE" })).unwrap();
            self.ask("PUT", &format!("{method}/integration"), json!({ "type": "MOCK" })).unwrap();
        }
        self.ask("POST", &format!("/restapis/{api}/deployments"), json!({ "stageName": stage })).unwrap();
    }

    /// What stands under that key.
    pub(super) fn stored(&self, key: &str) -> Option<Value> {
        let entries = self.store.entries.borrow();
        entries.get(key).and_then(|entry| serde_json::from_slice(&entry.value).ok())
    }
}
