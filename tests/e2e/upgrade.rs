//! `gateway upgrade`: another process takes over, and no client notices.

use crate::harness::gateway::BINARY;
use crate::harness::*;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

on_both! {
    nobody_notices_two_in_a_row,
    what_runs_on_the_old_process_is_finished,
    a_binary_that_fails_leaves_all_as_it_was,
    a_plan_starts_nothing,
    files_that_differ_are_applied_first,
    bans_and_what_was_switched_stay,
    the_drain_has_an_end,
}

/// Requests that were answered, and what went wrong.
#[derive(Default)]
struct Load {
    answered: AtomicUsize,
    failed: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl Load {
    /// `keep`: on connections that go on until an answer says that they end.
    fn client(self: &Arc<Self>, address: std::net::SocketAddr, keep: bool) -> std::thread::JoinHandle<()> {
        let load = self.clone();
        std::thread::spawn(move || {
            let mut kept: Option<Client> = None;
            while !load.over.load(Ordering::Relaxed) {
                let mut client = match kept.take() {
                    Some(client) => client,
                    None if TcpStream::connect(address).is_err() => return load.fail("refused"),
                    None => Client::connect(address),
                };
                let fields = if keep { "" } else { "Connection: close\r\n" };
                if client.try_send(format!("GET /prod/x HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).is_err() {
                    return load.fail("a request was not taken");
                }
                match client.try_response() {
                    Ok(response) if response.status == 200 => {
                        load.answered.fetch_add(1, Ordering::Relaxed);
                        let ends = response.field("connection").is_some_and(|value| value == "close");
                        kept = (keep && !ends).then_some(client);
                    }
                    other => return load.fail(&format!("{other:?}")),
                }
            }
        })
    }

    fn fail(&self, what: &str) {
        self.failed.lock().unwrap().push(what.to_owned());
    }

    fn more(&self, requests: usize) {
        let wanted = self.answered.load(Ordering::Relaxed) + requests;
        eventually("requests go on", || {
            self.answered.load(Ordering::Relaxed) >= wanted || !self.failed.lock().unwrap().is_empty()
        });
    }
}

fn nobody_notices_two_in_a_row(io: Io) {
    let upstream = Upstream::echo();
    let mut gateway = Setup::new(io).api(echo_api(upstream.address)).workers(2).start();
    let load = Arc::new(Load::default());
    let clients: Vec<_> = (0..8).map(|n| load.client(gateway.public(), n % 2 == 0)).collect();
    load.more(200);
    let mut pids = vec![gateway.json(&["status"])["pid"].as_u64().unwrap()];
    for _ in 0..2 {
        let upgraded = gateway.upgrade(&[]);
        assert_eq!(upgraded["done"], true);
        let pid = gateway.json(&["status"])["pid"].as_u64().unwrap();
        assert_eq!(upgraded["pid"].as_u64(), Some(pid), "the new process answers the operator");
        assert!(!pids.contains(&pid), "{pid} is not new");
        pids.push(pid);
        load.more(200);
    }
    eventually("the first process ends", || gateway.ended().is_some());
    assert!(gateway.ended().unwrap().success());
    load.more(200);
    load.over.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(*load.failed.lock().unwrap(), Vec::<String>::new());
    eventually("the second process ends", || !alive(pids[1]));
    assert!(alive(pids[2]));
}

fn alive(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A dead child that nobody has waited for is dead.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn what_runs_on_the_old_process_is_finished(io: Io) {
    const ASK: &str =
        "GET /prod/socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let upstream = Upstream::start(move |connection| {
        while let Some(request) = connection.head() {
            if request.field("upgrade").is_some() {
                connection.send("HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
                while let Some(bytes) = connection.some() {
                    connection.send(bytes);
                }
                return;
            }
            if request.target == "/long" {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
                gone.lock().unwrap().recv().unwrap();
                connection.send("+last");
                continue;
            }
            connection.answer(200, "short");
        }
    });
    let mut gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut long = gateway.client();
    long.send("GET /prod/long HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(long.head().unwrap().0, 200);
    let mut tunnel = gateway.client();
    tunnel.send(ASK);
    assert_eq!(tunnel.head().unwrap().0, 101);
    let mut kept = gateway.client();
    assert_eq!(kept.get("/prod/x").text(), "short");
    let mut fresh = gateway.client();
    gateway.upgrade(&[]);
    let last = kept.get("/prod/x");
    assert_eq!((last.text(), last.field("connection")), ("short", Some("close")), "told, not cut");
    kept.assert_closed();
    let last = fresh.get("/prod/x");
    assert_eq!((last.text(), last.field("connection")), ("short", Some("close")));
    assert_ne!(gateway.client().get("/prod/x").field("connection"), Some("close"), "the new one keeps them");
    tunnel.send("through the old process");
    assert_eq!(tunnel.take(23).unwrap(), b"through the old process");
    assert!(gateway.ended().is_none());
    go.send(()).unwrap();
    assert_eq!(long.take(10).unwrap(), b"first+last");
    drop(tunnel);
    drop(long);
    eventually("the old process ends with its last client", || gateway.ended().is_some());
    assert!(gateway.ended().unwrap().success());
    assert_eq!(gateway.client().get("/prod/x").text(), "short");
}

fn script(gateway: &Gateway, name: &str, text: &str) -> String {
    let path: PathBuf = gateway.home.folder().join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn a_binary_that_fails_leaves_all_as_it_was(io: Io) {
    let upstream = Upstream::echo();
    let mut gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let pid = gateway.json(&["status"])["pid"].clone();
    let mut kept = gateway.client();
    assert_eq!(kept.get("/prod/x").status, 200);
    let ended = script(&gateway, "ended", "exit 3");
    let lost = format!("exec {BINARY} run --handover --config /nonexistent/gateway.toml");
    let lost = script(&gateway, "lost", &lost);
    // It takes what is handed over, and ends before it serves.
    gateway.home.write_file("broken.toml", "nonsense = 1\n");
    let broken = format!(
        "exec {BINARY} run --handover --config {}",
        gateway.home.folder().join("broken.toml").display()
    );
    let broken = script(&gateway, "broken", &broken);
    let text = gateway.home.config().to_str().unwrap().to_owned();
    for (binary, said) in [
        (ended.as_str(), "exit status: 3"),
        (lost.as_str(), "before it served"),
        (broken.as_str(), "broken.toml is refused"),
        ("/nonexistent/gateway", "is not started"),
        (text.as_str(), "it is no program"),
    ] {
        let output = gateway.command(&["upgrade", "--yes", "--binary", binary]);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{binary}: {err}");
        assert!(err.contains(said), "{binary}: {err}");
        assert_eq!(gateway.json(&["status"])["pid"], pid);
        assert_ne!(kept.get("/prod/x").field("connection"), Some("close"), "the connection goes on");
        assert_eq!(gateway.client().get("/prod/x").status, 200);
        gateway.json(&["apply", "--yes"]);
    }
    assert_ne!(gateway.upgrade(&[])["pid"], pid, "and a good one takes over");
    assert_eq!(gateway.client().get("/prod/x").status, 200);
}

fn a_plan_starts_nothing(io: Io) {
    let gateway = Setup::new(io).api(echo_api(Upstream::nobody())).start();
    let pid = gateway.json(&["status"])["pid"].clone();
    let plan = gateway.json(&["upgrade", "--plan"]);
    assert_eq!((&plan["done"], &plan["listeners"]), (&false.into(), &1.into()));
    assert_eq!(plan["binary"], BINARY);
    let unasked = gateway.command(&["upgrade"]);
    assert_eq!(unasked.status.code(), Some(2), "without a terminal and without --yes");
    assert_eq!(gateway.json(&["status"])["pid"], pid);
}

fn files_that_differ_are_applied_first(io: Io) {
    let mut gateway = Setup::new(io).api(echo_api(Upstream::nobody())).start();
    let text = std::fs::read_to_string(gateway.home.config()).unwrap();
    let free = Upstream::nobody();
    let more = format!("{text}\n[[listener]]\nname = \"more\"\naddress = \"{free}\"\n");
    gateway.home.write_file("gateway.toml", &more);
    let refused = gateway.command(&["upgrade", "--yes"]);
    let err = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && err.contains("the files say other than what runs"), "{err}");
    gateway.json(&["apply", "--yes"]);
    assert_eq!(gateway.upgrade(&[])["listeners"], 2);
    assert_eq!(Client::connect(free).get("/prod/x").status, 504, "what was applied is handed over, too");
    // The new process owns the listener: it can take it away.
    gateway.home.write_file("gateway.toml", &text);
    gateway.json(&["apply", "--yes"]);
    eventually("nobody listens there", || TcpStream::connect(free).is_err());
}

fn bans_and_what_was_switched_stay(io: Io) {
    let upstream = Upstream::echo();
    let mut gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    gateway.json(&["ban", "add", "127.0.0.9", "--for", "1h", "--yes"]);
    gateway.set_endpoint("echo", "EDGE");
    gateway.upgrade(&[]);
    assert_eq!(gateway.json(&["status"])["apis"][0]["endpoint_type"], "EDGE");
    assert_eq!(gateway.json(&["ban", "list"])["bans"][0]["range"], "127.0.0.9/32");
    assert!(crate::bans::is_shut_out(&gateway, "127.0.0.9"));
    assert_eq!(gateway.client().get("/prod/x").status, 200);
    gateway.set_endpoint("echo", "REGIONAL");
}

fn the_drain_has_an_end(io: Io) {
    let upstream = Upstream::start(|connection| {
        connection.request();
        connection.request();
    });
    let mut gateway = Setup::new(io).api(echo_api(upstream.address)).start();
    let mut stuck = gateway.client();
    stuck.send("GET /prod/x HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the backend thinks", || upstream.requests().len() == 1);
    assert_eq!(gateway.upgrade(&["--drain", "1s"])["drain_s"], 1);
    stuck.assert_closed();
    eventually("the old process ends", || gateway.ended().is_some());
    assert!(gateway.ended().unwrap().success());
}
