# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What the checks have in common. Sourced after lib.sh.
#
# A check prints its findings and ends with 0 (none), 1 (some) or, with the
# reason printed, 4 (nothing to check here).

# The modules of Debian's packages are for Debian's python3, and the first in
# PATH may be another.
export PATH=/usr/bin:$PATH

TREE=$(kernel_src patched)
git -C "$TREE" rev-parse -q --verify base > /dev/null ||
	die "$TREE has no base to compare with: run 'make tree' and try again"
export TREE

skip()
{
	echo "$*"
	exit 4
}

# touched FILTER PATTERN...: files of the series that match; FILTER is git's, A
# for those it brings and AM for those it brings or changes.
touched()
{
	local filter=$1
	shift
	git -C "$TREE" -c core.quotePath=false diff --name-only --no-renames \
		--diff-filter="$filter" base..HEAD -- "$@"
}

# What of the kernel the series touches has to be compiled for an architecture:
# KVM, and the directories of other files.
kernel_dirs()
{
	local other
	case $1 in
	x86_64) echo arch/x86/kvm/; other=arm64 ;;
	arm64) echo arch/arm64/kvm/; other=x86 ;;
	esac
	# virt/kvm is compiled by each architecture's Makefile in arch/*/kvm.
	touched AM 'arch/*.c' 'drivers/*.c' 'mm/*.c' 'lib/*.c' 'kernel/*.c' 'fs/*.c' |
		grep -vE "^arch/(x86|arm64)/kvm/|^arch/$other/" | sed 's,[^/]*$,,' | sort -u || true
}

# findings: print what is on stdin; to be the last command of a check.
findings()
{
	! grep '.'
}

# remove_objects OUTPUT DIRECTORY...: so that the next build compiles them and
# tells what there is to tell (ccache repeats it without compiling).
remove_objects()
{
	local out=$1 directory
	shift
	for directory; do
		[ ! -d "$out/$directory" ] || find "$out/$directory" -name '*.o' -delete
	done
}

# The repository's files, kept or about to be, each ending in a NUL.
repository_files()
{
	git -C "$TOP" ls-files -z --cached --others --exclude-standard -- "$@" ':!build'
}

# Its scripts: what begins with #!, what such a file takes in, and the Makefile.
scripts()
{
	local file
	repository_files harness .ci Makefile | while IFS= read -r -d '' file; do
		[ -f "$TOP/$file" ] || continue
		case $file in
		*.sh|*.py|Makefile) echo "$file" ;;
		*) ! head -c 2 "$TOP/$file" | grep -q '#!' || echo "$file" ;;
		esac
	done
}
