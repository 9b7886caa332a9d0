//! GetSdk on a store in memory: what it answers, what it refuses, and what hostile documents come to.

use super::*;
use crate::aws::export::tests::Memory;

/// An API that was imported, and its stage `prod`: `/restapis/{id}/stages/prod/sdks`.
fn deployed(store: &mut Memory, paths: &Value) -> String {
    let document = json!({ "openapi": "3.0.1", "info": { "title": "pets */ </script>" }, "paths": paths });
    let id = store.import(&document.to_string());
    store.call("POST", &format!("/restapis/{id}/deployments"), r#"{"stageName": "prod"}"#).unwrap();
    format!("/restapis/{id}/stages/prod/sdks")
}

/// What is answered in the end.
fn asked(store: &mut Memory, target: &str) -> Result<Answer, Fault> {
    match store.call("GET", target, "")? {
        Answer::Sdk(sdk) => sdk.generate(),
        answer => Ok(answer),
    }
}

fn mock() -> Value {
    json!({ "x-amazon-apigateway-integration": { "type": "mock" } })
}

fn files(answer: Answer) -> Vec<(String, String)> {
    let Answer::File { body, .. } = answer else { panic!("{answer:?}") };
    let text = |file: zip::File| (file.name, String::from_utf8(file.bytes).unwrap());
    zip::files(&body).into_iter().map(text).collect()
}

#[test]
fn the_operation_answers_an_archive_of_what_is_deployed() {
    let mut store = Memory::default();
    let sdks = deployed(&mut store, &json!({ "/pets": { "get": mock() } }));
    let first = asked(&mut store, &format!("{sdks}/javascript")).unwrap();
    let Answer::File { content_type, name, body } = &first else { panic!("{first:?}") };
    assert_eq!(
        (content_type.as_str(), name.as_str()),
        ("application/octet-stream", "javascript_2027-01-15_08-00Z.zip")
    );
    let again = asked(&mut store, &format!("{sdks}/javascript")).unwrap();
    assert!(matches!(&again, Answer::File { body: again, .. } if again == body), "the same bytes");
    let files = files(again);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["apiGateway-js-sdk/apigClient.js", "apiGateway-js-sdk/README.md", "apiGateway-js-sdk/package.json"]
    );
    let script = &files[0].1;
    assert!(script.contains("\n    [\"petsGet\", \"GET\", \"/pets\", [], [], []]\n"), "{script}");
    assert!(script.contains("invokeUrl: \"http://127.0.0.1:8080/prod\" };"), "{script}");
    assert!(!script.contains("/*{") && script.trim_end().ends_with(": self);"), "{script}");
    assert!(files[1].1.starts_with("# Client of pets \\*/ &lt;/script&gt;, stage prod\n"), "{}", files[1].1);
    // What changed since the deployment is not in it.
    let api = sdks.split('/').nth(2).unwrap();
    let renamed = r#"{"patchOperations": [{"op": "replace", "path": "/name", "value": "later"}]}"#;
    store.call("PATCH", &format!("/restapis/{api}"), renamed).unwrap();
    assert_eq!(asked(&mut store, &format!("{sdks}/javascript")).unwrap(), first);
}

/// Names of operations and parameters come from documents that anybody wrote.
#[test]
fn what_a_document_says_is_no_code() {
    let mut store = Memory::default();
    let evil = "x\"]]; evil(); /* \u{2028} */ </script>";
    let mut operation = mock();
    operation["operationId"] = evil.into();
    operation["parameters"] = json!([
        { "name": evil, "in": "query", "schema": { "type": "string" } },
        { "name": "__proto__", "in": "header", "schema": { "type": "string" } },
    ]);
    let sdks = deployed(&mut store, &json!({ "/pets": { "get": operation } }));
    let files = files(asked(&mut store, &format!("{sdks}/javascript")).unwrap());
    let script = &files[0].1;
    let row = script.lines().find(|line| line.contains("/pets")).unwrap();
    assert_eq!(
        row,
        "    [\"xEvilScript\", \"GET\", \"/pets\", [\"x\\u0022\\u005d\\u005d; evil(); /\\u002a \\u2028 \\u002a/ \
         \\u003c/script\\u003e\"], [\"__proto__\"], []]"
    );
    assert!(!script.contains("evil(); /*") && !script.contains("\u{2028}"));
    assert!(!files[1].1.contains("</script>\"]") && !files[1].1.contains('\u{2028}'), "{}", files[1].1);
}

