//! Every operation of the service model 2015-07-09: method, path, status on success, and what runs it. One table, which
//! a test compares with the model of botocore.

use super::{
    Run, access_association, account, api_key, authorizer, base_path_mapping, client_certificate, deployment,
    documentation, domain_name, export, gateway_response, import, integration, integration_response, method,
    method_response, model, resource, rest_api, sdk, stage, test_invoke, usage, usage_plan, validator,
    vpc_link,
};
use crate::mapping::decode;

pub struct Operation {
    pub name: &'static str,
    pub method: &'static str,
    pub path: &'static str,
    /// `name=value`: the operation is meant only with this in the query.
    pub query: &'static str,
    /// On success.
    pub status: u16,
    pub(super) run: Run,
}

impl Operation {
    /// May it change something?
    pub fn writes(&self) -> bool {
        self.method != "GET" && !self.name.starts_with("TestInvoke")
    }
}

const fn op(
    name: &'static str,
    method: &'static str,
    path: &'static str,
    status: u16,
    run: Run,
) -> Operation {
    Operation { name, method, path, query: "", status, run }
}

const fn importing(name: &'static str, path: &'static str, run: Run) -> Operation {
    Operation { name, method: "POST", path, query: "mode=import", status: 201, run }
}

const METHOD: &str = "/restapis/{restapi_id}/resources/{resource_id}/methods/{http_method}";
const METHOD_RESPONSE: &str =
    "/restapis/{restapi_id}/resources/{resource_id}/methods/{http_method}/responses/{status_code}";
const INTEGRATION: &str = "/restapis/{restapi_id}/resources/{resource_id}/methods/{http_method}/integration";
const INTEGRATION_RESPONSE: &str = "/restapis/{restapi_id}/resources/{resource_id}/methods\
    /{http_method}/integration/responses/{status_code}";
const AUTHORIZER: &str = "/restapis/{restapi_id}/authorizers/{authorizer_id}";
const DEPLOYMENT: &str = "/restapis/{restapi_id}/deployments/{deployment_id}";
const PARTS: &str = "/restapis/{restapi_id}/documentation/parts";
const PART: &str = "/restapis/{restapi_id}/documentation/parts/{part_id}";
const VERSIONS: &str = "/restapis/{restapi_id}/documentation/versions";
const VERSION: &str = "/restapis/{restapi_id}/documentation/versions/{doc_version}";
const GATEWAY_RESPONSE: &str = "/restapis/{restapi_id}/gatewayresponses/{response_type}";
const MODEL: &str = "/restapis/{restapi_id}/models/{model_name}";
const VALIDATORS: &str = "/restapis/{restapi_id}/requestvalidators";
const VALIDATOR: &str = "/restapis/{restapi_id}/requestvalidators/{requestvalidator_id}";
const RESOURCE: &str = "/restapis/{restapi_id}/resources/{resource_id}";
const STAGE: &str = "/restapis/{restapi_id}/stages/{stage_name}";
const MAPPINGS: &str = "/domainnames/{domain_name}/basepathmappings";
const MAPPING: &str = "/domainnames/{domain_name}/basepathmappings/{base_path}";
const ASSOCIATION: &str = "/domainnameaccessassociations/{domain_name_access_association_arn}";
const CERTIFICATE: &str = "/clientcertificates/{clientcertificate_id}";
const PLAN_KEYS: &str = "/usageplans/{usageplanId}/keys";
const PLAN_KEY: &str = "/usageplans/{usageplanId}/keys/{keyId}";

