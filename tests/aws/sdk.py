"""GetSdk: the clients that it generates are unpacked, and run by node (sdk.js) and Java (SdkCheck.java): against the
gateway, and for their signatures against a server that computes them with botocore."""

import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from common import PUBLIC, call, client, fails

aws = client()
HERE = pathlib.Path(__file__).parent
KEYS = dict(accessKey="AKIDEXAMPLE", secretKey="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", sessionToken="to/ken==")
node = shutil.which("node")
assert node and shutil.which("javac"), "node or Java is not installed: sh scripts/install-test-tools.sh"


def verdict(headers, method, path, body):
    """Whether the signature is the one that botocore computes: true, false; null without one."""
    said = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=(.+?)/(\d{8})/([^/]+)/execute-api/aws4_request, SignedHeaders=(\S+), Signature=(\S+)",
        headers.get("Authorization", ""),
    )
    if not said:
        return None
    key, day, region, names, signature = said.groups()
    names = names.split(";")
    assert "host" in names and "x-amz-date" in names, names
    assert [name for name in headers if name.lower().startswith("x-amz-") and name.lower() not in names] == []
    signed = {name: headers[name] for name in names if name != "host"}
    request = AWSRequest(method=method, url=f"http://{headers['Host']}{path}", headers=signed, data=body)
    request.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials(key, KEYS["secretKey"]), "execute-api", region)
    canonical = signer.canonical_request(request)
    return headers["X-Amz-Date"].startswith(day) and signer.signature(
        signer.string_to_sign(request, canonical), request
    ) == signature


class Elsewhere(BaseHTTPRequestHandler):
    """Where /moved leads to: answers 200, and keeps the headers of what it was asked."""

    seen = []

    def answer(self):
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


class Backend(BaseHTTPRequestHandler):
    """Tells what it was asked; /fail answers 418, /moved leads to another host."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = {
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": body.decode(),
            "signed": verdict(self.headers, self.command, self.path, body),
        }
        said = json.dumps(told).encode()
        if self.path.startswith("/moved"):
            self.send_response(307)
            self.send_header("Location", f"http://localhost:{elsewhere.server_port}/stolen")
        else:
            self.send_response(418 if self.path.startswith("/fail") else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.send_header("X-Pet", "cat")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        pass


elsewhere = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
backend = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
for server in (elsewhere, backend):
    threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{backend.server_port}"


def forwarded(path, *names, method="GET", **more):
    """An operation that the backend answers; names: parameters as place.name, `!` behind what is required."""
    parameters = []
    for name in names:
        place, name = name.split(".", 1)
        required = place == "path" or name.endswith("!")
        parameter = {"name": name.rstrip("!"), "in": place, "schema": {"type": "string"}}
        parameters.append(parameter | ({"required": True} if required else {}))
    integration = {"type": "http_proxy", "uri": address + path, "httpMethod": method}
    paths = re.findall(r"\{(\w+)\+?\}", path)
    integration["requestParameters"] = {f"integration.request.path.{n}": f"method.request.path.{n}" for n in paths}
    return dict(parameters=parameters, **{"x-amazon-apigateway-integration": integration}, **more)


def deployed(title, paths):
    document = {"openapi": "3.0.1", "info": {"title": title, "version": "1"}, "paths": paths}
    document["components"] = {"securitySchemes": {"key": {"type": "apiKey", "name": "x-api-key", "in": "header"}}}
    api = aws.import_rest_api(body=json.dumps(document), parameters={"endpointConfigurationTypes": "REGIONAL"})["id"]
    aws.create_deployment(restApiId=api, stageName="prod")
    return api


def unpacked(api, folder, kind="javascript", **parameters):
    """The SDK's folder; it is the same whenever it is asked for."""
    at = dict(restApiId=api, stageName="prod", sdkType=kind, parameters=parameters)
    answer = aws.get_sdk(**at)
    assert answer["contentType"] == "application/octet-stream", answer
    name = r'attachment; filename="(javascript|java)_\d{4}-\d\d-\d\d_\d\d-\d\dZ\.zip"'
    assert re.fullmatch(name, answer["contentDisposition"]), answer
    packed = answer["body"].read()
    assert packed == aws.get_sdk(**at)["body"].read()
    archive = zipfile.ZipFile(io.BytesIO(packed))
    assert archive.testzip() is None
    (top,) = {name.split("/")[0] for name in archive.namelist()}
    archive.extractall(folder)
    return pathlib.Path(folder) / top


