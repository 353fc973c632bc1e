#!/bin/sh
# SPDX-License-Identifier: MIT
# bdus.h compiles without a warning as C and C++ of several standards, offers what the required version
# had and no more, refuses versions that it is not compatible with, and programs link to the symbols of
# the version that they require.
#
# usage: test-header-is-clean-and-honours-versions.sh SOURCE_ROOT BUILD_ROOT
set -eu

root=$1
build=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
status=0

complain() {
	echo "$*"
	status=1
}

# version MAJOR MINOR PATCH: the flags that require it.
version() {
	echo "-DBDUS_REQUIRE_VERSION_MAJOR=$1 -DBDUS_REQUIRE_VERSION_MINOR=$2 \
		-DBDUS_REQUIRE_VERSION_PATCH=$3"
}

# compiles COMPILER SOURCE [FLAG]...
compiles() {
	compiler=$1
	source=$2
	shift 2
	"$compiler" "$@" -Wall -Wextra -pedantic -Wundef -Wconversion -Werror -I "$root/include" \
		-c -o "$dir/out.o" "$source" 2>"$dir/errors"
}

cat >"$dir/plain.c" <<'END'
#include <bdus.h>
#include <bdus.h>
static int serve(char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	(void)buffer, (void)offset, (void)size, (void)ctx;
	return bdus_abort;
}
int main(void)
{
	static struct bdus_ops ops;
	static struct bdus_attrs attrs;
	ops.read = serve;
	return bdus_run(&ops, &attrs, 0) || bdus_rerun(0, &ops, &attrs, 0);
}
END
cp "$dir/plain.c" "$dir/plain.cc"
cat >"$dir/others.c" <<'END'
#include <bdus/driver.h>
#include <bdus/manage.h>
#include <bdus/request.h>
int main(void)
{
	return bdus_op_name(BDUS_OP_READ) == 0;
}
END
cp "$dir/others.c" "$dir/others.cc"

for compiler in gcc clang g++ clang++; do
	command -v $compiler >/dev/null || continue
	case $compiler in
	*++) standards="c++11 c++17 c++20" suffix=cc ;;
	*) standards="c99 c11 gnu17" suffix=c ;;
	esac
	for standard in $standards; do
		for source in plain others; do
			compiles "$compiler" "$dir/$source.$suffix" "-std=$standard" ||
				complain "$compiler -std=$standard $source: $(cat "$dir/errors")"
		done
	done
done

cc=${CC:-cc}
for patch in 0 1 2 3; do
	# shellcheck disable=SC2046
	compiles "$cc" "$dir/plain.c" $(version 0 1 $patch) || complain "0.1.$patch is refused"
	symbols=$(nm -u "$dir/out.o" | grep -o 'bdus_[a-z0-9_]*' | tr '\n' ' ')
	case $patch in
	0) expected="bdus_rerun_0_1_0_ bdus_run_0_1_0_ " ;;
	[12]) expected="bdus_rerun_0_1_1_ bdus_run_0_1_1_ " ;;
	*) expected="bdus_rerun_0_1_3_ bdus_run_0_1_3_ " ;;
	esac
	[ "$symbols" = "$expected" ] || complain "0.1.$patch uses $symbols"
done

for wrong in "0 1 4" "0 1 -1" "0 0 0" "0 2 0" "1 0 0" "1 1 1"; do
	# shellcheck disable=SC2046,SC2086
	if compiles "$cc" "$dir/plain.c" $(version $wrong); then complain "$wrong is accepted"; fi
	grep -q '#error.*0\.1\.3' "$dir/errors" || complain "$wrong: no word about 0.1.3"
done
for some in "MAJOR=0" "MINOR=1" "PATCH=0" "MAJOR=0 -DBDUS_REQUIRE_VERSION_MINOR=1"; do
	# shellcheck disable=SC2086
	if compiles "$cc" "$dir/plain.c" -DBDUS_REQUIRE_VERSION_$some; then
		complain "$some alone is accepted"
	fi
	grep -q '#error.*all together' "$dir/errors" || complain "$some: no word about all three"
done

# has WHAT PATCH EXPRESSION: whether the header offers it to a program that requires 0.1.PATCH
has() {
	printf '#include <bdus.h>\nint f(struct bdus_ctx *c);\nint f(struct bdus_ctx *c)\n{\n%s\n}\n' \
		"$2" >"$dir/has.c"
	# shellcheck disable=SC2046
	compiles "$cc" "$dir/has.c" $(version 0 1 "$1")
}
uses_major='return (int)(c->major + c->minor);'
uses_restrict='int *BDUS_RESTRICT p = c->private_data; return *p;'
has 1 "$uses_major" || complain "0.1.1 lacks ctx->major"
if has 0 "$uses_major"; then complain "0.1.0 has ctx->major"; fi
has 3 "$uses_restrict" || complain "0.1.3 lacks BDUS_RESTRICT"
if has 2 "$uses_restrict"; then complain "0.1.2 has BDUS_RESTRICT"; fi

# Zones came with 0.1.3: who requires less cannot even name a callback, an attribute or a helper of them.
for member in report open close finish reset reset_all append; do
	uses_zones="struct bdus_ops o; o.zone_$member = 0; return c->private_data && !o.zone_$member;"
	has 3 "$uses_zones" || complain "0.1.3 lacks zone_$member: $(cat "$dir/errors")"
	for patch in 0 1 2; do
		if has $patch "$uses_zones"; then complain "0.1.$patch has zone_$member"; fi
	done
done
for member in zone_size zone_capacity conventional_zones max_open_zones max_active_zones max_zone_append_size; do
	uses_zones="struct bdus_attrs a; a.$member = 0; return c->private_data && !a.$member;"
	has 3 "$uses_zones" || complain "0.1.3 lacks $member: $(cat "$dir/errors")"
	for patch in 0 1 2; do
		if has $patch "$uses_zones"; then complain "0.1.$patch has $member"; fi
	done
done
uses_zones='struct bdus_zone z; return c->private_data && bdus_zones_open((struct bdus_zones *)0, sizeof(z));'
has 3 "$uses_zones" || complain "0.1.3 lacks bdus_zones_open: $(cat "$dir/errors")"
if has 2 "$uses_zones"; then complain "0.1.2 has bdus_zones_open"; fi

# What the library exports: every versioned symbol under the version that brought it, and nothing else.
nm -D --defined-only "$build/libbdus.so" | grep -v ' A ' | sed 's/.* //' | sort >"$dir/exported"
for symbol in run_0_1_0_@@BDUS_0.1.0 run_0_1_1_@@BDUS_0.1.1 rerun_0_1_0_@@BDUS_0.1.0 \
	rerun_0_1_1_@@BDUS_0.1.1 run_0_1_3_@@BDUS_0.1.3 rerun_0_1_3_@@BDUS_0.1.3 flush_dev_0_1_0_@@BDUS_0.1.0 destroy_dev_0_1_0_@@BDUS_0.1.0 \
	get_dev_id_from_path_0_1_0_@@BDUS_0.1.0 get_error_message_0_1_0_@@BDUS_0.1.0 \
	get_libbdus_version_0_1_0_@@BDUS_0.1.0 get_kbdus_version_0_1_0_@@BDUS_0.1.0; do
	grep -qx "bdus_$symbol" "$dir/exported" || complain "bdus_$symbol is not exported"
done
if grep -v '^bdus_.*@@BDUS_' "$dir/exported"; then complain "exported without a version"; fi
exit $status
