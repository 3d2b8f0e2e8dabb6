"""The token endpoint, the consent page, service accounts."""
