"""An account's share of Drive's quota: how fast its requests may go."""
