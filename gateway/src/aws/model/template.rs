//! GetModelTemplate: a mapping template that makes what a model describes of a payload that has the same members.

use super::Model;
use crate::aws::{Call, Fault};
use serde_json::{Map, Value};

/// AWS's limit on templates.
const TEMPLATE_BYTES_MAX: usize = 300 * 1024;
/// Schemas within schemas; deeper ones are left open.
const DEPTH_MAX: usize = 16;
/// References and `allOf` that lead on to others, one after the other.
const STEPS_MAX: usize = 16;

/// Err: the schema is none, or the template were too long.
pub(super) fn of(call: &Call<'_>, model: &Model) -> Result<String, Fault> {
    let invalid = || Fault::bad_request(format!("Invalid model schema: {}", model.name));
    let schema: Value =
        serde_json::from_str(model.schema.as_deref().unwrap_or_default()).map_err(|_| invalid())?;
    let mut writer = Writer { call, text: "#set($inputRoot = $input.path('$'))\n".into() };
    writer.value(&Part { schema: &schema, root: &schema, from: "$inputRoot", depth: 0 })?;
    Ok(writer.text)
}

struct Writer<'c> {
    call: &'c Call<'c>,
    text: String,
}

/// A schema, the document that its `#/...` references mean, and what the payload has in its place.
struct Part<'p> {
    schema: &'p Value,
    root: &'p Value,
    from: &'p str,
    depth: usize,
}

impl Writer<'_> {
    fn value(&mut self, part: &Part<'_>) -> Result<(), Fault> {
        if self.text.len() > TEMPLATE_BYTES_MAX {
            return Err(Fault::bad_request(format!(
                "The template of this model has more than {TEMPLATE_BYTES_MAX} bytes"
            )));
        }
        let Part { from, depth, .. } = *part;
        let (schema, root) = self.resolved(part.schema, part.root)?;
        if depth >= DEPTH_MAX {
            self.text.push_str("{}");
            return Ok(());
        }
        match kind(&schema) {
            "object" => {
                let properties = schema["properties"].as_object().cloned().unwrap_or_default();
                self.object(&properties, &Part { schema: &schema, root: &root, from, depth })
            }
            "array" => self.array(&Part { schema: &schema["items"], root: &root, from, depth }),
            "string" => {
                self.text.push_str(&format!("\"{from}\""));
                Ok(())
            }
            _ => {
                self.text.push_str(from);
                Ok(())
            }
        }
    }

    fn object(&mut self, properties: &Map<String, Value>, part: &Part<'_>) -> Result<(), Fault> {
        let inside = "  ".repeat(part.depth + 1);
        self.text.push('{');
        for (index, (name, schema)) in properties.iter().enumerate() {
            self.text.push_str(if index == 0 { "\n" } else { ",\n" });
            self.text.push_str(&format!("{inside}{} : ", Value::from(name.as_str())));
            let from = member(part.from, name);
            self.value(&Part { schema, root: part.root, from: &from, depth: part.depth + 1 })?;
        }
        if !properties.is_empty() {
            self.text.push_str(&format!("\n{}", "  ".repeat(part.depth)));
        }
        self.text.push('}');
        Ok(())
    }

    /// Loops within loops have elements of their own names.
    fn array(&mut self, part: &Part<'_>) -> Result<(), Fault> {
        let element = match part.depth {
            0 => "elem".to_owned(),
            depth => format!("elem{depth}"),
        };
        self.text.push_str(&format!(
            "[\n##TODO: Update this foreach loop to reference array from input json\n#foreach(${element} in {})\n ",
            part.from
        ));
        let from = format!("${element}");
        self.value(&Part { schema: part.schema, root: part.root, from: &from, depth: part.depth + 1 })?;
        self.text.push_str(" \n#if($foreach.hasNext),#end\n#end\n]");
        Ok(())
    }

    /// The schema without `$ref` and `allOf`, and the document that it belongs to.
    fn resolved(&self, schema: &Value, root: &Value) -> Result<(Value, Value), Fault> {
        let (mut schema, mut root) = (schema.clone(), root.clone());
        for _ in 0..STEPS_MAX {
            if let Some(reference) = schema["$ref"].as_str() {
                if let Some(pointer) = reference.strip_prefix('#') {
                    schema = root.pointer(pointer).cloned().unwrap_or_default();
                } else {
                    schema = self.model(reference)?;
                    root = schema.clone();
                }
            } else if let Some(all) = schema["allOf"].as_array().cloned() {
                schema = merged(&schema, &all);
            } else {
                break;
            }
        }
        Ok((schema, root))
    }

    /// `https://apigateway.amazonaws.com/restapis/{api}/models/{name}`; null where there is none.
    fn model(&self, reference: &str) -> Result<Value, Fault> {
        let Some((_, name)) = reference.rsplit_once("/models/") else { return Ok(Value::Null) };
        let found: Option<Model> = self.call.load(&self.call.key("models", &[self.call.label(0), name]))?;
        let text = found.and_then(|model| model.schema).unwrap_or_default();
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }
}

