//! Documents compiled, and requests carried through all pure rooms.

use super::*;
use crate::config::{Control, Node, Owner, Sources, Vpc, Xdp, XdpMode, load};
use crate::guard::origin::Via;
use crate::guard::{self, endpoint};
use crate::http::{HeadLimits, RequestHead};
use crate::integrate::{self, Carried, Facts, Integration};
use crate::model::Stage;
use crate::openapi;
use crate::refusal::{Answer, Refusal, RefusedRequest};
use crate::route::Asked;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

fn quickstart() -> Loaded {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart");
    load(&folder.join("gateway.toml")).unwrap()
}

fn compiled(loaded: &Loaded, remembered: &Remembered) -> Snapshot {
    compile(loaded, remembered, 7).unwrap_or_else(|errors| panic!("{errors:#?}")).0
}

fn head_of(text: &str) -> RequestHead {
    let mut head = RequestHead::new();
    head.parse(text.as_bytes(), &HeadLimits::default()).unwrap();
    head
}

/// What a request comes to: the backend's head, MOCK's answer, or the gateway's own.
#[derive(Debug, PartialEq)]
enum Outcome {
    Forwarded(String),
    Answered(Answer),
}

/// The life of a request through the pure rooms, as the worker walks it.
fn walk(snapshot: &Snapshot, listener: &str, source: &str, request: &str) -> Outcome {
    let listener = snapshot.listeners.iter().position(|known| known.name == listener).unwrap();
    let source: IpAddr = source.parse().unwrap();
    let via = Via::default();
    let head = head_of(request);
    #[allow(clippy::disallowed_methods)] // any moment
    let moment = guard::Moment { now: std::time::Instant::now(), unix_s: 1_795_366_800, counts: true };
    let facts = Facts {
        request_id: "r-1",
        extended_request_id: "x-1",
        source,
        via: &via,
        listener: snapshot.listeners[listener].address,
        time_ms: 0,
        drawn: 0,
        trace_id: "Root=1-69260ed0-0123456789abcdef01234567",
    };
    let mut out = Vec::new();
    let (mut api, mut matched) = (None, None);
    let mut pass = || {
        let asked =
            Asked { listener, host: head.host(), path: head.path(), method: head.method(), api_id: None };
        let reached = snapshot.routes.reach(&asked)?;
        endpoint::admit(snapshot, listener, reached.api, source)?;
        api = Some(&snapshot.apis[reached.api]);
        let found = snapshot.routes.find(&asked, reached)?;
        matched = Some(found.clone());
        let permit = guard::permit(snapshot, listener, source, &head, found, moment)?;
        match &permit.method.integration {
            Integration::HttpProxy(backend) | Integration::Http(backend) => {
                integrate::write_request(&permit, backend, (&head, Carried::of(&head)), &facts, &mut out)
                    .map(|_| None)
            }
            Integration::Mock(mock) => integrate::mock(&permit, mock, &head, &facts).map(Some),
            Integration::Unsupported(why) => Err(Refusal::ApiConfiguration(why.clone())),
        }
    };
    let passed = pass();
    match passed {
        Ok(None) => Outcome::Forwarded(String::from_utf8(out).unwrap()),
        Ok(Some(answer)) => Outcome::Answered(answer),
        Err(refusal) => Outcome::Answered(refusal.answer(&RefusedRequest {
            request_id: "r-1",
            api: api.map(|api| &**api),
            head: Some(&head),
            matched: matched.as_ref(),
            source,
        })),
    }
}

fn status(outcome: &Outcome) -> (u16, String) {
    match outcome {
        Outcome::Answered(answer) => (answer.status, String::from_utf8_lossy(&answer.body).into_owned()),
        Outcome::Forwarded(text) => panic!("forwarded: {text}"),
    }
}

