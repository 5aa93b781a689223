"""Configuration for others: what ``extproc render TARGET`` prints, one module a target."""
