"""Made-up claims that contradict each other, for whoever tries the database for the first time."""

from episteme.demo.load import PAIR, Loaded, demo_key, load_demo
from episteme.demo.story import STORY, Claim

__all__ = ["PAIR", "STORY", "Claim", "Loaded", "demo_key", "load_demo"]
