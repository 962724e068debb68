"""What C libraries think of a file, kept off the terminal."""

import ctypes


def quiet_c_libraries() -> None:
    """Discard what C libraries print to `stderr` in this process: it breaks the progress bar.

    libmpg123 prints what it finds odd about an MP3, and libsndfile, which holds it, has no switch
    for that; what is wrong with a clip comes back as an error of ours all the same. C's stream is
    replaced, and not the file descriptor, so that what Python prints, a traceback of its fault
    handler, glibc's last words and those of child processes still arrive. With another C library
    than glibc nothing happens.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return
    libc.fopen.restype = ctypes.c_void_p
    nowhere = libc.fopen(b"/dev/null", b"w")
    if nowhere is not None:
        ctypes.c_void_p.in_dll(libc, "stderr").value = nowhere
