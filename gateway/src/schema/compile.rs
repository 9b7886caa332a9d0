//! A schema and the models that it refers to → `Schema`. Whatever the bounds are, a schema that cannot be asked is an
//! error with its reason: nobody takes it for one that lets everything pass.

use super::json::{Json, number_of};
use super::{Check, Format, Inner, Node, NodeId, Pattern, Schema, Types};
use regex_lite::RegexBuilder;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Schemas within a schema, with all that it refers to.
const NODES_MAX: usize = 10_000;
/// Of a schema as text; AWS takes 400 KB.
pub(super) const TEXT_BYTES_MAX: usize = 400 * 1024;
/// A compiled pattern has at most this size; its time is this size times the text's.
const PATTERN_BYTES_MAX: usize = 64 * 1024;

/// Schemas by the names under which others refer to them.
pub type Models = BTreeMap<String, Value>;

/// Why a schema cannot be asked.
pub type Unusable = String;

/// The schema called `name` among `models`.
pub fn compile(name: &str, models: &Models) -> Result<Schema, Unusable> {
    let mut compiler =
        Compiler { models, known: HashMap::new(), waiting: VecDeque::new(), nodes: Vec::new(), bytes: 0 };
    compiler.reference_to(name, "")?;
    while let Some((id, name, pointer)) = compiler.waiting.pop_front() {
        let model = models.get(&name).ok_or_else(|| format!("there is no model `{name}`"))?;
        let value = model.pointer(&pointer).ok_or_else(|| format!("`#{pointer}` points at nothing"))?;
        let node = compiler.node(&name, value)?;
        compiler.nodes[id] = node;
    }
    Ok(Schema { nodes: compiler.nodes })
}

struct Compiler<'m> {
    models: &'m Models,
    /// What was referred to: model and pointer.
    known: HashMap<(String, String), NodeId>,
    /// Of these, what is to be compiled yet: a circle of references ends here, and a chain takes no stack.
    waiting: VecDeque<(NodeId, String, String)>,
    nodes: Vec<Node>,
    bytes: usize,
}