pub const OPERATIONS: &[Operation] = &[
    op("GetAccount", "GET", "/account", 200, account::get),
    op("UpdateAccount", "PATCH", "/account", 200, account::update),
    op("CreateApiKey", "POST", "/apikeys", 201, api_key::create),
    importing("ImportApiKeys", "/apikeys", api_key::import),
    op("GetApiKeys", "GET", "/apikeys", 200, api_key::list),
    op("GetApiKey", "GET", "/apikeys/{api_Key}", 200, api_key::get),
    op("UpdateApiKey", "PATCH", "/apikeys/{api_Key}", 200, api_key::update),
    op("DeleteApiKey", "DELETE", "/apikeys/{api_Key}", 202, api_key::delete),
    op("GenerateClientCertificate", "POST", "/clientcertificates", 201, client_certificate::generate),
    op("GetClientCertificates", "GET", "/clientcertificates", 200, client_certificate::list),
    op("GetClientCertificate", "GET", CERTIFICATE, 200, client_certificate::get),
    op("UpdateClientCertificate", "PATCH", CERTIFICATE, 200, client_certificate::update),
    op("DeleteClientCertificate", "DELETE", CERTIFICATE, 202, client_certificate::delete),
    op(
        "CreateDomainNameAccessAssociation",
        "POST",
        "/domainnameaccessassociations",
        201,
        access_association::create,
    ),
    op(
        "GetDomainNameAccessAssociations",
        "GET",
        "/domainnameaccessassociations",
        200,
        access_association::list,
    ),
    op("DeleteDomainNameAccessAssociation", "DELETE", ASSOCIATION, 202, access_association::delete),
    op("CreateDomainName", "POST", "/domainnames", 201, domain_name::create),
    op("GetDomainNames", "GET", "/domainnames", 200, domain_name::list),
    op("GetDomainName", "GET", "/domainnames/{domain_name}", 200, domain_name::get),
    op("UpdateDomainName", "PATCH", "/domainnames/{domain_name}", 200, domain_name::update),
    op("DeleteDomainName", "DELETE", "/domainnames/{domain_name}", 202, domain_name::delete),
    op("CreateBasePathMapping", "POST", MAPPINGS, 201, base_path_mapping::create),
    op("GetBasePathMappings", "GET", MAPPINGS, 200, base_path_mapping::list),
    op("GetBasePathMapping", "GET", MAPPING, 200, base_path_mapping::get),
    op("UpdateBasePathMapping", "PATCH", MAPPING, 200, base_path_mapping::update),
    op("DeleteBasePathMapping", "DELETE", MAPPING, 202, base_path_mapping::delete),
    op(
        "RejectDomainNameAccessAssociation",
        "POST",
        "/rejectdomainnameaccessassociations",
        202,
        access_association::reject,
    ),
    op("CreateRestApi", "POST", "/restapis", 201, rest_api::create),
    importing("ImportRestApi", "/restapis", import::import),
    op("GetRestApis", "GET", "/restapis", 200, rest_api::list),
    op("GetRestApi", "GET", "/restapis/{restapi_id}", 200, rest_api::get),
    op("PutRestApi", "PUT", "/restapis/{restapi_id}", 200, import::put),
    op("UpdateRestApi", "PATCH", "/restapis/{restapi_id}", 200, rest_api::update),
    op("DeleteRestApi", "DELETE", "/restapis/{restapi_id}", 202, rest_api::delete),
    op("CreateAuthorizer", "POST", "/restapis/{restapi_id}/authorizers", 201, authorizer::create),
    op("GetAuthorizers", "GET", "/restapis/{restapi_id}/authorizers", 200, authorizer::list),
    op("TestInvokeAuthorizer", "POST", AUTHORIZER, 200, test_invoke::authorize),
    op("GetAuthorizer", "GET", AUTHORIZER, 200, authorizer::get),
    op("UpdateAuthorizer", "PATCH", AUTHORIZER, 200, authorizer::update),
    op("DeleteAuthorizer", "DELETE", AUTHORIZER, 202, authorizer::delete),
    op("CreateDeployment", "POST", "/restapis/{restapi_id}/deployments", 201, deployment::create),
    op("GetDeployments", "GET", "/restapis/{restapi_id}/deployments", 200, deployment::list),
    op("GetDeployment", "GET", DEPLOYMENT, 200, deployment::get),
    op("UpdateDeployment", "PATCH", DEPLOYMENT, 200, deployment::update),
    op("DeleteDeployment", "DELETE", DEPLOYMENT, 202, deployment::delete),
    op("CreateDocumentationPart", "POST", PARTS, 201, documentation::create),
    op("GetDocumentationParts", "GET", PARTS, 200, documentation::list),
    op("ImportDocumentationParts", "PUT", PARTS, 200, documentation::import),
    op("GetDocumentationPart", "GET", PART, 200, documentation::get),
    op("UpdateDocumentationPart", "PATCH", PART, 200, documentation::update),
    op("DeleteDocumentationPart", "DELETE", PART, 202, documentation::delete),
    op("CreateDocumentationVersion", "POST", VERSIONS, 201, documentation::create_version),
    op("GetDocumentationVersions", "GET", VERSIONS, 200, documentation::list_versions),
    op("GetDocumentationVersion", "GET", VERSION, 200, documentation::get_version),
    op("UpdateDocumentationVersion", "PATCH", VERSION, 200, documentation::update_version),
    op("DeleteDocumentationVersion", "DELETE", VERSION, 202, documentation::delete_version),
    op("GetGatewayResponses", "GET", "/restapis/{restapi_id}/gatewayresponses", 200, gateway_response::list),
    op("GetGatewayResponse", "GET", GATEWAY_RESPONSE, 200, gateway_response::get),
    op("PutGatewayResponse", "PUT", GATEWAY_RESPONSE, 201, gateway_response::put),
    op("UpdateGatewayResponse", "PATCH", GATEWAY_RESPONSE, 200, gateway_response::update),
    op("DeleteGatewayResponse", "DELETE", GATEWAY_RESPONSE, 202, gateway_response::delete),
    op("CreateModel", "POST", "/restapis/{restapi_id}/models", 201, model::create),
    op("GetModels", "GET", "/restapis/{restapi_id}/models", 200, model::list),
    op("GetModel", "GET", MODEL, 200, model::get),
    op("UpdateModel", "PATCH", MODEL, 200, model::update),
    op("DeleteModel", "DELETE", MODEL, 202, model::delete),
    op(
        "GetModelTemplate",
        "GET",
        "/restapis/{restapi_id}/models/{model_name}/default_template",
        200,
        model::default_template,
    ),
    op("CreateRequestValidator", "POST", VALIDATORS, 201, validator::create),
    op("GetRequestValidators", "GET", VALIDATORS, 200, validator::list),
    op("GetRequestValidator", "GET", VALIDATOR, 200, validator::get),
    op("UpdateRequestValidator", "PATCH", VALIDATOR, 200, validator::update),
    op("DeleteRequestValidator", "DELETE", VALIDATOR, 202, validator::delete),
    op("GetResources", "GET", "/restapis/{restapi_id}/resources", 200, resource::list),
    op("CreateResource", "POST", "/restapis/{restapi_id}/resources/{parent_id}", 201, resource::create),
    op("GetResource", "GET", RESOURCE, 200, resource::get),
    op("UpdateResource", "PATCH", RESOURCE, 200, resource::update),
    op("DeleteResource", "DELETE", RESOURCE, 202, resource::delete),
    op("TestInvokeMethod", "POST", METHOD, 200, test_invoke::run),
    op("GetMethod", "GET", METHOD, 200, method::get),
    op("PutMethod", "PUT", METHOD, 201, method::put),
    op("UpdateMethod", "PATCH", METHOD, 200, method::update),
    op("DeleteMethod", "DELETE", METHOD, 204, method::delete),
    op("GetIntegration", "GET", INTEGRATION, 200, integration::get),
    op("PutIntegration", "PUT", INTEGRATION, 201, integration::put),
    op("UpdateIntegration", "PATCH", INTEGRATION, 200, integration::update),
    op("DeleteIntegration", "DELETE", INTEGRATION, 204, integration::delete),
    op("GetIntegrationResponse", "GET", INTEGRATION_RESPONSE, 200, integration_response::get),
    op("PutIntegrationResponse", "PUT", INTEGRATION_RESPONSE, 201, integration_response::put),
    op("UpdateIntegrationResponse", "PATCH", INTEGRATION_RESPONSE, 200, integration_response::update),
    op("DeleteIntegrationResponse", "DELETE", INTEGRATION_RESPONSE, 204, integration_response::delete),
    op("GetMethodResponse", "GET", METHOD_RESPONSE, 200, method_response::get),
    op("PutMethodResponse", "PUT", METHOD_RESPONSE, 201, method_response::put),
    op("UpdateMethodResponse", "PATCH", METHOD_RESPONSE, 201, method_response::update),
    op("DeleteMethodResponse", "DELETE", METHOD_RESPONSE, 204, method_response::delete),
    op("CreateStage", "POST", "/restapis/{restapi_id}/stages", 201, stage::create),
    op("GetStages", "GET", "/restapis/{restapi_id}/stages", 200, stage::list),
    op("GetStage", "GET", STAGE, 200, stage::get),
    op("UpdateStage", "PATCH", STAGE, 200, stage::update),
    op("DeleteStage", "DELETE", STAGE, 202, stage::delete),
    op(
        "FlushStageAuthorizersCache",
        "DELETE",
        "/restapis/{restapi_id}/stages/{stage_name}/cache/authorizers",
        202,
        stage::flush_authorizers,
    ),
    op(
        "FlushStageCache",
        "DELETE",
        "/restapis/{restapi_id}/stages/{stage_name}/cache/data",
        202,
        stage::flush_cache,
    ),
    op(
        "GetExport",
        "GET",
        "/restapis/{restapi_id}/stages/{stage_name}/exports/{export_type}",
        200,
        export::get,
    ),
    op("GetSdk", "GET", "/restapis/{restapi_id}/stages/{stage_name}/sdks/{sdk_type}", 200, sdk::get),
    op("GetSdkTypes", "GET", "/sdktypes", 200, sdk::kinds),
    op("GetSdkType", "GET", "/sdktypes/{sdktype_id}", 200, sdk::one_kind),
    op("GetTags", "GET", "/tags/{resource_arn}", 200, account::tags),
    op("TagResource", "PUT", "/tags/{resource_arn}", 204, account::tag),
    op("UntagResource", "DELETE", "/tags/{resource_arn}", 204, account::untag),
    op("CreateUsagePlan", "POST", "/usageplans", 201, usage_plan::create),
    op("GetUsagePlans", "GET", "/usageplans", 200, usage_plan::list),
    op("GetUsagePlan", "GET", "/usageplans/{usageplanId}", 200, usage_plan::get),
    op("UpdateUsagePlan", "PATCH", "/usageplans/{usageplanId}", 200, usage_plan::update),
    op("DeleteUsagePlan", "DELETE", "/usageplans/{usageplanId}", 202, usage_plan::delete),
    op("CreateUsagePlanKey", "POST", PLAN_KEYS, 201, usage_plan::add_key),
    op("GetUsagePlanKeys", "GET", PLAN_KEYS, 200, usage_plan::list_keys),
    op("GetUsagePlanKey", "GET", PLAN_KEY, 200, usage_plan::key),
    op("DeleteUsagePlanKey", "DELETE", PLAN_KEY, 202, usage_plan::remove_key),
    op("UpdateUsage", "PATCH", "/usageplans/{usageplanId}/keys/{keyId}/usage", 200, usage::update),
    op("GetUsage", "GET", "/usageplans/{usageplanId}/usage", 200, usage::get),
    op("CreateVpcLink", "POST", "/vpclinks", 202, vpc_link::create),
    op("GetVpcLinks", "GET", "/vpclinks", 200, vpc_link::list),
    op("GetVpcLink", "GET", "/vpclinks/{vpclink_id}", 200, vpc_link::get),
    op("UpdateVpcLink", "PATCH", "/vpclinks/{vpclink_id}", 200, vpc_link::update),
    op("DeleteVpcLink", "DELETE", "/vpclinks/{vpclink_id}", 202, vpc_link::delete),
];

