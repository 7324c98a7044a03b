"""The command and its two scripts have the same options, and the scripts can be parsed."""

import re
import subprocess
from pathlib import Path

import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

from loadtest.__main__ import _parser
from loadtest.profile import PROFILES

ROOT = Path(__file__).parents[3]
BASH = ROOT / "scripts" / "load.sh"
POWERSHELL = ROOT / "scripts" / "load.ps1"
RENAMED = {"LoadProfile": "profile"}  # $Profile is PowerShell's own


def options() -> set[str]:
    actions = _parser()._actions
    names = {name for action in actions for name in action.option_strings}
    return {name.removeprefix("--") for name in names} - {"help", "-h"}


def tree(text: bytes) -> Node:
    return Parser(Language(tree_sitter_powershell.language())).parse(text).root_node


def nodes(node: Node, kind: str) -> list[Node]:
    found = [node] if node.type == kind else []
    return found + [one for child in node.children for one in nodes(child, kind)]


def parameters() -> list[str]:
    script = tree(POWERSHELL.read_bytes())
    (block,) = nodes(script, "param_block")
    texts = [nodes(one, "variable")[-1].text for one in nodes(block, "script_parameter")]
    return [text.decode().removeprefix("$") for text in texts if text is not None]


def dashed(name: str) -> str:
    return RENAMED.get(name) or re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def test_powershell_reads_without_an_error() -> None:
    assert not tree(POWERSHELL.read_bytes()).has_error
    assert tree(b"if ($Url { exit }").has_error  # the parser finds errors


def test_powershell_has_the_options_of_the_command() -> None:
    assert {dashed(name) for name in parameters()} == options()


def test_powershell_passes_each_option_on() -> None:
    text = POWERSHELL.read_text()
    for name in parameters():
        passed = rf"'--{dashed(name)}'(, \${name}\b|\n| \}})"
        assert re.search(passed, text), f"{name} is not passed on"


def test_powershell_describes_each_parameter() -> None:
    text = POWERSHELL.read_text()
    assert re.findall(r"^\.PARAMETER (\w+)$", text, re.MULTILINE) == parameters()
    described = text.split(".PARAMETER LoadProfile")[1].split(".PARAMETER")[0]
    assert set(PROFILES) <= set(re.findall(r"\w+", described))


def test_bash_names_the_options_of_the_command_and_passes_all_on() -> None:
    text = BASH.read_text()
    usage = text.split("set -euo pipefail")[0]
    assert set(re.findall(r"\[--([a-z-]+)", usage)) == options()
    assert set(re.search(r"--profile ([a-z|]+)", usage)[1].split("|")) == set(PROFILES)  # type: ignore[index]
    assert text.rstrip().endswith('-m loadtest "$@"')
    subprocess.run(["bash", "-n", str(BASH)], check=True, timeout=10)


def test_both_scripts_make_the_environment_ready() -> None:
    for script in (BASH, POWERSHELL):
        assert "tools/bootstrap venv" in script.read_text()
