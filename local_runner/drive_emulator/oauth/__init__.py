"""OAuth 2.0 without HTTP: tokens, consent, assertions of service accounts."""
