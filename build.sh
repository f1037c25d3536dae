#!/usr/bin/env bash
# Installs what is missing, builds dist/ and serves it; `./build.sh help` lists the commands.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

PORT=${PORT:-8080}
TARGET=wasm32-unknown-unknown
TARGET_DIR=${CARGO_TARGET_DIR:-target}
BINDGEN_DIR=$TARGET_DIR/bindgen
TOOLS=$PWD/.tools
CARGO_FUZZ=0.13.2

usage() {
  cat <<'TEXT'
./build.sh                  install what is missing, build dist/, serve it at http://localhost:8080 (PORT=... for another)
./build.sh build            the same without serving
./build.sh serve            serve dist/ as it is
./build.sh test             every test: native (goldens on the CPU and on wgpu), then the page in a headless Chromium
./build.sh test native      cargo test --release (arguments after it are passed on)
./build.sh test reference   the goldens alone (arguments are passed on: --device cpu|wgpu, names of cases);
                            FOURSTEP_REFERENCE=FOLDER takes another set (and FOURSTEP_REFERENCE_EXPECT=FILE its set.json)
./build.sh test browser     the browser tests alone (arguments: parts of their files' names)
./build.sh lint             rustfmt, clippy, rustdoc, TypeScript's checks and the formatter of the JavaScript
                            (arguments: some of format, rust, web, fuzz, docs, js)
./build.sh fuzz             every fuzz target 10^7 times, one after the other (RUNS=... for another number; arguments: some targets)
TEXT
}

main() {
  local command=${1:-all}
  [ $# -eq 0 ] || shift
  case $command in
    all)
      build
      serve
      ;;
    build) build ;;
    serve) serve ;;
    test) run_tests "$@" ;;
    lint) lint "$@" ;;
    fuzz) fuzz "$@" ;;
    help | -h | --help) usage ;;
    *) usage >&2; fail "unknown command: $command" ;;
  esac
}

