//! What a generated client calls a method of the API: as AWS's clients do, and each name once.

use std::collections::HashMap;

/// Properties of every object, or of one that `await` takes for a promise: a client's methods are called otherwise.
const TAKEN: [&str; 9] = [
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "then",
    "toJSON",
    "toLocaleString",
    "toString",
    "valueOf",
];

/// `listPets` of an operation that has this name, or this one in another spelling (`ListPets`, `list pets`); else
/// `petsPetIdGet` of `GET /pets/{petId}`, `rootGet` of `GET /`. Letters, digits and `_` of ASCII, no digit first.
pub(super) fn name(operation: Option<&str>, path: &str, verb: &str) -> String {
    let told = operation.map(|name| camel([name])).unwrap_or_default();
    if !told.is_empty() {
        return told;
    }
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        parts.push("root");
    }
    let verb = verb.to_ascii_lowercase();
    camel(parts.into_iter().chain([verb.as_str()]))
}

/// Every part begins with a capital, but for the first one; so does what stands behind `-`, `.`, `_` and a space.
/// Other characters are left out, as in AWS's names.
fn camel<'p>(parts: impl IntoIterator<Item = &'p str>) -> String {
    let mut name = String::new();
    for part in parts {
        let mut begins = true;
        for c in part.chars() {
            match c {
                '-' | '.' | '_' | ' ' => begins = true,
                c if c.is_ascii_alphanumeric() => {
                    let c = match begins {
                        true if name.is_empty() => c.to_ascii_lowercase(),
                        true => c.to_ascii_uppercase(),
                        false => c,
                    };
                    name.push(c);
                    begins = false;
                }
                _ => {}
            }
        }
    }
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// The names that were given away, each with the number that the next one alike gets.
#[derive(Default)]
pub(super) struct Names(HashMap<String, usize>);

impl Names {
    /// That name, or with the first of `_0`, `_1`, ... that nobody has.
    pub(super) fn take(&mut self, name: &str) -> String {
        if !TAKEN.contains(&name) && !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), 0);
            return name.to_owned();
        }
        let mut number = self.0.get(name).copied().unwrap_or(0);
        let free = loop {
            let numbered = format!("{name}_{number}");
            number += 1;
            if !self.0.contains_key(&numbered) {
                break numbered;
            }
        };
        self.0.insert(name.to_owned(), number);
        self.0.insert(free.clone(), 0);
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of clients that AWS generated and people published, and of the cases between them.
    #[test]
    fn names_are_aws() {
        for (path, verb, expected) in [
            ("/", "GET", "rootGet"),
            ("/pets/{petId}", "GET", "petsPetIdGet"),
            ("/fhir/active-questionnaire", "OPTIONS", "fhirActiveQuestionnaireOptions"),
            ("/oneapp/v1/core", "POST", "oneappV1CorePost"),
            ("/admin-proxy/{proxy+}", "OPTIONS", "adminProxyProxyOptions"),
            ("/{united_search+}", "GET", "unitedSearchGet"),
            (
                "/ZSCP_WF_FATTURE_GRANO_SRV/getDataFatturaSet",
                "GET",
                "zSCPWFFATTUREGRANOSRVGetDataFatturaSetGet",
            ),
            ("/_health", "HEAD", "healthHead"),
            ("/2015/x", "GET", "_2015XGet"),
            ("/pets:all", "GET", "petsallGet"),
            ("/\u{5b57}", "PUT", "put"),
        ] {
            assert_eq!(name(None, path, verb), expected, "{verb} {path}");
        }
        for (told, expected) in [
            ("listPets", "listPets"),
            ("ListPets", "listPets"),
            ("list pets", "listPets"),
            ("__proto__", "proto"),
            ("x\"]; evil(); //", "xEvil"),
            ("\u{5b57}", "petsGet"),
            ("", "petsGet"),
        ] {
            assert_eq!(name(Some(told), "/pets", "GET"), expected, "{told}");
        }
    }

    #[test]
    fn each_name_is_given_once() {
        let mut names = Names::default();
        let given: Vec<String> =
            ["a", "a_0", "a", "a", "then", "then", "b"].map(|name| names.take(name)).into();
        assert_eq!(given, ["a", "a_0", "a_1", "a_2", "then_0", "then_1", "b"]);
    }
}
