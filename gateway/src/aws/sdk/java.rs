//! The Java client: templates, and a request and a result of each method. Whatever the API's owner and the caller say
//! stands in them as a name that was checked or as a literal.

use super::methods::Operation;
use super::names::{Names, Naming, is_java_name, parameter, upper_first};
use super::text::{self, Files, Text, filled, readme};
use super::{Client, Fault, Property};
use std::fmt::{self, Display, Formatter, Write, from_fn};

pub(super) const PROPERTIES: [Property; 6] = [
    Property {
        name: "serviceName",
        friendly_name: "Service Name",
        description: "The name of the client's class",
        required: true,
    },
    Property {
        name: "javaPackageName",
        friendly_name: "Java Package Name",
        description: "The package of the client",
        required: true,
    },
    Property {
        name: "javaBuildSystem",
        friendly_name: "Java Build System",
        description: "maven, the default: no other is generated",
        required: false,
    },
    Property {
        name: "groupId",
        friendly_name: "Java Group Id",
        description: "groupId of pom.xml; the package by default",
        required: false,
    },
    Property {
        name: "artifactId",
        friendly_name: "Java Artifact Id",
        description: "artifactId of pom.xml; the service name by default",
        required: false,
    },
    Property {
        name: "artifactVersion",
        friendly_name: "Java Artifact Version",
        description: "version of pom.xml; 1.0.0 by default",
        required: false,
    },
];
/// The folder of AWS's archives.
const FOLDER: &str = "generated-code";
/// One class has a method for each: its table of constants has 65,535 entries.
const METHODS_MAX: usize = 2_000;
/// A constant of a class has at most 65,535 bytes.
const NAME_BYTES_MAX: usize = 10_000;
const WORD_MAX: usize = 100;
/// Classes that stand beside it by their simple names, and those whose name plus `Exception` is one.
const TAKEN: [&str; 9] = [
    "Duration",
    "GeneralSecurity",
    "IO",
    "IllegalArgument",
    "IllegalState",
    "Interrupted",
    "Runtime",
    "String",
    "Transport",
];

pub(super) fn files(client: &Client<'_>, files: &mut Files) -> Result<(), Fault> {
    let (service, package) = (client.told("serviceName"), client.told("javaPackageName"));
    check(client, service, package)?;
    let (group, artifact, version) = (
        client.told_or("groupId", package),
        client.told_or("artifactId", service),
        client.told_or("artifactVersion", "1.0.0"),
    );
    let url = from_fn(|to| match client.urls.first() {
        Some(url) => write!(to, "{}", literal(url)),
        None => to.write_str("null"),
    });
    let region = literal(client.region);
    let methods = from_fn(|to| methods(to, client, package));
    let words: [(&str, &dyn Display); 8] = [
        ("PACKAGE", &package),
        ("SERVICE", &service),
        ("INVOKE_URL", &url),
        ("REGION", &region),
        ("GROUP", &group),
        ("ARTIFACT", &artifact),
        ("VERSION", &version),
        ("METHODS", &methods),
    ];
    let source = format!("src/main/java/{}", package.replace('.', "/"));
    for (name, template) in [
        ("pom.xml".into(), include_str!("java/pom.xml")),
        (format!("{source}/{service}.java"), include_str!("java/Service.java")),
        (format!("{source}/{service}ClientBuilder.java"), include_str!("java/ClientBuilder.java")),
        (format!("{source}/model/{service}Exception.java"), include_str!("java/Exception.java")),
        (format!("{source}/model/SdkRequest.java"), include_str!("java/SdkRequest.java")),
        (format!("{source}/model/SdkRequestConfig.java"), include_str!("java/SdkRequestConfig.java")),
        (format!("{source}/model/SdkResponseMetadata.java"), include_str!("java/SdkResponseMetadata.java")),
        (format!("{source}/model/SdkResult.java"), include_str!("java/SdkResult.java")),
        (format!("{source}/model/Transport.java"), include_str!("java/Transport.java")),
    ] {
        files.add(format!("{FOLDER}/{name}"), |text| filled(text, template, &words))?;
    }
    let usage = from_fn(|to| filled(to, include_str!("java/README.md"), &words));
    files.add(format!("{FOLDER}/README.md"), |text| {
        readme(text, client, &usage, |operation| {
            setters(operation).into_iter().map(|setter| (setter.name, setter.required)).collect()
        })
    })?;
    for operation in client.operations {
        let class = upper_first(&operation.name);
        let model = format!("{FOLDER}/{source}/model/{class}");
        files.add(format!("{model}Request.java"), |text| request_class(text, operation, &class, package))?;
        files.add(format!("{model}Result.java"), |text| result_class(text, &class, package))?;
    }
    Ok(())
}

