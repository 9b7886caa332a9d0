"""contentHandling and binaryMediaTypes: set by boto3, deployed, and acted by."""

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from common import call, client, fails

aws = client()
RAW = b"\x01PNG\x02"
TEXT = base64.b64encode(RAW).decode()
seen = []


def backend():
    """Remembers what it is sent, and answers with a picture."""

    class Picture(BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(RAW)))
            self.end_headers()
            self.wfile.write(RAW)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Picture)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def sent(body, content_type="image/png", accept="text/html"):
    """(status, answer, what the backend got)"""
    seen.clear()
    headers = {"Content-Type": content_type, "Accept": accept}
    status, answer = call("/prod/x", "POST", headers=headers, body=body)
    return status, answer, seen[-1] if seen else None


made = aws.create_rest_api(
    name="pictures", binaryMediaTypes=["image/*"], endpointConfiguration={"types": ["REGIONAL"]}
)
api, root = made["id"], made["rootResourceId"]
x = aws.create_resource(restApiId=api, parentId=root, pathPart="x")["id"]
at = dict(restApiId=api, resourceId=x, httpMethod="POST")
aws.put_method(**at, authorizationType="NONE")
aws.put_method_response(**at, statusCode="200")
integration = dict(type="HTTP", integrationHttpMethod="POST", uri=backend() + "/x")
fails(aws.put_integration, "ValidationException", **at, **integration, contentHandling="CONVERT_TO_BIN")
assert aws.put_integration(**at, **integration, contentHandling="CONVERT_TO_TEXT")["contentHandling"] == "CONVERT_TO_TEXT"
aws.put_integration_response(**at, statusCode="200")
aws.create_deployment(restApiId=api, stageName="prod")

# To text on the way there; on the way back as Accept says.
assert sent(RAW) == (200, TEXT, TEXT.encode()), sent(RAW)
assert sent(RAW, accept="image/png, text/html") == (200, RAW.decode(), TEXT.encode())
assert sent(b"text", content_type="text/plain") == (200, TEXT, b"text")

# To binary; a change waits for its deployment.
aws.update_integration(
    **at, patchOperations=[dict(op="replace", path="/contentHandling", value="CONVERT_TO_BINARY")]
)
aws.update_integration_response(
    **at,
    statusCode="200",
    patchOperations=[dict(op="replace", path="/contentHandling", value="CONVERT_TO_TEXT")],
)
assert sent(RAW) == (200, TEXT, TEXT.encode())
aws.create_deployment(restApiId=api, stageName="prod")
assert sent(TEXT.encode(), content_type="text/plain", accept="image/png") == (200, TEXT, RAW)
assert sent(RAW, accept="image/png") == (200, TEXT, RAW)
status, answer, got = sent(b"no base64", content_type="text/plain")
assert (status, answer, got) == (500, '{"message": "Internal server error"}', None), (status, answer, got)

# A test tells each step.
tried = aws.test_invoke_method(**at, body=TEXT, headers={"Content-Type": "text/plain"})
assert (tried["status"], tried["body"]) == (200, TEXT), tried
raw = RAW.decode()
for line in [
    f"Method request body before transformations: {TEXT}",
    f"Endpoint request body after transformations: {raw}",
    f"Endpoint response body before transformations: {raw}",
    f"Method response body after transformations: {TEXT}",
]:
    assert line in tried["log"], (line, tried["log"])
tried = aws.test_invoke_method(**at, body="no base64", headers={"Content-Type": "text/plain"})
assert tried["status"] == 500 and "configuration error: the body to be decoded is not base64" in tried["log"], tried

# Without binaryMediaTypes and contentHandling, bytes are bytes.
aws.update_rest_api(restApiId=api, patchOperations=[dict(op="remove", path="/binaryMediaTypes/image~1*")])
aws.put_integration(**at, **integration)
aws.put_integration_response(**at, statusCode="200")
aws.create_deployment(restApiId=api, stageName="prod")
assert sent(b"\xff\x00", accept="image/png") == (200, raw, b"\xff\x00")
aws.delete_rest_api(restApiId=api)
