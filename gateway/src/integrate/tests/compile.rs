//! What compile says of integrations that cannot be.

use super::*;

/// What compile says of an integration: errors, warnings, and whether it is Unsupported.
fn said(change: impl FnOnce(&mut model::Integration)) -> (usize, usize, bool) {
    let mut integration = model(IntegrationType::HttpProxy, "http://b/{id}");
    change(&mut integration);
    let compiled = compiled("/pets/{id}", &integration);
    let count = |severity| compiled.findings.iter().filter(|finding| finding.severity == severity).count();
    let unsupported = matches!(compiled.integration, Integration::Unsupported(_));
    (count(model::Severity::Error), count(model::Severity::Warning), unsupported)
}

#[test]
fn what_cannot_be_compiled_says_so() {
    for uri in [
        "",
        "b/x",
        "ftp://b/",
        "http:///x",
        "http://{id}/",
        "http://b:0/",
        "http://b:99999/",
        "http://u:p@b/",
        "http://b/#x",
        "http://b/{none}",
        "http://b/{id",
        "http://b/../x",
        "http://b/%zz",
        "http://b/a\\b",
        "http://${stageVariables.none}/",
        "http://${context.x}/",
        "http://${stageVariables.backend",
        "http://[::g]/",
    ] {
        let (errors, ..) = said(|integration| integration.uri = Some((uri.to_owned(), Place::default())));
        assert_eq!(errors, 1, "{uri}");
    }
    for uri in ["http://[::1]:8080/", "http://b", "http://b?x={id}", "http://${stageVariables.backend}/{id}"]
    {
        assert_eq!(said(|i| i.uri = Some((uri.to_owned(), Place::default()))), (0, 0, false), "{uri}");
    }
    assert_eq!(said(|i| i.uri = Some(("https://b/".to_owned(), Place::default()))), (0, 1, true));
    assert_eq!(said(|i| i.kind = IntegrationType::Aws), (0, 1, true));
    assert_eq!(said(|i| i.kind = IntegrationType::AwsProxy), (0, 1, true));
    assert_eq!(said(|i| i.vpc_link = Some("abc".to_owned())), (0, 1, true));
    assert_eq!(said(|i| i.http_method = Some("TRACE".to_owned())), (1, 0, false));
}

#[test]
fn mappings_and_templates_that_cannot_be() {
    for (key, value, expected) in [
        ("integration.request.header.X", "method.request.header.Y", (0, 0, false)),
        ("integration.request.header.X", "method.request.body.id", (0, 1, false)),
        ("integration.request.header.X", "method.request.cookie.id", (1, 0, false)),
        ("integration.request.header.X", "integration.response.header.Y", (1, 0, false)),
        ("integration.request.header.X", "context.nothing", (0, 1, false)),
        ("integration.request.header.X", "context.authorizer.sub", (0, 1, false)),
        ("integration.request.header.X", "stageVariables.none", (0, 1, false)),
        ("integration.request.header.X", "plain", (1, 0, false)),
        ("integration.request.header.X", "'a\nb'", (1, 0, false)),
        ("integration.request.header.X Y", "'a'", (1, 0, false)),
        ("integration.request.body.X", "'a'", (1, 0, false)),
        ("integration.request.header.Content-Length", "'1'", (0, 1, true)),
        ("integration.request.header.Transfer-Encoding", "'chunked'", (0, 1, true)),
        ("integration.request.header.Connection", "'X-Secret'", (0, 1, false)),
    ] {
        assert_eq!(said(|i| i.request_parameters = triples(&[(key, value)])), expected, "{key} {value}");
    }
    let hosts = [("integration.request.header.Host", "'a'"), ("integration.request.header.host", "'b'")];
    assert_eq!(said(|i| i.request_parameters = triples(&hosts)), (1, 0, false));
    let vtl = || triples(&[("application/json", "#set($x = 1) $x")]);
    assert_eq!(said(|i| i.request_templates = vtl()), (0, 0, false), "http_proxy has no templates");
    let http = |i: &mut model::Integration| {
        i.kind = IntegrationType::Http;
        i.request_templates = vtl();
    };
    assert_eq!(said(http), (0, 1, false));
    let with_response = |response: model::IntegrationResponse| {
        said(|i| {
            i.kind = IntegrationType::Http;
            i.responses = vec![response];
        })
    };
    assert_eq!(with_response(response(Some("(?=x)"), 200, &[])), (1, 0, false));
    assert_eq!(with_response(response(Some("2)|(3"), 200, &[])), (1, 0, false));
    assert_eq!(with_response(response(None, 200, &[("method.response.body", "'x'")])), (1, 0, false));
    let mut templated = response(None, 200, &[]);
    templated.response_templates = triples(&[("application/json", "$input.json('$')")]);
    assert_eq!(with_response(templated.clone()), (0, 0, false));
    templated.response_templates = triples(&[("application/json", "$input.path('$.x')")]);
    assert_eq!(with_response(templated), (0, 1, false));
}
