"""Who enters: accounts, sessions, authentication, second factors, API keys."""
