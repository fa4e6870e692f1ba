# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# An apt of our own (lists, cache and keys), so that the system's sources stay
# as they are; the mirror is the machine's. Sourced after lib.sh.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

mirror()
{
	local found
	found=$(sed -n -e 's/^URIs: *\([^ ]*debian\/\{0,1\}\)\( .*\)\{0,1\}$/\1/p' \
		-e 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*debian\/\{0,1\}\) .*/\2/p' \
		/etc/apt/sources.list /etc/apt/sources.list.d/*.sources \
		/etc/apt/sources.list.d/*.list 2> /dev/null | head -n 1 || true)
	[ -n "$found" ] ||
		die "no Debian mirror is named in /etc/apt: name one there, or give the kernel by KERNEL_TARBALL= or KERNEL_SRC="
	echo "$found"
}

# private_apt STATE ARCHITECTURE TOOL ARGS...
private_apt()
{
	local state=$1 architecture=$2 tool=$3
	shift 3
	"$tool" -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=- \
		-o Dir::Etc::preferences=- -o Dir::Etc::preferencesparts=- \
		-o Dir::State::lists="$state/lists" -o Dir::Cache="$state/cache" \
		-o Dir::State::status="$state/status" -o APT::Architecture="$architecture" \
		-o APT::Architectures::="$architecture" -o APT::Sandbox::User="$(id -un)" \
		-o Acquire::Retries=3 -o Acquire::Languages=none "$@"
}

# private_update STATE ARCHITECTURE TYPE SUITE: fetch the lists of a suite; TYPE
# is deb or deb-src.
private_update()
{
	local state=$1 architecture=$2 type=$3 suite=$4 found
	[ -r "$KEYRING" ] || die "$KEYRING is missing: install debian-archive-keyring and try again"
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
	: > "$state/status"
	found=$(mirror) || return 1
	echo "$type [signed-by=$KEYRING] $found $suite main" > "$state/sources.list"
	private_apt "$state" "$architecture" apt-get update > "$state/update.log" 2>&1
}
