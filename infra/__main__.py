"""The Pulumi program: settings in, one platform, outputs out."""

from pathlib import Path

import pulumi

import alerts
import dashboards
from infra import config
from infra.components.platform import Platform, PlatformArgs

MIGRATIONS = Path(__file__).parent.parent / "service" / "store" / "migrations"

platform = Platform(
    PlatformArgs(
        config=config.from_pulumi(),
        groups=alerts.groups(),
        dashboards=dashboards.documents(),
        migrations=MIGRATIONS,
    )
)
for name, value in platform.outputs.items():
    pulumi.export(name, value)
