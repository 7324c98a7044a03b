"""The real engine with a program that declares what a test asks for."""

import json
import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.support.kubernetes import Cluster
from tests.support.provider import ROOT

PROGRAM: Final = Path(__file__).with_name("program")
BINARIES: Final = ROOT / ".venv" / "bin"
ENGINE_TIMEOUT_S: Final = 100.0
STACK: Final = "test"


@dataclass
class Shop:
    """A stack of its own, with its state in `folder`."""

    folder: Path
    cluster: Cluster
    namespace: str
    objects: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)

    def wants(self, name: str, obj: dict[str, Any], **options: Any) -> None:
        """Let the program declare an object; `options` are `import`, `secret`, `timeouts`."""
        self.objects[name] = {"object": obj, **options}

    def run(self, *arguments: str, fails: bool = False) -> str:
        """Run the engine to its end; return what it printed."""
        process = self.start(*arguments)
        said, _ = process.communicate(timeout=ENGINE_TIMEOUT_S)
        assert (process.returncode != 0) is fails, said
        return said

    def up(self, *arguments: str, fails: bool = False) -> str:
        return self.run("up", "--yes", "--skip-preview", *arguments, fails=fails)

    def refresh(self) -> str:
        return self.run("refresh", "--yes", "--skip-preview")

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start the engine without waiting for it."""
        backend = self.folder / "state"
        if not backend.exists():
            backend.mkdir(parents=True)
            self.run("stack", "init", STACK)
        wanted = {
            "provider": {
                "kubeconfig": str(self.cluster.kubeconfig),
                "namespace": self.namespace,
                "enable_config_map_mutable": True,
            },
            "objects": self.objects,
        }
        file = self.folder / "objects.json"
        file.write_text(json.dumps(wanted))
        return subprocess.Popen(
            [BINARIES / "pulumi", "--non-interactive", "-C", PROGRAM, *arguments],
            env=self._environment(backend, file),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def interrupt(self, process: "subprocess.Popen[str]") -> str:
        """Press Ctrl-C; return what the engine printed."""
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=ENGINE_TIMEOUT_S)
        return said

    def state(self) -> dict[str, Any]:
        """Return the state's resources by name."""
        deployment = json.loads(self.run("stack", "export", "--stack", STACK))["deployment"]
        return {each["urn"].split("::")[-1]: each for each in deployment.get("resources", [])}

    def _environment(self, backend: Path, file: Path) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": os.pathsep.join((str(BINARIES), os.environ["PATH"])),
            "PULUMI_BACKEND_URL": backend.resolve().as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "development",
            "PULUMI_STACK": STACK,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "SHOP_OBJECTS": str(file),
            **self.environ,
        }
