"""What the fork server knows before it is asked for the first process: it is slow to find out."""

from service.store.migrate import newest
from tests.support import forks  # noqa: F401  all of the service with it

newest()  # it parses every migration, and remembers which is the last one
