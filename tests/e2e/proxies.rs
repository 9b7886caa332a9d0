//! Balancers before a listener: listed ones are believed, by `X-Forwarded-*` or by the PROXY protocol; nobody else is.

use crate::harness::api::{http_proxy, mapped};
use crate::harness::*;

/// A trusted proxy's address; the listener's VPC (127.0.1.0/24) holds another.
const PROXY: &str = "127.0.2.1";
const TRUSTED: &str = "trusted_proxies = [\"127.0.2.0/24\", \"127.0.1.9/32\"]";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

on_both! {
    what_untrusted_peers_say_is_replaced,
    trusted_proxies_are_believed_as_far_as_they_vouch,
    both_the_proxy_and_its_client_must_be_inside_the_vpc,
    a_banned_source_behind_a_proxy_is_refused_and_the_proxy_is_not,
    refusals_behind_a_proxy_ban_the_source_and_never_the_proxy,
    a_proxy_header_names_the_source,
    without_its_proxy_header_a_connection_is_closed,
    a_proxy_header_opens_no_private_api,
}

fn told(upstream: &Upstream) -> [Option<String>; 5] {
    let request = upstream.requests().pop().unwrap();
    ["x-source", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "forwarded"]
        .map(|name| request.field(name).map(str::to_owned))
}

fn api(upstream: &Upstream, endpoint_type: &str) -> Api {
    let proxied = http_proxy("ANY", &format!("http://{}/x", upstream.address));
    let proxied = mapped(proxied, "integration.request.header.X-Source", "context.identity.sourceIp");
    Api::new("a", "aaaaaaaaaa").endpoint(endpoint_type).method("/x", "any", proxied)
}

const SPOOFED: [(&str, &str); 4] = [
    ("X-Forwarded-For", "6.6.6.6, 192.0.2.1"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Port", "443"),
    ("Forwarded", "for=6.6.6.6;proto=https"),
];

fn what_untrusted_peers_say_is_replaced(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(api(&upstream, "REGIONAL")).listener_key(TRUSTED).start();
    let own = gateway.public().port().to_string();
    assert_eq!(gateway.client().request("GET", "/prod/x", "a", &SPOOFED).status, 200);
    let expected = [Some("127.0.0.1"), Some("127.0.0.1"), Some(&own), Some("http"), None];
    assert_eq!(told(&upstream).each_ref().map(Option::as_deref), expected);
}

fn trusted_proxies_are_believed_as_far_as_they_vouch(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(api(&upstream, "REGIONAL")).listener_key(TRUSTED).start();
    let mut proxy = Client::connect_from(PROXY, gateway.public());
    assert_eq!(proxy.request("GET", "/prod/x", "a", &SPOOFED).status, 200);
    let expected = [Some("192.0.2.1"), Some("192.0.2.1, 127.0.2.1"), Some("443"), Some("https"), None]
        .map(|t| t.map(str::to_owned));
    assert_eq!(told(&upstream), expected);
    // The next request of the connection is another client's.
    assert_eq!(proxy.request("GET", "/prod/x", "a", &[("X-Forwarded-For", "2001:db8::7")]).status, 200);
    assert_eq!(told(&upstream)[0].as_deref(), Some("2001:db8::7"));
    assert_eq!(proxy.get("/prod/x").status, 200);
    assert_eq!(told(&upstream)[1].as_deref(), Some(PROXY));
}

fn both_the_proxy_and_its_client_must_be_inside_the_vpc(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io)
        .api(api(&upstream, "PRIVATE"))
        .vpc_listener("vpce", None)
        .listener_key(TRUSTED)
        .start();
    let through = |proxy: &str, source: &str| {
        let mut client = Client::connect_from(proxy, gateway.address("vpce"));
        let fields = [("X-Forwarded-For", source), ("x-apigw-api-id", "aaaaaaaaaa")];
        client.request("GET", "/prod/x", "a", &fields).status
    };
    assert_eq!(through("127.0.1.9", "127.0.1.7"), 200);
    assert_eq!(through("127.0.1.9", "192.0.2.1"), 403, "its client is outside");
    assert_eq!(through(PROXY, "127.0.1.7"), 403, "the proxy is outside: the kernel would drop it");
    assert_eq!(through("127.0.0.1", "127.0.1.7"), 403, "nobody believes it");
    assert_eq!(through("127.0.1.8", "192.0.2.1"), 200, "inside itself, and what it says is not heard");
    assert_eq!(upstream.requests().len(), 2);
}

fn a_banned_source_behind_a_proxy_is_refused_and_the_proxy_is_not(io: Io) {
    let upstream = Upstream::echo();
    let gateway = Setup::new(io).api(api(&upstream, "REGIONAL")).listener_key(TRUSTED).start();
    gateway.json(&["ban", "add", "192.0.2.1", "--yes"]);
    let mut proxy = Client::connect_from(PROXY, gateway.public());
    for (source, status) in [("192.0.2.1", 403), ("192.0.2.2", 200), ("192.0.2.1", 403)] {
        let response = proxy.request("GET", "/prod/x", "a", &[("X-Forwarded-For", source)]);
        assert_eq!(response.status, status, "{source}");
    }
    gateway.json(&["ban", "add", "192.0.2.2", "--yes"]);
    assert_eq!(proxy.get("/prod/x").status, 200, "the connection stays");
}

