//! The JavaScript client: the template `apigClient.js`, whose text never changes, with what is known of the stage and
//! its methods as literals; and a README that lists them.

use super::methods::Operation;
use super::text::{self, filled, readme};
use super::zip::File;
use super::{Client, Fault};
use std::fmt::Write;

const CLIENT: &str = include_str!("javascript/apigClient.js");
const USAGE: &str = include_str!("javascript/README.md");
/// So that node takes the client for what it is also below a package of modules.
const PACKAGE: &str = include_str!("javascript/package.json");
const FOLDER: &str = "apiGateway-js-sdk";

pub(super) fn files(client: &Client<'_>) -> Result<Vec<File>, Fault> {
    let file = |name: &str, text: String| File { name: format!("{FOLDER}/{name}"), bytes: text.into_bytes() };
    Ok(vec![
        file("apigClient.js", script(client)),
        file("README.md", readme(client, USAGE, parameters)),
        file("package.json", PACKAGE.into()),
    ])
}

fn script(client: &Client<'_>) -> String {
    let url = client.urls.first().map_or("", String::as_str);
    let stage = format!(
        "{{ apiId: {}, stage: {}, region: {}, invokeUrl: {} }}",
        literal(client.api_id),
        literal(client.stage),
        literal(client.region),
        literal(url)
    );
    let methods: Vec<String> = client.operations.iter().map(row).collect();
    filled(CLIENT, &[("/*{stage}*/", &stage), ("/*{methods}*/", &methods.join(",\n"))])
}

fn row(operation: &Operation<'_>) -> String {
    let list = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
        format!("[{}]", names.join(", "))
    };
    format!(
        "    [{}, {}, {}, {}, {}, {}]",
        literal(&operation.name),
        literal(operation.verb),
        literal(operation.path),
        list(&operation.query),
        list(&operation.headers),
        list(&operation.required)
    )
}

fn parameters(operation: &Operation<'_>) -> Vec<(String, bool)> {
    let places = [&operation.variables, &operation.query, &operation.headers];
    let required = |name: &&str| operation.required.contains(name);
    places.into_iter().flatten().map(|name| ((*name).to_owned(), required(name))).collect()
}

fn literal(text: &str) -> String {
    text::literal(text, |literal, unit| write!(literal, "\\u{unit:04x}").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_in_a_literal_stays_in_it() {
        assert_eq!(literal("/pets/{petId}"), "\"/pets/{petId}\"");
        for text in [
            "\"; evil(); \"",
            "\\\"; evil(); //",
            "*/ evil() /*",
            "</script><script>evil()</script>",
            "a\u{2028}evil()\u{2029}b\r\nc",
            "${evil()}`'",
            "\u{1f408} \u{0}",
            "/*{methods}*/",
        ] {
            let literal = literal(text);
            assert!(literal.is_ascii() && literal.starts_with('"') && literal.ends_with('"'), "{literal}");
            let inside = &literal[1..literal.len() - 1];
            let odd = |c: char| "\"'`<>&$*\r\n".contains(c);
            assert!(!inside.contains(odd), "{literal}");
            assert!(inside.split('\\').skip(1).all(|rest| rest.starts_with('u')), "{literal}");
            let read: String = serde_json::from_str(&literal).unwrap();
            assert_eq!(read, text);
        }
    }
}
