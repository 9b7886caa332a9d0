//! YAML 1.2 (core schema, one document) → Node. Aliases are copied within a bound, so no document grows without end.

use super::node::{DEPTH_MAX, Entry, Fault, NODES_MAX, Node, Value, shown, unique};
use crate::model::Place;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use std::borrow::Cow;
use std::collections::HashMap;

/// Copies made by all aliases of one document, in nodes.
const ALIASED_NODES_MAX: usize = 100_000;

/// Reads exactly one YAML document.
pub(crate) fn read(text: &str) -> Result<Node, Fault> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|e| {
            let what = format!("this is not YAML: {}", shown(e.info()));
            Fault::new(
                place(e.marker()),
                what,
                "check quotes, colons and the indentation around it (no tabs)",
            )
        })?;
        if let Event::DocumentStart(_) = event {
            documents += 1;
            if documents > 1 {
                let what = "a second document begins here (`---`)";
                return Err(Fault::new(place(&span.start), what, "keep one document in a file"));
            }
        }
        builder.take(event, place(&span.start))?;
    }
    let empty =
        || Fault::new(Place { line: 1, column: 1 }, "the document is empty", "write an OpenAPI document");
    builder.root.ok_or_else(empty)
}

fn place(marker: &Marker) -> Place {
    Place { line: marker.line().max(1), column: marker.col() + 1 }
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    /// Anchored nodes with their size.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    aliased: usize,
}

/// A list or map whose end has not come yet.
struct Open {
    place: Place,
    anchor: usize,
    /// `nodes` when it began: its size is known at its end.
    nodes_before: usize,
    shape: Shape,
}

enum Shape {
    List(Vec<Node>),
    Map(Vec<Entry>, Option<(String, Place)>),
}

impl Builder {
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(text, style, tag.as_deref(), place)?;
                self.count(1, place)?;
                self.finish(Node { place, value }, anchor, 1)
            }
            Event::SequenceStart(anchor, _) => self.begin(place, anchor, Shape::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(place, anchor, Shape::Map(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor, place),
            _ => Ok(()),
        }
    }

    fn count(&mut self, nodes: usize, place: Place) -> Result<(), Fault> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            return Err(Fault::new(place, format!("more than {NODES_MAX} values"), "split the API"));
        }
        Ok(())
    }

    fn begin(&mut self, place: Place, anchor: usize, shape: Shape) -> Result<(), Fault> {
        if self.open.len() > DEPTH_MAX {
            return Err(Fault::new(
                place,
                format!("nested deeper than {DEPTH_MAX} levels"),
                "make it flatter",
            ));
        }
        let nodes_before = self.nodes;
        self.count(1, place)?;
        self.open.push(Open { place, anchor, nodes_before, shape });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        let Some(Open { place, anchor, nodes_before, shape }) = self.open.pop() else { return Ok(()) };
        let value = match shape {
            Shape::List(list) => Value::List(list),
            Shape::Map(entries, _) => Value::Map(unique(merge(entries)?)?),
        };
        self.finish(Node { place, value }, anchor, self.nodes - nodes_before)
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<(), Fault> {
        let Some((node, size)) = self.anchors.get(&anchor) else {
            let what = "this alias stands inside of what it names";
            return Err(Fault::new(place, what, "write the value out"));
        };
        let (mut node, size) = (node.clone(), *size);
        self.aliased += size;
        if self.aliased > ALIASED_NODES_MAX || self.open.len() + depth(&node) > DEPTH_MAX + 1 {
            let what = format!("aliases repeat more than {ALIASED_NODES_MAX} values, or nest too deeply");
            return Err(Fault::new(place, what, "write the values out"));
        }
        self.count(size, place)?;
        node.place = place;
        self.finish(node, 0, size)
    }

    /// A complete node goes into what is open around it.
    fn finish(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), Fault> {
        if anchor != 0 {
            // Clones kept for anchors are bounded like aliases: an anchor at every level would copy quadratically.
            self.aliased += size;
            if self.aliased > ALIASED_NODES_MAX {
                let what = format!("anchors hold more than {ALIASED_NODES_MAX} values");
                return Err(Fault::new(node.place, what, "remove anchors that are not used"));
            }
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut().map(|o| &mut o.shape) {
            None => self.root = Some(node),
            Some(Shape::List(list)) => list.push(node),
            Some(Shape::Map(_, key @ None)) => *key = Some(key_text(node)?),
            Some(Shape::Map(entries, key)) => {
                if let Some((key, place)) = key.take() {
                    entries.push(Entry { key, place, value: node });
                }
            }
        }
        Ok(())
    }
}

fn depth(node: &Node) -> usize {
    match &node.value {
        Value::List(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Map(map) => 1 + map.entries.iter().map(|e| depth(&e.value)).max().unwrap_or(0),
        _ => 0,
    }
}

fn key_text(node: Node) -> Result<(String, Place), Fault> {
    let place = node.place;
    let text = match node.value {
        Value::String(text) | Value::Number(text) => text,
        Value::Bool(b) => b.to_string(),
        Value::Null => "null".to_owned(),
        Value::List(_) | Value::Map(_) => {
            return Err(Fault::new(
                place,
                "a key must be text",
                "put the key in quotes if it begins with `{` or `[`",
            ));
        }
    };
    Ok((text, place))
}

/// `<<: *anchor` and `<<: [*a, *b]`: entries that the map does not have itself (YAML 1.1's merge key, which AWS reads).
fn merge(entries: Vec<Entry>) -> Result<Vec<Entry>, Fault> {
    if !entries.iter().any(|e| e.key == "<<") {
        return Ok(entries);
    }
    let (merged, mut own): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|e| e.key == "<<");
    for entry in merged {
        let maps = match entry.value.value {
            Value::List(list) => list,
            value => vec![Node { place: entry.value.place, value }],
        };
        for node in maps {
            let Value::Map(map) = node.value else {
                return Err(Fault::new(
                    node.place,
                    "`<<` merges maps only",
                    "write <<: *name, of a map with &name",
                ));
            };
            let mut names: std::collections::HashSet<String> = own.iter().map(|e| e.key.clone()).collect();
            own.extend(map.entries.into_iter().filter(|e| names.insert(e.key.clone())));
        }
    }
    Ok(own)
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> Result<Value, Fault> {
    let core = tag.filter(|t| t.is_yaml_core_schema()).map(|t| t.suffix.as_str());
    match (core, tag) {
        (Some("str"), _) => return Ok(Value::String(text.into_owned())),
        (None, Some(tag)) if tag.handle.starts_with('!') && !tag.suffix.is_empty() => {
            let what = format!("the tag `{}` is not resolved here", shown(&tag.to_string()));
            return Err(Fault::new(
                place,
                what,
                "write the value itself (CloudFormation's functions end at deployment)",
            ));
        }
        _ => {}
    }
    if style != ScalarStyle::Plain {
        return Ok(Value::String(text.into_owned()));
    }
    Ok(match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        number if is_number(number) => Value::Number(text.into_owned()),
        _ => Value::String(text.into_owned()),
    })
}

/// Decimal integers and floats; hexadecimal, octal, infinities stay text: no field of ours takes them.
fn is_number(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'))
        && text.parse::<f64>().is_ok()
}
