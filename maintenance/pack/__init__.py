"""The acceptance pack: one zip that a reader opens with a browser and checks with stock tools."""