#[test]
fn the_quickstart_from_file_to_backend() {
    let node = compiled(&quickstart(), &Remembered::default());
    assert_eq!((node.generation, node.targets.len()), (7, 1), "one backend, shared by both APIs");
    let private: Vec<_> = node.listeners.iter().map(|listener| listener.kernel_private).collect();
    assert_eq!(private, [false, true]);
    let sent = walk(
        &node,
        "orders",
        "127.0.1.9",
        "GET /prod/orders/a%2fb/?x=1 HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n",
    );
    assert_eq!(
        sent,
        Outcome::Forwarded(
            "GET /internal/orders/a%2Fb?x=1 HTTP/1.1\r\nHost: 127.0.0.1:8090\r\nAccept: */*\r\n\
             X-Order-Source: 127.0.1.9\r\nX-Amzn-Apigateway-Api-Id: 0rd3rsd3m0\r\n\
             X-Amzn-Trace-Id: Root=1-69260ed0-0123456789abcdef01234567\r\nX-Forwarded-For: 127.0.1.9\r\n\
             X-Forwarded-Port: 8081\r\nX-Forwarded-Proto: http\r\n\r\n"
                .to_owned()
        )
    );
    let get = |listener, source, path: &str| {
        walk(&node, listener, source, &format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"))
    };
    let forbidden = (403, "{\"message\":\"Forbidden\"}".to_owned());
    assert_eq!(status(&get("orders", "127.0.0.1", "/prod/orders/7")), forbidden, "outside the VPC");
    assert_eq!(status(&get("orders", "127.0.0.1", "/prod/none")), forbidden, "nor is told what exists");
    assert_eq!(status(&get("orders", "127.0.1.1", "/beta/orders")), forbidden);
    let unknown = (403, "{\"message\":\"Missing Authentication Token\"}".to_owned());
    assert_eq!(status(&get("orders", "127.0.1.1", "/prod/none")), unknown);
    let custom = (404, "{\"message\":\"No such product page\"}".to_owned());
    assert_eq!(status(&get("public", "127.0.0.1", "/prod/none")), custom);
    assert_eq!(status(&get("public", "127.0.0.1", "/prod/health")), (200, String::new()));
    let Outcome::Forwarded(text) = get("public", "127.0.0.1", "/prod/products/a//b") else { panic!() };
    assert!(text.starts_with("GET /products/a//b HTTP/1.1\r\n"), "{text}");
    let preflight = walk(&node, "orders", "127.0.1.1", "OPTIONS /prod/orders/7 HTTP/1.1\r\nHost: h\r\n\r\n");
    let Outcome::Answered(answer) = preflight else { panic!("{preflight:?}") };
    assert!(answer.fields.contains(&("Access-Control-Allow-Origin".to_owned(), b"*".to_vec())), "{answer:?}");
}

#[test]
fn the_resource_policy_is_the_file_s() {
    let mut loaded = quickstart();
    loaded.document.node.account = "999999999999".to_owned();
    let (node, warnings) = compile(&loaded, &Remembered::default(), 1).unwrap();
    // Its Allow names another account, so nothing allows; and that is said.
    let answer = walk(&node, "orders", "127.0.1.9", "GET /prod/orders HTTP/1.1\r\nHost: h\r\n\r\n");
    let (code, body) = status(&answer);
    assert_eq!(code, 403);
    assert!(body.contains("arn:aws:execute-api:us-east-1:********9999:0rd3rsd3m0/prod/GET/orders"), "{body}");
    assert!(warnings.iter().any(|warning| warning.instead.contains("[node] account")), "{warnings:?}");
}

#[test]
fn a_switched_type_moves_the_kernel_rule() {
    let loaded = quickstart();
    let mut remembered = Remembered::default();
    remembered.endpoint_types.insert("orders".to_owned(), EndpointType::Regional);
    let open = compiled(&loaded, &remembered);
    assert!(!open.listeners[1].kernel_private);
    let request = "GET /prod/orders HTTP/1.1\r\nHost: h\r\n\r\n";
    assert!(matches!(walk(&open, "orders", "127.0.0.1", request), Outcome::Forwarded(_)));
    // The catalog's listener has no VPC: it cannot become private.
    remembered.endpoint_types.insert("catalog".to_owned(), EndpointType::Private);
    let errors = compile(&loaded, &remembered, 8).unwrap_err();
    assert!(errors[0].instead.contains("vpc =") && errors[0].place.line > 0, "{errors:?}");
}

#[test]
fn what_stays_as_it_was_is_taken_over() {
    let get = |path: &str| {
        let integration = "{type: http_proxy, httpMethod: GET, uri: 'http://b:1/x'}";
        format!("paths: {{{path}: {{get: {{x-amazon-apigateway-integration: {integration}}}}}}}")
    };
    let remembered = Remembered::default();
    let mut loaded = node(&[("l", None, None)], &[("a", &get("/a")), ("b", &get("/b"))]);
    let first = compile_after(&loaded, &remembered, 1, None).unwrap();
    let taken = |loaded: &Loaded, remembered: &Remembered| {
        let before =
            Before { parts: &first.parts, cache: &first.snapshot.cache, plans: &first.snapshot.plans };
        let next = compile_after(loaded, remembered, 2, Some(before)).unwrap();
        let (before, now) = (&first.snapshot, &next.snapshot);
        assert!(Arc::ptr_eq(&before.targets[0], &now.targets[0]), "the backend stays the same");
        assert_eq!(now.targets.len(), 1);
        now.apis.iter().zip(&before.apis).map(|(now, before)| Arc::ptr_eq(now, before)).collect::<Vec<_>>()
    };
    assert_eq!(taken(&loaded, &remembered), [true, true]);
    loaded.document.listeners[0].name = "other".to_owned();
    assert_eq!(taken(&loaded, &remembered), [true, true], "of that no API is made");
    let switched = Remembered {
        endpoint_types: [("a".to_owned(), EndpointType::Regional)].into(),
        ..Remembered::default()
    };
    assert_eq!(taken(&loaded, &switched), [false, true]);
    for change in [
        (|loaded| loaded.document.apis[1].stage = "beta".to_owned()) as fn(&mut Loaded),
        |loaded| drop(loaded.document.apis[1].stage_variables.insert("x".to_owned(), "y".to_owned())),
        |loaded| loaded.document.apis[1].id = Some("other".to_owned()),
        |loaded| loaded.document.apis[1].hosts.push("h".to_owned()),
        |loaded| loaded.document.apis[1].settings.cache_cluster_enabled = true,
        |loaded| loaded.document.apis[1].place.line += 1,
        |loaded| {
            let (account, region) = ("2".to_owned(), "r".to_owned());
            loaded.document.apis[1].owner = Some(Owner { account, region });
        },
        |loaded| loaded.apis[1] = node(&[], &[("b", "paths: {}")]).apis.remove(0),
    ] {
        let (document, apis, meters) = (loaded.document.clone(), loaded.apis.clone(), loaded.meters.clone());
        let mut changed = Loaded { meters, ..Loaded::of(document, apis, Vec::new(), Sources::default()) };
        change(&mut changed);
        assert_eq!(taken(&changed, &remembered), [true, false]);
    }
    loaded.document.node.cache_megabytes += 1;
    assert_eq!(taken(&loaded, &remembered), [false, false]);
    loaded.document.node.cache_megabytes -= 1;
    loaded.document.node.account = "999999999999".to_owned();
    assert_eq!(taken(&loaded, &remembered), [false, false]);
}

/// name, vpc, apis
type Listeners<'a> = &'a [(&'a str, Option<&'a str>, Option<&'a [&'a str]>)];

