"""handle(): who calls, and the endpoint, in a transaction. A batch calls it for each of its parts.

Source: design, "The walk of a request".
"""

import msgspec

from kobako.http import implied
from kobako.http.authentication import identify
from kobako.http.log import Summary
from kobako.http.routing import Step
from kobako.http.site import Call, Site
from kobako.model.access import Caller
from kobako.model.transaction import Transaction
from kobako.protocol.messages import Response


async def handle(site: Site, step: Step, tx: Transaction, summary: Summary | None = None) -> Response:
    """Serve one request, whole or a part of a batch, in a transaction."""
    caller = await identify(site, step.sender, tx)
    if step.implies:
        await implied.require(step, tx)
    return await step.route.methods[step.request.method](call(site, step, caller, tx, summary))


def call(site: Site, step: Step, caller: Caller, tx: Transaction, summary: Summary | None) -> Call:
    """Return what an endpoint receives; who calls is noted."""
    if site.backends.authorize:
        caller = msgspec.structs.replace(caller, request=step.request)
    if summary and caller.user:
        summary.user = caller.user
    if step.implies:
        caller = msgspec.structs.replace(caller, creates=frozenset(each.uri for each in step.implies))
    return Call(step.request, step.target, caller, tx, site)
