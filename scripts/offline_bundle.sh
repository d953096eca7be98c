#!/usr/bin/env bash
# Everything `uae` needs on a machine without a network: run this where there is one, copy the folder over.
#
#   scripts/offline_bundle.sh bundle            wheels for this machine's Python and platform (about 3 GB)
#   scripts/offline_bundle.sh bundle --no-torch for a machine that has torch and torchvision already
#
# There:  python3 -m pip install --no-index --find-links bundle uae
# Datasets are files: copy the data root too, and set UAE_DATA.
set -euo pipefail
bundle=${1:?usage: scripts/offline_bundle.sh FOLDER [--no-torch]}
checkout=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$bundle"
python3 -m pip wheel --quiet --wheel-dir "$bundle" "$checkout"
if [ "${2:-}" = --no-torch ]; then
  # What torch brings along is by far the largest part
  rm -f "$bundle"/torch-* "$bundle"/torchvision-* "$bundle"/triton-* "$bundle"/nvidia_* "$bundle"/cuda_*
fi
du -sh "$bundle"
