#!/usr/bin/env bash
# Types README's "Running it" from top to bottom in one folder, as a new user would, after the demo:
# no line may end in a traceback, every exit status is the expected one, and at the end the first
# comparison says what it said at first. FIRST_USER_SAMPLES=3 takes fewer samples than README does.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
case $python in */*) python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python") ;; esac
work=${1:-$(mktemp -d)}
mkdir -p "$work" && cd "$work" || exit 1
few=${FIRST_USER_SAMPLES:+dataset.n_samples=$FIRST_USER_SAMPLES}
export COLUMNS=100 TERM=dumb
failures=0

type_in() { # expected statuses, words of the command line
  local allowed=" $1 " status
  shift
  printf '$ %s\n' "$*"
  timeout 1500 "$@" > line.log 2>&1 < /dev/null
  status=$?
  if [[ $allowed != *" $status "* ]] || grep -q Traceback line.log; then
    printf '   exit status %s, expected%s\n' "$status" "$allowed"
    tail -n 30 line.log
    failures=$((failures + 1))
  fi
}

compared() { # the comparison of the demo's points, whatever else is stored
  local demo="seed=0,objective=sft,series=$1"
  "$python" -m gradsweep compare "cot=none,$demo" "cot=detailed,$demo" 2>/dev/null |
    grep -v '^figure' > "$2" || true
}

type_in 0 "$python" -m gradsweep -m cot=none,simplified,detailed correctness=correct,irrelevant $few tracking=none
"$python" -m gradsweep compare cot=none cot=detailed | grep -v '^figure' > first.txt

while IFS= read -r line; do
  words=${line%%#*}
  read -ra argv <<< "$words"
  argv=("$python" "${argv[@]:1}")
  expected=0
  case $words in
    *" logs "* | *" sync"* | *llama3_8b\ model.quantization*) expected="0 1" ;; # no such point, no server, no hub
  esac
  case $words in
    *--help* | *" plan "* | *" status"* | *" logs "* | *" retry"* | *" cancel "* | *" report"* | *" sync"* | *" dashboard"* | *" compare"* | *" doctor"*) ;;
    *" verify "*) argv+=(n_samples=1) ;;
    *n_samples=*) ;;
    *" +experiment="*) argv+=(${FIRST_USER_SAMPLES:+n_samples=$FIRST_USER_SAMPLES}) ;; # which says n_samples itself
    *) argv+=($few) ;;
  esac
  type_in "$expected" "${argv[@]}"
done < <(sed -n '/^## Running it/,/^```$/p' "$root/README.md" | grep '^python -m gradsweep')

compared "${FIRST_USER_SAMPLES:+n_samples=}${FIRST_USER_SAMPLES:-default}" last.txt
# Later lines measure more projections of the same points, which takes columns and digits from q to o.
numbers() {
  grep -E '^ *((mean +none|ratio|d_z|MAD +none|detailed) |RD +[0-9]+\.)' "$1" |
    grep -oE '(-?[0-9]+(\.[0-9]+)?×? +){3}-?[0-9]+(\.[0-9]+)?×?' | tr -d '×' | tr -s ' '
}
same='paste -d" " - - | awk "{ for (i = 1; i <= 4; i++) if ((\$i - \$(i + 4))^2 > (0.05 * \$i)^2) exit 1 }"'
if ! [[ $(numbers first.txt | wc -l) -gt 0 && $(numbers first.txt | wc -l) -eq $(numbers last.txt | wc -l) ]] ||
  ! paste -d '\n' <(numbers first.txt) <(numbers last.txt) | bash -c "$same"; then
  diff <(numbers first.txt) <(numbers last.txt)
  echo "the first comparison says something else at the end"
  failures=$((failures + 1))
fi
printf '%s lines failed, in %s\n' "$failures" "$work"
exit "$((failures > 0))"