/// A node with the VPC `v`, these listeners (name, vpc, apis) and these APIs (name, paths in YAML).
fn node(listeners: Listeners<'_>, apis: &[(&str, &str)]) -> Loaded {
    let place = |line| Place { line, column: 1 };
    let document = Document {
        file: PathBuf::from("gateway.toml"),
        node: Node {
            region: "r".to_owned(),
            account: "1".to_owned(),
            workers: 1,
            cache_megabytes: 64,
            throttle: None,
        },
        control: Control { address: None, store: PathBuf::from("store") },
        bans: super::super::Bans::default(),
        xdp: Xdp { mode: XdpMode::Off, ..Xdp::default() },
        vpcs: vec![Vpc { id: "v".to_owned(), cidrs: vec!["10.0.0.0/8".parse().unwrap()], place: place(1) }],
        listeners: listeners
            .iter()
            .map(|(name, vpc, apis)| Listener {
                name: (*name).to_owned(),
                address: "127.0.0.1:80".parse().unwrap(),
                vpc: vpc.map(str::to_owned),
                apis: apis.map(|apis| apis.iter().map(|api| (*api).to_owned()).collect()),
                limits: SourceLimits::NONE,
                dry_run: false,
                trusted_proxies: Vec::new(),
                proxy_protocol: false,
                place: place(10),
            })
            .collect(),
        api_keys: Vec::new(),
        usage_plans: Vec::new(),
        apis: apis
            .iter()
            .enumerate()
            .map(|(at, (name, _))| ApiEntry {
                name: (*name).to_owned(),
                id: Some(format!("id{at}")),
                file: PathBuf::from(format!("{name}.yaml")),
                stage: "prod".to_owned(),
                hosts: Vec::new(),
                stage_variables: [("backend".to_owned(), "b:1".to_owned())].into(),
                settings: Stage::default(),
                setting_places: BTreeMap::new(),
                owner: None,
                deployment_id: None,
                release: crate::model::Release::Whole,
                place: place(20 + at),
            })
            .collect(),
        domains: Vec::new(),
    };
    let read = |(name, paths): &(&str, &str)| {
        let text = format!("swagger: '2.0'\ninfo: {{title: t, version: '1'}}\n{paths}");
        let file = PathBuf::from(format!("{name}.yaml"));
        Ok(Arc::new(openapi::import(&file, &text).unwrap_or_else(|errors| panic!("{errors:#?}")).api))
    };
    Loaded::of(document, apis.iter().map(read).collect(), Vec::new(), Sources::default())
}

