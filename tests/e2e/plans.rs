//! API keys, usage plans, throttles and quotas of files: who passes, how often, and what is counted. Which driver
//! carries the requests makes no difference.

use crate::harness::api::mock;
use crate::harness::*;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const KEY: &str = "0123456789abcdefghij";

/// `GET /x` of `pets` wants a key, `GET /free` does not.
fn pets() -> Api {
    let mut api =
        Api::new("pets", "petspets01").method("/x", "get", mock(200)).method("/free", "get", mock(200));
    api.document["components"]["securitySchemes"]["key"] =
        json!({ "type": "apiKey", "name": "x-api-key", "in": "header" });
    api.document["paths"]["/x"]["get"]["security"] = json!([{ "key": [] }]);
    api
}

/// One key in one plan of `pets`; `lines` are the plan's.
fn plan(lines: &str) -> String {
    format!(
        "[[api_key]]\nname = \"mobile\"\nvalue = \"{KEY}\"\n\
         [[usage_plan]]\nname = \"gold\"\napis = [\"pets\"]\nkeys = [\"mobile\"]\n{lines}\n"
    )
}

fn setup(lines: &str) -> Setup {
    Setup::new(Io::Epoll).api(pets()).workers(2).tables(&plan(lines))
}

fn ask(client: &mut Client) -> Response {
    client.request("GET", "/prod/x", "localhost", &[("X-API-Key", KEY)])
}

fn used(gateway: &Gateway) -> (u64, u64) {
    let key = gateway.json(&["plans", "usage", "gold"])["plans"][0]["keys"][0].clone();
    (key["used_today"].as_u64().unwrap(), key["remaining"].as_u64().unwrap())
}

#[test]
fn a_key_of_the_file_passes_and_is_taken_back_by_a_reload() {
    let setup = setup("");
    let gateway = setup.clone().start();
    let mut client = gateway.client();
    assert_eq!(client.get("/prod/free").status, 200);
    let refused = client.get("/prod/x");
    assert_eq!((refused.status, refused.text()), (403, "{\"message\":\"Forbidden\"}"));
    assert_eq!(refused.field("x-amzn-errortype"), Some("ForbiddenException"));
    assert_eq!(ask(&mut client).status, 200);
    let mut other = setup.clone();
    other.more = plan("").replace("abcdefghij", "abcdefghik");
    gateway.home.write(&other);
    assert_eq!(gateway.json(&["apply", "--yes"])["done"], true);
    assert_eq!(ask(&mut client).status, 403, "another value, on the same connection");
    gateway.home.write(&setup);
    gateway.json(&["apply", "--yes"]);
    assert_eq!(ask(&mut client).status, 200);
    assert!(!gateway.stderr().contains(KEY) && !gateway.json(&["plans", "list"]).to_string().contains(KEY));
}

/// Two workers and many connections have one budget.
#[test]
fn throttles_are_one_budget_of_all_workers() {
    let limited =
        pets().method_setting("free/GET", "throttling_rate_limit = 0.01\nthrottling_burst_limit = 25");
    let gateway = Setup::new(Io::Epoll).api(limited).workers(2).start();
    let (passed, throttled) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = gateway.client();
                for _ in 0..10 {
                    let response = client.get("/prod/free");
                    match (response.status, response.text()) {
                        (200, _) => passed.fetch_add(1, SeqCst),
                        (429, "{\"message\":\"Too Many Requests\"}") => throttled.fetch_add(1, SeqCst),
                        other => panic!("{other:?}"),
                    };
                }
            });
        }
    });
    assert_eq!((passed.into_inner(), throttled.into_inner()), (25, 55));
}

