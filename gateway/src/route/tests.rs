//! Every URL form, every rule of precedence, and a slow obvious oracle.

mod domain_names;

use super::*;
use crate::model::SourceLimits;
use crate::snapshot::Listener;
use proptest::prelude::*;
use std::sync::Arc;

const METHODS: [Method; 8] = [
    Method::Get,
    Method::Head,
    Method::Post,
    Method::Put,
    Method::Patch,
    Method::Delete,
    Method::Options,
    Method::Other,
];

fn tree(resources: &[(&str, &str)]) -> Packed {
    growing(resources).pack()
}

fn growing(resources: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::default();
    for (index, (method, path)) in resources.iter().enumerate() {
        tree.insert(path, method, index).unwrap();
    }
    tree
}

/// The index of the resource that owns the request, and what it captured.
fn found(tree: &Packed, method: Method, path: &str) -> Option<(usize, Vec<String>)> {
    let (index, captures) = tree.find(path, 0..path.len(), method)?;
    let texts = (0..captures.len()).map(|i| path[captures.range(i).unwrap()].to_owned());
    Some((index, texts.collect()))
}

#[test]
fn precedence_goes_back_over_path_and_method() {
    let tree = tree(&[
        ("ANY", "/part1"),
        ("GET", "/part1/hardcoded-value"),
        ("GET", "/{param+}"),
        ("POST", "/test"),
        ("OPTIONS", "/{param+}"),
        ("ANY", "/test/any"),
        ("GET", "/pets/{petId}"),
        ("GET", "/pets/{petId}/toys/{toyId}"),
        ("GET", "/pets/dog"),
        ("DELETE", "/pets/{id}"),
        ("ANY", "/pets/{id}"),
        ("GET", "/"),
        ("GET", "/files/{proxy+}"),
    ]);
    for (method, path, expected) in [
        (Method::Get, "/part1/random-value", Some((2, vec!["part1/random-value"]))),
        (Method::Get, "/part1/hardcoded-value", Some((1, vec![]))),
        (Method::Options, "/part1/hardcoded-value", Some((4, vec!["part1/hardcoded-value"]))),
        (Method::Post, "/test", Some((3, vec![]))),
        (Method::Options, "/test", Some((4, vec!["test"]))),
        (Method::Options, "/test/any", Some((5, vec![]))),
        (Method::Put, "/test", None),
        (Method::Get, "/pets/dog", Some((8, vec![]))),
        (Method::Delete, "/pets/dog", Some((9, vec!["dog"]))),
        (Method::Post, "/pets/dog", Some((10, vec!["dog"]))),
        (Method::Get, "/pets/dog/toys/ball", Some((7, vec!["dog", "ball"]))),
        (Method::Get, "/pets/dog/toys", Some((2, vec!["pets/dog/toys"]))),
        (Method::Head, "/part1", Some((0, vec![]))),
        (Method::Head, "/pets/dog/toys/ball", None),
        (Method::Other, "/part1", None),
        (Method::Get, "/", Some((11, vec![]))),
        (Method::Get, "", Some((11, vec![]))),
        (Method::Post, "/", None),
    ] {
        let expected = expected.map(|(index, texts)| (index, texts.into_iter().map(str::to_owned).collect()));
        assert_eq!(found(&tree, method, path), expected, "{method:?} {path}");
    }
}

#[test]
fn slashes() {
    let tree = tree(&[("GET", "/a"), ("GET", "/files/{proxy+}"), ("GET", "/one/{id}")]);
    for (path, expected) in [
        ("/a", Some((0, None))),
        ("/a/", Some((0, None))),
        ("/a//", None),
        ("/files/x/y/", Some((1, Some("x/y")))),
        ("/files/a//b", Some((1, Some("a//b")))),
        ("/files//b", Some((1, Some("/b")))),
        ("/files/", None),
        ("/files", None),
        ("/files//", None),
        ("/one/7/", Some((2, Some("7")))),
        ("/one//", None),
        ("/one/a%2Fb", Some((2, Some("a%2Fb")))),
        ("a", Some((0, None))),
    ] {
        let seen = found(&tree, Method::Get, path).map(|(index, texts)| (index, texts.first().cloned()));
        assert_eq!(seen, expected.map(|(index, text)| (index, text.map(str::to_owned))), "{path}");
    }
}

