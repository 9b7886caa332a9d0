//! `gateway run --no-auth`: any key is taken, its scope still counts, and only programs of this host are heard.

use crate::harness::aws::scoped;
use crate::harness::gateway::{Home, command};
use crate::harness::*;

fn empty() -> Setup {
    Setup::new(Io::Epoll).vpc_listener("vpce", None)
}

/// Status, error and text of an answer.
fn told(response: &Response) -> (u16, &str, &str) {
    (response.status, response.field("x-amzn-errortype").unwrap_or_default(), response.text())
}

fn names(aws: &mut Aws, key: &str, region: &str) -> Vec<String> {
    let scope = scoped(key, region, "apigateway");
    let response = aws.ask("GET", "/restapis", &[("Authorization", &scope)], "");
    assert_eq!(response.status, 200, "{}", response.text());
    let items = response.json()["item"].as_array().cloned().unwrap_or_default();
    items.iter().map(|api| api["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn any_key_is_taken_and_its_region_counts() {
    let gateway = empty().start_without_keys();
    let mut aws = Aws::of(&gateway);
    for (key, region, name) in
        [("AKIDONE", "us-east-1", "one"), ("whatever", "eu-west-1", "two"), ("AKIDONE", "eu-west-1", "three")]
    {
        let scope = scoped(key, region, "apigateway");
        let made =
            aws.ask("POST", "/restapis", &[("Authorization", &scope)], &format!("{{\"name\": \"{name}\"}}"));
        assert_eq!(made.status, 201, "{}", made.text());
    }
    assert_eq!(names(&mut aws, "another", "us-east-1"), ["one"]);
    let mut west = names(&mut aws, "another", "eu-west-1");
    west.sort_unstable();
    assert_eq!(west, ["three", "two"]);
    assert!(names(&mut aws, "another", "ap-south-1").is_empty());
    let keys = gateway.json(&["keys", "list"]);
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(0), "nobody needed one: {keys}");
}

#[test]
fn the_service_counts_and_what_is_not_signed_is_refused() {
    let gateway = empty().start_without_keys();
    let mut aws = Aws::of(&gateway);
    let missing = "{\"message\":\"Missing Authentication Token\"}";
    let unsigned = aws.ask("GET", "/restapis", &[], "");
    assert_eq!(told(&unsigned), (403, "MissingAuthenticationTokenException", missing));
    let mut scoped_to = |region: &str, service: &str, method: &str, path: &str, body: &str| {
        aws.ask(method, path, &[("Authorization", &scoped("AKID", region, service))], body)
    };
    let other = scoped_to("us-east-1", "s3", "GET", "/restapis", "");
    let (status, error, text) = told(&other);
    assert_eq!((status, error), (403, "InvalidSignatureException"));
    assert!(text.contains("Credential should be scoped to correct service: 'apigateway'."), "{text}");
    let nowhere = scoped_to("no region", "apigateway", "GET", "/restapis", "");
    let (status, error, _) = told(&nowhere);
    assert_eq!((status, error), (403, "InvalidSignatureException"));
    let who = scoped_to("us-east-1", "sts", "POST", "/", "Action=GetCallerIdentity&Version=2011-06-15");
    assert!(who.text().contains("<Account>000000000000</Account>"), "{}", who.text());
    for broken in
        ["Bearer x", "AWS4-HMAC-SHA256 nonsense", "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host"]
    {
        let response = aws.ask("GET", "/restapis", &[("Authorization", broken)], "");
        let (status, error, text) = told(&response);
        assert_eq!((status, error), (403, "IncompleteSignatureException"), "{broken}: {text}");
    }
}

/// Browsers reach loopback, too: a page says where it is from, or comes by a name that points here.
#[test]
fn a_browsers_page_changes_nothing() {
    let gateway = empty().start_without_keys();
    let mut aws = Aws::of(&gateway);
    let scope = scoped("AKID", "us-east-1", "apigateway");
    let port = gateway.control().port();
    let rebound = format!("evil.example:{port}");
    for fields in [&[("Origin", "http://evil.example")][..], &[("Origin", "null")], &[("Host", &rebound)]] {
        let fields = [fields, &[("Authorization", scope.as_str())]].concat();
        let response = aws.ask("POST", "/restapis", &fields, "{\"name\": \"evil\"}");
        assert_eq!(response.status, 400, "{fields:?}");
        let error = &response.json()["error"];
        assert_eq!(error["what"], "this call did not come from a program of this host", "{fields:?}");
        assert!(error["mend"].as_str().unwrap().contains("not from a browser"), "{error}");
        assert!(response.field("access-control-allow-origin").is_none());
    }
    let preflight = aws.ask("OPTIONS", "/restapis", &[("Origin", "http://evil.example")], "");
    assert_eq!((preflight.status, preflight.field("access-control-allow-origin")), (400, None));
    assert!(names(&mut aws, "AKID", "us-east-1").is_empty(), "nothing was made");
    for host in [format!("localhost:{port}"), format!("[::1]:{port}"), "127.0.0.1".to_owned()] {
        let fields = [("Host", host.as_str()), ("Authorization", &scope)];
        assert_eq!(aws.ask("GET", "/restapis", &fields, "").status, 200, "{host}");
    }
}

#[test]
fn it_answers_this_host_alone() {
    let home = Home::new(&empty());
    let toml = std::fs::read_to_string(home.config()).unwrap();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9080"] {
        home.write_file("gateway.toml", &toml.replacen("127.0.0.1:0", address, 1));
        let refused = command(&["run", "--no-auth"], &home);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success(), "{address}: {said}");
        let what = format!("[control] address {address} is not a loopback address");
        assert!(said.contains("gateway.toml:4:") && said.contains(&what), "{said}");
    }
}

/// The flag is the process's, not the store's: an upgrade hands it on, a start without it asks for keys.
#[test]
fn an_upgrade_keeps_it_and_a_start_without_it_asks_again() {
    let mut gateway = empty().start_without_keys();
    Aws::of(&gateway).rest_api("kept");
    gateway.upgrade(&[]);
    assert_eq!(names(&mut Aws::of(&gateway), "another", "us-east-1"), ["kept"]);
    assert!(gateway.signal_successor("KILL"));
    let lock = gateway.home.folder().join("store/gateway.lock");
    eventually("the killed process holds the store no more", || {
        std::fs::File::open(&lock).unwrap().try_lock().is_ok()
    });
    let gateway = gateway.restart();
    let scope = scoped("AKID", "us-east-1", "apigateway");
    let response = Aws::of(&gateway).ask("GET", "/restapis", &[("Authorization", &scope)], "");
    let (status, error, _) = told(&response);
    assert_eq!((status, error), (403, "UnrecognizedClientException"));
}