fn refusals_behind_a_proxy_ban_the_source_and_never_the_proxy(io: Io) {
    let upstream = Upstream::echo();
    let setup = Setup::new(io).api(api(&upstream, "REGIONAL")).listener_key(TRUSTED);
    let home = gateway::Home::new(&setup);
    let toml = std::fs::read_to_string(home.config()).unwrap();
    home.write_file(
        "gateway.toml",
        &format!("{toml}[bans]\nautomatic = true\nmalformed = \"5/m\"\nno_route = \"5/m\"\n"),
    );
    let gateway = Gateway::start(home, io);
    let mut proxy = Client::connect_from(PROXY, gateway.public());
    for _ in 0..20 {
        let mut garbage = Client::connect_from(PROXY, gateway.public());
        let _ = garbage.try_send("garbage\r\n\r\n");
        assert_eq!(garbage.response().status, 400);
        assert!(proxy.request("GET", "/prod/none", "a", &[("X-Forwarded-For", "192.0.2.1")]).status == 403);
    }
    eventually("the source is banned", || {
        let list = gateway.json(&["ban", "list"]);
        list.to_string().contains("192.0.2.1")
    });
    assert!(!gateway.json(&["ban", "list"]).to_string().contains("127.0.2."), "the proxy is banned");
    assert_eq!(proxy.get("/prod/x").status, 200);
}

/// Version 2, over IPv4, from `source`, with a TLV.
fn version_2(source: [u8; 4]) -> Vec<u8> {
    let rest = [&source[..], &[127, 0, 0, 1], &[0x9c, 0x40], &[0, 80], &[4, 0, 2, 0, 0]].concat();
    [V2, &[0x21, 0x11, 0, rest.len() as u8], &rest].concat()
}

fn listening_behind_a_balancer(io: Io, upstream: &Upstream) -> Gateway {
    let setup = Setup::new(io).api(api(upstream, "REGIONAL")).listener_key(TRUSTED);
    setup.listener_key("proxy_protocol = \"required\"").start()
}

fn a_proxy_header_names_the_source(io: Io) {
    let upstream = Upstream::echo();
    let gateway = listening_behind_a_balancer(io, &upstream);
    let local = [V2, &[0x20, 0, 0, 0]].concat();
    for (header, source) in [
        (b"PROXY TCP4 192.0.2.1 127.0.0.1 40000 80\r\n".to_vec(), "192.0.2.1"),
        (b"PROXY TCP6 2001:db8::1 ::1 40000 80\r\n".to_vec(), "2001:db8::1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), PROXY),
        (version_2([192, 0, 2, 9]), "192.0.2.9"),
        (local, PROXY),
    ] {
        let mut client = Client::connect_from(PROXY, gateway.public());
        client.send([&header[..], b"GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        assert_eq!(client.response().status, 200, "{source}");
        assert_eq!(told(&upstream)[0].as_deref(), Some(source));
        let mut slowly = Client::connect_from(PROXY, gateway.public());
        for byte in header {
            slowly.send([byte]);
        }
        for _ in 0..2 {
            assert_eq!(slowly.request("GET", "/prod/x", "a", &SPOOFED[..1]).status, 200, "{source}");
        }
        // The client whom the balancer names is no trusted proxy itself; the balancer is.
        let expected = if source == PROXY { "192.0.2.1" } else { source };
        assert_eq!(told(&upstream)[0].as_deref(), Some(expected));
    }
    let mut open = Client::connect_from(PROXY, gateway.public());
    open.send(version_2([192, 0, 2, 77]));
    assert_eq!(open.get("/prod/x").status, 200);
    for how in ["--plan", "--yes"] {
        let cut = gateway.json(&["ban", "add", "192.0.2.77", how]);
        assert_eq!(cut["connections"], 1, "{how}: by the name of its header");
    }
    gateway.json(&["ban", "add", "192.0.2.9", "--yes"]);
    Client::assert_shut_out(PROXY, gateway.public(), version_2([192, 0, 2, 9]));
}

fn without_its_proxy_header_a_connection_is_closed(io: Io) {
    let upstream = Upstream::echo();
    let gateway = listening_behind_a_balancer(io, &upstream);
    for (from, header) in [
        (PROXY, &b""[..]),
        (PROXY, b"PROXY TCP4 192.0.2.1 127.0.0.1 40000 080\r\n"),
        (PROXY, b"PROXY TCP4 192.0.2.1 127.0.0.1 40000 80\n"),
        ("127.0.0.1", b"PROXY TCP4 192.0.2.1 127.0.0.1 40000 80\r\n"),
    ] {
        let request = b"GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n";
        Client::assert_shut_out(from, gateway.public(), [header, request].concat());
    }
    assert_eq!(upstream.connections(), 0);
}

fn a_proxy_header_opens_no_private_api(io: Io) {
    let upstream = Upstream::echo();
    let setup =
        Setup::new(io).api(api(&upstream, "PRIVATE")).vpc_listener("vpce", None).listener_key(TRUSTED);
    let gateway = setup.listener_key("proxy_protocol = \"required\"").start();
    let through = |balancer: &str, source: [u8; 4]| {
        let mut client = Client::connect_from(balancer, gateway.address("vpce"));
        client.send(version_2(source));
        client.request("GET", "/prod/x", "a", &[("x-apigw-api-id", "aaaaaaaaaa")]).status
    };
    assert_eq!(through("127.0.1.9", [127, 0, 1, 7]), 200);
    assert_eq!(through("127.0.1.9", [192, 0, 2, 1]), 403);
    assert_eq!(through(PROXY, [127, 0, 1, 7]), 403);
}
