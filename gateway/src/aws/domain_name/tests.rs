//! Domain names, their base paths and their access associations, on a store in memory.

use crate::aws::tests::Bench;
use serde_json::{Value, json};

const CERTIFICATE: &str = "arn:aws:acm:us-east-1:000000000000:certificate/1";

fn regional(name: &str) -> Value {
    json!({
        "domainName": name, "regionalCertificateArn": CERTIFICATE,
        "endpointConfiguration": { "types": ["REGIONAL"] },
    })
}

fn private(name: &str) -> Value {
    json!({
        "domainName": name, "certificateArn": CERTIFICATE, "policy": "{\"Statement\":[]}",
        "endpointConfiguration": { "types": ["PRIVATE"] },
    })
}

fn patch(op: &str, path: &str, value: &str) -> Value {
    json!({ "patchOperations": [{ "op": op, "path": path, "value": value }] })
}

#[test]
fn a_domain_name_has_the_names_of_its_types() {
    let bench = Bench::default();
    let made = bench.ask("POST", "/domainnames", regional("api.example.com")).unwrap();
    let host = made["regionalDomainName"].as_str().unwrap();
    assert!(host.starts_with("d-") && host.ends_with(".execute-api.us-east-1.amazonaws.com"), "{host}");
    let expected = json!({
        "domainName": "api.example.com", "domainNameStatus": "AVAILABLE",
        "endpointConfiguration": { "ipAddressType": "ipv4", "types": ["REGIONAL"] },
        "regionalCertificateArn": CERTIFICATE, "regionalDomainName": host,
        "regionalHostedZoneId": "Z1UJRXOUMOOFQ8", "securityPolicy": "TLS_1_2",
    });
    assert_eq!(made, expected);
    let one = "/domainnames/api.example.com";
    assert_eq!(bench.ask("GET", one, Value::Null).unwrap(), expected);
    let both = json!({ "patchOperations": [
        { "op": "replace", "path": "/certificateArn", "value": CERTIFICATE },
        { "op": "add", "path": "/endpointConfiguration/types", "value": "EDGE" },
    ] });
    let both = bench.ask("PATCH", one, both).unwrap();
    assert_eq!(both["regionalDomainName"], made["regionalDomainName"], "it keeps what it has");
    assert!(both["distributionDomainName"].as_str().unwrap().ends_with(".cloudfront.net"));
    let edge = bench.ask("PATCH", one, patch("remove", "/endpointConfiguration/types/REGIONAL", "")).unwrap();
    assert_eq!(
        (&edge["regionalDomainName"], &edge["distributionHostedZoneId"]),
        (&json!(null), &json!("Z2FDTNDATAQYW2"))
    );
    let edge = json!({ "domainName": "*.example.com", "certificateArn": CERTIFICATE });
    assert_eq!(
        bench.ask("POST", "/domainnames", edge).unwrap()["endpointConfiguration"]["types"],
        json!(["EDGE"])
    );
    let listed = bench.ask("GET", "/domainnames", Value::Null).unwrap();
    assert_eq!(listed["item"].as_array().unwrap().len(), 2);
    assert_eq!(
        bench.ask("GET", "/domainnames?resourceOwner=OTHER_ACCOUNTS", Value::Null).unwrap()["item"],
        json!([])
    );
    bench.ask("DELETE", one, Value::Null).unwrap();
    assert_eq!(
        bench.refused("GET", one, Value::Null),
        "404 NotFoundException Invalid domain name identifier specified"
    );
    bench.ask("POST", "/domainnames", regional("api.example.com")).unwrap();
}

