"""A small shop in FastAPI that looks flags up by OpenFeature: `uvicorn fastapi_flags:app`.

The variables CONVERT_SDK_KEY and the like configure the client. The project has a feature `pricing` with a variable
`discount`, an experience `checkout-layout` and a goal `purchase`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError
from openfeature.track import TrackingEventDetails
from openfeature.transaction_context import ContextVarsTransactionContextPropagator

from convert_sdk import AsyncClient
from convert_sdk.integrations.fastapi import ConvertMiddleware
from convert_sdk.integrations.openfeature import ConvertProvider

client = AsyncClient()
flags = api.get_client()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Start with the document, or without it: then look-ups give their defaults until it comes."""
    api.set_transaction_context_propagator(ContextVarsTransactionContextPropagator())
    await client.wait_until_ready(timeout=2)
    with suppress(OpenFeatureError):
        api.set_provider_and_wait(ConvertProvider(client))
    yield
    api.shutdown()  # the middleware closes the client


app = FastAPI(lifespan=lifespan)
app.add_middleware(
    ConvertMiddleware, client=client
)  # its visitor is the one who asks, without a targeting key


@app.get("/")
async def home(plan: str = "free") -> dict[str, object]:
    """Show the price, and the layout of the visitor's variation."""
    api.set_transaction_context(EvaluationContext(attributes={"plan": plan}))
    details = await flags.get_float_details_async("pricing.discount", 0.0)
    layout = await flags.get_string_value_async("checkout-layout", "classic")
    return {"discount": details.value, "reason": details.reason, "layout": layout}


@app.post("/buy/{order}")
async def buy(order: str) -> None:
    """Count an order."""
    flags.track("purchase", None, TrackingEventDetails(10.0, {"transaction_id": order}))
