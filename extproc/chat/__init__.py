"""The canonical form of a conversation: what every chat format is read into and written from, so that converters meet here."""
