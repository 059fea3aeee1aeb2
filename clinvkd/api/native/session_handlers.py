"""Stored sessions over HTTP. A key sees and touches its own, unless its scopes say otherwise."""

from __future__ import annotations

from pathlib import PurePath

from aiohttp import web

from ...errors import Conflict, InvalidRequest, NotFound, StoreUnavailable
from ..endpoint import CALLER, ENGINE, Returns, body_of, endpoint, query_of
from .performing import json_response
from .session_models import (
    DeletedAnswer,
    SessionAnswer,
    SessionPatch,
    SessionQuery,
    SessionsAnswer,
    SessionsQuery,
    session_answer,
)

_ERRORS = (NotFound, StoreUnavailable)


@endpoint(
    "GET",
    "/sessions",
    query=SessionsQuery,
    summary="Stored sessions.",
    operation="listSessions",
    returns=(Returns(SessionsAnswer),),
    raises=(StoreUnavailable,),
)
async def sessions(request: web.Request) -> web.StreamResponse:
    """A page of sessions, the last used first."""
    query = query_of(request, SessionsQuery)
    page = await request.app[ENGINE].sessions.list(
        request[CALLER].sees,
        backend=query.backend,
        status=query.status,
        tag=query.tag,
        workdir=None if query.workdir is None else str(PurePath(query.workdir)),
        q=query.q,
        limit=query.limit,
        offset=query.offset,
    )
    return json_response(
        SessionsAnswer(
            sessions=[session_answer(session) for session in page.sessions],
            total=page.total,
            limit=query.limit,
            offset=query.offset,
        )
    )


@endpoint(
    "GET",
    "/sessions/{id}",
    query=SessionQuery,
    summary="One stored session.",
    operation="getSession",
    returns=(Returns(SessionAnswer),),
    raises=_ERRORS,
)
async def session(request: web.Request) -> web.StreamResponse:
    """A session, named by its id or the beginning of it."""
    query = query_of(request, SessionQuery)
    store, owner = request.app[ENGINE].sessions, request[CALLER].sees
    found = await store.look_up(request.match_info["id"], owner)
    messages = None
    if query.include == "messages":
        messages = await store.messages(found.id, owner)
        if messages is None:
            raise NotFound(
                "the messages of this session were not stored (session.store_content)",
                param="include",
            )
    return json_response(session_answer(found, messages))


@endpoint(
    "PATCH",
    "/sessions/{id}",
    body=SessionPatch,
    summary="Give a session a title or tags.",
    operation="updateSession",
    returns=(Returns(SessionAnswer),),
    raises=_ERRORS,
)
async def update(request: web.Request) -> web.StreamResponse:
    """Change title and tags of a session named by its full id."""
    body = body_of(request, SessionPatch)
    if body.title is None and body.tags is None:
        raise InvalidRequest("give title, tags or both", param="title")
    changed = await request.app[ENGINE].sessions.update(
        request.match_info["id"],
        request[CALLER].sees,
        title=body.title,
        tags=None if body.tags is None else tuple(body.tags),
    )
    return json_response(session_answer(changed))


@endpoint(
    "DELETE",
    "/sessions/{id}",
    summary="Delete a session.",
    operation="deleteSession",
    returns=(Returns(DeletedAnswer),),
    raises=(*_ERRORS, Conflict),
)
async def delete(request: web.Request) -> web.StreamResponse:
    """Delete a session named by its full id."""
    name = request.match_info["id"]
    await request.app[ENGINE].sessions.delete(name, request[CALLER].sees)
    return json_response(DeletedAnswer(id=name))


@endpoint(
    "POST",
    "/sessions/{id}/fork",
    summary="Copy a session.",
    operation="forkSession",
    returns=(Returns(SessionAnswer, "The copy.", 201),),
    raises=(*_ERRORS, Conflict),
)
async def fork(request: web.Request) -> web.StreamResponse:
    """A new session of the caller's with the same history."""
    caller = request[CALLER]
    copy = await request.app[ENGINE].sessions.fork(
        request.match_info["id"], caller.sees, new_owner=caller.name
    )
    return json_response(session_answer(copy), status=201)


ENDPOINTS = (sessions, session, update, delete, fork)
