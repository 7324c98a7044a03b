"""Keep one comment on a pull request up to date: the newest report of `make diff`.

The comment is found again by its first line, among those that a workflow has written. Reads
GITHUB_TOKEN and GITHUB_REPOSITORY, as GitHub Actions sets them; GITHUB_API_URL names another API.

Exit codes: 0 it stands there, 1 GitHub refused, 2 wrong usage or a variable that is missing.
"""

import argparse
import json
import os
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from infra.review.report import MARKER
from scripts import console

FAILED: Final = 1
USAGE: Final = 2
BOT: Final = "github-actions[bot]"
"""Who comments with a workflow's token; a comment of anybody else is left alone."""
PAGE: Final = 100
PAGES: Final = 20  # two thousand comments; behind that a second one of ours does no harm
TIMEOUT_S: Final = 30.0
VARIABLES: Final = ("GITHUB_TOKEN", "GITHUB_REPOSITORY")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or rewrite the comment; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.comment", description=__doc__)
    parser.add_argument("number", type=int, help="the pull request")
    parser.add_argument("file", type=Path, help="what `make diff` has written as markdown")
    options = parser.parse_args(arguments)
    if missing := [name for name in VARIABLES if not os.environ.get(name)]:
        console.complain("comment", f"{', '.join(missing)} not set; GitHub Actions sets them")
        return USAGE
    try:
        text = options.file.read_text(encoding="utf-8")
    except OSError as error:
        console.complain("comment", error)
        return USAGE
    if not text.startswith(MARKER):
        console.complain("comment", f"{options.file} is no report of make diff --markdown")
        return USAGE
    try:
        print(f"comment: {publish(options.number, text)}")
    except OSError as error:
        console.complain("comment", f"GitHub: {error}")
        return FAILED
    return 0


def publish(number: int, text: str) -> str:
    """Make the comment say `text`, once; return its address. Raises OSError."""
    own = next(filter(_is_ours, _comments(number)), None)
    where = f"issues/comments/{own['id']}" if own else f"issues/{number}/comments"
    answer = _ask("PATCH" if own else "POST", where, {"body": text})
    return str(answer["html_url"])


def _is_ours(comment: Mapping[str, Any]) -> bool:
    return comment["user"]["login"] == BOT and str(comment["body"]).startswith(MARKER)


def _comments(number: int) -> Iterator[dict[str, Any]]:
    for page in range(1, PAGES + 1):
        found = _ask("GET", f"issues/{number}/comments?per_page={PAGE}&page={page}")
        yield from found
        if len(found) < PAGE:
            return


def _ask(method: str, where: str, body: Mapping[str, str] | None = None) -> Any:
    api = os.environ.get("GITHUB_API_URL", "https://api.github.com")
    request = urllib.request.Request(  # noqa: S310  the address is GitHub's, or the caller's own
        f"{api}/repos/{os.environ['GITHUB_REPOSITORY']}/{where}",
        method=method,
        data=json.dumps(body).encode() if body else None,
        headers={
            "Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}",
            "Accept": "application/vnd.github+json",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(main())
