"""GetExport: every sample of examples/ is imported, deployed, exported and imported again; the second export says what
the first one says, and both APIs answer alike."""

import json
import pathlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from common import call, client, fails

aws = client()
EXAMPLES = pathlib.Path(__file__).parent.parent.parent / "examples"
VERBS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kept = [f"{name}: {self.headers[name]}" for name in ("X-Pet-Source", "X-Stage") if name in self.headers]
        said = "\n".join([f"{self.command} {self.path}", *kept, body.decode()]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.send_header("ETag", '"e"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        pass


backend = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
threading.Thread(target=backend.serve_forever, daemon=True).start()
address = f"127.0.0.1:{backend.server_port}"


def imported(text):
    """A new API, deployed as AWS would let it: methods without an integration are taken out."""
    api = aws.import_rest_api(body=text, parameters={"endpointConfigurationTypes": "REGIONAL"})["id"]
    methods = []
    for page in aws.get_paginator("get_resources").paginate(restApiId=api, embed=["methods"]):
        for resource in page["items"]:
            for verb, method in resource.get("resourceMethods", {}).items():
                if "methodIntegration" in method:
                    methods.append((verb, resource["path"]))
                else:
                    aws.delete_method(restApiId=api, resourceId=resource["id"], httpMethod=verb)
    aws.create_deployment(restApiId=api, stageName="prod", variables={"backend": address, "base": "b"})
    return api, sorted(methods)


def exported(api, form, kind):
    answer = aws.get_export(
        restApiId=api, stageName="prod", exportType=form, accepts=kind, parameters={"extensions": "apigateway"}
    )
    end = kind.rsplit("/", 1)[1]
    assert re.fullmatch(rf'attachment; filename="{form}_.+\.{end}"', answer["contentDisposition"]), answer
    assert answer["contentType"] == "application/octet-stream", answer
    return answer["body"].read().decode()


def plain(text, api):
    """Without what two APIs differ in: their ids, and the dates of their deployments."""
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "DATE", text.replace(api, "ID"))


def answers(api, methods):
    found = {}
    for verb, path in methods:
        for one in VERBS if verb == "ANY" else [verb]:
            target = re.sub(r"\{[^}]*\}", "v", path) + "?limit=3&detail=1&type=cat&q=x"
            body = b'{"a": 1}' if one in ("POST", "PUT", "PATCH") else None
            status, said = call(f"/restapis/{api}/prod/_user_request_{target}", method=one, body=body)
            found[f"{one} {path}"] = (status, re.sub(api, "ID", said))
    return found


samples = sorted(path for path in EXAMPLES.rglob("*") if path.suffix in (".yaml", ".json"))
assert len(samples) >= 5, samples
served = 0
for sample in samples:
    text = sample.read_text().replace("127.0.0.1:9000", address)
    # Both would be called by nobody: an API that outsiders reach tells more.
    text = text.replace("disableExecuteApiEndpoint: true", "disableExecuteApiEndpoint: false")
    text = text.replace("arn:aws:execute-api:eu-central-1:123456789012:f6g7h8i9j0/*", "*")
    text = text.replace("arn:aws:execute-api:us-east-1:000000000000:0rd3rsd3m0/*", "*")
    text = text.replace("vpcEndpointIds: [vpce-0a1b2c3d4e5f60718]", "ipAddressType: dualstack")
    text = re.sub(r'\n *vpcEndpointIds:\n *- "[^"]*"', "", text).replace("types: [private]", "types: [regional]")
    api, methods = imported(text)
    first = answers(api, methods)
    served += sum(status == 200 for status, _ in first.values())
    # The other two combinations are the unit tests'.
    for form, kind in (("swagger", "application/yaml"), ("oas30", "application/json")):
        document = exported(api, form, kind)
        again, same_methods = imported(document)
        assert same_methods == methods, (sample, form, kind)
        found = exported(again, form, kind)
        assert plain(found, again) == plain(document, api), f"{sample} {form} {kind}\n{document}\n---\n{found}"
        assert answers(again, same_methods) == first, (sample, form, kind, first, answers(again, same_methods))
        aws.delete_rest_api(restApiId=again)
    aws.delete_rest_api(restApiId=api)
assert served > 20, served

# What is wrong is told.
api, _ = imported((EXAMPLES / "petstore.yaml").read_text())
document = json.loads(exported(api, "oas30", "application/json"))
assert document["servers"][0]["url"] == f"https://{api}.execute-api.us-east-1.amazonaws.com/{{basePath}}"
assert document["servers"][0]["variables"] == {"basePath": {"default": "prod"}}
at = dict(restApiId=api, stageName="prod")
fails(aws.get_export, "BadRequestException", status=400, **at, exportType="raml")
fails(aws.get_export, "BadRequestException", status=400, **at, exportType="oas30", accepts="text/html")
fails(aws.get_export, "NotFoundException", status=404, restApiId=api, stageName="gone", exportType="oas30")
plain_document = aws.get_export(**at, exportType="oas30")["body"].read().decode()
assert "x-amazon-apigateway" not in plain_document, plain_document
aws.delete_rest_api(restApiId=api)
