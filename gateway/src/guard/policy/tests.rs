//! A table of policies and requests, and what must count against the caller.

use super::*;
use serde_json::{Value, json};

const OWNER: Owner<'_> = Owner { region: "us-east-1", account: "123456789012", api: "a1", is_stored: false };

fn request(path: &str) -> Request<'static> {
    let arn = |path: &str| format!("arn:aws:execute-api:us-east-1:123456789012:a1/prod/GET/{path}");
    let decoded = path.contains('%').then(|| String::from_utf8_lossy(&decode(path)).into_owned());
    let bare = bare(decoded.as_deref().unwrap_or(path));
    Request {
        source: "203.0.113.9".parse().unwrap(),
        vpc: None,
        vpce: None,
        user_agent: Some("curl/8".into()),
        referer: None,
        arn: arn(path),
        decoded_arn: decoded.as_deref().map(arn),
        bare_arn: bare.as_deref().map(arn),
    }
}

fn from_vpc() -> Request<'static> {
    let source = "10.0.3.4".parse().unwrap();
    Request { source, vpc: Some("vpc-main"), vpce: Some("vpce-main"), ..request("pets") }
}

fn parsed(statements: &Value) -> Parsed {
    Policy::parse(&json!({"Version": "2012-10-17", "Statement": statements}), OWNER).unwrap()
}

fn passes(statements: &Value, request: &Request<'_>) -> bool {
    parsed(statements).policy.evaluate(request).is_ok()
}

fn allow() -> Value {
    statement("Allow", "execute-api:/*")
}

fn statement(effect: &str, resource: &str) -> Value {
    json!({"Effect": effect, "Principal": "*", "Action": "execute-api:Invoke", "Resource": resource})
}

fn with(mut statement: Value, key: &str, value: Value) -> Value {
    statement[key] = value;
    statement
}

#[test]
fn resources() {
    for (resource, path, matches) in [
        ("*", "pets", true),
        ("execute-api:/*", "pets", true),
        ("execute-api:*", "pets", true),
        ("execute-api:/prod/GET/pets", "pets", true),
        ("execute-api:/prod/GET/pets/", "pets", true),
        ("execute-api:/prod/GET/", "", true),
        ("execute-api:/prod/GET/pets", "pets/7", false),
        ("execute-api:/prod/GET/pets/*", "pets/7/toys", true),
        ("execute-api:/prod/GET/pets/?", "pets/7", true),
        ("execute-api:/prod/POST/*", "pets", false),
        ("execute-api:/*/GET/pets", "pets", true),
        ("execute-api:/beta/*", "pets", false),
        ("arn:aws:execute-api:us-east-1:123456789012:a1/prod/*/pets", "pets", true),
        ("arn:aws:execute-api:us-east-1:123456789012:a1/*", "pets", true),
        ("arn:aws:execute-api:*:*:*", "pets", true),
        ("arn:aws:execute-api:us-east-1:123456789012:b2/*", "pets", false),
        ("arn:aws:execute-api:eu-west-1:123456789012:a1/*", "pets", false),
        ("execute-api:/prod/GET/a b", "a%20b", true),
        ("execute-api:/prod/GET/a%20b", "a%20b", true),
        ("execute-api:/prod/GET/PETS", "pets", false),
    ] {
        assert_eq!(
            passes(&json!([statement("Allow", resource)]), &request(path)),
            matches,
            "{resource} {path}"
        );
    }
}

#[test]
fn an_encoded_slash_helps_nobody() {
    let path = request("admin%2Fusers");
    assert!(!passes(&json!([allow(), statement("Deny", "execute-api:/prod/GET/admin/*")]), &path));
    assert!(!passes(&json!([statement("Allow", "execute-api:/prod/GET/admin/*")]), &path));
    assert!(passes(&json!([statement("Allow", "execute-api:/prod/GET/admin%2F*")]), &path));
}

/// nginx reads `//admin` and `/%2Fadmin` as `/admin`, Tomcat `/admin;x`, IIS `\\admin`.
#[test]
fn what_a_lax_backend_reads_is_denied_and_not_allowed() {
    let admin = |effect| statement(effect, "execute-api:/prod/GET/admin/users");
    for path in [
        "admin//users",
        "admin/%2Fusers",
        "%2Fadmin/users",
        "admin/users;x=1",
        "admin;x/users%3By",
        "admin%5Cusers",
    ] {
        assert!(!passes(&json!([allow(), admin("Deny")]), &request(path)), "{path}");
        assert!(!passes(&json!([admin("Allow")]), &request(path)), "{path}");
    }
    assert!(passes(&json!([allow(), admin("Deny")]), &request("admin/users2;admin/users")));
    let anything = json!([{
        "Effect": "Allow", "Principal": "*", "Action": "*", "NotResource": "execute-api:/prod/GET/admin/*",
    }]);
    assert!(passes(&anything, &request("pets")) && !passes(&anything, &request("admin//users")));
}

