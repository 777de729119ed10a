"""The MCP door: any coding agent may be the RTL writer of a campaign, with the same tools, gates and ledger."""
