"""How much memory there is."""

import os
from pathlib import Path


def physical_memory() -> int:
    """Bytes of memory that this process may fill: those of the machine, or of its control group if they are fewer."""
    sizes = []
    try:
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        sizes.append(8 * 2**30)  # a usual one, where nobody tells
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            sizes.append(int(Path(file).read_text()))
        except (OSError, ValueError):
            continue
    return min(sizes)
