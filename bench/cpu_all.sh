#!/usr/bin/env bash
# The training step on a CPU in PyTorch, jax-js, heed and heed at commit f9ba6f6: every contender is a process of its own, they
# take turns, and a table has the median of the rounds and their range. Use a quiet machine with nothing beside it.
# PYTHON=python3 BLAS=auto bash bench/cpu_all.sh [rounds]; without BLAS heed uses its own products only.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5}
python=${PYTHON:-python3}
before=f9ba6f6
work=$(mktemp -d)
trap 'git worktree remove --force "$work/before" 2>/dev/null; rm -rf "$work"' EXIT
git worktree add -q --detach "$work/before" "$before"

# The contenders of a configuration: a name, then the command.
contenders() {
  cat <<END
PyTorch eager, 2 threads|$python bench/pytorch_step.py $1 2
PyTorch fused AdamW, 2 threads|$python bench/pytorch_step.py $1 2 fused
PyTorch eager, 1 thread|$python bench/pytorch_step.py $1 1
jax-js WebAssembly, all cores|deno run -A --config bench/deno.json bench/jax_step.ts $1
heed, 2 threads|deno run -A bench/cpu_step.ts $1 2
heed, 1 thread|deno run -A bench/cpu_step.ts $1 1
heed $before, TypeScript|deno run -A --config $work/before/deno.json bench/step_of_tree.ts $work/before $1
END
  [ -z "${BLAS:-}" ] || echo "heed with a BLAS, 2 threads|deno run -A bench/cpu_step.ts $1 2 --blas=$BLAS"
}

for round in $(seq "$rounds"); do
  for configuration in nanogpt_cpu default; do
    while IFS='|' read -r name command; do
      echo "round $round: $configuration, $name" >&2
      # The last line ends with the medians, after the device's name in heed's.
      medians=$($command </dev/null | tail -n 1 | sed 's/.*\[/[/')
      echo "$configuration|$name|$medians" >>"$work/medians"
    done < <(contenders "$configuration")
  done
done
deno run --allow-read bench/cpu_table.ts "$work/medians"
