"""API keys and usage plans: make, call, 403, 429, quota, usage. `make` leaves a plan whose counts `check` finds again."""

import datetime
import json
import sys

from common import PUBLIC, call, client, fails, mock_api, same

import urllib.error
import urllib.request

aws = client()
FORBIDDEN = (403, '{"message":"Forbidden"}')
THROTTLED = (429, '{"message":"Too Many Requests"}')
EXCEEDED = (429, '{"message":"Limit Exceeded"}')
TODAY = datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def keyed_api(name):
    """An API whose GET /x wants a key: its id, and the path to call."""
    api, resource = mock_api(aws, name, '"$context.identity.apiKeyId $context.identity.apiKey"')
    operations = [{"op": "replace", "path": "/apiKeyRequired", "value": "true"}]
    aws.update_method(restApiId=api, resourceId=resource, httpMethod="GET", patchOperations=operations)
    aws.create_deployment(restApiId=api, stageName="prod")
    return api, f"/restapis/{api}/prod/_user_request_/x"


def error_type(path, value):
    try:
        urllib.request.urlopen(urllib.request.Request(PUBLIC + path, headers={"x-api-key": value}), timeout=10)
    except urllib.error.HTTPError as error:
        return error.headers["x-amzn-ErrorType"]


def used(plan, key):
    usage = aws.get_usage(usagePlanId=plan, startDate=TODAY, endDate=TODAY)
    return usage["items"][key][0]


def change(run, **path_and_value):
    run([{"op": "replace", "path": "/" + path, "value": value} for path, value in path_and_value.items()])


if sys.argv[1] == "check":
    plan = next(plan for plan in aws.get_usage_plans()["items"] if plan["name"] == "kept")
    key = aws.get_usage_plan_keys(usagePlanId=plan["id"])["items"][0]
    path = f"/restapis/{plan['apiStages'][0]['apiId']}/prod/_user_request_/x"
    before = used(plan["id"], key["id"])
    assert before == [int(sys.argv[2]), 100 - int(sys.argv[2])], before
    for _ in range(5):
        assert call(path, headers={"x-api-key": key["value"]})[0] == 200
    assert used(plan["id"], key["id"]) == [before[0] + 5, before[1] - 5]
    sys.exit()

api, path = keyed_api("keyed")
key = aws.create_api_key(name="mobile", enabled=True)
value = key["value"]
with_key = dict(headers={"x-api-key": value})
assert call(path) == FORBIDDEN
assert call(path, **with_key) == FORBIDDEN, "no plan yet"
stages = [{"apiId": api, "stage": "prod"}]
plan = aws.create_usage_plan(name="gold", apiStages=stages)["id"]
assert call(path, **with_key) == FORBIDDEN, "not in the plan yet"
aws.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
assert call(path, **with_key) == (200, f'"{key["id"]} {value}"'), call(path, **with_key)
assert call(path, headers={"X-API-Key": value})[0] == 200
assert call(path, headers={"x-api-key": value[:-1]}) == FORBIDDEN
assert error_type(path, "x") == "ForbiddenException"


def patch_key(*operations):
    aws.update_api_key(apiKey=key["id"], patchOperations=list(operations))


def patch_plan(*operations):
    aws.update_usage_plan(usagePlanId=plan, patchOperations=list(operations))


def replace(path, value):
    return {"op": "replace", "path": path, "value": value}


# Off and on again, at once.
patch_key(replace("/enabled", "false"))
assert call(path, **with_key) == FORBIDDEN
patch_key(replace("/enabled", "true"))
assert call(path, **with_key)[0] == 200

# The plan's rate for each key, then a rate of one method.
patch_plan(replace("/throttle/rateLimit", "0.001"), replace("/throttle/burstLimit", "3"))
statuses = [call(path, **with_key)[0] for _ in range(5)]
assert statuses == [200, 200, 200, 429, 429], statuses
assert call(path, **with_key) == THROTTLED and error_type(path, value) == "TooManyRequestsException"
patch_plan({"op": "remove", "path": "/throttle"})
assert call(path, **with_key)[0] == 200
own = f"/apiStages/{api}:prod/throttle/~1x/GET/"
patch_plan(replace(own + "rateLimit", "0.001"), replace(own + "burstLimit", "1"))
assert [call(path, **with_key)[0] for _ in range(2)] == [200, 429]
patch_plan({"op": "remove", "path": own[:-1]})

# The stage's own.
stage = dict(restApiId=api, stageName="prod")
limit = [replace("/*/*/throttling/rateLimit", "0.001"), replace("/*/*/throttling/burstLimit", "2")]
aws.update_stage(**stage, patchOperations=limit)
assert [call(path, **with_key)[0] for _ in range(3)] == [200, 200, 429]
aws.put_gateway_response(
    restApiId=api,
    responseType="THROTTLED",
    statusCode="420",
    responseTemplates={"application/json": '{"calm": $context.error.messageString}'},
)
aws.create_deployment(restApiId=api, stageName="prod")
assert call(path, **with_key) == (420, '{"calm": "Too Many Requests"}'), call(path, **with_key)
aws.update_stage(**stage, patchOperations=[{"op": "remove", "path": "/*/*"}])