#[test]
fn of_several_fields_none_is_believed_alone() {
    let mut head = RequestHead::new();
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nReferer: good\r\nUser-Agent: x\r\nreferer: evil\r\n\r\n";
    head.parse(bytes, &crate::http::HeadLimits::default()).unwrap();
    assert_eq!(text(&head, "referer").as_deref(), Some("good, evil"));
    assert_eq!(text(&head, "user-agent").as_deref(), Some("x"));
    assert_eq!(text(&head, "origin"), None);
}

#[test]
fn deny_wins_and_silence_refuses() {
    let refusal = |statements: &Value| parsed(statements).policy.evaluate(&request("pets")).unwrap_err();
    let named = with(statement("Deny", "*"), "Sid", json!("NoPets"));
    let denied =
        |statement: &str, explicit| Refusal::PolicyDenied { statement: statement.to_owned(), explicit };
    assert_eq!(refusal(&json!([named, allow()])), denied("NoPets", true));
    assert_eq!(refusal(&json!([allow(), statement("Deny", "*")])), denied("statement 2", true));
    assert_eq!(refusal(&json!([])), denied("no statement allows it", false));
    assert!(passes(&allow(), &request("pets")), "a single statement needs no list");
}

#[test]
fn actions_principals_and_their_opposites() {
    for (key, value, allowed) in [
        ("Action", json!("execute-api:Invoke"), true),
        ("Action", json!("EXECUTE-API:invoke"), true),
        ("Action", json!(["execute-api:ManageConnections", "execute-api:*"]), true),
        ("Action", json!("execute-api:Inv?ke"), true),
        ("Action", json!("execute-api:InvalidateCache"), false),
        ("Action", json!("s3:*"), false),
        ("NotAction", json!("s3:*"), true),
        ("NotAction", json!("execute-api:*"), false),
        ("NotResource", json!("execute-api:/prod/GET/admin"), true),
        ("NotResource", json!("execute-api:/prod/GET/pets"), false),
        ("Principal", json!({"AWS": "*"}), true),
        ("Principal", json!({"AWS": ["arn:aws:iam::1:root", "*"]}), true),
        ("Principal", json!({"AWS": "arn:aws:iam::123456789012:root"}), false),
        ("Principal", json!({"Service": "lambda.amazonaws.com"}), false),
        ("NotPrincipal", json!("*"), false),
        ("NotPrincipal", json!({"AWS": "arn:aws:iam::1:root"}), false),
    ] {
        let mut statement = allow();
        statement.as_object_mut().unwrap().remove(key.trim_start_matches("Not"));
        let statement = with(statement, key, value.clone());
        assert_eq!(passes(&json!([statement]), &request("pets")), allowed, "{key} {value}");
        let deny = with(statement, "Effect", json!("Deny"));
        // What is not sure to spare the caller refuses him: only what matches surely not lets him pass.
        let spared =
            !allowed && !parsed(&json!([deny])).warnings.iter().any(|w| w.what.contains("principals"));
        assert_eq!(passes(&json!([allow(), deny]), &request("pets")), spared, "Deny {key} {value}");
    }
}

