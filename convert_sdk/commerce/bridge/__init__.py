"""Orders in, conversions out: each order of a store becomes one conversion of the visitor who placed it.

>>> Goals("purchase").of_kind("order", "")
('purchase',)
"""

from convert_sdk.commerce.bridge.bridge import Bridge, KnownBy, Report
from convert_sdk.commerce.bridge.conversions import Match, OrderConversion, Policy
from convert_sdk.commerce.bridge.exposures import recording
from convert_sdk.commerce.bridge.facts import (
    Allowed,
    facts_from_contact,
    facts_from_member,
    facts_from_orders,
)
from convert_sdk.commerce.bridge.identity import Identity
from convert_sdk.commerce.bridge.intake import Goals
from convert_sdk.commerce.bridge.into_convertmax import IntoConvertmax, Written
from convert_sdk.commerce.bridge.ledger import ExposureRecord, LedgerStore, LedgerTransaction, Link, Version
from convert_sdk.commerce.bridge.memory import MemoryLedger
from convert_sdk.commerce.bridge.orders import BuyerRules, IdentityKey, OrderSnapshot, WebsiteRules
from convert_sdk.commerce.bridge.records import Upsert
from convert_sdk.commerce.bridge.reports import SyncProgress, SyncReport
from convert_sdk.commerce.bridge.sources import ConvictionalSource, WebsiteSource
from convert_sdk.commerce.bridge.sqlite import Ledger

__all__ = [
    "Allowed",
    "Bridge",
    "BuyerRules",
    "ConvictionalSource",
    "ExposureRecord",
    "Goals",
    "Identity",
    "IdentityKey",
    "IntoConvertmax",
    "KnownBy",
    "Ledger",
    "LedgerStore",
    "LedgerTransaction",
    "Link",
    "Match",
    "MemoryLedger",
    "OrderConversion",
    "OrderSnapshot",
    "Policy",
    "Report",
    "SyncProgress",
    "SyncReport",
    "Upsert",
    "Version",
    "WebsiteRules",
    "WebsiteSource",
    "Written",
    "facts_from_contact",
    "facts_from_member",
    "facts_from_orders",
    "recording",
]  # fmt: skip
