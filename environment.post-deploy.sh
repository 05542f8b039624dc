#!/usr/bin/env bash
# `snakemake --software-deployment-method conda` runs this in the environment that it made from environment.yml.
set -euo pipefail
uv pip install --python "$CONDA_PREFIX/bin/python" -r requirements.lock
