#!/bin/sh
# What a GPU's compiler makes of heed's kernels, on a Debian machine without that GPU:
#   bench/isa/isa.sh [CONFIG] [key=value ...]   every pipeline of a training step (default nanogpt_cpu), as a Markdown table
#   bench/isa/isa.sh FILE.wgsl ...              single kernels
# ISA_GPU  NAVI21 (default), NAVI10, VEGA10, POLARIS10, GFX1100: AMD, by Mesa's RADV
#          0x9a49 (Tiger Lake), 0x56a0 (Arc A770) or another PCI id that Mesa knows: Intel, by Mesa's ANV
#          sm_90, sm_89, sm_80 ...: NVIDIA, by nvcc from RADV's SPIR-V; NVDISASM is the path of nvdisasm
# ISA_OUT  the folder that keeps what the table is made of (SPIR-V, WGSL, statistics, assembly); default: not kept
# Exit codes: 2 where a compiler, a driver or a disassembler is missing or an argument is wrong, 1 where a kernel fails.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
case ${1:-} in -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;; esac

refuse() {
  echo "isa.sh: $1" >&2
  exit 2
}
missing() { refuse "$1 is missing: $2"; }
need() { command -v "$1" > /dev/null || missing "$1" "$2"; }
header() { echo "#include <$1>" | gcc -E -x c - > /dev/null 2>&1 || missing "the header $1" "apt-get install $2"; }
# Debian 12 names these files by architecture, later releases do not.
driver() {
  for icd in "/usr/share/vulkan/icd.d/$1_icd.json" /usr/share/vulkan/icd.d/"$1"_icd.*.json; do
    if [ -e "$icd" ]; then return; fi
  done
  missing "Mesa's Vulkan driver for $2" "apt-get install mesa-vulkan-drivers"
}
# RADV aborts at a family that it does not know.
family() {
  library=$(sed -n 's/.*"library_path": "\([^"]*\)".*/\1/p' "$icd")
  if [ -r "$library" ] && ! LC_ALL=C grep -aqw "$gpu" "$library"; then
    refuse "ISA_GPU: expected a family of Mesa's RADV, such as NAVI21, found \"$gpu\"."
  fi
}

gpu=${ISA_GPU:-NAVI21}
need deno "see https://docs.deno.com/runtime/getting_started/installation"
need gcc "apt-get install gcc"
header stdio.h libc6-dev
header vulkan/vk_layer.h libvulkan-dev
case $gpu in
  0x*) header libdrm/i915_drm.h libdrm-dev; driver intel Intel ;;
  sm_*)
    need nvcc "install NVIDIA's CUDA toolkit"
    need "${NVDISASM:=nvdisasm}" \
      "install NVIDIA's CUDA toolkit, or triton by pip, and set NVDISASM to its backends/nvidia/bin/nvdisasm"
    need spirv-cross "apt-get install spirv-cross"
    need python3 "apt-get install python3"
    export NVDISASM
    driver radeon AMD ;;
  *) driver radeon AMD; family ;;
esac

build=$(mktemp -d)
# ANV keeps 19 characters of this path.
stub=$(mktemp /tmp/isa.XXXXXX)
trap 'rm -rf "$build" "$stub"' EXIT
out=${ISA_OUT:-$build/out}
mkdir -p "$out"
rm -f "$out"/[0-9][0-9][0-9][0-9].* "$out/dispatches.json" "$out/label"

gcc -shared -fPIC -O1 -o "$build/libisa_layer.so" "$here/isa_layer.c"
cat > "$build/isa_layer.json" <<JSON
{"file_format_version": "1.2.0", "layer": {"name": "VK_LAYER_isa", "type": "GLOBAL", "api_version": "1.3.0",
 "library_path": "$build/libisa_layer.so", "implementation_version": "1", "description": "dumps compute pipelines"}}
JSON
export ISA_DIR="$out" VK_LAYER_PATH="$build" VK_INSTANCE_LAYERS=VK_LAYER_isa DENO_WEBGPU_BACKEND=vulkan
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/tmp}" DENO_NO_UPDATE_CHECK=1 MESA_SHADER_CACHE_DISABLE=true
case $gpu in
  0x*)
    gcc -shared -fPIC -O1 -I/usr/include/libdrm -o "$build/libdrm_stub.so" "$here/intel/drm_stub.c" -ldl
    with_gpu() {
      STUB_DEVICE=$gpu STUB_FILE=$stub INTEL_NO_HW=1 ISA_FAKE=1 LD_PRELOAD="$build/libdrm_stub.so" \
        VK_ICD_FILENAMES=$icd "$@"
    } ;;
  sm_*) with_gpu() { RADV_FORCE_FAMILY=NAVI21 VK_ICD_FILENAMES=$icd "$@"; } ;;
  *) with_gpu() { RADV_FORCE_FAMILY=$gpu VK_ICD_FILENAMES=$icd "$@"; } ;;
esac
case ${1:-} in *.wgsl) script=isa_wgsl.ts ;; *) script=isa_compile.ts ;; esac
with_gpu deno run -A --config "$here/../../deno.json" "$here/$script" "$@"
case $gpu in
  sm_*) python3 "$here/nvidia/sass_table.py" "$out" --arch "$gpu" ;;
  *) deno run --allow-read "$here/isa_table.ts" "$out" ;;
esac
