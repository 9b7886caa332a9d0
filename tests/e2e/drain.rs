//! SIGTERM: what runs is finished, nothing new begins, the process ends with 0.

use crate::harness::*;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

on_both! {
    a_request_that_runs_is_finished,
    an_idle_gateway_ends_at_once,
    a_second_signal_ends_at_once,
    a_tunnel_goes_on_until_the_drain_ends,
    the_control_socket_of_a_killed_process_does_not_stop_the_next,
}

fn a_request_that_runs_is_finished(io: Io) {
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let upstream = Upstream::start(move |connection| {
        while connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
            gone.lock().unwrap().recv().unwrap();
            connection.send("+last");
        }
    });
    let mut gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut busy = gateway.client();
    busy.send("GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = busy.head().unwrap();
    assert_eq!(head.0, 200);
    let mut idle = gateway.client();
    gateway.signal("TERM");
    idle.assert_closed();
    eventually("nobody is accepted any more", || std::net::TcpStream::connect(gateway.public()).is_err());
    assert!(gateway.ended().is_none(), "a request is still running");
    go.send(()).unwrap();
    assert_eq!(busy.take(10).unwrap(), b"first+last");
    busy.assert_closed();
    eventually("it ends", || gateway.ended().is_some());
    assert!(gateway.ended().unwrap().success(), "{:?}", gateway.ended());
}

fn an_idle_gateway_ends_at_once(io: Io) {
    let mut gateway = Setup::new(io).api(echo_api(Upstream::nobody())).workers(3).start();
    let _idle: Vec<Client> = (0..20).map(|_| gateway.client()).collect();
    gateway.signal("INT");
    eventually("it ends", || gateway.ended().is_some());
    assert!(gateway.ended().unwrap().success());
}

/// Switches protocols and sends back what comes; thinks for ever about everything else.
fn echo_or_think() -> Upstream {
    Upstream::start(|connection| {
        while let Some(request) = connection.head() {
            if request.field("upgrade").is_some() {
                connection.send("HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
                while let Some(bytes) = connection.some() {
                    connection.send(bytes);
                }
            }
        }
    })
}

fn tunnel(gateway: &Gateway) -> Client {
    let mut tunnel = gateway.client();
    tunnel.send("GET /prod/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(tunnel.head().unwrap().0, 101);
    tunnel
}

fn a_second_signal_ends_at_once(io: Io) {
    let upstream = echo_or_think();
    for (first, second) in [("TERM", "TERM"), ("TERM", "INT"), ("INT", "TERM")] {
        let mut gateway = Setup::new(io).api(echo_api(upstream.address)).start();
        let mut tunnel = tunnel(&gateway);
        let mut stuck = gateway.client();
        let before = upstream.connections();
        stuck.send("GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n");
        eventually("the backend thinks", || upstream.connections() > before);
        gateway.signal(first);
        eventually("nobody is accepted any more", || std::net::TcpStream::connect(gateway.public()).is_err());
        tunnel.send("still here");
        assert_eq!(tunnel.take(10).unwrap(), b"still here");
        assert!(gateway.ended().is_none(), "a request and a tunnel are still open");
        let begun = SystemTime::now();
        gateway.signal(second);
        eventually("it ends", || gateway.ended().is_some());
        let took = begun.elapsed().unwrap();
        assert!(took < Duration::from_secs(2), "{first}, {second}: it took {took:?}");
        assert!(gateway.ended().unwrap().success(), "{:?}", gateway.ended());
        stuck.assert_closed();
        tunnel.assert_closed();
    }
}

fn a_tunnel_goes_on_until_the_drain_ends(io: Io) {
    let upstream = echo_or_think();
    let mut gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut tunnel = tunnel(&gateway);
    let mut idle = gateway.client();
    let begun = SystemTime::now();
    gateway.signal("TERM");
    idle.assert_closed();
    while begun.elapsed().unwrap() < Duration::from_secs(8) {
        tunnel.send("ping");
        assert_eq!(tunnel.take(4).unwrap(), b"ping");
        std::thread::sleep(Duration::from_millis(200));
    }
    tunnel.be_patient(Duration::from_secs(20));
    tunnel.assert_closed();
    eventually("it ends", || gateway.ended().is_some());
    let took = begun.elapsed().unwrap();
    assert!((9..14).contains(&took.as_secs()), "10 s were promised, it took {took:?}");
    assert!(gateway.ended().unwrap().success(), "{:?}", gateway.ended());
}

fn the_control_socket_of_a_killed_process_does_not_stop_the_next(io: Io) {
    let gateway = Setup::new(io).api(echo_api(Upstream::nobody())).start();
    let gateway = gateway.restart();
    assert_eq!(gateway.client().get("/prod/x").status, 504);
    gateway.json(&["status"]);
}