#[test]
fn literals_of_the_document_are_normalised_as_requests_are() {
    let tree = tree(&[("GET", "/a b/%7e%2f/é"), ("GET", "/v1:run"), ("GET", "/a%5cb/...")]);
    assert_eq!(found(&tree, Method::Get, "/a%20b/~%2F/%C3%A9"), Some((0, Vec::new())));
    assert_eq!(found(&tree, Method::Get, "/v1:run"), Some((1, Vec::new())));
    assert_eq!(found(&tree, Method::Get, "/a%5Cb/..."), Some((2, Vec::new())));
}

#[test]
fn resources_that_cannot_stand() {
    let deep = "/x".repeat(65);
    for (method, path, why) in [
        ("GET", "pets", Invalid::Segment),
        ("GET", "/a//b", Invalid::Segment),
        ("GET", "/a/../b", Invalid::Segment),
        ("GET", "/%2e", Invalid::Segment),
        ("GET", "/a%zz", Invalid::Segment),
        ("GET", "/a\\b", Invalid::Segment),
        ("GET", "/a%+1", Invalid::Segment),
        ("GET", "/a%0a", Invalid::Segment),
        ("GET", "/%c0%ae", Invalid::Segment),
        ("GET", "/..%5cb", Invalid::Segment),
        ("GET", "/..;v=1", Invalid::Segment),
        ("GET", "/pre{id}", Invalid::Parameter),
        ("GET", "/{id}post", Invalid::Parameter),
        ("GET", "/{}", Invalid::Parameter),
        ("GET", "/{a b}", Invalid::Parameter),
        ("GET", "/{proxy+}/more", Invalid::GreedyNotLast),
        ("GET", &deep, Invalid::TooDeep),
        ("TRACE", "/x", Invalid::Method),
        ("GET", "/pets/{other}", Invalid::Duplicate),
    ] {
        let mut tree = growing(&[("GET", "/pets/{petId}")]);
        assert_eq!(tree.insert(path, method, 1), Err(why), "{path}");
    }
    assert_eq!(parameters_of("/a/{b}/{c-d.e}/{f+}").unwrap(), ["b", "c-d.e", "f"]);
}

#[test]
fn captures_past_the_inline_ones_are_kept() {
    let names: String = (0..10).map(|i| format!("/{{p{i}}}")).collect();
    let tree = tree(&[("GET", &names), ("POST", "/{all+}")]);
    let path = "/a/bb/c/d/e/f/g/h/i/jj";
    let (_, texts) = found(&tree, Method::Get, path).unwrap();
    assert_eq!(texts, ["a", "bb", "c", "d", "e", "f", "g", "h", "i", "jj"]);
    // The ten are given back when the method is not there.
    assert_eq!(found(&tree, Method::Post, path), Some((1, vec![path[1..].to_owned()])));
}

/// Both children at every level, and a method that is nowhere: everything is tried, and each node once.
#[test]
fn an_adversarial_tree_is_walked_once() {
    let mut tree = Tree::default();
    let depth = 12;
    for bits in 0..1usize << depth {
        let path: String = (0..depth).map(|i| if bits >> i & 1 == 1 { "/{p}" } else { "/a" }).collect();
        tree.insert(&path, "GET", bits).unwrap();
    }
    let tree = tree.pack();
    let path = "/a".repeat(depth);
    let visits = tree.visits(&path, Method::Post);
    assert_eq!(visits, (1 << (depth + 1)) - 1, "each of the nodes once");
    assert_eq!(found(&tree, Method::Get, &path), Some((0, Vec::new())));
    assert!(tree.visits(&path, Method::Get) <= depth + 1);
    // Long requests cost no more than the tree is deep.
    assert!(tree.visits(&"/a".repeat(4_000), Method::Get) < 1 << (depth + 1));
}

