# shellcheck shell=bash
# Sections of a long check, for `./test` and `.ci/run` (bash, sourced from the repository's root).
#
#   section NAME COMMAND...   runs a check, shows its output, remembers how it went and how long
#   skip NAME REASON          says plainly that a check did not run
#   need COMMAND PACKAGE WHY  asks for a tool; install_needed then gets what is missing from Debian
#   close_sections            prints the table and the closing line; its status is that of the whole
#
# A failed section does not stop the others: one run shows everything that is wrong.

section_log=target/check-logs
section_table=()
section_passed=0
section_failed=0
section_skipped=0
section_started=$SECONDS
mkdir -p "$section_log"

# Set by .ci/run for the ./test that it starts: the file that receives our figures, so that one
# closing line counts everything.
section_parent=${GUANTONG_SECTION_PARENT:-}

# title TEXT: one line that is easy to find in a long log.
title() {
  printf '\n=== %s ===\n' "$1"
}

# section NAME COMMAND...
section() {
  local name=$1 log status=0 begun=$SECONDS figures passed failed skipped word=ok
  shift
  log="$section_log/${name//[^a-zA-Z0-9]/-}.log"
  title "$name"
  "$@" </dev/null 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  figures=$(count_tests "$log")
  read -r passed failed skipped <<<"$figures"
  if [ $((passed + failed)) -eq 0 ]; then
    # A check that counts no tests is one test.
    if [ "$status" -eq 0 ]; then passed=1; else failed=1; fi
  elif [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
    failed=1
  fi
  if [ "$status" -ne 0 ]; then word=FAILED; fi
  section_passed=$((section_passed + passed))
  section_failed=$((section_failed + failed))
  section_skipped=$((section_skipped + skipped))
  section_table+=("$(printf '%-8s %5ss  %s' "$word" $((SECONDS - begun)) "$name")")
}

# skip NAME REASON
skip() {
  title "$1"
  echo "SKIPPED: $2"
  section_skipped=$((section_skipped + 1))
  section_table+=("$(printf '%-8s %5s   %s: %s' skipped - "$1" "$2")")
}

# count_tests LOG: passed, failed and skipped tests by the closing lines of cargo test, pytest and
# Surefire, or by the closing line of another of these scripts.
count_tests() {
  awk '
    /^test result: / {
      for (i = 1; i < NF; i++) {
        if ($(i + 1) ~ /^passed/) passed += $i
        if ($(i + 1) ~ /^failed/) failed += $i
        if ($(i + 1) ~ /^ignored/) skipped += $i
      }
    }
    /^=+ .* in [0-9.]+s.* =+$/ {
      for (i = 1; i < NF; i++) {
        if ($(i + 1) ~ /^passed/) passed += $i
        if ($(i + 1) ~ /^(failed|error)/) failed += $i
        if ($(i + 1) ~ /^skipped/) skipped += $i
      }
    }
    /^(\[[A-Z]+\] )?Tests run: [0-9]+, Failures: [0-9]+, Errors: [0-9]+, Skipped: [0-9]+$/ {
      gsub(/[^0-9 ]/, ""); $0 = $0
      passed += $1 - $2 - $3 - $4; failed += $2 + $3; skipped += $4
    }
    END { print passed + 0, failed + 0, skipped + 0 }
  ' "$1"
}

# close_sections
close_sections() {
  local row
  if [ -n "$section_parent" ]; then
    {
      echo "$section_passed $section_failed $section_skipped"
      printf '%s\n' "${section_table[@]}"
    } >"$section_parent"
  else
    title "summary"
    for row in "${section_table[@]}"; do echo "$row"; done
    echo "total: $((SECONDS - section_started)) s, logs in $section_log"
    echo "tests: $section_passed passed, $section_failed failed, $section_skipped skipped"
  fi
  [ "$section_failed" -eq 0 ]
}

# adopt FILE: takes over the figures of a script that was started with GUANTONG_SECTION_PARENT.
adopt() {
  local passed failed skipped row
  if [ ! -s "$1" ]; then
    section_failed=$((section_failed + 1))
    section_table+=("$(printf '%-8s %5s   %s' FAILED - "a script ended without its figures")")
    return
  fi
  {
    read -r passed failed skipped
    while IFS= read -r row; do section_table+=("$row"); done
  } <"$1"
  section_passed=$((section_passed + passed))
  section_failed=$((section_failed + failed))
  section_skipped=$((section_skipped + skipped))
}

# rust_is_new: whether cargo is here and as new as Cargo.toml asks; says what to do if not. The
# cargo of a Debian release may be older than that, so it is not installed by itself.
rust_is_new() {
  local found wanted
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  found=$(cargo --version 2>/dev/null | awk '{ print $2 }')
  if [ -n "$found" ] && printf '%s\n' "$wanted" "$found" | sort --version-sort --check=quiet; then
    return 0
  fi
  echo "Rust $wanted or newer is needed, found: ${found:-none}. Install it from https://rustup.rs"
  return 1
}

needed_packages=()
needed_reasons=()

# need COMMAND PACKAGE WHY: COMMAND is looked for on the path, or run if it holds a space.
need() {
  case $1 in
    *' '*) if eval "$1" >/dev/null 2>&1; then return; fi ;;
    *) if command -v "$1" >/dev/null 2>&1; then return; fi ;;
  esac
  needed_packages+=("$2")
  needed_reasons+=("  $2: $3")
}

# install_needed: gets what `need` found missing; says what is missing if it cannot.
install_needed() {
  local as_root=()
  if [ ${#needed_packages[@]} -eq 0 ]; then
    echo "All tools are here."
    return 0
  fi
  echo "Missing Debian packages:"
  printf '%s\n' "${needed_reasons[@]}"
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "There is no apt-get here: install the equivalents of these packages by hand."
    return 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
      echo "Run this as root, then try again: apt-get install ${needed_packages[*]}"
      return 1
    fi
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -q &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -q -y --no-install-recommends "${needed_packages[@]}"
}
