"""drive_token.json -> access tokens, renewed in time and saved."""
