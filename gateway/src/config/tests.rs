//! `gateway.toml`: what is read, and what broken files are told.

use super::*;
use crate::model::{Place, Severity};
use std::path::{Path, PathBuf};

/// A folder of its own that vanishes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gateway-config-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.0.join(name), text).unwrap();
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const WHOLE: &str = r#"
[node]
region = "eu-central-1"
account = "123456789012"
workers = 2

[control]
address = "127.0.0.1:9080"
store = "state"

[xdp]
interfaces = ["eth0", "eth1"]
mode = "generic"
pins = "/sys/fs/bpf/other"

[[vpc]]
id = "vpc-main"
cidrs = ["10.0.0.0/16", "fd00:10::/48"]

[[listener]]
name = "public"
address = "0.0.0.0:8080"

[[listener]]
name = "orders"
address = "[fd00:10::5]:8080"
apis = ["orders"]
vpc = "vpc-main"

[[api]]
name = "orders"
id = "a1b2c3d4e5"
file = "orders.yaml"
stage = "prod"
host = ["Orders.example.com"]
[api.variables]
backend = "127.0.0.1:9000"

[[api]]
name = "broken"
file = "broken.yaml"
stage = "prod"
"#;

const ORDERS: &str = "swagger: '2.0'\ninfo: {title: orders}\npaths:\n  /:\n    get: {}\n";

#[test]
fn a_whole_file_is_read_and_a_broken_api_takes_no_other_down() {
    let folder = Folder::new("whole");
    folder.write("orders.yaml", ORDERS);
    folder.write("broken.yaml", "swagger: '2.0'\n");
    let Loaded { document, apis, warnings } = load(&folder.write("gateway.toml", WHOLE)).unwrap();
    assert_eq!(
        (document.node.region.as_str(), document.node.account.as_str()),
        ("eu-central-1", "123456789012")
    );
    assert_eq!(document.node.workers, 2);
    assert_eq!(document.control.address, Some("127.0.0.1:9080".parse().unwrap()));
    assert_eq!(document.control.store, folder.0.join("state"));
    assert_eq!((document.xdp.mode, document.xdp.interfaces.len()), (XdpMode::Generic, 2));
    assert_eq!(document.xdp.pins, Path::new("/sys/fs/bpf/other"));
    assert_eq!(document.vpcs[0].cidrs.len(), 2);
    assert_eq!(document.listeners[1].address, "[fd00:10::5]:8080".parse().unwrap());
    assert_eq!(document.listeners[1].apis.as_deref(), Some(&["orders".to_owned()][..]));
    assert_eq!(document.listeners[0].apis, None);
    assert_eq!(document.apis[0].hosts, ["orders.example.com"]);
    assert_eq!(document.apis[0].stage_variables["backend"], "127.0.0.1:9000");
    assert_eq!(document.apis[0].place, Place { line: 30, column: 1 });
    assert_eq!(apis[0].as_ref().unwrap().name, "orders");
    let errors = apis[1].as_ref().unwrap_err();
    assert_eq!(errors[0].file, folder.0.join("broken.yaml"));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!((warnings[0].severity, warnings[0].place), (Severity::Warning, Place { line: 5, column: 5 }));
}