/// Err: says which word of the call, or what of the API, cannot be one of Java.
fn check(client: &Client<'_>, service: &str, package: &str) -> Result<(), Fault> {
    let refuse = |what: String| Err(Fault::bad_request(what));
    let fits = !TAKEN.contains(&service) && is_java_name(service) && service.len() <= WORD_MAX;
    // A class goes before a package of the same name; `model` is the one below.
    let hides = package.split('.').any(|part| part == service) || service.eq_ignore_ascii_case("model");
    if !fits || hides || service.ends_with("Request") || service.ends_with("Result") {
        return refuse(format!(
            "Invalid serviceName specified: {service}. It is the name of a class, like PetStore: letters, digits and _"
        ));
    }
    let is_own = package != "java" && !package.starts_with("java.") && package.len() <= 2 * WORD_MAX;
    if !is_own || !package.split('.').all(is_java_name) {
        return refuse(format!(
            "Invalid javaPackageName specified: {package}. It is the name of a package, like com.example.pets"
        ));
    }
    let build = client.told_or("javaBuildSystem", "maven");
    if build != "maven" {
        return refuse(format!("Invalid javaBuildSystem specified: {build}. Must be one of: [maven]"));
    }
    for name in ["groupId", "artifactId", "artifactVersion"] {
        let word = client.told_or(name, "a");
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if word.is_empty() || word.len() > WORD_MAX || !word.chars().all(plain) {
            return refuse(format!(
                "Invalid {name} specified: {word}. It has letters, digits, dots, - and _"
            ));
        }
    }
    let methods = client.operations.len();
    if methods > METHODS_MAX {
        return refuse(format!(
            "An SDK of type java has {METHODS_MAX} methods at most; this API has {methods}"
        ));
    }
    let long = |operation: &&Operation<'_>| operation.text_bytes() > NAME_BYTES_MAX;
    if let Some(operation) = client.operations.iter().find(long) {
        let path: String = operation.path.chars().take(WORD_MAX).collect();
        return refuse(format!(
            "Path and parameters of {} {path} have more than {NAME_BYTES_MAX} bytes, the most for type java",
            operation.verb
        ));
    }
    Ok(())
}

/// The client's methods. Names are whole: a class of the service's name may stand beside.
fn methods(to: &mut Formatter<'_>, client: &Client<'_>, package: &str) -> fmt::Result {
    for operation in client.operations {
        let (name, class) = (&operation.name, format!("{package}.model.{}", upper_first(&operation.name)));
        write!(
            to,
            "\n    public {class}Result {name}({class}Request request) {{\n        \
             return new {class}Result(transport.send(request));\n    }}\n"
        )?;
    }
    Ok(())
}

fn request_class(text: &mut Text, operation: &Operation<'_>, class: &str, package: &str) -> fmt::Result {
    write!(
        text,
        "package {package}.model;\n\npublic final class {class}Request extends SdkRequest<{class}Request> {{\n    \
         public {class}Request() {{\n        super({}, {}",
        literal(operation.verb),
        literal(operation.path)
    )?;
    for name in &operation.required {
        write!(text, ",\n            {}", literal(name))?;
    }
    text.write_str(");\n    }\n")?;
    for Setter { name, place, parameter, .. } in setters(operation) {
        let parameter = literal(parameter);
        write!(
            text,
            "\n    public {class}Request {name}(String value) {{\n        return put({place}, {parameter}, value);\n\
             \x20   }}\n"
        )?;
    }
    text.write_str("}\n")
}

fn result_class(text: &mut Text, class: &str, package: &str) -> fmt::Result {
    write!(
        text,
        "package {package}.model;\n\npublic final class {class}Result extends SdkResult {{\n    \
         public {class}Result(java.net.http.HttpResponse<byte[]> response) {{\n        super(response);\n    }}\n}}\n"
    )
}

struct Setter<'o> {
    name: String,
    /// The field of `SdkRequest`.
    place: &'static str,
    parameter: &'o str,
    required: bool,
}

fn setters<'o>(operation: &'o Operation<'_>) -> Vec<Setter<'o>> {
    let mut names = Names::new(Naming::Java);
    let places =
        [("ofPath", &operation.variables), ("ofQuery", &operation.query), ("ofHeaders", &operation.headers)];
    let all = places.into_iter().flat_map(|(place, list)| list.iter().map(move |name| (place, *name)));
    all.map(|(place, parameter_name)| Setter {
        name: names.take(&parameter(parameter_name)),
        place,
        parameter: parameter_name,
        required: operation.required.contains(&parameter_name),
    })
    .collect()
}

/// Java reads `\u0022` as the quote itself, wherever it stands: ASCII is written as octal escapes, which are read where
/// the literal is.
fn literal(text: &str) -> impl Display {
    text::literal(text, |to, unit| match unit {
        0..0x80 => write!(to, "\\{unit:03o}"),
        _ => write!(to, "\\u{unit:04x}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_literal_ends_early() {
        assert_eq!(literal("/pets/{petId}").to_string(), "\"/pets/{petId}\"");
        assert_eq!(literal("a\"1\\u0022*/\n\u{e9}").to_string(), "\"a\\0421\\134u0022\\052/\\012\\u00e9\"");
    }
}
