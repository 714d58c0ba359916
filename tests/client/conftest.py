"""The client's tests talk to the services that the server's tests start."""

from tests.serve.conftest import bundle_folder, clean_environment, finding_bundle, finding_live, live, serve

__all__ = ["bundle_folder", "clean_environment", "finding_bundle", "finding_live", "live", "serve"]
