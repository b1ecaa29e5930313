"""HTTP: routes, authentication, problem+json, limits. No decision lives here."""