def run(part, folder, **told):
    done = subprocess.run(
        [node, HERE / "sdk.js", part, folder, json.dumps(told)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"{part}\n{done.stdout}{done.stderr}"


def compiled(api, folder, program):
    """The Java client with that program: what runs it."""
    sdk = unpacked(api, folder, "java", serviceName="Pets", javaPackageName="com.example.pets")
    sources = [*sdk.rglob("*.java"), HERE / f"{program}.java"]
    classes = pathlib.Path(folder) / "classes"
    javac = ["javac", "--release", "11", "-Xlint:all", "-Werror", "-encoding", "UTF-8", "-d", classes, *sources]
    done = subprocess.run(javac, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr

    def run(*told):
        java = ["java", "-cp", classes, program, *told]
        done = subprocess.run(java, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


anything = {"x-amazon-apigateway-any-method": forwarded("/files/{proxy}", "path.proxy", method="ANY")}
keyed = forwarded("/keyed") | {"security": [{"key": []}]}
api = deployed(
    "pets",
    {
        "/": {"get": forwarded("/root")},
        "/pets/{petId}": {
            "get": forwarded("/pets/{petId}", "path.petId", "query.kind!", "query.limit", "header.X-Trace"),
            "delete": forwarded("/pets/{petId}", "path.petId", method="DELETE"),
        },
        "/pets": {"post": forwarded("/pets", method="POST", operationId="CreatePet")},
        "/files/{proxy+}": anything,
        "/keyed": {"get": keyed},
        "/fail": {"get": forwarded("/fail")},
        "/moved": {"get": forwarded("/moved", "header.X-Trace")},
    },
)
with tempfile.TemporaryDirectory() as folder:
    plan = aws.create_usage_plan(name="sdk", apiStages=[{"apiId": api, "stage": "prod"}])["id"]
    key = aws.create_api_key(name="sdk", enabled=True)
    aws.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
    sdk = unpacked(api, folder)
    base = f"{PUBLIC}/restapis/{api}/prod/_user_request_"
    assert f'invokeUrl: "{base}"' in (sdk / "apigClient.js").read_text(), "where the gateway answers"
    assert f"| petsPetIdGet | GET /pets/{{petId}} | petId\\*, kind\\*, limit, X-Trace |" in (sdk / "README.md").read_text()
    run("calls", sdk, key=key["value"])
    run("page", sdk)
    run("signs", sdk, backend=address, **KEYS)
    run("redirects", sdk, backend=address, **KEYS)
    # Nobody but who asked with nothing in its headers; fetch has its own, too.
    (seen,) = Elsewhere.seen
    assert not {"x-api-key", "authorization", "x-trace"} & set(seen), seen
    Elsewhere.seen.clear()

    java = compiled(api, folder, "SdkCheck")
    java("calls", key["value"])
    java("signs", address, *KEYS.values())
    java("redirects", address, *KEYS.values())
    assert Elsewhere.seen == []
    pom = (pathlib.Path(folder) / "generated-code/pom.xml").read_text()
    assert "<groupId>com.example.pets</groupId>\n  <artifactId>Pets</artifactId>" in pom, pom

    # aws cli writes the same file.
    other = pathlib.Path(folder) / "cli.zip"
    cli = [pathlib.Path(sys.executable).parent / "aws", "apigateway", "get-sdk", "--rest-api-id", api, "--stage-name"]
    cli += ["prod", "--sdk-type", "javascript", "--endpoint-url", os.environ["GATEWAY_CONTROL"], "--region", "us-east-1"]
    subprocess.run([*cli, other], check=True, capture_output=True, timeout=60)
    again = aws.get_sdk(restApiId=api, stageName="prod", sdkType="javascript")["body"].read()
    assert other.read_bytes() == again

# A domain name that means the stage goes first, but for one that is half a name.
arn = "arn:aws:acm:us-east-1:000000000000:certificate/a"
for name in ("*.example.com", "sdk.example.com"):
    aws.create_domain_name(
        domainName=name, regionalCertificateArn=arn, endpointConfiguration={"types": ["REGIONAL"]}
    )
    aws.create_base_path_mapping(domainName=name, basePath="v1", restApiId=api, stage="prod")
with tempfile.TemporaryDirectory() as folder:
    script = (unpacked(api, folder) / "apigClient.js").read_text()
    port = PUBLIC.rsplit(":", 1)[1]
    assert f'invokeUrl: "http://sdk.example.com:{port}/v1"' in script, script
    assert call("/v1/files/a", host="sdk.example.com")[0] == 200

# Whatever a document calls its operations and parameters: it stays text.
evil = "\"]]; globalThis.evil = 1; //\u2028*/ </script> ${globalThis.evil = 1}` \\"
hostile = deployed(
    evil,
    {
        "/pets": {
            "get": forwarded("/pets", f"query.{evil}", "query.__proto__", "header.constructor", operationId=evil),
            "put": forwarded("/pets", operationId="then"),
            "post": forwarded("/pets", operationId="__proto__"),
        }
    },
)
with tempfile.TemporaryDirectory() as folder:
    run("hostile", unpacked(hostile, folder), evil=evil)
    compiled(hostile, folder, "SdkHostile")()

# What is not there, or not generated.
at = dict(restApiId=api, stageName="prod")
fails(aws.get_sdk, "NotFoundException", None, 404, restApiId="none", stageName="prod", sdkType="javascript")
fails(aws.get_sdk, "NotFoundException", "Invalid Stage identifier specified", 404, restApiId=api, stageName="x", sdkType="javascript")
fails(aws.get_sdk, "BadRequestException", None, 400, **at, sdkType="perl")
fails(aws.get_sdk, "BadRequestException", None, 400, **at, sdkType="swift", parameters={"classPrefix": "A"})
fails(aws.get_sdk, "BadRequestException", None, 400, **at, sdkType="javascript", parameters={"classPrefix": "A"})
java = dict(**at, sdkType="java")
words = dict(serviceName="Pets", javaPackageName="a.b")
for odd in (
    dict(javaPackageName=""),
    dict(serviceName="Pe ts"),
    dict(serviceName="class"),
    dict(serviceName="String"),
    dict(serviceName="model"),
    dict(javaPackageName="a..b"),
    dict(javaPackageName="java.util"),
    dict(javaPackageName="../a"),
    dict(groupId="</groupId>"),
    dict(javaBuildSystem="gradle"),
    dict(classPrefix="A"),
):
    fails(aws.get_sdk, "BadRequestException", None, 400, **java, parameters=words | odd)
kinds = {kind["id"]: kind for kind in aws.get_sdk_types()["items"]}
assert list(kinds) == ["java", "javascript"], kinds
needed = [told["name"] for told in kinds["java"]["configurationProperties"] if told["required"]]
assert needed == ["serviceName", "javaPackageName"], kinds
told = aws.get_sdk_type(id="javascript")
assert (told["friendlyName"], told["configurationProperties"]) == ("JavaScript", []), told
