"""Settings that all tests share."""

from hypothesis import settings

# Examples are bounded in number, not in time: a loaded machine must not fail a test.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