# A quota, what was used of it, and more of it.
quota = {"limit": 4, "offset": 0, "period": "DAY"}
small = aws.create_usage_plan(name="small", quota=quota)["id"]
second = aws.create_api_key(name="second", enabled=True, value="a value of twenty characters")
aws.create_usage_plan_key(usagePlanId=small, keyId=second["id"], keyType="API_KEY")
aws.update_usage_plan(
    usagePlanId=small, patchOperations=[{"op": "add", "path": "/apiStages", "value": f"{api}:prod"}]
)
other = dict(headers={"x-api-key": second["value"]})
assert [call(path, **other)[0] for _ in range(5)] == [200] * 4 + [429]
assert call(path, **other) == EXCEEDED and error_type(path, second["value"]) == "LimitExceededException"
usage = aws.get_usage(usagePlanId=small, startDate=TODAY, endDate=TODAY)
same(
    usage,
    {"usagePlanId": small, "startDate": TODAY, "endDate": TODAY, "items": {second["id"]: [[4, 0]]}},
)
more = dict(usagePlanId=small, keyId=second["id"])
told = aws.update_usage(**more, patchOperations=[replace("/remaining", "2")])
assert told["items"] == {second["id"]: [[4, 2]]}, told
assert [call(path, **other)[0] for _ in range(3)] == [200, 200, 429]
assert used(small, second["id"]) == [6, 0]
yesterday = (datetime.date.fromisoformat(TODAY) - datetime.timedelta(1)).isoformat()
usage = aws.get_usage(usagePlanId=small, startDate=yesterday, endDate=TODAY, keyId=second["id"])
assert usage["items"][second["id"]] == [[0, 4], [6, 0]], usage

# Imported, into two plans.
csv = f'Name,Key,Description,Enabled,UsagePlanIds\nimported,"an imported value of thirty characters","a, b",TRUE,"{plan},{small}"\n'
imported = aws.import_api_keys(body=csv.encode(), format="csv", failOnWarnings=True)["ids"][0]
found = aws.get_api_key(apiKey=imported)
assert (found["name"], found["description"], found["enabled"]) == ("imported", "a, b", True), found
assert {item["id"] for item in aws.get_usage_plans(keyId=imported)["items"]} == {plan, small}
assert call(path, headers={"x-api-key": "an imported value of thirty characters"})[0] == 200
aws.delete_api_key(apiKey=imported)

# Pages, and what is refused.
aws.create_usage_plan_key(usagePlanId=small, keyId=key["id"], keyType="API_KEY")
dates = dict(usagePlanId=small, startDate=TODAY, endDate=TODAY)
first = aws.get_usage(**dates, limit=1)
rest = aws.get_usage(**dates, position=first["position"])
assert sorted([*first["items"], *rest["items"]]) == sorted([key["id"], second["id"]]) and len(first["items"]) == 1
pages = list(aws.get_paginator("get_usage").paginate(**dates, PaginationConfig={"PageSize": 1}))
assert sum(len(page["items"]) for page in pages) == 2, pages
fails(aws.get_usage, "BadRequestException", **{**dates, "startDate": "2026-02-30"})
fails(aws.get_usage, "BadRequestException", **{**dates, "endDate": yesterday})
fails(aws.get_usage, "NotFoundException", "Invalid Usage Plan ID specified", **{**dates, "usagePlanId": "nosuch"})
fails(aws.get_usage, "NotFoundException", **dates, keyId="nosuch")
fails(aws.update_usage, "BadRequestException", **more, patchOperations=[replace("/remaining", "-1")])
fails(
    aws.update_usage,
    "BadRequestException",
    "Invalid patch path  '/used' specified for op 'replace'. Must be one of: [/remaining]",
    **more,
    patchOperations=[replace("/used", "1")],
)
bare = aws.create_usage_plan(name="bare")["id"]
aws.create_usage_plan_key(usagePlanId=bare, keyId=key["id"], keyType="API_KEY")
fails(
    aws.update_usage,
    "BadRequestException",
    usagePlanId=bare,
    keyId=key["id"],
    patchOperations=[replace("/remaining", "1")],
)

# Gone.
aws.delete_usage_plan_key(usagePlanId=plan, keyId=key["id"])
aws.delete_usage_plan_key(usagePlanId=small, keyId=key["id"])
assert call(path, **with_key) == FORBIDDEN
aws.delete_api_key(apiKey=second["id"])
assert call(path, **other) == FORBIDDEN

# For `check`, in another process.
api, path = keyed_api("kept")
stages = [{"apiId": api, "stage": "prod"}]
plan = aws.create_usage_plan(name="kept", apiStages=stages, quota={"limit": 100, "period": "MONTH"})["id"]
aws.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
for _ in range(7):
    assert call(path, **with_key)[0] == 200
assert used(plan, key["id"]) == [7, 93]
