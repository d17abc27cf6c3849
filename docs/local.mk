# docs/: user guide, generated CLI reference, man pages, design notes.
