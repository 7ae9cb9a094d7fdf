# Sourced first by every job here: strict mode, the checkout as the working folder, and on the way out
# one line on stderr with the job's name, its result, what it skipped, and its minutes.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

job_name=$(basename "$0")
job_skips=0

# skip WHAT WHY: this machine can't run WHAT; the job goes on and says so at its end.
skip() {
    job_skips=$((job_skips + 1))
    echo "SKIP $job_name: $1: $2" >&2
}

minutes() { printf '%d.%d min' $(($1 / 60)) $(($1 % 60 / 6)); }

# What a job redefines if it has something to clear up.
job_cleanup() { :; }

job_end() {
    local status=$? result=ok
    job_cleanup
    ((status == 0)) || result="FAILED (exit $status)"
    ((job_skips == 0)) || result="$result, $job_skips skipped"
    echo "== $job_name: $result, $(minutes "$SECONDS")" >&2
}
trap job_end EXIT

echo "== $job_name" >&2

# Where cargo builds; jobs that need other compiler flags build in a folder of their own below it,
# so that they don't throw away what the tests built.
# shellcheck disable=SC2034
target_dir=${CARGO_TARGET_DIR:-target}
