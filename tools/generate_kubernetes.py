"""Write the schemas of the Kubernetes kinds that a node serves: `src/forebay/scaling/cluster/definitions.json`.

    pip download --no-deps -d DIR kubernetes-validate
    npm pack @kubernetes-models/keda @kubernetes-models/karpenter     # in DIR
    .venv/bin/python -m tools.generate_kubernetes DIR

The built-in kinds come from Kubernetes' own OpenAPI (with its list and merge keys), which the package
`kubernetes-validate` carries; those of KEDA and Karpenter from the type declarations that were made of their custom
resource definitions. What no package has (KWOKNodeClass, metrics) stands below. Not part of `scripts/generate`,
because its sources are no dependencies of the project; run it when a newer Kubernetes, KEDA or Karpenter is taken up.
"""

import json
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "src/forebay/scaling/cluster/definitions.json"
KUBERNETES_VERSION = "v1.34.0"

BUILT_IN = (
    "api.core.v1.Namespace",
    "api.core.v1.Secret",
    "api.core.v1.ConfigMap",
    "api.core.v1.Pod",
    "api.core.v1.Node",
    "api.core.v1.Event",
    "api.core.v1.ServiceAccount",
    "api.events.v1.Event",
    "api.apps.v1.Deployment",
    "api.apps.v1.ReplicaSet",
    "api.batch.v1.Job",
    "api.autoscaling.v2.HorizontalPodAutoscaler",
    "api.autoscaling.v1.Scale",
    "api.autoscaling.v1.HorizontalPodAutoscaler",
    "api.policy.v1.PodDisruptionBudget",
    "api.policy.v1.Eviction",
    "api.scheduling.v1.PriorityClass",
    "api.coordination.v1.Lease",
    "apimachinery.pkg.apis.meta.v1.DeleteOptions",
    "apimachinery.pkg.apis.meta.v1.ListMeta",
    "apimachinery.pkg.apis.meta.v1.Status",
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
)
CUSTOM_ROOTS = {
    "keda": (
        "keda.sh/v1alpha1/ScaledObject",
        "keda.sh/v1alpha1/ScaledJob",
        "keda.sh/v1alpha1/TriggerAuthentication",
        "keda.sh/v1alpha1/ClusterTriggerAuthentication",
    ),
    "karpenter": (
        "karpenter.sh/v1/NodePool",
        "karpenter.sh/v1/NodeClaim",
        "karpenter.k8s.aws/v1/EC2NodeClass",
    ),
}
_NAMES = {"keda.sh/v1alpha1": "sh.keda.v1alpha1", "karpenter.sh/v1": "sh.karpenter.v1"}
_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_DOC = re.compile(r"^\s*\* ?(.*?)\s*$")
_FIELD = re.compile(r'^    "([^"]+)"(\?)?: (.*)$')


