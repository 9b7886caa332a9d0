//! OpenAPI documents: an import ends, says the same each time, and its findings stand inside of the document; what is
//! accepted means the same however it is laid out.

use gateway::config;
use gateway::model::{Diagnostic, Integration, Place, RestApi, Severity};
use gateway::openapi::{Imported, import};
use std::path::Path;

/// More than an import keeps, and the line that counts the others.
const FINDINGS_MAX: usize = 501;
/// Longer documents are fuzzed as they are, without being laid out anew.
const LAID_OUT_MAX: usize = 16 * 1024;

type Outcome = Result<(RestApi, Vec<Diagnostic>), Vec<Diagnostic>>;

pub(crate) fn holds(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return }; // refused before it is imported
    let found = read(text);
    assert_eq!(found, read(text), "the second import");
    stands_inside(text, &found);
    compiles_or_says_why(text, &found);
    if text.len() > LAID_OUT_MAX {
        return;
    }
    is_the_same_one_line_below(text, found.clone());
    let unmarked = text.strip_prefix('\u{feff}').unwrap_or(text);
    if unmarked.trim_start().starts_with(['{', '[']) {
        is_json(unmarked, found);
    } else if !text.contains('\r') && found.is_ok() {
        let other = read(&text.replace('\n', "\r\n"));
        assert_eq!(plain(other), plain(found), "with CRLF");
    }
}

fn read(text: &str) -> Outcome {
    import(Path::new("api"), text).map(|Imported { api, warnings }| (api, warnings))
}

fn findings(found: &Outcome) -> &[Diagnostic] {
    match found {
        Ok((_, warnings)) => warnings,
        Err(findings) => findings,
    }
}

fn stands_inside(text: &str, found: &Outcome) {
    let is_error = |finding: &Diagnostic| finding.severity == Severity::Error;
    assert_eq!(found.is_err(), findings(found).iter().any(is_error), "refused, and no error told");
    told_well(text, findings(found));
    if let Ok((api, _)) = found {
        places_of(&mut api.clone(), |place| is_inside(text, *place));
    }
}

fn told_well(text: &str, findings: &[Diagnostic]) {
    assert!(findings.len() <= FINDINGS_MAX);
    for finding in findings {
        is_inside(text, finding.place);
        assert!(!finding.what.is_empty());
        let line = |text: &str| !text.contains(char::is_control);
        assert!(line(&finding.what) && line(&finding.instead), "{finding:?}");
    }
}

/// A place where the document has a character, or ends a line.
fn is_inside(text: &str, place: Place) {
    // YAML ends lines at lone carriage returns, too.
    let lines =
        if text.contains('\r') { text.split(['\n', '\r']).count() + 1 } else { text.split('\n').count() };
    assert!((1..=lines).contains(&place.line), "{place:?} of {lines} lines");
    if text.contains('\r') {
        return;
    }
    let line = text.split('\n').nth(place.line - 1).unwrap_or_default();
    let columns = line.chars().count() + 2;
    assert!((1..=columns).contains(&place.column), "{place:?}: {line:?}");
}

fn compiles_or_says_why(text: &str, found: &Outcome) {
    match config::check(Path::new("api"), text) {
        Ok(told) => {
            assert!(found.is_ok() && told.iter().all(|finding| finding.severity == Severity::Warning));
            told_well_compiled(text, &told);
        }
        Err(told) => {
            assert!(told.iter().any(|finding| finding.severity == Severity::Error));
            told_well_compiled(text, &told);
        }
    }
}

fn told_well_compiled(text: &str, told: &[Diagnostic]) {
    for finding in told {
        is_inside(text, finding.place);
        assert!(!finding.what.is_empty());
    }
}

/// An empty line before it moves all places by one line, and changes nothing else.
fn is_the_same_one_line_below(text: &str, found: Outcome) {
    let is_empty = |finding: &Diagnostic| finding.what == "the document is empty";
    if text.starts_with('\u{feff}') || findings(&found).iter().any(is_empty) {
        return; // the mark stands first or is a character; an empty document is told in its first line
    }
    let mut below = read(&format!("\n{text}"));
    move_places(&mut below, |place| place.line -= 1);
    let mut expected = found;
    for outcome in [&mut below, &mut expected] {
        let list = match outcome {
            Ok((_, warnings)) => warnings,
            Err(findings) => findings,
        };
        // Some name a line in their text.
        for finding in list {
            finding.what.retain(|c| !c.is_ascii_digit());
            finding.instead.retain(|c| !c.is_ascii_digit());
        }
    }
    assert_eq!(below, expected, "one line below");
}

