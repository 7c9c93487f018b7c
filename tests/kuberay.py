"""The fields of a RayService of KubeRay above its pods, whose schema is Kubernetes' own.

No package has KubeRay's schema, a file of a megabyte (`ray.io_rayservices.yaml`). This says the same as its v1 of the
fields that are numbers, texts or flags, with what is required: compared with the file of KubeRay's commit 02a80a6.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
POD: Schema = {"type": "object"}


def fields(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    """An object that has these fields and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


GROUP: dict[str, Schema] = {"labels": TEXTS, "rayStartParams": TEXTS, "resources": TEXTS, "template": POD}

HEAD = fields(
    ("template",),
    **GROUP,
    enableIngress=FLAG,
    serviceType={"enum": ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]},
)

WORKERS = fields(
    ("groupName", "maxReplicas", "minReplicas", "template"),
    **GROUP,
    groupName=TEXT,
    idleTimeoutSeconds=COUNT,
    maxReplicas=COUNT,
    minReplicas=COUNT,
    numOfHosts=COUNT,
    priority=COUNT,
    replicas=COUNT,
    suspend=FLAG,
)

CLUSTER = fields(
    ("headGroupSpec",),
    authOptions=fields(enableK8sTokenAuth=FLAG, mode={"enum": ["disabled", "token"]}, secretName=TEXT),
    enableInTreeAutoscaling=FLAG,
    headGroupSpec=HEAD,
    headServiceAnnotations=TEXTS,
    idleSuspend=FLAG,
    managedBy={"enum": ["ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue"]},
    rayVersion=TEXT,
    suspend=FLAG,
    workerGroupSpecs={"type": "array", "items": WORKERS},
)

NAME: Schema = {"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$", "maxLength": 47}  # the operator's rule

RAY_SERVICE = fields(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayService"},
    metadata={"type": "object", "properties": {"name": NAME}, "required": ["name"]},
    spec=fields(
        ("rayClusterConfig",),
        deploymentUnhealthySecondThreshold=COUNT,
        excludeHeadPodFromServeSvc=FLAG,
        managedBy={"enum": ["ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue"]},
        rayClusterConfig=CLUSTER,
        rayClusterDeletionDelaySeconds=COUNT | {"minimum": 0},
        serveConfigV2=TEXT,
        serviceUnhealthySecondThreshold=COUNT,
        suspend=FLAG,
    ),
)