fn merged(schema: &Value, all: &[Value]) -> Value {
    let mut whole = schema.as_object().cloned().unwrap_or_default();
    whole.remove("allOf");
    let mut properties = Map::new();
    let mut reference = None;
    for part in all {
        reference = reference.or_else(|| part.get("$ref").cloned().filter(|_| all.len() == 1));
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
    }
    properties.extend(whole.get("properties").and_then(Value::as_object).cloned().unwrap_or_default());
    match reference {
        Some(reference) => whole.insert("$ref".into(), reference),
        None => whole.insert("properties".into(), Value::Object(properties)),
    };
    Value::Object(whole)
}

fn kind(schema: &Value) -> &str {
    let first = schema["type"].as_array().and_then(|kinds| kinds.iter().find(|kind| *kind != "null"));
    let written = first.unwrap_or(&schema["type"]).as_str();
    written.unwrap_or(match (schema.get("properties"), schema.get("items")) {
        (_, Some(_)) => "array",
        (Some(_), _) => "object",
        _ if schema.get("enum").is_some() => "string",
        _ => "object",
    })
}

/// `$inputRoot.name`, or `$inputRoot['odd name']` where VTL could not read the former.
fn member(from: &str, name: &str) -> String {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic());
    match first && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        true => format!("{from}.{name}"),
        false => format!("{from}['{}']", name.replace('\'', "''")),
    }
}

#[cfg(test)]
mod tests {
    use crate::aws::tests::Bench;
    use serde_json::{Value, json};

    fn template(bench: &Bench, api: &str, name: &str, schema: Value) -> String {
        let model = json!({ "name": name, "contentType": "application/json", "schema": schema.to_string() });
        bench.ask("POST", &format!("/restapis/{api}/models"), model).unwrap();
        let at = format!("/restapis/{api}/models/{name}/default_template");
        bench.ask("GET", &at, Value::Null).unwrap()["value"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_template_has_the_models_form() {
        let (bench, text) = (Bench::default(), |lines: &[&str]| lines.join("\n"));
        let api = bench.api();
        let pet = json!({
            "type": "object",
            "properties": {
                "type": { "type": "string" }, "price": { "type": "number" },
                "odd-name": { "type": ["null", "boolean"] }, "tags": { "type": "array", "items": { "type": "string" } },
            },
        });
        let expected = text(&[
            "#set($inputRoot = $input.path('$'))",
            "{",
            "  \"type\" : \"$inputRoot.type\",",
            "  \"price\" : $inputRoot.price,",
            "  \"odd-name\" : $inputRoot['odd-name'],",
            "  \"tags\" : [",
            "##TODO: Update this foreach loop to reference array from input json",
            "#foreach($elem1 in $inputRoot.tags)",
            " \"$elem1\" ",
            "#if($foreach.hasNext),#end",
            "#end",
            "]",
            "}",
        ]);
        assert_eq!(template(&bench, &api, "Pet", pet), expected);
        let reference = format!("https://apigateway.amazonaws.com/restapis/{api}/models/Pet");
        let pets = template(&bench, &api, "Pets", json!({ "type": "array", "items": { "$ref": reference } }));
        assert!(pets.contains("#foreach($elem in $inputRoot)\n {\n    \"type\" : \"$elem.type\","), "{pets}");
    }

    #[test]
    fn schemas_that_mean_themselves_come_to_an_end() {
        let bench = Bench::default();
        let api = bench.api();
        let node = json!({
            "type": "object", "properties": { "next": { "$ref": "#" }, "name": { "type": "string" } },
        });
        let written = template(&bench, &api, "Node", node);
        assert!(written.contains("\"$inputRoot.next.next.name\"") && written.len() < 20_000, "{written}");
        let wide = json!({
            "type": "object",
            "properties": { "a": { "$ref": "#" }, "b": { "$ref": "#" }, "c": { "$ref": "#" }, "d": { "$ref": "#" } },
        });
        let model = json!({ "name": "Wide", "contentType": "application/json", "schema": wide.to_string() });
        bench.ask("POST", &format!("/restapis/{api}/models"), model).unwrap();
        let said =
            bench.refused("GET", &format!("/restapis/{api}/models/Wide/default_template"), Value::Null);
        assert!(said.contains("more than 307200 bytes"), "{said}");
        assert_eq!(
            bench.refused("GET", &format!("/restapis/{api}/models/None/default_template"), Value::Null),
            "404 NotFoundException Invalid model name specified: None"
        );
    }
}
