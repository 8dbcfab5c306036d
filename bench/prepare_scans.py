"""Scans prepared as a plain script does it, with nibabel and SciPy, for bench/data-path.ts to compare with.

    /usr/bin/python3 bench/prepare_scans.py FOLDER OUT PROCESSES

What `inspect` finds (a hash, quantiles) and what preparation writes: canonical order, [-1000, 1000] HU as 16 bits, the box of
the body. Every scan is read once for both. Prints one JSON line: versions, scans, seconds, peak memory of a process in bytes.
"""
import glob
import hashlib
import json
import multiprocessing
import os
import resource
import sys
import time

import nibabel
import numpy as np
import scipy
from scipy import ndimage


def prepare(job):
    path, out = job
    image = nibabel.as_closest_canonical(nibabel.load(path))
    stored = np.asanyarray(image.dataobj)
    digest = hashlib.sha256(np.ascontiguousarray(stored)).hexdigest()
    low, high = np.percentile(stored, [0.5, 99.5])
    voxels = np.round(np.clip((stored.astype(np.float32) + 1000) / 2000, 0, 1) * 65535).astype(np.uint16)
    box = ndimage.find_objects((voxels > 65535 // 4).astype(np.uint8))[0]
    np.save(os.path.join(out, os.path.basename(path).split(".")[0] + ".npy"), voxels)
    return digest, low, high, str(box), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main():
    folder, out, processes = sys.argv[1], sys.argv[2], int(sys.argv[3])
    paths = sorted(glob.glob(os.path.join(folder, "**", "*.nii*"), recursive=True))
    start = time.perf_counter()
    with multiprocessing.Pool(processes) as pool:
        done = pool.map(prepare, [(path, out) for path in paths], chunksize=1)
    seconds = time.perf_counter() - start
    print(json.dumps({
        "nibabel": nibabel.__version__,
        "scipy": scipy.__version__,
        "scans": len(paths),
        "seconds": seconds,
        "peakBytes": processes * max(peak for *_, peak in done),
    }))


if __name__ == "__main__":
    main()
