"""Write the schemas that manifests are checked against, from what the API server itself publishes.

The OpenAPI documents and the Prometheus operator's definitions come out of the Go modules that
tools/kubernetes-openapi-* and tools/monitoring-definitions pin: collections on the web lag behind
and are one more party to trust. Only the kinds that we use are kept, and unknown fields are
refused. With --check nothing is written: exit code 1 says that what is committed is something else,
2 that a document is missing.
"""

import json
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import yaml

from scripts import ROOT, console
from scripts.bootstrap import catalog
from scripts.programs import ProgramError
from scripts.render import finish

VERSIONS: Final = tomllib.loads((ROOT / "tools" / "kubeconform" / "kinds.toml").read_text())
"""The kinds that we use, each with its version."""
FOLDER: Final = "infra/schemas"
GROUP_KIND: Final = "x-kubernetes-group-version-kind"
META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
SHARED: Final = "_definitions.json"

Schema = dict[str, Any]

TOOLS: Final = catalog.load(ROOT)
KUBERNETES: Final = tuple(
    f"v{tool.version}" for name, tool in TOOLS.items() if name.startswith("kubernetes-openapi-")
)
"""The versions that the manifests must be right for, the oldest first."""
OPERATOR_KINDS: Final = ("prometheusrules", "servicemonitors")
"""What the stacks have of it."""
OPERATOR_FOLDER: Final = f"prometheus-operator-v{TOOLS['monitoring-definitions'].version}"


@console.command("schemas", usage=(ProgramError,))
def main(arguments: Sequence[str] | None = None) -> int:
    parser = console.parser("scripts.schemas", __doc__)
    parser.add_argument("--check", action="store_true", help="compare only; change nothing")
    options = parser.parse_args(arguments)
    try:
        wanted = {f"{FOLDER}/{name}": text for name, text in generate().items()}
    except FileNotFoundError as error:
        raise ProgramError(f"{error.filename} is missing: run tools/bootstrap schemas") from error
    return finish("schemas", [FOLDER], wanted, check=options.check)


def generate() -> dict[str, str]:
    files: dict[str, str] = {}
    for version in KUBERNETES:
        path = ROOT / ".tools" / "openapi" / version / "swagger.json"
        for name, text in _kinds(json.loads(path.read_text(encoding="utf-8"))["definitions"]):
            files[f"{version}/{name}"] = text
    for kind in OPERATOR_KINDS:
        path = ROOT / ".tools" / "definitions" / f"monitoring.coreos.com_{kind}.yaml"
        definition = path.read_text(encoding="utf-8")
        for file, text in _custom_kinds(yaml.safe_load(definition)["spec"]):
            files[f"{OPERATOR_FOLDER}/{file}"] = text
    return files


def _kinds(definitions: Mapping[str, Schema]) -> Iterator[tuple[str, str]]:
    strict = {name: narrowed(schema) for name, schema in definitions.items()}
    strict[QUANTITY] = {"type": ["string", "number"]}
    used = {META}
    for name, schema in definitions.items():
        for found in schema.get(GROUP_KIND, ()):
            group, version, kind = found["group"], found["version"], found["kind"]
            if VERSIONS.get(kind) == "/".join(part for part in (group, version) if part):
                yield (
                    file_name(group, version, kind),
                    _text({"$ref": f"{SHARED}#/definitions/{name}"}),
                )
                used.add(name)
    reached = _reached(strict, used)
    yield SHARED, _text({"definitions": {name: strict[name] for name in sorted(reached)}})


def _reached(definitions: Mapping[str, Schema], start: set[str]) -> set[str]:
    reached: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += _references(definitions[name])
    return reached


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(target := schema.get("$ref"), str):
            yield target.rpartition("/")[2]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _custom_kinds(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    kind = spec["names"]["kind"]
    for version in spec["versions"]:
        if VERSIONS.get(kind) == f"{spec['group']}/{version['name']}":
            schema = narrowed(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            yield file_name(spec["group"], version["name"], kind), _text(schema)


def file_name(group: str, version: str, kind: str) -> str:
    """Return the name under which kubeconform looks for a kind."""
    parts = [kind.lower(), group.partition(".")[0], version]
    return "-".join(part for part in parts if part) + ".json"


def narrowed(schema: Any) -> Any:
    """Return a schema without words, in which an object has no fields but those that it names."""
    if isinstance(schema, list):
        return [narrowed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return {"type": ["string", "integer"]}
    kept: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            kept[key] = {name: narrowed(part) for name, part in value.items()}
        elif key == "$ref":
            kept[key] = f"#/definitions/{value.rpartition('/')[2]}"
        elif not (key.startswith("x-kubernetes-") or key in ("description", "format")):
            kept[key] = narrowed(value)
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if "properties" in kept and not is_open:
        kept["additionalProperties"] = False
    if kept.pop("nullable", False):
        kept["type"] = [kept["type"], "null"]
    return kept


def _text(schema: Schema) -> str:
    """Return JSON with one definition or property a line: small, and still a diff to read."""
    lines = []
    for key, value in schema.items():
        if isinstance(value, dict) and key in ("definitions", "properties"):
            inner = ",\n".join(f"  {json.dumps(k)}: {_line(value[k])}" for k in sorted(value))
            lines.append(f"{json.dumps(key)}: {{\n{inner}\n}}")
        else:
            lines.append(f"{json.dumps(key)}: {_line(value)}")
    return "{" + ",\n".join(lines) + "}\n"


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


if __name__ == "__main__":
    sys.exit(main())