/// A method's own rate in a plan is each key's, and others of the plan go on.
#[test]
fn a_plan_throttles_a_method_on_its_own() {
    let own = "[usage_plan.method_throttles.pets.\"x/GET\"]\nthrottling_rate_limit = 0.01\nthrottling_burst_limit = 3";
    let gateway = setup(own).start();
    let mut client = gateway.client();
    let statuses: Vec<u16> = (0..5).map(|_| ask(&mut client).status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    assert_eq!(client.get("/prod/free").status, 200);
    let key = gateway.json(&["plans", "usage", "gold"])["plans"][0]["keys"][0].clone();
    assert_eq!(key["used_today"], 3, "what is throttled is not counted");
}

/// A plan of another period is shown, and what counts stays as it was until it is applied.
#[test]
fn only_an_applied_plan_changes_how_a_quota_counts() {
    let lines = |limit: u64, more: &str| {
        format!("quota_limit = {limit}\nquota_period = {more}\nthrottling_rate_limit = 1000")
    };
    // A week that began yesterday: what is counted today is not all of it, whatever day it is.
    let today =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let weekly = lines(50, &format!("\"WEEK\"\nquota_offset = {}", (today + 4 + 6) % 7));
    let setup = setup(&lines(10, "\"DAY\""));
    let gateway = setup.clone().start();
    let mut client = gateway.client();
    for _ in 0..4 {
        assert_eq!(ask(&mut client).status, 200);
    }
    assert_eq!(used(&gateway), (4, 6));
    let mut other = setup.clone();
    other.more = plan(&weekly);
    gateway.home.write(&other);
    assert_eq!(gateway.json(&["apply", "--plan"])["plan"]["differs"], true);
    assert_eq!(used(&gateway), (4, 6), "it was only shown");
    assert_eq!(ask(&mut client).status, 200);
    assert_eq!(gateway.json(&["apply", "--yes"])["done"], true);
    assert_eq!(used(&gateway), (5, 45));
    gateway.home.write(&setup);
    gateway.json(&["apply", "--yes"]);
    assert_eq!(used(&gateway), (5, 5), "and back");
}

/// Exact over workers, kept over a kill once it was told, and handed over by an upgrade with what the old process still
/// counts.
#[test]
fn a_quota_is_one_of_all_workers_and_processes() {
    let mut gateway = setup("quota_limit = 30\nquota_period = \"MONTH\"").start();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = gateway.client();
                for _ in 0..5 {
                    assert_eq!(ask(&mut client).status, 200);
                }
            });
        }
    });
    assert_eq!(used(&gateway), (20, 10));
    let explained = |gateway: &Gateway| {
        let (header, url) = (format!("x-api-key:{KEY}"), format!("http://{}/prod/x", gateway.public()));
        let said = gateway.command(&["explain", "--from", "127.0.0.1", "--header", &header, "GET", &url]);
        String::from_utf8(said.stdout).unwrap()
    };
    let told = explained(&gateway);
    let who = "API key mobile (mobile) by usage plan gold (gold)";
    assert!(told.contains(&format!("{who}, 10 left of 30 a month")), "{told}");
    assert_eq!(used(&gateway), (20, 10), "whoever explains takes nothing");
    // What was told is written down.
    gateway = gateway.restart();
    assert_eq!(used(&gateway), (20, 10));
    let mut old = gateway.client();
    assert_eq!(ask(&mut old).status, 200);
    gateway.upgrade(&[]);
    assert_eq!(used(&gateway), (21, 9), "the other process knows it");
    let last = ask(&mut old);
    assert_eq!((last.status, last.field("connection")), (200, Some("close")), "by the old process");
    eventually("what the old process counted is told", || used(&gateway) == (22, 8));
    let mut client = gateway.client();
    let statuses: Vec<u16> = (0..10).map(|_| ask(&mut client).status).collect();
    assert_eq!(statuses, [[200; 8].as_slice(), &[429; 2]].concat());
    let refused = ask(&mut client);
    assert_eq!(
        (refused.text(), refused.field("x-amzn-errortype")),
        ("{\"message\":\"Limit Exceeded\"}", Some("LimitExceededException"))
    );
    let told = explained(&gateway);
    let why = format!("the API key's quota of the period is used up; {who}, 0 left of 30 a month");
    assert!(told.contains(&why) && !told.contains(KEY), "{told}");
}
