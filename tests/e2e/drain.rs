//! SIGTERM: what runs is finished, nothing new begins, the process ends with 0.

use crate::harness::*;
use std::sync::Mutex;
use std::sync::mpsc;

on_both! {
    a_request_that_runs_is_finished,
    an_idle_gateway_ends_at_once,
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

fn the_control_socket_of_a_killed_process_does_not_stop_the_next(io: Io) {
    let gateway = Setup::new(io).api(echo_api(Upstream::nobody())).start();
    let gateway = gateway.restart();
    assert_eq!(gateway.client().get("/prod/x").status, 504);
    gateway.json(&["status"]);
}
