#!/bin/sh
# Makes what docker-compose.yml needs and no repository may hold: random values
# in ./secrets, readable by their owner alone, and ./.env, which says who that
# is. What is there already is kept: running it again is harmless.
set -eu
cd "$(dirname "$0")/.."
umask 077

# The containers run as the owner of the secrets, and never as root.
if [ "$(id -u)" -eq 0 ]; then
  uid=65532 gid=65532
else
  uid=$(id -u) gid=$(id -g)
fi

random_key() { head -c 32 /dev/urandom | base64 | tr -d '\n'; }
random_word() { head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

# keep FILE: writes standard input to FILE, unless it is there.
keep() {
  if [ -e "$1" ]; then
    echo "kept $1"
    return
  fi
  cat >"$1.new"
  mv "$1.new" "$1"
  echo "made $1"
}

mkdir -p secrets
keep secrets/postgres_password <<END
$(random_word)
END
keep secrets/database_url <<END
postgres://utskick:$(cat secrets/postgres_password)@postgres:5432/utskick?sslmode=disable
END
keep secrets/utskick.json <<END
{
  "pepper": "$(random_key)",
  "link_key": "$(random_key)",
  "session_key": "$(random_key)"
}
END
keep .env <<END
# Who owns ./secrets and runs the containers.
UTSKICK_UID=$uid
UTSKICK_GID=$gid
# The https address under which customers reach the public listener.
UTSKICK_PUBLIC_URL=https://utskick.example.com
END
if [ "$(id -u)" -eq 0 ]; then chown -R "$uid:$gid" secrets; fi

echo "Keep a copy of secrets/utskick.json in another place: without its pepper no"
echo "suppression is found, and without its link key no sent unsubscribe link works."