say() { printf '\033[1m==> [%s] %s\033[0m\n' "$(date +%H:%M:%S)" "$*" >&2; }
fail() { printf 'build.sh: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# ---- The page --------------------------------------------------------------------------------------------------------

build() {
  have node || fail "Node.js is missing: install version 20 or newer and run this again"
  compile_wasm
  bind pkg "$TARGET_DIR/$TARGET/web/fourstep.wasm"
  say "Compiling the wasm that fits models to pictures (the first time takes 5 minutes on two cores)"
  compile_member deeper web
  bind deeper "$TARGET_DIR/$TARGET/web/fourstep_deeper.wasm"
  say "Compiling the lesson's wasm"
  compile_member how how
  bind how "$TARGET_DIR/$TARGET/how/fourstep_how.wasm"
  assemble_dist
  say "dist/ is built ($(du -sh dist | cut -f1))"
}

compile_wasm() {
  have cargo || fail "Rust is missing: install it from https://rustup.rs and run this again"
  local flags=(--no-default-features --features web --lib --crate-type cdylib --profile web --target "$TARGET")
  if has_wasm_target || add_wasm_target; then
    say "Compiling the wasm (the first time takes 10 to 20 minutes on two cores)"
    cargo rustc "${flags[@]}"
  else
    need_debian_rust
    say "Compiling the wasm and Rust's std with Debian's Rust (the first time takes 10 to 20 minutes on two cores)"
    local linker; linker=$(wasm_linker)
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$linker \
      /usr/bin/cargo rustc -Zbuild-std=std,panic_abort "${flags[@]}"
  fi
}

# compile_member NAME PROFILE: the module of a member of the workspace: how (src/foundations alone) or deeper (all, with gradients).
compile_member() {
  local flags=(--package "fourstep-$1" --profile "$2" --target "$TARGET")
  if has_wasm_target; then
    cargo build "${flags[@]}"
  else
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$(wasm_linker) \
      /usr/bin/cargo build -Zbuild-std=std,panic_abort "${flags[@]}"
  fi
}

# bind NAME WASM: the JavaScript around a module, remade only when the wasm is newer.
bind() {
  local folder=$BINDGEN_DIR/$1 wasm=$2
  need_wasm_bindgen
  if [ -e "$folder.done" ] && [ ! "$wasm" -nt "$folder.done" ]; then return; fi
  say "Running wasm-bindgen: $1"
  rm -rf "$folder"
  "$TOOLS/bin/wasm-bindgen" --target web --no-typescript --out-dir "$folder" "$wasm"
  touch -r "$wasm" "$folder.done"
}

# dist/ is put together beside the old one and then takes its place, so that a half-built page is never served.
assemble_dist() {
  rm -rf dist.tmp dist.old
  mkdir dist.tmp
  cp index.html NOTICE dist.tmp/
  cp -R www "$BINDGEN_DIR/pkg" dist.tmp/
  cp -R "$BINDGEN_DIR/how" dist.tmp/www/how/pkg
  mkdir -p dist.tmp/www/deeper
  cp -R "$BINDGEN_DIR/deeper" dist.tmp/www/deeper/pkg
  cp -R src/text/clip dist.tmp/www/clip
  node tools/cells.mjs . dist.tmp/www/how/cells.json
  copy_models dist.tmp/models
  say "Compressing and checking the first visit's budgets (a minute when the wasm has changed)"
  node tools/pack.mjs dist.tmp "$TARGET_DIR/compressed" || fail "the page is over its budget (tools/pack.mjs)"
  if [ -e dist ]; then mv dist dist.old; fi
  mv dist.tmp dist
  rm -rf dist.old
}

# Of models/ only what a page loads: configurations, tokenizers, weights and licences.
copy_models() {
  mkdir -p "$1"
  local file
  find models -type f \( -name '*.json' -o -name '*.txt' -o -name '*.safetensors' -o -name 'LICENSE*' \) |
    while IFS= read -r file; do
      mkdir -p "$1/$(dirname "${file#models/}")"
      cp "$file" "$1/${file#models/}"
    done
}

serve() {
  [ -e dist/index.html ] || fail "dist/ is not built: run ./build.sh"
  need_node_packages
  local opener; opener=$(page_opener)
  if [ -n "$opener" ]; then (sleep 1; "$opener" "http://localhost:$PORT" >/dev/null 2>&1) & fi
  exec node tools/serve.mjs dist "$PORT"
}

# The command that opens an address on this machine; nothing where there is no screen.
page_opener() {
  if [ "$(uname)" = Darwin ]; then echo open
  elif [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] && have xdg-open; then echo xdg-open
  fi
}

# ---- Tests -----------------------------------------------------------------------------------------------------------

# All parts run even if an earlier one fails; the last line is the browser tests' count.
run_tests() {
  local part=${1:-all} failed=0
  [ $# -eq 0 ] || shift
  case $part in
    all)
      test_all || failed=1
      return $failed
      ;;
    native) test_native "$@" ;;
    reference) cargo test --release --test reference -- "$@" ;;
    browser) test_browser "$@" ;;
    *) fail "unknown part of the tests: $part (native, reference or browser)" ;;
  esac
}

# The page is built beside the native tests: each of the two leaves a core idle for long.
test_all() {
  local failed=0 page log=$TARGET_DIR/page.log
  need_everything
  say "Building the page in the background (what it prints: $log)"
  ./build.sh build >"$log" 2>&1 &
  page=$!
  ./build.sh test native || failed=1
  wait "$page" || true # the browser tests build again, and show why
  ./build.sh test browser || failed=1
  return $failed
}

test_native() {
  need_data
  need_fonts
  need_vulkan
  local failed=0
  say "Testing natively"
  cargo test --release --no-fail-fast "$@" || failed=1
  [ $# -eq 0 ] || return $failed
  say "Testing the goldens on wgpu"
  cargo test --release --test reference -- --device wgpu || failed=1
  return $failed
}

test_browser() {
  build
  need_node_packages
  need_chromium
  say "Testing the page in Chromium"
  node tests/browser/run.mjs "$@"
}

# ---- Lint ------------------------------------------------------------------------------------------------------------

# All parts run even if an earlier one fails.
lint() {
  local part failed=0
  [ $# -gt 0 ] || set -- format rust web fuzz docs js
  for part in "$@"; do
    case $part in
      format | rust | web | fuzz | docs | js) say "Linting: $part"; "lint_$part" || { failed=1; say "Lint failed: $part"; } ;;
      *) fail "unknown part of the lint: $part (format, rust, web, fuzz, docs or js)" ;;
    esac
  done
  return $failed
}

