"""What tasks call: one module for each kind of integration, each a function from a task to its outcome."""
