//! The stage's cache: what is answered from it and what is not, how it is renewed and emptied.

use crate::harness::api::{http_proxy, mapped, mock};
use crate::harness::gateway::Home;
use crate::harness::*;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

on_both! {
    a_second_request_is_answered_from_the_cache,
    a_hit_has_its_own_date_and_ids_and_goes_on,
    an_answer_lives_as_long_as_its_ttl,
    key_parameters_tell_answers_apart,
    a_hidden_name_of_a_parameter_is_the_parameter,
    one_namespace_shares_answers,
    only_get_is_cached_unless_the_method_says_so,
    answers_that_are_nobody_else_s_are_not_kept,
    a_large_answer_passes_and_a_mebibyte_is_the_end,
    max_age_zero_of_one_who_may_renews,
    max_age_zero_of_one_who_may_not,
    a_flush_forgets,
    a_reload_keeps_what_was_cached_and_another_size_does_not,
    ranges_and_conditions,
    mock_answers_are_cached_whole,
    answers_of_http_have_no_trace_of_the_first,
    explain_tells_what_the_cache_would_do,
}

const ON: &str = "caching_enabled = true";

/// Answers `n method target`, n counting from 1.
fn counting() -> Upstream {
    let count = AtomicUsize::new(0);
    Upstream::start(move |connection| {
        while let Some(request) = connection.request() {
            let n = count.fetch_add(1, SeqCst) + 1;
            let body = format!("{n} {} {}", request.method, request.target);
            connection.answer(200, if request.method == "HEAD" { "" } else { &body });
        }
    })
}

/// Like `echo_api`, with a cache.
pub(crate) fn cached(upstream: &Upstream) -> Api {
    echo_api(upstream.address).cache_cluster_size("0.5").method_setting("*/*", ON)
}

/// `GET /x` with these cache key parameters.
fn keyed(upstream: &Upstream, parameters: &[&str]) -> Api {
    let mut integration = http_proxy("GET", &format!("http://{}/x", upstream.address));
    integration["cacheKeyParameters"] = json!(parameters);
    Api::new("echo", "ech0ech0e1")
        .method("/x", "get", integration)
        .cache_cluster_size("0.5")
        .method_setting("*/*", ON)
}

fn text(client: &mut Client, path: &str) -> String {
    client.get(path).text().to_owned()
}

pub(crate) fn stage_of(gateway: &Gateway) -> Value {
    gateway.json(&["cache", "stats"])["stages"][0].clone()
}

fn a_second_request_is_answered_from_the_cache(io: Io) {
    let upstream = counting();
    let gateway = Setup::new(io).api(cached(&upstream)).workers(2).start();
    let first = gateway.client().get("/prod/");
    for _ in 0..20 {
        // Each on a connection of its own: of either worker.
        let second = gateway.client().get("/prod/");
        assert_eq!((second.status, second.text()), (200, first.text()));
        assert_eq!(second.field("content-length"), first.field("content-length"));
    }
    assert_eq!(first.text(), "1 GET /");
    assert_eq!(upstream.requests().len(), 1);
    let stage = stage_of(&gateway);
    assert_eq!((&stage["hits"], &stage["misses"], &stage["entries"]), (&json!(20), &json!(1), &json!(1)));
    let workers = gateway.json(&["status"])["workers"].as_array().unwrap().clone();
    let sum = |key: &str| workers.iter().map(|worker| worker[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("cache_hits"), sum("cache_misses")), (20, 1));
}

