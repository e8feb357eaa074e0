# Shared by scripts/vm-ipip, vm-fou and vm-ebpf, which source it: two Debian hosts with real kernels, n1 (192.168.50.10) and n2
# (192.168.50.11), and what must hold between them. They set: run (RUN GUEST 'COMMANDS' runs as root in a guest), device and mtu of the
# tunnel, backend (JSON). Both guests need hopsack in /opt/hopsack (dist, build/Release, binding-options.cjs, package.json,
# node_modules). Prints ok or not ok for each check.
set -u
fails=0
narrow='the outer fragments are put together' narrow_pings=1
check() { # check GUEST WHAT COMMANDS
  if "$run" "$1" "$3" >/dev/null 2>&1; then echo "ok      $2"; else echo "not ok  $2"; fails=$((fails + 1)); fi
}
daemon() { # daemon GUEST FLAGS…: ready, with both hosts in a static store, in the mode $backend
  "$run" "$1" "systemctl stop hop 2>/dev/null; systemctl reset-failed hop 2>/dev/null; mkdir -p /run/hopsack; cat > /run/hosts.json <<'JSON'
{ \"Network\": \"10.244.0.0/16\", \"Backend\": $backend, \"Hosts\": [
  { \"Node\": \"n1\", \"PublicIP\": \"192.168.50.10\", \"Subnet\": \"10.244.1.0/24\" },
  { \"Node\": \"n2\", \"PublicIP\": \"192.168.50.11\", \"Subnet\": \"10.244.2.0/24\" } ] }
JSON
$(start "$@")"
}
start() { # start GUEST FLAGS…: the commands that start it there and wait until it is ready
  echo "systemd-run --quiet --property KillMode=mixed --unit hop /usr/bin/node /opt/hopsack/dist/cli/hopsackd.js --store static:/run/hosts.json --node-name $1 --iface eth0 ${*:2}
for i in \$(seq 120); do journalctl -u hop _SYSTEMD_INVOCATION_ID=\$(systemctl show -P InvocationID hop) -o cat | grep -q '^ready' && exit 0; sleep 1; done
journalctl -u hop --no-pager | tail -5; exit 1"
}
ends() { # ends NAME: the checks between both hosts, with what n1 answers to packets that are too big
  local name=$1
  check n1 "$name: ping" "for i in \$(seq 30); do ping -c1 -W2 -I 10.244.1.0 10.244.2.0 && exit 0; sleep 1; done; exit 1"
  check n1 "$name: $mtu bytes with DF pass whole" "ping -c1 -W5 -M do -s $((mtu - 28)) -I 10.244.1.0 10.244.2.0"
  check n1 "$name: $((mtu + 1)) bytes with DF are refused with mtu $mtu" "ping -c1 -W5 -M do -s $((mtu - 27)) -I 10.244.1.0 10.244.2.0 2>&1 | grep -E 'mtu ?= ?$mtu'"
  check n1 "$name: 4000 bytes without DF pass in pieces" "ping -c1 -W5 -M dont -s 4000 -I 10.244.1.0 10.244.2.0"
  check n1 "$name: 1400 bytes without DF on a path of 1300 bytes: $narrow" "ip route replace 192.168.50.11 dev eth0 mtu lock 1300; sleep 1; ping -c$narrow_pings -W5 -M dont -s 1400 -I 10.244.1.0 10.244.2.0; r=\$?; ip route del 192.168.50.11; ip route flush cache; exit \$r"
  wire "$name"
  stream "$name" n1 n2 10.244.2.0
  stream "$name" n2 n1 10.244.1.0
}
stream() { # stream NAME FROM TO ADDRESS: three megabytes, compared by their sha256
  local name=$1 from=$2 to=$3 address=$4 sent got
  "$run" "$to" "systemd-run --quiet --unit sink$RANDOM python3 -c 'import socket,hashlib
s=socket.create_server((\"$address\",7000)); c,_=s.accept(); h=hashlib.sha256()
while b:=c.recv(65536): h.update(b)
open(\"/run/got\",\"w\").write(h.hexdigest())'; rm -f /run/got; sleep 3"
  sent=$("$run" "$from" "head -c 3000000 /dev/urandom > /run/data; python3 -c 'import socket; c=socket.create_connection((\"$address\",7000),60); c.sendall(open(\"/run/data\",\"rb\").read()); c.close()'; sha256sum < /run/data | cut -c1-64")
  got=$("$run" "$to" "for i in \$(seq 60); do [ -s /run/got ] && break; sleep 1; done; cat /run/got")
  if [ -n "$sent" ] && [ "$sent" = "$got" ]; then echo "ok      $name: sha256 of a stream $from → $to"
  else echo "not ok  $name: stream $from → $to ($sent, $got)"; fails=$((fails + 1)); fi
}
nothing_is_left() { # after everything
  local guest
  for guest in n1 n2; do
    "$run" "$guest" "systemctl stop hop" 2>/dev/null
    check "$guest" "$guest: nothing is left" "! ip link show $device && ! ip route | grep 10.244"
  done
  echo "$fails failed"
}
