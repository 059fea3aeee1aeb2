"""The world's OpenAI clients, unchanged, against a running daemon."""