const PUBLIC: Listeners<'static> = &[("public", None, None)];
const EMPTY: &str = "paths: {}\nx-amazon-apigateway-endpoint-configuration: {types: [REGIONAL]}\n";
const PRIVATE: &str = "paths: {}\nx-amazon-apigateway-endpoint-configuration: {types: [PRIVATE]}\n";

fn errors(loaded: &Loaded) -> Vec<Diagnostic> {
    compile(loaded, &Remembered::default(), 1).err().unwrap_or_default()
}

#[test]
fn the_kernel_rule_of_every_listener() {
    let listeners: Listeners<'_> = &[
        ("public", None, None),
        ("vpce", Some("v"), None),
        ("both", Some("v"), Some(&["open", "shut"])),
        ("shut", Some("v"), Some(&["shut"])),
        ("open", None, Some(&["open"])),
        ("none", Some("v"), Some(&[])),
    ];
    let node = compiled(&node(listeners, &[("open", EMPTY), ("shut", PRIVATE)]), &Remembered::default());
    let private: Vec<_> = node.listeners.iter().map(|listener| listener.kernel_private).collect();
    assert_eq!(private, [false, true, false, true, false, true]);
    let where_enforced: Vec<_> =
        endpoint::kernel_enforced(&node, 1).into_iter().map(|(at, place)| (at, place.as_str())).collect();
    assert_eq!(
        where_enforced,
        [(1, "enforced in the kernel"), (2, "at L7 (shared listener)"), (3, "enforced in the kernel")]
    );
}

#[test]
fn an_api_with_errors_is_left_out_and_its_listener_stays_dedicated() {
    let mut loaded =
        node(&[("public", None, None), ("two", None, Some(&["two"]))], &[("one", EMPTY), ("two", EMPTY)]);
    loaded.apis[1] = Err(Vec::new());
    let node = compiled(&loaded, &Remembered::default());
    assert_eq!((node.apis.len(), node.listeners[1].apis.as_deref()), (1, Some(&[][..])));
    let request = "GET /prod/x HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(status(&walk(&node, "two", "127.0.0.1", request)).0, 403);
    // Two APIs are configured: the one that is left does not answer for any host.
    assert_eq!(status(&walk(&node, "public", "127.0.0.1", request)).1, "{\"message\":\"Forbidden\"}");
}

