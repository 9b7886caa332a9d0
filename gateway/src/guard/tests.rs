//! The endpoint rule over every listener and type, and the order of the guards.

use super::endpoint::{
    CidrSet, Enforcement, admit, admit_connection, admits_the_same, kernel_enforced, serves,
};
use super::*;
use crate::http::HeadLimits;
use crate::integrate::Integration;
use crate::model::EndpointType::{self, Edge, Private, Regional};
use crate::model::SourceLimits;
use crate::refusal::GatewayResponses;
use crate::route::{ApiDoor, Asked, Table, Tree, parameters_of};
use crate::snapshot::{ApiIndex, Listener, MethodLimits, Vpc};
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

const INSIDE: &str = "10.0.3.4";
const OUTSIDE: &str = "203.0.113.9";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn cidrs(list: &[&str]) -> CidrSet {
    CidrSet::new(&list.iter().map(|cidr| cidr.parse().unwrap()).collect::<Vec<_>>())
}

pub(super) fn api(endpoint_type: EndpointType, methods: Vec<Method>) -> Api {
    Api {
        name: "a".to_owned(),
        id: "a1".to_owned(),
        account: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        stage: "prod".to_owned(),
        deployment_id: None,
        release: crate::model::Release::Whole,
        hosts: Vec::new(),
        default_endpoint: true,
        endpoint_type,
        stage_variables: Vec::new(),
        policy: None,
        api_key_source: Default::default(),
        throttle: None,
        gateway_responses: GatewayResponses::default(),
        binary_media_types: Default::default(),
        minimum_compression_size: None,
        methods,
        cache: None,
        targets: Vec::new(),
    }
}

fn listener(vpc: Option<usize>, apis: Option<Vec<ApiIndex>>, kernel_private: bool) -> Listener {
    let address = "127.0.0.1:1".parse().unwrap();
    Listener {
        name: "vpce-1".to_owned(),
        address,
        vpc,
        apis,
        kernel_private,
        limits: SourceLimits::NONE,
        dry_run: false,
        front: Default::default(),
    }
}

/// APIs 0 REGIONAL, 1 EDGE, 2 PRIVATE. Listeners 0 public, 1 of the VPC, 2 of the VPC and dedicated to all,
/// 3 dedicated to all without a VPC, 4 dedicated to the PRIVATE one and of the VPC.
fn node() -> Snapshot {
    let all = || Some(vec![0, 1, 2]);
    Snapshot {
        generation: 1,
        region: "us-east-1".to_owned(),
        account: "123456789012".to_owned(),
        listeners: vec![
            listener(None, None, false),
            listener(Some(0), None, true),
            listener(Some(0), all(), false),
            listener(None, all(), false),
            listener(Some(0), Some(vec![2]), true),
        ],
        trusted: Vec::new(),
        offences: None,
        vpcs: vec![Vpc { id: "vpc-main".to_owned(), cidrs: cidrs(&["10.0.0.0/16", "fd00:10::/48"]) }],
        apis: [Regional, Edge, Private].map(|kind| api(kind, Vec::new()).into()).into(),
        routes: Table::default(),
        targets: Vec::new(),
        domain_policies: Vec::new(),
        cache: crate::cache::Store::new(0),
        canaries: Vec::new(),
        plans: Default::default(),
    }
}

#[test]
fn the_endpoint_rule_as_a_table() {
    let node = node();
    // (listener, api) → who passes: a(ll), i(nside only), n(obody)
    let table = [['a', 'a', 'n'], ['n', 'n', 'i'], ['a', 'a', 'i'], ['a', 'a', 'n'], ['n', 'n', 'i']];
    for (at, row) in table.iter().enumerate() {
        for (api, who) in row.iter().enumerate() {
            let passes = |source: &str| admit(&node, at, api, ip(source));
            let (inside, outside) = (passes(INSIDE), passes(OUTSIDE));
            match who {
                'a' => assert_eq!((inside, outside), (Ok(()), Ok(())), "{at} {api}"),
                'i' => assert_eq!((inside, outside), (Ok(()), Err(Refusal::OutsideVpc)), "{at} {api}"),
                _ => {
                    assert!(matches!(inside, Err(Refusal::Forbidden(_))), "{at} {api}");
                    assert!(matches!(outside, Err(Refusal::Forbidden(_))), "{at} {api}");
                }
            }
        }
    }
    assert!(matches!(admit(&node, 9, 0, ip(INSIDE)), Err(Refusal::Forbidden(_))));
    assert!(matches!(admit(&node, 0, 9, ip(INSIDE)), Err(Refusal::Forbidden(_))));
    assert!(!serves(false, true, Private) && serves(true, true, Edge) && !serves(true, false, Regional));
}