/// The operation that a method and a path (percent-encoded, as sent) ask for, with what its labels hold, decoded.
pub fn find(
    method: &str,
    path: &str,
    query: &[(String, String)],
) -> Option<(&'static Operation, Vec<String>)> {
    let path = path.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(path);
    let asked = |operation: &Operation| {
        let (name, value) = operation.query.split_once('=').unwrap_or_default();
        operation.query.is_empty() || query.iter().any(|(n, v)| n == name && v == value)
    };
    let mut fitting = OPERATIONS
        .iter()
        .filter(|operation| operation.method == method && asked(operation))
        .filter_map(|operation| Some((operation, labels(operation.path, path)?)));
    let first = fitting.next()?;
    // The one that asks for something in the query is meant more exactly.
    Some(fitting.find(|(operation, _)| !operation.query.is_empty()).unwrap_or(first))
}

fn labels(pattern: &str, path: &str) -> Option<Vec<String>> {
    let (mut patterns, mut segments) = (pattern.split('/'), path.split('/'));
    let mut labels = Vec::new();
    loop {
        match (patterns.next(), segments.next()) {
            (None, None) => return Some(labels),
            (Some(pattern), Some(segment)) if pattern.starts_with('{') && !segment.is_empty() => {
                labels.push(String::from_utf8(decode(segment).into_owned()).ok()?);
            }
            (Some(pattern), Some(segment)) if pattern == segment => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, target: &str) -> Option<(&'static str, Vec<String>)> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        find(method, path, &crate::aws::query(query)).map(|(operation, labels)| (operation.name, labels))
    }

    #[test]
    fn paths_mean_their_operations() {
        for (method, target, name, labels) in [
            ("POST", "/restapis", "CreateRestApi", &[][..]),
            ("POST", "/restapis?mode=import", "ImportRestApi", &[]),
            ("POST", "/apikeys?format=csv&mode=import", "ImportApiKeys", &[]),
            ("PUT", "/restapis/a", "PutRestApi", &["a"]),
            (
                "GET",
                "/restapis/a/resources/b/methods/GET/integration/responses/200",
                "GetIntegrationResponse",
                &["a", "b", "GET", "200"],
            ),
            ("GET", "/tags/arn%3Aaws%3Ax%2Frestapis%2Fa", "GetTags", &["arn:aws:x/restapis/a"]),
            ("GET", "/restapis/a/", "GetRestApi", &["a"]),
        ] {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            assert_eq!(found(method, target), Some((name, labels)), "{method} {target}");
        }
        for (method, target) in
            [("GET", "/"), ("GET", "/restapis//stages"), ("PUT", "/restapis"), ("GET", "/x")]
        {
            assert_eq!(found(method, target), None, "{method} {target}");
        }
    }

    /// docs/reference/aws-api.md tells which operations are answered: all of the table.
    #[test]
    fn the_reference_tells_what_is_answered() {
        let text = include_str!("../../../docs/reference/aws-api.md");
        let list = text.split("<!-- operations -->").nth(1).unwrap().split("<!-- end -->").next().unwrap();
        let mut names: Vec<&str> = OPERATIONS.iter().map(|operation| operation.name).collect();
        names.sort_unstable();
        let told: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        let expected: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        assert_eq!(told, names, "write: {}", expected.join(" "));
        assert!(list.contains(&format!("All {} ", names.len())));
    }

    #[test]
    fn no_operation_stands_twice() {
        assert_eq!(OPERATIONS.len(), 124);
        for (index, operation) in OPERATIONS.iter().enumerate() {
            let same = |other: &Operation| {
                other.name == operation.name
                    || (other.method, other.path, other.query)
                        == (operation.method, operation.path, operation.query)
            };
            assert!(!OPERATIONS[index + 1..].iter().any(same), "{}", operation.name);
        }
    }
}
