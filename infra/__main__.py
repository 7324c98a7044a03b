"""The Pulumi program: settings in, one platform, outputs out."""
# ruff: noqa: E402  the collector is off before anything is imported

import gc

# The program ends within seconds, and nearly all that it makes lives until then: with the collector
# on, a fifth of its time would go into looking through the SDK's classes again and again.
gc.disable()

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
