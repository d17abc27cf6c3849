# Check programs that put frames in and compare frames out, with a fake clock.
