//! What the tests of this room share: a folder, a configuration in it, and a node with real workers.

mod bans;
mod change;
mod confirm;
mod explain;
mod limit;
mod operate;
mod plan;

use super::aws::{Auth, Aws};
use super::bans::Bans;
use super::candidate;
use super::kernel::{self, Kernel};
use super::node::Node;
use super::publish;
use super::store::Store;
use crate::net::IoKind;
use crate::worker::{self, Limits};
use crate::xdp::Rules;
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A folder of its own for one test, gone with it.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("gateway-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// 127.0.0.1 is outside of the VPC, 127.0.1.x inside.
const NODE: &str = r#"
[node]
workers = 2
[control]
store = "store"
address = "off"
[[vpc]]
id = "vpc-main"
cidrs = ["127.0.1.0/24"]
[[listener]]
name = "public"
address = "127.0.0.1:0"
apis = ["catalog"]
[[listener]]
name = "orders"
address = "127.0.0.1:0"
apis = ["orders"]
vpc = "vpc-main"
[[api]]
name = "catalog"
file = "catalog.yaml"
stage = "prod"
[[api]]
name = "orders"
id = "a1b2c3d4e5"
file = "orders.yaml"
stage = "prod"
"#;

/// One MOCK that answers 200.
fn document(title: &str, endpoint_type: &str) -> String {
    format!(
        r#"
swagger: "2.0"
info: {{title: {title}, version: "1"}}
x-amazon-apigateway-endpoint-configuration: {{types: [{endpoint_type}]}}
paths:
  /ping:
    get:
      responses: {{"200": {{description: ok}}}}
      x-amazon-apigateway-integration:
        type: mock
        requestTemplates: {{application/json: '{{"statusCode": 200}}'}}
        responses: {{default: {{statusCode: "200"}}}}
"#
    )
}

/// The files of `NODE`, with orders of that type.
fn files(orders: &str) -> Folder {
    let folder = Folder::new();
    folder.write("gateway.toml", NODE);
    folder.write("catalog.yaml", &document("catalog", "REGIONAL"));
    folder.write("orders.yaml", &document("orders", orders));
    folder
}

#[test]
fn check_names_interfaces_and_pins_that_this_host_does_not_have() {
    let folder = files("PRIVATE");
    let told = |xdp: &str| {
        folder.write("gateway.toml", &format!("[xdp]\n{xdp}\n{NODE}"));
        let found = super::check(&folder.path("gateway.toml")).unwrap();
        let ours = found.iter().filter(|f| f.what.contains("no interface of") || f.what.contains("bpffs"));
        ours.map(|f| (f.line, f.column, f.instead.clone())).collect::<Vec<_>>()
    };
    let found = told("interfaces = [\"no-such-0\"]\npins = \"/tmp/x\"");
    assert_eq!((found.len(), found[0].0, found[0].1, found[1].0), (2, 2, 14, 3), "{found:?}");
    assert!(found[0].2.contains("ip -brief link") && found[1].2.contains("/sys/fs/bpf"), "{found:?}");
    assert_eq!(told("interfaces = [\"lo\"]"), []);
    assert_eq!(told("interfaces = [\"no-such-0\"]\npins = \"/tmp/x\"\nmode = \"off\""), []);
}

/// A node that serves what stands in the folder, and what its kernel guard was told.
struct Served {
    node: Node,
    told: Rc<RefCell<Told>>,
}

#[derive(Default)]
struct Told {
    /// The rules, and what the store said at that moment.
    rules: Vec<(Rules, String)>,
    /// The next calls from this one on (counted from 0) fail, that many.
    fail: Option<(usize, usize)>,
    bans: Vec<String>,
    fail_bans: bool,
}

impl Told {
    fn bans(&mut self, what: String) -> Result<(), super::types::Problem> {
        self.bans.push(what);
        if self.fail_bans { Err(super::types::Problem::host("the kernel said no", "")) } else { Ok(()) }
    }
}

async fn serve(folder: &Folder) -> Served {
    let loaded = candidate::load(&folder.path("gateway.toml"), None).unwrap();
    let store = Store::open(&folder.path("store")).unwrap();
    let remembered = store.remembered().unwrap();
    let aws = Aws::open(store.folder(), Auth::Keys).unwrap();
    let first = candidate::compile_first(loaded, &aws.serving(), &remembered).unwrap();
    store.remember(&first.remembered).unwrap();
    let settings = worker::Settings { io: IoKind::Epoll, limits: Limits::default() };
    let workers: Vec<_> =
        (0..2).map(|number| worker::start(number, settings, Arc::new(|_| true)).unwrap()).collect();
    let bans = Bans::load(store.folder(), &first.loaded.document.xdp).unwrap();
    bans.order(&workers).await.unwrap();
    let (running, bound) = publish::bind(first, workers.len(), None, Vec::new()).unwrap();
    publish::listen(&bound, &running.snapshot).unwrap();
    publish::adopt(&workers, &running.snapshot, bound).await.unwrap();
    let told = Rc::new(RefCell::new(Told::default()));
    let kernel = Kernel::Recorded(recorder(told.clone(), folder.path("store/state.json")));
    let node =
        Node::new(folder.path("gateway.toml"), store, (workers, IoKind::Epoll), kernel, (bans, aws), running);
    Served { node, told }
}

fn recorder(told: Rc<RefCell<Told>>, state: PathBuf) -> super::kernel::Recorder {
    Box::new(move |heard| {
        let mut told = told.borrow_mut();
        let rules = match heard {
            kernel::Told::Rules(rules) => rules,
            kernel::Told::Bans(bans) => return told.bans(format!("ban {bans:?}")),
            kernel::Told::Unban(ranges) => return told.bans(format!("unban {ranges:?}")),
        };
        let number = told.rules.len();
        told.rules.push((rules.clone(), std::fs::read_to_string(&state).unwrap()));
        match told.fail {
            Some((first, count)) if (first..first + count).contains(&number) => {
                Err(super::types::Problem::host("the kernel said no", ""))
            }
            _ => Ok(()),
        }
    })
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

impl Served {
    fn address(&self, listener: &str) -> SocketAddr {
        let running = self.node.running();
        running.snapshot.listeners.iter().find(|l| l.name == listener).unwrap().address
    }

    /// The status that a client at `from` gets for GET /prod/ping.
    fn ask(&self, listener: &str, from: [u8; 4]) -> u16 {
        self.ask_with(listener, from, "")
    }

    /// `fields`: each with its line break.
    fn ask_with(&self, listener: &str, from: [u8; 4], fields: &str) -> u16 {
        status_with(&mut connect(self.address(listener), from.into()), fields)
    }

    /// Was the rule for the listener, as it was last told, private?
    fn kernel_private(&self, call: usize, listener: &str) -> bool {
        let told = self.told.borrow();
        let (rules, _) = &told.rules[call];
        rules.listeners.iter().find(|rule| rule.name == listener).unwrap().private.is_some()
    }

    fn calls(&self) -> usize {
        self.told.borrow().rules.len()
    }

    /// The store's text when the kernel was told.
    fn stored(&self, call: usize) -> String {
        self.told.borrow().rules[call].1.clone()
    }
}

fn connect(address: SocketAddr, from: IpAddr) -> TcpStream {
    try_connect(address, from).unwrap()
}

fn try_connect(address: SocketAddr, from: IpAddr) -> std::io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
    socket.connect_timeout(&address.into(), Duration::from_secs(5))?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

/// Asks on a connection that stays open; all answers here have empty or short bodies, sent with their head.
fn status_of(stream: &mut TcpStream) -> u16 {
    status_with(stream, "")
}

fn status_with(stream: &mut TcpStream, fields: &str) -> u16 {
    let request = format!("GET /prod/ping HTTP/1.1\r\nHost: test\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "closed without an answer");
        answer.extend_from_slice(&buffer[..read]);
    }
    let text = String::from_utf8_lossy(&answer);
    text.split(' ').nth(1).unwrap().parse().unwrap()
}
