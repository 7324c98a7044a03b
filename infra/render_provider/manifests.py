"""Manifest files: their names and their bytes, the same as the official provider's.

The official provider writes YAML with Go's yaml.v2: keys in natural order, texts of several lines
as literal blocks, texts that look like another type in double quotes, lines folded at 80.
"""

import functools
import re
from pathlib import PurePath
from typing import Any, Final

import yaml

from infra.render_provider.normal import is_definition
from infra.render_provider.objects import Object, name, namespace

CRD_FOLDER: Final = "0-crd"
MANIFEST_FOLDER: Final = "1-manifest"
FOLDERS: Final = (CRD_FOLDER, MANIFEST_FOLDER)
WIDTH: Final = 80
LONGEST_KEY_BYTES: Final = 128
"""A longer key is written on a line of its own, after a question mark."""

_PRINTABLE: Final = r"\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd"
"""What Go's encoder writes as it is: nothing beyond the Basic Multilingual Plane."""
_UNPRINTABLE: Final = re.compile(f"[^\n{_PRINTABLE}]")
_ESCAPED: Final = re.compile(f'[^{_PRINTABLE}]|["\\\\\u2028\u2029]')

_LOOKS_TYPED: Final = re.compile(
    r"""(?x) ^(?:
      | ~ | null | Null | NULL
      | [yY] | [nN] | yes | Yes | YES | no | No | NO | on | On | ON | off | Off | OFF
      | true | True | TRUE | false | False | FALSE
      | [-+]?\.(?:inf|Inf|INF) | \.(?:nan|NaN|NAN)
      | [-+]? [0-9][0-9_]*                                # decimal and octal integers
      | [-+]? 0[bB][01_]+ | [-+]? 0[oO]?[0-7_]+ | [-+]? 0[xX][0-9a-fA-F_]+
      | [-+]? (?:\.[0-9_]+|[0-9][0-9_]*(?:\.[0-9_]*)?) (?:[eE][-+]?[0-9_]+)?
      | [-+]? [0-9][0-9_]* (?::[0-5]?[0-9])+ (?:\.[0-9_]*)?  # base 60
      | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}                    # a date or a time
        (?: [Tt\ ] [0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2} (?:\.[0-9]+)? (?:Z|[-+][0-9:]+)? )?
    )$"""
)
"""Plain scalars that a YAML 1.1 reader takes for something else than a text."""


def path_of(obj: Object) -> PurePath:
    version = re.sub("[/:]", "_", str(obj["apiVersion"]))
    kind = str(obj["kind"]).lower()
    file = f"{version}-{kind}-{namespace(obj) or 'default'}-{name(obj)}.yaml"
    return PurePath(CRD_FOLDER if is_definition(obj) else MANIFEST_FOLDER, file)


def dump(obj: Object) -> str:
    """Return the object as YAML, in plain values only."""
    return yaml.dump(_plain(obj), Dumper=_Dumper, width=WIDTH, allow_unicode=True, sort_keys=False)


def _resolvers(without: str) -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """Return YAML 1.1's rules of which plain scalars are no texts, without some of the tags."""
    return {
        first: [(tag, regexp) for tag, regexp in rules if tag.rpartition(":")[2] not in without]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _Dumper(yaml.SafeDumper):
    """Chooses the styles of Go's encoder, and breaks lines where it does."""

    yaml_implicit_resolvers = _resolvers(without="merge value")

    def ignore_aliases(self, _data: Any) -> bool:
        return True

    def check_simple_key(self) -> bool:
        if not isinstance(self.event, yaml.ScalarEvent):
            return bool(super().check_simple_key())
        text = self.event.value
        return len(text.encode()) <= LONGEST_KEY_BYTES and not re.search("[\n\r]", text)

    def analyze_scalar(self, scalar: str) -> Any:
        analysis = super().analyze_scalar(scalar)
        if _UNPRINTABLE.search(scalar):
            analysis.allow_block = analysis.allow_single_quoted = False
            analysis.allow_block_plain = analysis.allow_flow_plain = False
        return analysis

    def choose_scalar_style(self) -> Any:
        style = super().choose_scalar_style()
        # Where a literal block can't hold the text, Go falls back to double quotes, not single.
        wanted_block = isinstance(self.event, yaml.ScalarEvent) and self.event.style == "|"
        return '"' if style == "'" and wanted_block else style

    def write_literal(self, text: str) -> None:
        super().write_literal(text)
        self.open_ended = False  # Go ends a document in a block without dots

    def write_double_quoted(self, text: str, split: bool = True) -> None:  # noqa: FBT001, FBT002  as overridden
        self.write_indicator('"', need_whitespace=True)
        after_space = False
        for index, char in enumerate(text):
            inside = split and 0 < index < len(text) - 1
            if char == " " and inside and not after_space and self.column > WIDTH:
                self.write_indent()
                self._put("\\" if text[index + 1] == " " else "")
            else:
                self._put(_ESCAPED.sub(_escape, char))
            after_space = char == " "
        self.write_indicator('"', need_whitespace=False)

    def _put(self, text: str) -> None:
        self.stream.write(text)
        self.column += len(text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if short := yaml.SafeDumper.ESCAPE_REPLACEMENTS.get(match[0]):
        return f"\\{short}"
    for mark, digits in (("x", 2), ("u", 4)):
        if code < 16**digits:
            return f"\\{mark}{code:0{digits}X}"
    return f"\\U{code:08X}"


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _LOOKS_TYPED.match(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, "|" if "\n" in text else style)


_Dumper.add_representer(str, _represent_text)


def _plain(value: Any) -> Any:
    """Return `value` with its keys in order and whole numbers as integers."""
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value, key=_NATURAL)}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _natural(left: str, right: str) -> int:
    """Order keys as Go's yaml.v2 does: numbers by value, other signs before letters."""
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one == other:
            continue
        if one.isalpha() != other.isalpha():
            return 1 if one.isalpha() else -1
        if not one.isalpha():
            by_number = _compare(_number_at(left, index), _number_at(right, index))
            if by_number:
                return by_number
        return ord(one) - ord(other)
    return len(left) - len(right)


def _number_at(text: str, index: int) -> tuple[int, int]:
    """Return the number that starts at `index`, as part of the number before it, and its length."""
    digits = re.match(r"\d*", text[index:])
    run = digits.group() if digits else ""
    lead = "1" if re.search(r"[1-9]0*$", text[:index]) else ""
    return int(lead + run or "0"), len(run)


def _compare(left: tuple[int, int], right: tuple[int, int]) -> int:
    return (left > right) - (left < right)


_NATURAL: Final = functools.cmp_to_key(_natural)
