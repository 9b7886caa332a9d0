//! A method as the document means it → the method as AWS keeps it.

use super::authorizers;
use crate::aws::Fault;
use crate::aws::authorizer::Authorizer;
use crate::aws::integration::{Integration, TlsConfig};
use crate::aws::integration_response::IntegrationResponse;
use crate::aws::method::Method;
use crate::aws::method_response::MethodResponse;
use crate::model::{self, Authorization, IntegrationType, Passthrough, Place};
use crate::openapi::{DescribedIntegration, DescribedMethod, DescribedResponse};
use std::collections::BTreeMap;

/// What the API has that its methods name.
pub(super) struct Known {
    /// Name → id
    pub(super) validators: BTreeMap<String, String>,
    /// By name
    pub(super) authorizers: BTreeMap<String, Authorizer>,
}

/// `resource`: its id.
pub(super) fn lifted(
    method: &model::Method,
    described: Option<&DescribedMethod>,
    resource: &str,
    known: &Known,
) -> Result<Method, Fault> {
    let nothing = DescribedMethod::default();
    let described = described.unwrap_or(&nothing);
    let (authorization, authorizer) = match &method.authorization {
        Authorization::None => ("NONE", None),
        Authorization::AwsIam => ("AWS_IAM", None),
        Authorization::Authorizer(name) => {
            let unknown = || Fault::bad_request(format!("Invalid authorizer specified: {name}"));
            let authorizer = known.authorizers.get(name).ok_or_else(unknown)?;
            (authorizers::authorization_type(authorizer), Some(authorizer.id.clone()))
        }
    };
    let mut responses: BTreeMap<String, MethodResponse> =
        described.responses.iter().map(|(status, found)| (status.clone(), promised(status, found))).collect();
    for response in method.integration.iter().flat_map(|integration| &integration.responses) {
        let status = response.status_code.to_string();
        let promised = responses
            .entry(status.clone())
            .or_insert_with(|| MethodResponse { status_code: status, ..MethodResponse::default() });
        for (name, ..) in &response.response_parameters {
            promised.response_parameters.entry(name.clone()).or_insert(false);
        }
    }
    Ok(Method {
        api_key_required: method.api_key_required,
        authorization_scopes: method.authorization_scopes.clone(),
        authorization_type: authorization.into(),
        authorizer_id: authorizer,
        http_method: method.http_method.clone(),
        method_integration: method
            .integration
            .as_ref()
            .map(|found| integration(found, &described.integration, resource)),
        method_responses: responses,
        operation_name: described.operation_name.clone(),
        request_models: described.request_models.clone(),
        request_parameters: method.request_parameters.clone(),
        request_validator_id: described
            .validator
            .as_ref()
            .and_then(|name| known.validators.get(name))
            .cloned(),
    })
}

fn promised(status: &str, described: &DescribedResponse) -> MethodResponse {
    let headers = described.headers.iter();
    MethodResponse {
        response_models: described.models.clone(),
        response_parameters: headers
            .map(|(name, required)| (format!("method.response.header.{name}"), *required))
            .collect(),
        status_code: status.to_owned(),
    }
}

fn integration(from: &model::Integration, described: &DescribedIntegration, resource: &str) -> Integration {
    let responses = from.responses.iter().map(|response| {
        let lifted = IntegrationResponse {
            content_handling: response.content_handling.map(|handling| handling.as_str().to_owned()),
            response_parameters: map(&response.response_parameters),
            response_templates: map(&response.response_templates),
            selection_pattern: response.selection_pattern.clone(),
            status_code: response.status_code.to_string(),
        };
        (lifted.status_code.clone(), lifted)
    });
    Integration {
        cache_key_parameters: from.cache_key_parameters.iter().map(|(name, _)| name.clone()).collect(),
        cache_namespace: from.cache_namespace.clone().unwrap_or_else(|| resource.to_owned()),
        connection_id: from.vpc_link.clone(),
        connection_type: described.connection_type.clone(),
        content_handling: from.content_handling.map(|handling| handling.as_str().to_owned()),
        credentials: described.credentials.clone(),
        http_method: from.http_method.clone(),
        integration_responses: responses.collect(),
        integration_target: described.integration_target.clone(),
        passthrough_behavior: match from.passthrough_behavior {
            Passthrough::WhenNoMatch => "WHEN_NO_MATCH",
            Passthrough::WhenNoTemplates => "WHEN_NO_TEMPLATES",
            Passthrough::Never => "NEVER",
        }
        .into(),
        request_parameters: map(&from.request_parameters),
        request_templates: map(&from.request_templates),
        response_transfer_mode: described.response_transfer_mode.clone(),
        timeout_in_millis: i64::from(from.timeout_ms),
        tls_config: described
            .insecure_skip_verification
            .map(|insecure_skip_verification| TlsConfig { insecure_skip_verification }),
        kind: match from.kind {
            IntegrationType::Http => "HTTP",
            IntegrationType::HttpProxy => "HTTP_PROXY",
            IntegrationType::Mock => "MOCK",
            IntegrationType::Aws => "AWS",
            IntegrationType::AwsProxy => "AWS_PROXY",
        }
        .into(),
        uri: from.uri.as_ref().map(|(uri, _)| uri.clone()),
    }
}

pub(super) fn map(pairs: &[(String, String, Place)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value, _)| (key.clone(), value.clone())).collect()
}
