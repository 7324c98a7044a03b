"""Reads the settings of a stack. The only reader of `pulumi.Config`.

The keys are those of Pulumi.<stack>.yaml under the project's name: `coinslot:api` holds an `Api`
of infra/sections.py. Wrong input raises StackConfigError, which names all problems at once, each
with its file, key and what is allowed. The ConfigMap holds every setting of the service that is no
secret, defaults included, so that a review of the manifest sees them all.
"""

import json
import os
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

import msgspec
import pulumi
from pulumi.runtime import config as pulumi_config

from infra import coherence, labels, service_settings
from infra.config_reader import UNREAD, read_or, read_struct
from infra.sections import StackConfig, StackSections
from infra.stacks import IMAGE_VARIABLE, RENDER_DIR_VARIABLE, STACKS

RENDER_DIR: Final = "rendered"
"""Relative, so that a clone in another folder is no change. The engine runs plugins in the
program's folder, which is infra/."""

SECRET_VALUES: Final = "secretValues"  # noqa: S105  a key's name


class StackConfigError(pulumi.RunError):
    """A stack's file is wrong; the message is all that its author needs. The engine prints it."""


def from_pulumi() -> StackConfig:
    """Return the settings of the stack that the engine runs; raise StackConfigError."""
    prefix = f"{labels.PROJECT}:"
    given: Mapping[str, str] = pulumi_config.get_config_env()
    raw = {key[len(prefix) :]: value for key, value in given.items() if key.startswith(prefix)}
    secret = {key[len(prefix) :] for key in pulumi_config.get_config_secret_keys_env()}
    config = load(pulumi.get_stack(), raw, secret, os.environ)
    _tell_missing_secrets(config, previewing=pulumi.runtime.is_dry_run())
    return config


def _tell_missing_secrets(config: StackConfig, *, previewing: bool) -> None:
    """Name the secrets that are not set; refuse to bring pods to a cluster without them."""
    text = missing_secrets(config)
    if text and config.target == "cluster" and not previewing:
        raise StackConfigError(text)
    if text:
        pulumi.log.warn(text)


def missing_secrets(config: StackConfig) -> str:
    """Return which secrets the stack's file lacks, each with the command that sets it."""
    names = config.missing_secrets
    if not names:
        return ""
    count = "1 secret" if len(names) == 1 else f"{len(names)} secrets"
    commands = [
        f"pulumi config set --secret --path 'coinslot:secretValues.{name}' -s {config.stack}"
        for name in names
    ]
    return (
        f"Pulumi.{config.stack}.yaml lacks {count} that its pods can't start without; set each by:"
        "\n  " + "\n  ".join(commands)
    )


def load(
    stack: str,
    raw: Mapping[str, str],
    secret_keys: Collection[str] = (),
    environ: Mapping[str, str] | None = None,
) -> StackConfig:
    """Return the settings of `stack` from the texts that the engine hands over.

    A value that is a mapping comes as JSON. `secret_keys` are the keys that are encrypted in the
    file. Raises StackConfigError.
    """
    if stack not in STACKS:
        raise StackConfigError(f"there is no stack {stack!r}; stacks: {', '.join(STACKS)}")
    problems: list[str] = []
    if image := (environ or {}).get(IMAGE_VARIABLE):
        raw = {**raw, "image": _image(image)}
    config = _resolved(stack, raw, problems)
    problems += coherence.problems(config, secret_keys)
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise StackConfigError(f"Pulumi.{stack}.yaml has {count}:\n  " + "\n  ".join(problems))
    if config.target != "render":
        return config
    parent = (environ or {}).get(RENDER_DIR_VARIABLE) or RENDER_DIR
    return msgspec.structs.replace(config, render_directory=str(PurePosixPath(parent) / stack))


def _image(reference: str) -> str:
    """Return the setting that a reference stands for, as JSON."""
    name, _, digest = reference.partition("@")
    repository, _, tag = name.rpartition(":")
    return json.dumps({"repository": repository, "tag": tag, "digest": digest})


def _resolved(stack: Any, raw: Mapping[str, str], problems: list[str]) -> StackConfig:
    """Return the settings, UNREAD where they are missing or wrong, which `problems` get to hold."""
    given = {key: _parsed(text) for key, text in raw.items()}
    secrets = {SECRET_VALUES: given.pop(SECRET_VALUES)} if SECRET_VALUES in given else {}
    values = read_struct(StackSections, given, f"{labels.PROJECT}:".__add__, problems)
    if secrets:
        values["secret_values"] = _read_secrets(secrets[SECRET_VALUES], problems)
    draft = StackConfig(**values, stack=stack, environment=UNREAD, service=UNREAD)
    environment, service = service_settings.resolved(
        stack,
        read_or("", lambda: str(draft.image.tag)),
        draft.settings,
        read_or(("IPv4",), lambda: tuple(draft.network.ip_families)),
        problems,
    )
    return msgspec.structs.replace(draft, environment=environment, service=service)


def _read_secrets(given: Any, problems: list[str]) -> Any:
    """Return secret values by name; what is wrong with them is said without them."""
    where = f"{labels.PROJECT}:{SECRET_VALUES}"
    if not isinstance(given, Mapping):
        problems.append(f"{where} is no mapping; expected names of secrets, each with a text")
        return UNREAD
    wrong = [name for name, value in given.items() if not isinstance(value, str)]
    problems += [f"{where}.{name} is no text; give it in quotes" for name in wrong]
    return {name: UNREAD if name in wrong else value for name, value in given.items()}


def _parsed(text: str) -> Any:
    """Return a mapping from its JSON; any other value is a text."""
    if not text.startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text  # whoever expects a mapping says so
