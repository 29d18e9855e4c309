"""LlamaIndex's callback events, which its components would remember for ever where nobody listens to them."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")


def unremembered(component: T) -> T:
    """The component, with a callback manager that remembers no events while it has no handlers.

    LlamaIndex's own keeps the id of each event until the next trace begins with it, which for a part that is asked within a
    larger trace is never.
    """
    manager = getattr(component, "callback_manager", None)
    if manager is not None:
        from llama_index.core.callbacks import CallbackManager

        if type(manager) is CallbackManager and not manager.handlers:
            component.callback_manager = _unheard()  # type: ignore[attr-defined]
    return component


def _unheard() -> Any:
    from llama_index.core.callbacks import CallbackManager

    class Unheard(CallbackManager):
        def on_event_start(self, *args: Any, **kwargs: Any) -> str:
            event: str = super().on_event_start(*args, **kwargs)
            if not self.handlers:
                self._trace_map.clear()
            return event

    return Unheard([])
