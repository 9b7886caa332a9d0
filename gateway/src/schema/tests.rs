//! What schemas let pass, what is said of the rest, and what they may cost.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn models(entries: &[(&str, Value)]) -> Models {
    entries.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect()
}

fn schema(value: Value) -> Schema {
    compile("M", &models(&[("M", value)])).unwrap()
}

/// "" where it fits.
fn said(schema: &Schema, body: &str) -> String {
    schema.check(body.as_bytes()).err().unwrap_or_default()
}

/// What fits, and what is said of what does not.
fn hold(cases: &[(Value, &str, &str)]) {
    for (schema_, body, expected) in cases {
        assert_eq!(said(&schema(schema_.clone()), body), *expected, "{schema_} {body}");
    }
}

#[test]
fn types_and_properties_mean_what_draft_4_says() {
    let object = json!({
        "type": "object", "required": ["name", "id"],
        "properties": {"id": {"type": "integer"}, "name": {"type": "string"}},
        "patternProperties": {"^x-": {"type": "boolean"}}, "additionalProperties": false
    });
    let missing = r#"[object has missing required properties (["id","name"])]"#;
    let others = r#"[object instance has properties which are not allowed by the schema: ["b","c"]]"#;
    let no_number = concat!(
        "[instance type (string) does not match any allowed primitive type ",
        r#"(allowed: ["integer","number"])]"#
    );
    hold(&[
        (object.clone(), r#"{"id": 1, "name": "a", "x-b": true}"#, ""),
        (object.clone(), "{}", missing),
        (object.clone(), "", missing),
        (object.clone(), r#"{"id": 1, "name": "a", "b": 1, "c": 2}"#, others),
        (json!({"type": "number"}), "\"100\"", no_number),
        (json!({"type": "number"}), "1", ""),
        (json!({"type": "integer"}), "18446744073709551616", ""),
        (json!({"type": ["string", "null"]}), "null", ""),
        (
            json!({"type": "integer"}),
            "1.5",
            r#"[instance type (number) does not match any allowed primitive type (allowed: ["integer"])]"#,
        ),
    ]);
}

#[test]
fn keywords_of_single_values_mean_what_draft_4_says() {
    hold(&[
        (json!({"enum": [1, "a", {"b": [null]}]}), r#"{"b":[null]}"#, ""),
        (json!({"enum": [1]}), "1.0", ""),
        (
            json!({"enum": ["cat", "dog"]}),
            "\"AB\"",
            r#"[instance value ("AB") not found in enum (possible values: ["cat","dog"])]"#,
        ),
        (
            json!({"minimum": 5}),
            "1",
            "[numeric instance is lower than the required minimum (minimum: 5, found: 1)]",
        ),
        (json!({"minimum": 5}), "5", ""),
        (
            json!({"minimum": 5, "exclusiveMinimum": true}),
            "5",
            "[numeric instance is not strictly greater than the required minimum 5]",
        ),
        (
            json!({"maximum": 0.5}),
            "0.75",
            "[numeric instance is greater than the required maximum (maximum: 0.5, found: 0.75)]",
        ),
        (json!({"multipleOf": 0.1}), "0.3", ""),
        (json!({"multipleOf": 2}), "3", "[remainder of division is not zero (3 / 2)]"),
        (json!({"minLength": 2}), "\"ä\"", "[string \"ä\" is too short (length: 1, required minimum: 2)]"),
        (json!({"maxLength": 1}), "\"ab\"", "[string \"ab\" is too long (length: 2, maximum allowed: 1)]"),
        (json!({"pattern": "b+"}), "\"abc\"", ""),
        (
            json!({"pattern": "^\\d{3}$"}),
            "\"12\"",
            "[ECMA 262 regex \"^\\d{3}$\" does not match input string \"12\"]",
        ),
    ]);
}

#[test]
fn keywords_of_lists_and_objects_mean_what_draft_4_says() {
    hold(&[
        (
            json!({"minItems": 2}),
            "[1]",
            "[array is too short: must have at least 2 elements but instance has 1 elements]",
        ),
        (json!({"uniqueItems": true}), "[1, \"1\", 2]", ""),
        (
            json!({"uniqueItems": true}),
            "[{\"a\":1,\"b\":2}, {\"b\":2,\"a\":1.0}]",
            "[array must not contain duplicate elements]",
        ),
        (json!({"items": {"minimum": 1}}), "[1, 2]", ""),
        (
            json!({"items": [{"type": "null"}], "additionalItems": false}),
            "[null, 1]",
            "[array is too long: must have at most 1 elements but instance has 2 elements]",
        ),
        (
            json!({"items": [{}], "additionalItems": {"type": "null"}}),
            "[1, 2]",
            r#"[instance type (integer) does not match any allowed primitive type (allowed: ["null"])]"#,
        ),
        (
            json!({"minProperties": 1}),
            "{}",
            "[object has too few properties (found 0 but schema requires at least 1)]",
        ),
        (
            json!({"dependencies": {"a": ["b"], "c": {"required": ["d"]}}}),
            r#"{"a": 1, "c": 1}"#,
            "[property \"a\" of object has missing property dependencies (schema requires [\"b\"]; missing: \
             [\"b\"]), object has missing required properties ([\"d\"])]",
        ),
    ]);
}

#[test]
fn combinations_and_formats_mean_what_draft_4_says() {
    hold(&[
        (
            json!({"allOf": [{"minimum": 1}, {"minimum": 3}]}),
            "2",
            "[instance failed to match all required schemas (matched only 1 out of 2)]",
        ),
        (
            json!({"anyOf": [{"type": "null"}, {"minimum": 3}]}),
            "2",
            "[instance failed to match at least one required schema among 2]",
        ),
        (
            json!({"oneOf": [{"minimum": 1}, {"minimum": 2}]}),
            "2",
            "[instance failed to match exactly one schema (matched 2 out of 2)]",
        ),
        (json!({"not": {"type": "null"}}), "null", "[instance matched a schema which it should not have]"),
        (json!({"format": "date-time"}), "\"2024-02-29T12:00:00.5+01:00\"", ""),
        (json!({"format": "ipv4"}), "\"1.2.3\"", "[string \"1.2.3\" is not a valid IPv4 address]"),
        (json!({"format": "of my own"}), "\"x\"", ""),
        // What is said of the outside is said alone.
        (
            json!({"required": ["a"], "properties": {"b": {"type": "null"}}}),
            r#"{"b": 1}"#,
            r#"[object has missing required properties (["a"])]"#,
        ),
    ]);
}

#[test]
fn formats_are_told_apart() {
    for (format, good, bad) in [
        (
            Format::DateTime,
            &["2026-11-30T18:00:00Z", "2026-11-30t18:00:60.123z", "2026-11-30T18:00:00+0100"][..],
            &[
                "2026-02-29T00:00:00Z",
                "2026-11-30",
                "2026-11-30T18:00Z",
                "2026-11-30T18:00:00",
                "2026-11-30T24:00:00Z",
                "é",
            ][..],
        ),
        (Format::Email, &["a.b+c@d-e.org"], &["a", "@b", "a b@c", "a@b@c.d", "a@-b"]),
        (Format::Hostname, &["a.b-c"], &["", "a..b", "a_b", "-a"]),
        (Format::Ipv6, &["::1"], &["1", ":::"]),
        (Format::Uri, &["http://a/b?c#d", "urn:x"], &["", "a b:c", "/a", "1a:b", "x:"]),
    ] {
        assert!(good.iter().all(|text| format.has(text)), "{format:?} {good:?}");
        assert!(!bad.iter().any(|text| format.has(text)), "{format:?} {bad:?}");
    }
}

#[test]
fn models_refer_to_each_other_as_aws_writes_it() {
    let models_of = "https://apigateway.amazonaws.com/restapis/a1b2c3d4e5/models";
    let at = |name: &str| json!({"$ref": format!("{models_of}/{name}")});
    let all = models(&[
        (
            "Tree",
            json!({
                "type": "object",
                "properties": {
                    "leaf": {"$ref": "#/definitions/leaf"},
                    "below": {"type": "array", "items": at("Tree")},
                    "pet": at("Pet"),
                },
                "definitions": {"leaf": {"type": "integer"}}
            }),
        ),
        ("Pet", json!({"type": "object", "required": ["name"]})),
    ]);
    let tree = compile("Tree", &all).unwrap();
    assert_eq!(said(&tree, r#"{"leaf": 1, "below": [{"below": []}], "pet": {"name": 1}}"#), "");
    assert_ne!(said(&tree, r#"{"below": [{"below": [{"leaf": "x"}]}]}"#), "");
    assert_eq!(said(&tree, r#"{"pet": {}}"#), r#"[object has missing required properties (["name"])]"#);
    for lost in [json!({"$ref": "https://example.org/x"}), at("None"), json!({"$ref": "#/definitions/none"})]
    {
        assert!(compile("M", &models(&[("M", json!({"properties": {"a": lost}}))])).is_err());
    }
}

#[test]
fn what_cannot_be_asked_is_no_schema() {
    for wrong in [
        json!([]),
        json!({"type": "text"}),
        json!({"type": 1}),
        json!({"enum": []}),
        json!({"minimum": "1"}),
        json!({"minLength": -1}),
        json!({"multipleOf": 0}),
        json!({"required": "a"}),
        json!({"properties": {"a": 1}}),
        json!({"allOf": []}),
        json!({"pattern": "(?=x)"}),
        json!({"pattern": "("}),
        json!({"pattern": "((a{1000}){1000}){1000}"}),
        json!({"minimum": 1, "exclusiveMinimum": 2}),
    ] {
        assert!(compile("M", &models(&[("M", wrong.clone())])).is_err(), "{wrong}");
    }
    let many: Vec<Value> = (0..10_001).map(|_| json!({})).collect();
    assert!(compile("M", &models(&[("M", json!({"allOf": many}))])).unwrap_err().contains("10000 parts"));
}

#[test]
fn what_a_body_costs_is_bounded() {
    // Circles of references, also upon the same value.
    let circle = schema(json!({"allOf": [{"$ref": "#"}]}));
    assert_eq!(said(&circle, "1"), "[the body or its schema is nested too deeply]");
    // Each level asks twice as often.
    let below = json!({"properties": {"a": {"$ref": "#"}}, "required": ["b"]});
    let twice = json!({"anyOf": [below, below]});
    let deep = format!("{}1{}", r#"{"b":0,"a":"#.repeat(60), "}".repeat(60));
    assert_eq!(said(&schema(twice), &deep), "[the body takes too long to check]");
    // A text against a pattern that is large for it.
    let slow = schema(json!({"pattern": "^(a|b|c|d){1,100}x$"}));
    assert_eq!(said(&slow, &format!("\"{}\"", "abcd".repeat(250_000))), "[the body takes too long to check]");
    let nested = format!("{}{}", "[".repeat(200), "]".repeat(200));
    assert!(said(&schema(json!({})), &nested).contains("recursion limit"));
    let many = format!("[{}0]", "0,".repeat(1_000_000));
    assert!(said(&schema(json!({})), &many).contains("more than 1000000 values"));
}

#[test]
fn a_body_has_one_reading() {
    let any = schema(json!({}));
    assert!(said(&any, r#"{"a": 1, "b": {"a": 1}, "a": 2}"#).contains("the property \"a\" stands twice"));
    assert!(said(&any, r#"{"a": 1, "\u0061": 2}"#).contains("the property \"a\" stands twice"));
    for broken in ["{", "nul", "1 2", "{\"a\":}", "\u{feff}1", "\"\\ud800\""] {
        assert_ne!(said(&any, broken), "", "{broken}");
    }
    assert!(any.check(b"\"\xff\"").is_err());
}

/// JSON of every kind, nested.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Written and read again these are the same; of others the reader may miss the last bit.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 64.0)),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(".{0,4}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// A value is what an enumeration of it says, and no other.
    #[test]
    fn a_value_is_itself_and_no_other(one in any_json(), other in any_json()) {
        let is_one = schema(json!({"enum": [one]}));
        prop_assert_eq!(said(&is_one, &one.to_string()), "");
        let same = json::Json::of(&one) == json::Json::of(&other);
        prop_assert_eq!(said(&is_one, &other.to_string()).is_empty(), same);
        let pair = schema(json!({"uniqueItems": true}));
        prop_assert_eq!(said(&pair, &json!([one, other]).to_string()).is_empty(), !same);
    }

    /// Whatever is sent: there is an answer.
    #[test]
    fn any_bytes_are_checked(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,60}") {
        let all = schema(json!({
            "type": ["object", "array", "string", "number"], "required": ["a"], "properties": {"a": {"$ref": "#"}},
            "patternProperties": {"^b+$": {"format": "date-time"}}, "additionalProperties": false,
            "items": [{"minimum": 1}], "uniqueItems": true, "pattern": "^a.*b$", "multipleOf": 0.01,
        }));
        let _ = all.check(&bytes);
        let _ = all.check(text.as_bytes());
        let _ = all.check(json!({ "a": text }).to_string().as_bytes());
    }

    /// Whatever stands in a model: it can be asked, or it is told why not.
    #[test]
    fn any_schema_is_compiled_or_refused(
        key in prop_oneof![
            Just("type"), Just("enum"), Just("items"), Just("properties"), Just("required"), Just("pattern"),
            Just("dependencies"), Just("allOf"), Just("not"), Just("$ref"), Just("minLength"), Just("multipleOf"),
        ],
        value in any_json(),
        instance in any_json(),
    ) {
        if let Ok(made) = compile("M", &models(&[("M", json!({ key: value }))])) {
            let _ = made.check(instance.to_string().as_bytes());
        }
    }
}
