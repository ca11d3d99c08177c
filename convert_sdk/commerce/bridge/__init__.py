"""Orders in, conversions out: each order of a store becomes one conversion of the visitor who placed it.

>>> Goals("purchase").of_kind("order", "")
('purchase',)
"""

from convert_sdk.commerce.bridge.bridge import Bridge, Goals, KnownBy, Report
from convert_sdk.commerce.bridge.effects import Effect, Match, Policy
from convert_sdk.commerce.bridge.exposures import recording
from convert_sdk.commerce.bridge.identity import Identity
from convert_sdk.commerce.bridge.ledger import Entries, LedgerStore, Link, MemoryLedger, Shown, Version
from convert_sdk.commerce.bridge.orders import BuyerRules, Clue, Order, WebsiteRules
from convert_sdk.commerce.bridge.sources import ConvictionalSource, WebsiteSource
from convert_sdk.commerce.bridge.sqlite import Ledger
from convert_sdk.commerce.bridge.sync import Progress, SyncReport

__all__ = [
    "Bridge", "BuyerRules", "Clue", "ConvictionalSource", "Effect", "Entries", "Goals", "Identity", "KnownBy",
    "Ledger", "LedgerStore", "Link", "Match", "MemoryLedger", "Order", "Policy", "Progress", "Report",
    "Shown", "SyncReport", "Version", "WebsiteRules", "WebsiteSource", "recording",
]  # fmt: skip
