"""`/documents` and `/runs`: uploads, what the ledger has of a document, past ingests."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, File, Query, UploadFile
from fastapi import Path as InPath
from fastapi.responses import JSONResponse, Response

from ragkit.errors import StateError, UnknownDocumentError
from ragkit.pipeline import Pipeline
from ragkit.server.answers import DocumentTold, Runs, RunTold
from ragkit.server.errors import Refused
from ragkit.server.limits import Gate
from ragkit.server.schemas import Deleted, Uploaded

_AT_ONCE, _WAITING = 2, 16
"""Uploads: each converts, cuts and embeds."""
DocumentId = Annotated[str, InPath(max_length=64, description="As hits, citations and uploads have it.")]


def install(app: FastAPI, pipeline: Pipeline, responses: dict[int | str, dict[str, Any]]) -> None:
    """Add the routes."""
    router = APIRouter(responses=responses)
    gate = Gate(_AT_ONCE, _WAITING)

    @router.post(
        "/documents", tags=["documents"], summary="Upload a file, which is answerable at once", status_code=201,
        response_model=Uploaded, responses={200: {"model": Uploaded, "description": "A file of that name was there"}},
    )  # fmt: skip
    async def upload(file: Annotated[UploadFile, File(description="The file, in place of one of that name.")]) -> Response:
        content = await file.read()
        async with gate.turn():
            done = await asyncio.to_thread(pipeline.upload, file.filename or "", content)
        return JSONResponse(done.to_dict(), 201 if done.outcome == "added" else 200)

    @router.get(
        "/documents/{document_id}", tags=["documents"], summary="A document with its text, to which citations refer",
        response_model=DocumentTold,
    )  # fmt: skip
    async def document(document_id: DocumentId) -> Response:
        return JSONResponse(await asyncio.to_thread(_document, pipeline, document_id))

    @router.delete("/documents/{document_id}", tags=["documents"], summary="Delete an upload", response_model=Deleted)
    async def delete(document_id: DocumentId) -> Response:
        async with gate.turn():
            uri = await asyncio.to_thread(pipeline.remove_upload, document_id)
        return JSONResponse(Deleted(document_id=document_id, uri=uri).model_dump())

    @router.get("/runs", tags=["runs"], summary="Past ingests, newest first", response_model=Runs)
    async def runs(limit: Annotated[int, Query(ge=1, le=1_000)] = 20) -> Response:
        return JSONResponse({"runs": await asyncio.to_thread(pipeline.runs, limit)})

    @router.get("/runs/{number}", tags=["runs"], summary="An ingest by its number", response_model=RunTold)
    async def run(number: Annotated[int, InPath(ge=0, le=2**53)]) -> Response:
        try:
            return JSONResponse(await asyncio.to_thread(pipeline.run, number))
        except StateError as error:
            raise Refused(404, error.message, "unknown_run") from None

    app.include_router(router)


def _document(pipeline: Pipeline, document_id: str) -> dict[str, Any]:
    with pipeline.reader() as reader:
        try:
            found = reader.document(document_id)
        except ValueError:
            found = None
    if found is None:
        raise UnknownDocumentError(f"there is no document {document_id!r}", cure="take an id from a hit or an upload")
    return {
        "document_id": document_id, "source": found.source, "uri": found.uri, "title": found.title,
        "metadata": dict(found.metadata), "text": found.text,
    }  # fmt: skip
