"""The outside of an invocation: settings -> adapters, request -> answer, in time."""
