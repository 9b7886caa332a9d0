//! What a body may cost: steps are counted, not times.

use super::*;
use crate::schema::{compile, json};
use serde_json::{Value, json};
use std::fmt::Write as _;

const SPENT: &str = "[the body takes too long to check]";
/// What may be asked at once before it is seen that there are no steps left.
const PIECE_MAX: u64 = 400 * 1024;

/// What is said of the body, and how many steps it took.
fn walked(schema: Value, body: &str) -> (String, u64) {
    let schema = compile("M", &[("M".to_owned(), schema)].into()).unwrap();
    let instance = json::parse(body.as_bytes()).unwrap();
    let (said, steps) = Walk::through(&schema, &instance);
    (said.err().unwrap_or_default(), steps)
}

fn held(what: &str, schema: Value, body: &str) {
    let (said, steps) = walked(schema, body);
    assert_eq!(said, SPENT, "{what}: {steps} steps");
    assert!((STEPS_MAX..STEPS_MAX + 3 * PIECE_MAX).contains(&steps), "{what}: {steps} steps");
}

fn repeated(value: &Value, count: usize) -> Vec<Value> {
    vec![value.clone(); count]
}

fn listed(count: usize, item: impl Fn(usize) -> String) -> String {
    let mut text = String::from("[");
    for number in 0..count {
        let _ = write!(text, "{}{}", if number == 0 { "" } else { "," }, item(number));
    }
    text + "]"
}

#[test]
fn combinations_that_multiply_end() {
    // 10 parts, each of which asks 10 more, and so on: 10^9 questions of one number.
    let leaf = json!({"minimum": 1});
    let mut definitions = serde_json::Map::from_iter([("0".to_owned(), leaf)]);
    for level in 1..10 {
        let below = json!({"$ref": format!("#/definitions/{}", level - 1)});
        let key = ["anyOf", "allOf", "oneOf"][level % 3];
        definitions.insert(level.to_string(), json!({ key: repeated(&below, 10) }));
    }
    held("nested", json!({"definitions": definitions, "$ref": "#/definitions/9"}), "0");
    let hard = json!({"anyOf": repeated(&json!({"not": {"type": "integer"}}), 1000)});
    held("for each item", json!({ "items": hard }), &listed(20_000, |_| "1".into()));
}

#[test]
fn what_has_to_be_unique_is_compared_in_bounds() {
    let unique = json!({"uniqueItems": true});
    let (said, steps) = walked(unique.clone(), &listed(100_000, |number| number.to_string()));
    assert_eq!(said, "");
    assert!((100_000..300_000).contains(&steps), "{steps} steps: as many as there are items");
    let long = |number: usize| format!("\"{}{number}\"", "x".repeat(1000));
    let (said, steps) = walked(unique.clone(), &listed(2_000, long));
    assert!(said.is_empty() && steps > 2_000 * 1000 / 16, "{said} {steps} steps: long items cost more");
    let often = json!({"anyOf": repeated(&json!({"not": unique}), 500)});
    held("asked often", often, &listed(100_000, |number| number.to_string()));
    // Each level writes out all that is below it.
    const TEXT: u64 = 64 << 10;
    let deep = format!("{}\"{}\"{}", "[".repeat(20), "x".repeat(TEXT as usize), "]".repeat(20));
    let (said, steps) = walked(json!({"uniqueItems": true, "items": {"$ref": "#"}}), &deep);
    assert!(said.is_empty() && steps > 20 * TEXT / BYTES_PER_STEP, "{said} {steps} steps");
}

#[test]
fn names_are_asked_in_bounds() {
    let patterns = |count: usize| {
        let pattern = |number: usize| (format!("^{number}(a|b)*c$"), json!({}));
        Value::Object((0..count).map(pattern).collect())
    };
    let body = |count: usize| {
        let items = listed(count, |number| format!("\"a{number}\":0"));
        format!("{{{}}}", &items[1..items.len() - 1])
    };
    let all = json!({"patternProperties": patterns(2_000)});
    held("patterns of names", all.clone(), &body(20_000));
    let mut only = all;
    only["additionalProperties"] = json!(false);
    held("no other names", only, &body(20_000));
    let (said, steps) = walked(json!({"patternProperties": patterns(3)}), &body(1_000));
    assert!(said.is_empty() && steps < 500_000, "{said} {steps} steps: a few of them are cheap");
    // Half a million objects, and thousands of names that each one of them has to have.
    let names: Vec<String> = (0..30_000).map(|number| format!("n{number}")).collect();
    let objects = listed(300_000, |_| "{\"a\":0}".into());
    held("required", json!({"items": {"required": names}}), &objects);
    held("dependencies", json!({"items": {"dependencies": {"a": names}}}), &objects);
}

#[test]
fn chains_of_references_end() {
    let chain = |length: usize| {
        let next = |number: usize| match number + 1 == length {
            true => json!({"type": "string"}),
            false => json!({"$ref": format!("#/definitions/{}", number + 1)}),
        };
        let definitions = (0..length).map(|number| (number.to_string(), next(number)));
        json!({"definitions": Value::Object(definitions.collect()), "$ref": "#/definitions/0"})
    };
    let (said, steps) = walked(chain(300), "\"a\"");
    assert_eq!((said.as_str(), steps), ("", 301));
    let (said, steps) = walked(chain(9_000), "\"a\"");
    assert_eq!((said.as_str(), steps), ("[the body or its schema is nested too deeply]", 401));
    // Of each item anew.
    let mut each = chain(390);
    each["items"] = json!({"$ref": "#/definitions/0"});
    each.as_object_mut().unwrap().remove("$ref");
    held("a chain for each", each, &listed(100_000, |_| "\"a\"".into()));
}

#[test]
fn values_of_an_enumeration_cost_what_they_hold() {
    let zeros = json!([repeated(&json!(0), 50_000)]);
    let (said, steps) = walked(json!({"enum": [zeros]}), "1");
    assert!(steps > 50_000 && said.contains("[...]"), "{said} {steps}");
    let often = json!({
        "definitions": {"zeros": {"enum": [zeros]}},
        "anyOf": repeated(&json!({"$ref": "#/definitions/zeros"}), 5_000),
    });
    held("asked often", often, &format!("[{}]", listed(50_001, |_| "0".into())));
    let text = json!({"enum": ["x".repeat(100_000)]});
    held("long texts", json!({ "items": text }), &listed(30_000, |_| "1".into()));
}

/// Whoever complains silently a thousand times writes it out each time.
#[test]
fn a_complaint_never_writes_out_what_is_long() {
    let long = "x".repeat(1 << 20);
    let cut = format!("\"{}...\"", "x".repeat(SHOWN_CHARS_MAX));
    for (body, expected) in [
        (format!("[[\"{long}\"]]"), "[...]".to_owned()),
        (format!("[\"{long}\", 1.5]"), format!("[{cut},1.5]")),
        (format!("\"{long}\""), cut.clone()),
        (format!("{{\"a\": \"{long}\"}}"), "{...}".to_owned()),
        ("[1, 2, 3, 4, 5]".to_owned(), "[...]".to_owned()),
    ] {
        assert_eq!(shown(&json::parse(body.as_bytes()).unwrap()), expected);
    }
}