lint_format() {
  cargo fmt --check && cargo fmt --manifest-path fuzz/Cargo.toml --check
}

lint_rust() {
  cargo clippy --release --all-targets -- -D warnings
}

# The wasm's own code, with the profile that it is built with.
lint_web() {
  local flags=(--no-default-features --features web --lib --profile web --target "$TARGET")
  if has_wasm_target || add_wasm_target; then
    cargo clippy "${flags[@]}" -- -D warnings &&
      cargo clippy --profile web --package fourstep-deeper --target "$TARGET" -- -D warnings &&
      cargo clippy --profile how --package fourstep-how --target "$TARGET" -- -D warnings
  else
    need_debian_rust
    [ -x /usr/bin/cargo-clippy ] || install_packages "clippy for Debian's Rust" rust-web-clippy
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 PATH=/usr/bin:$PATH \
      /usr/bin/cargo clippy -Zbuild-std=std,panic_abort "${flags[@]}" -- -D warnings
  fi
}

lint_fuzz() {
  cargo clippy --release --manifest-path fuzz/Cargo.toml --target-dir "$TARGET_DIR/fuzz" -- -D warnings
}

lint_docs() {
  RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps --lib
}

lint_js() {
  need_node_packages
  local failed=0
  npx --no-install tsc -p tsconfig.json || failed=1
  npx --no-install tsc -p tsconfig.worker.json || failed=1
  npx --no-install prettier --check "www/**/*.js" "tests/browser/**/*.mjs" "tools/**/*.mjs" || failed=1
  return $failed
}

# ---- Fuzzing ---------------------------------------------------------------------------------------------------------

