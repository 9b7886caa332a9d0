//! YAML 1.2 (core schema, one document) → Node. Aliases are copied within a bound, so no document grows without end.

use super::node::{DEPTH_MAX, Entry, Fault, NODES_MAX, Node, Value, shown, unique};
use crate::model::Place;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use std::borrow::Cow;
use std::collections::HashMap;

/// Copies made by all aliases of one document, in nodes.
const ALIASED_NODES_MAX: usize = 100_000;
/// The same, in bytes of their texts.
const ALIASED_BYTES_MAX: usize = 16 << 20;

/// Reads exactly one YAML document.
pub(crate) fn read(text: &str) -> Result<Node, Fault> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    let mut documents = 0;
    let end = end_of(text);
    // What is not there at the end (a value, a whole document) is told for the line behind the last one.
    let within = |place: Place| if place.line > end.line { end } else { place };
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|e| not_yaml(text, e.info(), place(e.marker())))?;
        if let Event::DocumentStart(_) = event {
            documents += 1;
            if documents > 1 {
                let what = "a second document begins here (`---`)";
                return Err(Fault::new(within(place(&span.start)), what, "keep one document in a file"));
            }
        }
        builder.take(event, within(place(&span.start)))?;
    }
    let empty =
        || Fault::new(Place { line: 1, column: 1 }, "the document is empty", "write an OpenAPI document");
    builder.root.ok_or_else(empty)
}

fn not_yaml(text: &str, why: &str, place: Place) -> Fault {
    if why.contains("recursion limit") {
        return too_deep(place);
    }
    // The scanner names a tab where the value before it began: the tab itself is what must go.
    let indented_by_tab = |line: &str| line.trim_start_matches(' ').starts_with('\t');
    let from = text.lines().zip(1..).skip(place.line.saturating_sub(1));
    let mut from = from.filter(|_| why.contains(" tab"));
    if let Some((line, number)) = from.find(|(line, _)| indented_by_tab(line)) {
        let column = line.find('\t').unwrap_or(0) + 1;
        let place = Place { line: number, column };
        return Fault::new(place, "a tab in the indentation, which YAML refuses", "indent with spaces");
    }
    let place = inside(text, place);
    let what = format!("this is not YAML: {}", shown(why));
    Fault::new(place, what, "check quotes, colons and the indentation around it")
}

/// The scanner tells what is missing at the end in the line behind the last one, and counts bytes in comments.
fn inside(text: &str, place: Place) -> Place {
    let end = end_of(text);
    if text.contains('\r') {
        return place;
    }
    let Some(line) = text.split('\n').nth(place.line - 1) else { return end };
    Place { column: place.column.min(line.chars().count() + 1), ..place }
}

/// Behind the last character. YAML ends lines at lone carriage returns, too.
fn end_of(text: &str) -> Place {
    let lines = text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'));
    let (line, last) = lines.zip(1..).last().map_or((1, ""), |(last, line)| (line, last));
    Place { line, column: last.chars().count() + 1 }
}

fn too_deep(place: Place) -> Fault {
    Fault::new(place, format!("nested deeper than {DEPTH_MAX} levels"), "make it flatter")
}