/// Two layouts of one JSON text (without the mark before it). What is accepted, serde_json accepts.
fn is_json(text: &str, found: Outcome) {
    if found.is_err() {
        return;
    }
    let read_by_serde = serde_json::from_str::<serde_json::Value>(text);
    assert!(read_by_serde.is_ok(), "accepted, but {read_by_serde:?}");
    let expected = plain(found);
    for spread in [false, true] {
        let other = laid_out(text, spread);
        assert_eq!(plain(read(&other)), expected, "as {other}");
    }
}

/// The tokens of a JSON text without the space between them, or one on each line.
fn laid_out(text: &str, spread: bool) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let (mut in_string, mut escaped) = (false, false);
    for c in text.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            out.push(c);
            continue;
        }
        match c {
            ' ' | '\t' | '\r' | '\n' => {}
            '{' | '}' | '[' | ']' | ',' | ':' if spread => out.extend(['\n', c, '\r', '\n', ' ']),
            _ => out.push(c),
        }
        in_string = c == '"';
    }
    out
}

/// Without places: what it means. Findings in the order of their texts, as their lines may be one now.
fn plain(mut found: Outcome) -> Outcome {
    move_places(&mut found, |place| *place = Place::default());
    let list = match &mut found {
        Ok((_, warnings)) => warnings,
        Err(findings) => findings,
    };
    list.sort_by(|one, other| (&one.what, &one.instead).cmp(&(&other.what, &other.instead)));
    found
}

fn move_places(found: &mut Outcome, mut change: impl FnMut(&mut Place)) {
    match found {
        Ok((api, warnings)) => {
            warnings.iter_mut().for_each(|finding| change(&mut finding.place));
            places_of(api, change);
        }
        Err(findings) => findings.iter_mut().for_each(|finding| change(&mut finding.place)),
    }
}

/// Every place in the model.
/// A field that is new to it does not compile here before it is named.
fn places_of(api: &mut RestApi, mut change: impl FnMut(&mut Place)) {
    let RestApi {
        file: _,
        name: _,
        description: _,
        endpoint_type: _,
        vpc_endpoint_ids: _,
        disable_execute_api_endpoint: _,
        base_path: _,
        binary_media_types: _,
        minimum_compression_size: _,
        api_key_source: _,
        policy,
        gateway_responses,
        authorizers: _,
        models,
        resources,
    } = api;
    policy.iter_mut().for_each(|(_, place)| change(place));
    models.iter_mut().for_each(|model| change(&mut model.place));
    for response in gateway_responses {
        change(&mut response.place);
        pairs(&mut response.response_parameters, &mut change);
        pairs(&mut response.response_templates, &mut change);
    }
    for resource in resources {
        change(&mut resource.place);
        for method in &mut resource.methods {
            change(&mut method.place);
            if let Some(integration) = &mut method.integration {
                places_of_integration(integration, &mut change);
            }
        }
    }
}

/// As for the API.
fn places_of_integration(integration: &mut Integration, change: &mut impl FnMut(&mut Place)) {
    let Integration {
        kind: _,
        place,
        uri,
        http_method: _,
        timeout_ms: _,
        passthrough_behavior: _,
        content_handling: _,
        request_parameters,
        request_templates,
        responses,
        vpc_link: _,
        cache_namespace: _,
        cache_key_parameters,
    } = integration;
    change(place);
    uri.iter_mut().for_each(|(_, place)| change(place));
    cache_key_parameters.iter_mut().for_each(|(_, place)| change(place));
    pairs(request_parameters, change);
    pairs(request_templates, change);
    for response in responses {
        change(&mut response.place);
        pairs(&mut response.response_parameters, change);
        pairs(&mut response.response_templates, change);
    }
}

fn pairs(pairs: &mut [(String, String, Place)], change: &mut impl FnMut(&mut Place)) {
    pairs.iter_mut().for_each(|(_, _, place)| change(place));
}
