"""The search for secrets finds them; otherwise the end of a run would prove nothing."""

from pathlib import Path

import pytest

from tests.support.leaks import PLANTED, leaks_below
from tests.support.services import JWT_SECRET, SIMULATOR_SECRETS, bearer

pytest_plugins = ["pytester"]

SECRETS = [
    JWT_SECRET,
    *SIMULATOR_SECRETS.values(),
    f"x{PLANTED}x",
    bearer("ada"),
    "Bearer opaque-token-of-somebody",
    "postgresql://user:hunter2@127.0.0.1/db",
    "sk_" + "test_51Habcdefgh",
    "whsec_0123456789",
    "pi_3Abc_secret_0123456789",
    "-----BEGIN RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("secret", SECRETS, ids=range(len(SECRETS)))
def test_each_secret_is_found_with_its_place(tmp_path: Path, secret: str) -> None:
    log = tmp_path / "deep" / "0-api.log"
    log.parent.mkdir()
    log.write_bytes(b'{"event":"started"}\n\xff{"error":"' + secret.encode() + b'"}\n')
    found, count = leaks_below(tmp_path)
    log.unlink()  # or the end of this run would find it too
    assert count == 1
    assert {(leak.path, leak.line) for leak in found} == {(log, 2)}
    assert len(str(found[0]).rsplit(": ", 1)[1]) <= 13


@pytest.mark.parametrize("mark", [b"PLOG\x01", b"\x1f\x8b\x08"])
def test_noise_is_no_leak(tmp_path: Path, mark: bytes) -> None:
    noise = b"\x00\n://\xf1:R|\xfe@\n"
    (tmp_path / "engine.log").write_bytes(mark + noise)
    assert leaks_below(tmp_path) == ([], 1)
    (tmp_path / "engine.log").write_bytes(b"text" + noise)
    assert len(leaks_below(tmp_path)[0]) == 1
    (tmp_path / "engine.log").unlink()


def test_what_is_masked_is_no_leak(tmp_path: Path) -> None:
    (tmp_path / "api.log").write_text(
        '{"error":"postgresql://user:***@db:5432/x Bearer ***", "url":"http://127.0.0.1:8080/a@b",'
        '"scope":"payments:read", "reason":"client_secret", "at":"http://[::1]:80"}\n'
    )
    assert leaks_below(tmp_path) == ([], 1)


@pytest.mark.parametrize(("text", "code"), [("all is well", 0), (f"key={PLANTED}", 1)])
def test_a_run_with_a_leak_fails(pytester: pytest.Pytester, text: str, code: int) -> None:
    pytester.makeconftest(
        "from tests.support.leak_hooks import pytest_sessionfinish, pytest_terminal_summary"
    )
    pytester.makepyfile(f"def test_it(tmp_path):\n    (tmp_path / 'a.log').write_text({text!r})")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:xdist")
    for log in pytester.path.rglob("*.log"):
        log.unlink()  # or the end of this run would find it too
    assert result.ret == code
    result.assert_outcomes(passed=1)
    assert ("secrets in the output" in result.stdout.str()) == bool(code)
    assert text not in result.stdout.str().replace(f"{text!r}", "")
