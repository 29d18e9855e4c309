"""ragkit's query engine as the tool of a LlamaIndex agent.

    python examples/llamaindex_agent.py

`pipeline.query_engine()` is a plain LlamaIndex `RetrieverQueryEngine`, so whatever takes one takes it. The model here follows a
script: it calls its tool with the question, then reads out what came back. So the example needs no key and no network; put
any function-calling LLM of LlamaIndex in its place.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, MessageRole, ToolCallBlock
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.tools import QueryEngineTool

from ragkit import Pipeline
from ragkit.config import parse
from ragkit.host import Host

QUESTION = "How many days of paid leave do I have?"


def script(messages: Sequence[ChatMessage], **kwargs: Any) -> ChatMessage:
    """What the model says: a call of `handbook` for a question, the words of the tool for what it returned."""
    last = messages[-1]
    if last.role == MessageRole.TOOL:
        return ChatMessage(role=MessageRole.ASSISTANT, content=f"The handbook says: {last.content}")
    call = ToolCallBlock(tool_call_id="1", tool_name="handbook", tool_kwargs={"input": last.content or ""})
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=[call])


async def main() -> None:
    """Ingest a document and let the agent answer from it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "leave.md").write_text("# Leave\n\nEvery employee has 28 days of paid leave in a year.\n", encoding="utf-8")
        config = parse({"sources": [{"use": "files", "path": ".", "include": ["*.md"]}]}, Host(), folder=folder)
        with Pipeline(config) as pipeline:
            pipeline.ingest()
            handbook = QueryEngineTool.from_defaults(
                pipeline.query_engine(), name="handbook", description="Answers questions about the company from its handbook."
            )
            agent = FunctionAgent(tools=[handbook], llm=MockFunctionCallingLLM(response_generator=script))
            print(await agent.run(QUESTION))


if __name__ == "__main__":
    asyncio.run(main())
