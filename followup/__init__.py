"""The follow-up service: see docs and README; every layer is described in CONTRIBUTING."""

__version__ = "0.1.0"
