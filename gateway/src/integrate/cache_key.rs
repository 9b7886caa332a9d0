//! What tells a method's cached answers apart: AWS's `cacheNamespace` and `cacheKeyParameters`.

use super::compile::Finding;
use super::{Facts, accepts_binary, known};
use crate::cache::KeyWriter;
use crate::guard::Permit;
use crate::http::RequestHead;
use crate::mapping::{Known, Side, Source, captured, query_values};
use crate::model::{self, Severity};
use std::collections::BTreeMap;

#[derive(Debug)]
pub struct CacheKey {
    namespace: String,
    parameters: Vec<Source>,
}

impl CacheKey {
    /// `resource_id`: the namespace by default. What cannot be part of a key is a warning.
    pub fn compile(
        model: &model::Integration,
        resource_id: &str,
        stage_variables: &BTreeMap<String, String>,
    ) -> (Self, Vec<Finding>) {
        let (mut parameters, mut findings) = (Vec::new(), Vec::new());
        for (name, place) in &model.cache_key_parameters {
            let mapped = model.request_parameters.iter().find(|(to, ..)| to == name);
            let expression = match mapped {
                Some((_, from, _)) => from.as_str(),
                None => name.as_str(),
            };
            match Source::parse(expression, Side::Request, stage_variables) {
                Ok(Source::Static(_) | Source::Absent) => {}
                Ok(source) => parameters.push(source),
                Err(_) => findings.push(Finding {
                    severity: Severity::Warning,
                    place: *place,
                    what: format!("`{name}` is mapped from nothing: it tells no cached answers apart"),
                    instead: "map it in requestParameters, or name a method.request parameter".to_owned(),
                }),
            }
        }
        let namespace = model.cache_namespace.clone().unwrap_or_else(|| resource_id.to_owned());
        (Self { namespace, parameters }, findings)
    }

    /// Is the path parameter part of the key?
    pub fn has_path(&self, name: &str) -> bool {
        self.parameters.iter().any(|source| matches!(source, Source::Path(known) if known == name))
    }

    /// Writes the request's key. Of a parameter all values count, and the names of fields without regard to their case:
    /// a backend may look at any of them, and an answer must be no one's who asked for another.
    pub fn write(&self, permit: &Permit<'_>, head: &RequestHead, facts: &Facts<'_>, out: &mut Vec<u8>) {
        let mut key = KeyWriter::new(out, &self.namespace, head.method().as_str());
        self.write_parameters(permit, head, facts, &mut key);
        // Answers are kept as they go out.
        if let Some(binary) = accepts_binary(permit, head) {
            key.form(binary);
        }
    }

    fn write_parameters(
        &self,
        permit: &Permit<'_>,
        head: &RequestHead,
        facts: &Facts<'_>,
        key: &mut KeyWriter<'_>,
    ) {
        if self.parameters.is_empty() {
            return;
        }
        let known: Known<'_> = known(permit, head, facts);
        for source in &self.parameters {
            match source {
                Source::Path(name) => key.parameter(captured(&known, name).into_iter()),
                Source::Query(name) | Source::QueryAll(name) => {
                    key.parameter(query_values(head.query(), name).map(|(value, _)| value));
                }
                Source::Header(name) | Source::HeaderAll(name) => key.parameter(head.fields_named(name)),
                _ => key.parameter(source.value(&known).into_iter()),
            }
        }
    }
}