impl Compiler<'_> {
    fn place(&mut self) -> Result<NodeId, Unusable> {
        if self.nodes.len() >= NODES_MAX {
            return Err(format!("it has more than {NODES_MAX} parts"));
        }
        self.nodes.push(Node::default());
        Ok(self.nodes.len() - 1)
    }

    fn reference_to(&mut self, name: &str, pointer: &str) -> Result<NodeId, Unusable> {
        let key = (name.to_owned(), pointer.to_owned());
        if let Some(id) = self.known.get(&key) {
            return Ok(*id);
        }
        let id = self.place()?;
        self.waiting.push_back((id, key.0.clone(), key.1.clone()));
        self.known.insert(key, id);
        Ok(id)
    }

    /// `#`, `#/definitions/x`, or `https://apigateway.amazonaws.com/restapis/{id}/models/{name}`, also with a fragment.
    fn reference(&mut self, model: &str, text: &str) -> Result<NodeId, Unusable> {
        let (address, pointer) = text.split_once('#').unwrap_or((text, ""));
        let pointer = String::from_utf8_lossy(&percent_decoded(pointer)).into_owned();
        if address.is_empty() {
            return self.reference_to(model, &pointer);
        }
        let name = address.split_once("/models/").map(|(_, name)| name);
        match name.filter(|name| self.models.contains_key(*name)) {
            Some(name) => self.reference_to(name, &pointer),
            None => Err(format!("the reference `{text}` leads to no model of this API")),
        }
    }

    fn inside(&mut self, model: &str, value: &Value) -> Result<NodeId, Unusable> {
        let id = self.place()?;
        self.nodes[id] = self.node(model, value)?;
        Ok(id)
    }

    fn all(&mut self, model: &str, key: &str, value: &Value) -> Result<Vec<NodeId>, Unusable> {
        let list = value.as_array().filter(|list| !list.is_empty());
        let list = list.ok_or_else(|| format!("`{key}` must be a list of schemas"))?;
        list.iter().map(|value| self.inside(model, value)).collect()
    }

    fn node(&mut self, model: &str, value: &Value) -> Result<Node, Unusable> {
        let map = value.as_object().ok_or("a schema is an object")?;
        let mut node = Node::default();
        if let Some(text) = map.get("$ref").and_then(Value::as_str) {
            // Draft 4: what stands beside a reference means nothing.
            node.own.push(Check::Reference(self.reference(model, text)?));
            return Ok(node);
        }
        self.of_any(model, map, &mut node)?;
        self.of_scalars(map, &mut node)?;
        self.of_lists(model, map, &mut node)?;
        self.of_maps(model, map, &mut node)?;
        Ok(node)
    }

    fn of_any(&mut self, model: &str, map: &Map<String, Value>, node: &mut Node) -> Result<(), Unusable> {
        if let Some(value) = map.get("type") {
            let names: Vec<&Value> =
                value.as_array().map_or_else(|| vec![value], |list| list.iter().collect());
            let add = |types: Types, name: &&Value| types.with(name.as_str()?);
            let types = names.iter().try_fold(Types::default(), add);
            node.own.push(Check::Type(types.ok_or_else(|| format!("`type` cannot be {value}"))?));
        }
        if let Some(value) = map.get("enum") {
            let list = value.as_array().filter(|list| !list.is_empty()).ok_or("`enum` must be a list")?;
            let values: Vec<Json<'static>> = list.iter().map(Json::of).collect();
            let cost = values.iter().map(Json::cost).sum();
            node.own.push(Check::Enum { values, cost });
        }
        for (key, make) in [
            ("allOf", Check::AllOf as fn(Vec<NodeId>) -> Check),
            ("anyOf", Check::AnyOf),
            ("oneOf", Check::OneOf),
        ] {
            if let Some(value) = map.get(key) {
                node.own.push(make(self.all(model, key, value)?));
            }
        }
        if let Some(value) = map.get("not") {
            node.own.push(Check::Not(self.inside(model, value)?));
        }
        Ok(())
    }

    fn of_scalars(&mut self, map: &Map<String, Value>, node: &mut Node) -> Result<(), Unusable> {
        let number = |key: &str| match map.get(key) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number_of(number))),
            Some(_) => Err(format!("`{key}` must be a number")),
        };
        // Later drafts write a number here, and mean something else.
        let flag = |key: &str| match map.get(key) {
            None => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| format!("`{key}` is true or false in draft 4")),
        };
        if let Some(limit) = number("minimum")? {
            node.own.push(Check::Minimum { limit, exclusive: flag("exclusiveMinimum")? });
        }
        if let Some(limit) = number("maximum")? {
            node.own.push(Check::Maximum { limit, exclusive: flag("exclusiveMaximum")? });
        }
        if let Some(divisor) = number("multipleOf")? {
            if divisor.as_f64() <= 0.0 {
                return Err("`multipleOf` must be above 0".into());
            }
            node.own.push(Check::MultipleOf(divisor));
        }
        for (key, make) in [
            ("minLength", Check::MinLength as fn(u64) -> Check),
            ("maxLength", Check::MaxLength),
            ("minItems", Check::MinItems),
            ("maxItems", Check::MaxItems),
            ("minProperties", Check::MinProperties),
            ("maxProperties", Check::MaxProperties),
        ] {
            if let Some(value) = map.get(key) {
                // Some tools write 3.0.
                let whole = value.as_f64().filter(|number| *number >= 0.0 && number.fract() == 0.0);
                let count = value.as_u64().or(whole.map(|number| number as u64));
                node.own
                    .push(make(count.ok_or_else(|| format!("`{key}` must be 0 or a whole number above"))?));
            }
        }
        if let Some(value) = map.get("pattern") {
            let text = value.as_str().ok_or("`pattern` must be a text")?;
            node.own.push(Check::Pattern(self.pattern(text)?));
        }
        node.own.extend(map.get("format").and_then(Value::as_str).and_then(Format::parse).map(Check::Format));
        Ok(())
    }

    fn of_lists(&mut self, model: &str, map: &Map<String, Value>, node: &mut Node) -> Result<(), Unusable> {
        if map.get("uniqueItems").and_then(Value::as_bool).unwrap_or(false) {
            node.own.push(Check::Unique);
        }
        match map.get("items") {
            None => {}
            Some(Value::Array(list)) => {
                let first: Result<Vec<NodeId>, _> =
                    list.iter().map(|value| self.inside(model, value)).collect();
                let first = first?;
                let rest = match map.get("additionalItems") {
                    None | Some(Value::Bool(true)) => None,
                    Some(Value::Bool(false)) => {
                        node.own.push(Check::ItemsAtMost(first.len() as u64));
                        None
                    }
                    Some(value) => Some(self.inside(model, value)?),
                };
                node.inner.push(Inner::Items { first, rest });
            }
            Some(value) => {
                let rest = Some(self.inside(model, value)?);
                node.inner.push(Inner::Items { first: Vec::new(), rest });
            }
        }
        Ok(())
    }

    fn of_maps(&mut self, model: &str, map: &Map<String, Value>, node: &mut Node) -> Result<(), Unusable> {
        if let Some(value) = map.get("required") {
            let list = value.as_array().ok_or("`required` must be a list of names")?;
            let names: Option<Vec<String>> =
                list.iter().map(|name| name.as_str().map(str::to_owned)).collect();
            let mut names = names.ok_or("`required` must be a list of names")?;
            names.sort();
            names.dedup();
            node.own.push(Check::Required(names));
        }
        let objects = |key: &str| match map.get(key) {
            None => Ok(None),
            Some(value) => {
                value.as_object().map(Some).ok_or_else(|| format!("`{key}` must be an object of schemas"))
            }
        };
        let mut named = Vec::new();
        for (name, value) in objects("properties")?.into_iter().flatten() {
            named.push((name.clone(), self.inside(model, value)?));
        }
        named.sort();
        let mut patterns = Vec::new();
        for (text, value) in objects("patternProperties")?.into_iter().flatten() {
            patterns.push((self.pattern(text)?, self.inside(model, value)?));
        }
        let rest = match map.get("additionalProperties") {
            None | Some(Value::Bool(true)) => None,
            Some(Value::Bool(false)) => {
                let names = named.iter().map(|(name, _)| name.clone()).collect();
                let texts: Vec<String> = patterns.iter().map(|(pattern, _)| pattern.text.clone()).collect();
                let allowed: Result<Vec<Pattern>, _> = texts.iter().map(|text| self.pattern(text)).collect();
                node.own.push(Check::Only(names, allowed?));
                None
            }
            Some(value) => Some(self.inside(model, value)?),
        };
        if !named.is_empty() || !patterns.is_empty() || rest.is_some() {
            node.inner.push(Inner::Properties { named, patterns, rest });
        }
        for (name, value) in objects("dependencies")?.into_iter().flatten() {
            let names =
                value.as_array().map(|list| list.iter().filter_map(|name| Some(name.as_str()?.to_owned())));
            node.own.push(match names {
                Some(names) => Check::Needs(name.clone(), names.collect()),
                None => Check::NeedsSchema(name.clone(), self.inside(model, value)?),
            });
        }
        Ok(())
    }

    fn pattern(&mut self, text: &str) -> Result<Pattern, Unusable> {
        self.bytes += text.len();
        if self.bytes > TEXT_BYTES_MAX {
            return Err(format!("its patterns have more than {TEXT_BYTES_MAX} bytes"));
        }
        let mut size = 1024;
        loop {
            let built = RegexBuilder::new(text).size_limit(size).nest_limit(50).build();
            match built {
                Ok(regex) => return Ok(Pattern { regex, text: text.to_owned(), cost: size as u64 / 1024 }),
                Err(_) if size < PATTERN_BYTES_MAX => size *= 2,
                Err(error) => return Err(format!("the pattern `{text}` cannot be asked: {error}")),
            }
        }
    }
}

fn percent_decoded(text: &str) -> Vec<u8> {
    crate::mapping::decode(text).into_owned()
}
