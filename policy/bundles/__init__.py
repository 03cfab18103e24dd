"""OPA's bundles: built, signed, checked, fetched and kept; what is not plain is refused."""
