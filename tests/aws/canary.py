"""A stage's canary: its share of the requests, its variables, its cache, and its promotion, in force at once."""

from collections import Counter

from common import call, client, fails, mock_api

aws = client()


def respond(body):
    aws.put_integration_response(**at, statusCode="200", responseTemplates={"application/json": body})


def answers(count=400):
    """What so many requests are answered with."""
    return Counter(call("/prod/x")[1] for _ in range(count))


def update(*operations):
    return aws.update_stage(restApiId=api, stageName="prod", patchOperations=list(operations))


SAID = "$stageVariables.color $context.isCanaryRequest $context.deploymentId"
api, resource = mock_api(aws, "canary", f"one {SAID}")
at = dict(restApiId=api, resourceId=resource, httpMethod="GET")
first = aws.create_deployment(restApiId=api, stageName="prod", variables={"color": "blue"})["id"]
# Without a canary there is no word of one.
assert call("/prod/x") == (200, f"one blue  {first}"), call("/prod/x")

# Half of the requests go to the second deployment, with its own variables.
respond(f"two {SAID}")
canary = dict(percentTraffic=50.0, stageVariableOverrides={"color": "green"}, useStageCache=False)
second = aws.create_deployment(restApiId=api, stageName="prod", canarySettings=canary)["id"]
stage = aws.get_stage(restApiId=api, stageName="prod")
assert stage["deploymentId"] == first and stage["canarySettings"]["deploymentId"] == second, stage
old, new = f"one blue false {first}", f"two green true {second}"
seen = answers()
# Fewer than 140 of 400 at a half: once in a thousand million runs.
assert set(seen) == {old, new} and min(seen.values()) > 140, seen
fails(
    aws.delete_deployment,
    "BadRequestException",
    "Active stages pointing to this deployment must be moved or deleted",
    restApiId=api,
    deploymentId=second,
)

# All, none and a variable: each in force with its answer.
percent = "/canarySettings/percentTraffic"
update(dict(op="replace", path=percent, value="100.0"))
assert set(answers(40)) == {new}
update(dict(op="replace", path="/canarySettings/stageVariableOverrides/color", value="red"))
assert call("/prod/x")[1] == f"two red true {second}"
update(dict(op="replace", path=percent, value="0.0"))
assert set(answers(40)) == {old}
fails(
    aws.update_stage,
    "BadRequestException",
    restApiId=api,
    stageName="prod",
    patchOperations=[dict(op="replace", path=percent, value="100.5")],
)

# While there is a canary, what is deployed goes to it; also what it says of requests that it refuses.
respond(f"three {SAID}")
aws.put_gateway_response(
    restApiId=api,
    responseType="MISSING_AUTHENTICATION_TOKEN",
    statusCode="404",
    responseTemplates={"application/json": '"no such pet"'},
)
third = aws.create_deployment(restApiId=api, stageName="prod")["id"]
stage = aws.get_stage(restApiId=api, stageName="prod")
assert stage["deploymentId"] == first and stage["canarySettings"]["deploymentId"] == third, stage
update(dict(op="replace", path=percent, value="100.0"))
assert set(answers(20)) == {f"three red true {third}"}
assert call("/prod/none") == (404, '"no such pet"'), call("/prod/none")

# Two caches: the canary's answers are not the stage's.
caching = [
    dict(op="replace", path="/cacheClusterEnabled", value="true"),
    dict(op="replace", path="/cacheClusterSize", value="0.5"),
    dict(op="replace", path="/*/*/caching/enabled", value="true"),
]
update(*caching, dict(op="replace", path="/canarySettings/useStageCache", value="true"))
assert set(answers(10)) == {f"three red true {third}"}
update(dict(op="replace", path=percent, value="0.0"))
assert set(answers(10)) == {old}
assert call("/prod/none")[0] == 403, "the stage's own deployment says nothing else"
update(dict(op="replace", path="/cacheClusterEnabled", value="false"))

# Promotion, as AWS documents it: variables and deployment are the stage's, the canary stays and gets nothing.
done = update(
    dict(op="replace", path=percent, value="0.0"),
    {"op": "copy", "from": "/canarySettings/stageVariableOverrides", "path": "/variables"},
    {"op": "copy", "from": "/canarySettings/deploymentId", "path": "/deploymentId"},
)
assert done["deploymentId"] == third and done["variables"] == {"color": "red"}, done
assert done["canarySettings"]["percentTraffic"] == 0.0, done
assert set(answers(20)) == {f"three red false {third}"}
update(dict(op="remove", path="/canarySettings"))
assert call("/prod/x")[1] == f"three red  {third}"
fails(
    aws.update_stage,
    "BadRequestException",
    "Promotion not available. Canary does not exist.",
    restApiId=api,
    stageName="prod",
    patchOperations=[{"op": "copy", "from": "/canarySettings/deploymentId", "path": "/deploymentId"}],
)
aws.delete_rest_api(restApiId=api)
assert call("/prod/x")[0] == 403
