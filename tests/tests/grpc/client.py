"""Speaks gRPC with a scheduler and knows of it only what reflection says. Argument: HOST:PORT. Prints what it found as JSON."""

import json
import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

CONTROL = "logstash_mesos.control.v1.Control"
channel = grpc.insecure_channel(sys.argv[1])
database = ProtoReflectionDescriptorDatabase(channel)
control = DescriptorPool(database).FindServiceByName(CONTROL)


def call(rpc, **fields):
    """Calls a method; an error is its code and its sentence."""
    method = control.methods_by_name[rpc]
    answer = GetMessageClass(method.output_type)
    stub = channel.unary_unary(
        f"/{CONTROL}/{rpc}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answer.FromString,
    )
    request = ParseDict(fields, GetMessageClass(method.input_type)())
    try:
        found = stub(request, timeout=30)
    except grpc.RpcError as error:
        return {"code": error.code().name, "error": error.details()}
    return MessageToDict(found, preserving_proto_field_name=True)


health = health_pb2_grpc.HealthStub(channel)


def check(service):
    try:
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=30)
    except grpc.RpcError as error:
        return error.code().name
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def put(text):
    return call("PutConfig", configuration={"name": "app", "kind": "CONFIG_KIND_DOCKER", "input": text})["version"]


def watched(service):
    """What the first message of a watch says."""
    answers = health.Watch(health_pb2.HealthCheckRequest(service=service), timeout=30)
    first = next(answers)
    answers.cancel()
    return health_pb2.HealthCheckResponse.ServingStatus.Name(first.status)


first = put("filter { }")
second = put('filter { mutate { add_tag => "b" } }')
app = {"name": "app", "kind": "CONFIG_KIND_DOCKER"}
agents = call("GetStatus").get("agents", [])
agent = agents[0]["agent_id"] if agents else ""
streams = call("ListStreams", query="path:access", sort="-events")
stream = streams["streams"][0]["stream"]["id"] if streams.get("streams") else ""
lines = call("GetLastLines", agent_id=agent, stream_id=stream, limit=2)
grok = 'filter { grok { match => { "message" => "%{IPORHOST:[source][ip]} " } } }'
print(json.dumps({
    "services": sorted(database.get_services()),
    "health": {service: check(service) for service in ["", CONTROL, "nothing"]},
    "watch": {service: watched(service) for service in [CONTROL, "nothing"]},
    "first": first,
    "second": second,
    "versions": call("ListVersions", **app),
    "one": call("ListVersions", version=first, **app),
    "none": call("ListVersions", name="other", kind="CONFIG_KIND_DOCKER"),
    "rolled_back": call("RollBack", version=first, expect_version=second, **app),
    "too_late": call("RollBack", version=second, expect_version=second, **app),
    "unknown": call("RollBack", version="0", **app),
    "late": call("PutConfig", configuration={**app, "input": ""}, expect_version="0"),
    "not_new": call("PutConfig", configuration={**app, "input": ""}, only_create=True),
    "kept": call("DeleteConfig", expect_version=second, **app),
    "deleted": call("DeleteConfig", expect_version=first, **app),
    "checked": call("Check", configuration={**app, "input": "filter { grokk { } }"}),
    "streams": streams,
    "unsorted": call("ListStreams", sort="colour"),
    "lines": lines,
    "no_lines": call("GetLastLines", agent_id=agent, stream_id="none"),
    "tried": call("TryOut", input=grok, lines=lines.get("lines", [])),
    "broken": call("TryOut", input="filter {"),
    "explained": call("Explain", query=agent),
    "letters": call("ListDeadLetters", agent_id=agent),
    "letters_of_all": call("ListDeadLetters"),
    "replayed": call("TakeDeadLetters", agent_id=agent, action="DEAD_LETTER_ACTION_REPLAY", all=True),
    "careless": call("TakeDeadLetters", agent_id=agent, action="DEAD_LETTER_ACTION_DISCARD"),
}))