# Optimised, with debug assertions and overflow checks (cargo-fuzz's default). The inputs that a run finds go to target/, so
# that the seeds in fuzz/corpus stay few.
fuzz() {
  need_cargo_fuzz
  local target
  [ $# -gt 0 ] || set -- $(cd fuzz/fuzz_targets && ls -- *.rs | sed 's/\.rs$//')
  for target in "$@"; do
    say "Fuzzing: $target"
    mkdir -p "$TARGET_DIR/fuzz/corpus/$target"
    RUSTC_BOOTSTRAP=1 "$TOOLS/bin/cargo-fuzz" run --target-dir "$TARGET_DIR/fuzz" "$target" \
      "$TARGET_DIR/fuzz/corpus/$target" "fuzz/corpus/$target" -- -runs="${RUNS:-10000000}" -rss_limit_mb=2048 -print_final_stats=1
  done
}

# ---- What has to be installed ----------------------------------------------------------------------------------------

# All that tests install, before two parts of them run side by side.
need_everything() {
  need_data
  need_fonts
  need_vulkan
  need_chromium
  has_wasm_target || add_wasm_target || { need_debian_rust; wasm_linker >/dev/null; }
  mkdir -p "$TARGET_DIR"
}

has_wasm_target() {
  local libraries
  libraries=$(rustc --print target-libdir --target "$TARGET" 2>/dev/null) && [ -d "$libraries" ]
}

add_wasm_target() {
  have rustup || return 1
  say "Adding the target $TARGET"
  rustup target add "$TARGET" && has_wasm_target
}

# Debian's compiler for the web, with the sources of std, where rustup cannot reach its server.
need_debian_rust() {
  [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && [ -d /usr/lib/rustlib/src/rust/library ] && return
  install_packages "Rust for $TARGET (rustup target add $TARGET)" rustc-web cargo-web rust-web-src
}

# rustup's own lld, or the newest wasm-ld of the system.
wasm_linker() {
  local found
  found=$(find "$(rustc --print sysroot)/lib/rustlib" -name rust-lld -type f 2>/dev/null | head -n 1)
  [ -n "$found" ] || found=$(compgen -c wasm-ld | grep -E '^wasm-ld(-[0-9]+)?$' | sort -t- -k3 -n | tail -n 1)
  if [ -z "$found" ]; then
    install_packages "a linker for wasm (lld)" lld-22 >&2
    found=wasm-ld-22
  fi
  echo "$found"
}

# wasm-bindgen's command must have exactly the version of the crate.
need_wasm_bindgen() {
  local version
  version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/version = "\(.*\)"/\1/p;}' Cargo.lock)
  [ "$("$TOOLS/bin/wasm-bindgen" --version 2>/dev/null)" = "wasm-bindgen $version" ] && return
  say "Installing wasm-bindgen $version into .tools/"
  local install=(cargo install --quiet --version "$version" --root "$TOOLS" wasm-bindgen-cli)
  "${install[@]}" --locked || {
    say "Its locked dependencies are not to be had here; trying again with the newest compatible ones"
    "${install[@]}"
  }
}

need_cargo_fuzz() {
  [ "$("$TOOLS/bin/cargo-fuzz" --version 2>/dev/null)" = "cargo-fuzz $CARGO_FUZZ" ] && return
  say "Installing cargo-fuzz $CARGO_FUZZ into .tools/"
  cargo install --quiet --locked --version "$CARGO_FUZZ" --root "$TOOLS" cargo-fuzz
}

need_node_packages() {
  have node && have npm || fail "Node.js is missing: install version 20 or newer and run this again"
  [ node_modules/.package-lock.json -nt package-lock.json ] && return
  say "Installing the npm packages of package-lock.json"
  npm ci --no-fund --no-audit
}

need_chromium() {
  if [ -n "${CHROMIUM:-}" ] || have chromium || have chromium-browser || have google-chrome; then return; fi
  install_packages "Chromium (or name a browser: CHROMIUM=/path/to/chrome)" chromium
}

# A Vulkan driver for the tests on wgpu; Mesa's lavapipe serves where there is no GPU.
need_vulkan() {
  [ "$(uname)" = Linux ] || return 0
  compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null || compgen -G '/etc/vulkan/icd.d/*.json' >/dev/null ||
    install_packages "a Vulkan driver" mesa-vulkan-drivers libvulkan1
}

# The drawings of emoji and their names, from which the training pictures are made.
need_data() {
  need_node_packages
  [ -e /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf ] && [ -e /usr/share/unicode/emoji/emoji-test.txt ] &&
    [ -d /usr/share/unicode/cldr/common/annotations ] && return
  install_packages "Noto Color Emoji and Unicode's names of emoji" fonts-noto-color-emoji unicode-data unicode-cldr-core
}

# The fonts that fourstep digits draws from.
need_fonts() {
  [ -e /usr/share/fonts/opentype/bwht/BecauseWeBuild-Regular.otf ] && [ -e /usr/share/fonts/truetype/breip/Breip.ttf ] && return
  install_packages "free fonts with digits" fonts-dejavu-core fonts-comic-neue fonts-humor-sans fonts-breip \
    fonts-dkg-handwriting fonts-ecolier-court fonts-dancingscript fonts-bwht
}

# install_packages WHAT PACKAGE...: by apt where that is possible, else says what to install.
install_packages() {
  local what=$1 as_root=()
  shift
  have apt-get || fail "missing: $what. Install it with your system's packages (Debian's names: $*) and run this again"
  if [ "$(id -u)" != 0 ]; then
    have sudo && sudo -n true 2>/dev/null || fail "missing: $what. Run: sudo apt-get install $*"
    as_root=(sudo)
  fi
  say "Installing $*"
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get)
  { "${apt[@]}" update -q && "${apt[@]}" install -y -q --no-install-recommends "$@"; } >"$(apt_log)" 2>&1 ||
    { tail -n 20 "$(apt_log)" >&2; fail "apt-get could not install $* (needed for: $what)"; }
}

apt_log() { mkdir -p "$TARGET_DIR" && echo "$TARGET_DIR/apt.log"; }

main "$@"
