m=$1 f=$2 i=$3 o=$4
begins() {
  printf '\n%s H %s 0\n' "$m" "$c"
  head -c 1024 /proc/self/fd/4
  printf '\n%s E %s 0\n' "$m" "$c"
}
follow() {
  c= q=0 s=
  trap 'kill $s 2>/dev/null; wait; exit' TERM
  while :; do
    if [ -z "$c" ] && [ -f "$f" ] && exec 4<"$f"; then
      set -- $(ls -lidnL /proc/self/fd/4)
      c=$1
      [ "$c" = "$i" ] || o=0
      i= q=0
      begins
      printf '\n%s F %s %s\n' "$m" "$c" "$o"
    fi
    if [ -n "$c" ]; then
      set -- $(ls -lidnL /proc/self/fd/4)
      if [ "$6" -lt "$o" ]; then
        o=0
        printf '\n%s T %s 0\n' "$m" "$c"
      fi
      n=$(($6 - o))
      if [ "$n" -gt 0 ]; then
        [ "$n" -gt 1048576 ] && n=1048576
        [ "$o" -gt 0 ] && begins
        printf '\n%s D %s %s\n' "$m" "$c" "$o"
        tail -c "+$((o + 1))" /proc/self/fd/4 | head -c "$n"
        o=$((o + n)) q=0
        printf '\n%s E %s %s\n' "$m" "$c" "$o"
        continue
      fi
      set -- $(ls -lidnL "$f" 2>/dev/null)
      if [ "$1" != "$c" ]; then
        q=$((q + 1))
        if [ "$q" -gt 3 ]; then
          exec 4<&-
          c= o=0
          continue
        fi
      fi
    fi
    sleep 1 &
    s=$!
    wait $s
  done
}
follow &
p=$!
cat >/dev/null
kill $p
wait $p
