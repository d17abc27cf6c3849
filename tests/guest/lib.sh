# Runs the functions t_* of a test script, each in a shell of its own: 0 passes, 77 skips (the last
# line of output is the reason), anything else fails. The runner on the host reads the RESULT lines.
script=$1
name=$(basename "$script" .sh)
name=${name#test_}

# fail TEXT...: ends the test as failed.
fail() {
	echo "$*"
	exit 1
}

# skip REASON...: ends the test as skipped.
skip() {
	echo "$*"
	exit 77
}

# wait_for SECONDS COMMAND...: polls until the command succeeds; fails the test after that time.
wait_for() {
	local rounds=$(($1 * 20))
	shift
	while ! "$@" >/dev/null 2>&1; do
		rounds=$((rounds - 1))
		[ "$rounds" -gt 0 ] || fail "not in time: $*"
		sleep 0.05
	done
}

need_rtrd() {
	[ -x /bin/rtrd ] && [ -x /bin/rtrctl ] || skip "rtrd or rtrctl is not built"
}

# start_rtrd: the daemon under the name "guest", answering. stop_rtrd ends it.
start_rtrd() {
	need_rtrd
	rtrd -N guest >/tmp/rtrd.log 2>&1 &
	rtrd_pid=$!
	trap stop_rtrd EXIT
	wait_for 30 rtrctl -N guest -c "show version"
}

stop_rtrd() {
	kill "$rtrd_pid"
	wait "$rtrd_pid"
	cat /tmp/rtrd.log
}

# configure LINE...: from the top of configuration mode; a refused line fails the test.
configure() {
	local out
	out=$(printf '%s\n' "configure terminal" "$@" end | rtrctl -N guest 2>&1) || fail "configure: $out"
	if grep '^% ' <<<"$out" | grep -qv '^% Warning'; then
		fail "configure: $out"
	fi
}

. "$script"
for t in $(sed -n 's/^\(t_[a-z0-9_]*\)().*/\1/p' "$script"); do
	echo "RESULT start $name.${t#t_}"
	( set -e; $t ) >/tmp/out 2>&1
	case $? in
	0) echo "RESULT pass $name.${t#t_}" ;;
	77) echo "RESULT skip $name.${t#t_} $(tail -n 1 /tmp/out)" ;;
	*)
		cat /tmp/out
		echo "RESULT fail $name.${t#t_}"
		;;
	esac
done
