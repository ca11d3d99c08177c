"""A small shop in FastAPI, with consent and login: `uvicorn fastapi_shop:app --workers 2`.

The variables CONVERT_SDK_KEY and the like configure the client; SHOP_STATE is the file that the workers share.
"""

from __future__ import annotations

import os

from fastapi import FastAPI, Request, Response

from convert_sdk import AsyncClient, Consent
from convert_sdk.integrations.fastapi import ConvertMiddleware, VisitorDep, new_visitor
from convert_sdk.stores.sqlite import SqliteStore


def agreed(request: Request) -> Consent | None:
    """The visitor's answer to the banner, which the shop keeps in a cookie of its own."""
    answer = request.cookies.get("answer")
    return Consent(answer) if answer in {*Consent} else None


def user(request: Request) -> str | None:
    """The user who is logged in; a real shop reads its session."""
    return request.cookies.get("user")


client = AsyncClient(store=SqliteStore(os.environ.get("SHOP_STATE", "shop.db")))
app = FastAPI()
app.add_middleware(ConvertMiddleware, client=client, consent=agreed, identify=user, on_login="alias")


@app.get("/")
async def home(visitor: VisitorDep) -> dict[str, str | None]:
    """Show a button in the visitor's variation."""
    return {"visitor": visitor.id, "button": visitor.decide("button-10").variation_key}


@app.post("/buy/{order}")
async def buy(order: str, visitor: VisitorDep) -> dict[str, bool]:
    """Count an order."""
    return {"counted": bool(visitor.track("goal-0", revenue=10, transaction_id=order))}


@app.post("/answer/{answer}")
async def answer(answer: Consent, visitor: VisitorDep, response: Response) -> None:
    """Take the visitor's answer to the banner."""
    response.set_cookie("answer", answer)
    visitor.set_consent(answer)


@app.post("/login/{name}")
async def login(name: str, response: Response) -> None:
    """Log in; a real shop asks for a password."""
    response.set_cookie("user", name)


@app.post("/logout")
async def logout(response: Response) -> None:
    """Log out of a device that others use, too."""
    response.delete_cookie("user")
    new_visitor(response)
