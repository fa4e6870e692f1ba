# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What every script here needs: where things are, how to speak, how to fail.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HARNESS=$TOP/harness
BUILD=$TOP/build
LOGS=$BUILD/logs
CACHE=${XDG_CACHE_HOME:-${HOME:?HOME is not set: set it, or XDG_CACHE_HOME}/.cache}/kvm-mem-attributes
JOBS=${JOBS:-$(nproc)}
export TOP HARNESS BUILD LOGS CACHE JOBS
# Nothing is written elsewhere, and no variable of this make reaches the kernel's.
export TMPDIR=$BUILD/tmp PYTHONDONTWRITEBYTECODE=1
mkdir -p "$TMPDIR"
unset MAKEFLAGS MFLAGS MAKELEVEL

# shellcheck source=../BASE
source "$TOP/BASE"

say()
{
	printf '==> [%3ds] %s\n' "$((SECONDS + ${STARTED_AGO:-0}))" "$*" >&2
}

die()
{
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

# run_logged LOG WHAT COMMAND...: a long command with its output in a file; on
# failure its last lines and where the rest is.
run_logged()
{
	local log=$LOGS/$1 what=$2
	shift 2
	mkdir -p "$LOGS"
	if ! "$@" > "$log" 2>&1; then
		grep -E -m 20 'error:|Error |\*\*\*|fatal:|No space left' "$log" >&2 || tail -n 20 "$log" >&2
		if grep -q 'No space left on device' "$log"; then
			die "the disk is full: free some space below $BUILD or $CACHE and run the command again"
		fi
		die "$what failed: read $log, mend it and run the same command again"
	fi
}

# need_space DIRECTORY MIB WHAT: fail early instead of in the middle.
need_space()
{
	local have
	have=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
	[ "$have" -ge "$2" ] ||
		die "$3 needs $2 MiB in $1, which has $have: free some space, or set XDG_CACHE_HOME to a larger disk"
}

# Architectures go by the kernel's names here: x86_64 and arm64.
check_arch()
{
	case $1 in
	x86_64|arm64) ;;
	*) die "ARCH=$1 is not known: use ARCH=x86_64 or ARCH=arm64" ;;
	esac
}

# The prefix of the compiler for an architecture, by the kernel's ARCH= name.
cross_compile()
{
	local machine
	machine=$(uname -m)
	case $1:$machine in
	x86_64:x86_64|i386:x86_64|arm64:aarch64|s390:s390x|riscv:riscv64) ;;
	powerpc:ppc64le|loongarch:loongarch64|mips:mips64) ;;
	x86_64:*|i386:*) echo x86_64-linux-gnu- ;;
	arm64:*) echo aarch64-linux-gnu- ;;
	s390:*) echo s390x-linux-gnu- ;;
	riscv:*) echo riscv64-linux-gnu- ;;
	powerpc:*) echo powerpc64le-linux-gnu- ;;
	mips:*) echo mips64el-linux-gnuabi64- ;;
	loongarch:*) echo loongarch64-linux-gnu- ;;
	esac
}

# The work tree and the output directory of a kernel: "patched" is the series,
# "base" is what it stands on. The relative path from output to source is the
# same for both, so that the compiler cache serves one with the other's files.
# KERNEL_TREE names another work tree of the series than build/linux.
kernel_src()
{
	case $1 in
	patched) echo "${KERNEL_TREE:-$BUILD/linux}" ;;
	base) echo "$BUILD/base/linux" ;;
	*) die "KERNEL=$1 is not known: use KERNEL=patched or KERNEL=base" ;;
	esac
}

kernel_out()
{
	echo "$(dirname "$(kernel_src "$1")")/$2${3:+-$3}"
}

# kmake KERNEL ARCH VARIANT ARGS...: make in that kernel, out of tree.
kmake()
{
	local kernel=$1 arch=$2 variant=$3
	shift 3
	kmake_in "$(kernel_src "$kernel")" "$(kernel_out "$kernel" "$arch" "$variant")" "$arch" "$@"
}

# kmake_in SOURCE OUTPUT ARCH ARGS...: the same for directories given by name.
kmake_in()
{
	local src=$1 out=$2 arch=$3 cross
	shift 3
	cross=$(cross_compile "$arch")
	setup_ccache
	make -C "$src" O="$out" ARCH="$arch" \
		CROSS_COMPILE="$cross" CC="${CCACHE:+$CCACHE }${cross}gcc" \
		KBUILD_BUILD_TIMESTAMP="1970-01-01" KBUILD_BUILD_USER=kvm KBUILD_BUILD_HOST=localhost \
		-j"$JOBS" "$@"
}

setup_ccache()
{
	CCACHE=
	command -v ccache > /dev/null || return 0
	CCACHE=ccache
	export CCACHE CCACHE_DIR=$CACHE/ccache CCACHE_BASEDIR=$TOP CCACHE_NOHASHDIR=1
	export CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-4G} CCACHE_COMPILERCHECK=content CCACHE_DEPEND=1
	export CCACHE_SLOPPINESS=time_macros,include_file_mtime,include_file_ctime
}
