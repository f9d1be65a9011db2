"""A small shop: orders of many organizations, each in its own place.

Run it with the URI that ``flask applications add shop`` prints:

    pip install portal_tenants-*.whl fastapi uvicorn
    TENANTS_URI=… uvicorn shop:app
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from portal_tenants import AsyncTenant, AsyncTenants
from portal_tenants.errors import LimitExceeded, Moving, NotReady, StateError
from pydantic import BaseModel
from pymongo.errors import DuplicateKeyError, PyMongoError


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncTenants(os.environ["TENANTS_URI"]) as app.state.tenants:
        yield


app = FastAPI(title="Shop", lifespan=lifespan)


class Order(BaseModel):
    number: str  # the client's own, so that it may send an order again
    title: str


def organization(slug: str, request: Request) -> AsyncTenant:
    return request.app.state.tenants[slug]  # reads nothing yet


Tenant = Annotated[AsyncTenant, Depends(organization)]


@app.post("/{slug}/orders", status_code=201)
async def place(order: Order, tenant: Tenant) -> dict[str, str]:
    document = {"_id": order.number, "title": order.title, "status": "waiting"}
    try:
        await tenant.insert_one(document)
    except DuplicateKeyError:  # sent again after its answer was lost
        return {"status": "placed before"}
    return {"status": "placed"}


@app.get("/{slug}/orders")
async def waiting(tenant: Tenant) -> list[dict[str, Any]]:
    return await tenant.find({"status": "waiting"}).sort("_id", 1).limit(100).to_list()


@app.post("/{slug}/orders/{number}/ship")
async def ship(number: str, tenant: Tenant) -> dict[str, int]:
    found = {"_id": number, "status": "waiting"}
    async with tenant.transaction() as both:  # both or neither
        shipped = await both.update_one(found, {"$set": {"status": "shipped"}})
        if shipped.modified_count:
            counter = {"_id": {"counter": "shipped"}}  # which no order has, as numbers are texts
            await both.update_one(counter, {"$inc": {"count": 1}}, upsert=True)
    return {"shipped": shipped.modified_count}


@app.exception_handler(StateError)  # unknown, in the trash, purged …
async def gone(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=410)


@app.exception_handler(Moving)
@app.exception_handler(NotReady)
@app.exception_handler(LimitExceeded)
@app.exception_handler(PyMongoError)
async def unavailable(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "Try again"}, status_code=503, headers={"Retry-After": "1"})
