"""Jobs and webhooks, in their simplest form: what was asked for is kept and told; nothing runs and nothing is called."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from . import describe
from .errors import Refusal
from .pages import answer, paged
from .routes_account import caller
from .routing import Call, Routes
from .streams import Event, event_stream, idle_stream

ROUTES = Routes()
_JOB = "/api/jobs/{ns}/{id}"
_HOOK = "/api/settings/webhooks/{id}"
FINISHED = ("COMPLETED", "CANCELED", "ERROR")


def _namespace(call: Call) -> str:
    """Return the namespace in the path, if the caller may run jobs there."""
    if not caller(call).holds("job.write", call.param("ns")):
        raise Refusal(403, "Forbidden: you cannot run jobs in this namespace")
    return call.param("ns")


def _job(call: Call) -> dict[str, Any]:
    job = call.world.jobs.get(call.param("id"))
    if job is None or job["owner"]["name"] != _namespace(call):
        raise Refusal(404, "Job not found")
    return job


@ROUTES.on("GET", "/api/jobs/hardware")
async def hardware(call: Call) -> web.Response:
    """List the machines on offer."""
    machine = {"name": "cpu-basic", "prettyName": "CPU Basic", "cpu": "2 vCPU", "ram": "16 GB"}
    cost = {"unitCostMicroUSD": 167, "unitCostUSD": 0.000167, "unitLabel": "minute"}
    return answer(call, [{**machine, **cost, "accelerator": None, "ephemeralStorage": "20 GB"}])


@ROUTES.on("POST", "/api/jobs/{ns}")
async def run(call: Call) -> web.Response:
    """Start a job. Its secrets are kept and never told."""
    namespace, spec = _namespace(call), call.json()
    if bool(spec.get("dockerImage")) == bool(spec.get("spaceId")):
        raise Refusal(400, "A job needs dockerImage or spaceId")
    job_id = secrets.token_hex(12)
    user = call.who
    owner = {"id": describe.stable_id(namespace), "name": namespace, "type": "user" if namespace == user else "org"}
    call.world.jobs[job_id] = {
        **spec,
        "id": job_id,
        "createdAt": describe.moment(datetime.now(UTC)),
        "owner": owner,
        "initiator": {"type": "user", "id": describe.stable_id(user), "name": user},
        "status": {"stage": "RUNNING", "message": None},
    }
    return answer(call, _described(call.world.jobs[job_id]))


def _described(job: dict[str, Any]) -> dict[str, Any]:
    return job | {"secrets": dict.fromkeys(job.get("secrets") or {}, "")}


@ROUTES.on("GET", "/api/jobs/{ns}")
async def listing(call: Call) -> web.Response:
    """List a namespace's jobs."""
    namespace = _namespace(call)
    return paged(call, [_described(job) for job in call.world.jobs.values() if job["owner"]["name"] == namespace])


@ROUTES.on("GET", _JOB)
async def inspect(call: Call) -> web.Response:
    """Describe a job."""
    return answer(call, _described(_job(call)))


@ROUTES.on("POST", _JOB + "/cancel")
async def cancel(call: Call) -> web.Response:
    """Stop a job."""
    job = _job(call)
    if job["status"]["stage"] not in FINISHED:
        job["status"] = {"stage": "CANCELED", "message": None}
    return answer(call, _described(job))


@ROUTES.on("GET", _JOB + "/logs")
async def logs(call: Call) -> web.StreamResponse:
    """Stream what the job printed; once told, it has completed. With `idle_seconds` it takes its time."""
    job = _job(call)
    told = [f"===== Job started at {job['createdAt']} =====\n", *job_log(job)]
    # The client stops at the first line stamped after the response's own Date (whole seconds).
    at = describe.moment(datetime.now(UTC) - timedelta(seconds=2))
    events = [Event({"data": line, "timestamp": at}) for line in told]
    if call.world.settings.idle_seconds:
        return await idle_stream(call, events)
    response = await event_stream(call, events)
    if job["status"]["stage"] not in FINISHED:
        job["status"] = {"stage": "COMPLETED", "message": None}
    await response.write_eof()
    return response


def job_log(job: dict[str, Any]) -> list[str]:
    """Return what a job prints: its own command."""
    return [" ".join(job.get("command") or [])]


# Webhooks belong to the account, not to a repository.


def _hooks(call: Call, permission: str) -> dict[str, dict[str, Any]]:
    token = caller(call)
    if not token.holds(permission, token.user.name):
        raise Refusal(403, "Forbidden: this token may not touch webhooks")
    return call.world.webhooks.setdefault(token.user.name, {})


def _hook(call: Call, permission: str = "user.webhooks.write") -> dict[str, Any]:
    found = _hooks(call, permission).get(call.param("id"))
    if found is None:
        raise Refusal(404, "Webhook not found")
    return found


@ROUTES.on("GET", "/api/settings/webhooks")
async def list_hooks(call: Call) -> web.Response:
    """List the caller's webhooks."""
    return answer(call, list(_hooks(call, "user.webhooks.read").values()))


@ROUTES.on("POST", "/api/settings/webhooks")
async def create_hook(call: Call) -> web.Response:
    """Create a webhook."""
    hooks, body = _hooks(call, "user.webhooks.write"), call.json()
    hook_id = secrets.token_hex(12)
    hooks[hook_id] = {"id": hook_id, "disabled": False, "domains": [], "watched": [], **body}
    return answer(call, {"webhook": hooks[hook_id]})


@ROUTES.on("GET", _HOOK)
async def get_hook(call: Call) -> web.Response:
    """Describe a webhook."""
    return answer(call, {"webhook": _hook(call, "user.webhooks.read")})


@ROUTES.on("POST", _HOOK)
async def change_hook(call: Call) -> web.Response:
    """Change a webhook."""
    hook = _hook(call)
    hook |= {key: value for key, value in call.json().items() if key != "id"}
    return answer(call, {"webhook": hook})


@ROUTES.on("POST", _HOOK + "/{switch}")
async def switch_hook(call: Call) -> web.Response:
    """Enable or disable a webhook."""
    hook, switch = _hook(call), call.param("switch")
    if switch not in ("enable", "disable"):
        raise Refusal(404, "Sorry, we can't find the page you are looking for.")
    hook["disabled"] = switch == "disable"
    return answer(call, {"webhook": hook})


@ROUTES.on("DELETE", _HOOK)
async def delete_hook(call: Call) -> web.Response:
    """Delete a webhook."""
    del _hooks(call, "user.webhooks.write")[_hook(call)["id"]]
    return answer(call, {})
