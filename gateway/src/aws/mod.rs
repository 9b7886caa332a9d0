//! AWS API Gateway's own control plane (REST APIs, 2015-07-09): its operations as functions of a call and the store. No
//! socket and no clock: who calls, when, and what random ids there are, is in the `Call`.

mod access_association;
mod account;
mod api_key;
mod apply;
mod archive;
mod authorizer;
mod base_path_mapping;
mod client_certificate;
mod deployment;
mod documentation;
mod domain_name;
mod export;
mod fault;
mod fields;
mod files;
mod gateway_response;
mod import;
mod integration;
mod integration_response;
mod lower;
mod method;
mod method_response;
mod model;
mod operations;
mod patch;
mod resource;
mod rest_api;
mod sdk;
mod sigv4;
mod stage;
mod test_invoke;
mod usage;
mod usage_plan;
mod validator;
mod vpc_link;

pub use apply::{Applied, Target, apply};
pub use archive::{Difference, Imported, export as export_store, import as import_store, is_export};
pub use fault::Fault;
pub use files::{FileApi, Overlaid, objects as file_objects};
pub use lower::{
    Endpoints, Served, ServedDomain, ServedPrivate, Which, deployments, endpoints, served, served_domain,
};
pub use operations::{OPERATIONS, Operation, find};
pub use rest_api::{name_of, policy_warning, policy_warnings};
pub use sdk::Sdk;
pub use sigv4::{Authorization, Credential, Signed};
pub use test_invoke::{Test, TestAuthorization, TestInvocation, TestRequest};
pub use usage::{KINDS as PLAN_KINDS, plans, used_key, used_on};

use crate::mapping::decode_form;
use crate::store::{Failed, Transaction};
use fields::Fields;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Of a collection, unless `limit` says otherwise; and the most that it may say.
const PAGE: usize = 25;
const PAGE_MAX: usize = 500;
/// Tags that the gateway itself gives: nobody else sets them, and no export takes them along.
const RESERVED_TAGS: &str = "gateway:";

/// One call of an operation, authenticated, under way in a transaction.
pub struct Call<'a> {
    /// What the `{...}` of the operation's path hold, decoded.
    pub labels: Vec<String>,
    pub query: Vec<(String, String)>,
    /// `Accept` and `Content-Type`, lower case.
    pub accept: &'a str,
    pub content_type: &'a str,
    pub body: &'a [u8],
    pub account: &'a str,
    pub region: &'a str,
    /// What GetAccount tells of the account's throttle.
    pub throttle: crate::model::Throttle,
    /// Of GetSdk: the URLs of the stage, the one that suits most clients first.
    pub invoke_urls: Vec<String>,
    /// Seconds since 1970.
    pub now: i64,
    /// So many characters of `[a-z0-9]`, drawn at random.
    pub draw: &'a dyn Fn(usize) -> Result<String, Failed>,
    pub tx: Transaction<'a>,
    /// What is to be done besides, once the transaction is committed.
    pub effects: Vec<Effect>,
}

/// Something that is no object of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// From now on nobody is answered from what the stage's cache holds.
    FlushStageCache { api: String, stage: String },
}

/// What an operation answers with, beside its status.
#[derive(Debug, PartialEq)]
pub enum Answer {
    Nothing,
    Json(Value),
    File {
        content_type: String,
        name: String,
        body: Vec<u8>,
    },
    /// Not an answer yet: somebody has to try it.
    Test(Box<Test>),
    /// Not an answer yet: it takes time to make, which whoever asked should not spend where others wait.
    Sdk(Box<Sdk>),
}

