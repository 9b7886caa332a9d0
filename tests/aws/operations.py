"""The gateway's table of operations (on standard input) beside the service model that botocore ships."""

import json
import sys

import botocore.session

model = botocore.session.get_session().get_service_model("apigateway")
expected = set()
for name in model.operation_names:
    http = model.operation_model(name).http
    path, _, query = http["requestUri"].partition("?")
    expected.add((name, http["method"], path, query, http.get("responseCode", 200)))
found = {tuple(row) for row in json.load(sys.stdin)}
assert found == expected, f"only here: {sorted(found - expected)}\nonly in botocore: {sorted(expected - found)}"
assert len(found) >= 124, len(found)