/// Lists every resource that fits, and takes the best by rank of its segments, then the specific method.
fn oracle(resources: &[(String, String)], method: Method, path: &str) -> Option<usize> {
    let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
    let rest = path.strip_prefix('/').unwrap_or(path);
    let asked: Vec<&str> = if rest.is_empty() { Vec::new() } else { rest.split('/').collect() };
    let fits = |(name, resource): &(String, String)| -> Option<(Vec<u8>, bool)> {
        let any = name == "ANY" && method != Method::Other;
        (any || Method::parse(name) == method && method != Method::Other).then_some(())?;
        let segments: Vec<&str> = resource.split('/').filter(|segment| !segment.is_empty()).collect();
        let mut ranks = Vec::new();
        for (i, segment) in segments.iter().enumerate() {
            if segment.ends_with("+}") {
                let all = asked.get(i..).filter(|all| !all.is_empty())?.join("/");
                ranks.push(2);
                return (!all.is_empty()).then_some((ranks, any));
            }
            let text = asked.get(i)?;
            match segment.starts_with('{') {
                true if !text.is_empty() => ranks.push(1),
                false if segment == text => ranks.push(0),
                _ => return None,
            }
        }
        (segments.len() == asked.len()).then_some((ranks, any))
    };
    let all = resources.iter().enumerate().filter_map(|(index, resource)| Some((fits(resource)?, index)));
    all.min().map(|(_, index)| index)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn agrees_with_the_oracle(
        wanted in prop::collection::vec(("GET|POST|ANY", r"(/(a|b|\{x\}|\{y\})){0,4}(/\{p\+\})?"), 1..12),
        paths in prop::collection::vec("(/(a|b|c|)){0,5}/?", 1..8),
    ) {
        let mut tree = Tree::default();
        let mut resources = Vec::new();
        for (method, path) in wanted {
            let path = if path.is_empty() { "/".to_owned() } else { path };
            if tree.insert(&path, &method, resources.len()).is_ok() {
                resources.push((method, path));
            }
        }
        let tree = tree.pack();
        for path in paths {
            for method in METHODS {
                let found = found(&tree, method, &path).map(|(index, _)| index);
                prop_assert_eq!(found, oracle(&resources, method, &path), "{:?} {} in {:?}", method, path, resources);
            }
        }
    }
}

fn listener(vpc: Option<usize>, apis: Option<Vec<ApiIndex>>) -> Listener {
    let address = "127.0.0.1:1".parse().unwrap();
    Listener {
        name: "l".to_owned(),
        address,
        vpc,
        apis,
        kernel_private: false,
        limits: SourceLimits::NONE,
        dry_run: false,
        front: Default::default(),
    }
}