type Run = fn(&mut Call<'_>) -> Result<Answer, Fault>;

impl Call<'_> {
    /// Runs the operation in the call's transaction.
    pub fn run(&mut self, operation: &Operation) -> Result<Answer, Fault> {
        if operation.writes() {
            // Whoever lists what there is, to decide what may be added, must not be overtaken: all writers of one API
            // (or of the account's own objects) write this key.
            let scope = if operation.path.starts_with("/restapis/{") { self.label(0) } else { "-" };
            let scope = scope.to_owned();
            self.take_turn(&scope)?;
            // Flushing a cache changes nothing that a file says.
            if scope != "-" && !operation.name.starts_with("Flush") {
                self.may_write(&scope)?;
            }
        }
        (operation.run)(self)
    }

    /// No other writer of that API (`-`: of the account's own objects) comes between what is read and what is written.
    fn take_turn(&mut self, scope: &str) -> Result<(), Fault> {
        let key = self.key("turns", &[scope]);
        self.tx.get(&key)?;
        self.tx.put(key, Vec::new());
        Ok(())
    }

    /// Err: the API is a file's, and what the file says is changed there.
    fn may_write(&self, api: &str) -> Result<(), Fault> {
        let found: Option<rest_api::RestApi> = self.load(&self.key("apis", &[api]))?;
        match found.as_ref().and_then(|api| files::file_of(api)) {
            None => Ok(()),
            Some(file) => Err(Fault::bad_request(format!(
                "API {api} is managed by the file {file}: change that file, then run `gateway apply`"
            ))),
        }
    }

    fn label(&self, index: usize) -> &str {
        self.labels.get(index).map_or("", String::as_str)
    }

    fn asked(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn asked_all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.query.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn fields(&self) -> Result<Fields, Fault> {
        Fields::parse(self.body)
    }

    /// `{kind}/{account}/{region}/{part}/{part}`; parts are made safe to stand in a path.
    fn key(&self, kind: &str, parts: &[&str]) -> String {
        let mut key = format!("{kind}/{}/{}", self.account, self.region);
        for part in parts {
            key.push('/');
            key.push_str(&part.replace('%', "%25").replace('/', "%2F"));
        }
        key
    }

    fn load<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Fault> {
        self.tx.get(key)?.map(|bytes| parsed(key, &bytes)).transpose()
    }

    fn save<T: Serialize>(&mut self, key: String, object: &T) -> Result<(), Fault> {
        let bytes = serde_json::to_vec(object).map_err(|error| Failed(error.to_string()))?;
        self.tx.put(key, bytes);
        Ok(())
    }

    /// Every object below `key`.
    fn below<T: DeserializeOwned>(&self, key: &str) -> Result<Vec<T>, Fault> {
        self.tx.all(&format!("{key}/"))?.iter().map(|(key, bytes)| parsed(key, bytes)).collect()
    }

    fn remove_below(&mut self, key: &str) -> Result<(), Fault> {
        for (key, _) in self.tx.all(&format!("{key}/"))? {
            self.tx.remove(key);
        }
        Ok(())
    }

    /// Err: there are as many objects below `key` as there may be.
    fn room_below(&self, key: &str, most: usize, what: &str) -> Result<(), Fault> {
        let page = self.tx.page(&format!("{key}/"), "", most)?;
        if page.entries.len() >= most { Err(Fault::limit(what)) } else { Ok(()) }
    }

    /// A page of the objects below `key`, as `limit` and `position` ask; `position` is the last key of the page before.
    fn list<T: DeserializeOwned>(
        &self,
        key: &str,
        shown: impl Fn(T) -> Result<Value, Fault>,
    ) -> Result<Answer, Fault> {
        let prefix = format!("{key}/");
        let after = self.asked("position").map_or(String::new(), |position| format!("{prefix}{position}"));
        let page = self.tx.page(&prefix, &after, self.limit()?)?;
        let position =
            page.entries.last().filter(|_| page.more).map(|(key, _)| key[prefix.len()..].to_owned());
        let items: Result<Vec<Value>, Fault> =
            page.entries.iter().map(|(key, bytes)| shown(parsed(key, bytes)?)).collect();
        Ok(collection(items?, position))
    }

    /// As `list`, of objects that were chosen already, each with what `position` says of it, in that order.
    fn list_of(&self, chosen: Vec<(String, Value)>) -> Result<Answer, Fault> {
        let limit = self.limit()?;
        let after = self.asked("position").unwrap_or_default();
        let mut rest = chosen.into_iter().skip_while(|(name, _)| !after.is_empty() && name.as_str() <= after);
        let page: Vec<(String, Value)> = rest.by_ref().take(limit).collect();
        let last = page.last().map(|(name, _)| name.clone());
        let position = last.filter(|_| rest.next().is_some());
        Ok(collection(page.into_iter().map(|(_, object)| object).collect(), position))
    }

    fn limit(&self) -> Result<usize, Fault> {
        let Some(text) = self.asked("limit") else { return Ok(PAGE) };
        let limit =
            text.parse::<usize>().map_err(|_| Fault::bad_request("Invalid limit parameter specified"))?;
        Ok(if limit == 0 { PAGE } else { limit.min(PAGE_MAX) })
    }

    /// An id that nothing below `key` has.
    fn new_id(&self, kind: &str, parents: &[&str], length: usize) -> Result<String, Fault> {
        loop {
            let id = (self.draw)(length)?;
            if self.tx.get(&self.key(kind, &[parents, &[&id]].concat()))?.is_none() {
                return Ok(id);
            }
        }
    }
}

fn collection(items: Vec<Value>, position: Option<String>) -> Answer {
    Answer::Json(match position {
        None => json!({ "item": items }),
        Some(position) => json!({ "item": items, "position": position }),
    })
}

fn parsed<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|error| Failed(format!("{key} is damaged: {error}")).into())
}

fn shown<T: Serialize>(object: &T) -> Result<Value, Fault> {
    serde_json::to_value(object).map_err(|error| Failed(error.to_string()).into())
}

fn answer<T: Serialize>(object: &T) -> Result<Answer, Fault> {
    shown(object).map(Answer::Json)
}

/// The object with the operations applied.
fn patched<T: Serialize + DeserializeOwned>(
    object: &T,
    rules: &[patch::Rule],
    dialect: patch::Dialect,
    operations: &[patch::Operation],
) -> Result<T, Fault> {
    let mut value = shown(object)?;
    for operation in operations {
        patch::apply(&mut value, rules, dialect, operation)?;
    }
    serde_json::from_value(value).map_err(|error| Fault::bad_request(format!("Invalid patch value: {error}")))
}

/// `name=value&...`, decoded.
pub fn query(text: &str) -> Vec<(String, String)> {
    let plain = |text: &str| String::from_utf8_lossy(&decode_form(text)).into_owned();
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (plain(name), plain(value))
    };
    text.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

#[cfg(test)]
mod tests;
