#!/bin/sh
# Makes the certificates that tests show each other, valid from 2020 for 100 years, but for the one that has expired.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
touch "$work/index"
cat > "$work/config" << END
[ca]
default_ca = test
[test]
database = $work/index
new_certs_dir = $work
policy = names
default_md = sha256
unique_subject = no
rand_serial = yes
[names]
commonName = supplied
END

authority() { # file, name
  issue "$1" "$2" 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign' 2120 -selfsign -keyfile "$1.key"
  mv "$1.key" "$work"
}

certificate() { # file, authority, name, extensions, year of its end
  issue "$1" "$3" "basicConstraints=CA:FALSE\n$4" "$5" -cert "$2.pem" -keyfile "$work/$2.key"
}

issue() { # file, name, extensions, year of its end, who signs
  file=$1 name=$2 extensions=$3 year=$4
  shift 4
  printf '%b\n' "$extensions" > "$work/extensions"
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$file.key" -out "$work/request" -subj "/CN=$name"
  openssl ca -batch -notext -config "$work/config" -extfile "$work/extensions" -in "$work/request" -out "$file.pem" \
    -startdate 20200101000000Z -enddate "${year}0102000000Z" "$@"
}

server='subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth'
client='extendedKeyUsage=clientAuth'
backend="subjectAltName=DNS:backend.internal,URI:spiffe://gatehouse.test/backend\n$client"

authority authority 'Gatehouse test authority'
authority stranger-authority 'Somebody else'
certificate server authority localhost "$server" 2120
certificate renewed authority localhost "$server" 2120
certificate expired authority localhost "$server" 2020
certificate backend authority not-this-name "$backend" 2120
certificate legacy authority legacy-backend "$client" 2120
certificate retired authority legacy-backend "$client" 2020
certificate crafty authority legacy-backend "$client\nsubjectAltName=@names\n[names]\nDNS.1=evil, DNS:backend.internal" 2120
certificate unlisted authority unlisted "$client" 2120
certificate stranger stranger-authority legacy-backend "$client" 2120
