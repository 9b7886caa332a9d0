//! The JavaScript client: the template `apigClient.js`, whose text never changes, with what is known of the stage and
//! its methods as literals; and a README that lists them.

use super::methods::Operation;
use super::text::{self, Files, Text, filled, joined, readme};
use super::{Client, Fault};
use std::fmt::{self, Display, Write, from_fn};

const CLIENT: &str = include_str!("javascript/apigClient.js");
const USAGE: &str = include_str!("javascript/README.md");
/// So that node takes the client for what it is also below a package of modules.
const PACKAGE: &str = include_str!("javascript/package.json");
const FOLDER: &str = "apiGateway-js-sdk";

pub(super) fn files(client: &Client<'_>, files: &mut Files) -> Result<(), Fault> {
    files.add(format!("{FOLDER}/apigClient.js"), |text| script(text, client))?;
    files.add(format!("{FOLDER}/README.md"), |text| readme(text, client, &USAGE, parameters))?;
    files.add(format!("{FOLDER}/package.json"), |text| text.write_str(PACKAGE))
}

fn script(text: &mut Text, client: &Client<'_>) -> fmt::Result {
    let url = client.urls.first().map_or("", String::as_str);
    let stage = from_fn(|to| {
        write!(
            to,
            "{{ apiId: {}, stage: {}, region: {}, invokeUrl: {} }}",
            literal(client.api_id),
            literal(client.stage),
            literal(client.region),
            literal(url)
        )
    });
    let methods = joined(",\n", client.operations.iter().map(row));
    filled(text, CLIENT, &[("/*{stage}*/", &stage), ("/*{methods}*/", &methods)])
}

fn row(operation: &Operation<'_>) -> impl Display {
    let list = |names| from_fn(move |to| write!(to, "[{}]", joined(", ", literals(names))));
    from_fn(move |to| {
        write!(
            to,
            "    [{}, {}, {}, {}, {}, {}]",
            literal(&operation.name),
            literal(operation.verb),
            literal(operation.path),
            list(&operation.query),
            list(&operation.headers),
            list(&operation.required)
        )
    })
}

fn parameters(operation: &Operation<'_>) -> Vec<(String, bool)> {
    let places = [&operation.variables, &operation.query, &operation.headers];
    let required = |name: &&str| operation.required.contains(name);
    places.into_iter().flatten().map(|name| ((*name).to_owned(), required(name))).collect()
}

fn literals<'n>(names: &'n [&str]) -> impl Iterator<Item = impl Display + 'n> + Clone {
    names.iter().map(|name| literal(name))
}

fn literal(text: &str) -> impl Display {
    text::literal(text, |to, unit| write!(to, "\\u{unit:04x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_in_a_literal_stays_in_it() {
        assert_eq!(literal("/pets/{petId}").to_string(), "\"/pets/{petId}\"");
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
            let literal = literal(text).to_string();
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
