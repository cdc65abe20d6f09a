#!/bin/sh
# The hospital's witness: the only command that an engineer's key reaches, by sshd's
#
#   restrict,command="/usr/local/lib/maintenance-witness/witness.sh SITE [STORE [CONFIGURATION]]" ssh-ed25519 AAAA... principal
#
# It keeps, out of the vendor's reach, which entry of the vendor's ledger came when, and signs a receipt for each.
#
# One request a connection: everything on standard input until its end, at most 1 MiB and a little.
#   put SEQ KIND RUN MANIFEST_BYTES SIG_BYTES   and a newline, then the bytes of MANIFEST, then those of MANIFEST.sig
#   receipt SEQ | head | heads                  and a newline
# One answer on standard output:
#   receipt RECEIPT_BYTES SIG_BYTES             and a newline, then the receipt, then its signature     (put, receipt)
#   head SEQ SHA256 TIME                        "head 0 - -" while there is none                        (head)
#   heads BYTES                                 and a newline, then the file heads: "SEQ SHA256 TIME" a line
#   error CODE TEXT                             and CODE is the exit code as well:
#     1 trouble here (disk, key): send it again    2 request or MANIFEST is malformed     3 not the next entry
#     4 fork: another entry is held already        5 signature is not one this hospital accepts
#
# The store: SITE/NNNNNN/{MANIFEST,MANIFEST.sig,receipt,receipt.sig} and SITE/heads. An entry comes into being by the
# rename of its finished, synced folder, and by nothing else; heads is made from the receipts and mended at the next call.
# A kill or a power cut at any moment therefore leaves the entry whole or absent; the client sends it again either way.
set -eu
LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
umask 022

site=${1:?site} store=${2:-/var/lib/maintenance-witness}/$1 conf=${3:-/etc/maintenance-witness}
tmp='' answered=''

error() { answered=yes; printf 'error %s %s\n' "$1" "$2"; exit "$1"; }
finish() {
    code=$?
    [ -z "$tmp" ] || rm -rf "$tmp"
    [ "$code" -eq 0 ] || [ -n "$answered" ] || error 1 'the witness could not finish (is its disk full?): send it again'
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

number() { case $1 in '' | 0* | *[!0-9]* | ????????*) error 2 'a number is malformed' ;; esac; }
size() { echo $(($(wc -c <"$1"))); }
held() { printf '%s/%06d' "$store" "$1"; }

answer_receipt() {
    answered=yes
    printf 'receipt %s %s\n' "$(size "$1/receipt")" "$(size "$1/receipt.sig")"
    cat "$1/receipt" "$1/receipt.sig"
}

read_head() {
    last=0 head_sha256=- head_time=-
    [ ! -s "$store/heads" ] || read -r last head_sha256 head_time <<END
$(tail -n 1 "$store/heads")
END
}

add_head() {
    [ ! -e "$store/heads" ] || cp "$store/heads" "$tmp/heads"
    sed -n 's/^seq //p; s/^sha256 //p; s/^time //p' "$1/receipt" | paste -d ' ' - - - >>"$tmp/heads"
    sync "$tmp/heads"
    mv "$tmp/heads" "$store/heads"
    sync "$store"
    read_head
}

