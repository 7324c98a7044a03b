"""What every use case works with; the composition root makes it."""

from dataclasses import dataclass

from service.clock import Clock
from service.integrations.game_catalog import GameCatalog
from service.integrations.library import Library
from service.integrations.merchants import Merchants
from service.metrics import Metrics
from service.providers.registry import Providers
from service.settings import Settings
from service.store.batch import Batcher
from service.store.begin_payments import BeginPayment
from service.store.database import Database
from service.store.idempotency import BeginOutcome
from service.store.inbox import NewEvent
from service.store.orders import NewOrder
from service.store.record_outcomes import RecordedOutcome, RecordOutcome


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of a running process that use cases touch."""

    settings: Settings
    metrics: Metrics
    now: Clock
    db: Database
    create_orders: Batcher[NewOrder, BeginOutcome]
    begin_payments: Batcher[BeginPayment, BeginOutcome]
    record_outcomes: Batcher[RecordOutcome, RecordedOutcome]
    receive_events: Batcher[NewEvent, bool]
    providers: Providers
    game_catalog: GameCatalog
    library: Library
    merchants: Merchants