#[test]
fn what_is_no_domain_name_is_refused() {
    let bench = Bench::default();
    bench.ask("POST", "/domainnames", regional("api.example.com")).unwrap();
    assert_eq!(
        bench.refused("POST", "/domainnames", regional("api.example.com")),
        "400 BadRequestException The domain name you provided already exists."
    );
    for name in [
        "",
        "localhost",
        "Api.example.com",
        "a..b",
        "-a.b",
        "10.0.0.1",
        "a.*.b",
        "x.execute-api.b.c",
        "*.execute-api.b",
    ] {
        let refused = bench.refused("POST", "/domainnames", regional(name));
        assert_eq!(refused, format!("400 BadRequestException Invalid domain name specified: {name}"));
    }
    let with = |member: &str, value: Value| {
        let mut body = regional("b.example.com");
        body[member] = value;
        bench.refused("POST", "/domainnames", body)
    };
    let far = CERTIFICATE.replace("us-east-1", "eu-west-1");
    assert_eq!(
        with("regionalCertificateArn", json!(far)),
        format!(
            "400 BadRequestException Invalid certificate ARN: {far}. Certificate must be in 'us-east-1'."
        )
    );
    // CloudFront's are of one region, whatever region is asked.
    let mut edge = regional("c.example.com");
    edge["endpointConfiguration"]["types"] = json!(["EDGE"]);
    edge["certificateArn"] = far.clone().into();
    assert!(bench.refused("POST", "/domainnames", edge.clone()).ends_with("must be in 'us-east-1'."));
    let west = bench.refused_in("eu-west-1", "POST", "/domainnames", edge);
    assert!(west.ends_with("must be in 'us-east-1'."), "{west}");
    assert!(with("regionalCertificateArn", json!(null)).contains("A certificate must be specified"));
    assert!(with("policy", json!("{}")).contains("private domain names only"));
    assert!(with("mutualTlsAuthentication", json!({ "truststoreUri": "x" })).contains("s3://bucket/key"));
    assert!(with("securityPolicy", json!("TLS_1_1")).contains("Member must satisfy enum value set"));
    assert!(
        with("endpointConfiguration", json!({ "types": ["NONE"] })).contains("[PRIVATE, EDGE, REGIONAL]")
    );
    assert!(with("routingMode", json!("x")).contains("'createDomainNameInput.routingMode'"));
}

/// An uploaded certificate is kept and never told.
#[test]
fn an_uploaded_certificate_is_told_nobody() {
    let bench = Bench::default();
    let pem = |what: &str| format!("-----BEGIN {what}-----\nAA==\n-----END {what}-----\n");
    let body = json!({
        "domainName": "a.example.com", "certificateName": "mine", "certificateBody": pem("CERTIFICATE"),
        "certificatePrivateKey": pem("PRIVATE KEY"), "certificateChain": pem("CERTIFICATE"),
    });
    let made = bench.ask("POST", "/domainnames", body.clone()).unwrap();
    assert_eq!(
        (&made["certificateName"], &made["certificateUploadDate"]),
        (&json!("mine"), &json!(1_800_000_000))
    );
    assert!(!made.to_string().contains("BEGIN"));
    let kept = bench.stored("domaincertificates/000000000000/us-east-1/a.example.com").unwrap();
    assert_eq!(kept["privateKey"], json!(pem("PRIVATE KEY")));
    let mut broken = body;
    broken["domainName"] = "b.example.com".into();
    broken["certificatePrivateKey"] = "x".into();
    assert!(bench.refused("POST", "/domainnames", broken).contains("are PEM"));
}

#[test]
fn base_paths_are_made_told_moved_and_hold_what_they_mean() {
    let bench = Bench::default();
    bench.ask("POST", "/domainnames", regional("api.example.com")).unwrap();
    let api = bench.api();
    bench.stage(&api, "prod");
    let at = "/domainnames/api.example.com/basepathmappings";
    let mapping = |path: &str, stage: &str| json!({ "basePath": path, "restApiId": api, "stage": stage });
    let made = bench.ask("POST", at, mapping("", "prod")).unwrap();
    assert_eq!(made, mapping("(none)", "prod"));
    assert_eq!(
        bench.refused("POST", at, mapping("(none)", "prod")),
        "409 ConflictException Base path already exists for this domain name"
    );
    bench.ask("POST", at, mapping("a/b", "")).unwrap();
    let deep = "/domainnames/api.example.com/basepathmappings/a%2Fb";
    assert_eq!(bench.ask("GET", deep, Value::Null).unwrap(), json!({ "basePath": "a/b", "restApiId": api }));
    for (bad, says) in [
        (json!({ "basePath": "x", "restApiId": "none" }), "Invalid REST API identifier specified"),
        (mapping("x", "none"), "Invalid stage identifier specified"),
    ] {
        assert_eq!(bench.refused("POST", at, bad), format!("400 BadRequestException {says}"));
    }
    for path in ["/x", "a//b", "a b", "..", "a/../b", "é"] {
        let refused = bench.refused("POST", at, mapping(path, "prod"));
        assert!(
            refused.starts_with(&format!("400 BadRequestException Invalid base path specified: {path}.")),
            "{refused}"
        );
    }
    let moved = bench.ask("PATCH", deep, patch("replace", "/basePath", "c")).unwrap();
    assert_eq!(moved["basePath"], "c");
    assert_eq!(
        bench.refused("GET", deep, Value::Null),
        "404 NotFoundException Invalid base path mapping identifier specified"
    );
    let c = format!("{at}/c");
    assert!(
        bench
            .refused("PATCH", &c, patch("replace", "/basePath", ""))
            .starts_with("409 ConflictException Base path")
    );
    assert_eq!(bench.ask("PATCH", &c, patch("replace", "/stage", "prod")).unwrap()["stage"], "prod");
    assert_eq!(
        bench.ask("PATCH", &c, patch("replace", "/restapiId", &api)).unwrap()["restApiId"],
        json!(api)
    );

    let stage = format!("/restapis/{api}/stages/prod");
    assert_eq!(
        bench.refused("DELETE", &stage, Value::Null),
        "400 BadRequestException Deleting stage prod failed. Please remove all base path mappings related to the stage \
         in your domains: api.example.com"
    );
    let held = bench.refused("DELETE", &format!("/restapis/{api}"), Value::Null);
    assert!(
        held.starts_with(&format!(
            "400 BadRequestException Deleting RestApi {api} failed. Please remove all"
        )),
        "{held}"
    );
    bench.ask("DELETE", "/domainnames/api.example.com", Value::Null).unwrap();
    bench.ask("DELETE", &stage, Value::Null).unwrap();
    bench.ask("DELETE", &format!("/restapis/{api}"), Value::Null).unwrap();
}

