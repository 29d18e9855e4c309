"""The chunks that retrievers and rerankers are tested on, and the questions that they are asked."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import NAMESPACE_OID, uuid5

from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

_SUBJECTS = (
    ("leave", "Employees have paid leave", "Leave is requested from the team lead"),
    ("travel", "Train tickets are booked in advance", "Flights need the consent of the director"),
    ("office", "The office opens at seven", "Visitors sign the book at the entrance"),
    ("canteen", "Lunch is served from twelve", "The soup is always vegetarian"),
    ("security", "Badges are worn at all times", "Lost badges are reported within a day"),
    ("equal", "Nothing new about employees here", "Nothing new about employees here"),
    ("twin", "Nothing new about employees here", "Nothing new about employees here"),
    ("chinese", "员工每年有二十八天带薪假期", "参观者在入口处登记"),
)

QUESTIONS = ("paid leave of employees", "who signs the book at the entrance", "nothing new here", "参观者在入口处登记")
ODD_QUESTIONS = {
    "stop words": "what is the of and to",
    "emoji": "🙂🎉👩‍👧",
    "punctuation": "?!… — ___",
    "one character": "x",
    "unknown words": "zyzzyva quux",
    "control characters": "leave\x00\x07\u200b days",
    "half a surrogate pair": "leave \ud83d days",
    "very long": "leave days " * 2_500,
}


def chunks() -> list[TextNode]:
    """Eight documents of two chunks each, in reading order, with `category`, `year` and `date`; some texts are equal."""
    found: list[TextNode] = []
    for number, (name, *texts) in enumerate(_SUBJECTS):
        start = 0
        for place, text in enumerate(texts):
            node = TextNode(
                id_=str(uuid5(NAMESPACE_OID, f"{name} {place}")),
                text=text,
                start_char_idx=start,
                end_char_idx=start + len(text),
                metadata={
                    "source": "handbook", "uri": f"{name}.md", "title": name.title(), "heading": name.title(),
                    "category": "article" if number % 2 else "post", "year": 2018 + number, "date": f"202{number}-05-01",
                },
                relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=str(uuid5(NAMESPACE_OID, name)))},
            )  # fmt: skip
            found.append(node)
            start += len(text) + 1
    return found


def pictures(nodes: Sequence[TextNode]) -> list[str]:
    """Everything that a node says, to compare with later."""
    return [node.model_dump_json() for node in nodes]
