"""The checks of `doctor`: each looks at one thing and says what mends it."""