put() { # SEQ KIND RUN MANIFEST_BYTES SIG_BYTES; the request's first line is $line
    number "$1"
    number "$4"
    number "$5"
    if [ "$4" -gt 1048576 ] || [ "$5" -gt 16384 ]; then error 2 'MANIFEST may have 1 MiB and its signature 16 KiB'; fi
    [ "$(size "$tmp/request")" -eq $((${#line} + 1 + $4 + $5)) ] || error 2 'the request is cut short, or longer than it says'
    mkdir "$tmp/entry"
    manifest=$tmp/entry/MANIFEST
    tail -c "$(($4 + $5))" "$tmp/request" | head -c "$4" >"$manifest"
    tail -c "$5" "$tmp/request" >"$manifest.sig"
    sha256=$(sha256sum <"$manifest")
    sha256=${sha256%% *}

    if [ "$1" -le "$last" ]; then
        cmp -s "$manifest" "$(held "$1")/MANIFEST" || error 4 "fork: the hospital holds another entry $1"
        answer_receipt "$(held "$1")"
        return
    fi
    [ "$1" -eq $((last + 1)) ] || error 3 "the hospital expects entry $((last + 1)), not $1"

    # Plain text only: what the shell reads of a NUL is not what was signed.
    [ "$(tr -cd '\n -~' <"$manifest" | wc -c)" -eq "$4" ] || error 2 'MANIFEST is not plain text'
    header=$(printf '# maintenance-record-manifest v1\n# site %s\n# seq %s\n# kind %s\n# run %s' "$site" "$1" "$2" "$3")
    [ "$(head -n 5 "$manifest")" = "$header" ] || error 2 "the header of MANIFEST is not that of entry $1, $2, $3 of site $site"
    signer=$(sed -n '6s/^# signer //p' "$manifest")
    if [ "$1" -eq 1 ]; then
        [ "$2" = genesis ] || error 2 'the first entry is a genesis'
    else
        case $(sed -n 8p "$manifest") in
        "$head_sha256  ../$(printf %06d "$last")-"*/MANIFEST) ;;
        *) error 4 "fork: entry $1 does not follow the entry $last that the hospital holds ($head_sha256)" ;;
        esac
    fi

    revoked=''
    [ ! -s "$conf/revoked" ] || revoked=$conf/revoked
    ssh-keygen -Y verify -f "$conf/allowed_signers" ${revoked:+-r "$revoked"} -I "$signer" -n maintenance-record \
        -s "$manifest.sig" <"$manifest" >/dev/null ||
        error 5 "entry $1: the hospital does not accept this signature of $signer now (signer, key, validity, revocation)"

    receipt=$tmp/entry/receipt
    printf 'maintenance-receipt v1\nsite %s\nseq %s\nsha256 %s\ntime %s\n' "$site" "$1" "$sha256" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >"$receipt"
    ssh-keygen -Y sign -q -f "$conf/witness_key" -n maintenance-receipt <"$receipt" >"$receipt.sig"
    # ssh-keygen has ways to exit 0 without a signature; and a full disk cuts files short.
    printf 'witness %s\n' "$(cat "$conf/witness_key.pub")" >"$tmp/self"
    ssh-keygen -Y verify -f "$tmp/self" -I witness -n maintenance-receipt -s "$receipt.sig" <"$receipt" >/dev/null
    [ "$(sha256sum <"$manifest")" = "$sha256  -" ]

    sync "$manifest" "$manifest.sig" "$receipt" "$receipt.sig" "$tmp/entry"
    mv "$tmp/entry" "$(held "$1")"
    sync "$store"
    add_head "$(held "$1")"
    answer_receipt "$(held "$1")"
}

cd "$store" # find refuses to work where it cannot come back to
find . -name '.tmp-*' -prune -mmin +60 -exec rm -rf {} +
tmp=$(mktemp -d "$store/.tmp-XXXXXX")
timeout 60 head -c 1065216 >"$tmp/request"
IFS= read -r line <"$tmp/request" || error 2 'no request came, or it has no end of line'
exec 9>>"$store/.lock"
flock -w 60 9

read_head
while [ -d "$(held $((last + 1)))" ]; do add_head "$(held $((last + 1)))"; done

set -f
# shellcheck disable=SC2086  # a request is words; the comparison refuses any other spelling of them
set -- $line
[ "$line" = "$*" ] || error 2 'the request is malformed'
case $#-${1-} in
6-put)
    shift
    put "$@"
    ;;
1-head) printf 'head %s %s %s\n' "$last" "$head_sha256" "$head_time" ;;
1-heads)
    [ -e "$store/heads" ] || : >"$store/heads"
    printf 'heads %s\n' "$(size "$store/heads")"
    cat "$store/heads"
    ;;
2-receipt)
    number "$2"
    [ "$2" -le "$last" ] || error 3 "the hospital holds no entry $2; its last is $last"
    answer_receipt "$(held "$2")"
    ;;
*) error 2 'the request is not one of: put, receipt, head, heads' ;;
esac
