"""What `loadline doctor` looks at. Nothing is changed, and no right to write is needed."""
