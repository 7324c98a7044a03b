"""The web framework: endpoint table to router, parsing, problem+json, OpenAPI, auth, limits."""
