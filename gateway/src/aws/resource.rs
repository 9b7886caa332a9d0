//! Resource: one segment of an API's paths, with its methods.

use super::method::Method;
use super::patch::{self, Dialect, Kind, Rule, replace};
use super::{Answer, Call, Fault, collection, patched, rest_api, shown};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const RESOURCES_MAX: usize = 10_000;
/// What the data plane routes.
pub(super) const DEPTH_MAX: usize = 64;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Resource {
    pub(crate) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent_id: Option<String>,
    pub(crate) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path_part: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) resource_methods: BTreeMap<String, Method>,
}

const RULES: &[Rule] = &[replace("/parentId", Kind::Text), replace("/pathPart", Kind::Text)];

pub(super) fn create(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let part = call.fields()?.text("pathPart")?.unwrap_or_default();
    let (api, parent) = (call.label(0).to_owned(), call.label(1).to_owned());
    let all = all(call, &api)?;
    if all.len() >= RESOURCES_MAX {
        return Err(Fault::limit("resources for this API"));
    }
    let mut resource = Resource {
        id: call.new_id("resources", &[&api], 6)?,
        parent_id: Some(parent),
        path_part: Some(part),
        ..Resource::default()
    };
    resource.path = place(&resource, &all)?;
    call.save(call.key("resources", &[&api, &resource.id]), &resource)?;
    render(&resource, false).map(Answer::Json)
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let resource = load(call)?;
    render(&resource, embeds_methods(call)).map(Answer::Json)
}

/// In the order of their paths.
pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let api = call.label(0).to_owned();
    rest_api::load(call, &api)?;
    let mut all = all(call, &api)?;
    all.sort_by(|a, b| a.path.cmp(&b.path));
    let from = match call.asked("position") {
        None => 0,
        Some(position) => {
            all.iter().position(|resource| resource.id == position).map_or(all.len(), |at| at + 1)
        }
    };
    let (embed, limit) = (embeds_methods(call), call.limit()?);
    let page = all.get(from..).unwrap_or_default();
    let shown: Result<Vec<Value>, Fault> =
        page.iter().take(limit).map(|resource| render(resource, embed)).collect();
    let last = page.get(limit.saturating_sub(1)).filter(|_| page.len() > limit);
    Ok(collection(shown?, last.map(|resource| resource.id.clone())))
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateResourceInput")?;
    let before = load(call)?;
    let api = call.label(0).to_owned();
    if before.parent_id.is_none() {
        let named = operations.iter().find_map(|op| match op.path.as_str() {
            "/parentId" => Some("Root resource cannot update its parentId."),
            "/pathPart" => Some("Root resource cannot update its pathPart."),
            _ => None,
        });
        if let Some(message) = named {
            return Err(Fault::bad_request(message));
        }
    }
    let mut resource: Resource = patched(&before, RULES, Dialect::Listed, &operations)?;
    let all = all(call, &api)?;
    if before.parent_id.is_some() {
        let parent = resource.parent_id.clone().unwrap_or_default();
        if is_below(&all, &parent, &resource.id) {
            return Err(Fault::bad_request("Resources cannot be cyclical."));
        }
        resource.path = place(&resource, &all)?;
    }
    call.save(call.key("resources", &[&api, &resource.id]), &resource)?;
    for mut below in all.into_iter().filter(|other| other.path.starts_with(&format!("{}/", before.path))) {
        if below.id != resource.id && before.parent_id.is_some() {
            below.path = format!("{}{}", resource.path, &below.path[before.path.len()..]);
            call.save(call.key("resources", &[&api, &below.id]), &below)?;
        }
    }
    render(&resource, false).map(Answer::Json)
}

/// With everything below it.
pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let resource = load(call)?;
    let api = call.label(0).to_owned();
    if resource.parent_id.is_none() {
        return Err(Fault::bad_request("Root resource cannot be deleted."));
    }
    for below in all(call, &api)? {
        if below.id == resource.id || below.path.starts_with(&format!("{}/", resource.path)) {
            call.tx.remove(call.key("resources", &[&api, &below.id]));
        }
    }
    Ok(Answer::Nothing)
}

/// The resource that the call's path names.
pub(super) fn load(call: &Call<'_>) -> Result<Resource, Fault> {
    let found = call.load(&call.key("resources", &[call.label(0), call.label(1)]))?;
    found.ok_or_else(unknown)
}

pub(super) fn all(call: &Call<'_>, api: &str) -> Result<Vec<Resource>, Fault> {
    call.below(&call.key("resources", &[api]))
}

fn unknown() -> Fault {
    Fault::not_found("Invalid Resource identifier specified")
}

fn embeds_methods(call: &Call<'_>) -> bool {
    call.asked_all("embed").flat_map(|list| list.split(',')).any(|item| item == "methods")
}

/// Without `embed=methods`, methods are only named.
fn render(resource: &Resource, embed: bool) -> Result<Value, Fault> {
    let mut value = shown(resource)?;
    if let Some(methods) = value.get_mut("resourceMethods").and_then(Value::as_object_mut).filter(|_| !embed)
    {
        methods.values_mut().for_each(|method| *method = json!({}));
    }
    Ok(value)
}

/// The path of a resource with this parent and part, if it may stand there.
pub(super) fn place(resource: &Resource, all: &[Resource]) -> Result<String, Fault> {
    let part = resource.path_part.as_deref().unwrap_or_default();
    if !is_part(part) {
        return Err(Fault::bad_request(
            "Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable and curly braces at the \
             beginning and the end.",
        ));
    }
    let parent =
        all.iter().find(|other| Some(&other.id) == resource.parent_id.as_ref()).ok_or_else(unknown)?;
    if let Some(greedy) = parent.path_part.as_deref().filter(|part| part.ends_with("+}")) {
        return Err(Fault::bad_request(format!(
            "Cannot create a child of a resource with a greedy path variable: {greedy}"
        )));
    }
    let siblings =
        all.iter().filter(|other| other.parent_id == resource.parent_id && other.id != resource.id);
    for sibling in siblings.filter_map(|sibling| sibling.path_part.as_deref()) {
        if sibling == part {
            return Err(Fault::conflict(format!(
                "Another resource with the same parent already has this name: {part}"
            )));
        }
        if sibling.starts_with('{') && part.starts_with('{') {
            return Err(Fault::bad_request(format!(
                "A sibling ({sibling}) of this resource already has a variable path part -- only one is allowed"
            )));
        }
    }
    let path = format!("{}/{part}", parent.path.trim_end_matches('/'));
    if path.matches('/').count() > DEPTH_MAX {
        return Err(Fault::limit("levels of resources"));
    }
    Ok(path)
}

fn is_part(part: &str) -> bool {
    let plain = |text: &str| {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte);
        !text.is_empty() && text.bytes().all(valid)
    };
    match part.strip_prefix('{') {
        None => plain(part),
        Some(rest) => {
            rest.strip_suffix('}').is_some_and(|name| plain(name.strip_suffix('+').unwrap_or(name)))
        }
    }
}

/// Is `id` the resource itself or below it?
fn is_below(all: &[Resource], id: &str, resource: &str) -> bool {
    let mut at = Some(id.to_owned());
    for _ in 0..=DEPTH_MAX {
        let Some(id) = at else { return false };
        if id == resource {
            return true;
        }
        at = all.iter().find(|other| other.id == id).and_then(|other| other.parent_id.clone());
    }
    true
}