#[test]
fn what_cannot_be_generated_is_refused() {
    let mut store = Memory::default();
    let sdks = deployed(&mut store, &json!({ "/pets": { "get": mock() } }));
    let stages = sdks.strip_suffix("/prod/sdks").unwrap();
    for (target, status, message) in [
        (
            format!("{sdks}/perl"),
            400,
            "Invalid SDK type specified: perl. Must be one of: [java, javascript]".to_owned(),
        ),
        (
            format!("{sdks}/swift?classPrefix=A"),
            400,
            "GetSdk of type swift is not supported by this gateway yet: ask for one of [java, javascript], or export \
             the API (GetExport) and generate a client of the document, with openapi-generator for example"
                .to_owned(),
        ),
        (
            format!("{sdks}/javascript?classPrefix=A"),
            400,
            "Invalid SDK parameter specified: classPrefix. Those of type javascript are: []".to_owned(),
        ),
        (format!("{stages}/beta/sdks/javascript"), 404, "Invalid Stage identifier specified".to_owned()),
        (
            "/restapis/none/stages/prod/sdks/javascript".to_owned(),
            404,
            "Invalid API identifier specified 000000000000:none".to_owned(),
        ),
        ("/sdktypes/ruby".to_owned(), 404, "Invalid SDK type specified".to_owned()),
    ] {
        let fault = asked(&mut store, &target).unwrap_err();
        assert_eq!((fault.status, fault.message), (status, message), "{target}");
    }
    let mut operation = mock();
    let name = "n".repeat(1_300_000);
    operation["parameters"] = json!([{ "name": name, "in": "query", "schema": { "type": "string" } }]);
    let long = deployed(&mut store, &json!({ "/x": { "x-amazon-apigateway-any-method": operation } }));
    let fault = asked(&mut store, &format!("{long}/javascript")).unwrap_err();
    assert_eq!(
        (fault.status, fault.message.as_str()),
        (
            400,
            "Names, paths and parameters of the methods have more than 8388608 bytes, the most that an SDK is made of"
        )
    );
    let Ok(Answer::Json(told)) = asked(&mut store, "/sdktypes") else { panic!() };
    let ids: Vec<&str> =
        told["item"].as_array().unwrap().iter().filter_map(|kind| kind["id"].as_str()).collect();
    assert_eq!(ids, ["java", "javascript"]);
    for id in ids {
        asked(&mut store, &format!("/sdktypes/{id}")).unwrap();
        let told = if id == "java" { "?serviceName=Pets&javaPackageName=a.b" } else { "" };
        asked(&mut store, &format!("{sdks}/{id}{told}")).unwrap();
    }
}

#[test]
fn what_is_no_java_is_refused() {
    let mut store = Memory::default();
    let many: serde_json::Map<String, Value> =
        (0..286).map(|n| (format!("/x{n}"), json!({ "x-amazon-apigateway-any-method": mock() }))).collect();
    let many = deployed(&mut store, &many.into());
    let mut operation = mock();
    let long = "n".repeat(10_000);
    operation["parameters"] = json!([{ "name": long, "in": "query", "schema": { "type": "string" } }]);
    let long = deployed(&mut store, &json!({ "/long": { "get": operation } }));
    let usual = "serviceName=Pets&javaPackageName=a.b";
    for (sdks, told, message) in [
        (&many, usual, "An SDK of type java has 2000 methods at most; this API has 2002"),
        (&long, usual, "Path and parameters of GET /long have more than 10000 bytes, the most for type java"),
        (
            &long,
            "javaPackageName=a.b",
            "Missing required SDK parameter: serviceName. It is the name of the client's class",
        ),
        (
            &long,
            "serviceName=9a&javaPackageName=a.b",
            "Invalid serviceName specified: 9a. It is the name of a class, like PetStore: letters, digits and _",
        ),
        (
            &long,
            "serviceName=PetsRequest&javaPackageName=a.b",
            "Invalid serviceName specified: PetsRequest. It is the name of a class, like PetStore: letters, digits \
             and _",
        ),
        (
            &long,
            "serviceName=Model&javaPackageName=a.b",
            "Invalid serviceName specified: Model. It is the name of a class, like PetStore: letters, digits and _",
        ),
        (
            &long,
            "serviceName=com&javaPackageName=com.example",
            "Invalid serviceName specified: com. It is the name of a class, like PetStore: letters, digits and _",
        ),
        (
            &long,
            "serviceName=Pets&javaPackageName=a.new",
            "Invalid javaPackageName specified: a.new. It is the name of a package, like com.example.pets",
        ),
    ] {
        let fault = asked(&mut store, &format!("{sdks}/java?{told}")).unwrap_err();
        assert_eq!((fault.status, fault.message.as_str()), (400, message));
    }
}

