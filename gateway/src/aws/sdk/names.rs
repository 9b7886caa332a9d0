//! What a generated client calls a method of the API: as AWS's clients of that language do, and each name once.

use std::collections::HashMap;

/// A client's language, as far as names go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    JavaScript,
    Java,
}

/// Properties of every object, or of one that `await` takes for a promise: a client's methods are called otherwise.
const JAVASCRIPT_TAKEN: [&str; 9] = [
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
/// Java Language Specification 17, 3.9.
#[rustfmt::skip]
const JAVA_WORDS: [&str; 59] = [
    "_", "abstract", "assert", "boolean", "break", "byte", "case", "catch", "char", "class", "const", "continue",
    "default", "do", "double", "else", "enum", "extends", "false", "final", "finally", "float", "for", "goto", "if",
    "implements", "import", "instanceof", "int", "interface", "long", "native", "new", "null", "package", "permits",
    "private", "protected", "public", "record", "return", "sealed", "short", "static", "strictfp", "super", "switch",
    "synchronized", "this", "throw", "throws", "transient", "true", "try", "var", "void", "volatile", "while", "yield",
];
/// Methods of every object and every request, and what would make another `SdkRequest`.
const JAVA_TAKEN: [&str; 12] = [
    "body",
    "clone",
    "equals",
    "finalize",
    "getclass",
    "hashcode",
    "notify",
    "notifyall",
    "put",
    "sdk",
    "self",
    "wait",
];

/// Of a method of Java: in `{class}Request.java`, which repeats it in every setter, and names of files have 255 bytes.
const JAVA_METHOD_MAX: usize = 150;

impl Naming {
    /// JavaScript: `listPets` of an operation that has this name, or this one in another spelling (`ListPets`, `list
    /// pets`); else `petsPetIdGet` of `GET /pets/{petId}`, `rootGet` of `GET /`. Java: `listPets`, `list_pets`; else
    /// `getPetsPetId`, `getApiRoot`; no more of it than `JAVA_METHOD_MAX`. Letters, digits and `_` of ASCII, no digit
    /// first.
    pub(super) fn method(self, operation: Option<&str>, path: &str, verb: &str) -> String {
        let mut name = self.whole_method(operation, path, verb);
        if self == Self::Java {
            name.truncate(JAVA_METHOD_MAX);
        }
        name
    }

    fn whole_method(self, operation: Option<&str>, path: &str, verb: &str) -> String {
        let told = operation.map(|name| match self {
            Self::JavaScript => camel([name]),
            Self::Java => lower_first(&plain(name)),
        });
        if let Some(told) = told.filter(|told| told.contains(|c: char| c.is_ascii_alphanumeric())) {
            return told;
        }
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let verb = verb.to_ascii_lowercase();
        match (self, parts.is_empty()) {
            (Self::JavaScript, true) => camel(["root", verb.as_str()]),
            (Self::JavaScript, false) => camel(parts.into_iter().chain([verb.as_str()])),
            (Self::Java, true) => camel([verb.as_str(), "ApiRoot"]),
            (Self::Java, false) => camel([verb.as_str()].into_iter().chain(parts)),
        }
    }

    /// Is it a word that no method of this language's clients is called?
    fn has_taken(self, name: &str) -> bool {
        match self {
            Self::JavaScript => JAVASCRIPT_TAKEN.contains(&name),
            Self::Java => !is_java_name(name) || JAVA_TAKEN.contains(&self.key(name).as_str()),
        }
    }

    /// Names of Java are names of files, too, and not all file systems tell cases apart.
    fn key(self, name: &str) -> String {
        match self {
            Self::JavaScript => name.to_owned(),
            Self::Java => name.to_ascii_lowercase(),
        }
    }
}

/// Of a class, a package or a method, in ASCII.
pub(super) fn is_java_name(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
    word.starts_with(begins) && word.chars().all(plain) && !JAVA_WORDS.contains(&word)
}

/// `X-Trace` → `xTrace`
pub(super) fn parameter(name: &str) -> String {
    let told = camel([name]);
    if told.is_empty() { "parameter".into() } else { told }
}

/// `getPets` → `GetPets`
pub(super) fn upper_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(chars).collect()
}

/// What of a name can stand in one.
fn plain(name: &str) -> String {
    let mut name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
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
pub(super) struct Names {
    naming: Naming,
    given: HashMap<String, usize>,
}

impl Names {
    pub(super) fn new(naming: Naming) -> Self {
        Self { naming, given: HashMap::new() }
    }

    /// That name, or with the first of `_0`, `_1`, ... that nobody has.
    pub(super) fn take(&mut self, name: &str) -> String {
        let key = self.naming.key(name);
        if !self.naming.has_taken(name) && !self.given.contains_key(&key) {
            self.given.insert(key, 0);
            return name.to_owned();
        }
        let mut number = self.given.get(&key).copied().unwrap_or(0);
        let free = loop {
            let numbered = format!("{name}_{number}");
            number += 1;
            if !self.given.contains_key(&self.naming.key(&numbered)) {
                break numbered;
            }
        };
        self.given.insert(key, number);
        self.given.insert(self.naming.key(&free), 0);
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
            assert_eq!(Naming::JavaScript.method(None, path, verb), expected, "{verb} {path}");
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
            assert_eq!(Naming::JavaScript.method(Some(told), "/pets", "GET"), expected, "{told}");
        }
    }

    #[test]
    fn names_of_java_begin_with_the_verb() {
        for (told, path, verb, expected) in [
            (None, "/", "GET", "getApiRoot"),
            (None, "/{a}/{b}/{op}", "GET", "getABOp"),
            (None, "/upload-product", "POST", "postUploadProduct"),
            (Some("Get_all_datasets"), "/x", "GET", "get_all_datasets"),
            (Some("__"), "/x", "GET", "getX"),
            (Some("2x\"); evil();"), "/x", "GET", "_2xevil"),
        ] {
            assert_eq!(Naming::Java.method(told, path, verb), expected);
        }
        let long = Naming::Java.method(Some(&"n".repeat(151)), "/x", "GET");
        assert_eq!(long, "n".repeat(150));
        assert_eq!(Naming::Java.method(None, &"/n".repeat(151), "GET").len(), 150);
        assert_eq!(upper_first("getABOp"), "GetABOp");
        assert_eq!([parameter("X-Trace"), parameter("\u{5b57}")], ["xTrace", "parameter"]);
        let mut names = Names::new(Naming::Java);
        let given: Vec<String> = ["new", "sdk", "getA", "geta"].map(|name| names.take(name)).into();
        assert_eq!(given, ["new_0", "sdk_0", "getA", "geta_0"]);
    }

    #[test]
    fn each_name_is_given_once() {
        let mut names = Names::new(Naming::JavaScript);
        let given: Vec<String> =
            ["a", "a_0", "a", "a", "then", "then", "b"].map(|name| names.take(name)).into();
        assert_eq!(given, ["a", "a_0", "a_1", "a_2", "then_0", "then_1", "b"]);
    }
}
