//! One OpenAPI document, judged without its node: imported, and compiled for a node made up around it.

use super::{
    ApiEntry, Control, Document, Listener, Loaded, Node, Owner, Remembered, Sources, Vpc, Xdp, compile,
};
use crate::model::{Diagnostic, Place, RestApi, SourceLimits, Stage};
use crate::openapi::{self, Imported};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What `gateway check FILE` says: the warnings of a document that would be taken, or all its errors.
pub fn check(file: &Path, text: &str) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    judge(file, text, None)
}

/// The same of a document that becomes the stored API of that id: its policy is judged as that API's.
pub fn check_stored(file: &Path, text: &str, id: &str, owner: Owner) -> Vec<Diagnostic> {
    judge(file, text, Some((id, owner))).unwrap_or_else(|errors| errors)
}

fn judge(file: &Path, text: &str, stored: Option<(&str, Owner)>) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    let Imported { api, warnings } = openapi::import(file, text)?;
    let mut document = node_around(&api, text);
    if let (Some((id, owner)), Some(entry)) = (stored, document.apis.first_mut()) {
        entry.id = Some(id.to_owned());
        entry.owner = Some(owner);
    }
    let loaded = Loaded::of(document, vec![Ok(Arc::new(api))], warnings, Sources::default());
    let of_the_document = |found: Vec<Diagnostic>| found.into_iter().filter(|d| d.file == file);
    let (refused, found) = match compile(&loaded, &Remembered::default(), 0) {
        Ok((_, found)) => (false, found),
        Err(found) => (true, found),
    };
    let mut all = loaded.warnings;
    all.extend(of_the_document(found));
    all.sort_by_key(|d| d.place);
    if refused { Err(all) } else { Ok(all) }
}

/// A listener that serves any type, and a value for every stage variable that the document mentions.
fn node_around(api: &RestApi, text: &str) -> Document {
    let place = Place { line: 1, column: 1 };
    let vpc = Vpc { id: "vpc".into(), cidrs: Vec::new(), place };
    let listener = Listener {
        name: "listener".into(),
        address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
        vpc: Some(vpc.id.clone()),
        apis: Some(vec!["api".into()]),
        limits: SourceLimits::NONE,
        dry_run: false,
        trusted_proxies: Vec::new(),
        proxy_protocol: false,
        place,
    };
    let [region, account, id] = owner(text);
    let entry = ApiEntry {
        name: "api".into(),
        id: Some(id),
        file: api.file.clone(),
        stage: "prod".into(),
        hosts: Vec::new(),
        stage_variables: stand_ins(api, text),
        settings: Stage::default(),
        setting_places: BTreeMap::new(),
        owner: None,
        deployment_id: None,
        release: crate::model::Release::Whole,
        place,
    };
    Document {
        file: PathBuf::from("gateway.toml"),
        node: Node {
            region,
            account,
            workers: 0,
            cache_megabytes: super::document::CACHE_MEGABYTES,
            throttle: None,
        },
        control: Control { address: None, store: PathBuf::new() },
        bans: super::Bans::default(),
        xdp: Xdp { mode: super::XdpMode::Off, ..Xdp::default() },
        vpcs: vec![vpc],
        listeners: vec![listener],
        apis: vec![entry],
        domains: Vec::new(),
        api_keys: Vec::new(),
        usage_plans: Vec::new(),
    }
}

/// Region, account and API id as the document's policy names them first: whether they are the node's is not asked here.
fn owner(text: &str) -> [String; 3] {
    const ARN: &str = "arn:aws:execute-api:";
    let arn = text.split_once(ARN).map_or("", |(_, rest)| rest);
    let mut parts = arn.splitn(3, ':');
    let mut part = |otherwise: &str| {
        let part = parts.next().unwrap_or("").split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next();
        part.filter(|p| !p.is_empty()).unwrap_or(otherwise).to_owned()
    };
    [part("us-east-1"), part("000000000000"), part("a1b2c3d4e5")]
}

/// `1` is a host, a port and a path; a variable that begins a URI holds its scheme too.
fn stand_ins(api: &RestApi, text: &str) -> BTreeMap<String, String> {
    const MENTION: &str = "stageVariables.";
    let name =
        |at: &str| at.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or("").to_owned();
    let mut values: BTreeMap<String, String> = text
        .match_indices(MENTION)
        .map(|(at, _)| (name(&text[at + MENTION.len()..]), "1".to_owned()))
        .collect();
    let integrations = api.resources.iter().flat_map(|r| &r.methods).filter_map(|m| m.integration.as_ref());
    for (uri, _) in integrations.filter_map(|i| i.uri.as_ref()) {
        if let Some(rest) = uri.strip_prefix("${stageVariables.") {
            values.insert(name(rest), "http://1".to_owned());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(name: &str) -> (PathBuf, String) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
        let text = std::fs::read_to_string(&file).unwrap();
        (file, text)
    }

    #[test]
    fn plain_examples_are_taken_without_a_word() {
        for name in ["petstore.yaml", "petstore.json", "quickstart/catalog.yaml", "quickstart/orders.yaml"] {
            let (file, text) = example(name);
            assert_eq!(check(&file, &text), Ok(Vec::new()), "{name}");
        }
    }

    /// The marks in `edge-cases.yaml` and the findings are the same lines: nothing is dropped without a word.
    #[test]
    fn what_does_not_act_is_said_once_with_its_place() {
        let (file, text) = example("edge-cases.yaml");
        let warnings = check(&file, &text).unwrap();
        let told: Vec<usize> = warnings.iter().map(|d| d.place.line).collect();
        let marked =
            text.lines().zip(1..).filter(|(l, _)| l.ends_with("# not yet") || l.ends_with("# ignored"));
        let marked: Vec<usize> = marked.map(|(_, number)| number).collect();
        assert_eq!(told, marked, "{}", warnings.iter().map(|d| format!("{d}\n")).collect::<String>());
    }

    #[test]
    fn stage_variables_stand_for_what_their_place_needs() {
        let text = "swagger: '2.0'\ninfo: {title: a}\npaths:\n  /a:\n    get:\n\
            \u{20}     x-amazon-apigateway-integration:\n\
            \u{20}       type: http_proxy\n\
            \u{20}       httpMethod: GET\n\
            \u{20}       uri: ";
        let file = Path::new("api.yaml");
        for uri in [
            "${stageVariables.all}/x",
            "http://${stageVariables.h}:${stageVariables.p}/",
            "http://h/${stageVariables.x}",
        ] {
            assert_eq!(check(file, &format!("{text}{uri}\n")), Ok(Vec::new()), "{uri}");
        }
        let errors = check(file, &format!("{text}http://a:b/\n")).unwrap_err();
        assert_eq!(errors[0].place, Place { line: 9, column: 14 });
    }
}
