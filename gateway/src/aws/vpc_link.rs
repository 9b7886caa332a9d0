//! VpcLink: the load balancer behind private integrations. Kept and told; there is none on one machine.

use super::patch::{self, Dialect, Kind, Rule, replace};
use super::{Answer, Call, Fault, answer, deployment::Snapshot, patched, shown, stage::Stage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const LINKS_MAX: usize = 1000;
const NAME_MAX: usize = 1024;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct VpcLink {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    id: String,
    name: String,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeMap<String, String>>,
    target_arns: Vec<String>,
}

const RULES: &[Rule] = &[replace("/name", Kind::Text), replace("/description", Kind::Text)];

pub(super) fn create(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let fields = call.fields()?;
    let target_arns = fields.texts("targetArns")?.unwrap_or_default();
    match target_arns.len() {
        0 => return Err(Fault::bad_request("No target arn specified for vpc link.")),
        1 => {}
        _ => return Err(Fault::bad_request("More than one target arn specified for vpc link.")),
    }
    let well_formed = target_arns.iter().all(|arn| {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let balancer = ["arn", "elasticloadbalancing"];
        parts.len() == 6 && [parts[0], parts[2]] == balancer && parts[5].starts_with("loadbalancer/net/")
    });
    let link = VpcLink {
        description: fields.text("description")?,
        id: call.new_id("vpclinks", &[], 6)?,
        name: fields.text("name")?.unwrap_or_default(),
        // AWS takes such a link in, and tells it when it tries to make it.
        status: if well_formed { "AVAILABLE" } else { "FAILED" }.into(),
        status_message: (!well_formed).then(|| "NLB ARN is malformed".to_owned()),
        tags: fields.map("tags")?,
        target_arns,
    };
    check(&link)?;
    call.room_below(&call.key("vpclinks", &[]), LINKS_MAX, "VPC links")?;
    save(call, &link)?;
    answer(&link)
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Answer, Fault> {
    answer(&load(call)?)
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, Fault> {
    call.list(&call.key("vpclinks", &[]), |link: VpcLink| shown(&link))
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let operations = patch::read(call.body, "updateVpcLinkInput")?;
    let before = load(call)?;
    if operations.iter().any(|operation| operation.path.starts_with("/targetArns")) {
        return Err(Fault::bad_request("Target arns are not allowed to be changed/added."));
    }
    let link: VpcLink = patched(&before, RULES, Dialect::Listed, &operations)?;
    check(&link)?;
    save(call, &link)?;
    answer(&link)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Answer, Fault> {
    let id = load(call)?.id;
    let users = users(call, &id)?;
    if !users.is_empty() {
        return Err(Fault::bad_request(format!(
            "Cannot delete vpc link. Vpc link '{id}', is referenced in [{}] in format of \
             [RESTApiId:Method:Resource:Stage].",
            users.join(", ")
        )));
    }
    call.tx.remove(call.key("vpclinks", &[&id]));
    Ok(Answer::Nothing)
}

/// The methods of deployed stages that call through the link.
fn users(call: &Call<'_>, id: &str) -> Result<Vec<String>, Fault> {
    const USERS_MAX: usize = 20;
    let mut users = Vec::new();
    let stages = call.key("stages", &[]);
    for (key, bytes) in call.tx.all(&format!("{stages}/"))? {
        let Some((api, _)) = key[stages.len() + 1..].split_once('/') else { continue };
        let stage: Stage = super::parsed(&key, &bytes)?;
        let at = call.key("snapshots", &[api, &stage.deployment_id]);
        let Some(bytes) = call.tx.get(&at)? else { continue };
        // Reading a snapshot takes long, finding out that the id is nowhere in it does not.
        if memchr::memmem::find(&bytes, id.as_bytes()).is_none() {
            continue;
        }
        let snapshot: Snapshot = super::parsed(&at, &bytes)?;
        for resource in &snapshot.resources {
            for method in resource.resource_methods.values() {
                let link =
                    method.method_integration.as_ref().and_then(|found| found.connection_id.as_deref());
                if link == Some(id) && users.len() < USERS_MAX {
                    users.push(format!("{api}:{}:{}:{}", method.http_method, resource.id, stage.stage_name));
                }
            }
        }
    }
    Ok(users)
}

fn load(call: &Call<'_>) -> Result<VpcLink, Fault> {
    let found = call.load(&call.key("vpclinks", &[call.label(0)]))?;
    found.ok_or_else(|| Fault::not_found("Invalid Vpc Link identifier specified"))
}

fn save(call: &mut Call<'_>, link: &VpcLink) -> Result<(), Fault> {
    call.save(call.key("vpclinks", &[&link.id]), link)
}

fn check(link: &VpcLink) -> Result<(), Fault> {
    match link.name.trim().is_empty() || link.name.len() > NAME_MAX {
        true => Err(Fault::bad_request("Invalid Vpc Link name specified")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::aws::tests::Bench;
    use serde_json::json;

    const NLB: &str = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/net/n/1";

    #[test]
    fn a_link_is_made_told_changed_and_held_by_what_is_deployed() {
        let bench = Bench::default();
        let made = bench.ask("POST", "/vpclinks", json!({ "name": "l", "targetArns": [NLB] })).unwrap();
        let id = made["id"].as_str().unwrap();
        let expected = json!({ "id": id, "name": "l", "status": "AVAILABLE", "targetArns": [NLB] });
        assert_eq!(made, expected);
        let one = format!("/vpclinks/{id}");
        let patch =
            |path: &str| json!({ "patchOperations": [{ "op": "replace", "path": path, "value": "x" }] });
        assert_eq!(bench.ask("PATCH", &one, patch("/description")).unwrap()["description"], "x");
        assert_eq!(
            bench.refused("PATCH", &one, patch("/targetArns")),
            "400 BadRequestException Target arns are not allowed to be changed/added."
        );
        let api = bench.api();
        let root = bench.root(&api);
        let method = format!("/restapis/{api}/resources/{root}/methods/GET");
        bench.ask("PUT", &method, json!({ "authorizationType": "NONE" })).unwrap();
        let through = json!({
            "type": "HTTP_PROXY", "httpMethod": "GET", "uri": "http://x/", "connectionType": "VPC_LINK",
            "connectionId": id,
        });
        bench.ask("PUT", &format!("{method}/integration"), through).unwrap();
        bench.stage(&api, "prod");
        assert_eq!(
            bench.refused("DELETE", &one, json!(null)),
            format!(
                "400 BadRequestException Cannot delete vpc link. Vpc link '{id}', is referenced in \
                 [{api}:GET:{root}:prod] in format of [RESTApiId:Method:Resource:Stage]."
            )
        );
        bench.ask("DELETE", &format!("/restapis/{api}/stages/prod"), json!(null)).unwrap();
        bench.ask("DELETE", &one, json!(null)).unwrap();
        assert_eq!(
            bench.refused("GET", &one, json!(null)),
            "404 NotFoundException Invalid Vpc Link identifier specified"
        );
    }

    #[test]
    fn targets_are_one_network_load_balancer() {
        let bench = Bench::default();
        let refused =
            |targets| bench.refused("POST", "/vpclinks", json!({ "name": "l", "targetArns": targets }));
        assert_eq!(
            refused(json!([NLB, NLB])),
            "400 BadRequestException More than one target arn specified for vpc link."
        );
        assert_eq!(refused(json!([])), "400 BadRequestException No target arn specified for vpc link.");
        let alb = json!({ "name": "l", "targetArns": [NLB.replace("/net/", "/app/")] });
        let made = bench.ask("POST", "/vpclinks", alb).unwrap();
        assert_eq!(
            (&made["status"], &made["statusMessage"]),
            (&json!("FAILED"), &json!("NLB ARN is malformed"))
        );
    }
}
