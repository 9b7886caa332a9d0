"""write: makes APIs as fast as it can, says each that was acknowledged, ends when the gateway does.
check FILE: all that were said are there, whole, and more can be made."""

import sys
import threading

from botocore.exceptions import ClientError, HTTPClientError

from common import client


SAYING = threading.Lock()


def write():
    aws = client()
    while True:
        try:
            api = aws.create_rest_api(name="storm", description="x" * 1000)
            aws.create_resource(restApiId=api["id"], parentId=api["rootResourceId"], pathPart="x")
        except (HTTPClientError, ClientError):
            return
        # `print` writes the end of its line apart from it: another thread's id came between.
        with SAYING:
            print(api["id"], flush=True)


if sys.argv[1] == "write":
    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
else:
    aws = client()
    # A line that was cut was not said.
    said = [line.strip() for line in open(sys.argv[2]) if line.endswith("\n")]
    assert said, "nothing was acknowledged: this proves nothing"
    for api in said:
        paths = sorted(item["path"] for item in aws.get_resources(restApiId=api)["items"])
        assert paths == ["/", "/x"], (api, paths)
        assert aws.get_rest_api(restApiId=api)["description"] == "x" * 1000
        assert len(aws.get_models(restApiId=api)["items"]) == 2
    for page in aws.get_paginator("get_rest_apis").paginate():
        for item in page["items"]:
            aws.get_resource(restApiId=item["id"], resourceId=item["rootResourceId"])
    aws.create_rest_api(name="after")
