"""A private domain name: reached through the VPC endpoint that it is associated with, by whom its policy lets pass."""

import http.client
import json
import sys

from common import client

VPC, INSIDE, ENDPOINT = sys.argv[1:]
HOST = "in.example.com"
aws = client()


def ask(path):
    """One request from inside the VPC, through its listener: (status, body)."""
    connection = http.client.HTTPConnection(VPC, timeout=10, source_address=(INSIDE, 0))
    connection.request("GET", path, headers={"Host": HOST})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


allow = {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"}
api = aws.create_rest_api(name="inner", endpointConfiguration={"types": ["PRIVATE"]})
at = dict(restApiId=api["id"], resourceId=api["rootResourceId"], httpMethod="GET")
aws.put_method(**at, authorizationType="NONE")
aws.put_method_response(**at, statusCode="200")
aws.put_integration(**at, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
aws.put_integration_response(**at, statusCode="200", responseTemplates={"application/json": '"inner"'})
aws.create_deployment(restApiId=api["id"], stageName="prod")
domain = aws.create_domain_name(
    domainName=HOST,
    certificateArn="arn:aws:acm:us-east-1:000000000000:certificate/1",
    endpointConfiguration={"types": ["PRIVATE"]},
)
named = dict(domainName=HOST, domainNameId=domain["domainNameId"])
aws.create_base_path_mapping(**named, restApiId=api["id"], basePath="in", stage="prod")
assert ask("/in")[0] == 403, "no endpoint is associated with it"
association = aws.create_domain_name_access_association(
    domainNameArn=domain["domainNameArn"], accessAssociationSourceType="VPCE", accessAssociationSource=ENDPOINT
)
assert ask("/in")[0] == 403, "no policy lets anybody pass"


def become(text):
    aws.update_domain_name(**named, patchOperations=[dict(op="replace", path="/policy", value=text)])


become(policy(allow))
assert ask("/in") == (200, '"inner"'), ask("/in")
assert ask("/prod")[0] == 403
deny = {**allow, "Effect": "Deny", "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-other"}}}
become(policy(allow, deny))
assert ask("/in")[0] == 403, "an explicit Deny wins"
become(policy(allow))
assert ask("/in")[0] == 200
aws.delete_domain_name_access_association(
    domainNameAccessAssociationArn=association["domainNameAccessAssociationArn"]
)
assert ask("/in")[0] == 403
