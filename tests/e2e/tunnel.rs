//! Upgrades: a connection that becomes a tunnel, both ways, until either side ends.

use crate::harness::*;

const ASK: &str = "GET /prod/socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Accepts the upgrade and sends back whatever comes.
fn echoing() -> Upstream {
    Upstream::start(|connection| {
        while let Some(request) = connection.head() {
            if request.field("upgrade").is_none() {
                connection.answer(200, "plain");
                continue;
            }
            assert_eq!(request.field("upgrade"), Some("websocket"));
            assert!(request.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")));
            assert_eq!(request.field("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
            connection.send(SWITCH);
            while let Some(bytes) = connection.some() {
                connection.send(bytes);
            }
            return;
        }
    })
}

fn opened(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send(ASK);
    let (status, fields) = client.head().unwrap();
    assert_eq!(status, 101);
    let field = |wanted: &str| {
        fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
    };
    assert_eq!(field("upgrade"), Some("websocket"));
    assert!(field("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")));
    assert_eq!(field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    client
}

on_both! {
    bytes_pass_both_ways,
    a_tunnel_ends_with_its_listener,
    large_transfers_pass_both_ways_at_once,
    what_is_sent_with_the_handshake_is_not_lost,
    the_end_of_one_side_reaches_the_other,
    an_upstream_that_ends_the_tunnel_ends_the_client,
    a_refused_upgrade_is_an_ordinary_answer,
    an_upgrade_that_nobody_asked_for_is_a_broken_answer,
    a_switch_to_nothing_or_to_h2c_is_a_broken_answer,
}

fn bytes_pass_both_ways(io: Io) {
    let upstream = echoing();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = opened(&gateway);
    for round in 0..20_u8 {
        let frame = vec![round; 1 + usize::from(round) * 997];
        client.send(&frame);
        assert_eq!(client.take(frame.len()).unwrap(), frame);
    }
    // Looks like HTTP, is not: the gateway no longer reads it.
    client.send("GET /prod/none HTTP/1.1\r\n\r\n");
    assert_eq!(client.take(27).unwrap(), b"GET /prod/none HTTP/1.1\r\n\r\n");
}

fn large_transfers_pass_both_ways_at_once(io: Io) {
    let upstream = Upstream::start(|connection| {
        connection.head();
        connection.send(SWITCH);
        let mut seen = 0;
        while seen < 8 << 20 {
            let Some(bytes) = connection.some() else { return };
            seen += bytes.len();
            connection.send(&bytes);
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = opened(&gateway);
    let mut left = 8 << 20;
    for _ in 0..128 {
        client.send(vec![7; 64 << 10]);
        while left > 8 << 20 {
            left -= client.skip();
        }
    }
    while left > 0 {
        let got = client.skip();
        assert_ne!(got, 0, "closed with {left} bytes to come");
        left -= got;
    }
}

fn what_is_sent_with_the_handshake_is_not_lost(io: Io) {
    let upstream = Upstream::start(|connection| {
        connection.head();
        connection.send(format!("{SWITCH}hello"));
        while let Some(bytes) = connection.some() {
            connection.send(bytes);
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    client.send(format!("{ASK}early"));
    assert_eq!(client.head().unwrap().0, 101);
    assert_eq!(client.take(10).unwrap(), b"helloearly");
}

fn the_end_of_one_side_reaches_the_other(io: Io) {
    let upstream = Upstream::start(|connection| {
        connection.head();
        connection.send(SWITCH);
        let mut all = Vec::new();
        while let Some(bytes) = connection.some() {
            all.extend(bytes);
        }
        // Only the client's direction ended: ours is still open.
        connection.send(format!("got {}", all.len()));
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = opened(&gateway);
    client.send(vec![1; 100_000]);
    client.half_close();
    assert_eq!(client.until_close().unwrap(), b"got 100000");
}

fn an_upstream_that_ends_the_tunnel_ends_the_client(io: Io) {
    let upstream = Upstream::start(|connection| {
        connection.head();
        connection.send(format!("{SWITCH}bye"));
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = opened(&gateway);
    assert_eq!(client.until_close().unwrap(), b"bye");
}

fn a_refused_upgrade_is_an_ordinary_answer(io: Io) {
    let upstream = Upstream::start(|connection| {
        while connection.request().is_some() {
            connection.answer(200, "no sockets here");
        }
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut client = gateway.client();
    client.send(ASK);
    assert_eq!(client.response().text(), "no sockets here");
    assert_eq!(client.get("/prod/x").status, 200, "the connection speaks HTTP still");
}

fn an_upgrade_that_nobody_asked_for_is_a_broken_answer(io: Io) {
    let upstream = Upstream::start(|connection| {
        connection.request();
        connection.send(SWITCH);
        connection.some();
    });
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    assert_eq!(gateway.client().get("/prod/x").status, 502);
}

fn a_tunnel_ends_with_its_listener(io: Io) {
    let upstream = echoing();
    let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let free = Upstream::nobody();
    let toml = std::fs::read_to_string(gateway.home.config()).unwrap();
    let more = format!("{toml}\n[[listener]]\nname = \"more\"\naddress = \"{free}\"\n");
    gateway.home.write_file("gateway.toml", &more);
    gateway.json(&["apply", "--yes"]);
    let mut client = Client::connect(free);
    client.send(ASK);
    assert_eq!(client.head().unwrap().0, 101);
    gateway.home.write_file("gateway.toml", &toml);
    gateway.json(&["apply", "--yes"]);
    client.assert_closed();
}

fn a_switch_to_nothing_or_to_h2c_is_a_broken_answer(io: Io) {
    for fields in ["", "Upgrade: websocket\r\n", "Connection: Upgrade\r\nUpgrade: h2c\r\n"] {
        let upstream = Upstream::start(move |connection| {
            connection.request();
            connection.send(format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n"));
            connection.some();
        });
        let gateway = Setup::new(io).api(echo_api(upstream.address)).start();
        let mut client = gateway.client();
        client.send(ASK);
        assert_eq!(client.response().status, 502, "{fields:?}");
    }
}
