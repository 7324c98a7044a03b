"""Declares the objects in the file SHOP_OBJECTS, with the provider's settings from beside them."""

import json
import os
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s


class Raw(pulumi.CustomResource):
    """Any kind, with its properties as they are."""

    def __init__(self, name: str, obj: dict[str, Any], opts: pulumi.ResourceOptions) -> None:
        version = obj["apiVersion"] if "/" in obj["apiVersion"] else f"core/{obj['apiVersion']}"
        super().__init__(f"kubernetes:{version}:{obj['kind']}", name, obj, opts)


wanted = json.loads(Path(os.environ["SHOP_OBJECTS"]).read_text(encoding="utf-8"))
provider = k8s.Provider("cluster", **wanted["provider"])
for name, entry in wanted["objects"].items():
    options = pulumi.ResourceOptions(
        provider=provider,
        import_=entry.get("import"),
        custom_timeouts=pulumi.CustomTimeouts(**entry["timeouts"]) if "timeouts" in entry else None,
    )
    obj = entry["object"]
    for key in entry.get("secret", []):
        obj[key] = pulumi.Output.secret(obj[key])
    Raw(name, obj, options)
