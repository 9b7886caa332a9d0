//! Bans, with XDP off: the workers keep banned sources out.

use crate::harness::api::mock;
use crate::harness::gateway::{INSIDE, OUTSIDE};
use crate::harness::*;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use std::fmt::Write as _;
use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Output;

on_both!(
    a_banned_source_is_cut_at_once_and_comes_back_when_the_ban_is_over,
    bans_outlive_a_kill,
    a_long_list_is_in_force_at_once,
    who_keeps_sending_garbage_is_banned_by_rule,
);

fn start(io: Io) -> Gateway {
    Setup::new(io).workers(2).api(Api::new("echo", "ech0ech0e1").method("/x", "get", mock(200))).start()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Does the connection end without a byte? It may have ended before the client notices that it was made.
pub(crate) fn is_shut_out(gateway: &Gateway, from: &str) -> bool {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(from.parse::<IpAddr>().unwrap(), 0).into()).unwrap();
    if socket.connect_timeout(&gateway.public().into(), PATIENCE).is_err() {
        return true;
    }
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = std::io::Write::write_all(&mut stream, b"GET /prod/x HTTP/1.1\r\nHost: localhost\r\n\r\n");
    match stream.read(&mut [0; 64]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "neither served nor closed");
            true
        }
    }
}

fn banned_connections(gateway: &Gateway) -> u64 {
    let status = gateway.json(&["status"]);
    status["workers"].as_array().unwrap().iter().map(|w| w["connections_banned"].as_u64().unwrap()).sum()
}

fn ranges(list: &Value) -> Vec<&str> {
    list["bans"].as_array().unwrap().iter().map(|ban| ban["range"].as_str().unwrap()).collect()
}

fn a_banned_source_is_cut_at_once_and_comes_back_when_the_ban_is_over(io: Io) {
    let gateway = start(io);
    let mut open = Client::connect_from(OUTSIDE, gateway.public());
    let mut other = Client::connect_from(INSIDE, gateway.public());
    assert_eq!((open.get("/prod/x").status, other.get("/prod/x").status), (200, 200));

    let planned = gateway.json(&["ban", "add", OUTSIDE, "--plan"]);
    assert_eq!((&planned["done"], &planned["connections"]), (&false.into(), &1.into()), "{planned}");
    assert_eq!(open.get("/prod/x").status, 200, "a plan cuts nobody");

    let done = gateway.json(&["ban", "add", OUTSIDE, "--for", "1h", "--reason", "scraper"]);
    assert_eq!((&done["done"], &done["connections"]), (&true.into(), &1.into()), "{done}");
    assert!(open.try_response().is_err(), "cut before the command ended");
    assert!(is_shut_out(&gateway, OUTSIDE));
    assert_eq!(other.get("/prod/x").status, 200, "others notice nothing");
    assert_eq!(banned_connections(&gateway), 2);

    let list = gateway.json(&["ban", "list", OUTSIDE]);
    assert_eq!(ranges(&list), ["127.0.0.1/32"]);
    let ban = &list["bans"][0];
    assert_eq!(
        (&ban["reason"], &ban["by"], &ban["rule"]),
        (&"scraper".into(), &"operator".into(), &Value::Null)
    );
    assert!((3500..=3600).contains(&ban["remaining_s"].as_u64().unwrap()), "{ban}");
    assert!(ban["until"].is_string(), "{ban}");
    assert!(said(&gateway.command(&["ban", "list"])).contains("127.0.0.1/32"));
    assert!(said(&gateway.command(&["ban", "list", INSIDE])).contains("is not banned"));
    assert!(gateway.stderr().contains("operator bans 127.0.0.1 until"), "{}", gateway.stderr());

    let replaced = gateway.json(&["ban", "add", OUTSIDE, "--for", "1s"]);
    assert_eq!(replaced["replaced"], 1, "{replaced}");
    eventually("the ban is over", || !is_shut_out(&gateway, OUTSIDE));
    assert!(ranges(&gateway.json(&["ban", "list"])).is_empty());
}

fn bans_outlive_a_kill(io: Io) {
    let gateway = start(io);
    gateway.json(&["ban", "add", "127.0.0.0/24", "2001:db8::/48", "--for", "1h"]);
    let before = gateway.json(&["ban", "list"]);
    // `restart` kills with SIGKILL.
    let gateway = gateway.restart();
    assert!(is_shut_out(&gateway, OUTSIDE), "from the first connection on");
    let after = gateway.json(&["ban", "list"]);
    assert_eq!(ranges(&after), ["127.0.0.0/24", "2001:db8::/48"]);
    assert_eq!(after["bans"][0]["until"], before["bans"][0]["until"]);
    let lifted = gateway.json(&["ban", "remove", "127.0.0.0/24"]);
    assert_eq!((&lifted["removed"], &lifted["bans"]), (&1.into(), &1.into()));
    assert!(!is_shut_out(&gateway, OUTSIDE));
}

