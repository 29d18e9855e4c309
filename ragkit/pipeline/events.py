"""LlamaIndex's callback events, which its components would remember for ever where nobody listens to them."""

from __future__ import annotations

from typing import Any, TypeVar

from llama_index.core.callbacks import CallbackManager

T = TypeVar("T")


class Unheard(CallbackManager):
    """A callback manager that remembers no events while it has no handlers.

    LlamaIndex's own keeps the id of each event until the next trace begins with it, which for a part that is asked within a
    larger trace is never.
    """

    def on_event_start(self, *args: Any, **kwargs: Any) -> str:
        """Begin an event, and forget it if nobody listens."""
        event: str = super().on_event_start(*args, **kwargs)
        if not self.handlers:
            self._trace_map.clear()
        return event


def unremembered(component: T) -> T:
    """The component, with `Unheard` in the place of a callback manager that has no handlers."""
    manager = getattr(component, "callback_manager", None)
    if type(manager) is CallbackManager and not manager.handlers:
        component.callback_manager = Unheard([])  # type: ignore[attr-defined]
    return component