fn a_hit_has_its_own_date_and_ids_and_goes_on(io: Io) {
    let upstream = counting();
    let gateway = Setup::new(io).api(cached(&upstream)).start();
    let mut client = gateway.client();
    let answers: Vec<Response> = (0..3).map(|_| client.get("/prod/")).collect();
    for name in ["x-amzn-RequestId", "x-amz-apigw-id"] {
        assert_ne!(answers[1].field(name).unwrap(), answers[0].field(name).unwrap());
        assert_ne!(answers[1].field(name).unwrap(), answers[2].field(name).unwrap());
    }
    for answer in &answers {
        for name in ["date", "content-length", "content-type", "connection", "x-amzn-requestid"] {
            let fields = answer.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
            assert_eq!(fields.count(), 1, "{name} of {:?}", answer.fields);
        }
        assert_eq!(answer.field("connection"), Some("keep-alive"));
    }
    // Pipelined requests are answered in their order.
    client.send("GET /prod/ HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2));
    assert_eq!((client.response().text(), client.response().text()), ("1 GET /", "1 GET /"));
    let last = client.request("GET", "/prod/", "localhost", &[("Connection", "close")]);
    assert_eq!(last.field("connection"), Some("close"));
    client.assert_closed();
    let mut old = gateway.client();
    old.send("GET /prod/ HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(old.response().text(), "1 GET /");
    old.assert_closed();
    assert_eq!(upstream.requests().len(), 1);
    // A body is in no key, and neither is what a `;` may mean: such a request asks the backend, and fills nothing.
    let mut other = gateway.client();
    other.send("GET /prod/ HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(other.response().text(), "2 GET /");
    let mut third = gateway.client();
    assert_eq!(third.get("/prod/?q=a;b").text(), "3 GET /?q=a;b");
    assert_eq!(third.get("/prod/").text(), "1 GET /");
}

fn an_answer_lives_as_long_as_its_ttl(io: Io) {
    let upstream = counting();
    let api = cached(&upstream)
        .method_setting("/GET", "caching_enabled = true\ncache_ttl_in_seconds = 1")
        .method_setting("{proxy+}/GET", "caching_enabled = true\ncache_ttl_in_seconds = 0");
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    assert_eq!(text(&mut client, "/prod/"), "1 GET /");
    eventually("the answer has expired", || text(&mut client, "/prod/") == "2 GET /");
    assert!(stage_of(&gateway)["hits"].as_u64().unwrap() > 1);
    assert_eq!(text(&mut client, "/prod/never"), "3 GET /never");
    assert_eq!(text(&mut client, "/prod/never"), "4 GET /never");
}

fn key_parameters_tell_answers_apart(io: Io) {
    let upstream = counting();
    let api = keyed(&upstream, &["method.request.querystring.q", "method.request.header.Accept-Language"]);
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    let mut ask = |query: &str, language: Option<&str>| {
        let fields: Vec<(&str, &str)> = language.map(|l| ("accept-language", l)).into_iter().collect();
        let answer = client.request("GET", &format!("/prod/x{query}"), "localhost", &fields);
        answer.text().split(' ').next().unwrap().parse::<usize>().unwrap()
    };
    for (number, (query, language)) in [
        ("", None),
        ("?q=", None),
        ("?q=a", None),
        ("?q=b", None),
        ("?q=a&q=b", None),
        ("?q=b&q=a", None),
        ("?q=a", Some("de")),
        ("?q=a", Some("en")),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(ask(query, language), number + 1, "{query} {language:?}");
        assert_eq!(ask(query, language), number + 1, "{query} {language:?} again");
    }
    // What is no key parameter tells nothing apart, as in AWS.
    assert_eq!(ask("?other=1", None), 1);
    assert_eq!(ask("?other=1&q=a&more", Some("de")), 7);
}

/// A backend decodes names: an answer to `%71=evil` must not be given to those who ask without `q`.
fn a_hidden_name_of_a_parameter_is_the_parameter(io: Io) {
    let upstream = counting();
    let gateway = Setup::new(io).api(keyed(&upstream, &["method.request.querystring.q"])).start();
    let mut client = gateway.client();
    assert_eq!(text(&mut client, "/prod/x?%71=evil"), "1 GET /x?%71=evil");
    assert_eq!(text(&mut client, "/prod/x"), "2 GET /x");
    assert_eq!(text(&mut client, "/prod/x?q=evil"), "1 GET /x?%71=evil");
}

fn one_namespace_shares_answers(io: Io) {
    let upstream = counting();
    let proxy = |path: &str, namespace: Option<&str>| {
        let mut integration = http_proxy("GET", &format!("http://{}{path}", upstream.address));
        if let Some(namespace) = namespace {
            integration["cacheNamespace"] = json!(namespace);
        }
        integration
    };
    let api = Api::new("echo", "ech0ech0e1")
        .method("/a", "get", proxy("/a", Some("shared")))
        .method("/b", "get", proxy("/b", Some("shared")))
        .method("/c", "get", proxy("/c", None))
        .method("/d", "get", proxy("/d", None))
        .cache_cluster_size("0.5")
        .method_setting("*/*", ON);
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    for (path, answer) in [("a", "1 GET /a"), ("b", "1 GET /a"), ("c", "2 GET /c"), ("d", "3 GET /d")] {
        assert_eq!(text(&mut client, &format!("/prod/{path}")), answer);
    }
}

fn only_get_is_cached_unless_the_method_says_so(io: Io) {
    let upstream = counting();
    let api = cached(&upstream).method_setting("/POST", ON).method_setting("{proxy+}/HEAD", ON);
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    assert_eq!(client.post("/prod/", b"1").text(), "1 POST /");
    assert_eq!(client.post("/prod/", b"2").text(), "1 POST /");
    assert_eq!(text(&mut client, "/prod/"), "2 GET /");
    assert_eq!(client.post("/prod/x", b"1").text(), "3 POST /x");
    assert_eq!(client.post("/prod/x", b"1").text(), "4 POST /x");
    // HEAD is no GET: it is kept for itself where it is turned on.
    for _ in 0..2 {
        assert_eq!(client.request("HEAD", "/prod/", "localhost", &[]).status, 200);
    }
    assert_eq!(upstream.requests().len(), 6);
    for _ in 0..2 {
        let head = client.request("HEAD", "/prod/x", "localhost", &[]);
        assert_eq!((head.status, head.field("content-length")), (200, Some("0")));
    }
    assert_eq!(upstream.requests().len(), 7);
    assert_eq!(text(&mut client, "/prod/x"), "8 GET /x");
}

/// Answers each target by what it says: `/404` by that status, `/cookie` with a cookie.
fn telling() -> Upstream {
    Upstream::start(|connection| {
        while let Some(request) = connection.request() {
            let name = request.target.trim_start_matches('/');
            let whole = match name {
                "cookie" => "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 1\r\n\r\nc",
                "private" => {
                    "HTTP/1.1 200 OK\r\nCache-Control: private, no-store\r\nContent-Length: 1\r\n\r\np"
                }
                "chunked" => {
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
                }
                "204" => "HTTP/1.1 204 X\r\n\r\n",
                status => {
                    connection.answer(status.parse().unwrap_or(200), "x");
                    continue;
                }
            };
            connection.send(whole);
        }
    })
}

fn answers_that_are_nobody_else_s_are_not_kept(io: Io) {
    let upstream = telling();
    let mut api = Api::new("echo", "ech0ech0e1").cache_cluster_size("0.5").method_setting("*/*", ON);
    let paths = [
        ("cookie", 200, false),
        ("private", 200, true),
        ("chunked", 200, true),
        ("204", 204, true),
        ("301", 301, true),
        ("404", 404, true),
        ("429", 429, false),
        ("206", 206, false),
        ("500", 500, false),
        ("503", 503, false),
    ];
    for (path, ..) in paths {
        let integration = http_proxy("GET", &format!("http://{}/{path}", upstream.address));
        api = api.method(&format!("/{path}"), "get", integration);
    }
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    for (path, status, kept) in paths {
        let before = upstream.requests().len();
        let first = client.get(&format!("/prod/{path}"));
        let second = client.get(&format!("/prod/{path}"));
        assert_eq!((first.status, second.status), (status, status), "{path}");
        assert_eq!(first.body, second.body, "{path}");
        assert_eq!(upstream.requests().len() - before, if kept { 1 } else { 2 }, "{path}");
        if path == "chunked" {
            assert_eq!((second.text(), second.field("content-length")), ("abcde", Some("5")));
        }
    }
}

fn a_large_answer_passes_and_a_mebibyte_is_the_end(io: Io) {
    const MEBIBYTE: usize = 1 << 20;
    let upstream = Upstream::start(|connection| {
        while let Some(request) = connection.request() {
            let length = request.target.trim_start_matches('/').parse().unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            connection.send(head);
            connection.send(vec![b'x'; length]);
        }
    });
    let mut api = Api::new("echo", "ech0ech0e1").cache_cluster_size("0.5").method_setting("*/*", ON);
    // Head and body count.
    let lengths = [(100_000, true), (MEBIBYTE - 500, true), (MEBIBYTE, false), (3 * MEBIBYTE, false)];
    for (length, _) in lengths {
        let integration = http_proxy("GET", &format!("http://{}/{length}", upstream.address));
        api = api.method(&format!("/{length}"), "get", integration);
    }
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    for (length, kept) in lengths {
        let before = upstream.requests().len();
        for _ in 0..3 {
            let answer = client.get(&format!("/prod/{length}"));
            assert!(answer.body.len() == length && answer.body.iter().all(|byte| *byte == b'x'), "{length}");
        }
        assert_eq!(upstream.requests().len() - before, if kept { 1 } else { 3 }, "{length}");
    }
}

const RENEW: (&str, &str) = ("Cache-Control", "max-age=0");

fn max_age_zero_of_one_who_may_renews(io: Io) {
    let upstream = counting();
    let open = format!("{ON}\nrequire_authorization_for_cache_control = false");
    let api = echo_api(upstream.address).cache_cluster_size("0.5").method_setting("*/*", &open);
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    assert_eq!(text(&mut client, "/prod/"), "1 GET /");
    let renewed = client.request("GET", "/prod/", "localhost", &[RENEW]);
    assert_eq!((renewed.text(), renewed.field("warning")), ("2 GET /", None));
    assert_eq!(text(&mut client, "/prod/"), "2 GET /");
}

fn max_age_zero_of_one_who_may_not(io: Io) {
    let upstream = counting();
    let strategy = |word: &str| format!("{ON}\nunauthorized_cache_control_header_strategy = \"{word}\"");
    let mut api = Api::new("echo", "ech0ech0e1").cache_cluster_size("0.5").method_setting("*/*", ON);
    let words = ["FAIL_WITH_403", "SUCCEED_WITH_RESPONSE_HEADER", "SUCCEED_WITHOUT_RESPONSE_HEADER"];
    for word in words {
        let integration = http_proxy("GET", &format!("http://{}/{word}", upstream.address));
        let key = format!("{word}/GET");
        api = api.method(&format!("/{word}"), "get", integration).method_setting(&key, &strategy(word));
    }
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    let warning = "199 Cache-control headers were ignored because the caller was unauthorized.";
    for (word, status, warned) in
        [(words[0], 403, None), (words[1], 200, Some(warning)), (words[2], 200, None)]
    {
        let path = format!("/prod/{word}");
        // Nothing is cached yet, then it is: both times the client is told.
        for _ in 0..2 {
            let answer = client.request("GET", &path, "localhost", &[RENEW]);
            assert_eq!((answer.status, answer.field("warning")), (status, warned), "{word}");
            if status == 403 {
                assert_eq!(answer.field("x-amzn-errortype"), Some("AccessDeniedException"));
                let message = answer.json()["Message"].as_str().unwrap().to_owned();
                assert!(message.contains("execute-api:InvalidateCache on resource: arn:"), "{message}");
            }
        }
        assert_eq!(client.get(&path).field("warning"), None, "{word}: nobody else is");
    }
    assert_eq!(upstream.requests().len(), 3);
}

fn a_flush_forgets(io: Io) {
    let upstream = counting();
    let gateway = Setup::new(io).api(cached(&upstream)).workers(2).start();
    let mut client = gateway.client();
    assert_eq!(text(&mut client, "/prod/"), "1 GET /");
    let flushed = gateway.json(&["cache", "flush", "echo"]);
    assert_eq!(flushed["flushed"][0]["entries"], 1);
    assert_eq!(text(&mut client, "/prod/"), "2 GET /");
    assert_eq!(text(&mut client, "/prod/"), "2 GET /");
    gateway.json(&["cache", "flush", "echo", "prod"]);
    assert_eq!(text(&mut client, "/prod/"), "3 GET /");
    for (arguments, told) in [
        (&["cache", "flush", "other"][..], "\"other\""),
        (&["cache", "flush", "echo", "test"][..], "it has: prod"),
    ] {
        let refused = gateway.command(arguments);
        assert!(!refused.status.success());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains(told), "{said}");
    }
    let shown = gateway.command(&["cache", "stats"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("HIT RATE") && shown.contains("echo"), "{shown}");
}

fn a_reload_keeps_what_was_cached_and_another_size_does_not(io: Io) {
    let upstream = counting();
    let mut setup = Setup::new(io).api(cached(&upstream));
    let home = Home::new(&setup);
    let folder = home.folder().to_path_buf();
    let gateway = Gateway::start(home, io);
    let mut client = gateway.client();
    assert_eq!(text(&mut client, "/prod/"), "1 GET /");
    let mut apply = |change: &dyn Fn(&mut Setup)| {
        change(&mut setup);
        let other = Home::new(&setup);
        for file in ["gateway.toml", "echo.json"] {
            std::fs::copy(other.folder().join(file), folder.join(file)).unwrap();
        }
        let applied = gateway.command(&["apply", "--yes"]);
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    };
    let added = http_proxy("GET", &format!("http://{}/new", upstream.address));
    apply(&|setup| setup.apis[0] = setup.apis[0].clone().method("/new", "get", added.clone()));
    assert_eq!(text(&mut client, "/prod/new"), "2 GET /new");
    assert_eq!(text(&mut client, "/prod/"), "1 GET /");
    apply(&|setup| setup.apis[0].cache_cluster_size = Some("1.6"));
    assert_eq!(text(&mut client, "/prod/"), "3 GET /");
    apply(&|setup| setup.apis[0].cache_cluster_size = None);
    assert_eq!(text(&mut client, "/prod/"), "4 GET /");
    assert_eq!(text(&mut client, "/prod/"), "5 GET /");
}

fn ranges_and_conditions(io: Io) {
    let upstream = Upstream::start(|connection| {
        while let Some(request) = connection.request() {
            if request.field("range").is_some() {
                connection.send("HTTP/1.1 206 X\r\nContent-Range: bytes 0-0/3\r\nContent-Length: 1\r\n\r\na");
            } else if request.field("if-none-match").is_some() {
                connection.send("HTTP/1.1 304 X\r\nETag: \"e\"\r\n\r\n");
            } else {
                connection.send("HTTP/1.1 200 X\r\nETag: \"e\"\r\nContent-Length: 3\r\n\r\nabc");
            }
        }
    });
    let gateway = Setup::new(io).api(cached(&upstream)).start();
    let mut client = gateway.client();
    let condition = ("If-None-Match", "\"e\"");
    // The backend's 304 is for its asker alone.
    assert_eq!(client.request("GET", "/prod/", "localhost", &[condition]).status, 304);
    assert_eq!(client.get("/prod/").text(), "abc");
    // From the cache everybody gets the whole answer, as in AWS.
    let whole = client.request("GET", "/prod/", "localhost", &[condition]);
    assert_eq!((whole.status, whole.text(), whole.field("etag")), (200, "abc", Some("\"e\"")));
    let part = client.request("GET", "/prod/", "localhost", &[("Range", "bytes=0-0")]);
    assert_eq!((part.status, part.text()), (206, "a"));
    assert_eq!(client.get("/prod/").text(), "abc");
    assert_eq!(upstream.requests().len(), 3);
}

fn mock_answers_are_cached_whole(io: Io) {
    let mut integration = mock(200);
    integration["responses"]["default"]["responseTemplates"] =
        json!({ "application/json": "{\"id\": \"$context.requestId\"}" });
    let api = Api::new("m", "m0ckm0ckm1")
        .method("/m", "get", integration)
        .cache_cluster_size("0.5")
        .method_setting("*/*", ON);
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    let first = client.get("/prod/m");
    let second = client.get("/prod/m");
    assert_eq!(first.json()["id"].as_str(), first.field("x-amzn-requestid"));
    assert_eq!(second.json()["id"], first.json()["id"]);
    assert_eq!(second.field("content-type"), Some("application/json"));
    assert_ne!(second.field("x-amzn-requestid"), first.field("x-amzn-requestid"));
}

fn answers_of_http_have_no_trace_of_the_first(io: Io) {
    let upstream = counting();
    let mut integration = http_proxy("GET", &format!("http://{}/x", upstream.address));
    integration["type"] = json!("http");
    let integration = mapped(integration, "integration.request.header.X-Own", "method.request.header.X-Own");
    let mut integration = integration;
    integration["cacheKeyParameters"] = json!(["integration.request.header.X-Own"]);
    let api = Api::new("echo", "ech0ech0e1")
        .method("/x", "get", integration)
        .cache_cluster_size("0.5")
        .method_setting("*/*", ON);
    let gateway = Setup::new(io).api(api).start();
    let mut client = gateway.client();
    let first = client.get("/prod/x");
    assert!(first.field("x-amzn-trace-id").is_some());
    let second = client.get("/prod/x");
    assert_eq!((second.text(), second.field("x-amzn-trace-id")), ("1 GET /x", None));
    let other = client.request("GET", "/prod/x", "localhost", &[("X-Own", "a")]);
    assert_eq!(other.text(), "2 GET /x");
}

fn explain_tells_what_the_cache_would_do(io: Io) {
    let upstream = counting();
    let gateway = Setup::new(io).api(cached(&upstream)).start();
    let url = format!("http://{}/prod/", gateway.public());
    let told = |more: &[&str]| {
        let arguments = [&["explain", "--from", "127.0.0.1"], more, &["GET", &url]].concat();
        let steps = gateway.json(&arguments)["steps"].as_array().unwrap().clone();
        let step = steps.iter().find(|step| step["stage"] == "cache").unwrap().clone();
        step["rule"].as_str().unwrap().to_owned()
    };
    assert!(told(&[]).starts_with("miss: "), "{}", told(&[]));
    gateway.client().get("/prod/");
    assert!(told(&[]).starts_with("hit: fresh for 29"), "{}", told(&[]));
    assert!(told(&["--header", "Range: bytes=0-1"]).starts_with("bypass: "));
    let unheard = told(&["--header", "Cache-Control: max-age=0"]);
    assert!(unheard.starts_with("hit: ") && unheard.contains("not heard"), "{unheard}");
    assert_eq!(stage_of(&gateway)["hits"], 0, "to explain is to change nothing");
}