/// 0: public · 1: of a VPC · 2: dedicated to `two` · 3: dedicated to both stages of `one`. `any_host`: what any host
/// means on the first two.
fn table(any_host: Option<ApiIndex>) -> Table {
    let door = |id: &str, stage: &str, host: &[&str]| ApiDoor {
        id: id.to_owned(),
        stage: stage.to_owned(),
        hosts: host.iter().map(|host| (*host).to_owned()).collect(),
        default_endpoint: id != "closed",
        tree: Arc::new(Tree::default().pack()),
        hidden: id == "hidden" || stage == "hidden",
    };
    let doors = vec![
        door("one", "prod", &["One.example.com"]),
        door("one", "beta", &[]),
        door("one-two", "prod", &["restapis.example.com"]),
        door("closed", "prod", &[]),
        door("one", "hidden", &["canary.example.com"]),
        door("hidden", "prod", &[]),
    ];
    let listeners = [
        listener(None, None),
        listener(Some(0), None),
        listener(None, Some(vec![2])),
        listener(None, Some(vec![0, 1])),
    ];
    let domain = |host, paths: &[(&'static str, &'static str, Option<&'static str>)]| {
        let meanings = paths.iter().map(|(path, api, stage)| Meaning { path, api, stage: *stage });
        Domain { host, base_paths: meanings.collect(), private: None }
    };
    let domains = [
        domain(
            "own.example.net",
            &[("", "one-two", Some("prod")), ("a", "one", Some("beta")), ("a/b", "one", None)],
        ),
        domain(
            "*.example.net",
            &[("v1", "closed", Some("prod")), ("gone", "one", Some("none")), ("x", "none", None)],
        ),
        domain("empty.example.net", &[]),
        domain("one.example.com", &[("", "one-two", Some("prod"))]),
        Domain {
            private: Some(Private { listeners: vec![1], policy: 7 }),
            ..domain("in.example.org", &[("", "one", Some("prod")), ("any", "one", None)])
        },
        Domain {
            private: Some(Private { listeners: Vec::new(), policy: 8 }),
            ..domain("own.example.net", &[("", "one", Some("prod"))])
        },
    ];
    Table::new(doors, &listeners, &[any_host, any_host, Some(2), None]).with_domains(&domains)
}

/// The API and the path that its resources see.
fn reach(table: &Table, at: usize, host: &str, path: &str, api_id: Option<&str>) -> Option<(usize, String)> {
    let asked = Asked { listener: at, host, path, method: Method::Get, api_id };
    match table.reach(&asked) {
        Ok(Reached { api, path: range, .. }) => Some((api, path[range].to_owned())),
        Err(Refusal::Forbidden(_)) => None,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn every_url_form() {
    let table = table(None);
    for (at, host, path, expected) in [
        (0, "one.execute-api.us-east-1.amazonaws.com", "/prod/pets/7", Some((0, "/pets/7"))),
        (0, "one.execute-api.local", "/beta", Some((1, ""))),
        (0, "one.execute-api", "/prod/", Some((0, "/"))),
        (0, "one.execute-api.local", "//prod/x", Some((0, "/x"))),
        (0, "one.execute-api.local", "/prod//x", Some((0, "/x"))),
        (0, "one.execute-api.local", "/prod/a//b/", Some((0, "/a//b/"))),
        (0, "one.execute-api.local", "/Prod/x", None),
        (0, "one.execute-api.local", "/", None),
        (0, "one.execute-api.local", "", None),
        (0, "one.execute-apix.local", "/prod/x", None),
        (0, "one-vpce-0a1b.execute-api.local", "/prod/x", Some((0, "/x"))),
        (0, "one-two.execute-api.local", "/prod/x", Some((2, "/x"))),
        (0, "one-two-vpce-1.execute-api.local", "/prod/x", Some((2, "/x"))),
        (0, "none.execute-api.local", "/prod/x", None),
        (0, "one.example.com", "/prod/x", Some((0, "/prod/x"))),
        (0, "one.example.com", "//x", Some((0, "/x"))),
        (
            0,
            "restapis.example.com",
            "/restapis/one/prod/_user_request_/x",
            Some((2, "/restapis/one/prod/_user_request_/x")),
        ),
        (0, "other", "/restapis/one/beta/_user_request_/pets/7", Some((1, "/pets/7"))),
        (0, "other", "/restapis/one/beta/_user_request_", Some((1, ""))),
        (0, "other", "/restapis/one/beta/pets", None),
        (0, "other", "/restapis/none/beta/_user_request_/pets", None),
        (0, "other", "/_aws/execute-api/one/prod/pets", Some((0, "/pets"))),
        (0, "other", "/_aws/execute-api/one/none/pets", None),
        (0, "other", "/_aws/execute-api", None),
        (0, "other", "/prod/pets", None),
        (2, "other", "/prod/pets", Some((2, "/pets"))),
        (2, "other", "/beta/pets", None),
        (2, "one.execute-api.local", "/prod/pets", None),
        (2, "one.example.com", "/pets", None),
        (3, "other", "/beta/pets", None),
        (3, "one.execute-api.local", "/beta/pets", Some((1, "/pets"))),
        (9, "one.execute-api.local", "/beta/pets", None),
    ] {
        let expected = expected.map(|(api, path)| (api, path.to_owned()));
        assert_eq!(reach(&table, at, host, path, None), expected, "{at} {host} {path}");
    }
}

#[test]
fn a_domain_name_means_what_its_longest_base_path_does() {
    let table = table(Some(0));
    for (at, host, path, expected) in [
        (0, "own.example.net", "/x", Some((2, "/x"))),
        (0, "own.example.net", "/", Some((2, "/"))),
        (0, "own.example.net", "", None),
        (0, "own.example.net", "/a", Some((1, ""))),
        (0, "own.example.net", "/a/", Some((1, "/"))),
        (0, "own.example.net", "//a//x", Some((1, "/x"))),
        (0, "own.example.net", "/ab/x", Some((2, "/ab/x"))),
        (0, "own.example.net", "/A/x", Some((2, "/A/x"))),
        (0, "own.example.net", "/a/b/prod/x", Some((0, "/x"))),
        (0, "own.example.net", "/a/b", None),
        (0, "own.example.net", "/a/b/none/x", None),
        (
            0,
            "own.example.net",
            "/restapis/one/prod/_user_request_/x",
            Some((2, "/restapis/one/prod/_user_request_/x")),
        ),
        // An exact name goes before a wildcard, which stands for one label.
        (0, "any.example.net", "/v1/x", Some((3, "/x"))),
        (0, "any.example.net", "/v2/x", None),
        (0, "any.example.net", "/prod/x", None),
        (0, "any.example.net", "/gone/x", None),
        (0, "any.example.net", "/x/prod", None),
        (0, "a.b.example.net", "/v1/x", None),
        (0, "example.net", "/v1/x", None),
        (0, "empty.example.net", "/prod/x", None),
        // A host of a file goes first.
        (0, "one.example.com", "/x", Some((0, "/x"))),
        // Only a domain name means it.
        (0, "closed.execute-api.local", "/prod/x", None),
        (0, "other", "/restapis/closed/prod/_user_request_/x", None),
        // A listener of other APIs stays theirs.
        (3, "own.example.net", "/x", None),
        (3, "own.example.net", "/a/x", Some((1, "/x"))),
    ] {
        let expected = expected.map(|(api, path)| (api, path.to_owned()));
        assert_eq!(reach(&table, at, host, path, None), expected, "{at} {host} {path}");
    }
}

/// A canary answers in its stage's place, and nowhere else.
#[test]
fn nothing_leads_to_what_is_hidden() {
    let table = table(None);
    for (at, host, path, api_id) in [
        (0, "one.execute-api.local", "/hidden/x", None),
        (0, "hidden.execute-api.local", "/prod/x", None),
        (0, "canary.example.com", "/x", None),
        (0, "other", "/restapis/one/hidden/_user_request_/x", None),
        (0, "other", "/_aws/execute-api/hidden/prod/x", None),
        (1, "other", "/hidden/x", Some("one")),
        (0, "own.example.net", "/a/b/hidden/x", None),
        (1, "in.example.org", "/any/hidden/x", None),
        (3, "other", "/hidden/x", None),
    ] {
        assert_eq!(reach(&table, at, host, path, api_id), None, "{at} {host} {path}");
    }
    assert_eq!(reach(&table, 0, "one.execute-api.local", "/beta/x", None), Some((1, "/x".to_owned())));
}

#[test]
fn a_private_domain_name_is_reached_through_its_listeners_alone() {
    let table = table(Some(0));
    let (host, path) = ("in.example.org", "/prod/x");
    let asked = Asked { listener: 1, host, path, method: Method::Get, api_id: None };
    let reached_at = |listener| table.reach(&Asked { listener, ..asked });
    let reached = reached_at(1).unwrap();
    assert_eq!((reached.api, reached.policy), (0, Some(7)));
    let staged = Asked { path: "/any/beta/x", ..asked };
    assert_eq!(table.reach(&staged).map(|reached| (reached.api, reached.policy)), Ok((1, Some(7))));
    assert!(matches!(reached_at(0), Err(Refusal::Forbidden("no base path of this domain name"))));
    // Another one has the name, and is public.
    assert_eq!(reach(&table, 1, "own.example.net", "/x", None), Some((2, "/x".to_owned())));
}

#[test]
fn an_api_knows_where_domain_names_mean_it() {
    let table = table(None);
    assert_eq!(
        table.domains_of(0),
        ["in.example.org", "in.example.org/any/prod", "own.example.net/a/b/prod"]
    );
    assert_eq!(
        table.domains_of(1),
        ["in.example.org/any/beta", "own.example.net/a", "own.example.net/a/b/beta"]
    );
    assert_eq!(table.domains_of(2), ["one.example.com", "own.example.net"]);
    assert_eq!(table.domains_of(3), ["*.example.net/v1"]);
}

#[test]
fn the_api_id_header_is_heard_on_listeners_of_a_vpc_only() {
    let table = table(None);
    let dns = "vpce-0a1b.execute-api.us-east-1.vpce.amazonaws.com";
    assert_eq!(reach(&table, 1, dns, "/beta/x", Some("one")), Some((1, "/x".to_owned())));
    assert_eq!(reach(&table, 1, "10.0.0.5", "/prod/x", Some("one-two")), Some((2, "/x".to_owned())));
    assert_eq!(reach(&table, 1, dns, "/beta/x", Some("none")), None);
    assert_eq!(reach(&table, 0, dns, "/beta/x", Some("one")), None);
    // A host that names an API wins.
    assert_eq!(reach(&table, 1, "one.example.com", "/x", Some("one-two")), Some((0, "/x".to_owned())));
}

#[test]
fn the_only_api_answers_any_host_but_not_for_another_id() {
    let table = table(Some(0));
    assert_eq!(reach(&table, 0, "localhost", "/prod/x", None), Some((0, "/x".to_owned())));
    assert_eq!(reach(&table, 1, "", "/prod/x", None), Some((0, "/x".to_owned())));
    assert_eq!(reach(&table, 0, "none.execute-api.local", "/prod/x", None), None);
}

proptest! {
    #[test]
    fn what_is_reached_lies_in_the_path(host in "[a-z.-]{0,40}", path in "[/a-z_-]{0,60}", at in 0usize..4) {
        for host in [host.as_str(), "one.execute-api.x", "one.example.com", "own.example.net"] {
            let asked = Asked { listener: at, host, path: &path, method: Method::Get, api_id: Some("one") };
            if let Ok(reached) = table(Some(0)).reach(&asked) {
                let seen = path.get(reached.path).expect("a range of the path");
                let one_slash = seen.starts_with('/') && !seen.starts_with("//");
                let whole = ["one.example.com", "own.example.net"].contains(&host);
                prop_assert!(seen.is_empty() || one_slash || whole);
            }
        }
    }
}
