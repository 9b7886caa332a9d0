//! Access keys: made by the operator, shown once, used to check signatures.

use super::random::{self, KEY, SECRET};
use super::{Auth, Aws};
use crate::control::types::{AccessKey, AccessKeys, Kind, NewAccessKey, Problem};
use crate::observe;
use crate::store::{Failed, KeyValue, NotCommitted, Read, Transaction};
use serde::{Deserialize, Serialize};
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::time::SystemTime;

const KEYS_MAX: usize = 1000;
const NAME_MAX: usize = 128;
const PREFIX: &str = "keys/";

#[derive(Serialize, Deserialize)]
struct Stored {
    secret: String,
    created: String,
    #[serde(default)]
    name: String,
}

/// The secret is in the answer and nowhere else but in the store.
pub(in crate::control) async fn create(aws: &Aws, name: &str) -> Result<NewAccessKey, Problem> {
    if name.len() > NAME_MAX || name.chars().any(char::is_control) {
        let what = format!("a key's name has up to {NAME_MAX} characters of plain text");
        return Err(Problem::new(Kind::Request, what, "write a shorter one"));
    }
    let _turn = aws.turn.lock().await;
    let mut tx = Transaction::new(&aws.store);
    if tx.page(PREFIX, "", KEYS_MAX).map_err(|failed| broken(&failed))?.entries.len() >= KEYS_MAX {
        let what = format!("there are {KEYS_MAX} access keys, the most");
        return Err(Problem::new(Kind::Conflict, what, "`gateway keys delete` removes one"));
    }
    let drawn = |alphabet, length| random::draw(alphabet, length).map_err(|failed| broken(&failed));
    let (id, secret) = (format!("AKIA{}", drawn(KEY, 16)?), drawn(SECRET, 40)?);
    let stored = Stored {
        secret: secret.clone(),
        created: observe::rfc3339(SystemTime::now()),
        name: name.to_owned(),
    };
    let bytes = serde_json::to_vec(&stored).map_err(|error| broken(&Failed(error.to_string())))?;
    tx.put(format!("{PREFIX}{id}"), bytes);
    commit(aws, tx).await?;
    Ok(NewAccessKey { access_key_id: id, secret_access_key: secret, name: name.to_owned() })
}

/// What a start says of the AWS API. The first key is made for a person who sees it: what is not a terminal is kept,
/// and a secret is not kept in a log.
pub(in crate::control) async fn welcome(aws: &Aws, address: Option<SocketAddr>) -> String {
    let Some(address) = address else { return String::new() };
    let said = |what: &str| format!("  AWS API  http://{address:<16} {what}\n");
    if aws.auth == Auth::Nobody {
        return said("asks nobody for a key (--no-auth)");
    }
    match list(aws) {
        Ok(found) if !found.keys.is_empty() => said(""),
        Ok(_) if std::io::stderr().is_terminal() => match create(aws, "made at the first start").await {
            Ok(NewAccessKey { access_key_id, secret_access_key, .. }) => {
                let key = format!(
                    "    export AWS_ACCESS_KEY_ID={access_key_id}\n    \
                     export AWS_SECRET_ACCESS_KEY={secret_access_key}\n"
                );
                said("its first key, which is shown once:") + &key
            }
            Err(problem) => said(&problem.what),
        },
        Ok(_) => said("`gateway keys create` makes a key to call it"),
        Err(problem) => said(&problem.what),
    }
}

pub(in crate::control) fn list(aws: &Aws) -> Result<AccessKeys, Problem> {
    let found = aws.store.scan(PREFIX, "", KEYS_MAX).map_err(|failed| broken(&failed))?;
    let key = |(key, entry): (String, crate::store::Entry)| {
        let stored: Stored = serde_json::from_slice(&entry.value).ok()?;
        let access_key_id = key[PREFIX.len()..].to_owned();
        Some(AccessKey { access_key_id, created: stored.created, name: stored.name })
    };
    Ok(AccessKeys { keys: found.into_iter().filter_map(key).collect() })
}

pub(in crate::control) async fn remove(aws: &Aws, id: &str) -> Result<AccessKeys, Problem> {
    {
        let _turn = aws.turn.lock().await;
        let mut tx = Transaction::new(&aws.store);
        let key = format!("{PREFIX}{id}");
        if tx.get(&key).map_err(|failed| broken(&failed))?.is_none() {
            let what = format!("there is no access key {id}");
            return Err(Problem::new(Kind::Unknown, what, "`gateway keys list` shows them"));
        }
        tx.remove(key);
        commit(aws, tx).await?;
    }
    list(aws)
}

/// Its secret; None: there is no such key.
pub(super) fn secret(aws: &Aws, id: &str) -> Result<Option<String>, Failed> {
    let Some(entry) = aws.store.get(&format!("{PREFIX}{id}"))? else { return Ok(None) };
    let stored: Stored = serde_json::from_slice(&entry.value)
        .map_err(|_| Failed(format!("the access key {id} is damaged")))?;
    Ok(Some(stored.secret))
}

async fn commit(aws: &Aws, tx: Transaction<'_>) -> Result<(), Problem> {
    match aws.store.commit(tx.into_change()).await {
        Ok(_) => Ok(()),
        Err(NotCommitted::Conflict) => {
            Err(Problem::new(Kind::Conflict, "another node changed the keys meanwhile", "ask again"))
        }
        Err(NotCommitted::Failed(failed)) => Err(broken(&failed)),
    }
}

fn broken(failed: &Failed) -> Problem {
    Problem::host(format!("the store fails: {failed}"), "look at the free space and the gateway's log")
}
