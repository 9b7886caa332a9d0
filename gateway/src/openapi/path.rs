//! A resource's path, and the tree that all paths make together: AWS's rules.

use super::findings::Findings;
use super::node::shown;
use crate::model::Place;
use std::collections::HashMap;

/// What API Gateway allows in a path part besides letters and digits.
const PART_PUNCTUATION: [char; 4] = ['.', '_', '-', ':'];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Segment<'p> {
    Literal(&'p str),
    /// `{petId}`
    Variable(&'p str),
    /// `{proxy+}`
    Greedy(&'p str),
}

/// The path without a trailing slash, and its segments. Err: what is wrong and what to write.
pub(crate) fn parse(path: &str) -> Result<(String, Vec<Segment<'_>>), (String, String)> {
    let Some(relative) = path.strip_prefix('/') else {
        return Err((
            format!("the path `{}` does not begin with `/`", shown(path)),
            format!("write /{}", shown(path)),
        ));
    };
    let relative = relative.strip_suffix('/').unwrap_or(relative);
    if relative.is_empty() {
        return Ok(("/".to_owned(), Vec::new()));
    }
    let mut segments = Vec::new();
    for part in relative.split('/') {
        if let Some(Segment::Greedy(name)) = segments.last() {
            let what =
                format!("Cannot create a child of a resource with a greedy path variable: {{{name}+}}");
            return Err((what, format!("end the path with {{{name}+}}: it takes all that follows")));
        }
        segments.push(segment(part, path)?);
    }
    Ok((format!("/{relative}"), segments))
}

fn segment<'p>(part: &'p str, path: &str) -> Result<Segment<'p>, (String, String)> {
    let valid = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || PART_PUNCTUATION.contains(&c))
    };
    if part.is_empty() {
        return Err((
            format!("the path `{}` has an empty part (`//`)", shown(path)),
            "write one slash".to_owned(),
        ));
    }
    let inner = part.strip_prefix('{').and_then(|p| p.strip_suffix('}'));
    match inner {
        Some(name) => match name.strip_suffix('+') {
            Some(greedy) if valid(greedy) => Ok(Segment::Greedy(greedy)),
            None if valid(name) => Ok(Segment::Variable(name)),
            _ => {
                let what = format!("`{}` is not a path variable", shown(part));
                Err((what, "write {name} or {name+}, the name in letters, digits and . _ - :".to_owned()))
            }
        },
        None if valid(part) => Ok(Segment::Literal(part)),
        None if part.starts_with('{') && !part.contains('}') => {
            let name = part.trim_start_matches('{');
            let instead = match valid(name.strip_suffix('+').unwrap_or(name)) {
                true => format!("write {{{name}}}"),
                false => "write {name}, the name in letters, digits and . _ - :".to_owned(),
            };
            Err((format!("`{}`: the closing `}}` is missing", shown(part)), instead))
        }
        None if part.contains(['{', '}']) => {
            let what =
                format!("`{}`: a path variable must be the whole part between two slashes", shown(part));
            Err((what, "write /{name}/ and split the value behind the gateway".to_owned()))
        }
        None => {
            let what = format!("the path part `{}` has characters that API Gateway refuses", shown(part));
            Err((what, "use letters, digits and . _ - : only".to_owned()))
        }
    }
}

/// Remembers every path of a document and reports what cannot stand beside what came before.
#[derive(Default)]
pub(crate) struct Tree {
    paths: HashMap<String, Place>,
    /// Parent's path → its variable child, and where it came from.
    variables: HashMap<String, (String, Place)>,
}

impl Tree {
    pub(crate) fn add(
        &mut self,
        path: &str,
        segments: &[Segment<'_>],
        place: Place,
        findings: &mut Findings<'_>,
    ) {
        if let Some(first) = self.paths.insert(path.to_owned(), place) {
            let what = format!("the path `{}` stands twice, first in line {}", shown(path), first.line);
            findings.error(place, what, "keep one of them (a slash at the end makes no other path)");
            return;
        }
        let mut parent = String::new();
        for segment in segments {
            let part = match segment {
                Segment::Literal(text) => (*text).to_owned(),
                Segment::Variable(name) => format!("{{{name}}}"),
                Segment::Greedy(name) => format!("{{{name}+}}"),
            };
            if !matches!(segment, Segment::Literal(_)) {
                let known = self.variables.entry(parent.clone()).or_insert_with(|| (part.clone(), place));
                if known.0 != part {
                    let what = format!(
                        "A sibling ({}) of this resource already has a variable path part -- only one is allowed",
                        known.0
                    );
                    let instead =
                        format!("write {} here too, as in line {}, or rename both", known.0, known.1.line);
                    findings.error(place, what, instead);
                    return;
                }
            }
            parent.push('/');
            parent.push_str(&part);
        }
    }
}