#[test]
fn connections_are_refused_only_where_the_kernel_refuses_them() {
    let node = node();
    for (at, outside) in [(0, true), (1, false), (2, true), (3, true), (4, false), (9, false)] {
        assert_eq!(admit_connection(&node, at, ip(OUTSIDE)), outside, "{at}");
    }
    assert!(admit_connection(&node, 1, ip(INSIDE)) && admit_connection(&node, 1, ip("::ffff:10.0.3.4")));
    let mut broken = self::node();
    broken.listeners[1].vpc = None;
    assert!(!admit_connection(&broken, 1, ip(INSIDE)), "private without a VPC: nobody");
    let places = [(1, Enforcement::Kernel), (2, Enforcement::Worker), (4, Enforcement::Kernel)];
    assert_eq!(kernel_enforced(&node, 2), places);
    assert_eq!(kernel_enforced(&node, 0), []);
}

#[test]
fn mapped_addresses_are_ipv4() {
    let set = cidrs(&["10.0.0.0/16", "::ffff:192.168.0.0/112", "fd00::/8", "10.0.128.0/17", "192.0.2.1/32"]);
    for (source, inside) in [
        ("10.0.0.0", true),
        ("10.0.255.255", true),
        ("10.1.0.0", false),
        ("9.255.255.255", false),
        ("::ffff:10.0.0.1", true),
        ("192.168.3.4", true),
        ("::ffff:192.168.3.4", true),
        ("192.169.0.0", false),
        ("192.0.2.1", true),
        ("192.0.2.2", false),
        ("fdff::1", true),
        ("fe00::1", false),
        ("::10.0.0.1", false),
    ] {
        assert_eq!(set.contains(ip(source)), inside, "{source}");
    }
    assert!(cidrs(&["0.0.0.0/0"]).contains(ip("255.255.255.255")));
    assert!(!cidrs(&["::/0"]).contains(ip("10.0.0.1")), "all of IPv6 is not IPv4");
    assert!(!CidrSet::default().contains(ip("::")));
}

proptest! {
    #[test]
    fn sets_agree_with_each_cidr_asked(
        nets in prop::collection::vec((any::<u32>(), 0u8..=32), 0..12),
        sources in prop::collection::vec(any::<u32>(), 1..40),
    ) {
        let nets: Vec<ipnet::Ipv4Net> =
            nets.into_iter().map(|(address, length)| ipnet::Ipv4Net::new(address.into(), length).unwrap()).collect();
        let set = CidrSet::new(&nets.iter().copied().map(Into::into).collect::<Vec<_>>());
        let edges = nets.iter().flat_map(|net| {
            let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
            [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
        });
        for source in sources.into_iter().chain(edges) {
            let source = std::net::Ipv4Addr::from(source);
            prop_assert_eq!(set.contains(source.into()), nets.iter().any(|net| net.contains(&source)));
            prop_assert_eq!(set.contains(source.to_ipv6_mapped().into()), set.contains(source.into()));
        }
    }

    /// Whoever may use an API may also connect: the kernel never refuses what the worker would serve.
    #[test]
    fn the_kernel_never_refuses_whom_the_worker_serves(
        source in any::<[u8; 16]>(),
        v4 in any::<bool>(),
        at in 0usize..5,
    ) {
        let source = if v4 {
            IpAddr::from([10, source[0] % 2, source[1], source[2]])
        } else {
            IpAddr::from(source)
        };
        let node = node();
        for api in 0..3 {
            prop_assert!(admit(&node, at, api, source).is_err() || admit_connection(&node, at, source));
        }
    }
}

#[test]
fn only_what_the_rule_looks_at_makes_a_connection_be_judged_again() {
    let type_of = |endpoint_type| Arc::new(api(endpoint_type, Vec::new()));
    type Change<'c> = (bool, &'c dyn Fn(&mut Snapshot));
    let changes: [Change<'_>; 9] = [
        (true, &|node| node.generation += 1),
        (true, &|node| node.apis[0] = type_of(Regional)),
        (false, &|node| node.apis[0] = type_of(Private)),
        (false, &|node| node.apis.truncate(2)),
        (false, &|node| node.apis.swap(0, 2)),
        (false, &|node| node.listeners[0].address.set_port(2)),
        (false, &|node| node.listeners[0].apis = Some(vec![0])),
        (false, &|node| node.listeners[1].kernel_private = true),
        (false, &|node| node.vpcs[0].cidrs = CidrSet::new(&["10.9.0.0/16".parse().unwrap()])),
    ];
    for (at, (same, change)) in changes.into_iter().enumerate() {
        let open = || {
            let mut node = node();
            node.listeners.iter_mut().for_each(|listener| listener.kernel_private = false);
            node
        };
        let mut changed = open();
        change(&mut changed);
        assert_eq!(admits_the_same(&open(), &changed), same, "change {at}");
    }
}