/// A condition, and whether it holds for the outsider and for a client of the VPC; None: cannot be evaluated.
#[test]
fn conditions() {
    let (yes, no, unknown) = (Some(true), Some(false), None);
    for (condition, outsider, insider) in [
        (json!({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}), yes, no),
        (json!({"IpAddress": {"AWS:sourceip": ["203.0.113.9", "10.0.0.0/8"]}}), yes, yes),
        (json!({"NotIpAddress": {"aws:SourceIp": ["203.0.113.0/24", "192.0.2.0/24"]}}), no, yes),
        (json!({"IpAddress": {"aws:SourceIp": "::/0"}}), no, no),
        (json!({"IpAddress": {"aws:VpcSourceIp": "10.0.0.0/16"}}), no, yes),
        (json!({"NotIpAddress": {"aws:VpcSourceIp": "10.0.0.0/16"}}), yes, no),
        (json!({"IpAddressIfExists": {"aws:VpcSourceIp": "10.0.0.0/16"}}), yes, yes),
        (json!({"StringEquals": {"aws:SourceVpc": "vpc-main"}}), no, yes),
        (json!({"StringNotEquals": {"aws:SourceVpc": "vpc-main"}}), yes, no),
        (json!({"StringNotEquals": {"aws:SourceVpce": ["vpce-main", "vpce-2"]}}), yes, no),
        (json!({"StringEqualsIfExists": {"aws:SourceVpc": "vpc-x"}}), yes, no),
        (json!({"ForAnyValue:StringEquals": {"aws:SourceVpc": ["vpc-x", "vpc-main"]}}), no, yes),
        (json!({"ForAnyValue:StringNotEquals": {"aws:SourceVpc": "vpc-x"}}), no, yes),
        (json!({"ForAllValues:StringEquals": {"aws:SourceVpc": "vpc-x"}}), yes, no),
        (json!({"StringLike": {"aws:UserAgent": "curl/*"}}), yes, yes),
        (json!({"StringNotLike": {"aws:UserAgent": "curl/?"}}), no, no),
        (json!({"StringEqualsIgnoreCase": {"aws:UserAgent": "CURL/8"}}), yes, yes),
        (json!({"StringEquals": {"aws:UserAgent": "CURL/8"}}), no, no),
        (json!({"StringEquals": {"aws:Referer": "x"}}), no, no),
        (json!({"Bool": {"aws:SecureTransport": false}}), yes, yes),
        (json!({"Bool": {"aws:SecureTransport": "true"}}), no, no),
        (json!({"Null": {"aws:SourceVpc": "true"}}), yes, no),
        (json!({"Null": {"aws:SourceVpc": false}}), no, yes),
        (json!({"StringEquals": {"aws:SourceVpc": "vpc-main", "aws:UserAgent": "curl/8"}}), no, yes),
        (
            json!({"StringEquals": {"aws:SourceVpc": "vpc-main"}, "Bool": {"aws:SecureTransport": "true"}}),
            no,
            no,
        ),
        (json!({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}), unknown, unknown),
        (json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}), unknown, unknown),
        (json!({"Null": {"aws:PrincipalArn": "true"}}), unknown, unknown),
        (json!({"StringEquals": {"aws:UserAgent": "${aws:username}"}}), unknown, unknown),
        (json!({"NumericLessThan": {"aws:SourceIp": "1"}}), unknown, unknown),
        (json!({"IpAddress": {"aws:UserAgent": "10.0.0.0/8"}}), unknown, unknown),
        // What is surely false needs no other part to be known.
        (json!({"StringEquals": {"aws:PrincipalOrgID": "o-1", "aws:SourceVpc": "vpc-main"}}), no, unknown),
    ] {
        for (request, holds) in [(request("pets"), outsider), (from_vpc(), insider)] {
            let allows = json!([with(allow(), "Condition", condition.clone())]);
            assert_eq!(passes(&allows, &request), holds == Some(true), "Allow {condition}");
            let deny = with(statement("Deny", "*"), "Condition", condition.clone());
            assert_eq!(passes(&json!([allow(), deny]), &request), holds == Some(false), "Deny {condition}");
        }
        let warned = !parsed(&json!([with(allow(), "Condition", condition.clone())])).warnings.is_empty();
        assert_eq!(warned, outsider.is_none() || insider.is_none(), "{condition}");
    }
}