fn place(marker: &Marker) -> Place {
    Place { line: marker.line().max(1), column: marker.col() + 1 }
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    /// Anchored nodes with their size.
    /// The node, how many are in it, and the bytes of their texts.
    anchors: HashMap<usize, (Node, usize, usize)>,
    nodes: usize,
    aliased: usize,
    aliased_bytes: usize,
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
        let Some(&(_, size, bytes)) = self.anchors.get(&anchor) else {
            let what = "this alias stands inside of what it names";
            return Err(Fault::new(place, what, "write the value out"));
        };
        // Before the copy is made: it may be of the whole document.
        self.copies(bytes, place)?;
        self.aliased += size;
        let Some((node, ..)) = self.anchors.get(&anchor) else { return Ok(()) };
        let mut node = node.clone();
        if self.aliased > ALIASED_NODES_MAX || self.open.len() + depth(&node) > DEPTH_MAX + 1 {
            let what = format!("aliases repeat more than {ALIASED_NODES_MAX} values, or nest too deeply");
            return Err(Fault::new(place, what, "write the values out"));
        }
        self.count(size, place)?;
        node.place = place;
        self.finish(node, 0, size)
    }

    fn copies(&mut self, bytes: usize, place: Place) -> Result<(), Fault> {
        self.aliased_bytes += bytes;
        if self.aliased_bytes > ALIASED_BYTES_MAX {
            let what = format!("anchors and aliases repeat more than {ALIASED_BYTES_MAX} bytes");
            return Err(Fault::new(place, what, "write the values out"));
        }
        Ok(())
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
            let bytes = bytes(&node);
            self.copies(bytes, node.place)?;
            self.anchors.insert(anchor, (node.clone(), size, bytes));
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

fn bytes(node: &Node) -> usize {
    match &node.value {
        Value::List(list) => list.iter().map(bytes).sum(),
        Value::Map(map) => map.entries.iter().map(|entry| entry.key.len() + bytes(&entry.value)).sum(),
        Value::String(text) | Value::Number(text) => text.len(),
        Value::Null | Value::Bool(_) => 0,
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
    let mut names: std::collections::HashSet<String> = own.iter().map(|e| e.key.clone()).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_place() {
        let text = "# é\né: &x\n  - 1\n  - \"q\\u00e9\"\n  - |\n    block\nf: {a: ~, b: *x}\n";
        let Value::Map(root) = read(text).unwrap().value else { panic!() };
        assert_eq!(
            (root.entries[0].key.as_str(), root.entries[0].place),
            ("é", Place { line: 2, column: 1 })
        );
        let Value::List(list) = &root.entries[0].value.value else { panic!() };
        let places: Vec<_> = list.iter().map(|n| (n.place.line, n.place.column)).collect();
        assert_eq!(places, [(3, 5), (4, 5), (6, 5)]);
        assert_eq!(list[2].value, Value::String("block\n".into()));
        let flow = root.pointer("/f/b/1").unwrap();
        assert_eq!(flow.value, Value::String("qé".into()));
        assert_eq!(root.pointer("/f/a").unwrap().place, Place { line: 7, column: 8 });
    }

    /// Found by fuzzing: a document without anything in it was told for the line behind the last one.
    #[test]
    fn what_is_not_there_at_the_end_is_told_for_the_end() {
        for (text, line, column) in [
            ("%YAML 1.2\n---\n ", 3, 2),
            ("---\n", 2, 1),
            ("---\r\n", 2, 1),
            ("a:\n  b:\n", 2, 4),
            ("a:\rb:", 2, 2),
        ] {
            let mut node = read(text).unwrap();
            while let Value::Map(mut map) = node.value {
                node = map.entries.pop().unwrap().value;
            }
            assert_eq!((node.place, node.value), (Place { line, column }, Value::Null), "{text:?}");
        }
    }

    #[test]
    fn aliases_are_bounded_by_the_bytes_that_they_repeat() {
        let text = "x".repeat(1 << 20);
        let document = |aliases: usize| format!("a: &x {text}\nb:\n{}", "- *x\n".repeat(aliases));
        assert!(read(&document(15)).is_ok());
        let fault = read(&document(16)).unwrap_err();
        assert!(fault.what.contains("repeat more than 16777216 bytes"), "{}", fault.what);
        assert_eq!(fault.place.line, 18);
    }

    #[test]
    fn columns_count_characters() {
        let text = "{é: éé, b: \"é\", 'é é': 1, d: [é, é]} # é\n";
        let Value::Map(root) = read(text).unwrap().value else { panic!() };
        let columns: Vec<_> = root.entries.iter().map(|e| (e.place.column, e.value.place.column)).collect();
        assert_eq!(columns, [(2, 5), (9, 12), (17, 24), (27, 30)]);
        assert_eq!(root.pointer("/d/1").unwrap().place, Place { line: 1, column: 34 });
    }

    #[test]
    fn plain_scalars_are_the_core_schemas() {
        for (text, value) in [
            ("~", Value::Null),
            ("True", Value::Bool(true)),
            ("yes", Value::String("yes".into())),
            ("1.10", Value::Number("1.10".into())),
            ("-", Value::List(vec![Node { place: Place { line: 1, column: 2 }, value: Value::Null }])),
            ("'1'", Value::String("1".into())),
            ("!!str 1", Value::String("1".into())),
            ("0x10", Value::String("0x10".into())),
            ("1e", Value::String("1e".into())),
        ] {
            assert_eq!(read(text).unwrap().value, value, "{text}");
        }
    }
}
