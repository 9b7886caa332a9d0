"""APIs of gateway.toml: told by the AWS API, marked, and not to be changed by it. Arguments: API id, file."""

import sys

from common import call, client, fails

api, file = sys.argv[1:3]
aws = client()
told = aws.get_rest_api(restApiId=api)
assert told["tags"] == {"gateway:api": "files", "gateway:file": file, "gateway:managed-by": "file"}, told
assert [item["id"] for item in aws.get_rest_apis()["items"]] == [api]
assert client(region="eu-west-1").get_rest_apis()["items"] == []
paths = [item["path"] for item in aws.get_resources(restApiId=api)["items"]]
assert "/x" in paths, paths
stage = aws.get_stage(restApiId=api, stageName="prod")
assert aws.get_deployment(restApiId=api, deploymentId=stage["deploymentId"])
exported = aws.get_export(restApiId=api, stageName="prod", exportType="swagger", parameters={"extensions": "apigateway"})
text = exported["body"].read().decode()
assert "x-amazon-apigateway-integration" in text and "gateway:" not in text, text

message = f"API {api} is managed by the file {file}: change that file, then run `gateway apply`"
rename = [dict(op="replace", path="/name", value="x")]
fails(aws.update_rest_api, "BadRequestException", message, 400, restApiId=api, patchOperations=rename)
fails(aws.delete_rest_api, "BadRequestException", message, 400, restApiId=api)
fails(aws.create_deployment, "BadRequestException", message, 400, restApiId=api, stageName="beta")
fails(aws.delete_stage, "BadRequestException", message, 400, restApiId=api, stageName="prod")
arn = f"arn:aws:apigateway:us-east-1::/restapis/{api}"
fails(aws.tag_resource, "BadRequestException", message, 400, resourceArn=arn, tags={"a": "b"})
assert call(f"/restapis/{api}/prod/_user_request_/x")[0] == 200

# Its export becomes an API of its own, which the file does not manage.
copy = aws.import_rest_api(body=text)
assert copy.get("tags") is None, copy
aws.create_deployment(restApiId=copy["id"], stageName="prod")
assert call(f"/restapis/{copy['id']}/prod/_user_request_/x")[0] == 200
aws.delete_rest_api(restApiId=copy["id"])

# A domain name may mean it.
certificate = "arn:aws:acm:us-east-1:000000000000:certificate/1"
aws.create_domain_name(domainName="files.example.com", certificateArn=certificate)
aws.create_base_path_mapping(domainName="files.example.com", restApiId=api, basePath="a", stage="prod")
assert call("/a/x", host="files.example.com")[0] == 200
