"""Reads what a collector was sent, as OpenTelemetry's definition of it says, and writes it down.

Ids are in hexadecimal in the JSON of OTLP, where Protocol Buffers in JSON have base64: a collector puts
them into that form first. Unknown names, and numbers that are none, are faults.
"""

import base64
import json
import sys

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

IDS = {"traceId": 16, "spanId": 8, "parentSpanId": 8}


def with_base64(value):
    if isinstance(value, list):
        return [with_base64(element) for element in value]
    if not isinstance(value, dict):
        return value
    changed = {}
    for key, inner in value.items():
        if key in IDS:
            octets = bytes.fromhex(inner)
            assert len(octets) == IDS[key], (key, inner)
            assert inner == inner.lower(), (key, inner)
            changed[key] = base64.b64encode(octets).decode()
        else:
            changed[key] = with_base64(inner)
    return changed


for line in sys.stdin:
    sent = json.loads(line)
    request = ParseDict(with_base64(sent), ExportTraceServiceRequest())
    for of_resource in request.resource_spans:
        names = [
            attribute.value.string_value
            for attribute in of_resource.resource.attributes
            if attribute.key == "service.name"
        ]
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
                status = [
                    attribute.value.int_value
                    for attribute in span.attributes
                    if attribute.key == "http.response.status_code"
                ]
                print(
                    *names,
                    of_scope.scope.name,
                    span.kind,
                    span.trace_id.hex(),
                    span.parent_span_id.hex() or "-",
                    *status,
                    span.status.code,
                    span.name,
                )
