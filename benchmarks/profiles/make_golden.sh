#!/bin/sh
# One environment a library under $1 (a scratch folder), then its numbers into tests/metrics/golden_profiles.json.
set -e
where=${1:?give a scratch folder}
here=$(cd "$(dirname "$0")/../.." && pwd)
library() {
    name=$1; shift
    [ -x "$where/$name/bin/python" ] || { python3.11 -m venv "$where/$name"; "$where/$name/bin/pip" install -q "$@"; }
    "$where/$name/bin/python" "$here/benchmarks/profiles/make_golden.py" "$name" "$here/tests/metrics/golden_profiles.json"
}
library irspack irspack==0.5.2
library implicit implicit==0.7.3
library rectools rectools==0.19.0 "numpy<2"
library lenskit lenskit==2025.8.1
library ranx ranx==0.3.21
library cornac cornac==3.0.1
if [ ! -x "$where/recbole/bin/python" ]; then
    python3.11 -m venv "$where/recbole"
    "$where/recbole/bin/pip" install -q "numpy<2" scipy scikit-learn
    "$where/recbole/bin/pip" install -q --no-deps recbole==1.2.1
fi
library recbole
if [ ! -x "$where/recommenders/bin/python" ]; then
    python3.11 -m venv "$where/recommenders"
    "$where/recommenders/bin/pip" install -q "numpy<2" "pandas<2.3" scikit-learn scipy
    "$where/recommenders/bin/pip" install -q --no-deps recommenders==1.2.1
fi
library recommenders