/// Of each name that a document says there are several in a client.
#[test]
fn what_would_come_out_longer_than_it_may_be_is_refused() {
    let mut store = Memory::default();
    // 1,250 setters of each of 70 methods, every one with the name of its class.
    let parameters: Vec<Value> = (0..1_250)
        .map(|n| json!({ "name": format!("{n:x}"), "in": "query", "schema": { "type": "string" } }))
        .collect();
    let mut paths = serde_json::Map::new();
    for n in 0..70 {
        let mut operation = mock();
        operation["parameters"] = parameters.clone().into();
        operation["operationId"] = format!("{}{n}", "n".repeat(3_000)).into();
        paths.insert(format!("/x{n}"), json!({ "get": operation }));
    }
    let wide = deployed(&mut store, &paths.into());
    let mut operation = mock();
    // Three times, and escaped.
    let name = "<".repeat(1_200_000);
    operation["parameters"] =
        json!([{ "name": name, "in": "query", "required": true, "schema": { "type": "string" } }]);
    let odd = deployed(&mut store, &json!({ "/x": { "get": operation } }));
    let java = "java?serviceName=Pets&javaPackageName=a.b";
    let message = "The files of this SDK have more than 16777216 bytes, the most that is generated: give methods and \
                   parameters shorter names, or the API fewer of them";
    for target in [format!("{wide}/{java}"), format!("{odd}/javascript")] {
        let fault = asked(&mut store, &target).unwrap_err();
        assert_eq!((fault.status, fault.message.as_str()), (400, message));
    }
    assert!(asked(&mut store, &format!("{wide}/javascript")).is_ok());
}

/// Names of files have 255 bytes, and not all file systems tell cases apart.
#[test]
fn classes_of_long_names_have_files_of_their_own() {
    let mut store = Memory::default();
    let mut paths = serde_json::Map::new();
    for n in 0..3 {
        let mut operation = mock();
        operation["operationId"] = format!("{}{n}", "Name".repeat(1_000)).into();
        paths.insert(format!("/x{n}"), json!({ "get": operation }));
    }
    let sdks = deployed(&mut store, &paths.into());
    let files =
        files(asked(&mut store, &format!("{sdks}/java?serviceName=Pets&javaPackageName=a.b")).unwrap());
    let mut names: Vec<String> = files.iter().map(|(name, _)| name.to_lowercase()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), files.len());
    assert!(names.iter().flat_map(|name| name.split('/')).all(|part| part.len() <= 255), "{names:?}");
    let class = format!("{}Na", "Name".repeat(37));
    for (number, name) in ["", "_0", "_1"].iter().enumerate() {
        let (_, text) =
            files.iter().find(|(file, _)| file.ends_with(&format!("/{class}{name}Request.java"))).unwrap();
        assert!(
            text.contains(&format!(
                "public {class}{name}Request() {{\n        super(\"GET\", \"/x{number}\")"
            )),
            "{text}"
        );
    }
}

#[test]
fn java_is_generated_under_the_names_that_were_given() {
    let mut store = Memory::default();
    let sdks = deployed(&mut store, &json!({ "/pets": { "get": mock() } }));
    let told = "serviceName=Pets&javaPackageName=com.example&groupId=g&artifactId=a-1&artifactVersion=2.0";
    let files = files(asked(&mut store, &format!("{sdks}/java?{told}")).unwrap());
    let text = |name: &str| &files.iter().find(|(found, _)| found.ends_with(name)).expect(name).1;
    assert!(text("/pom.xml").contains("<artifactId>a-1</artifactId>\n  <version>2.0</version>"));
    let client = text("/src/main/java/com/example/Pets.java");
    assert!(client.contains("public com.example.model.GetPetsResult getPets("), "{client}");
    let builder = text("/com/example/PetsClientBuilder.java");
    assert!(builder.contains("Settings(\"http://127.0.0.1:8080/prod\", \"us-east-1\")"), "{builder}");
    assert!(files.iter().all(|(_, text)| !text.contains("SERVICE") && !text.contains("PACKAGE")));
}
