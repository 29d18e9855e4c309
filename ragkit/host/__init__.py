"""The host: finds the plugins, keeps them to the rules, and knows every component.

`Host()` loads the built-in plugins and all that is installed; `Host(plugins=[…], entry_points=False)` is for tests and
for plugins within a program. Pluggy stays in here.
"""

from ragkit.host.discovery import PluginInfo
from ragkit.host.host import NAMED_KINDS, Host
from ragkit.host.words import label, nearest

__all__ = ["NAMED_KINDS", "Host", "PluginInfo", "label", "nearest"]
