//! Concurrent misses of the stage's cache: one asks the backend, the others wait, and nobody waits in vain.

use crate::cache::{cached, stage_of};
use crate::harness::*;
use serde_json::json;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

on_both! {
    a_hundred_misses_make_one_upstream_request,
    a_leader_whose_backend_fails_lets_one_go_on,
    a_leader_whose_client_leaves_lets_one_go_on,
}

/// Tells of each request, and answers when it is let to: with the body, or (None) not at all.
fn held() -> (Upstream, Receiver<()>, Sender<Option<&'static str>>) {
    let ((tell, told), (allow, allowed)) = (channel(), channel());
    let (tell, allowed) = (Mutex::new(tell), Mutex::new(allowed));
    let upstream = Upstream::start(move |connection| {
        while connection.request().is_some() {
            tell.lock().unwrap().send(()).unwrap();
            let Ok(Some(body)) = allowed.lock().unwrap().recv() else { return };
            connection.answer(200, body);
        }
    });
    (upstream, told, allow)
}

/// Clients that have asked for `/prod/`, so that each is at work on it or waits.
fn crowd(gateway: &Gateway, count: usize) -> Vec<Client> {
    let request = "GET /prod/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut clients: Vec<Client> = (0..count).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send(request);
    }
    clients
}

fn open_connections(gateway: &Gateway) -> u64 {
    let workers = gateway.json(&["status"])["workers"].as_array().unwrap().clone();
    workers.iter().map(|worker| worker["connections_open"].as_u64().unwrap()).sum()
}

fn a_hundred_misses_make_one_upstream_request(io: Io) {
    let (upstream, told, allow) = held();
    let gateway = Setup::new(io).api(cached(&upstream)).workers(2).start();
    let mut clients = crowd(&gateway, 100);
    told.recv_timeout(PATIENCE).unwrap();
    eventually("all are there", || open_connections(&gateway) == 100);
    allow.send(Some("one")).unwrap();
    for client in &mut clients {
        let answer = client.response();
        assert_eq!((answer.status, answer.text()), (200, "one"));
    }
    assert_eq!(upstream.requests().len(), 1);
    let stage = stage_of(&gateway);
    assert_eq!((&stage["hits"], &stage["misses"]), (&json!(99), &json!(1)));
}

fn a_leader_whose_backend_fails_lets_one_go_on(io: Io) {
    let (upstream, told, allow) = held();
    let gateway = Setup::new(io).api(cached(&upstream)).workers(2).start();
    let mut clients = crowd(&gateway, 20);
    told.recv_timeout(PATIENCE).unwrap();
    eventually("all are there", || open_connections(&gateway) == 20);
    allow.send(None).unwrap();
    // The next one asks, and nobody else.
    told.recv_timeout(PATIENCE).unwrap();
    allow.send(Some("second")).unwrap();
    let statuses: Vec<u16> = clients.iter_mut().map(|client| client.response().status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 502).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 19, "{statuses:?}");
    assert_eq!(upstream.requests().len(), 2);
}

fn a_leader_whose_client_leaves_lets_one_go_on(io: Io) {
    let (upstream, told, allow) = held();
    let gateway = Setup::new(io).api(cached(&upstream)).start();
    let leader = crowd(&gateway, 1).remove(0);
    told.recv_timeout(PATIENCE).unwrap();
    let mut others = crowd(&gateway, 5);
    eventually("all are there", || open_connections(&gateway) == 6);
    leader.reset();
    told.recv_timeout(PATIENCE).unwrap();
    // The first answer is the leader's, which nobody reads any more.
    allow.send(Some("nobody's")).unwrap();
    allow.send(Some("others")).unwrap();
    for other in &mut others {
        assert_eq!(other.response().text(), "others");
    }
    assert_eq!(upstream.requests().len(), 2);
}
