"""The exchange: one HTTP request and its answer as one filter sees them. Synchronous, without IO: events in, effects out."""
