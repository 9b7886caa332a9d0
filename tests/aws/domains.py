"""Custom domain names: a host, its base paths, and what the data plane serves by them, without a deployment."""

from common import call, client, fails, mock_api

aws = client()
one, _ = mock_api(aws, "one", '"one"')
two, _ = mock_api(aws, "two", '"two"')
for api in (one, two):
    aws.create_deployment(restApiId=api, stageName="prod")
host = "api.example.com"
assert call("/x", host=host)[0] == 403, "nobody's host yet"

certificate = "arn:aws:acm:us-east-1:000000000000:certificate/1"
domain = aws.create_domain_name(
    domainName=host,
    regionalCertificateArn=certificate,
    endpointConfiguration={"types": ["REGIONAL"]},
    securityPolicy="TLS_1_2",
    tags={"a": "b"},
)
assert domain["domainNameStatus"] == "AVAILABLE" and domain["tags"] == {"a": "b"}, domain
assert domain["regionalDomainName"].endswith(".execute-api.us-east-1.amazonaws.com")
fails(
    client(region="eu-west-1").create_domain_name,
    "BadRequestException",
    "The domain name you provided already exists.",
    400,
    domainName=host,
    regionalCertificateArn=certificate.replace("us-east-1", "eu-west-1"),
    endpointConfiguration={"types": ["REGIONAL"]},
)

# The empty base path, one with a stage, one whose stage is in the path; the longest one wins.
aws.create_base_path_mapping(domainName=host, restApiId=one, stage="prod")
assert call("/x", host=host) == (200, '"one"')
aws.create_base_path_mapping(domainName=host, restApiId=two, basePath="v2", stage="prod")
assert call("/v2/x", host=host) == (200, '"two"')
assert call("/v2x/x", host=host)[0] == 403
aws.create_base_path_mapping(domainName=host, restApiId=one, basePath="v2/deep")
assert call("/v2/deep/prod/x", host=host) == (200, '"one"')
assert call("/v2/deep/none/x", host=host)[0] == 403
assert [item["basePath"] for item in aws.get_base_path_mappings(domainName=host)["items"]] == ["(none)", "v2", "v2/deep"]
fails(
    aws.create_base_path_mapping,
    "ConflictException",
    "Base path already exists for this domain name",
    409,
    domainName=host,
    restApiId=one,
    basePath="v2",
)

# Changed, and in force at once.
moved = [dict(op="replace", path="/restapiId", value=one), dict(op="replace", path="/basePath", value="v3")]
aws.update_base_path_mapping(domainName=host, basePath="v2", patchOperations=moved)
assert call("/v3/x", host=host) == (200, '"one"') and call("/v2/x", host=host)[0] == 403
gone = [dict(op="replace", path="/disableExecuteApiEndpoint", value="true")]
aws.update_rest_api(restApiId=one, patchOperations=gone)
assert call("/x", host=host) == (200, '"one"'), "its domain name still means it"
assert call("/prod/x", host=f"{one}.execute-api.us-east-1.amazonaws.com")[0] == 403
assert call(f"/restapis/{one}/prod/_user_request_/x")[0] == 403
assert call("/prod/x") == (200, '"two"'), "the only one that its id still means"
fails(aws.delete_rest_api, "BadRequestException", None, 400, restApiId=one)
fails(aws.delete_stage, "BadRequestException", None, 400, restApiId=one, stageName="prod")

# Whoever cannot be asked for a certificate is not served.
mutual = [dict(op="replace", path="/mutualTlsAuthentication/truststoreUri", value="s3://b/k")]
aws.update_domain_name(domainName=host, patchOperations=mutual)
assert call("/x", host=host)[0] == 403
mutual[0]["value"] = ""
aws.update_domain_name(domainName=host, patchOperations=mutual)
assert call("/x", host=host) == (200, '"one"')

# One label may be anything.
aws.create_domain_name(domainName="*.example.com", certificateArn=certificate)
aws.create_base_path_mapping(domainName="*.example.com", restApiId=two, stage="prod")
assert call("/x", host="any.example.com") == (200, '"two"')
assert call("/x", host=host) == (200, '"one"')
assert call("/x", host="a.b.example.com")[0] == 403

aws.delete_domain_name(domainName=host)
assert call("/x", host=host) == (200, '"two"'), "now it is one label before .example.com"
aws.delete_rest_api(restApiId=one)
fails(aws.get_domain_name, "NotFoundException", "Invalid domain name identifier specified", 404, domainName=host)
