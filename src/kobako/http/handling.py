"""handle(): who calls, and the endpoint, in a transaction. A batch calls it for each of its parts.

Source: design, "The walk of a request".
"""

import msgspec

from kobako.http import implied
from kobako.http.authentication import identify
from kobako.http.log import Summary
from kobako.http.routing import Step
from kobako.http.site import Call, Site
from kobako.model.transaction import Transaction
from kobako.protocol.errors import BadRequest
from kobako.protocol.messages import Response


async def handle(site: Site, step: Step, tx: Transaction, summary: Summary | None = None) -> Response:
    """Serve one request, whole or a part of a batch, in a transaction."""
    if step.route.offline:
        return await step.route.offline(site, step.request)
    caller = await identify(site, step.sender, tx)
    if summary and caller.user:
        summary.user = caller.user
    if step.implies:
        await implied.require(step, tx)
        caller = msgspec.structs.replace(caller, creates=frozenset(each.uri for each in step.implies))
    return await step.route.methods[step.request.method](Call(step.request, step.target, caller, tx, site))


async def refuse_in_batch(call: Call) -> Response:
    """Refuse a part of a batch that can only come by itself."""
    raise BadRequest(f"{call.request.method} {call.target.list_uri} has to be sent by itself, not in a batch.")