#[test]
fn errors_of_the_node_name_the_line_and_the_remedy() {
    let mut no_id = node(PUBLIC, &[("a", EMPTY)]);
    no_id.document.apis[0].id = None;
    let mut twins = node(PUBLIC, &[("a", EMPTY), ("b", EMPTY)]);
    twins.document.apis[1].id = twins.document.apis[0].id.clone();
    let mut hosts = node(PUBLIC, &[("a", EMPTY), ("b", EMPTY)]);
    hosts.document.apis[0].hosts = vec!["a.example".to_owned()];
    hosts.document.apis[1].hosts = vec!["A.Example".to_owned()];
    for (loaded, line, what) in [
        (no_id, 20, "no id"),
        (twins, 21, "the id and the stage"),
        (hosts, 21, "belongs to `a`"),
        (node(&[("l", Some("w"), None)], &[]), 10, "there is no VPC `w`"),
        (node(&[("l", None, Some(&["x"]))], &[]), 10, "there is no API `x`"),
        (node(&[("l", None, Some(&["a"]))], &[("a", PRIVATE)]), 10, "belongs to no VPC"),
    ] {
        let found = errors(&loaded);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].what.contains(what) && found[0].place.line == line, "{found:?}");
        assert!(found[0].file == Path::new("gateway.toml") && !found[0].instead.is_empty(), "{found:?}");
    }
    let mut remembered = Remembered::default();
    let mut drawn = node(PUBLIC, &[("a", EMPTY)]);
    drawn.document.apis[0].id = None;
    remembered.ids.insert("a".to_owned(), "drawn12345".to_owned());
    assert_eq!(compiled(&drawn, &remembered).apis[0].id, "drawn12345");
}

#[test]
fn a_drawn_id_belongs_to_one_api() {
    let mut remembered = Remembered::default();
    remembered.ids.insert("a".to_owned(), "drawn12345".to_owned());
    let mut loaded = node(PUBLIC, &[("a", EMPTY), ("b", EMPTY)]);
    loaded.document.apis[0].id = None;
    loaded.document.apis[1].stage = "beta".to_owned();
    for (fixed, line) in [(Some("drawn12345"), 21), (None, 21)] {
        loaded.document.apis[1].id = fixed.map(str::to_owned);
        remembered.ids.insert("b".to_owned(), "drawn12345".to_owned());
        let found = compile(&loaded, &remembered, 1).unwrap_err();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].what.contains("`drawn12345`, which was drawn for"), "{found:?}");
        assert_eq!((&found[0].file, found[0].place.line), (&loaded.document.file, line));
    }
    // An id that is fixed sets aside the one that was drawn.
    loaded.document.apis[1].id = Some("another123".to_owned());
    assert!(compile(&loaded, &remembered, 1).is_ok());
}

#[test]
fn any_host_means_the_one_api_that_a_listener_serves() {
    let listeners: Listeners<'_> = &[
        ("public", None, None),
        ("vpce", Some("v"), None),
        ("both", Some("v"), Some(&["shut", "open"])),
        ("two", None, Some(&["open", "other"])),
        ("alone", Some("v"), Some(&["open"])),
    ];
    let any_host = |loaded: &Loaded| {
        let node = compiled(loaded, &Remembered::default());
        let reached = |listener| {
            let asked = Asked {
                listener,
                host: "h",
                path: "/prod/x",
                method: crate::http::Method::Get,
                api_id: None,
            };
            node.routes.reach(&asked).ok().map(|reached| node.apis[reached.api].name.clone())
        };
        (0..listeners.len()).map(reached).collect::<Vec<_>>()
    };
    let name = |name: &str| Some(name.to_owned());
    let twice = node(&[("twice", None, Some(&["open", "open"]))], &[("open", EMPTY), ("other", EMPTY)]);
    let four = node(listeners, &[("open", EMPTY), ("shut", PRIVATE), ("other", EMPTY), ("more", PRIVATE)]);
    let two = &listeners[..3];
    let mut broken = node(two, &[("open", EMPTY), ("shut", PRIVATE)]);
    assert_eq!(any_host(&four), [None, None, None, None, name("open")]);
    assert_eq!(any_host(&broken)[..3], [name("open"), name("shut"), None]);
    // One that did not load may be served too: the other does not take its URL.
    broken.apis[1] = Err(Vec::new());
    assert_eq!(any_host(&broken)[..3], [None, None, None]);
    assert_eq!(any_host(&twice)[0], name("open"));
}