fn method(change: impl FnOnce(&mut Method)) -> Method {
    let mut method = Method {
        resource_path: "/pets/{id}".to_owned(),
        parameters: parameters_of("/pets/{id}").unwrap(),
        resource_id: "r".to_owned(),
        http_method: "ANY".to_owned(),
        authorization: Authorization::None,
        is_limited: false,
        limits: None,
        touches_bodies: false,
        body: None,
        required_parameters: Box::default(),
        integration: Integration::Unsupported("".into()),
        caching: None,
    };
    change(&mut method);
    method
}

/// What the guards say to a request for `/prod/pets/{id}` of a REGIONAL API on a public listener.
fn verdict(method: Method, policy: Option<serde_json::Value>, request: &str) -> Result<(), Refusal> {
    verdict_of(method, policy, request.as_bytes())
}

fn verdict_of(method: Method, policy: Option<serde_json::Value>, request: &[u8]) -> Result<(), Refusal> {
    let mut node = node();
    let mut tree = Tree::default();
    tree.insert("/pets/{id}", "ANY", 0).unwrap();
    let mut api = api(Regional, vec![method]);
    let owner = policy::Owner { region: "us-east-1", account: "123456789012", api: "a1", is_stored: false };
    api.policy = policy.map(|document| policy::Policy::parse(&document, owner).unwrap().policy);
    let door = ApiDoor {
        id: "a1".to_owned(),
        stage: "prod".to_owned(),
        hosts: Vec::new(),
        default_endpoint: true,
        tree: tree.pack().into(),
        hidden: false,
    };
    node.routes = Table::new(vec![door], &node.listeners, &[Some(0)]);
    node.apis[0] = api.into();
    let mut head = RequestHead::new();
    head.parse(request, &HeadLimits::default()).unwrap();
    let asked = Asked { listener: 0, host: "x", path: head.path(), method: head.method(), api_id: None };
    let reached = node.routes.reach(&asked).unwrap();
    let matched = node.routes.find(&asked, reached).unwrap();
    permit(&node, 0, ip(OUTSIDE), &head, matched, moment()).map(|_| ())
}

fn moment() -> Moment {
    #[allow(clippy::disallowed_methods)] // any moment
    Moment { now: std::time::Instant::now(), unix_s: 1_795_366_800, counts: true }
}