def main() -> None:
    """Write the file."""
    folder = Path(sys.argv[1])
    definitions = built_in(next(folder.glob("kubernetes_validate-*.whl")))
    for name, roots in CUSTOM_ROOTS.items():
        packed = max(folder.glob(f"kubernetes-models-{name}-*.tgz"), key=lambda path: path.stat().st_mtime)
        definitions |= custom(packed, roots)
    definitions |= own()
    lines = ",\n".join(
        f"{json.dumps(name)}:{json.dumps(definition, separators=(',', ':'), sort_keys=True)}"
        for name, definition in sorted(definitions.items())
    )
    TARGET.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def built_in(wheel: Path) -> dict[str, Any]:
    """Return Kubernetes' own definitions that the kinds above need."""
    name = f"kubernetes_validate/kubernetes-json-schema/{KUBERNETES_VERSION}-local/_definitions.json"
    everything = json.loads(zipfile.ZipFile(wheel).read(name))["$defs"]
    wanted = [f"io.k8s.{name}" for name in BUILT_IN]
    found: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        if name in found or name.endswith("JSONSchemaProps"):
            continue
        found[name] = cleaned(everything[name])
        wanted += references(found[name])
    found["io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"] = {"type": "object"}
    found["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {
        "description": "Quantity is a fixed-point representation of a number.",
        "x-forebay": "quantity",
    }
    found["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = {"format": "int-or-string"}
    return found


def cleaned(schema: Any) -> Any:
    """Return a schema without what the package added to Kubernetes' own (null as a type of every member)."""
    if isinstance(schema, list):
        return [cleaned(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: cleaned(value) for key, value in schema.items()}
    if isinstance(result.get("type"), list):
        result["type"] = result["type"][0]
    if isinstance(result.get("$ref"), str):
        result["$ref"] = "#/components/schemas/" + result["$ref"].rsplit("/", 1)[1]
    if isinstance(result.get("enum"), list):
        result["enum"] = [value for value in result["enum"] if value is not None]
    return result


def references(schema: Any) -> Iterator[str]:
    """Yield the names of the definitions that a schema refers to."""
    if isinstance(schema, list):
        for item in schema:
            yield from references(item)
    elif isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rsplit("/", 1)[1]
        for value in schema.values():
            yield from references(value)


def custom(packed: Path, roots: tuple[str, ...]) -> dict[str, Any]:
    """Return the definitions of a package's type declarations that `roots` need."""
    with tarfile.open(packed) as archive:
        sources = {
            member.name.removeprefix("package/").removesuffix(".d.ts"): archive.extractfile(member).read().decode()
            for member in archive
            if member.name.endswith(".d.ts")
        }
    found: dict[str, Any] = {}
    wanted = list(roots)
    while wanted:
        path = wanted.pop()
        name = custom_name(path)
        if name not in found:
            declaration = Declaration(path, sources[path])
            found[name] = declaration.schema()
            wanted += declaration.needs
    return found


def custom_name(path: str) -> str:
    """Return the name of a definition: the group turned around, as Kubernetes names those of custom resources."""
    group, version, kind = path.rsplit("/", 2)
    return ".".join([*reversed(group.replace("github.com/", "").replace("/", ".").split(".")), version, kind])


class Declaration:
    """One file of type declarations: an interface, or a name for a type."""

    def __init__(self, path: str, text: str) -> None:
        self.needs: list[str] = []
        self._folder = path.rsplit("/", 1)[0]
        self._imports = dict(re.findall(r'import \{ (?:.*, )?(I\w+)(?:, .*)? \} from "([^"]+)"', text))
        self._lines = text.splitlines()
        self._kind = path.rsplit("/", 1)[1]

    def schema(self) -> dict[str, Any]:
        """Return it as a schema."""
        for number, line in enumerate(self._lines):
            if line.startswith(f"export interface I{self._kind} "):
                return self._interface(number)
            if line.startswith(f"export type I{self._kind} = "):
                return self._type(self._statement(number).partition(" = ")[2].rstrip(";"))
        raise ValueError(self._kind)

    def _statement(self, number: int) -> str:
        text = ""
        for line in self._lines[number:]:
            text += line.strip()
            if text.endswith(";") and text.count("{") == text.count("}"):
                return text
        raise ValueError(self._kind)

    def _interface(self, start: int) -> dict[str, Any]:  # noqa: C901 - a reader of lines
        description, above = [], start - 1
        if self._lines[above].strip() == "*/":
            while not self._lines[above].strip().startswith("/**"):
                above -= 1
            description = self._doc(above, start)
        properties: dict[str, Any] = {}
        required: list[str] = []
        doc_at = None
        for number in range(start + 1, len(self._lines)):
            line = self._lines[number]
            if line == "}":
                break
            if line.strip() == "/**":
                doc_at = number
            field = _FIELD.match(line)
            if field:
                text = self._statement(number).split(": ", 1)[1].rstrip(";")
                member = dict(self._type(text))
                if doc_at is not None and (words := self._doc(doc_at, number)):
                    member["description"] = " ".join(words)
                properties[field[1]] = member
                if not field[2]:
                    required.append(field[1])
                doc_at = None
        result: dict[str, Any] = {"type": "object", "properties": properties}
        if description:
            result["description"] = " ".join(description)
        required = [name for name in required if name not in {"apiVersion", "kind"}]
        return result | ({"required": required} if required else {})

    def _doc(self, start: int, end: int) -> list[str]:
        words = [match[1] for line in self._lines[start + 1 : end] if (match := _DOC.match(line)) and match[1] != "/"]
        return [word for word in words if word and not word.startswith("@")]

    def _type(self, text: str) -> dict[str, Any]:
        text = text.strip()
        plain = {"string": "string", "number": "integer", "boolean": "boolean"}.get(text)
        if plain:
            return {"type": plain} | ({"format": "int64"} if plain == "integer" else {})
        if text.startswith("Array<"):
            return {"type": "array", "items": self._type(text[6:-1])}
        if text.startswith("{"):
            inner = re.match(r"\{\s*\[key: string\]: (.*?);?\s*\}$", text)
            assert inner, text
            return {"type": "object", "additionalProperties": self._type(inner[1])}
        if '"' in text:
            return {"type": "string", "enum": re.findall(r'"([^"]+)"', text)}
        if text in {"unknown", "any"}:
            return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        return self._reference(text)

    def _reference(self, name: str) -> dict[str, Any]:
        source = self._imports[name]
        if source.startswith("."):
            path = (Path(self._folder) / source.removesuffix(".js")).as_posix()
            while "/../" in path:
                path = re.sub(r"[^/]+/\.\./", "", path, count=1)
            self.needs.append(path)
            return {"$ref": f"#/components/schemas/{custom_name(path)}"}
        built = re.match(r"I(IoK8s)(Apimachinery|Api|ApiextensionsApiserver)(\w+)", name)
        assert built, name
        tail = source.split("kubernetes-models/", 1)[1].removeprefix("apimachinery/")
        prefix = "io.k8s.apimachinery.pkg." if "@kubernetes-models/apimachinery" in source else "io.k8s.api."
        if prefix == "io.k8s.api." and tail.startswith("v1/"):
            tail = "core/" + tail
        return {"$ref": "#/components/schemas/" + prefix + tail.replace("/", ".")}


def own() -> Mapping[str, Any]:
    """Return what no package has: kwok's node class (one field) and the metrics API's kinds."""
    meta = {"$ref": f"#/components/schemas/{_META}"}
    text, usage = (
        {"type": "string"},
        {
            "type": "object",
            "additionalProperties": {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity"},
        },
    )
    conditions = {
        "type": "array",
        "items": {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.Condition"},
    }

    def kind(**members: Any) -> dict[str, Any]:
        return {"type": "object", "properties": {"apiVersion": text, "kind": text, "metadata": meta, **members}}

    return {
        "io.k8s.apimachinery.pkg.apis.meta.v1.Condition": {
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "type": text,
                "status": text,
                "reason": text,
                "message": text,
                "observedGeneration": {"type": "integer", "format": "int64"},
                "lastTransitionTime": {"type": "string", "format": "date-time"},
            },
        },
        "sh.kwok.karpenter.v1alpha1.KWOKNodeClass": kind(
            spec={
                "type": "object",
                "properties": {
                    "nodeRegistrationDelay": {
                        "type": "string",
                        "description": "How long a node takes to register after its launch.",
                    }
                },
            },
            status={"type": "object", "properties": {"conditions": conditions}},
        ),
        "io.k8s.metrics.pkg.apis.metrics.v1beta1.NodeMetrics": kind(timestamp=text, window=text, usage=usage),
        "io.k8s.metrics.pkg.apis.metrics.v1beta1.PodMetrics": kind(
            timestamp=text,
            window=text,
            containers={"type": "array", "items": {"type": "object", "properties": {"name": text, "usage": usage}}},
        ),
    }


if __name__ == "__main__":
    main()
