"""Links and the sources that take them: patterns as data on a component, and finding and building what they name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import ValidationError

from ragkit.components.kinds import Kind
from ragkit.errors import ComponentError, RagkitError

if TYPE_CHECKING:
    from ragkit.components.component import Component, Spec


@dataclass(frozen=True)
class LinkPattern:
    """Links that a source takes: those that `pattern`, a regular expression, matches from end to end, whatever their case.

    Its named groups are options of the source, as are `options`. A group for an option that holds a list gathers: one source
    gets all such links. A `fallback` is tried after the patterns of all other sources.
    """

    pattern: str
    options: Mapping[str, Any] = field(default_factory=dict)
    fallback: bool = False

    def match(self, link: str) -> dict[str, Any] | None:
        """The options that `link` gives; None for a link that is not the source's."""
        found = re.fullmatch(self.pattern, link, re.IGNORECASE)
        if found is None:
            return None
        return {**self.options, **{name: value for name, value in found.groupdict().items() if value is not None}}


@dataclass(frozen=True)
class LinkedSource:
    """A source that was built for `links`, or the `error` that says why there is none for them.

    `use` is the component's name; `fallback` says that no source has a pattern of its own for these links.
    """

    links: tuple[str, ...]
    use: str = ""
    source: Any = None
    fallback: bool = False
    error: RagkitError | None = None


@dataclass
class _Taken:
    """A source to be built for `links`. `gathered` are the options that hold a value for each of them, in the same order."""

    component: Component
    options: dict[str, Any]
    fallback: bool
    links: list[str] = field(default_factory=list)
    gathered: dict[str, list[Any]] = field(default_factory=dict)


def link_sources(
    components: Iterable[Component],
    links: Sequence[str],
    options: Mapping[str, Any],
    build: Callable[[Spec], Any],
    untaken: Callable[[str], RagkitError],
) -> Iterator[LinkedSource]:
    """The sources that take `links`, in the order of the links, built one by one as they are asked for.

    Of several components the first one with a pattern takes a link. `options` are given to those that know them.
    `untaken` says what is wrong with a link that nobody takes.
    """
    found: dict[object, _Taken | str] = {}
    known = list(components)
    for link in dict.fromkeys(links):
        taken = _taken(known, link)
        if taken is None:
            found[link] = link
            continue
        lists = {name: value for name, value in taken.options.items() if isinstance(value, str) and _is_list(taken, name)}
        rest = {name: value for name, value in taken.options.items() if name not in lists}
        # links that say the same are one source
        key = (taken.component.name, repr(sorted(rest.items())))
        first = found.setdefault(key, _Taken(taken.component, rest, taken.fallback))
        assert isinstance(first, _Taken)
        first.links.append(link)
        for name, value in lists.items():
            first.gathered.setdefault(name, []).append(value)
    for one in found.values():
        if isinstance(one, str):
            yield LinkedSource((one,), error=untaken(one))
        else:
            yield from _built(one, options, build)


def link_faults(component: Component) -> Iterator[str]:
    """What is wrong with the patterns of a component."""
    for one in component.links:
        try:
            named = {*re.compile(one.pattern).groupindex, *one.options}
        except re.error as error:
            yield f"cannot be read: {one.pattern!r}: {error}"
            continue
        for name in sorted(named - set(component.options.model_fields)):
            yield f"gives an option {name!r} that it does not have: {one.pattern!r}"


def _taken(components: Sequence[Component], link: str) -> _Taken | None:
    for fallback in (False, True):
        for component in components:
            for pattern in component.links:
                options = pattern.match(link) if pattern.fallback is fallback else None
                if options is not None:
                    return _Taken(component, options, fallback)
    return None


def _is_list(taken: _Taken, option: str) -> bool:
    annotation = taken.component.options.model_fields[option].annotation
    return any(get_origin(part) in (list, tuple) for part in (annotation, *get_args(annotation)))


def _built(taken: _Taken, options: Mapping[str, Any], build: Callable[[Spec], Any]) -> Iterator[LinkedSource]:
    """The source for all links, but for those that it refuses."""
    component, links = taken.component, tuple(taken.links)
    spec, told = _spec(taken, options)
    if spec is not None:
        try:
            yield LinkedSource(links, component.name, build(spec), taken.fallback)
        except RagkitError as error:
            yield LinkedSource(links, component.name, error=error)
        return
    alone = [_only(taken, [place]) for place in range(len(links))] if taken.gathered else []
    good = {place for place, one in enumerate(alone) if _spec(one, options)[0] is not None}
    if good and len(good) < len(links):
        for place, one in enumerate(alone):
            if place not in good:
                yield from _built(one, options, build)
        yield from _built(_only(taken, sorted(good)), options, build)
        return
    wrong = ComponentError(f"the source {component.name!r} cannot take it: {told}", component=component.name)
    yield LinkedSource(links, component.name, error=wrong)


def _spec(taken: _Taken, options: Mapping[str, Any]) -> tuple[Spec | None, str]:
    """The component with its options, or what is wrong with them."""
    from ragkit.components.component import Spec

    component = taken.component
    shared = {name: value for name, value in options.items() if name in component.options.model_fields}
    try:
        values = component.options.model_validate({**shared, **taken.options, **taken.gathered})
    except ValidationError as error:
        return None, "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False))
    return Spec(Kind.SOURCE, component, values, component.name), ""


def _only(taken: _Taken, places: Sequence[int]) -> _Taken:
    """The same source for the links at `places`."""
    gathered = {name: [values[place] for place in places] for name, values in taken.gathered.items()}
    return replace(taken, links=[taken.links[place] for place in places], gathered=gathered)