#[test]
fn private_domain_names_have_ids_and_associations() {
    let bench = Bench::default();
    let made = bench.ask("POST", "/domainnames", private("in.example.com")).unwrap();
    let id = made["domainNameId"].as_str().unwrap();
    let arn = format!("arn:aws:apigateway:us-east-1:000000000000:/domainnames/in.example.com+{id}");
    assert_eq!(made["domainNameArn"], json!(arn));
    assert_eq!(made["policy"], "{\\\"Statement\\\":[]}");
    assert_eq!(made["endpointConfiguration"]["ipAddressType"], "dualstack");
    bench.ask("POST", "/domainnames", private("in.example.com")).unwrap();
    let one = format!("/domainnames/in.example.com?domainNameId={id}");
    assert_eq!(bench.ask("GET", &one, Value::Null).unwrap(), made);
    assert!(bench.refused("GET", "/domainnames/in.example.com", Value::Null).starts_with("404 "));
    let tags = "/tags/".to_owned() + &arn.replace(':', "%3A").replace('/', "%2F").replace('+', "%2B");
    bench.ask("PUT", &tags, json!({ "tags": { "a": "b" } })).unwrap();
    assert_eq!(bench.ask("GET", &one, Value::Null).unwrap()["tags"], json!({ "a": "b" }));
    let mapping = json!({ "restApiId": bench.api(), "basePath": "x" });
    let at = format!("/domainnames/in.example.com/basepathmappings?domainNameId={id}");
    assert!(bench.refused("POST", &at, mapping).contains("is mapped to PRIVATE APIs"));

    let asked = json!({
        "domainNameArn": arn, "accessAssociationSourceType": "VPCE", "accessAssociationSource": "vpce-1a",
    });
    let all = "/domainnameaccessassociations";
    let association = bench.ask("POST", all, asked.clone()).unwrap();
    let name = association["domainNameAccessAssociationArn"].as_str().unwrap();
    assert_eq!(
        name,
        format!(
            "arn:aws:apigateway:us-east-1:000000000000:/domainnameaccessassociations/domainname/in.example.com+{id}/\
             vpcesource/vpce-1a"
        )
    );
    assert!(bench.refused("POST", all, asked.clone()).starts_with("409 ConflictException"));
    for (member, value, says) in [
        ("accessAssociationSourceType", "VPC", "Member must satisfy enum value set: [VPCE]"),
        ("accessAssociationSource", "eni-1", "Invalid VPC endpoint ID specified: eni-1"),
        ("domainNameArn", "arn:x", "Invalid domain name ARN specified: arn:x"),
    ] {
        let mut body = asked.clone();
        body[member] = value.into();
        assert!(bench.refused("POST", all, body).contains(says), "{says}");
    }
    assert!(bench.refused("DELETE", &one, Value::Null).contains("remove all access associations"));
    let encoded = |text: &str| text.replace('+', "%2B");
    let reject = |arn: &str| {
        format!(
            "/rejectdomainnameaccessassociations?domainNameAccessAssociationArn={}&domainNameArn={}",
            encoded(name),
            encoded(arn)
        )
    };
    assert!(bench.refused("POST", &reject("arn:x"), Value::Null).starts_with("400 BadRequestException"));
    bench.ask("POST", &reject(&arn), Value::Null).unwrap();
    assert_eq!(bench.ask("GET", all, Value::Null).unwrap()["item"], json!([]));
    bench.ask("POST", all, asked).unwrap();
    let path = format!("{all}/{}", encoded(name).replace('/', "%2F"));
    bench.ask("DELETE", &path, Value::Null).unwrap();
    bench.ask("DELETE", &one, Value::Null).unwrap();
}
