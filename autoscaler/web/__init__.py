"""What the daemon serves over HTTP: recommendations, metrics, health. Nothing here changes anything."""
