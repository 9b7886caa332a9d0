"""make: an API with two stages · check: it is there and served · change: it can still be changed."""

import sys

from common import call, client, mock_api

aws = client()
if sys.argv[1] == "make":
    api, _ = mock_api(aws, "kept", '"kept"')
    deployment = aws.create_deployment(restApiId=api, stageName="prod")["id"]
    aws.create_stage(restApiId=api, stageName="beta", deploymentId=deployment)
    certificate = "arn:aws:acm:us-east-1:000000000000:certificate/1"
    aws.create_domain_name(domainName="kept.example.com", certificateArn=certificate)
    aws.create_base_path_mapping(domainName="kept.example.com", restApiId=api, basePath="a", stage="prod")
api = next(item["id"] for item in aws.get_rest_apis()["items"] if item["name"] == "kept")
if sys.argv[1] == "change":
    aws.delete_stage(restApiId=api, stageName="beta")
    aws.create_deployment(restApiId=api, stageName="gamma")
stages = {stage["stageName"] for stage in aws.get_stages(restApiId=api)["item"]}
assert stages == ({"prod", "gamma"} if sys.argv[1] == "change" else {"prod", "beta"}), stages
for stage in ("prod", "beta", "gamma"):
    expected = (200, '"kept"') if stage in stages else (403, '{"message":"Forbidden"}')
    found = call(f"/restapis/{api}/{stage}/_user_request_/x")
    assert found == expected, (stage, found)
assert call("/a/x", host="kept.example.com") == (200, '"kept"')
