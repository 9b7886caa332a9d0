//! The endpoint type of a stored API, switched by the operator. What it was stands in a file of its own until somebody
//! confirms the change: a gateway that dies before starts with that.

use super::{Aws, answer};
use crate::control::node::Node;
use crate::control::store::{read_file, remove_file};
use crate::control::type_name;
use crate::control::types::{Kind, Named, Problem};
use crate::model::EndpointType;
use crate::observe::log;
use crate::store::{Failed, KeyValue, NotCommitted, Read, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const FILE: &str = "unconfirmed.json";
const FILE_BYTES_MAX: u64 = 64 << 10;

/// How an API was reached before a change, and what the change made of it: whoever goes back takes back that alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::control) struct Before {
    key: String,
    /// AWS's `endpointConfiguration`, whole.
    configuration: Value,
    /// The type that is asked for.
    #[serde(default)]
    wanted: String,
    /// As `configuration`; None: the gateway died within the change.
    #[serde(default)]
    made: Option<Value>,
}

impl Before {
    fn is_as_made(&self, now: &Value) -> bool {
        match &self.made {
            Some(made) => now == made,
            None => now["types"][0] == self.wanted.as_str(),
        }
    }

    pub(in crate::control) fn type_name(&self) -> &str {
        self.configuration["types"][0].as_str().unwrap_or("EDGE")
    }
}

impl Aws {
    pub(in crate::control) fn endpoint_of(&self, named: &Named) -> Result<Before, Problem> {
        let Named { account, region, id, .. } = named;
        let key = format!("apis/{account}/{region}/{id}");
        let configuration = self.configuration(&key)?;
        let unknown = || Problem::new(Kind::Unknown, format!("there is no API {id} any more"), "ask again");
        let configuration = configuration.ok_or_else(unknown)?;
        Ok(Before { key, configuration, wanted: String::new(), made: None })
    }

    fn configuration(&self, key: &str) -> Result<Option<Value>, Problem> {
        let found = self.store.get(key).map_err(|failed| broken(&failed))?;
        let api = found.map(|found| object(key, &found.value)).transpose()?;
        Ok(api.map(|mut api| api["endpointConfiguration"].take()))
    }

    /// In the store; whoever holds `Node::changing` lets it go before it is in force. What somebody else has changed
    /// since stays as he wants it: who closed the API must not find it open.
    pub(in crate::control) async fn restore_endpoint(&self, before: &Before) -> Result<(), Problem> {
        let _turn = self.turn.lock().await;
        let mut tx = Transaction::new(&self.store);
        // One that was deleted meanwhile has no type to go back to.
        if let Some(bytes) = tx.get(&before.key).map_err(|failed| broken(&failed))? {
            let mut api = object(&before.key, &bytes)?;
            if before.is_as_made(&api["endpointConfiguration"]) {
                api["endpointConfiguration"] = before.configuration.clone();
                tx.put(before.key.clone(), api.to_string().into_bytes());
            } else if api["endpointConfiguration"] != before.configuration {
                let key = &before.key;
                let what =
                    format_args!("the endpoint type of {key} was changed since then, and stays as it is");
                log("warning", "aws", what);
            }
        }
        match self.store.commit(tx.into_change()).await {
            Ok(_) => self.forget_unconfirmed(),
            Err(NotCommitted::Conflict) => {
                Err(Problem::new(Kind::Conflict, "another node changed the API meanwhile", "ask again"))
            }
            Err(NotCommitted::Failed(failed)) => Err(broken(&failed)),
        }
    }

    pub(in crate::control) fn forget_unconfirmed(&self) -> Result<(), Problem> {
        remove_file(&self.file.with_file_name(FILE)).map_err(|problem| Problem {
            mend: format!("remove {FILE} in the store: a restart would take the confirmed change back"),
            ..problem
        })
    }

    /// At the start: what a gateway that died had not been told to keep.
    pub(in crate::control) async fn take_back_unconfirmed(&self) -> Result<(), Problem> {
        let file = self.file.with_file_name(FILE);
        let Some(bytes) = read_file(&file, FILE_BYTES_MAX)? else { return Ok(()) };
        let before: Before = serde_json::from_slice(&bytes).map_err(|error| {
            let mend = "remove it; `gateway api list` shows the types";
            Problem::host(format!("{} is damaged: {error}", file.display()), mend)
        })?;
        self.restore_endpoint(&before).await?;
        self.read_serving(&None).map_err(|failed| broken(&failed))?;
        self.differs.set(false);
        Ok(())
    }

    /// Waits until the data plane serves by all that is stored.
    pub(in crate::control) async fn caught_up(&self) -> Result<(), Problem> {
        let revision = self.store.revision().map_err(|failed| broken(&failed))?;
        self.in_force(revision).await.map_err(|why| {
            let what = format!("the change is stored, and the data plane does not serve by it yet: {why}");
            Problem::host(what, "look at the gateway's log; it is tried until it is")
        })
    }
}

/// In the store, with the way back where it is to be confirmed; the caller holds `Node::changing`.
pub(in crate::control) async fn switch_endpoint(
    node: &Node,
    named: &Named,
    before: &mut Before,
    wanted: EndpointType,
    waits: bool,
) -> Result<(), Problem> {
    before.wanted = type_name(wanted).to_owned();
    if waits {
        node.store.replace(FILE, json!(before).to_string().as_bytes())?;
    }
    // AWS goes from PRIVATE to EDGE in two steps; nothing is published between them.
    let by_way: &[EndpointType] = match (before.type_name(), wanted) {
        ("PRIVATE", EndpointType::Edge) => &[EndpointType::Regional],
        _ => &[],
    };
    let mut from = before.type_name().to_owned();
    for to in by_way.iter().chain([&wanted]) {
        let path = format!("/endpointConfiguration/types/{from}");
        let patch = json!({"patchOperations": [{"op": "replace", "path": path, "value": type_name(*to)}]});
        if let Err(problem) = answer::patch_api(node, named, &patch).await {
            // Nothing of it stays: neither a first step nor what would take it back.
            match &before.made {
                Some(_) => node.aws.restore_endpoint(before).await?,
                None => node.aws.forget_unconfirmed()?,
            }
            return Err(problem);
        }
        from = type_name(*to).to_owned();
        before.made = node.aws.configuration(&before.key)?;
    }
    if waits && let Err(problem) = node.store.replace(FILE, json!(before).to_string().as_bytes()) {
        node.aws.restore_endpoint(before).await?;
        return Err(problem);
    }
    Ok(())
}

fn object(key: &str, bytes: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(bytes).map_err(|error| broken(&Failed(format!("{key} is damaged: {error}"))))
}

fn broken(failed: &Failed) -> Problem {
    Problem::host(format!("the store fails: {failed}"), "look at the free space and the gateway's log")
}