fn a_long_list_is_in_force_at_once(io: Io) {
    let gateway = start(io);
    let mut text = String::from("# everybody at once\n127.0.0.1 # the test\n");
    for n in 0..99_999_u32 {
        let _ = writeln!(text, "{}", std::net::Ipv4Addr::from(0x0a00_0000 + 3 * n));
    }
    gateway.home.write_file("list.txt", &text);
    let file = gateway.home.folder().join("list.txt");
    let import = ["ban", "import", file.to_str().unwrap()];
    let done = gateway.json(&[&import[..], &["--for", "1d", "--reason", "a list"]].concat());
    assert_eq!((&done["added"], &done["bans"]), (&100_000.into(), &100_000.into()), "{done}");
    assert!(is_shut_out(&gateway, OUTSIDE));
    let again = gateway.json(&import);
    assert_eq!((&again["added"], &again["replaced"]), (&0.into(), &100_000.into()));
    let gateway = gateway.restart();
    assert!(is_shut_out(&gateway, OUTSIDE));
    assert_eq!(gateway.json(&["ban", "list"])["sources"], 100_000);
    let refused = gateway.command(&["ban", "remove", "--all"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert_eq!(gateway.json(&["ban", "remove", "--all", "--yes"])["removed"], 100_000);
    assert!(!is_shut_out(&gateway, OUTSIDE));
}

fn who_keeps_sending_garbage_is_banned_by_rule(io: Io) {
    let gateway = start(io);
    let toml = std::fs::read_to_string(gateway.home.config()).unwrap();
    for _ in 0..10 {
        send_garbage(&gateway, OUTSIDE);
    }
    assert!(ranges(&gateway.json(&["ban", "list"])).is_empty(), "off by default");
    let rules = "[bans]\nautomatic = true\nmalformed = \"5/m\"\nno_route = \"off\"\nfor = \"1h\"\n";
    gateway.home.write_file("gateway.toml", &format!("{rules}{toml}"));
    gateway.json(&["apply", "--yes"]);
    let mut open = Client::connect_from(OUTSIDE, gateway.public());
    assert_eq!(open.get("/prod/nothing").status, 403);
    for _ in 0..40 {
        assert_eq!(open.get("/prod/nothing").status, 403, "an offence that is off");
    }
    // Two workers count apart: eleven of one source are at least six at one of them.
    for _ in 0..11 {
        send_garbage(&gateway, OUTSIDE);
    }
    eventually("banned", || is_shut_out(&gateway, OUTSIDE));
    assert!(open.try_response().is_err(), "what was open is cut");
    assert!(!is_shut_out(&gateway, INSIDE), "others notice nothing");
    let log = gateway.stderr();
    assert!(log.contains("rule malformed bans 127.0.0.1 until") && log.contains("more than 5/m"), "{log}");
    assert_eq!(gateway.json(&["ban", "remove", OUTSIDE])["removed"], 1);
    assert!(!is_shut_out(&gateway, OUTSIDE));
}

/// Garbage from a source that may be banned at any moment.
fn send_garbage(gateway: &Gateway, from: &str) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(from.parse::<IpAddr>().unwrap(), 0).into()).unwrap();
    if socket.connect_timeout(&gateway.public().into(), PATIENCE).is_ok() {
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\nHost: x\n\n");
        let _ = stream.read(&mut [0; 512]);
    }
}

#[test]
fn what_is_wrong_in_a_file_is_named_and_nobody_is_banned() {
    let gateway = start(Io::Epoll);
    gateway.home.write_file("list.txt", "203.0.113.7\n  203.0.113.9/24\n");
    let file = gateway.home.folder().join("list.txt");
    let refused = gateway.command(&["ban", "import", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    let text = said(&refused);
    assert!(text.contains("list.txt:2:3: error: `203.0.113.9/24` has bits set behind its prefix"), "{text}");
    assert!(text.contains("write 203.0.113.0/24"), "{text}");
    assert!(ranges(&gateway.json(&["ban", "list"])).is_empty());
}

#[test]
fn a_large_part_of_the_internet_is_banned_with_yes_alone() {
    let gateway = start(Io::Epoll);
    let refused = gateway.command(&["ban", "add", "126.0.0.0/7"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("one in 128 of all IPv4 addresses"), "{}", said(&refused));
    assert!(!is_shut_out(&gateway, OUTSIDE));
    let done = gateway.json(&["ban", "add", "126.0.0.0/7", "--yes"]);
    assert!(done["warnings"][0].as_str().unwrap().contains("one in 128"), "{done}");
    assert!(is_shut_out(&gateway, OUTSIDE));
}

#[test]
fn damaged_bans_refuse_the_start_and_stay_as_they_are() {
    let gateway = start(Io::Epoll);
    gateway.json(&["ban", "add", "203.0.113.7"]);
    let path = gateway.home.folder().join("store/bans.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 3]).unwrap();
    gateway.signal("KILL");
    let mut gateway = gateway;
    eventually("it has ended", || gateway.ended().is_some());
    let refused = gateway.command(&["run"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("bans.json are damaged: line 2"), "{}", said(&refused));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text[..text.len() - 3]);
}