#[test]
fn a_private_api_beside_others_is_a_warning_per_listener() {
    let listeners: Listeners<'_> = &[
        ("public", None, None),
        ("vpce", Some("v"), None),
        ("own", Some("v"), Some(&["shut"])),
        ("both", Some("v"), Some(&["open", "shut", "tight"])),
    ];
    let node = node(listeners, &[("open", EMPTY), ("shut", PRIVATE), ("tight", PRIVATE)]);
    let (_, warnings) = compile(&node, &Remembered::default(), 1).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(
        warnings[0].what,
        "the listener `both` serves the PRIVATE API shut, tight beside others (open): outsiders are refused by the \
         worker (403), not in the kernel"
    );
    let instead = "a listener of its own (apis = [\"shut\"], vpc = \"v\") closes it in the kernel";
    assert_eq!(warnings[0].instead, instead);
    assert_eq!(warnings[0].place, node.document.listeners[3].place);
}

#[test]
fn what_nobody_can_reach_is_a_warning() {
    for (listeners, api, warned) in [
        (PUBLIC, PRIVATE, true),
        (PUBLIC, EMPTY, false),
        (&[("v", Some("v"), None)], EMPTY, true),
        (&[("v", Some("v"), None)], PRIVATE, false),
        (&[("v", Some("v"), None)], "paths: {}\n", true), // AWS's default is EDGE
        (&[("l", Some("v"), Some(&[]))], EMPTY, true),
    ] {
        let (_, warnings) = compile(&node(listeners, &[("a", api)]), &Remembered::default(), 1).unwrap();
        let found = warnings.iter().any(|warning| warning.what.contains("serves it"));
        assert_eq!(found, warned, "{listeners:?} {api}: {warnings:?}");
    }
}

#[test]
fn errors_of_an_api_name_its_file_and_line() {
    let integration = |uri: &str| {
        format!(
            "paths:\n  /x:\n    get:\n      x-amazon-apigateway-integration:\n        type: http_proxy\n        \
             httpMethod: GET\n        uri: {uri}\n"
        )
    };
    for (api, line, what) in [
        (integration("http://${stageVariables.none}/"), 9, "`none` is not set"),
        (integration("http://b/../x"), 9, "dot segments"),
        ("paths: {}\nx-amazon-apigateway-policy: {Version: '2012-10-17', Statement: [{Effect: Allow, Principal: '*', \
          Action: '*', Resource: '*', Condition: {IpAddress: {'aws:SourceIp': home}}}]}\n"
            .to_owned(), 4, "`home` is no"),
    ] {
        let found = errors(&node(PUBLIC, &[("a", &api)]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].what.contains(what) && found[0].file == Path::new("a.yaml"), "{found:?}");
        assert_eq!(found[0].place.line, line, "{found:?}");
    }
}

#[test]
fn resource_ids_are_six_characters_that_stay() {
    let method = |path: &str| {
        let paths =
            format!("paths:\n  {path}:\n    get:\n      x-amazon-apigateway-integration: {{type: mock}}\n");
        compiled(&node(PUBLIC, &[("a", &paths)]), &Remembered::default()).apis[0].methods[0]
            .resource_id
            .clone()
    };
    let (one, two) = (method("/pets"), method("/pets/{id}"));
    assert!(one.len() == 6 && one != two && one == method("/pets"), "{one} {two}");
}

#[test]
fn limits_that_nobody_enforces_are_said() {
    let folder = std::env::temp_dir().join(format!("gateway-limits-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let told = |xdp: &str| {
        let listener = "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:80\"\n";
        let file = folder.join("gateway.toml");
        std::fs::write(&file, format!("[xdp]\n{xdp}\n{listener}")).unwrap();
        let warnings = compile(&load(&file).unwrap(), &Remembered::default(), 1).unwrap().1;
        warnings.iter().filter(|warning| warning.what.contains("nobody enforces")).count()
    };
    let limit = "limit = { packets = \"5/s\" }";
    assert_eq!(told(limit), 1);
    assert_eq!(told(&format!("{limit}\ninterfaces = [\"eth0\"]\nmode = \"off\"")), 1);
    assert_eq!(told(&format!("{limit}\ninterfaces = [\"eth0\"]")), 0);
    assert_eq!(told(""), 0);
    std::fs::remove_dir_all(&folder).unwrap();
}