const PLAIN: &str = "GET /prod/pets/7 HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn guards_speak_in_their_order() {
    let everything = |m: &mut Method| {
        m.authorization = Authorization::AwsIam;
        m.is_limited = true;
        m.limits = Some(Box::new(MethodLimits { api_key_required: true, ..MethodLimits::default() }));
        m.required_parameters = ["method.request.querystring.q".to_owned()].into();
    };
    let deny = json!({"Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"},
        {"Sid": "No", "Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}]});
    let silent = json!({"Statement": []});
    let denied = |explicit| {
        move |refusal: &Refusal| match refusal {
            Refusal::PolicyDenied { explicit: said, .. } => *said == explicit,
            _ => false,
        }
    };
    assert!(denied(true)(&verdict(method(everything), Some(deny), PLAIN).unwrap_err()));
    // With an authorizer, silence is not yet a no.
    assert_eq!(verdict(method(everything), Some(silent.clone()), PLAIN), Err(Refusal::IamRequired));
    assert!(denied(false)(&verdict(method(|_| {}), Some(silent), PLAIN).unwrap_err()));
    let named = |m: &mut Method| m.authorization = Authorization::Authorizer(None);
    assert_eq!(verdict(method(named), None, PLAIN), Err(Refusal::AuthorizerRequired));
    let asked = |source: &str| {
        let identity_source = Some(source.to_owned());
        let from = crate::model::Authorizer { kind: "REQUEST".into(), identity_source, ..Default::default() };
        let authorizer = authorizer::Authorizer::new(&from, &Default::default()).unwrap();
        method(|m| {
            everything(m);
            m.authorization = Authorization::Authorizer(Some(Arc::new(authorizer)));
        })
    };
    // Before keys and parameters.
    let nobody = verdict(asked("method.request.querystring.q"), None, PLAIN);
    assert!(matches!(nobody, Err(Refusal::Unauthorized(_))), "{nobody:?}");
    let facts =
        "context.stage,context.requestId,context.requestTime,context.identity.sourceIp,context.resourcePath";
    assert_eq!(verdict(asked(facts), None, PLAIN), Err(Refusal::AuthorizerRequired));
    let keyed = |m: &mut Method| {
        everything(m);
        m.authorization = Authorization::None;
    };
    assert_eq!(
        verdict(method(keyed), None, PLAIN),
        Err(Refusal::InvalidApiKey("the request has no x-api-key, or several"))
    );
    assert_eq!(verdict(method(|_| {}), None, PLAIN), Ok(()));
}

/// Bytes that are no UTF-8 do not hide a field from a Deny.
#[test]
fn odd_bytes_help_nobody() {
    let policy = json!({"Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*",
            "Condition": {"StringLike": {"aws:UserAgent": "*bot*"}}}]});
    let mut request = b"GET /prod/pets/7 HTTP/1.1\r\nHost: x\r\nUser-Agent: bot\xff\r\n\r\n".to_vec();
    let refused = Err(Refusal::PolicyDenied { statement: "statement 2".to_owned(), explicit: true });
    assert_eq!(verdict_of(method(|_| {}), Some(policy.clone()), &request), refused);
    request = PLAIN.as_bytes().to_vec();
    assert_eq!(verdict_of(method(|_| {}), Some(policy), &request), Ok(()));
}

#[test]
fn required_parameters_are_named_in_the_order_of_their_full_names() {
    let required = [
        "method.request.header.x-Token",
        "method.request.path.id",
        "method.request.path.issuer",
        "method.request.querystring.q.1",
        "method.request.querystring.r",
    ];
    let wants = || method(|m| m.required_parameters = required.map(str::to_owned).into());
    for (request, missing) in [
        (PLAIN, vec!["x-Token", "issuer", "q.1", "r"]),
        (
            "GET /prod/pets/7?q.1=+&r HTTP/1.1\r\nHost: x\r\nX-Token: 1\r\n\r\n",
            vec!["x-Token", "issuer", "q.1", "r"],
        ),
        ("GET /prod/pets/7?q%2E1=a;r=b HTTP/1.1\r\nHost: x\r\nx-Token: 1\r\n\r\n", vec!["issuer"]),
        (
            "GET /prod/pets/7?r=&r=b HTTP/1.1\r\nHost: x\r\nx-Token:  \r\n\r\n",
            vec!["x-Token", "issuer", "q.1"],
        ),
    ] {
        let missing = missing.into_iter().map(str::to_owned).collect();
        assert_eq!(verdict(wants(), None, request), Err(Refusal::MissingParameters(missing)), "{request}");
    }
}
