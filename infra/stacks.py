"""The stacks' names, and what a run may be given by its environment; needs no library."""

from typing import Final, Literal, get_args

Stack = Literal["local", "staging", "prod"]
STACKS: Final[tuple[Stack, ...]] = get_args(Stack)

RENDER_DIR_VARIABLE: Final = "COINSLOT_RENDER_DIR"
"""Environment variable with another parent folder for rendered stacks; for checks and tests."""
IMAGE_VARIABLE: Final = "COINSLOT_IMAGE"
"""Environment variable with an image, `repository:tag@sha256:digest`, instead of the file's: a
deployment names what it has just built and scanned."""