#[test]
fn what_is_no_policy_is_an_error() {
    for statements in [
        json!([{}]),
        json!(["x"]),
        json!([with(allow(), "Effect", json!("Perhaps"))]),
        json!([with(allow(), "Resources", json!("*"))]),
        json!([with(allow(), "NotAction", json!("*"))]),
        json!([with(allow(), "Principal", json!(7))]),
        json!([with(allow(), "Resource", json!({}))]),
        json!([with(allow(), "Condition", json!([]))]),
        json!([with(allow(), "Condition", json!({"StringEquals": "x"}))]),
        json!([with(allow(), "Condition", json!({"StringEqual": {"aws:SourceIp": "x"}}))]),
        json!([with(allow(), "Condition", json!({"ForSome:StringEquals": {"aws:SourceIp": "x"}}))]),
        json!([with(allow(), "Condition", json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/33"}}))]),
        json!([with(allow(), "Condition", json!({"Null": {"aws:SourceIp": "perhaps"}}))]),
    ] {
        assert!(Policy::parse(&json!({"Statement": statements}), OWNER).is_err(), "{statements}");
    }
    assert!(Policy::parse(&json!({}), OWNER).is_err());
    assert!(Policy::parse(&json!("{"), OWNER).is_err());
}

#[test]
fn exported_texts_are_read() {
    let text = json!({"Statement": [allow()]}).to_string();
    for text in [text.clone(), text.replace('"', "\\\"")] {
        let policy = Policy::parse(&Value::String(text), OWNER).unwrap().policy;
        assert!(policy.evaluate(&request("pets")).is_ok());
    }
}

#[test]
fn what_names_another_api_is_told_with_both_values_and_what_follows() {
    let told = |statement: Value| -> Vec<(String, String)> {
        parsed(&json!([statement])).warnings.into_iter().map(|w| (w.what, w.instead)).collect()
    };
    let arn = "arn:aws:execute-api:eu-west-1:999999999999:b2/*";
    let short = "execute-api:/stage/METHOD/path as the Resource, which means this API";
    assert_eq!(
        told(statement("Allow", arn)),
        [(
            format!(
                "statement 1: `{arn}` matches nothing here: its region is `eu-west-1`, here it is `us-east-1`; its \
                 account is `999999999999`, here it is `123456789012`; its API is `b2`, here it is `a1`; it is an \
                 Allow that matches nothing: every request gets 403, unless another statement allows it"
            ),
            format!(
                "write [node] region = \"eu-west-1\", [node] account = \"999999999999\", [[api]] id = \"b2\" in \
                 gateway.toml, or {short}"
            )
        )]
    );
    let account = "arn:aws:execute-api:*:99*:a1/*";
    let [(what, instead)] = &told(statement("Deny", account))[..] else { panic!() };
    assert!(
        what.ends_with("`123456789012`; it is a Deny that matches nothing: it denies no request"),
        "{what}"
    );
    assert_eq!(*instead, format!("write {short}"));
    let stored = |api, statement: Value| {
        let owner = Owner { api, is_stored: true, ..OWNER };
        let parsed = Policy::parse(&json!({"Statement": [statement]}), owner).unwrap();
        parsed.warnings.into_iter().map(|w| w.instead).collect::<Vec<_>>()
    };
    let keeps = "(an [[api]] of gateway.toml can keep the old id)";
    let own = "arn:aws:execute-api:us-east-1:123456789012:a1/stage/METHOD/path";
    assert_eq!(
        stored("a1", statement("Allow", arn)),
        [format!("write {short}, or this API's own {own} {keeps}")]
    );
    assert_eq!(stored("a new id", statement("Allow", arn)), [format!("write {short} {keeps}")]);
    // Beside one that matches, nothing follows.
    let both = with(allow(), "Resource", json!(["execute-api:/*", account]));
    let [(what, _)] = &told(both)[..] else { panic!() };
    assert!(what.ends_with("its account is `99*`, here it is `123456789012`"), "{what}");
    assert_eq!(told(allow()), []);
}

#[test]
fn an_action_that_nobody_asks_for_is_told_with_what_follows() {
    let told = |effect: &str, element: &str, actions: Value| -> Vec<String> {
        let mut statement = statement(effect, "execute-api:/*");
        let object = statement.as_object_mut().unwrap();
        object.remove("Action");
        object.insert(element.into(), actions);
        parsed(&json!([statement])).warnings.into_iter().map(|w| w.what).collect()
    };
    let wrong = "statement 1: `execute-api:Invok` is no action of execute-api";
    assert_eq!(
        told("Allow", "Action", json!("execute-api:Invok")),
        [format!(
            "{wrong}; it is an Allow that matches nothing: every request gets 403, unless another statement allows it"
        )]
    );
    assert_eq!(
        told("Deny", "NotAction", json!("execute-api:Invok")),
        [format!("{wrong}; it is a Deny that excepts nothing: every request gets 403")]
    );
    assert_eq!(told("Allow", "Action", json!(["execute-api:Invok", "execute-api:*"])), [wrong]);
    for good in ["*", "execute-api:INVOKE", "execute-api:Inv?ke", "execute-api:ManageConnections"] {
        assert_eq!(told("Allow", "Action", json!(good)), [""; 0], "{good}");
    }
}

#[test]
fn an_exception_holds_in_both_forms() {
    let but = |effect: &str, resource: &str| {
        let action = "execute-api:Invoke";
        json!({"Effect": effect, "Principal": "*", "Action": action, "NotResource": resource})
    };
    for secret in ["execute-api:/prod/GET/my files/*", "execute-api:/prod/GET/my%20files/*"] {
        let allowed = json!([but("Allow", secret)]);
        assert!(!passes(&allowed, &request("my%20files/x")), "{secret}");
        assert!(passes(&allowed, &request("your%20files/x")));
        let denied = json!([allow(), but("Deny", secret)]);
        assert!(passes(&denied, &request("my%20files/x")), "{secret}");
        assert!(!passes(&denied, &request("your%20files/x")));
    }
    let hidden = request("my%20files%2Fx");
    assert!(!passes(&json!([but("Allow", "execute-api:/prod/GET/my files/*")]), &hidden));
    assert!(!passes(&json!([allow(), but("Deny", "execute-api:/prod/GET/my files/*")]), &hidden));
}
