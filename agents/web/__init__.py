"""Templates of the pages: self-contained HTML, styles and plots inline, nothing loaded from elsewhere."""
