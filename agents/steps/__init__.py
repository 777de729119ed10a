"""What the graph's nodes do. Effects are keyed by content: doing a step twice leaves the same records as once."""
