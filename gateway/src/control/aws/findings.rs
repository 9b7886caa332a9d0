//! What `gateway check` says of a document, said where the AWS API, `gateway diff` and `gateway apply FILE` take one
//! in; and what is to be said of policies.

use super::answer::Asked;
use crate::aws::{self, Answer, Fault};
use crate::config::{self, Owner};
use crate::control::node::Node;
use crate::control::types::{Kind, Named, Problem};
use crate::guard::policy::{self, Policy};
use crate::model::Diagnostic;
use crate::store::Failed;
use serde_json::Value;
use std::path::Path;

/// The document has no file of its own.
const DOCUMENT: &str = "the document";
/// Of an API that is not made yet.
const NEW_ID: &str = "a new id";

/// With those that are known, each once; a line each.
pub(super) fn of_document(text: &[u8], id: Option<&str>, owner: Owner, known: &[String]) -> Vec<String> {
    let Ok(text) = std::str::from_utf8(text) else { return known.to_vec() };
    let found = config::check_stored(Path::new(DOCUMENT), text, id.unwrap_or(NEW_ID), owner);
    let mut said: Vec<String> = found.iter().map(told).collect();
    for warning in known {
        // The reader's own are among them, with what to write instead.
        if !said.iter().any(|line| line.starts_with(warning.as_str())) {
            said.push(warning.clone());
        }
    }
    said
}

fn told(found: &Diagnostic) -> String {
    let Diagnostic { place, what, instead, .. } = found;
    let place = if place.line == 0 { String::new() } else { format!("{}:{}: ", place.line, place.column) };
    let instead = if instead.is_empty() { String::new() } else { format!("; {instead}") };
    format!("{place}{what}{instead}")
}

fn owner(node: &Node, asked: &Asked<'_>) -> Owner {
    Owner { account: node.started_with.document.node.account.clone(), region: asked.region.clone() }
}

/// Before a document is taken in: who wants to hear of warnings as errors hears of all of them.
pub(super) async fn before(node: &Node, asked: &Asked<'_>) -> Result<(), Fault> {
    let strict = asked.query.iter().any(|(name, value)| name == "failonwarnings" && value == "true");
    if !strict || !is_document(asked) {
        return Ok(());
    }
    let said = of_asked(node, asked, asked.labels.first().cloned(), Vec::new()).await?;
    match said.as_slice() {
        [] => Ok(()),
        lines => Err(Fault::bad_request(format!("Warnings found during import:\n\t{}", lines.join("\n\t")))),
    }
}

fn is_document(asked: &Asked<'_>) -> bool {
    matches!(asked.operation.name, "ImportRestApi" | "PutRestApi")
}

/// Into `warnings` of the answer.
pub(super) async fn after(node: &Node, asked: &Asked<'_>, answer: &mut Answer) -> Result<(), Fault> {
    let Answer::Json(api) = answer else { return Ok(()) };
    if !is_document(asked) {
        return Ok(());
    }
    let known: Vec<String> = api["warnings"].as_array().into_iter().flatten().filter_map(text).collect();
    let said = of_asked(node, asked, text(&api["id"]), known).await?;
    if let (false, Some(members)) = (said.is_empty(), api.as_object_mut()) {
        members.insert("warnings".into(), said.into());
    }
    Ok(())
}

/// As `of_document`; a large document takes its time, in which others are answered.
async fn of_asked(
    node: &Node,
    asked: &Asked<'_>,
    id: Option<String>,
    known: Vec<String>,
) -> Result<Vec<String>, Fault> {
    let (text, owner) = (asked.body.to_vec(), owner(node, asked));
    let said = node.aside.run(move || of_document(&text, id.as_deref(), owner, &known)).await;
    said.map_err(|problem| Fault::from(Failed(problem.what)))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// What of a policy matches nothing, or counts against every caller, if it is that API's. Err: it is none.
pub fn check_policy(policy: &str, named: &Named) -> Result<Vec<String>, Problem> {
    let Named { account, region, id, managed_by, .. } = named;
    let owner = policy::Owner { region, account, api: id, is_stored: managed_by == "aws" };
    let mend = "write the policy as IAM does: {\"Version\": \"2012-10-17\", \"Statement\": [...]}";
    let wrong = |what: String| Problem::new(Kind::Document, format!("the policy is refused: {what}"), mend);
    let document: Value = serde_json::from_str(policy).map_err(|error| wrong(error.to_string()))?;
    let parsed = Policy::parse(&document, owner).map_err(wrong)?;
    Ok(parsed.warnings.into_iter().map(aws::policy_warning).collect())
}
