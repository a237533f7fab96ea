"""The operating system: files, memory, the processor, signals and the terminal."""
