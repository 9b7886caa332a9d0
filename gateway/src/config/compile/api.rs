//! One API: its methods, its resource tree, its policy and its gateway responses.

use super::Compiler;
use super::authorizer;
use super::body::Schemas;
use super::part::MadeFrom;
use crate::config::ApiEntry;
use crate::guard::policy::{Owner, Policy, Warning};
use crate::integrate::{self, BinaryMediaTypes, Integration, Surroundings};
use crate::mapping::{Side, Source, Template, Unread};
use crate::model::{self, Place, RestApi, Severity};
use crate::refusal::{self, GatewayResponses, ResponseType};
use crate::route::{Invalid, Tree, parameters_of};
use crate::snapshot;

impl Compiler<'_> {
    pub(super) fn api(&mut self, made_from: &MadeFrom) -> (snapshot::Api, Tree) {
        let MadeFrom { model, entry, id, endpoint_type, region, account, .. } = made_from;
        let api: &RestApi = model;
        let mut tree = Tree::default();
        let throttle = self.account_throttle(made_from);
        let mut methods = Vec::new();
        let mut schemas = Schemas::default();
        let authorizers = self.authorizers(entry, api);
        for resource in &api.resources {
            let parameters = match parameters_of(&resource.path) {
                Ok(parameters) => parameters,
                Err(invalid) => {
                    self.resource_error(api, resource.place, &resource.path, invalid);
                    continue;
                }
            };
            for method in &resource.methods {
                self.about(format_args!("{} {}", method.http_method, resource.path));
                if let Err(invalid) = tree.insert(&resource.path, &method.http_method, methods.len()) {
                    self.resource_error(api, method.place, &resource.path, invalid);
                    continue;
                }
                let limits = self.method_limits(made_from, &resource.path, method);
                let body = self.body(api, &mut schemas, method);
                let own = self.method(made_from, &resource.path, &parameters, method);
                let touches_bodies = body.is_some()
                    || api.minimum_compression_size.is_some()
                    || own.integration.converts_requests();
                methods.push(snapshot::Method {
                    touches_bodies,
                    body,
                    is_limited: limits.is_some() || throttle.is_some(),
                    limits,
                    authorization: authorizer::of(method, &authorizers),
                    ..own
                });
            }
        }
        self.about.clear();
        self.check_authorization(entry, api, &methods);
        let compiled = snapshot::Api {
            name: entry.name.clone(),
            policy: self.policy(api, Owner { region, account, api: id, is_stored: entry.owner.is_some() }),
            cache: self.cluster(entry, api, id),
            api_key_source: api.api_key_source,
            throttle,
            id: id.clone(),
            account: account.clone(),
            region: region.clone(),
            stage: entry.stage.clone(),
            deployment_id: entry.deployment_id.clone(),
            release: entry.release,
            hosts: entry.hosts.clone(),
            default_endpoint: !api.disable_execute_api_endpoint,
            endpoint_type: *endpoint_type,
            stage_variables: entry.stage_variables.clone().into_iter().collect(),
            gateway_responses: self.gateway_responses(entry, api),
            binary_media_types: BinaryMediaTypes::new(&api.binary_media_types),
            minimum_compression_size: api.minimum_compression_size,
            methods,
            targets: self.targets.take(),
        };
        (compiled, tree)
    }

    fn resource_error(&mut self, api: &RestApi, place: Place, path: &str, invalid: Invalid) {
        let (what, instead) = match invalid {
            Invalid::Segment => ("is a path that no request can have", "write /segment/{parameter}/{proxy+}"),
            Invalid::Parameter => (
                "has a parameter that is not a whole segment",
                "write /{name}, the name of letters and digits",
            ),
            Invalid::GreedyNotLast => ("goes on behind {proxy+}, which takes all", "end the path there"),
            Invalid::TooDeep => ("has more than 64 segments", "write a shorter path"),
            Invalid::Method => ("has a method that API Gateway does not route", "write GET ... or ANY"),
            Invalid::Duplicate => (
                "has the same methods as a path before it",
                "parameter names do not tell paths apart: remove one",
            ),
        };
        self.find(Severity::Error, &api.file, place, format!("`{path}` {what}"), instead);
    }

    fn method(
        &mut self,
        made_from: &MadeFrom,
        path: &str,
        parameters: &[String],
        method: &model::Method,
    ) -> snapshot::Method {
        let (entry, api) = (&made_from.entry, &*made_from.model);
        let integration = match &method.integration {
            Some(integration) => self.integration(entry, api, parameters, integration),
            None => Integration::Unsupported("the document gives the method no integration".into()),
        };
        let resource_id = resource_id(path);
        let caching = self.caching(entry, api, (path, parameters, &resource_id), method);
        let required = method.request_parameters.iter().filter(|(_, required)| **required);
        snapshot::Method {
            resource_path: path.to_owned(),
            parameters: parameters.to_vec(),
            resource_id,
            http_method: method.http_method.clone(),
            authorization: snapshot::Authorization::None,
            is_limited: false,
            limits: None,
            required_parameters: match method.validate_parameters {
                true => required.map(|(name, _)| name.clone()).collect(),
                false => Box::default(),
            },
            touches_bodies: false,
            body: None,
            integration,
            caching,
        }
    }

    fn integration(
        &mut self,
        entry: &ApiEntry,
        api: &RestApi,
        parameters: &[String],
        integration: &model::Integration,
    ) -> Integration {
        let targets = &mut self.targets;
        let mut around = Surroundings {
            parameters,
            stage_variables: &entry.stage_variables,
            target: &mut |host, port, authority| targets.index_of(host, port, authority),
        };
        let compiled = integrate::compile(integration, &mut around);
        let unusable = compiled.findings.iter().find(|finding| finding.severity == Severity::Error);
        let unusable = unusable.map(|error| {
            format!("stage {} cannot call the integration as it is written: {}", entry.stage, error.what)
        });
        for finding in compiled.findings {
            let integrate::Finding { severity, place, what, instead } = finding;
            self.find(severity, &api.file, place, what, &instead);
        }
        match unusable {
            Some(why) => Integration::Unsupported(why.into()),
            None => compiled.integration,
        }
    }

    fn policy(&mut self, api: &RestApi, owner: Owner<'_>) -> Option<Policy> {
        let (document, place) = api.policy.as_ref()?;
        self.about(format_args!("the resource policy"));
        let policy = self.parsed(api, owner, document, *place);
        self.about.clear();
        policy
    }

    fn parsed(
        &mut self,
        api: &RestApi,
        owner: Owner<'_>,
        document: &serde_json::Value,
        place: Place,
    ) -> Option<Policy> {
        match Policy::parse(document, owner) {
            Ok(parsed) => {
                for Warning { what, instead } in parsed.warnings {
                    self.find(Severity::Warning, &api.file, place, what, &instead);
                }
                Some(parsed.policy)
            }
            Err(what) => {
                let instead = "write the policy as API Gateway exports it";
                self.find(Severity::Error, &api.file, place, what, instead);
                // Whatever becomes of the error: who cannot be judged is not let in.
                Some(Policy::closed())
            }
        }
    }

    fn gateway_responses(&mut self, entry: &ApiEntry, api: &RestApi) -> GatewayResponses {
        let mut compiled = GatewayResponses::default();
        for response in &api.gateway_responses {
            self.about(format_args!("the gateway response {}", response.response_type));
            let Some(kind) = ResponseType::parse(&response.response_type) else {
                let what = format!("`{}` is no gateway response of AWS", response.response_type);
                let instead = "write DEFAULT_4XX, DEFAULT_5XX, MISSING_AUTHENTICATION_TOKEN, THROTTLED, ...";
                self.find(Severity::Error, &api.file, response.place, what, instead);
                continue;
            };
            compiled.insert(kind, self.gateway_response(entry, api, response));
        }
        self.about.clear();
        compiled
    }

    fn gateway_response(
        &mut self,
        entry: &ApiEntry,
        api: &RestApi,
        response: &model::GatewayResponse,
    ) -> refusal::GatewayResponse {
        let variables = &entry.stage_variables;
        let mut fields = Vec::new();
        for (key, expression, place) in &response.response_parameters {
            let name = key.strip_prefix("gatewayresponse.header.").filter(|name| integrate::is_token(name));
            let parsed = Source::parse(expression, Side::GatewayResponse, variables);
            match (name, parsed) {
                (Some(name), Ok(source)) => fields.push((name.to_owned(), source)),
                (None, _) => {
                    let what = format!("`{key}` is no place of a gateway response");
                    let instead = "write gatewayresponse.header.Name";
                    self.find(Severity::Error, &api.file, *place, what, instead);
                }
                (_, Err(Unread::NotYet(why))) => {
                    let instead = "until then the field is left out";
                    self.find(Severity::Warning, &api.file, *place, why.to_owned(), instead);
                }
                (_, Err(Unread::Invalid(what))) => {
                    let instead =
                        "write '...', method.request.header.Name, context.name or stageVariables.name";
                    self.find(Severity::Error, &api.file, *place, what, instead);
                }
            }
        }
        let template = |(media_type, text, _): &(String, String, Place)| {
            (media_type.to_ascii_lowercase(), Template::plain(text, variables))
        };
        let templates = response.response_templates.iter().map(template).collect();
        refusal::GatewayResponse { status: response.status_code, fields, templates }
    }
}

/// Six characters of `[a-z0-9]` that stay as long as the path does (FNV-1a).
fn resource_id(path: &str) -> String {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut hash = path.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    let mut id = String::with_capacity(6);
    for _ in 0..6 {
        id.push(char::from(ALPHABET[(hash % 36) as usize]));
        hash /= 36;
    }
    id
}
