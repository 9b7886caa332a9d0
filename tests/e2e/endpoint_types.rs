//! REGIONAL, EDGE and PRIVATE with XDP off: the worker's rule, and switching it live.

use crate::harness::api::mock;
use crate::harness::client::Broken;
use crate::harness::gateway::{INSIDE, OUTSIDE};
use crate::harness::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Listeners: `public`; `vpce`, of the VPC; `orders`, of the VPC and dedicated to the API orders.
fn node(io: Io, endpoint_type: &str) -> Gateway {
    let orders = Api::new("orders", "0rders0rd0").method("/x", "get", mock(200)).endpoint(endpoint_type);
    Setup::new(io).api(orders).vpc_listener("vpce", None).vpc_listener("orders", Some(&["orders"])).start()
}

/// The status, or 0 when the connection is closed without an answer.
fn ask(gateway: &Gateway, listener: &str, source: &str) -> u16 {
    let mut client = Client::connect_from(source, gateway.address(listener));
    let _ = client.try_send("GET /prod/x HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.try_response().map_or(0, |response| {
        if response.status == 403 {
            assert_eq!(response.message(), "Forbidden");
        }
        response.status
    })
}

/// (listener, from inside, from outside)
type Expected = [(&'static str, u16, u16); 3];

const OPEN: Expected = [("public", 200, 200), ("vpce", 403, 403), ("orders", 200, 200)];
const PRIVATE: Expected = [("public", 403, 403), ("vpce", 200, 403), ("orders", 200, 403)];

fn assert_served(gateway: &Gateway, endpoint_type: &str) {
    let expected = if endpoint_type == "PRIVATE" { PRIVATE } else { OPEN };
    for (listener, inside, outside) in expected {
        assert_eq!(ask(gateway, listener, INSIDE), inside, "{endpoint_type} at {listener} from inside");
        assert_eq!(ask(gateway, listener, OUTSIDE), outside, "{endpoint_type} at {listener} from outside");
    }
}

on_both! {
    each_type_is_served_where_it_belongs,
    types_switch_live_in_any_direction,
    a_switch_survives_a_restart_and_a_reload,
    connections_that_are_no_longer_allowed_are_closed,
    a_tunnel_that_is_no_longer_allowed_is_closed,
    an_answer_without_end_to_an_outsider_is_cut_on_a_shared_listener_too,
    an_entitled_client_never_notices_a_switch,
    several_workers_obey_the_same_switch,
    an_api_without_a_private_door_says_so_before_it_is_switched,
}

fn each_type_is_served_where_it_belongs(io: Io) {
    for endpoint_type in ["REGIONAL", "EDGE", "PRIVATE"] {
        assert_served(&node(io, endpoint_type), endpoint_type);
    }
}

fn types_switch_live_in_any_direction(io: Io) {
    let gateway = node(io, "REGIONAL");
    for endpoint_type in ["PRIVATE", "EDGE", "REGIONAL", "EDGE", "PRIVATE", "REGIONAL"] {
        gateway.set_endpoint("orders", endpoint_type);
        assert_served(&gateway, endpoint_type);
    }
}

fn a_switch_survives_a_restart_and_a_reload(io: Io) {
    let gateway = node(io, "REGIONAL");
    gateway.set_endpoint("orders", "PRIVATE");
    let gateway = gateway.restart();
    assert_served(&gateway, "PRIVATE");
    gateway.json(&["apply", "--yes"]);
    assert_served(&gateway, "PRIVATE");
}

fn connections_that_are_no_longer_allowed_are_closed(io: Io) {
    let gateway = node(io, "REGIONAL");
    let mut outside = Client::connect_from(OUTSIDE, gateway.address("orders"));
    let mut inside = Client::connect_from(INSIDE, gateway.address("orders"));
    assert_eq!((outside.get("/prod/x").status, inside.get("/prod/x").status), (200, 200));
    gateway.set_endpoint("orders", "PRIVATE");
    outside.assert_closed();
    assert_eq!(inside.get("/prod/x").status, 200, "the entitled client keeps its connection");
}

fn a_tunnel_that_is_no_longer_allowed_is_closed(io: Io) {
    let upstream = Upstream::start(|connection| {
        connection.head();
        connection.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
        while let Some(bytes) = connection.some() {
            connection.send(bytes);
        }
    });
    let proxy = api::http_proxy("ANY", &format!("http://{}/x", upstream.address));
    let orders = Api::new("orders", "0rders0rd0").method("/x", "any", proxy);
    let gateway = Setup::new(io).api(orders).vpc_listener("orders", Some(&["orders"])).start();
    let [mut outside, mut inside] = [OUTSIDE, INSIDE].map(|source| {
        let mut client = Client::connect_from(source, gateway.address("orders"));
        client.send("GET /prod/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
        assert_eq!(client.head().unwrap().0, 101);
        client
    });
    gateway.set_endpoint("orders", "PRIVATE");
    outside.assert_closed();
    inside.send("still here");
    assert_eq!(inside.take(10).unwrap(), b"still here");
}

fn an_answer_without_end_to_an_outsider_is_cut_on_a_shared_listener_too(io: Io) {
    let upstream = Upstream::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while connection.send("5\r\nagain\r\n") {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    });
    let endless = api::http_proxy("ANY", &format!("http://{}/x", upstream.address));
    let orders = Api::new("orders", "0rders0rd0").method("/x", "any", endless);
    let other = Api::new("other", "0ther0ther").method("/x", "get", mock(200));
    let gateway = Setup::new(io).api(orders).api(other).vpc_listener("vpce", None).start();
    let mut outside = Client::connect_from(OUTSIDE, gateway.address("public"));
    outside.send("GET /prod/x HTTP/1.1\r\nHost: 0rders0rd0.execute-api.local\r\n\r\n");
    assert_eq!(outside.head().unwrap().0, 200);
    gateway.set_endpoint("orders", "PRIVATE");
    let cut = (0..20_000).find_map(|_| outside.take(1).err());
    assert!(matches!(cut, Some(Broken::Ended { .. } | Broken::Reset)), "{cut:?}");
}

fn an_entitled_client_never_notices_a_switch(io: Io) {
    let gateway = Arc::new(node(io, "REGIONAL"));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = [true, false]
        .map(|keeps| {
            let (gateway, stop) = (Arc::clone(&gateway), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut served = 0_u32;
                let mut client = Client::connect_from(INSIDE, gateway.address("orders"));
                while !stop.load(Ordering::SeqCst) {
                    if !keeps {
                        client = Client::connect_from(INSIDE, gateway.address("orders"));
                    }
                    assert_eq!(client.get("/prod/x").status, 200);
                    served += 1;
                }
                served
            })
        })
        .into();
    for endpoint_type in ["PRIVATE", "REGIONAL", "PRIVATE", "EDGE"].repeat(5) {
        gateway.set_endpoint("orders", endpoint_type);
        if endpoint_type == "PRIVATE" {
            assert_eq!(ask(&gateway, "orders", OUTSIDE), 403);
        }
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        assert!(client.join().expect("no request of an entitled client fails") > 20);
    }
}

fn several_workers_obey_the_same_switch(io: Io) {
    let orders = Api::new("orders", "0rders0rd0").method("/x", "get", mock(200));
    let gateway = Setup::new(io).api(orders).workers(3).vpc_listener("orders", Some(&["orders"])).start();
    for endpoint_type in ["PRIVATE", "REGIONAL", "PRIVATE"] {
        gateway.set_endpoint("orders", endpoint_type);
        for _ in 0..30 {
            let expected = if endpoint_type == "PRIVATE" { 403 } else { 200 };
            assert_eq!(ask(&gateway, "orders", OUTSIDE), expected, "{endpoint_type}");
            assert_eq!(ask(&gateway, "orders", INSIDE), 200, "{endpoint_type}");
        }
    }
}

fn an_api_without_a_private_door_says_so_before_it_is_switched(io: Io) {
    let lonely = Api::new("lonely", "l0nelyl0ne").method("/x", "get", mock(200));
    let gateway = Setup::new(io).api(lonely).start();
    let plan = gateway.command(&["api", "set-endpoint", "lonely", "PRIVATE", "--yes"]);
    let said = [plan.stdout, plan.stderr].concat();
    let said = String::from_utf8_lossy(&said).to_lowercase();
    assert!(
        said.contains("listener") || said.contains("vpc"),
        "nobody could reach it, and nothing says so: {said}"
    );
}
